"""Sealed files: whatever bit of one is another, it is damaged."""

from __future__ import annotations

import pytest

from nanomg import sealed

FILE = sealed.seal({"of": "a model", "shape": [2, 3]}, b"numbers\n\x00")


def test_what_was_sealed_comes_back() -> None:
    assert sealed.unseal(FILE) == ({"of": "a model", "shape": [2, 3]}, b"numbers\n\x00")


@pytest.mark.parametrize("bit", range(8))
def test_no_bit_may_be_another(bit: int) -> None:
    for place in range(len(FILE)):
        damaged = bytearray(FILE)
        damaged[place] ^= 1 << bit
        with pytest.raises(sealed.Damaged):
            sealed.unseal(bytes(damaged))


@pytest.mark.parametrize("content", [b"", b"\n", FILE[:-1], FILE + b" ", b'{"of": "a model"}\nnumbers', b"[" * 100_000])
def test_neither_may_anything_be_missing_or_added(content: bytes) -> None:
    with pytest.raises(sealed.Damaged):
        sealed.unseal(content)

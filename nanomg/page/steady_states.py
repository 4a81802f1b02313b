"""What doses at steady state brought to it, and what they left as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nanomg.page.blocks import Items
from nanomg.page.result import ResultReader


def blocks(result: ResultReader) -> Iterator[Items]:
    """A sentence for each port or state that is dosed at steady state; nothing where none is."""
    found = result.at("steady_state") or {}
    if found:
        yield Items([_sentence(name, entry["solved"], entry["held"]) for name, entry in found.items()], "note")


def _sentence(name: str, solved: Sequence[str], held: Sequence[str]) -> str:
    kept = f"held at their values at the record: {_short(held, solved)}" if held else "nothing is held"
    return f"Steady state of {name}: solved for {_short(solved, held)}; {kept}."


def _short(names: Sequence[str], others: Sequence[str]) -> str:
    """Names of states; those of a mechanism that are all among them as one."""
    split = {name.partition(".")[0] for name in others}
    return ", ".join(dict.fromkeys(n if n.partition(".")[0] in split else f"{n.partition('.')[0]}.*" for n in names))

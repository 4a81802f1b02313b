"""How numbers and limits are put for people."""

import pytest

from nanomg import formatting
from nanomg.results import limits


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[
            (0.0, "0"),
            (-0.0, "0"),
            (9, "9"),
            (0.012345, "0.01235"),
            (1.5e-7, "1.5e-7"),
            (123456.0, "1.235e5"),
            (-2.5, "-2.5"),
        ],
        *[(None, "–"), (float("nan"), "–"), (float("inf"), "–")],
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert formatting.format_number(value) == text


def test_numbers_in_words() -> None:
    assert [formatting.format_number(value, 3) for value in (1490.4, 12345.0, 999700.0)] == ["1490", "12300", "1e6"]
    assert [formatting.percent(share) for share in (-1e-9, 0.0033, 0.0149, 0.5, None)] == [
        "0 %",
        "0.3 %",
        "1 %",
        "50 %",
        "–",
    ]
    assert [formatting.format_duration(seconds) for seconds in (23.4, 240, 7300)] == ["23 s", "4 min", "2 h 2 min"]
    assert [formatting.size(count) for count in (18, 18123, 4.5e8)] == ["18 B", "18.1 kB", "450 MB"]


@pytest.mark.parametrize(
    ("limit", "slack", "state"),
    [
        *[(2.0, 1.0, ""), (2.0, 0.021, ""), (2.0, 0.019, "active"), (2.0, 0.0, "active"), (-2.0, 0.019, "active")],
        *[(2.0, -1e-10, "active"), (2.0, -1e-6, "exceeded"), (0.0, 0.0, "active"), (0.0, -1e-12, "exceeded")],
        *[(2.0, None, "unknown"), (2.0, float("nan"), "unknown"), (None, 1.0, "")],
    ],
)
def test_state_of_limit(limit: float | None, slack: float | None, state: str) -> None:
    assert limits.state_of_limit(limit, slack) == state


@pytest.mark.parametrize(
    ("effect", "text"), [(0.0, "× 1"), (-0.6931471805599453, "× 0.5"), (None, ""), (1e6, "× 1.01e304")]
)
def test_factor(effect: float | None, text: str) -> None:
    assert formatting.format_factor(effect) == text

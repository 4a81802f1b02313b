"""Count the values of the cards by basis.

python docs/parameters.py > docs/parameters.md
"""

from __future__ import annotations

from collections import Counter

from nanomg.library.card import BASES
from nanomg.models import library

MEANING = {
    "measured": "a number in the source that the card names",
    "fitted": "estimated from data, by the source or by `nanomg calibrate` from the source's data",
    "scaled": "computed from another value: by body weight, by composition, by geometry",
    "recalled": "general knowledge, not checked in a source",
    "assumed": "no source; the card gives the reason for the value",
}
HEAD = """# How the values are known

Every value of a card has a basis, which states how the value is known. `nanomg show CARD` lists values with ranges, basis, source
and note; `nanomg show MECHANISM` explains each parameter. Written by `python docs/parameters.py > docs/parameters.md`.
"""


def row(name: str, counts: Counter[str]) -> str:
    """A line of the table."""
    return " | ".join((f"| {name}", *(str(counts[basis] or "") for basis in BASES), f"{counts.total()} |"))


def page() -> str:
    """The whole page."""
    shelf = library()
    cards = {name: shelf.card(name) for name in sorted(shelf.cards)}
    counts = {name: Counter(p.basis for p in card.parameters.values()) for name, card in cards.items()}
    total = sum(counts.values(), Counter())
    shares = (f"- **{basis}** ({total[basis] / total.total():.0%}): {text}" for basis, text in MEANING.items())
    table = [
        f"| card | {' | '.join(BASES)} | values |",
        f"|---|{'---:|' * (len(BASES) + 1)}",
        *(row(f"`{name}`: {cards[name].title}", found) for name, found in counts.items()),
        row("**all**", total),
    ]
    return "\n".join((HEAD, *shares, "", *table)) + "\n"


if __name__ == "__main__":
    print(page(), end="")

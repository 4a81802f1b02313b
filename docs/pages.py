"""Tables of a page of the manual, written between the page's marks by the script of the same name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], right: int = 0) -> list[str]:
    """A table whose last `right` columns are numbers."""
    rule = ["---"] * (len(headers) - right) + ["---:"] * right
    return [f"| {' | '.join(cells)} |" for cells in (headers, rule, *rows)] + [""]


def filled(page: str, name: str, lines: Sequence[str]) -> str:
    """The page with these lines between the marks of that name."""
    before, begin, rest = page.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    assert begin and end, f"the page has no marks for {name}"
    return f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}{after}"

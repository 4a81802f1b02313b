"""References from a BibTeX file."""

from __future__ import annotations

from pathlib import Path

from nanomg.errors import InputError


def read_bibliography(path: Path) -> dict[str, str]:
    """BibTeX entries by key, as written. Enough of a reader for a file of our own making: an entry starts with `@` in column 1."""
    entries: dict[str, str] = {}
    try:
        blocks = ("\n" + path.read_text(encoding="utf-8")).split("\n@")[1:]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file cannot be read ({error})", str(path)) from None
    for block in blocks:
        key = block.partition("{")[2].partition(",")[0].strip()
        if not key:
            raise InputError(
                f"{'@' + block[:20].rstrip()!r} is no BibTeX entry; one starts with '@type{{key,'", str(path)
            )
        entries[key] = "@" + block.rstrip() + "\n"
    return entries

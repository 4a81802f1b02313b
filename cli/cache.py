"""`nanomg cache`."""

from __future__ import annotations

import collections
import textwrap
import time
from typing import Annotated, Any

import typer

from nanomg.cli import options, render
from nanomg.cli.help_pages import Example
from nanomg.formatting import MISSING, format_number, size

EXAMPLES = (
    Example("nanomg cache", "how many programs there are, and their size"),
    Example("nanomg cache --list", "each program: last use, size, time of compiling"),
    Example("nanomg cache --clear", "remove them all"),
)


def cache(
    programs: Annotated[bool, typer.Option("--list", help="Show each program.")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Remove them all.")] = False,
    json: options.Json = False,
) -> None:
    """Show or remove the compiled programs stored for later runs."""
    from nanomg import user_cache
    from nanomg.compute import program_store

    place = user_cache.folder()
    listing: dict[str, Any] = {"folder": str(place) if place else None}
    if clear:
        removed, freed = program_store.clear()
        listing |= {"removed": removed, "bytes": freed}
    else:
        stored = [dict(e.about) | {"bytes": e.bytes, "used": int(e.used)} for e in program_store.entries()]
        listing |= {"entries": len(stored), "bytes": sum(p["bytes"] for p in stored), "programs": stored}
    if json:
        render.emit_json(listing)
        return
    if place is None:
        render.paragraph("Compiled programs are not kept: NANOMG_CACHE is off.")
    elif clear:
        render.paragraph(f"Removed {_programs(removed)}, {_size(freed)}, from {place}")
    else:
        render.paragraph(f"{place}: {_programs(len(stored))}, {_size(listing['bytes'])}")
        if programs:
            headers = ("program", "last used", "size", "compiled in", "arguments", "of")
            render.section("Programs", headers, "lrrrll", map(_row, stored), prose=True)


def _row(program: dict[str, Any]) -> tuple[str, ...]:
    name = str(program.get("program", MISSING)).removeprefix("nanomg.")
    seconds = program.get("seconds")
    taken = MISSING if seconds is None else f"{format_number(seconds, 2)} s"
    of = textwrap.shorten(str(program.get("of", "")), 76, placeholder="…")
    return name, _ago(program["used"]), size(program["bytes"]), taken, _shapes(program), of


def _shapes(program: dict[str, Any]) -> str:
    """The arrays by type and shape, the most dimensions first, each kind with how many there are; scalars as their number.

    A kernel takes arrays of any shape, and is made for a processor.
    """
    if "processor" in program:
        return f"machine code for {program['processor']}"
    counts = collections.Counter(kind for kind in program.get("arguments", ()) if not kind.endswith("[]"))
    kinds = sorted(counts, key=lambda kind: (-kind.count(","), kind))
    words = [f"{counts[kind]}×{kind}" if counts[kind] > 1 else kind for kind in kinds]
    scalars = len(program.get("arguments", ())) - counts.total()
    return " ".join([*words, f"{scalars} scalars"])


def _programs(count: int) -> str:
    return "1 program" if count == 1 else f"{count} programs"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _ago(used: float) -> str:
    """How long ago, in the largest whole unit."""
    seconds = max(time.time() - used, 0.0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return "now"

"""What a page and the screen show of a sweep: each number kept, by point of the design, and what it depends on."""

from __future__ import annotations

from collections.abc import Iterator

from nanomg.formatting import format_duration, format_number, percent, span
from nanomg.jobs.sweep.point_tables import point_tables, value_text
from nanomg.page.blocks import Block, Cell, Table, Text, Tile, Tiles
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.result import ResultReader


def sentence(result: ResultReader) -> str:
    """The conclusion of the run."""
    return str(result.at("verdict") or "")


def blocks(result: ResultReader) -> Iterator[Block]:
    """How many trajectories, what they took, who the subjects are, and each number kept, by point of the design."""
    quantities = result.at("sweep") or {}
    mixed = any(entry.get("median") is None for entry in quantities.values())
    yield Tiles(
        [
            Tile(
                "trajectories", Cell(f"{result.at('trajectories') or 0:,}", result.at("trajectories"), "trajectories")
            ),
            Tile("failed", Cell(f"{result.at('failed') or 0:,}", result.at("failed"), "failed")),
            *(
                Tile(f"{_kept(result, name).text}: median", _middle(result, name), entry["unit"])
                for name, entry in list(quantities.items())[: 0 if mixed else 2]
            ),
        ],
        on_screen=False,
    )
    yield Text(f"{result.at('scenario')}: {_effort(result)}", "note")
    if result.at("population"):
        yield Text(_subjects(result), "note")
    yield from point_tables(result)
    if mixed:
        return
    keys = ("min", "q05", "median", "q95", "max")
    rows = [
        (_kept(result, name), entry["unit"], *(result.cell("sweep", name, key) for key in keys))
        for name, entry in quantities.items()
    ]
    headers = ("", "unit", "lowest", "5 %", "50 %", "95 %", "highest")
    yield Table(headers, "purrrrr", rows, "Over the subjects" if result.at("subjects") else "Over the points")


def _effort(result: ResultReader) -> str:
    rate, device = format_number(result.at("subjects_per_second"), 3), str(result.at("device") or "unknown device")
    device = device.removesuffix(" (cpu)")  # the kind that JAX gives every processor
    return f"{result.at('computed') or 0:,} simulations in {format_duration(result.at('seconds') or 0.0)} ({rate}/s, {device})"


def _subjects(result: ResultReader) -> str:
    """Who the subjects are, and how many samples were implausible and replaced."""
    who = result.at("population")
    counted, count = who.get("counted", 0), (result.at("dims") or {}).get("subject", 0)
    of = f" of the first {counted:,} subjects" if 0 < counted < count else ""
    resampled = f"{percent(who.get('share_rejected'))} of the samples{of} were implausible and were resampled"
    return f"Subjects: {who.get('title')}; {who.get('varied')} parameters vary between them; {resampled}."


def _middle(result: ResultReader, name: str) -> Cell:
    cell = result.cell("sweep", name, "median")
    return cell._replace(note=f"5–95 %: {span(*(result.at('sweep', name, q) for q in ('q05', 'q95')))}")


def _kept(result: ResultReader, label: str) -> Cell:
    """What a sweep keeps, in words."""
    group = result.group("sweep")
    text = group[label].attrs.get("long_name") if group is not None and label in group else None
    return Cell(str(text), name=label) if text else Cell(label)


_QUANTILES = {"q05": "5 %", "median": "50 %", "q95": "95 %"}
_ENDS = {"min": "lowest", "max": "highest"}


def quantities(result: ResultReader) -> Numbers:
    """The numbers by which two runs are compared."""
    for name, entry in result.summary["sweep"].items():
        if entry["median"] is not None:
            for key, text in _QUANTILES.items():
                yield Quantity("quantiles", name, text, entry["unit"]), entry[key]
            continue
        for key, text in _ENDS.items():
            yield Quantity("range", name, text, entry["unit"]), entry[key]
        for point in result.at("points") or ():
            for arm, of in point["arms"].items():
                place = ", ".join([*map(value_text, point["at"].values()), *([arm] if len(point["arms"]) > 1 else [])])
                yield Quantity("points", name, f"median at {place}", entry["unit"]), of[name]["median"]
    yield Quantity("trajectories", "computed", "number", "1"), result.summary["trajectories"]
    yield Quantity("trajectories", "failed", "number", "1"), result.summary["failed"]


def drivers(result: ResultReader) -> Iterator[Block]:
    """Rank correlations of each number kept with the axes and the values of the subjects."""
    from nanomg.jobs.sweep.ranks import rank_correlations  # slow to import, and the screen shows none

    yield from rank_correlations(result)


def changes(result: ResultReader) -> Iterator[str]:
    """How the medians change along each axis."""
    from nanomg.jobs.sweep.axis_changes import axis_changes  # slow to import, and the screen shows none

    yield from axis_changes(result)

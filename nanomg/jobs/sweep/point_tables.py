"""The tables of a sweep by point of its design: each number kept in each arm, and the paired difference where there are two."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nanomg.formatting import MISSING, format_number
from nanomg.page.blocks import Block, Cell, Table, Text, number_cell
from nanomg.page.result import ResultReader
from nanomg.units import unit_text

_DIGITS = 4
_DIGITS_OF_DIFFERENCE = 3
_FIRST, _FIRST_SAMPLED = 40, 10  # rows that are shown first
_MEAN = "mean difference (95 % CI)"


def point_tables(result: ResultReader) -> Iterator[Block]:
    """A table for each number kept, with a row for each point under each hypothesis; nothing where only subjects vary."""
    points, axes = result.at("points") or (), result.at("axes") or {}
    if not points or not (axes or len(points[0]["arms"]) > 1):
        return
    heads = _heads(axes)
    sampled = "point" in (result.at("dims") or {})
    if sampled:
        yield _range_table(result, points)
    for label in next(iter(points[0]["arms"].values())):
        unit = unit_text(str(result.at("sweep", label, "unit"))).replace(MISSING, "")
        table = _table(points, label, heads, bool(result.at("subjects")))
        caption = f"{label} [{unit}]" if unit else label
        yield dataclasses.replace(table, caption=caption, most=_FIRST_SAMPLED if sampled else _FIRST)
    if axes:
        yield Text("; ".join(f"{head}: {axes[name]['text']}" for name, head in heads.items()) + ".", "note")
    if (total := int(result.at("points_in_all") or 0)) > len(points):
        yield Text(f"{len(points):,} of {total:,} points are listed.", "note")
    if len(points[0]["arms"]) > 1 and result.at("subjects"):
        words = "Medians over the subjects. A difference is that of each subject, as given less without Mg"
        yield Text(f"{words}: median, and 5 to 95 % of the subjects in brackets.", "note")


def _table(points: Sequence[Mapping[str, Any]], label: str, heads: Mapping[str, str], subjects: bool) -> Table:
    """One number at each point: its spread, or both arms and how they differ."""
    arms = [*points[0]["arms"]]
    paired, given = len(arms) > 1, arms[0]
    rows = []
    for i, point in enumerate(points):
        place = [Cell(value_text(point["at"][name])) for name in heads]
        number = lambda *path, i=i: _cell(points, i, *path)
        if not paired:
            keys = ("n", "q05", "median", "q95") if subjects else ("median",)
            rows.append((*place, *(number("arms", given, label, key) for key in keys)))
            continue
        medians = [number("arms", arm, label, "median") for arm in arms]
        difference = number("differences", label, "median")
        if subjects:
            ends = [number("differences", label, key).text for key in ("q05", "q95")]
            mean = [number("differences", label, key).text for key in ("mean", "mean_low", "mean_high")]
            difference = difference._replace(text=f"{difference.text} ({ends[0]} to {ends[1]})")
            rows.append((*place, *medians, difference, Cell(f"{mean[0]} ({mean[1]} to {mean[2]})")))
        else:
            rows.append((*place, *medians, difference))
    if not paired:
        columns = ("n", "5 %", "50 %", "95 %") if subjects else ("value",)
    else:
        columns = (*arms, "difference", *((_MEAN,) if subjects else ()))
    spare = tuple({_MEAN, "n"} & {*columns})
    return Table((*heads.values(), *columns), "r" * (len(heads) + len(columns)), rows, spare=spare)


def _cell(points: Sequence[Mapping[str, Any]], i: int, *path: str) -> Cell:
    """A number of the i-th point, which says where in the summary it stands."""
    found: Any = points[i]
    for step in path:
        found = found[step]
    digits = 6 if path[-1] == "n" else _DIGITS_OF_DIFFERENCE if path[0] == "differences" else _DIGITS
    return number_cell(found, digits, "/".join(("points", str(i), *path)))


def _range_table(result: ResultReader, points: Sequence[Mapping[str, Any]]) -> Table:
    """The lowest and the highest of sampled points, of each hypothesis and arm, and of the differences."""
    found: dict[tuple[str, ...], list[float]] = {}
    for point in points:
        hypothesis = str(point["at"].get("hypothesis", ""))
        of = {**point["arms"], "difference": point.get("differences") or {}}
        for arm, numbers in of.items():
            for label, spread in numbers.items():
                if spread["median"] is not None:
                    found.setdefault((label, hypothesis, arm), []).append(spread["median"])
    rows = [
        (Cell(label), hypothesis, arm, str(result.at("sweep", label, "unit")), *map(number_cell, (min(v), max(v))))
        for (label, hypothesis, arm), v in sorted(found.items(), key=lambda item: item[0][:2])
    ]
    what = "medians over the subjects" if result.at("subjects") else "the typical subject"
    headers = ("", "hypothesis", "arm", "unit", "lowest", "highest")
    return Table(headers, "pllurr", rows, f"Over {len(points):,} sampled points, {what}")


def _heads(axes: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """A short header for each axis: the last words of its name that tell it from the others, and its unit."""
    heads = {}
    for name, axis in axes.items():
        words, count = name.split("."), 1
        while count < len(words) and sum(other.split(".")[-count:] == words[-count:] for other in axes) > 1:
            count += 1
        unit = unit_text(axis["unit"]).replace(MISSING, "")
        heads[name] = " ".join(filter(None, (".".join(words[-count:]), unit and f"[{unit}]")))
    return heads


def value_text(value: float | str) -> str:
    """The value of an axis: a number in four digits, or a name."""
    return value if isinstance(value, str) else format_number(float(value))

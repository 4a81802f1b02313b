"""Answer of a feasibility analysis: tiles, tables, drivers and comparable quantities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nanomg.formatting import format_number
from nanomg.page.blocks import Cell, Folded, Table, Tile, Tiles
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.ranks import _Pairs, _ranked
from nanomg.page.result import ResultReader

if TYPE_CHECKING:
    pass


def _feasibility(facts: ResultReader) -> Iterator[Any]:
    quantities = facts.at("feasibility", "quantities") or {}
    first = "total, day"
    if first in quantities:
        targets = quantities[first].get("targets", {})
        yield Tiles(
            [
                Tile(
                    "rise of tumour free Mg over its best 24 h",
                    _percentiles(facts, "feasibility", "quantities", first, "rise"),
                    quantities[first]["unit"],
                ),
                *(
                    Tile(f"of the draws reach +{label} mmol/L", Cell(_share(target["share"]), target["share"], ""))
                    for label, target in targets.items()
                ),
            ]
        )
    rises = [
        (
            Cell(q.get("text", name), note=name),
            *(facts.cell("feasibility", "quantities", name, "rise", p, digits=3) for p in _P),
        )
        for name, q in quantities.items()
    ]
    columns = ("", *(f"{p} %" for p in _P))
    yield Table(columns, "prrr", rises, "Rise of free Mg against the same treatment without Mg [mmol/L]")
    for label in facts.at("feasibility", "targets") or {}:
        rows = [
            (
                name,
                *(
                    facts.cell("feasibility", "quantities", name, "targets", label, "shortfall", p, digits=3)
                    for p in _P
                ),
                facts.cell("feasibility", "quantities", name, "targets", label, "share", digits=3),
            )
            for name in quantities
        ]
        table = Table((*columns, "share of draws that reach it"), "prrrr", rows)
        yield Folded(f"How many times each falls short of +{label} mmol/L", [table])


_P = ("5", "50", "95")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{format_number(100 * value, 3)} %"


def _percentiles(facts: ResultReader, *path: str) -> Cell:
    cell = facts.cell(*path, "50", digits=2)
    ends = (format_number(facts.at(*path, p), 2) for p in ("5", "95"))
    return Cell(cell.text, cell.value, cell.key, f"5–95 %: {' – '.join(ends)}")


def _of_feasibility(found: Mapping[str, Any]) -> Numbers:
    for name, entry in found["feasibility"]["quantities"].items():
        for quantile, value in entry["rise"].items():
            yield Quantity("rise", name, f"{quantile} %", entry["unit"]), value
        for label, target in entry["targets"].items():
            yield Quantity("share of draws", name, f"reaches +{label}", "1"), target["share"]


def _of_draws(facts: ResultReader) -> Iterator[Any]:
    data = facts.group("feasibility")
    if data is None or not {"value", "rise"} <= set(data) or "total, day" not in data.get("quantity", ()):
        return
    rise = data["rise"].sel(quantity="total, day").values
    values = {str(p): data["value"].values[:, i] for i, p in enumerate(data["parameter"].values)}
    pairs = {name: _Pairs(x, rise, "draws") for name, x in values.items()}
    yield from _ranked(facts, {"rise of tumour free Mg over its best 24 h": pairs})


def _of_targets(facts: ResultReader) -> Iterator[str]:
    for label, target in (facts.at("feasibility", "quantities", "total, day", "targets") or {}).items():
        typical, best = (target.get("shortfall", {}).get(q) for q in ("50", "5"))
        if typical and typical > 1:
            ends = f"; the best 5 % of the draws {format_number(best, 2)} times" if best and best > 1 else ""
            yield f"To hold +{label} mmol/L for 24 h, the typical draw needs {format_number(typical, 2)} times its rise{ends}."

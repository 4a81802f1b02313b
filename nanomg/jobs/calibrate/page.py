"""What a page and the screen show of a calibration: fitted values, errors, and every row of the data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from nanomg.formatting import capital, format_number, percent, span
from nanomg.page.blocks import LARGE, Block, Caution, Cell, Folded, Items, Table, Text, Tile, Tiles
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.result import ResultReader
from nanomg.units import unit_text

_PARTS = {"fit": "fitted", "judge": "held out"}
_POOR = 0.5  # coefficient of variation above which a fitted value is hardly known
_FURTHEST = 12  # rows of the data that are shown first


def sentence(result: ResultReader) -> str:
    """What was fitted, how the error changed, and what the data determine."""
    error = next((e for e in result.at("errors") or [] if e["part"] == "fit" and not e["series"]), None)
    pooled = result.at("pooled")
    fitted = f"{result.at('card')} fitted to {result.at('title')}"
    fitted += f" ({pooled['subjects']} subjects pooled)" if pooled else ""
    if error is None:
        return f"{fitted}."
    before, after = (format_number(error[key], 3) for key in ("gmfe_at_start", "gmfe"))
    return f"{fitted}: the mean fold error over {error['n']} rows went from {before} to {after}. {result.at('identifiability')}"


def blocks(result: ResultReader) -> Iterator[Block]:
    """The search, the fitted values, the errors, and the rows furthest from the data."""
    entries = result.at("parameters") or {}
    yield Tiles([_tile(result, name, p) for name, p in list(entries.items())[:LARGE]], on_screen=False)
    yield Text(_search(result), "note")
    if pooled := result.at("pooled"):
        yield Text(_pooled(pooled), "warning")
    yield Items(list(result.at("notes") or ()))
    rows = [
        (
            result.name(name),
            result.cell("parameters", name, "start"),
            result.cell("parameters", name, "estimate"),
            p["unit"] or "1",
            result.cell("parameters", name, "se", digits=2),
            Cell(percent(p["cv"]), p["cv"], f"parameters/{name}/cv"),
            span(p["low"], p["high"]),
            span(*p["bounds"]),
            _remark(p),
        )
        for name, p in entries.items()
    ]
    headers = ("", "start", "estimate", "unit", "SE", "CV", "5–95 %", "bounds", "")
    yield Table(headers, "prrurrllp", rows, "Fitted values", spare=("bounds", "start", "SE"))
    keys = ("gmfe_at_start", "gmfe", "rmse")
    errors = [
        (
            _PARTS.get(e["part"], e["part"]),
            e["series"] or "all",
            result.cell("errors", i, "n"),
            result.cell("errors", i, "failed") if e["failed"] else "",
            *(result.cell("errors", i, key, digits=3) for key in keys),
            e["unit"] or "",
        )
        for i, e in enumerate(result.at("errors") or [])
    ]
    columns = ("rows", "series", "n", "failed", "before", "GMFE", "RMSE", "unit")
    yield Table(columns, "lprrrrru", errors, "Errors: geometric mean fold error (GMFE), and the same before the fit")
    yield _rows(result)


def _tile(result: ResultReader, name: str, p: Mapping[str, Any]) -> Tile:
    ends = f"{span(p['low'], p['high'])}, 5–95 %"
    cell = result.cell("parameters", name, "estimate", digits=3)._replace(note=ends)
    return Tile(result.glossary.get(name, name), cell, p["unit"])


def _search(result: ResultReader) -> str:
    starts, spread = result.at("starts") or {}, result.at("residual_sd")
    size = f"residuals are {format_number(spread, 3)} times the assumed error, " if spread is not None else ""
    count = f"{starts.get('n')} start{'' if starts.get('n') == 1 else 's'}"
    ended = f"{starts.get('converged')} converged, {starts.get('same_optimum')} ended at the best optimum"
    return (
        f"{count}, {ended}; {starts.get('failed_evaluations', 0)} evaluations failed; {size}"
        f"{format_number(result.at('degrees_of_freedom'), 3)} degrees of freedom"
    )


def _pooled(pooled: Mapping[str, Any]) -> str:
    """That subjects are pooled, and what the errors allow for."""
    errors = (
        "Standard errors are clustered by subject, and ranges follow Student's distribution."
        if pooled["clustered"]
        else "Standard errors assume that all values are independent."
    )
    return (
        f"The data of {pooled['subjects']} subjects are pooled: one value of each parameter is fitted to all of them, and "
        f"differences between subjects count as residual error. {errors}"
    )


def _remark(p: Mapping[str, Any]) -> str:
    remarks = [f"at its {p['bound']} bound"] if p["bound"] else ["with a prior"] if p["prior"] else []
    return ", ".join(remarks + ["started from its nearest bound"] * bool(p.get("start_outside")))


def _rows(result: ResultReader) -> Folded:
    """Rows of the data, those without a prediction first, then those furthest from it."""
    data = list(enumerate(result.at("rows") or []))
    data.sort(key=lambda item: -math.inf if item[1].get("failed") else -abs(item[1].get("residual") or 0.0))
    rows = [
        (
            r["quantity"]
            + (f", subject {r['subject']}" if r.get("subject") else "")
            + (" (BLQ)" if r.get("below") else ""),
            _PARTS.get(r["part"], r["part"]),
            result.cell("rows", i, "observed"),
            result.cell("rows", i, "predicted"),
            r["unit"],
            *(result.cell("rows", i, key, digits=3) for key in ("fold", "residual")),
            r.get("failed") or "",
        )
        for i, r in data
    ]
    headers = ("", "use", "observed", "predicted", "unit", "fold", "in SD", "")
    title = f"Rows of the data, furthest from the model first: {len(data)}"
    return Folded(title, [Table(headers, "plrrurrp", rows, most=_FURTHEST)], on_screen=True)


def changes(result: ResultReader) -> Iterator[str]:
    """Bounds, data and priors that would change the fit."""
    for name, p in (result.at("parameters") or {}).items():
        if p.get("bound"):
            yield f"A wider {p['bound']} bound of {name}."
        elif (p.get("cv") or 0.0) > _POOR:
            yield f"Further data that determine {name}: its coefficient of variation is {100 * p['cv']:.0f} %."
        if p.get("prior"):
            near = f"{format_number(p['prior']['value'])} {unit_text(p['unit'])}"
            yield f"Another prior of {name}, which is assumed to be near {near}."
    if not any(e["part"] == "judge" for e in result.at("errors") or ()):
        yield "Held-out data: no row tests this fit, so its error says how close it is, not how well it predicts."


def warnings(result: ResultReader) -> Iterator[Caution]:
    """Values at their bounds and rows without a prediction."""
    for name, p in (result.at("parameters") or {}).items():
        if p.get("bound"):
            text = result.glossary.get(name)
            called = f"{capital(text)} ({name})" if text else name
            yield Caution(f"{called} ended at its {p['bound']} bound: the data ask for a value beyond it.")
    failed = [row for row in result.at("rows") or () if row.get("failed")]
    if failed:
        yield Caution(f"{len(failed)} rows of the data could not be predicted ({failed[0]['failed']}).")


def quantities(result: ResultReader) -> Numbers:
    """The numbers by which two runs are compared."""
    for name, entry in result.summary["parameters"].items():
        yield Quantity("parameters", name, "estimate", entry["unit"]), entry["estimate"]
        yield Quantity("parameters", name, "CV", "1"), entry["cv"]
    for entry in result.summary["errors"]:
        name = f"{entry['part']}, {entry['series'] or 'all'}"
        yield Quantity("errors", name, "GMFE", "1"), entry["gmfe"]

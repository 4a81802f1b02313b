"""Answer of a calibration: fitted values, identifiability, and comparable quantities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nanomg.formatting import format_number, percent, span
from nanomg.page.blocks import _LARGE, Cell, Folded, Table, Text, Tile, Tiles
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.result import ResultReader
from nanomg.units import unit_text

if TYPE_CHECKING:
    pass


def _calibration_sentence(facts: ResultReader) -> str:
    error = next((e for e in facts.at("errors") or [] if e["part"] == "fit" and not e["series"]), None)
    fitted = f"{facts.at('card')} fitted to {facts.at('title')}"
    if error is None:
        return f"{fitted}."
    before, after = (format_number(error[key], 3) for key in ("gmfe_at_start", "gmfe"))
    return f"{fitted}: the mean fold error over {error['n']} rows went from {before} to {after}. {facts.at('identifiability')}"


def _calibration(facts: ResultReader) -> Iterator[Any]:
    starts = facts.at("starts") or {}
    yield Tiles(
        [
            Tile(
                facts.glossary.get(name, name),
                Cell(
                    format_number(p["estimate"], 3),
                    p["estimate"],
                    f"parameters/{name}/estimate",
                    f"{span(p['low'], p['high'])}, 5–95 %",
                ),
                p["unit"],
            )
            for name, p in list((facts.at("parameters") or {}).items())[:_LARGE]
        ]
    )
    rows = [
        (
            facts.name(name),
            p["unit"],
            *(facts.cell("parameters", name, key) for key in ("start", "estimate")),
            facts.cell("parameters", name, "se", digits=2),
            Cell(percent(p["cv"]), p["cv"], f"parameters/{name}/cv"),
            span(p["low"], p["high"]),
            span(*p["bounds"]),
            f"at its {p['bound']} bound" if p["bound"] else "with a prior" if p["prior"] else "",
        )
        for name, p in (facts.at("parameters") or {}).items()
    ]
    yield Table(
        ("parameter", "unit", "before", "fitted", "standard error", "CV", "5–95 %", "bounds", ""),
        "purrrrlll",
        rows,
        "The fitted values",
    )
    errors = [
        (
            {"fit": "fitted", "judge": "kept aside"}.get(e["part"], e["part"]),
            e["series"] or "all",
            facts.cell("errors", i, "n"),
            facts.cell("errors", i, "failed"),
            *(facts.cell("errors", i, key, digits=3) for key in ("gmfe_at_start", "gmfe", "rmse")),
            e["unit"] or "",
        )
        for i, e in enumerate(facts.at("errors") or [])
    ]
    yield Table(
        ("rows", "series", "number", "failed", "fold error before", "fold error after", "rms error", "unit"),
        "lprrrrru",
        errors,
        "How far predictions lie from the data",
    )
    data = [
        (
            r["quantity"],
            {"fit": "fitted", "judge": "kept aside"}.get(r["part"], r["part"]),
            *(facts.cell("rows", i, key) for key in ("observed", "predicted")),
            r["unit"],
            facts.cell("rows", i, "fold", digits=3),
            r.get("failed") or "",
        )
        for i, r in enumerate(facts.at("rows") or [])
    ]
    table = Table(("quantity", "use", "observed", "predicted", "unit", "fold error", ""), "plrrurp", data)
    yield Folded(f"Every row of the data: {len(data)}", [table])
    yield Text(
        f"{starts.get('n')} starts, {starts.get('converged')} converged, {starts.get('same_optimum')} ended at the best optimum.",
        "note",
    )


def _of_calibration(found: Mapping[str, Any]) -> Numbers:
    for name, entry in found["parameters"].items():
        yield Quantity("parameters", name, "estimate", entry["unit"]), entry["estimate"]
        yield Quantity("parameters", name, "CV", "1"), entry["cv"]
    for entry in found["errors"]:
        name = f"{entry['part']}, {entry['series'] or 'all'}"
        yield Quantity("errors", name, "GMFE", "1"), entry["gmfe"]


_POOR = 0.5  # coefficient of variation above which a fitted value is hardly known


def _of_fit(facts: ResultReader) -> Iterator[str]:
    for name, p in (facts.at("parameters") or {}).items():
        if p.get("bound"):
            yield f"A wider {p['bound']} bound of {name}."
        elif (p.get("cv") or 0.0) > _POOR:
            yield f"Further data that tell {name}: its coefficient of variation is {100 * p['cv']:.0f} %."
        if p.get("prior"):
            yield f"Another prior of {name}, which is taken to be near {format_number(p['prior']['value'])} {unit_text(p['unit'])}."
    if not any(e["part"] == "judge" for e in facts.at("errors") or ()):
        yield "Data kept aside: no row judges this fit, so its error says how close it comes, not how well it predicts."

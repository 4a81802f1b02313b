"""Answer of a simulation: sentence, tiles, tables, drivers and comparable quantities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nanomg.formatting import format_number, percent, span
from nanomg.jobs.simulate.verdict import local_share
from nanomg.page.blocks import _LARGE, Cell, Table, Text, Tile, Tiles
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.result import ResultReader
from nanomg.results.kinds import OPTIMUM
from nanomg.simulation.roles import HOURS, RELEVANT

if TYPE_CHECKING:
    pass


def _simulation(facts: ResultReader) -> Iterator[Any]:
    yield Tiles(_mg_tiles(facts) if facts.at("mg") else _output_tiles(facts))
    yield _signals(facts)
    if facts.at("mg"):
        yield _mg_table(facts)


def _output_tiles(facts: ResultReader) -> list[Tile]:
    """How high the first outputs rise, where there is no effect of Mg to show."""
    return [
        Tile(
            f"{facts.glossary.get(name, name)}, highest",
            facts.cell("signals", name, "max")._replace(note=f"at the end: {format_number(signal['final'])}"),
            signal["unit"],
        )
        for name, signal in list((facts.at("signals") or {}).items())[:_LARGE]
    ]


def _mg_tiles(facts: ResultReader) -> list[Tile]:
    hours = [
        Tile(f"tumour free Mg above +{label} mmol/L", _ends(facts, "mg", key), "h/day") for key, label in HOURS.items()
    ]
    gain = _ends(facts, "mg", "mean_competence_gain", scale=100.0, sign="+")
    peak = facts.cell("mg", "peak_rise", "value", digits=2)
    local = facts.cell("mg", "share_local")._replace(text=percent(local_share(facts.at("mg"))))
    return [
        *hours,
        Tile("highest rise of tumour free Mg", peak, str(facts.at("mg", "peak_rise", "unit") or "")),
        Tile("mean T-cell competence", gain, "%"),
        Tile("of the mean rise is local", local),
    ]


def _ends(facts: ResultReader, *path: str, scale: float = 1.0, sign: str = "") -> Cell:
    """The span over hypotheses of a number of the summary."""
    values = [v * scale for v in (facts.at(*path) or {}).values() if v is not None]
    if not values:
        return Cell("–")
    low, high = (f"{v:{sign}.1f}" for v in (min(values), max(values)))
    return Cell(low if low == high else f"{low} to {high}", note=f"across {', '.join(sorted(facts.at(*path)))}")


def _mg_table(facts: ResultReader) -> Table:
    hypotheses = sorted(facts.summary["mg"]["mean_competence_gain"])
    arms = {"as dosed": ("mg",)} | ({"given free": ("mg", "free")} if facts.at("mg", "free") else {})
    lines = {key: f"hours per day above +{label} mmol/L" for key, label in HOURS.items()}
    rows: list[Sequence[Any]] = [
        [text, *(facts.cell(*path, key, h, digits=3) for path in arms.values() for h in hypotheses)]
        for key, text in lines.items()
    ]
    gains = [_percent_of(facts, *path, "mean_competence_gain", h) for path in arms.values() for h in hypotheses]
    rows.append(["mean gain of T-cell competence [%]", *gains])
    for key, text in {"mean_rise": "mean rise [mmol/L]", "peak_rise": "highest rise [mmol/L]"}.items():
        blank = [""] * (len(hypotheses) - 1)
        rows.append([text, *(c for path in arms.values() for c in (facts.cell(*path, key, "value", digits=3), *blank))])
    headers = ["", *(f"{arm}, {h}" for arm in arms for h in hypotheses)]
    return Table(
        headers,
        "p" + "r" * (len(headers) - 1),
        rows,
        "Magnesium in the tumour against the same treatment without it, under each hypothesis of what Mg does to LFA-1",
    )


def _percent_of(facts: ResultReader, *path: str) -> Cell:
    """A share of the summary in per cent."""
    cell = facts.cell(*path)
    return cell._replace(text=format_number(None if cell.value is None else 100 * cell.value, 2))


_MEASURES = {"initial": "at the start", "final": "at the end", "min": "lowest", "max": "highest", "auc": "area (× h)"}


def _signals(facts: ResultReader) -> Any:
    rows = []
    signals = facts.at("signals") or {}
    for name, signal in signals.items():
        cells = []
        for key in _MEASURES:
            cell = facts.cell("signals", name, key)
            ends = signal.get("range", {}).get(key)
            cells.append(Cell(cell.text, cell.value, cell.key, span(*ends) if ends else ""))
        rows.append((facts.name(name), signal.get("unit", ""), *cells))
    if not rows:
        return Text("The summary lists no outputs.", "note")
    many = any("range" in signal for signal in signals.values())
    caption = "The outputs: median of the subjects, with the lowest and highest of them" if many else "The outputs"
    return Table(("", "unit", *_MEASURES.values()), "purrrrr", rows, caption)


def _of_run(found: Mapping[str, Any]) -> Numbers:
    for name, signal in found["signals"].items():
        for measure in ("final", "max"):
            yield Quantity("signals", name, measure, signal["unit"]), signal[measure]
        yield Quantity("signals", name, "AUC", signal["auc_unit"]), signal["auc"]
    if mg := found.get("mg"):
        for arm, effect in {"": mg, "free ": mg.get("free")}.items():
            if effect:
                yield from _of_magnesium(arm, effect)
    if "objective" in found:
        yield Quantity("objective", "total", "baseline", "1"), found["baseline_objective"]
        yield Quantity("objective", "total", "optimum", "1"), found["objective"]
        for name, term in found["terms"].items():
            yield Quantity("objective", name, "optimum", "1"), term[OPTIMUM]
        for limit in found["constraints"]:
            yield Quantity("limits", limit["name"], "reached", limit["unit"]), limit["value"]


def _of_magnesium(arm: str, effect: Mapping[str, Any]) -> Numbers:
    """What one arm does against the arm without Mg."""
    tables = {f"hours_per_day_above_{label}": (f"time above +{label} mmol/L", "h/d") for label in RELEVANT}
    tables["mean_competence_gain"] = "mean gain of competence", "1"
    for key, (text, unit) in tables.items():
        for hypothesis, value in effect[key].items():
            yield Quantity("magnesium", text, f"{arm}{hypothesis}", unit), value
    for key, text in {"mean_rise": "mean rise", "peak_rise": "peak rise"}.items():
        yield Quantity("magnesium", text, arm.strip() or "as dosed", effect[key]["unit"]), effect[key]["value"]
    yield Quantity("magnesium", "local share of the rise", arm.strip() or "as dosed", "1"), effect["share_local"]


def _of_effect(facts: ResultReader) -> Iterator[str]:
    gains = facts.at("mg", "mean_competence_gain") or {}
    if len(gains) > 1:
        each = ", ".join(f"{_signed(100 * gain)} % under {h}" for h, gain in sorted(gains.items()) if gain is not None)
        yield f"Which hypothesis of what Mg does to LFA-1 holds: mean T-cell competence changes by {each}."
    peak = facts.at("mg", "peak_rise", "value")
    short = [level for level in RELEVANT.values() if peak and 0 < peak < level]
    if short:
        more = f"{format_number(short[0] / peak, 2)} times as much as now, its highest rise would reach +{short[0]:g} mmol/L"
        yield f"A carrier or dose that raises tumour free Mg further: at {more}."
    if (local := local_share(facts.at("mg") or {})) is not None:
        yield f"Where the carrier frees its Mg: {100 * local:.0f} % of the mean rise is local, the rest comes through serum."


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{format_number(value, 2)}"

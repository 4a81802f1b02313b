"""What a page and the screen show of a simulation: its answer, outputs, effect of Mg, and what would change it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from nanomg.analysis.readouts import READ_OUTS, SUMMARISED
from nanomg.formatting import MISSING, bounded, format_number, percent, resolved
from nanomg.jobs.simulate import outcome_page
from nanomg.jobs.simulate.effect_text import LEAST_RISE, gain_text, hours_text
from nanomg.jobs.simulate.outcome_page import GIVEN_FREE
from nanomg.page.blocks import LARGE, Block, Cell, Items, Table, Text, Tile, Tiles
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.result import ResultReader
from nanomg.simulation.roles import AS_GIVEN, HOURS, RELEVANT

_SUBJECTS = 20  # that failed, listed by name
_MEASURES = {name: READ_OUTS[name].short for name in SUMMARISED}


def sentence(result: ResultReader) -> str:
    """The conclusion of the run."""
    return str(result.at("verdict") or "")


def blocks(result: ResultReader) -> Iterator[Block]:
    """How the trajectories ended, the outcome of all arms, the outputs, and the effect of Mg."""
    tiles = [*outcome_page.effect_tile(result), *(mg_tiles(result) if result.at("mg") else ())]
    yield Tiles(tiles or [*outcome_page.tiles(result)] or _output_tiles(result), on_screen=False)
    yield ended(result)
    yield from _failed_subjects(result)
    yield from outcome_page.tables(result)
    yield signals(result)
    yield from mg_tables(result)
    yield from outcome_page.words(result)


def ended(result: ResultReader) -> Text:
    """How many trajectories there were, and why some of them failed."""
    status = result.at("status") or {}
    count, failed, who = status.get("trajectories"), status.get("failed"), status.get("subjects", 1)
    subjects = f"{who} subjects, " if who > 1 else ""
    if failed:
        return Text(
            f"{result.at('scenario')}: {subjects}{failed} of {count} trajectories failed: {status.get('reason')}"
        )
    solved = "1 trajectory, solved" if count == 1 else f"{count} trajectories, all solved"
    return Text(f"{result.at('scenario')}: {subjects}{solved}", "note")


def _failed_subjects(result: ResultReader) -> Iterator[Items]:
    """Which subjects have a trajectory that failed, and why."""
    failed = list((result.at("status", "failed_subjects") or {}).items())
    if failed:
        lines = [f"subject {name}: {entry['failed']} failed: {entry['reason']}" for name, entry in failed[:_SUBJECTS]]
        more = len(failed) - len(lines)
        yield Items((*lines, f"{more} more subjects" if more else ""))


def _output_tiles(result: ResultReader) -> list[Tile]:
    """How high the first outputs rise, where there is no effect of Mg to show."""
    return [
        Tile(
            f"{result.glossary.get(name, name)}, highest",
            result.cell("signals", name, "max")._replace(note=f"at the end: {format_number(signal['final'])}"),
            signal["unit"],
        )
        for name, signal in list((result.at("signals") or {}).items())[:LARGE]
    ]


def signals(result: ResultReader) -> Table | Text:
    """Each output in numbers; of several subjects the median, with the lowest and highest of them."""
    rows: list[Sequence[Any]] = []
    entries = result.at("signals") or {}
    for name, signal in entries.items():
        cells = (_resolved(result.cell("signals", name, key), signal) for key in _MEASURES)
        rows.append((result.name(name), signal["unit"], *cells))
        for i, end in enumerate(("lowest", "highest") if "range" in signal else ()):
            ends = [_resolved(result.cell("signals", name, "range", key, i), signal) for key in _MEASURES]
            rows.append((f"  {end}", "", *ends))
    if not rows:
        return Text("The summary lists no outputs.", "note")
    many = any("range" in signal for signal in entries.values())
    title = f"Outputs{_of_regimen(result)}" + (": median of the subjects, lowest and highest" if many else "")
    return Table(("", "unit", *_MEASURES.values()), "purrrrr", rows, title)


def _of_regimen(result: ResultReader) -> str:
    """Of which regimen and under which hypothesis the outputs are, where there are several."""
    hypotheses = list(result.at("outcome", "hypotheses") or ())
    under = f", under {hypotheses[0]}" if len(hypotheses) > 1 else ""
    several = len(result.at("outcome", "regimens") or ()) > 1
    regimen = str(result.at("outcome", "regimen"))
    named = regimen if regimen == AS_GIVEN else f"of the {regimen}"
    return f" {named}{under}" if several else under


def _resolved(cell: Cell, signal: Mapping[str, Any]) -> Cell:
    """A number of an output; 0 where it is a rest of rounding."""
    return cell if resolved(cell.value, _size(signal)) == cell.value else cell._replace(text="0")


def _size(signal: Mapping[str, Any]) -> float:
    """How large an output is; a share or count is known to an absolute resolution."""
    ends = [abs(signal[key] or 0.0) for key in ("min", "max")]
    return max(*ends, 1.0 if signal["unit"] == "1" else 0.0)


# ---------------------------------------------------------------- the effect of Mg
def mg_tiles(result: ResultReader) -> list[Tile]:
    """The effect of Mg in large numbers."""
    tissue = tissue_of_effect(result)
    hours = [
        Tile(f"{tissue} free Mg above +{label} mmol/L", _over(result, hours_text, "mg", key), "h/day")
        for key, label in HOURS.items()
    ]
    gain = _over(result, gain_text, "mg", "mean_competence_gain")
    return [
        *hours,
        Tile(
            f"highest rise of {tissue} free Mg",
            _rise(result, "mg", "peak_rise"),
            str(result.at("mg", "peak_rise", "unit") or ""),
        ),
        *([Tile("change of mean T-cell competence", gain, "%")] if gain.text != MISSING else []),
        Tile("of the mean rise is local", _share(result, "mg", "share_local")),
    ]


def tissue_of_effect(result: ResultReader) -> str:
    """The tissue whose free Mg the effect is about."""
    return str(result.at("mg", "tissue") or "tumour")


def _over(result: ResultReader, text: Callable[[Mapping[str, float]], str], *path: str) -> Cell:
    """The span over hypotheses of a number of the summary, in the words of the conclusion."""
    values = {h: v for h, v in (result.at(*path) or {}).items() if v is not None}
    return Cell(text(values), note=f"across {', '.join(sorted(values))}") if values else Cell(MISSING)


def _rise(result: ResultReader, *path: str) -> Cell:
    """A rise of the summary; 0 below the error of the solver."""
    cell = result.cell(*path, "value", digits=3)
    return cell._replace(text="0") if cell.value is not None and abs(cell.value) < LEAST_RISE else cell


def _share(result: ResultReader, *path: str) -> Cell:
    """A share between 0 and 1 in per cent: where serum explains more than all of a rise, or falls, that is all or nothing."""
    cell = result.cell(*path)
    return cell._replace(text=percent(bounded(cell.value)))


def mg_tables(result: ResultReader) -> Iterator[Table]:
    """The effect of Mg under each hypothesis, and the rise with where it comes from; nothing where there is none."""
    if not result.at("mg"):
        return
    regimen = str(result.at("outcome", "regimen") or AS_GIVEN)
    arms = {regimen: ("mg",)} | ({GIVEN_FREE: ("mg", "free")} if result.at("mg", "free") else {})
    tissue, hypotheses = tissue_of_effect(result), sorted(result.at("mg", next(iter(HOURS))) or ())
    rows: list[Sequence[Any]] = []
    for arm, path in arms.items():
        prefix = f"{arm}: " if len(arms) > 1 else ""
        for key, label in HOURS.items():
            cells = (result.cell(*path, key, h, digits=3) for h in hypotheses)
            rows.append((f"{prefix}h/day above +{label} mmol/L", *cells))
        if result.at(*path, "mean_competence_gain"):
            gains = (_percent(result, *path, "mean_competence_gain", h) for h in hypotheses)
            rows.append((f"{prefix}gain of competence [%]", *gains))
    yield Table(
        ("", *hypotheses),
        "p" + "r" * len(hypotheses),
        rows,
        f"Free Mg in the {tissue} and T cells under each hypothesis, compared with no Mg"
        if len(hypotheses) > 1
        else f"Free Mg in the {tissue}, compared with no Mg",
    )
    rises = [
        (
            arm,
            *(_rise(result, *path, rise) for rise in ("mean_rise", "peak_rise")),
            str(result.at(*path, "mean_rise", "unit") or ""),
            *(_share(result, *path, share) for share in ("share_local", "share_serum")),
        )
        for arm, path in arms.items()
    ]
    title = f"Rise of {tissue} free Mg{_under(result).replace(', ', ', under ')}"
    yield Table(("", "mean", "peak", "unit", "local", "from serum"), "lrrurr", rises, title)


def _percent(result: ResultReader, *path: str) -> Cell:
    """A relative change of the summary in per cent."""
    cell = result.cell(*path)
    return cell._replace(text=format_number(None if cell.value is None else 100 * cell.value, 3))


# ---------------------------------------------------------------- what it depends on
def drivers(result: ResultReader) -> Iterator[Block]:
    """Where to ask what the answer depends on: a run with one value each does not tell."""
    command = f"nanomg sensitivity {shlex.quote(str(result.at('scenario')))}"
    yield Text(f"This run varied no parameter, so it shows no key drivers. To find them, run: {command}", "note")


def changes(result: ResultReader) -> Iterator[str]:
    """What would change the effect of Mg."""
    gains = result.at("mg", "mean_competence_gain") or {}
    if len(gains) > 1:
        by_hypothesis = ", ".join(
            f"{_signed(100 * gain)} % under {h}" for h, gain in sorted(gains.items()) if gain is not None
        )
        yield f"Which LFA-1 hypothesis holds: mean T-cell competence changes by {by_hypothesis}."
    peak = result.at("mg", "peak_rise", "value")
    short = [level for level in RELEVANT.values() if peak and LEAST_RISE <= peak < level]
    if short:
        more = f"{format_number(short[0] / peak, 3)}-fold, its highest rise would reach +{short[0]:g} mmol/L"
        yield f"A carrier or dose that raises {tissue_of_effect(result)} free Mg further: at {more}."
    local = bounded(result.at("mg", "share_local"))
    if local is not None and result.at("mg", "free"):
        yield f"Where the carrier releases its Mg: {percent(local)} of the mean rise is local, the rest comes from serum."


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{format_number(value, 2)}"


def asked(result: ResultReader) -> Iterator[Block]:
    """The limits that were to be kept."""
    limits = result.file.get("limit", ())
    rows = []
    for x in limits:
        level = f" {x['level']}" if "level" in x else ""
        statistic = f", {x['statistic']}{level}" if "statistic" in x else ""
        on = f"{result.name(str(x.get('signal')))}{statistic}"
        rows.append((str(x.get("name", "")), on, *(str(x.get(side, "")) for side in ("min", "max"))))
    if rows:
        yield Table(("limit", "on", "at least", "at most"), "pprr", rows, "Limits")


def quantities(result: ResultReader) -> Numbers:
    """The numbers by which two runs are compared: the outcome under each hypothesis first."""
    yield from outcome_page.quantities(result)
    under = _under(result)
    for name, signal in result.summary["signals"].items():
        size = _size(signal)
        for measure in ("final", "max"):
            yield Quantity("signals", name, f"{measure}{under}", signal["unit"]), resolved(signal[measure], size)
        yield Quantity("signals", name, f"AUC{under}", signal["auc_unit"]), resolved(signal["auc"], size)
    if mg := result.summary.get("mg"):
        for arm, effect in {"": mg, f"{GIVEN_FREE} ": mg.get("free")}.items():
            if effect:
                yield from _of_magnesium(arm, effect)


def _under(result: ResultReader) -> str:
    """Under which of several hypotheses the outputs are: of the summary, or of an older file's courses."""
    hypotheses = result.at("outcome", "hypotheses")
    if hypotheses is None and (courses := result.group("simulation")) is not None:
        hypotheses = [str(name) for name in courses.get("hypothesis", ())]
    return f", {hypotheses[0]}" if hypotheses and len(hypotheses) > 1 else ""


def _of_magnesium(arm: str, effect: Mapping[str, Any]) -> Numbers:
    """What one arm does, compared with the arm without Mg."""
    tables = {f"hours_per_day_above_{label}": (f"time above +{label} mmol/L", "h/d") for label in RELEVANT}
    tables["mean_competence_gain"] = "mean gain of competence", "1"
    for key, (text, unit) in tables.items():
        for hypothesis, value in effect[key].items():
            yield Quantity("magnesium", text, f"{arm}{hypothesis}", unit), resolved(value, 1.0)
    for key, text in {"mean_rise": "mean rise", "peak_rise": "peak rise"}.items():
        amount = Quantity("magnesium", text, arm.strip() or "as given", effect[key]["unit"])
        yield amount, resolved(effect[key]["value"], 1.0, LEAST_RISE)
    share = bounded(effect["share_local"]) if (effect["peak_rise"]["value"] or 0.0) >= LEAST_RISE else None
    yield Quantity("magnesium", "local share of the rise", arm.strip() or "as given", "1"), share

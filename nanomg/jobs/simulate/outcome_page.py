"""The outcome table on screen and page: each output in every arm under every hypothesis, with what is due to the Mg."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from nanomg.analysis.readouts import READ_OUTS
from nanomg.formatting import capital, resolved
from nanomg.jobs.simulate.effect_text import (
    LEAST_SHARE,
    difference_text,
    over_text,
    signed_number,
    span_text,
    unit_after,
)
from nanomg.page.blocks import LARGE, Block, Cell, Folded, Items, Table, Text, Tile
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.result import ResultReader
from nanomg.results.kinds import BASELINE, CHANGE, FREE_EFFECT, MG_EFFECT, REST
from nanomg.simulation.roles import AS_SET, FREE, HYPOTHESIS_TEXTS, RELEVANT, WITHOUT

_HEADERS = {FREE: "given free", MG_EFFECT: "Mg effect", FREE_EFFECT: "if free", REST: "rest", CHANGE: "change"}

_HYPOTHESES = (
    "H1 to H3: three hypotheses on how the function of LFA-1, by which T cells hold on to a target, follows free Mg."
)
_GIVEN_FREE = "the same amounts of Mg at the same times by the same route, without a carrier."
_LOCAL = (
    "serum does not explain, such as Mg that a carrier releases there or that killed cells give back. "
    "From serum: the rise of ionised Mg in serum, times the Donnan ratio."
)
_LEVELS = "about what repletion by mouth brings", "the order of magnitude to which cells respond"


def is_shown(result: ResultReader) -> bool:
    """Whether there is more to show than one regimen under one hypothesis."""
    return len(result.at("outcome", "regimens") or ()) > 1 or len(result.at("outcome", "hypotheses") or ()) > 1


def tables(result: ResultReader) -> Iterator[Block]:
    """The outcome of the signals that are shown first, and on a page that of all others; nothing where there is one course."""
    if not is_shown(result):
        return
    main = list(result.at("outcome", "main") or ())
    others = [name for name in result.at("outcome", "signals") if name not in main]
    if len(result.at("outcome", "regimens")) == 1:
        yield dataclasses.replace(_by_hypothesis(result, main), leads=True)
        folded = [_by_hypothesis(result, others)]
    else:
        yield from (dataclasses.replace(_table(result, name), leads=name == main[0]) for name in main)
        yield Text(_meaning(result), "note", leads=True)
        folded = [_table(result, name) for name in others]
    if others:
        yield Folded("Outcome of the other outputs", folded)


def _by_hypothesis(result: ResultReader, names: Sequence[str]) -> Table:
    """One regimen: a row for each read-out, a column for each hypothesis."""
    regimen, hypotheses = result.at("outcome", "regimen"), result.at("outcome", "hypotheses")
    rows = []
    for name in names:
        for read_out in result.at("outcome", "signals", name, "by_regimen"):
            place = ("outcome", "signals", name, "by_regimen", read_out, regimen)
            cells = (result.cell(*place, h) for h in hypotheses)
            unit = result.at("outcome", "signals", name, "unit")
            rows.append((result.name(name), READ_OUTS[read_out].short, unit, *cells))
    headers = ("", "", "unit", *hypotheses)
    return Table(headers, "plu" + "r" * len(hypotheses), rows, "Outcome under each LFA-1 hypothesis")


def _comparisons(result: ResultReader) -> list[str]:
    """The differences that are columns: the whole change where there is no effect of Mg to take from it."""
    compared = list(result.at("outcome", "compared") or ())
    return [name for name in compared if name != CHANGE or REST not in compared]


def _table(result: ResultReader, name: str) -> Table:
    regimens, hypotheses = result.at("outcome", "regimens"), result.at("outcome", "hypotheses")
    compared = _comparisons(result)
    rows = []
    for read_out in result.at("outcome", "signals", name, "by_regimen"):
        for h in hypotheses:
            values = [result.cell("outcome", "signals", name, "by_regimen", read_out, r, h) for r in regimens]
            size = max((abs(cell.value) for cell in values if cell.value is not None), default=0.0)
            differences = (_difference(result, name, read_out, c, h, size) for c in compared)
            label = READ_OUTS[read_out].short
            rows.append((label if len(hypotheses) == 1 else f"{label}, {h}", *values, *differences))
    headers = ("", *(_HEADERS.get(column, column) for column in (*regimens, *compared)))
    spare = [_HEADERS[column] for column in (REST, FREE_EFFECT) if column in compared]
    return Table(headers, "l" + "r" * (len(headers) - 1), rows, _caption(result, name), spare=spare)


def _caption(result: ResultReader, name: str) -> str:
    called = f"{capital(result.glossary[name])} ({name})" if name in result.glossary else name
    subjects = result.at("outcome", "subjects")
    of = f", median of {subjects} subjects" if subjects else ""
    return f"Outcome: {called}{unit_after(result.at('outcome', 'signals', name, 'unit')).replace(' ', ' in ', 1)}{of}"


def _difference(result: ResultReader, name: str, read_out: str, compared: str, hypothesis: str, size: float) -> Cell:
    cell = result.cell("outcome", "signals", name, "differences", read_out, compared, hypothesis)
    ends = result.at("outcome", "signals", name, "ranges", read_out, compared, hypothesis)
    note = f"{' to '.join(signed_number(end, size) for end in ends)}" if ends else ""
    return cell._replace(text=signed_number(cell.value, size), note=note)


def _meaning(result: ResultReader) -> str:
    """What the columns of differences are."""
    regimen = result.at("outcome", "regimen")
    texts = {
        MG_EFFECT: f"Mg effect: {regimen} minus without Mg, all other doses being the same.",
        FREE_EFFECT: "If free: the same Mg given free, without its carrier, minus without Mg.",
        REST: f"Rest: without Mg minus {BASELINE}.",
        CHANGE: f"Change: {regimen} minus {BASELINE}.",
    }
    return " ".join(texts[name] for name in _comparisons(result))


def effect_tile(result: ResultReader) -> Iterator[Tile]:
    """What the Mg does to the first outcome, in large numbers."""
    name = next(iter(result.at("outcome", "main") or ()), None)
    if name is None or MG_EFFECT not in (result.at("outcome", "compared") or ()):
        return
    signal = result.at("outcome", "signals", name)
    read_out = next(iter(signal["by_regimen"]))
    effect, regimens = signal["differences"][read_out][MG_EFFECT], signal["by_regimen"][read_out]
    regimen = result.at("outcome", "regimen")
    size = max((abs(v) for r in (regimen, WITHOUT) for v in _known(regimens[r])), default=0.0)
    with_it, without = (span_text(_known(regimens[r]), 3) for r in (regimen, WITHOUT))
    label = f"effect of Mg on {result.glossary.get(name, name)}, {READ_OUTS[read_out].short}"
    note = f"{over_text(effect).strip()}: {with_it} with it, {without} without".removeprefix(": ")
    yield Tile(label, Cell(difference_text(_known(effect), size), note=note), signal["unit"])


def tiles(result: ResultReader) -> Iterator[Tile]:
    """The first outputs in large numbers, with their range over the hypotheses."""
    signals, regimen = result.at("outcome", "signals") or {}, result.at("outcome", "regimen")
    for name, signal in itertools.islice(signals.items(), LARGE):
        (first, values), (second, others) = ((key, rows[regimen]) for key, rows in signal["by_regimen"].items())
        note = f"{READ_OUTS[second].short}: {span_text(_known(others))}{over_text(values).replace(' ', ', ', 1)}"
        label = f"{result.glossary.get(name, name)}, {READ_OUTS[first].short}"
        yield Tile(label, Cell(span_text(_known(values)), note=note), signal["unit"])


def changed_tile(result: ResultReader) -> Tile:
    """What a changed regimen comes to, with what it comes to without its Mg and under the baseline regimen in small print."""
    name, regimen = result.at("outcome", "main", 0), result.at("outcome", "regimen")
    signal = result.at("outcome", "signals", name)
    read_out, rows = next(iter(signal["by_regimen"].items()))
    others = {"without its Mg": WITHOUT, BASELINE: BASELINE}
    notes = [f"{text}: {span_text(_known(rows[other]))}" for text, other in others.items() if other in rows]
    label = f"{result.glossary.get(name, name)}, {READ_OUTS[read_out].short}{over_text(rows[regimen]).replace(' ', ', ', 1)}"
    return Tile(label, Cell(span_text(_known(rows[regimen])), note="; ".join(notes)), signal["unit"])


def _known(values: Mapping[str, float | None]) -> list[float]:
    return [value for value in values.values() if value is not None and math.isfinite(value)]


def words(result: ResultReader) -> Iterator[Block]:
    """What the arms, the hypotheses and the parts of a rise are, for a page."""
    regimens, hypotheses = (result.at("outcome", key) or () for key in ("regimens", "hypotheses"))
    mg = result.at("mg") or {}
    tissue = mg.get("tissue") or "tumour"
    items = [f"{h}: {text}." for h, text in HYPOTHESIS_TEXTS.items() if h in hypotheses]
    if items:
        items.insert(0, f"{_HYPOTHESES} Which one holds is not known, so every number is given under each.")
    if AS_SET in hypotheses and items:
        items.append("As set: the mixture of these hypotheses that the weights lfa1.w_H1 to lfa1.w_H3 make.")
    if WITHOUT in regimens:
        items.append("Without Mg: the same regimen, all other drugs included, without the doses that bring Mg.")
    if FREE in regimens:
        items.append(f"Given free (unencapsulated): {_GIVEN_FREE}")
    if mg:
        low, high = RELEVANT
        items.append(f"Local: the part of the mean rise of free Mg in the {tissue} that {_LOCAL}")
        items.append(f"+{low} mmol/L is {_LEVELS[0]}, +{high} mmol/L {_LEVELS[1]}.")
    if items:
        yield Items(items, "note", on_screen=False, leads=True)


def quantities(result: ResultReader) -> Numbers:
    """The outcome of the regimen and the effect of its Mg, under each hypothesis."""
    if not is_shown(result):
        return
    regimen, compared = result.at("outcome", "regimen"), result.at("outcome", "compared")
    for name in result.at("outcome", "main"):
        signal = result.at("outcome", "signals", name)
        for read_out, by_regimen in signal["by_regimen"].items():
            for h, value in by_regimen[regimen].items():
                yield Quantity("outcome", name, f"{READ_OUTS[read_out].short}, {h}", signal["unit"]), value
            if MG_EFFECT in compared:
                size = max((abs(v) for by in by_regimen.values() for v in _known(by)), default=0.0)
                for h, value in signal["differences"][read_out][MG_EFFECT].items():
                    of_mg = Quantity("outcome", name, f"Mg effect on {READ_OUTS[read_out].short}, {h}", signal["unit"])
                    yield of_mg, resolved(value, size, LEAST_SHARE)

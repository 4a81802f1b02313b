"""The outcome table on screen and page: each output in every arm under every hypothesis, with what is due to the Mg."""

from __future__ import annotations

import dataclasses
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
from nanomg.results.kinds import (
    BASELINE,
    BASELINE_EFFECT,
    BASELINE_WITHOUT,
    CHANGE,
    FREE_EFFECT,
    MG_EFFECT,
    MINUS,
    REST,
)
from nanomg.simulation.roles import AS_SET, FREE, HYPOTHESIS_TEXTS, RELEVANT, WITHOUT

GIVEN_FREE = "given free"
_HEADERS = {
    FREE: GIVEN_FREE,
    MG_EFFECT: "Mg effect",
    FREE_EFFECT: "if free",
    BASELINE_EFFECT: "Mg effect before",
    REST: "other",
    CHANGE: "change",
}
_SPARE = BASELINE_WITHOUT, BASELINE_EFFECT, FREE_EFFECT, REST  # what the narrowest terminals leave out, in this order
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
    return len(_names(result, "regimens")) > 1 or len(_names(result, "hypotheses")) > 1


def _names(result: ResultReader, key: str) -> list[str]:
    """The names under a key of the outcome; none where a file lacks them."""
    return list(result.at("outcome", key) or ())


def tables(result: ResultReader) -> Iterator[Block]:
    """The outcome of the signals that are shown first, and on a page that of all others; nothing where there is one course."""
    if not is_shown(result):
        return
    main = _names(result, "main")
    others = [name for name in _names(result, "signals") if name not in main]
    if len(_names(result, "regimens")) == 1:
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
    regimen, hypotheses = result.at("outcome", "regimen"), _names(result, "hypotheses")
    rows = []
    for name in names:
        for read_out in _read_outs(result, name):
            place = ("outcome", "signals", name, "by_regimen", read_out, regimen)
            cells = (result.cell(*place, h) for h in hypotheses)
            rows.append((result.name(name), READ_OUTS[read_out].short, _unit(result, name), *cells))
    headers = ("", "", "unit", *hypotheses)
    return Table(headers, "plu" + "r" * len(hypotheses), rows, "Outcome under each LFA-1 hypothesis")


def _comparisons(result: ResultReader) -> list[str]:
    """The differences that are columns: the whole change where there is no effect of Mg to take from it."""
    compared = _names(result, "compared")
    return [name for name in compared if name != CHANGE or REST not in compared]


def _table(result: ResultReader, name: str) -> Table:
    regimens, hypotheses = _names(result, "regimens"), _names(result, "hypotheses")
    compared = _comparisons(result)
    rows = []
    for read_out in _read_outs(result, name):
        for h in hypotheses:
            values = [result.cell("outcome", "signals", name, "by_regimen", read_out, r, h) for r in regimens]
            differences = (_difference(result, name, read_out, c, h) for c in compared)
            label = READ_OUTS[read_out].short
            rows.append((label if len(hypotheses) == 1 else f"{label}, {h}", *values, *differences))
    headers = ("", *(_HEADERS.get(column, column) for column in (*regimens, *compared)))
    align = "l" + "r" * (len(headers) - 1)
    spare = [_HEADERS.get(column, column) for column in _SPARE if column in (*regimens, *compared)]
    return Table(headers, align, rows, _caption(result, name), spare=spare, second=headers[1 + len(regimens) :])


def _caption(result: ResultReader, name: str) -> str:
    called = f"{capital(result.glossary[name])} ({name})" if name in result.glossary else name
    subjects = result.at("outcome", "subjects")
    of = f", median of {subjects} subjects" if subjects else ""
    return f"Outcome: {called}{unit_after(_unit(result, name)).replace(' ', ' in ', 1)}{of}"


def _difference(result: ResultReader, name: str, read_out: str, compared: str, hypothesis: str) -> Cell:
    size = _size(result, name, read_out, compared)
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
        BASELINE_EFFECT: f"Mg effect before: {BASELINE} minus {BASELINE_WITHOUT}.",
        REST: f"Other: {result.at('outcome', 'compared', REST)}, what changes of other doses do.",
        CHANGE: f"Change: {regimen} minus {BASELINE}.",
    }
    return " ".join(texts[name] for name in _comparisons(result))


def effect_tile(result: ResultReader) -> Iterator[Tile]:
    """What the Mg does to the first outcome, in large numbers."""
    if MG_EFFECT not in _names(result, "compared") or (name := _first(result)) is None:
        return
    read_out = _read_outs(result, name)[0]
    effect = _row(result, name, "differences", read_out, MG_EFFECT)
    arms = [_row(result, name, "by_regimen", read_out, r) for r in (result.at("outcome", "regimen"), WITHOUT)]
    size = _size(result, name, read_out, MG_EFFECT)
    with_it, without = (span_text(_known(arm), 3) for arm in arms)
    note = f"{over_text(effect).strip()}: {with_it} with it, {without} without".removeprefix(": ")
    label = f"effect of Mg on {result.glossary.get(name, name)}, {READ_OUTS[read_out].short}"
    yield Tile(label, Cell(difference_text(_known(effect), size), note=note), _tile_unit(result, name))


def tiles(result: ResultReader) -> Iterator[Tile]:
    """The first outputs in large numbers, with their range over the hypotheses."""
    for name in [name for name in _names(result, "signals") if _read_outs(result, name)][:LARGE]:
        first, *others = _read_outs(result, name)
        values = _row(result, name, "by_regimen", first, result.at("outcome", "regimen"))
        notes = [
            f"{READ_OUTS[other].short}: "
            f"{span_text(_known(_row(result, name, 'by_regimen', other, result.at('outcome', 'regimen'))))}"
            for other in others
        ]
        notes += [over_text(values).strip()] if over_text(values) else []
        label = f"{result.glossary.get(name, name)}, {READ_OUTS[first].short}"
        yield Tile(label, Cell(span_text(_known(values)), note=", ".join(notes)), _tile_unit(result, name))


def changed_tiles(result: ResultReader) -> Iterator[Tile]:
    """What a changed regimen comes to, with what it comes to without its Mg and under the baseline regimen in small print."""
    if (name := _first(result)) is None:
        return
    read_out = _read_outs(result, name)[0]
    values = _row(result, name, "by_regimen", read_out, result.at("outcome", "regimen"))
    others = {"without its Mg": WITHOUT, BASELINE: BASELINE}
    spans = {text: _known(_row(result, name, "by_regimen", read_out, other)) for text, other in others.items()}
    note = "; ".join(f"{text}: {span_text(span)}" for text, span in spans.items() if span)
    over = over_text(values).replace(" ", ", ", 1)
    label = f"{result.glossary.get(name, name)}, {READ_OUTS[read_out].short}{over}"
    yield Tile(label, Cell(span_text(_known(values)), note=note), _tile_unit(result, name))


def _first(result: ResultReader) -> str | None:
    """The signal that the conclusion is about."""
    return next((name for name in _names(result, "main") if _read_outs(result, name)), None)


def _read_outs(result: ResultReader, name: str) -> list[str]:
    return [key for key in result.at("outcome", "signals", name, "by_regimen") or () if key in READ_OUTS]


def _row(result: ResultReader, name: str, key: str, read_out: str, of: str) -> Mapping[str, float | None]:
    """Numbers of a signal by hypothesis; none where a file does not hold them."""
    return result.at("outcome", "signals", name, key, read_out, of) or {}


def _unit(result: ResultReader, name: str) -> str:
    return str(result.at("outcome", "signals", name, "unit") or "1")


def _tile_unit(result: ResultReader, name: str) -> str:
    unit = _unit(result, name)
    return "" if unit == "1" else unit


def _size(result: ResultReader, name: str, read_out: str, compared: str) -> float:
    """How large the numbers are that a difference is between, under any hypothesis."""
    regimens = str(result.at("outcome", "compared", compared) or "").split(MINUS)
    arms = [_row(result, name, "by_regimen", read_out, regimen) for regimen in regimens]
    return max((abs(value) for arm in arms for value in _known(arm)), default=0.0)


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
    regimen = result.at("outcome", "regimen")
    for name in _names(result, "main"):
        unit = _unit(result, name)
        for read_out in _read_outs(result, name):
            short, given = READ_OUTS[read_out].short, _row(result, name, "by_regimen", read_out, regimen)
            for h, value in given.items():
                yield Quantity("outcome", name, f"{short}, {h}", unit), value
            size = _size(result, name, read_out, MG_EFFECT)
            for h, value in _row(result, name, "differences", read_out, MG_EFFECT).items():
                yield Quantity("outcome", name, f"Mg effect on {short}, {h}", unit), resolved(value, size, LEAST_SHARE)

"""Observations: published numbers in TOML, each with the simulation that predicts it and its read-out.

    title = "Intravenous magnesium sulphate"
    limit = 1.25                              the fold error allowed of validated rows; 1.25 if absent

    [run.salinger]                            what is simulated
    scenario = "human-mgso4"                  the shipped scenario to start from, or mechanisms and cards of its own
    cards = ["renal-failure"]                 appended, so that they win; `mechanisms` and the keys below replace those of the base
    set = { "magnesium.GFR" = "6 L/h" }
    dose = ["magnesium.iv: 4 g over 20 min"]  prescriptions (nanomg.dosing.prescription) in place of the base's doses; [] gives none
    events = "doses.csv"                      event table in place of the doses, in the folder of this file, or of a study's data;
                                              its subjects are those of the run, each with all virtual ones if there are any
    input = [{ name = "magnesium.diet", value = 0.1, from = "0 d", to = "32 d" }]
    horizon = "24 h"
    subjects = 200                            virtual subjects, with `seed` (1 if absent): those that a sweep samples
    population = "human-adults"               of which they are; if absent, every parameter varies by the `cv` of its card

    [[row]]
    quantity = "serum total Mg at 12 h"       in words
    run = "salinger"                          may be absent if the row is not predicted, which only "look" allows
    signal = "magnesium.total"                a state, signal, constant, input or parameter
    statistic = "at"                          of nanomg.analysis.readouts; at `time`, or over `from` (0) to `to` (the horizon)
    value = 1.55                              in `unit`; with low and high, sd or cv, n, bound = "upper"; or a range alone
    unit = "mmol/L"
    sign = 1                                  in place of a value: only the direction is published
    divide_by = "1 mg"                        the prediction is divided by this: an injected dose, a body weight
    baseline = "difference"                   or "ratio": the curve is taken against the value before time 0
    against = { run = "control", how = "ratio" }     or "difference", "change" (ratio - 1): against another run, or another signal
                                              (`signal`), time or window of it; what is not named is as in the row
    over = "median"                           of subjects: mean, median, sd, q05 … q95, "share above 10 mm^3", "share below …"
    thing = "Mg clearance"                    rows of one thing from several sources show how far studies differ
    source, place, species, population, quality (read, recalled, computed, secondary or company)
    use = "calibrate"                         or "validate", "look" (not scored); `reason` gives the reason
    miss = "…"                                why the model is known to miss this row

Times are counted from the start of the run. A group's statistic is compared with a group's statistic: subjects are reduced by
`over` before `against` acts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nanomg import units
from nanomg.analysis.readouts import CURVE, WINDOWED, Over, spread_of
from nanomg.dosing.table_source import table_of
from nanomg.errors import InputError, unknown
from nanomg.library import event_doses, scenario_file
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.library.toml import Reader, load_toml
from nanomg.population.population import Population, check_columns, default_population, draw, values_of
from nanomg.population.population_file import load_population
from nanomg.simulation import event_times

USES = ("calibrate", "validate", "look")
QUALITIES = ("read", "recalled", "computed", "secondary", "company")
LIMIT = 1.25
COMPARISONS = ("ratio", "difference", "change")
_BASELINES = ("ratio", "difference")
_BOUNDS = ("upper", "lower")
_OVER = ("mean", "median", "sd")

_TABLE_KEYS = {"title", "limit", "run", "row"}
_BASE_KEYS = ("species", "mechanisms", "cards", "horizon", "every", "parameters", "columns", "dose", "input")
_REPLACED = ("mechanisms", "horizon", "every", "columns", "input")
_RUN_KEYS = {"scenario", "cards", "set", "dose", "events", "subjects", "seed", "population", *_REPLACED}
_AGAINST_KEYS = {"run", "signal", "time", "from", "to", "how"}
_TEXTS = ("quantity", "unit", "thing", "source", "place", "species", "population", "quality", "use", "reason", "miss")
_NUMBERS = ("value", "low", "high", "sd", "cv", "n")
_MEASURE_KEYS = ("run", "signal", "statistic", "time", "from", "to", "divide_by", "baseline", "against", "over")
_ROW_KEYS = {*_TEXTS, *_NUMBERS, *_MEASURE_KEYS, "bound", "sign"}


@dataclasses.dataclass(frozen=True, eq=False)
class ObservedRun:
    """What is simulated: a scenario, in one typical subject (`subjects` 0) or in several virtual ones of a population.

    Where the scenario has an event table, that is for each of its subjects, one after the other.
    """

    name: str
    scenario: Scenario = dataclasses.field(repr=False)
    subjects: int = 0
    seed: int = 1
    named: Population | None = dataclasses.field(default=None, repr=False)

    @property
    def population(self) -> Population:
        """The population that is named, else that of the scenario's cards."""
        return self.named or default_population(self.scenario)

    @property
    def typical(self) -> dict[str, float]:
        """Every parameter of the typical subject."""
        return self.scenario.values | (dict(self.population.typical) if self.subjects else {})

    @property
    def lanes(self) -> int:
        """How many courses there are."""
        return max(self.subjects, 1) * max(len(self.scenario.subjects), 1)

    def relative(self) -> dict[str, np.ndarray]:
        """Factors of subjects on parameters, (lane,): those of a sweep with this seed, population and number."""
        if not self.subjects:
            return {}
        drawn = draw(self.scenario, self.population, self.seed, 0, self.subjects)
        return {name: np.resize(factor, self.lanes) for name, factor in drawn.relative.items()}

    def values(self) -> dict[str, Any]:
        """Every parameter, (lane,) where subjects differ; one that follows a column has its typical value."""
        bound = self.scenario.bound
        relative = {name: factor for name, factor in self.relative().items() if name not in bound}
        return values_of(self.scenario, self.typical, relative)


@dataclasses.dataclass(frozen=True)
class Measure:
    """A statistic of a signal of a run over a window [h], of the curve itself or of it against its value before time 0."""

    run: ObservedRun
    signal: str
    statistic: str
    start: float
    stop: float
    baseline: str = ""
    over: Over | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """One published number; values in `unit`, a missing one NaN.

    `factor` converts the prediction to `unit`; before that, `other` converts the value of `against` to the unit of `measure`.
    """

    quantity: str
    use: str
    unit: str = "1"
    measure: Measure | None = None
    against: Measure | None = None
    how: str = ""
    other: float = 1.0
    factor: float = 1.0
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    sd: float = math.nan
    n: int = 0
    bound: str = ""
    sign: int = 0
    thing: str = ""
    source: str = ""
    place: str = ""
    species: str = ""
    population: str = ""
    quality: str = ""
    reason: str = ""
    miss: str = ""

    @property
    def either_sign(self) -> bool:
        """Whether the quantity may be above or below 0 by nature: a difference, a change or a slope."""
        m = self.measure
        signed = m is not None and (WINDOWED[m.statistic].signed or m.baseline == "difference")
        return (signed and self.how != "ratio") or self.how in ("difference", "change")

    @property
    def unmoved(self) -> float:
        """The value of a signed quantity that means no change."""
        m = self.measure
        relative = m is not None and m.baseline == "ratio" and WINDOWED[m.statistic].kind == CURVE
        return 1.0 if self.how == "ratio" or (relative and not self.how) else 0.0


@dataclasses.dataclass(frozen=True)
class ObservationTable:
    """The observations of one domain."""

    name: str
    title: str
    limit: float
    rows: tuple[Row, ...]
    path: Path


def load(name: str, library: Library) -> ObservationTable:
    """Read a shipped table by name, or any by path. Raises `InputError`, one sentence with the place."""
    if name in library.observations:
        path = library.observations[name]
    elif name.endswith(".toml"):
        path = Path(name)
    else:
        raise unknown("table of observations", name, library.observations)
    where = f"observations {path.stem!r}"
    data = Reader(load_toml(path), where, _TABLE_KEYS)
    runs = runs_of(data, library, where, path.parent)
    entries = data.get("row", [])
    if not isinstance(entries, list) or not entries:
        raise InputError("there are no [[row]] tables", where)
    limit = data.number("limit")
    if limit is not None and not limit > 1:
        raise data.error(f"limit is a fold error and must be above 1, not {limit:g}")
    rows = tuple(row_of(entry, runs, f"{where}, [[row]] number {i}") for i, entry in enumerate(entries, 1))
    first: dict[str, str] = {}
    for row in rows:
        if row.thing:
            units.convert(1.0, row.unit, first.setdefault(row.thing, row.unit), f"{where}, thing {row.thing!r}")
    title = data.text("title") or path.stem
    return ObservationTable(path.stem, title, LIMIT if limit is None else limit, rows, path)


def courses_of(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows that are points of one course in time, where there are three or more: values of one signal of one run."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        m = row.measure
        if (
            m is not None
            and m.statistic == "at"
            and not (m.baseline or row.against or row.sign or row.bound or math.isnan(row.value))
        ):
            found.setdefault((m.run, m.signal, row.unit, row.factor), []).append(row)
    return [points for points in found.values() if len({row.measure.stop for row in points if row.measure}) >= 3]


# ---------------------------------------------------------------- runs
def runs_of(data: Mapping[str, Any], library: Library, where: str, folder: Path) -> dict[str, ObservedRun]:
    """The `[run.…]` tables of a file, whose event tables are in `folder`."""
    entries = data.get("run", {})
    if not isinstance(entries, Mapping) or not all(isinstance(entry, Mapping) for entry in entries.values()):
        raise InputError("write each run as a table headed [run.NAME]", where)
    return {name: _run(name, entry, library, f"{where}, run {name!r}", folder) for name, entry in entries.items()}


def _run(name: str, table: Mapping[str, Any], library: Library, where: str, folder: Path) -> ObservedRun:
    entry = Reader(table, where, _RUN_KEYS)
    subjects, seed = entry.whole("subjects", 0, 0), entry.whole("seed", 0, 1)
    if subjects == 1:
        raise entry.error("subjects must be a whole number, 2 or more, or 0 for none; not 1")
    if "population" in entry and not subjects:
        raise entry.error("a population needs `subjects`, how many of it are simulated")
    data: dict[str, Any] = {}
    try:
        if "scenario" in entry:
            base = load_toml(scenario_file.find(str(entry["scenario"]), library))
            data = {key: base[key] for key in _BASE_KEYS if key in base}
        data |= {key: entry[key] for key in _REPLACED if key in entry}
        cards, doses, overrides = (
            entry.get(key, kind()) for key, kind in (("cards", list), ("dose", list), ("set", dict))
        )
        for key, value, kind in (("cards", cards, list), ("dose", doses, list), ("set", overrides, Mapping)):
            if not isinstance(value, kind) or (kind is list and not all(isinstance(text, str) for text in value)):
                raise InputError(f"{key} must be {'a list of texts' if kind is list else 'a table'}, not {value!r}")
        data["cards"] = [*data.get("cards", []), *cards]
        if "dose" in entry:
            data.pop("dose", None)
        made = scenario_file.compose(name, data, library, overrides, doses)
        if "events" in entry:
            if "dose" in entry:
                raise InputError("an event table replaces the doses; give events or dose, not both")
            events = folder / entry.text("events")
            made = event_doses.with_events(made, table_of(events), library, source=str(events))
            event_times.check_one_clock(made.subjects)
        population = load_population(entry.text("population"), library, made) if "population" in entry else None
        if population is not None:
            check_columns(made, population)
    except InputError as error:
        inner = "" if error.where is None or error.where.startswith("scenario ") else f", {error.where}"
        raise InputError(error.message, where + inner) from None
    return ObservedRun(name, made, subjects, seed, population)


# ---------------------------------------------------------------- rows
def row_of(table: Mapping[str, Any], runs: Mapping[str, ObservedRun], where: str) -> Row:
    """One `[[row]]` table. Raises `InputError`, one sentence with the place."""
    if not isinstance(table, Mapping):
        raise InputError("write each row as a table headed [[row]]", where)
    entry = Reader(table, where, _ROW_KEYS)
    texts: dict[str, Any] = {key: entry.text(key) for key in _TEXTS}
    if texts["quantity"]:
        where = f"{where} ({texts['quantity']})"
        entry = Reader(table, where)
    for key in ("quantity", "source", "reason", "use"):
        if not texts[key]:
            raise InputError(f"the key {key!r} is missing", where)
    entry.one_of("use", USES)
    if texts["quality"]:
        entry.one_of("quality", QUALITIES)
    published = _published(entry, texts["use"])
    texts["unit"] = texts["unit"] or "1"
    if "run" not in entry:
        if texts["use"] != "look":
            raise InputError(
                f"a row to {texts['use']} needs a run that predicts it; without one, its use must be 'look'", where
            )
        if extra := next((key for key in _MEASURE_KEYS if key in entry), None):
            raise InputError(f"{extra!r} needs a run", where)
        return Row(**texts, **published)
    measure = _measure(entry, runs)
    unit, against, how, other = measure_unit(measure), None, "", 1.0
    if "against" in entry:
        against, how = _against(entry, runs)
        compared = measure_unit(against)
        if how == "ratio":
            unit = "1" if unit == compared else _per(unit, compared)
        else:
            other = units.convert(1.0, compared, unit, f"{where}, {how}")
            unit = unit if how == "difference" else "1"
    if "divide_by" in entry:
        divisor, by = units.split_quantity(entry.text("divide_by"), f"{where}, divide_by")
        if not divisor > 0:
            raise InputError(f"divide_by must be above 0, not {entry['divide_by']!r}", where)
        unit, scale = _per(unit, by), 1.0 / divisor
    else:
        scale = 1.0
    row = Row(**texts, **published, measure=measure, against=against, how=how, other=other)
    if row.sign:
        if not (how or row.either_sign or row.unmoved):
            raise InputError("a sign needs `against`, `baseline`, or a slope or change", where)
        return row
    return dataclasses.replace(row, factor=scale * units.convert(1.0, unit, row.unit, where))


def measure_unit(measure: Measure) -> str:
    """The unit in which the model gives a measure."""
    kind = measure.over.kind if measure.over else ""
    if kind in ("above", "below"):
        return "1"
    return _statistic_unit(measure)


def _statistic_unit(measure: Measure) -> str:
    curve = "1" if measure.baseline == "ratio" else measure.run.scenario.model.unit(measure.signal)
    return WINDOWED[measure.statistic].unit(curve)


def _per(unit: str, by: str) -> str:
    return unit if by in ("", "1") else f"1/({by})" if unit == "1" else f"({unit})/({by})"


def _measure(entry: Reader, runs: Mapping[str, ObservedRun]) -> Measure:
    where, name = entry.where, entry.one_of("run", runs)
    run, signal = runs[name], entry.text("signal")
    if not signal:
        raise InputError("the key 'signal' is missing", where)
    model = run.scenario.model
    known = {**model.states, **model.signals, **model.constants, **model.inputs, **model.parameters}
    if signal not in known:
        raise unknown("state, signal, constant, input or parameter", signal, known, where)
    statistic, baseline = entry.one_of("statistic", WINDOWED, "at"), entry.one_of("baseline", _BASELINES)
    start, stop = _window(entry, statistic, run.scenario.horizon)
    measure = Measure(run, signal, statistic, start, stop, baseline)
    if "over" in entry and run.lanes == 1:
        raise InputError(f"'over' needs a run with subjects, and {name!r} has none", where)
    if run.lanes > 1:
        over = _over(entry.get("over", "median"), _statistic_unit(measure), where)
        measure = dataclasses.replace(measure, over=over)
    return measure


def _window(entry: Reader, statistic: str, horizon: float) -> tuple[float, float]:
    where, times = entry.where, {key: entry.hours(key) for key in ("time", "from", "to") if key in entry}
    if statistic == "at":
        if set(times) != {"time"}:
            raise InputError("the statistic 'at' needs `time`, and neither `from` nor `to`", where)
        start = stop = times["time"]
    else:
        if "time" in times:
            raise InputError(f"the statistic {statistic!r} takes `from` and `to`, not `time`", where)
        start, stop = times.get("from", 0.0), times.get("to", horizon)
        if not start < stop:
            raise InputError(f"'to' ({stop:g} h) must be later than 'from' ({start:g} h)", where)
    if start < 0 or stop > horizon:
        raise InputError(f"times must be within the run's {horizon:g} h", where)
    return start, stop


def _against(entry: Reader, runs: Mapping[str, ObservedRun]) -> tuple[Measure, str]:
    at = f"{entry.where}, against"
    if not isinstance(entry["against"], Mapping):
        raise InputError("this must be a table such as { run = 'control', how = 'ratio' }", at)
    other = Reader(entry["against"], at, _AGAINST_KEYS)
    if "how" not in other:
        raise other.error(f"the key 'how' is missing; it is one of {', '.join(COMPARISONS)}")
    how = other.one_of("how", COMPARISONS)
    if len(other) == 1:
        raise other.error("name another run, signal, time or window to compare with")
    same = {key: entry[key] for key in _MEASURE_KEYS if key in entry and key not in ("against", "divide_by")}
    changed = {**same, **{key: value for key, value in other.items() if key != "how"}}
    run = runs.get(Reader(changed, at).text("run"))
    if run is not None and run.lanes == 1:
        changed.pop("over", None)
    return _measure(Reader(changed, at), runs), how


def _over(text: Any, unit: str, where: str) -> Over:
    if text in _OVER:
        return Over(text)
    if isinstance(text, str) and (spread := spread_of(text, unit, f"{where}, over")):
        return spread
    allowed = f"{', '.join(_OVER)}, q05 to q95, 'share above …' or 'share below …'"
    raise InputError(f"over must be one of {allowed}, not {text!r}", where)


def _published(entry: Reader, use: str) -> dict[str, Any]:
    """Value, spread, bound and sign."""
    where = entry.where
    numbers = {key: math.nan if (number := entry.number(key)) is None else number for key in _NUMBERS}
    given = {key for key, number in numbers.items() if not math.isnan(number)}
    sign, bound, cv = entry.get("sign", 0), entry.get("bound", ""), numbers.pop("cv")
    if "sign" in entry and (isinstance(sign, bool) or sign not in (1, -1)):
        raise InputError(f"sign must be 1 or -1, not {sign!r}", where)
    if sign and given - {"n"}:
        raise InputError("a sign and a value are both given; keep one", where)
    if bound:
        entry.one_of("bound", _BOUNDS)
    if len(given & {"low", "high"}) == 1:
        raise InputError("low and high come together", where)
    if sum(bool(given & kind) for kind in ({"sd"}, {"cv"}, {"low"})) > 1:
        raise InputError("the spread is given twice; keep one of sd, cv, or low and high", where)
    if not given & {"value", "low"} and not sign and use != "look":
        raise InputError("a value, a range (low and high) or a sign is missing", where)
    if (bound or given & {"sd", "cv"}) and "value" not in given:
        raise InputError("a bound, sd or cv needs the value", where)
    if numbers["value"] == 0 and not given & {"sd", "low"} and not bound and use != "look":
        raise InputError("a value of 0 needs its spread (sd, or low and high): no prediction is 0 exactly", where)
    count = numbers.pop("n")
    if "n" in given and (count < 1 or count % 1):
        raise InputError(f"n must be a whole number, 1 or more, not {count:g}", where)
    for key, spread in (("sd", numbers["sd"]), ("cv", cv)):
        if spread <= 0:
            raise InputError(f"{key} must be above 0, not {spread:g}", where)
    if numbers["low"] > numbers["high"]:
        raise InputError("low is above high", where)
    if "cv" in given:
        numbers["sd"] = cv * abs(numbers["value"])
    return {**numbers, "n": 0 if math.isnan(count) else int(count), "sign": int(sign), "bound": bound}

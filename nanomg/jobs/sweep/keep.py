"""Which numbers of each trajectory a sweep keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from nanomg.analysis.readouts import WHOLE_COURSE
from nanomg.equations.model import RISE
from nanomg.errors import InputError, unknown
from nanomg.jobs.sweep.regimens import brings_mg
from nanomg.library.scenario import Scenario
from nanomg.population.population import Population
from nanomg.simulation import event_times

SERIES, RECORDS, VALUE = "series", "records", "value"
RECORD = "record"  # dimension
SUBJECT, STATUS = "subject", "status"
TEXTS = {name: readout.text for name, readout in WHOLE_COURSE.items()} | {
    SERIES: "over time",
    RECORDS: "at the records",
    VALUE: "value of the subject",
}


class Keep(NamedTuple):
    """What is kept of each trajectory: a quantity, how its course becomes a number, and the number's unit."""

    name: str
    how: str
    unit: str
    varied: bool = False  # an axis has this name
    rise: bool = False  # of the quantity over the arm without Mg, at each time

    @property
    def along(self) -> bool:
        """Whether it needs the whole course, with times around every dose."""
        return self.how in WHOLE_COURSE and WHOLE_COURSE[self.how].along

    @property
    def label(self) -> str:
        """Its name in the result."""
        plain = self.how in (SERIES, RECORDS) or (self.how == VALUE and not self.varied)
        name = f"{self.name}{RISE}" if self.rise else self.name
        return name if plain else f"{name}:{self.how}"

    def text(self, what: str) -> str:
        """What it is, of a quantity that is `what`."""
        return f"{what}{', rise over the arm without Mg' if self.rise else ''}, {TEXTS[self.how]}"


def keep_of(text: str, scenario: Scenario, covariates: Mapping[str, str] = MappingProxyType({})) -> Keep:
    """`"tumour.volume:max"` as what is kept; `final` where nothing is said, `value` of a parameter or covariate (name -> unit).

    `"interstitium.C.rise:max"` is of the difference, at each time, from the arm without Mg. Raises `InputError` for an unknown
    quantity or statistic, and for a rise where no dose contains Mg.
    """
    name, _, how = (part.strip() for part in text.partition(":"))
    model, where = scenario.model, f"--keep {text}"
    course = [*model.states, *model.signals, *model.inputs]
    if (rise := model.is_rise(name)) and not brings_mg(scenario):
        raise InputError("no dose of this regimen contains Mg, so there is no arm without it and no rise", where)
    name = name.removesuffix(RISE) if rise else name
    if name in scenario.parameters or name in model.constants or name in covariates:
        how, allowed = how or VALUE, [VALUE]
    elif name in course:
        how, allowed = how or _default(scenario), [h for h in TEXTS if h != VALUE]
    else:
        raise unknown("quantity", name, [*course, *scenario.parameters, *model.constants, *covariates], where)
    if how == RECORDS and not scenario.subjects:
        raise InputError("there are no records without an event table (--events)", where)
    if how not in allowed:
        raise unknown("statistic", how, allowed, where)
    if name in covariates:
        return Keep(name, how, covariates[name])
    unit = model.unit(name)
    return Keep(name, how, WHOLE_COURSE[how].unit(unit) if how in WHOLE_COURSE else unit, rise=rise)


def _default(scenario: Scenario) -> str:
    """What is kept of a quantity where nothing is said: at the end, or at the records where there is no common end."""
    return RECORDS if scenario.subjects and event_times.goes_back(scenario.subjects).any() else "final"


def kept_of(texts: Sequence[str], scenario: Scenario, population: Population | None = None) -> tuple[Keep, ...]:
    """What is kept, each once; without any, the scenario's outputs at the end."""
    covariates = {} if population is None else {name: c.unit for name, c in population.covariates.items()}
    found = tuple(keep_of(text, scenario, covariates) for text in texts or scenario.outputs)
    if len({keep.label for keep in found}) < len(found):
        raise InputError("a read-out is named twice", "--keep")
    if not found:
        raise InputError("the scenario has no outputs; name read-outs with --keep", "--keep")
    return found

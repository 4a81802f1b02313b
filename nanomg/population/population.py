"""Virtual subjects of a scenario: a population's file, and the subjects sampled from it.

    title = "…"                       species = "human"
    [covariates]                      a quantity of the subject, log-normal (median, cv) or normal (mean, sd), cut at low and high
    weight = { median = 75, cv = 0.2, unit = "kg", low = 40, high = 140, basis = "…", source = "…", place = "…", note = "…" }
    GFR = { parameter = "magnesium.GFR", cv = 0.25, basis = "…" }      a parameter of the model; median and cv may be its card's
    [[effect]]                        (covariate / reference)^exponent is a factor on a parameter or several
    parameter, covariate, exponent, reference, basis, …; `card`: only with this card; `within_cv`: a part of the card's variation
    [[correlation]]                   between = ["weight", "GFR"], rho = 0.4, basis, …; `card`: of normal scores, also of parameters
    [plausible]                       plausibility limits at time 0 of parameters, constants, states and signals
    "magnesium.total" = { low = 0.4, high = 1.4, unit = "mmol/L", basis = "…", … }

Every other parameter varies log-normally by the `cv` of its card. Entries that a scenario's model does not have
are left out, so that one population serves many scenarios. An implausible subject is resampled until it is plausible, from its own
random numbers, so it depends on no other subject. Each subject starts at steady state, which the mechanisms derive from its values.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

from nanomg.errors import InputError
from nanomg.library.scenario import Scenario
from nanomg.population.plausibility import Rule, unphysical
from nanomg.population.streams import normal, spread

ATTEMPTS = 1000  # of a subject: with 5 % of samples plausible, not one subject in a million fails


@dataclasses.dataclass(frozen=True)
class Spread:
    """How a quantity varies about its typical value: log-normal or normal, cut at two standard scores.

    `sd` is that of the logarithm, or relative to the mean.
    """

    sd: float
    logarithmic: bool = True
    low: float = -math.inf
    high: float = math.inf

    def factor(self, z: np.ndarray) -> np.ndarray:
        """What standard normal numbers multiply the typical value by; a cut distribution is rescaled to the range that remains."""
        if self.low > -math.inf or self.high < math.inf:
            least, most = special.ndtr([self.low, self.high])
            z = special.ndtri(least + (most - least) * special.ndtr(z))
        return np.exp(self.sd * z) if self.logarithmic else 1.0 + self.sd * z


@dataclasses.dataclass(frozen=True)
class Covariate:
    """A quantity of the subject, about `centre` [unit]; its numbers come from `stream`, the parameter's where it is one."""

    stream: str
    centre: float
    unit: str


@dataclasses.dataclass(frozen=True)
class Effect:
    """`parameter` is multiplied by (covariate / reference)^exponent; `reference` is in the covariate's unit."""

    parameter: str
    covariate: str
    exponent: float
    reference: float


@dataclasses.dataclass(frozen=True)
class Population:
    """A population as it is in one scenario. `typical` values [unit of the model] replace those of the cards."""

    name: str
    title: str
    species: str
    typical: Mapping[str, float] = dataclasses.field(default_factory=dict)
    spreads: Mapping[str, Spread] = dataclasses.field(default_factory=dict)  # by stream
    covariates: Mapping[str, Covariate] = dataclasses.field(default_factory=dict)
    effects: tuple[Effect, ...] = ()
    correlated: tuple[str, ...] = ()  # streams
    root: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(0))  # Cholesky factor of their correlations
    rules: tuple[Rule, ...] = ()

    @property
    def covarying(self) -> set[str]:
        """The parameters that are covariates on which other parameters depend."""
        return {self.covariates[effect.covariate].stream for effect in self.effects}

    def scores(self, seed: int, subjects: np.ndarray, attempt: int) -> dict[str, np.ndarray]:
        """Standard normal numbers of each stream, correlated."""
        found = {name: normal(name, seed, subjects, attempt) for name in self.spreads}
        independent = [found[n] if n in found else normal(n, seed, subjects, attempt) for n in self.correlated]
        for name, row in zip(self.correlated, self.root, strict=True):
            if name in found:  # added up term by term: a product of matrices rounds by how many subjects there are
                found[name] = sum(
                    (share * z for share, z in zip(row, independent, strict=True)), np.zeros(len(subjects))
                )
        return found

    def moved(
        self, times: Mapping[str, np.ndarray], relative: Mapping[str, np.ndarray], covariates: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Factors and covariates of subjects if typical values of parameters are multiplied by these factors, all (subject,).

        A covariate that is such a parameter changes with it, and so does whatever depends on the covariate.
        """
        moves = {name: times[c.stream] for name, c in self.covariates.items() if c.stream in times}
        factors = dict(relative)
        for effect in self.effects:
            if effect.covariate in moves:
                factors[effect.parameter] = factors[effect.parameter] * moves[effect.covariate] ** effect.exponent
        return factors, {name: values * moves.get(name, 1.0) for name, values in covariates.items()}


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Subjects: a parameter's value is its typical one times `relative` (subject,), at most what the parameter may be.

    `covariates` are (subject,) with their unit; `attempts` (subject,) counts how often each was sampled, 1 or more;
    `rejected` counts the rejected samples by the first rule that each broke.
    """

    relative: Mapping[str, np.ndarray]
    covariates: Mapping[str, tuple[np.ndarray, str]]
    attempts: np.ndarray
    rejected: Mapping[str, int]


# ---------------------------------------------------------------- drawing
def default_population(scenario: Scenario) -> Population:
    """Every parameter log-normal with the `cv` of its card, and nothing else."""
    title = "every parameter independently, by the cv of its card"
    return Population("cards", title, scenario.species, spreads=spreads_of(scenario))


def spreads_of(scenario: Scenario) -> dict[str, Spread]:
    """The spread of each parameter with a `cv` on its card."""
    return {p.name: Spread(spread(p.cv)) for p in scenario.parameters.values() if p.cv and p.value}


def draw(scenario: Scenario, population: Population, seed: int, start: int, stop: int) -> Drawn:
    """Subjects `start` to `stop` - 1 of a seed, each the same whatever the range; `population` is one of this scenario.

    Raises `InputError` where a subject is not plausible in 1,000 attempts.
    """
    subjects = np.arange(start, stop)
    typical = scenario.values | dict(population.typical)
    pending = np.arange(len(subjects))
    attempts = np.zeros(len(subjects), int)
    rejected: Counter[str] = Counter()
    relative: dict[str, np.ndarray] = {}
    covariates: dict[str, np.ndarray] = {}
    for attempt in range(ATTEMPTS):
        candidates, seen = _candidates(scenario, population, seed, subjects[pending], attempt)
        for into, new in ((relative, candidates), (covariates, seen)):
            for name, values in new.items():
                into.setdefault(name, np.empty(len(subjects)))[pending] = values
        attempts[pending] += 1
        values_of = {name: typical[name] * factor for name, factor in candidates.items()}
        left = np.zeros(len(pending), bool)
        for rule, broken in unphysical(scenario, values_of, len(pending), typical, population.rules).items():
            if new_ones := int((broken & ~left).sum()):
                rejected[rule] += new_ones
            left |= broken
        pending = pending[left]
        if not len(pending):
            unit = {name: covariate.unit for name, covariate in population.covariates.items()}
            shown = {name: (values, unit[name]) for name, values in covariates.items()}
            return Drawn(relative, shown, attempts, dict(rejected.most_common()))
    most = rejected.most_common(1)[0][0]
    raise InputError(
        f"after {ATTEMPTS} attempts {len(pending)} of {len(subjects)} subjects are not plausible; "
        f"what turned most candidates away: {most}",
        f"population {population.name!r} in scenario {scenario.name!r}",
    )


def check_columns(scenario: Scenario, population: Population) -> None:
    """Raise `InputError` where a parameter follows a column of an event table, and a population derives others from it."""
    for name in population.covarying & scenario.bound.keys():
        message = f"other parameters depend on {name}, which follows column {scenario.bound[name]} of the event table"
        raise InputError(f"{message}; leave out the column or the population", f"population {population.name!r}")


def values_of(scenario: Scenario, typical: Mapping[str, Any], relative: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Every parameter of subjects: its typical value, times `relative` (subject,) where they differ, at most what it may be."""
    values = dict(typical)
    for name, factor in relative.items():
        values[name] = np.minimum(values[name] * factor, scenario.model.parameters[name].at_most)
    return values


def _candidates(
    scenario: Scenario, population: Population, seed: int, subjects: np.ndarray, attempt: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Factors of parameters and values of covariates, (subject,), plausible or not."""
    scores = population.scores(seed, subjects, attempt)
    factors = {name: population.spreads[name].factor(z) for name, z in scores.items()}
    covariates = {name: c.centre * factors[c.stream] for name, c in population.covariates.items()}
    for effect in population.effects:
        effect_size = (covariates[effect.covariate] / effect.reference) ** effect.exponent
        factors[effect.parameter] = factors.get(effect.parameter, 1.0) * effect_size
    return {name: factor for name, factor in factors.items() if name in scenario.parameters}, covariates

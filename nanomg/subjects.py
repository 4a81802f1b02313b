"""Virtual subjects of a scenario: a population's file, and the subjects drawn from it.

    title = "…"                       species = "human"
    [covariates]                      a quantity of the subject, log-normal (median, cv) or normal (mean, sd), cut at low and high
    weight = { median = 75, cv = 0.2, unit = "kg", low = 40, high = 140, basis = "…", source = "…", place = "…", note = "…" }
    GFR = { parameter = "magnesium.GFR", cv = 0.25, basis = "…" }      a parameter of the model; median and cv may be its card's
    [[effect]]                        (covariate / reference)^exponent is a factor on a parameter or several
    parameter, covariate, exponent, reference, basis, …; `card`: only with this card; `within_cv`: a part of the card's variation
    [[correlation]]                   between = ["weight", "GFR"], rho = 0.4, basis, …; `card`: of normal scores, also of parameters
    [plausible]                       what a subject must be at time 0: parameters, constants, states and signals
    "magnesium.total" = { low = 0.4, high = 1.4, unit = "mmol/L", basis = "…", … }

Every other parameter varies log-normally by the `cv` of its card. What the model of a scenario lacks is left out, so that one
population serves many scenarios. A subject that is not plausible is drawn again, from pages of its own, until it is: it depends on
no other subject. Each subject starts in the steady state of its own values, which the mechanisms derive.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from nanomg import executables, units
from nanomg.card import PROVENANCE, load_toml, number, provenance, table_in, tables_in
from nanomg.errors import InputError, only, unknown
from nanomg.library import Library
from nanomg.model import Model, stack
from nanomg.population import normal, spread
from nanomg.scenario import Scenario

ATTEMPTS = 1000  # of a subject: where 5 % of candidates are plausible, none of a million is left without
_BLOCK = 1024  # candidates that are looked at together

# What lies outside of these is no body and no particle.
BELOW = {"interstitium.f_well": 0.98, "liposome.f_well": 0.98, "lnp.f_well": 0.98}
ORDERED = (
    ("interstitium.content_0", "interstitium.content_max"),
    ("interstitium.K_poor", "interstitium.K_well"),
    ("tcell.k_pro", "tcell.k_exit"),
    ("tumour.viable_0", "tumour.viable_max"),
)


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
        """What standard normal numbers multiply the typical value by; a cut thins out no bound, it spreads over what is left."""
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
class Rule:
    """What a quantity at time 0 must lie between [unit of the model]; `text` says so."""

    name: str
    low: float
    high: float
    text: str


@dataclasses.dataclass(frozen=True)
class Population:
    """A population as it is in one scenario. `typical` values [unit of the model] stand in the place of the cards'."""

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

    def scores(self, seed: int, subjects: np.ndarray, attempt: int) -> dict[str, np.ndarray]:
        """Standard normal numbers of each stream, correlated."""
        found = {name: normal(name, seed, subjects, attempt) for name in self.spreads}
        own = [found[n] if n in found else normal(n, seed, subjects, attempt) for n in self.correlated]
        for name, row in zip(self.correlated, self.root, strict=True):
            if name in found:  # added up term by term: a product of matrices rounds by how many subjects there are
                found[name] = sum((share * z for share, z in zip(row, own, strict=True)), np.zeros(len(subjects)))
        return found

    def moved(
        self, times: Mapping[str, np.ndarray], relative: Mapping[str, np.ndarray], covariates: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Factors and covariates of subjects where typical values of parameters are so many times as large, all (subject,).

        A covariate that is such a parameter moves with it, and so does what follows the covariate.
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

    `covariates` are (subject,) with their unit; `attempts` (subject,) counts the candidates looked at for each, 1 or more;
    `rejected` how many candidates each rule turned away, each counted under the first rule that it broke.
    """

    relative: Mapping[str, np.ndarray]
    covariates: Mapping[str, tuple[np.ndarray, str]]
    attempts: np.ndarray
    rejected: Mapping[str, int]


# ---------------------------------------------------------------- drawing
def default_population(scenario: Scenario) -> Population:
    """Every parameter log-normal with the `cv` of its card, and nothing else."""
    title = "every parameter by itself, as its card has it"
    return Population("cards", title, scenario.species, spreads=_by_card(scenario))


def _by_card(scenario: Scenario) -> dict[str, Spread]:
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
        own = {name: typical[name] * factor for name, factor in candidates.items()}
        left = np.zeros(len(pending), bool)
        for rule, broken in unphysical(scenario, own, len(pending), typical, population.rules).items():
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


def _candidates(
    scenario: Scenario, population: Population, seed: int, subjects: np.ndarray, attempt: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Factors of parameters and values of covariates, (subject,), plausible or not."""
    scores = population.scores(seed, subjects, attempt)
    factors = {name: population.spreads[name].factor(z) for name, z in scores.items()}
    covariates = {name: c.centre * factors[c.stream] for name, c in population.covariates.items()}
    for effect in population.effects:
        own = (covariates[effect.covariate] / effect.reference) ** effect.exponent
        factors[effect.parameter] = factors.get(effect.parameter, 1.0) * own
    return {name: factor for name, factor in factors.items() if name in scenario.parameters}, covariates


def unphysical(
    scenario: Scenario,
    candidates: Mapping[str, np.ndarray],
    count: int,
    typical: Mapping[str, float] | None = None,
    rules: Sequence[Rule] = (),
) -> dict[str, np.ndarray]:
    """Rule -> which of `count` candidates break it. Beside `rules`: shares below 1, values in order, and amounts at the start.

    `candidates` are values (count,) of the parameters that vary, `typical` those of all parameters, the scenario's if absent.
    """
    broken = {}
    for name, values in candidates.items():
        p, limit = scenario.parameters[name], scenario.model.parameters[name].at_most
        if limit < math.inf or (p.unit in ("1", "") and p.high is not None and p.high <= 1.0):
            limit = BELOW.get(name, limit if limit < math.inf else 1.0)
            broken[f"{name} < {limit:g}"] = values >= limit
    everything: dict[str, Any] = {**(typical or scenario.values), **candidates}
    for small, large in ORDERED:
        if small in everything and large in everything:
            broken[f"{small} < {large}"] = np.broadcast_to(everything[small] >= everything[large], (count,))
    sound, looked_at = _at_start(scenario.model, everything, tuple(candidates), [rule.name for rule in rules], count)
    broken["amounts at the start finite and not negative"] = ~sound
    for rule, found in zip(rules, looked_at, strict=True):
        broken[rule.text] = ~((rule.low <= found) & (found <= rule.high))
    return broken


def _at_start(
    model: Model, values: Mapping[str, Any], varied: tuple[str, ...], names: Iterable[str], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Whether amounts at time 0 are finite and not negative (count,), and what these quantities then are (name, count)."""
    rows = np.stack([values[name] for name in varied]) if varied else np.empty((0, count))
    fixed = {name: value for name, value in values.items() if name not in varied}
    parts = []
    for begin in range(0, count, _BLOCK):
        block = rows[:, begin : begin + _BLOCK]
        full = np.pad(block, ((0, 0), (0, _BLOCK - block.shape[1])), "edge")  # one shape, one program
        parts.append(_start(model, varied, tuple(names), full, fixed))
    sound, found = (np.concatenate([np.asarray(p[i]) for p in parts], -1)[..., :count] for i in (0, 1))
    return sound, found


@executables.kept(0, 1, 2)
def _start(
    model: Model, varied: tuple[str, ...], names: tuple[str, ...], rows: Any, fixed: dict[str, Any]
) -> tuple[jax.Array, jax.Array]:
    shape = rows.shape[1:]
    x = model.derive({**fixed, **dict(zip(varied, rows, strict=True))})
    amounts = stack(model.initial(x), shape)
    sound = jnp.all(jnp.isfinite(amounts) & (amounts >= 0), axis=0)
    defaults = {name: var.default for name, var in model.inputs.items()}
    x = model.evaluate({**x, **defaults, **dict(zip(model.states, amounts, strict=True))})
    return sound, stack([x[name] for name in names], shape) if names else jnp.empty((0, *shape))


# ---------------------------------------------------------------- reading
_TOP = ("title", "species", "covariates", "effect", "correlation", "plausible")
_COVARIATE = ("parameter", "median", "cv", "mean", "sd", "unit", "low", "high", *PROVENANCE)
_EFFECT = ("parameter", "covariate", "exponent", "reference", "card", "within_cv", *PROVENANCE)
_CORRELATION = ("between", "rho", "card", *PROVENANCE)
_RULE = ("low", "high", "unit", *PROVENANCE)


@dataclasses.dataclass(frozen=True)
class _Written:
    """A covariate as its file has it; `centre` and `spread` are None where the card of its parameter gives them."""

    parameter: str
    unit: str
    centre: float | None = None  # in `unit`
    spread: Spread | None = None


def load_population(name: str, library: Library, scenario: Scenario) -> Population:
    """A shipped population by name, or any by path, as it is in a scenario. What the scenario's model lacks is left out.

    Raises `InputError` for everything that is wrong with it, in one sentence that says where.
    """
    path = _find(name, library)
    where = f"population {path.stem!r}"
    data = load_toml(path)
    only(data, _TOP, ("title", "species"), where)
    species = str(data["species"])
    if species != scenario.species and "any" not in (species, scenario.species):
        raise InputError(f"it is of {species} subjects, and scenario {scenario.name!r} is of {scenario.species}", where)
    declared = _declared(library)
    written = {
        key: _covariate(entry, declared, f"{where}, {key}")
        for key, entry in table_in(data, "covariates", where).items()
    }
    tables = tables_in(data, "effect", where)
    effects = [e for table in tables for e in _effects(table, written, declared, library, f"{where}, [[effect]]")]
    cards = {card.name for card in scenario.cards}
    correlated, root = _correlations(
        tables_in(data, "correlation", where), written, declared, library, cards, f"{where}, [[correlation]]"
    )
    rules = [_rule(key, entry, library, where) for key, entry in table_in(data, "plausible", where).items()]
    return _in_scenario(
        Population(path.stem, str(data["title"]), species, correlated=correlated, root=root),
        scenario,
        written,
        effects,
        rules,
    )


def _find(name: str, library: Library) -> Path:
    if name in library.populations:
        return library.populations[name]
    if name.endswith(".toml"):
        return Path(name)
    raise unknown("population", name, library.populations)


def _declared(library: Library) -> dict[str, str]:
    """The unit of every parameter that some mechanism has."""
    classes = library.mechanisms.values()
    return {name: var.unit for mechanism in classes for name, var in mechanism.parameters().items()}


def _covariate(entry: Any, declared: Mapping[str, str], where: str) -> _Written:
    only(entry, _COVARIATE, (), where)
    unit, parameter = str(entry.get("unit", "")), str(entry.get("parameter", ""))
    if parameter and parameter not in declared:
        raise unknown("parameter", parameter, declared, where)
    unit = unit or declared.get(parameter, "")
    units.convert(1.0, unit, declared.get(parameter, unit), where)
    if parameter and entry.keys() <= {"parameter", "unit"}:
        return _Written(parameter, unit)
    provenance(entry, where)
    forms = [(a, b) for a, b in (("median", "cv"), ("mean", "sd")) if a in entry or b in entry]
    if len(forms) != 1 or forms[0][1] not in entry:
        raise InputError("give median and cv (log-normal) or mean and sd (normal)", where)
    middle, width = forms[0]
    logarithmic = middle == "median"
    value, low, high, size = (number(entry, key, where) for key in (middle, "low", "high", width))
    assert size is not None
    if not size > 0 or (value is not None and not value > 0):
        raise InputError(f"{middle} and {width} must be above 0", where)
    if value is None:
        if not (parameter and logarithmic and low is None and high is None):
            raise InputError(f"the {middle} is missing; only an uncut log-normal parameter has it from its card", where)
        return _Written(parameter, unit, spread=Spread(spread(size)))
    if not (low is None or 0 < low < value) or not (high is None or value < high):
        raise InputError(f"low and high must lie above 0 and around the {middle}", where)
    sd = spread(size) if logarithmic else size / value
    score = (lambda v: math.log(v / value) / sd) if logarithmic else (lambda v: (v / value - 1.0) / sd)
    least = -math.inf if logarithmic else score(0.0)  # no quantity is negative
    cut = Spread(sd, logarithmic, least if low is None else score(low), math.inf if high is None else score(high))
    return _Written(parameter, unit, value, cut)


@dataclasses.dataclass(frozen=True)
class _WrittenEffect:
    """An effect as its file has it; `card` is empty where it acts whatever the cards."""

    effect: Effect
    card: str
    within_cv: bool


def _effects(
    entry: Any, written: Mapping[str, _Written], declared: Mapping[str, str], library: Library, where: str
) -> list[_WrittenEffect]:
    """The effects of one table, which may name several parameters."""
    only(entry, _EFFECT, ("parameter", "covariate", "exponent", "reference"), where)
    provenance(entry, where)
    parameters = entry["parameter"] if isinstance(entry["parameter"], list) else [entry["parameter"]]
    name, within_cv = str(entry["covariate"]), entry.get("within_cv", False)
    at = f"{where} of {name!r}"
    if name not in written:
        raise unknown("covariate", name, written, where)
    card = _card(entry, library, at)
    if not isinstance(within_cv, bool):
        raise InputError("within_cv must be true or false", at)
    exponent = number(entry, "exponent", at)
    assert exponent is not None
    reference = units.parse_quantity(entry["reference"], written[name].unit, at)
    if not reference > 0:
        raise InputError("the reference must be above 0", at)
    found = []
    for parameter in parameters:
        if not isinstance(parameter, str) or parameter not in declared:
            raise unknown("parameter", str(parameter), declared, at)
        if any(w.parameter == parameter for w in written.values()):
            raise InputError(f"{parameter!r} is a covariate itself; give the two a correlation", at)
        found.append(_WrittenEffect(Effect(parameter, name, exponent, reference), card, within_cv))
    return found


def _card(entry: Mapping[str, Any], library: Library, where: str) -> str:
    """The card that an effect or correlation belongs to; empty where it acts whatever the cards."""
    card = str(entry.get("card", ""))
    if card and card not in library.cards:
        raise unknown("card", card, library.cards, where)
    return card


def _acts(card: str, cards: Container[str]) -> bool:
    """Whether what belongs to `card` acts in a scenario of these cards."""
    return not card or card in cards


def _correlations(
    entries: Sequence[Any],
    written: Mapping[str, _Written],
    declared: Mapping[str, str],
    library: Library,
    cards: Container[str],
    where: str,
) -> tuple[tuple[str, ...], np.ndarray]:
    """The correlated streams, and the Cholesky factor of their matrix; `cards` are those of the scenario."""
    pairs: dict[tuple[str, str], float] = {}
    for entry in entries:
        only(entry, _CORRELATION, ("between", "rho"), where)
        provenance(entry, where)
        between, rho = entry["between"], number(entry, "rho", where)
        if not isinstance(between, list) or len(between) != 2 or not all(isinstance(name, str) for name in between):
            raise InputError(f"'between' must be a list of two names, not {between!r}", where)
        for name in between:
            if name not in written and name not in declared:
                raise unknown("covariate or parameter", name, [*written, *declared], where)
        if rho is None or not -1.0 < rho < 1.0:
            raise InputError(f"rho must lie between -1 and 1, not {rho!r}", where)
        if not _acts(_card(entry, library, where), cards):
            continue
        one, other = (_stream(name, written) for name in between)
        if one == other or (one, other) in pairs or (other, one) in pairs:
            raise InputError(f"{between[0]!r} and {between[1]!r} are one, or have a correlation already", where)
        pairs[one, other] = rho
    names = tuple(dict.fromkeys(name for pair in pairs for name in pair))
    matrix = np.eye(len(names))
    for (one, other), rho in pairs.items():
        i, j = names.index(one), names.index(other)
        matrix[i, j] = matrix[j, i] = rho
    try:
        return names, np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise InputError(
            "no subjects can have all these correlations together: they are not positive definite", where
        ) from None


def _stream(name: str, written: Mapping[str, _Written]) -> str:
    """The stream of a covariate or parameter: a covariate that is a parameter has the parameter's."""
    return (written[name].parameter or name) if name in written else name


def _rule(name: str, entry: Any, library: Library, where: str) -> Rule:
    at = f"{where}, [plausible] {name}"
    only(entry, _RULE, ("low", "high"), at)
    provenance(entry, at)
    low, high, unit = number(entry, "low", at), number(entry, "high", at), str(entry.get("unit", ""))
    assert low is not None and high is not None
    if not low < high:
        raise InputError(f"low ({low:g}) must lie below high ({high:g})", at)
    known = _quantities(library)
    if name not in known:
        raise unknown("quantity", name, known, where)
    text = f"{low:g} <= {name} <= {high:g}{'' if unit in ('', '1') else ' ' + unit}"
    return Rule(name, units.convert(low, unit, known[name], at), units.convert(high, unit, known[name], at), text)


def _quantities(library: Library) -> dict[str, str]:
    """The unit of every parameter, constant, state and signal that some mechanism has."""
    found = _declared(library)
    for mechanism in library.mechanisms.values():
        for table in (mechanism.constants, mechanism.states, mechanism.signals):
            found |= {name: var.unit for name, var in table.items()}
    return found


def _in_scenario(
    population: Population,
    scenario: Scenario,
    written: Mapping[str, _Written],
    effects: Sequence[_WrittenEffect],
    rules: Sequence[Rule],
) -> Population:
    """What of a population's file the scenario's model has."""
    model, cards = scenario.model, {card.name for card in scenario.cards}
    acting = [e for e in effects if scenario.values.get(e.effect.parameter) and _acts(e.card, cards)]
    used = {e.effect.covariate for e in acting}
    typical: dict[str, float] = {}
    spreads, covariates = _by_card(scenario), {}
    for name, w in written.items():
        own, stream, centre = scenario.parameters.get(w.parameter), w.parameter or name, w.centre
        if own is None and name not in used:
            continue
        if own is not None:
            if centre is None or own.card not in cards:  # what a user sets stays
                centre = units.convert(own.value, own.unit, w.unit)
            else:
                typical[own.name] = units.convert(centre, w.unit, own.unit)
        if w.spread is not None and centre:
            spreads[stream] = w.spread
        if centre and stream in spreads:
            covariates[name] = Covariate(stream, centre, w.unit)
    acting = [e for e in acting if e.effect.covariate in covariates]
    within = [e.effect for e in acting if e.within_cv and e.effect.parameter in spreads]
    for parameter in {e.parameter for e in within}:
        explained = _explained(population, covariates, spreads, [e for e in within if e.parameter == parameter])
        spreads[parameter] = Spread(math.sqrt(max(spreads[parameter].sd ** 2 - explained, 0.0)))
    known = {*model.parameters, *model.constants, *model.states, *model.signals}
    return dataclasses.replace(
        population,
        typical=typical,
        spreads=spreads,
        covariates=covariates,
        effects=tuple(e.effect for e in acting),
        rules=tuple(rule for rule in rules if rule.name in known),
    )


def _explained(
    population: Population,
    covariates: Mapping[str, Covariate],
    spreads: Mapping[str, Spread],
    effects: Sequence[Effect],
) -> float:
    """The variance of a parameter's logarithm that comes from these effects, before covariates are cut."""
    streams = [covariates[e.covariate].stream for e in effects]
    matrix = population.root @ population.root.T
    place = {name: i for i, name in enumerate(population.correlated)}
    sizes = [e.exponent * spreads[s].sd for e, s in zip(effects, streams, strict=True)]
    rho = lambda a, b: 1.0 if a == b else matrix[place[a], place[b]] if a in place and b in place else 0.0
    pairs = ((i, j) for i in range(len(effects)) for j in range(len(effects)))
    return float(sum(sizes[i] * sizes[j] * rho(streams[i], streams[j]) for i, j in pairs))

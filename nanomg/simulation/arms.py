"""The effect of a regimen on tumour free Mg and T-cell competence, compared with the same regimen without Mg.

Arms are lanes of one block: the regimen as given, without its Mg, with the same Mg given free, each under the LFA-1 hypotheses.
This is one of the few modules outside `models` that use quantities of the science by name: docs/architecture.md lists them.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nanomg.dosing.dose import Dose
from nanomg.equations.model import RISE, Model
from nanomg.library.scenario import Scenario
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.roles import AS_GIVEN as AS_GIVEN
from nanomg.simulation.roles import AS_SET as AS_SET
from nanomg.simulation.roles import CONCENTRATION, HYPOTHESES, LABEL, SERUM, SUBSTANCE, TUMOUR
from nanomg.simulation.roles import FREE as FREE
from nanomg.simulation.roles import WITHOUT as WITHOUT


@dataclasses.dataclass(frozen=True)
class Arms:
    """Trajectories of arms under hypotheses: `data[name]` and `status` are (regimen, hypothesis[, time])."""

    regimens: tuple[str, ...]
    hypotheses: tuple[str, ...]
    doses: Mapping[str, tuple[Dose, ...]]
    times: np.ndarray
    data: Mapping[str, np.ndarray]
    status: np.ndarray

    def pick(self, name: str, regimen: str, hypothesis: str) -> np.ndarray:
        """One trajectory (time,); of a rise that of the quantity less the same without Mg, 0 where no arm is without it."""
        side = self.hypotheses.index(hypothesis)
        if name in self.data:
            return self.data[name][self.regimens.index(regimen), side]
        without = self.regimens.index(WITHOUT if WITHOUT in self.regimens else regimen)
        both = self.data[name.removesuffix(RISE)]
        return both[self.regimens.index(regimen), side] - both[without, side]


def hypotheses_of(scenario: Scenario) -> tuple[str, ...]:
    """The hypotheses to run; the one that the scenario's weights choose comes first. A mixture runs as set, too."""
    if not all(name in scenario.parameters for name in HYPOTHESES.values()):
        return (AS_SET,)
    weights = {h: scenario.parameters[name].value for h, name in HYPOTHESES.items()}
    chosen = [h for h, w in weights.items() if w > 0]
    rest = tuple(h for h in HYPOTHESES if len(chosen) > 1 or h not in chosen)
    return ((AS_SET,) if len(chosen) != 1 else tuple(chosen)) + rest


def weights_of(hypotheses: Sequence[str], values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The weights of the hypotheses, (hypothesis,) by parameter: for "as set" those of `values`; empty if all are "as set"."""
    if not set(hypotheses) & set(HYPOTHESES):
        return {}
    return {
        name: np.array([float(values[name]) if h == AS_SET else float(HYPOTHESES[h] == name) for h in hypotheses])
        for name in HYPOTHESES.values()
    }


def carries(model: Model, cmt: str) -> list[str]:
    """The states that hold Mg among those that a dose into `cmt` reaches; none where it inoculates a tumour: no treatment."""
    reached = model.ports[cmt].into if cmt in model.ports else (cmt,) if cmt else ()
    held = {s: model.states[s].substance for s in reached}
    return [] if TUMOUR in held.values() else [s for s, what in held.items() if what == SUBSTANCE]


def is_label(model: Model, cmt: str) -> bool:
    """Whether a dose into `cmt` is a label of Mg, which follows it and does not add to it."""
    reached = model.ports[cmt].into if cmt in model.ports else (cmt,) if cmt else ()
    return any(model.states[state].substance == LABEL for state in reached)


def has_free_mg(model: Model) -> bool:
    """Whether the model has Mg outside of carriers; without, a payload stands for any drug and there is no effect of Mg."""
    return SERUM in model.owner or CONCENTRATION in model.owner


def any_mg(model: Model, doses: Sequence[Dose]) -> bool:
    """Whether any dose brings Mg that the model can tell from other drugs."""
    return has_free_mg(model) and any(carries(model, dose.cmt) for dose in doses)


def without_mg(model: Model, doses: Sequence[Dose]) -> tuple[Dose, ...]:
    """The regimen with every dose that brings Mg left out."""
    return tuple(d for d in doses if not carries(model, d.cmt))


def free_of(model: Model, x: Mapping[str, Any], cmt: str) -> tuple[str, float] | None:
    """The port that takes the Mg of a dose into `cmt` unencapsulated, and how much Mg one unit of dose brings; None if none is.

    `x` holds parameters and constants.
    """
    port = model.ports.get(cmt)
    if port is None or port.free not in {*model.ports, *model.states} or not carries(model, cmt):
        return None
    share = [port.into[s] for s in carries(model, cmt)]
    return port.free, sum(float(x[c]) if isinstance(c, str) else c for c in share)


def given_free(scenario: Scenario, doses: Sequence[Dose]) -> tuple[Dose, ...] | None:
    """The regimen with the Mg of every carrier given unencapsulated by the same route, or None where nothing is encapsulated."""
    x = simulation_lanes.derived(scenario.model, scenario.values)
    found = {cmt: free_of(scenario.model, x, cmt) for cmt in {dose.cmt for dose in doses}}
    if not any(found.values()):
        return None
    free = []
    for dose in doses:
        to = found[dose.cmt]
        free.append(dose if to is None else Dose(dose.time, dose.amt * to[1], to[0], dose.duration))
    return tuple(free)


def arms_of(scenario: Scenario, doses: Sequence[Dose], name: str = AS_GIVEN) -> dict[str, tuple[Dose, ...]]:
    """A regimen with its paired arms."""
    arms = {name: tuple(doses)}
    if any_mg(scenario.model, doses):
        arms[WITHOUT] = without_mg(scenario.model, doses)
        if (free := given_free(scenario, doses)) is not None:
            arms[FREE] = free
    return arms


def run_arms(
    scenario: Scenario,
    arms: Mapping[str, tuple[Dose, ...]],
    rtol: float = simulation_lanes.RTOL,
    hypotheses: Sequence[str] | None = None,
    precision: str = "float64",
) -> Arms:
    """Solve every arm under every hypothesis as one block and return all states and signals."""
    hypotheses = tuple(hypotheses or hypotheses_of(scenario))
    regimens, model = tuple(arms), scenario.model
    doses = tuple(sorted({d for arm in arms.values() for d in arm}, key=lambda d: (d.time, d.cmt, d.amt, d.duration)))
    times_given = [Counter(arm) for arm in arms.values()]
    given = np.array([[d.amt * count[d] for count in times_given for _ in hypotheses] for d in doses])
    batch = len(regimens) * len(hypotheses)
    weights = weights_of(hypotheses, scenario.values)
    plan = simulation_lanes.plan_for(model, doses, tuple(weights), precision=precision)
    times = simulation_lanes.output_times(scenario.horizon, scenario.every, doses)
    values = scenario.values | {name: np.tile(weight, len(regimens)) for name, weight in weights.items()}
    lanes = simulation_lanes.lanes_for(
        plan, values, doses, scenario.windows, times, batch, given.reshape(len(doses), batch)
    )
    solved = simulation_lanes.run(plan, lanes, rtol)
    found = simulation_lanes.observe(plan, lanes, solved, [*model.states, *model.signals])
    shape = len(regimens), len(hypotheses)
    data = {name: np.moveaxis(rows.reshape(len(times), *shape), 0, -1) for name, rows in found.items()}
    return Arms(regimens, hypotheses, dict(arms), times, data, np.asarray(solved.status).reshape(shape))

"""What an output does where a parameter or a dose is a little larger, for all of them from one walk backwards.

The elasticity d ln(output) / d ln(parameter) is the change of the output in per cent where the parameter is larger by one per cent.
Lanes share nothing: each output is read off a lane of its own, and the gradients of all come out of one reverse pass side by side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.analysis.readouts import WHOLE_COURSE
from nanomg.compute import programs
from nanomg.equations.model import Model, stack
from nanomg.errors import InputError, SimulationError, unknown
from nanomg.jobs.sweep.keep import VALUE, Keep, keep_of
from nanomg.library.scenario import Scenario
from nanomg.population.ranges import Range, range_of
from nanomg.results import groups
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation import record_course
from nanomg.simulation.plan import Lanes, Plan
from nanomg.solver.status import Status

_SMOOTH = {name: readout for name, readout in WHOLE_COURSE.items() if readout.smooth}
_LANES = 8  # their number is a multiple of this, so that requests share one compiled program
DOSED = "dosed"


class Slopes(NamedTuple):
    """Outputs in their units, and how each changes per unit of each parameter and of each dose."""

    value: np.ndarray  # (output,)
    parameter: np.ndarray  # (output, parameter)
    amount: np.ndarray  # (output, dose)


def outputs_asked(texts: Sequence[str], scenario: Scenario) -> tuple[Keep, ...]:
    """Outputs as written (`tumour.volume:max`), each once; without any, the scenario's first one at the end.

    Raises `InputError` for an unknown quantity, a statistic without a slope, and a quantity on which nothing acts.
    """
    if not texts and not scenario.outputs:
        raise InputError("the scenario has no outputs; name one with --of", f"scenario {scenario.name!r}")
    found = dict.fromkeys(_output(text, scenario) for text in texts or list(scenario.outputs)[:1])
    return tuple(found)


def _output(text: str, scenario: Scenario) -> Keep:
    where = f"--of {text}"
    try:
        output = keep_of(text, scenario)
    except InputError as error:
        raise InputError(error.message, where) from None
    if output.name not in _quantities(scenario.model):
        raise InputError("this is an input, which depends on nothing; name a state, signal or constant", where)
    if output.how != VALUE and output.how not in _SMOOTH:
        raise unknown("statistic with a slope", output.how, _SMOOTH, where)
    return output


def _quantities(model: Model) -> list[str]:
    return [*model.states, *model.signals, *model.constants]


# ---------------------------------------------------------------- the walk backwards
def slopes_of(scenario: Scenario, outputs: Sequence[Keep], rtol: float = simulation_lanes.RTOL) -> Slopes:
    """The outputs of a scenario with their gradients. Raises `SimulationError` where it cannot be solved."""
    plan = simulation_lanes.plan_for(scenario.model, scenario.doses, tuple(scenario.parameters))
    count = len(outputs) + -len(outputs) % _LANES
    times = simulation_lanes.output_times(scenario.horizon, scenario.every, scenario.doses)
    values = {name: np.full(count, value) for name, value in scenario.values.items()}
    amounts = np.repeat(np.array([d.strength for d in scenario.doses])[:, None], count, 1)
    lanes = simulation_lanes.lanes_for(plan, values, scenario.doses, scenario.windows, times, count, amounts)
    quantities, hows = _quantities(scenario.model), list(_SMOOTH)
    index = [quantities.index(output.name) for output in outputs]
    how = [0 if output.how == VALUE else hows.index(output.how) for output in outputs]
    fill = lambda rows: np.pad(np.array(rows), (0, count - len(rows)), "edge")
    order = simulation_lanes.edge_order(plan, lanes)
    given, tolerance = lanes._replace(order=None), jnp.asarray(rtol)
    found, status, of_values, of_amounts = _pulled(plan, given, order, fill(index), fill(how), tolerance)
    if (worst := Status(int(np.max(status)))) != Status.DONE:
        raise SimulationError(f"it cannot be solved: {worst.reason}", f"scenario {scenario.name!r}")
    factor = np.array([output.factor for output in outputs])
    size = len(outputs)
    parameter = np.stack([np.asarray(of_values[name])[:size] for name in scenario.parameters], 1)
    doses = len(scenario.doses)
    amount = np.asarray(of_amounts)[:doses].reshape(doses, count)[:, :size].T
    return Slopes(factor * np.asarray(found)[:size], factor[:, None] * parameter, factor[:, None] * amount)


@programs.compiled(0)
def _pulled(
    plan: Plan, lanes: Lanes, order: Any, index: Any, how: Any, rtol: Any
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array], jax.Array]:
    """Outputs and status (lane,), and the gradient of each lane's output in its parameters and amounts.

    What is read off each lane is a traced number, so other outputs need no other program.
    """

    def seen(values: dict[str, Any], amount: Any) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        given = record_course.with_amounts(lanes._replace(values=values), amount)
        solved = simulation_lanes.trajectory(plan, given, order, rtol)
        x = simulation_lanes.observables(plan.model, values, solved.y, solved.forcing)
        curves = stack([x[name] for name in _quantities(plan.model)], solved.y[:, 0].shape)
        curve = jnp.take_along_axis(curves, index[None, None], 0)[0]
        t = lanes.output
        read = jnp.stack([readout.formula(t, curve, t[0], t[-1]) for readout in _SMOOTH.values()])
        found = jnp.take_along_axis(read, how[None], 0)[0]
        return jnp.sum(found), (found, solved.status)

    (_, (found, status)), (of_values, of_amounts) = jax.value_and_grad(seen, (0, 1), has_aux=True)(
        lanes.values, lanes.amount
    )
    return found, status, of_values, of_amounts


# ---------------------------------------------------------------- what is said of it
def elasticity_rows(scenario: Scenario, outputs: Sequence[Keep], slopes: Slopes, over: str) -> list[dict[str, Any]]:
    """One row for each output and parameter or dosed port, the largest elasticity first, those without one last.

    `elasticity` is None where output or parameter is 0, `slope` [unit of the output per unit] always there. `at_low` and `at_high`
    are the change of ln(output) at the ends of the range `over`, to first order; `range_effect` is their difference.
    """
    ports = list(dict.fromkeys(dose.cmt for dose in scenario.doses if dose.cmt))
    rows = []
    for output, y, parameter, amount in zip(outputs, *slopes, strict=True):
        own = [
            _of_parameter(scenario, name, y, slope, over)
            for name, slope in zip(scenario.parameters, parameter, strict=True)
        ]
        own += [_of_port(scenario, port, y, amount) for port in ports]
        own.sort(key=lambda row: -math.inf if row["elasticity"] is None else abs(row["elasticity"]), reverse=True)
        rows += [{"output": output.label, **row} for row in own]
    return rows


def _of_parameter(scenario: Scenario, name: str, y: float, slope: float, over: str) -> dict[str, Any]:
    p = scenario.parameters[name]
    elasticity = float(slope * p.value / y) if y and p.value else None
    span, ends = range_of(p, over), (None, None)
    if span and y:
        # along the logarithm where there is one, else along the value itself
        along = p.value * np.log(np.array(span) / p.value) if p.value and span.low > 0 else np.array(span) - p.value
        ends = tuple((slope / y * along).tolist())
    return {
        "parameter": name,
        "elasticity": elasticity,
        "slope": float(slope),
        "value": p.value,
        "unit": p.unit,
        **_range_entries(span, ends),
        "basis": p.basis,
        "text": scenario.model.parameters[name].text,
    }


def _range_entries(span: Range | None = None, ends: tuple[float | None, ...] = (None, None)) -> dict[str, float | None]:
    """Ends of a range, and what the logarithm of the output does at each and between them."""
    low, high = span or (None, None)
    at_low, at_high = ends
    effect = None if at_low is None or at_high is None else at_high - at_low
    return {"low": low, "high": high, "at_low": at_low, "at_high": at_high, "range_effect": effect}


def _of_port(scenario: Scenario, port: str, y: float, amount: np.ndarray) -> dict[str, Any]:
    """All doses into a port made larger together; `value` is what they add up to."""
    own = [i for i, dose in enumerate(scenario.doses) if dose.cmt == port]
    given = np.array([scenario.doses[i].strength for i in own])
    unit, scale = groups.shown(scenario, port)
    total, moved = float(given.sum()), float(given @ amount[own])
    return {
        "parameter": f"dose.{port}",
        "elasticity": moved / y if y and total else None,
        "slope": moved / (total * scale) if total else float(amount[own].mean()) / scale,
        "value": total * scale,
        "unit": unit,
        **_range_entries(),
        "basis": DOSED,
        "text": f"amount of {len(own)} dose{'s' * (len(own) > 1)} into {port}",
    }

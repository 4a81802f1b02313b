"""What an output does where a parameter or a dose is a little larger, for all of them from one walk backwards.

The elasticity d ln(output) / d ln(parameter) is the change of the output in per cent where the parameter is larger by one per cent.
Lanes share nothing: each output is read off a lane of its own, and the gradients of all come out of one reverse pass side by side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nanomg.analysis.readouts import WHOLE_COURSE
from nanomg.compute import programs
from nanomg.dosing.record_columns import columns_of
from nanomg.equations.model import Model, stack
from nanomg.errors import InputError, SimulationError, unknown
from nanomg.jobs.sweep.keep import VALUE, Keep, keep_of
from nanomg.library.scenario import Scenario, dosed_unit
from nanomg.population.ranges import Range, range_of
from nanomg.simulation import event_times, record_course
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.arms import AS_GIVEN, carries
from nanomg.simulation.plan import Lanes, Plan
from nanomg.simulation.subject_lanes import SubjectLanes
from nanomg.solver.status import Status

_SMOOTH = {name: readout for name, readout in WHOLE_COURSE.items() if readout.smooth}
_LANES = 8  # their number is a multiple of this, so that requests share one compiled program
DOSED, COLUMN = "dosed", "column"


class GivenAmount(NamedTuple):
    """What a dose or record gives into `cmt`: `repeats` times an amount, or the rate of an infusion that has always run."""

    cmt: str
    strength: float
    repeats: int = 1


class Slopes(NamedTuple):
    """Outputs in their units, and how each changes per unit of each parameter and of each dose.

    Over an event table an output is the mean over its subjects; a parameter that follows a column is a factor on the column.
    """

    value: np.ndarray  # (output,)
    parameter: np.ndarray  # (output, parameter)
    amount: np.ndarray  # (output, dose)
    given: tuple[GivenAmount, ...]  # (dose,)
    subjects: int = 1


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


def _quantities(model: Model) -> tuple[str, ...]:
    return *model.states, *model.signals, *model.constants


# ---------------------------------------------------------------- the walk backwards
def slopes_of(scenario: Scenario, outputs: Sequence[Keep], rtol: float = simulation_lanes.RTOL) -> Slopes:
    """The outputs of a scenario with their gradients. Raises `SimulationError` where it cannot be solved."""
    count = len(outputs) + -len(outputs) % _LANES
    size = len(outputs)
    quantities, hows = _quantities(scenario.model), list(_SMOOTH)
    index = [quantities.index(output.name) for output in outputs]
    how = [0 if output.how == VALUE else hows.index(output.how) for output in outputs]
    fill = lambda rows: np.pad(np.array(rows), (0, count - len(rows)), "edge")
    tolerance = jnp.asarray(rtol)
    parts = []
    rise = np.array([float(output.rise) for output in outputs])
    for plan, lanes, given in (_of_subjects if scenario.subjects else _of_doses)(scenario, count):
        order = simulation_lanes.edge_order(plan, lanes)
        without = None
        if rise.any():  # which doses the arm without Mg has
            stay = [not carries(scenario.model, dose.cmt) for dose in given]
            without = fill(rise), np.array(stay, float)[:, None]
        found, status, of_values, of_amounts = _pulled(
            plan, quantities, lanes._replace(order=None), order, fill(index), fill(how), tolerance, without
        )
        if (worst := Status(int(np.max(status)))) != Status.DONE:
            raise SimulationError(f"it cannot be solved: {worst.reason}", f"scenario {scenario.name!r}")
        parameter = np.stack([np.asarray(of_values[name])[:size] for name in scenario.parameters], 1)
        amount = np.asarray(of_amounts)[: len(given)].reshape(len(given), count)[:, :size].T
        parts.append(Slopes(np.asarray(found)[:size], parameter, amount, given))
    return Slopes(
        np.mean([part.value for part in parts], 0),
        np.mean([part.parameter for part in parts], 0),
        np.concatenate([part.amount for part in parts], 1) / len(parts),
        tuple(given for part in parts for given in part.given),
        len(parts),
    )


_Part = tuple[Plan, Lanes, tuple[GivenAmount, ...]]


def _of_doses(scenario: Scenario, count: int) -> Iterator[_Part]:
    """The scenario's doses in so many lanes."""
    doses = scenario.doses
    plan = simulation_lanes.plan_for(scenario.model, doses, tuple(scenario.parameters))
    times = simulation_lanes.output_times(scenario.horizon, scenario.every, doses)
    values = {name: np.full(count, value) for name, value in scenario.values.items()}
    amounts = np.repeat(np.array([d.strength for d in doses])[:, None], count, 1)
    lanes = simulation_lanes.lanes_for(plan, values, doses, scenario.windows, times, count, amounts)
    yield plan, lanes, tuple(GivenAmount(dose.cmt, dose.strength) for dose in doses)


def _of_subjects(scenario: Scenario, count: int) -> Iterator[_Part]:
    """Each subject of the scenario's event table in so many lanes."""
    subjects = scenario.subjects
    times, _ = event_times.around_doses(scenario, subjects)
    table = SubjectLanes(scenario, {AS_GIVEN: subjects}, times, tuple(scenario.parameters))
    values = {name: np.full(count, 1.0 if name in scenario.bound else v) for name, v in scenario.values.items()}
    for i, subject in enumerate(subjects):
        who, arm = np.full(count, i), np.zeros(count, int)
        given = table.given(who[:1], arm[:1])
        addl = columns_of([subject])[0].addl
        lanes = table.lanes(values, who, arm, times[:, who])
        rows = zip(given.cmt[:, 0], given.strength[:, 0].tolist(), (addl + 1).tolist(), strict=True)
        yield table.plan, lanes, tuple(GivenAmount(str(cmt), strength, n) for cmt, strength, n in rows)


@programs.compiled(0, 1)
def _pulled(
    plan: Plan, quantities: tuple[str, ...], lanes: Lanes, order: Any, index: Any, how: Any, rtol: Any, without: Any
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array], jax.Array]:
    """Outputs and status (lane,), and the gradient of each lane's output in its parameters and amounts.

    What is read off each lane is a traced number, so other outputs need no other program. For a rise `without` says which lanes
    are of one (lane,), and which doses stay in the arm without Mg (dose, 1).
    """

    def curve_of(values: dict[str, Any], amount: Any) -> tuple[jax.Array, jax.Array]:
        given = record_course.with_factors(lanes._replace(values=values), values)
        given = record_course.with_amounts(given, amount)
        solved = simulation_lanes.trajectory(plan, given, order, rtol)
        x = simulation_lanes.observables(plan.model, {**values, **solved.bound}, solved.y, solved.forcing)
        curves = stack([x[name] for name in quantities], solved.y[:, 0].shape)
        return jnp.take_along_axis(curves, index[None, None], 0)[0], solved.status

    def seen(values: dict[str, Any], amount: Any) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        curve, status = curve_of(values, amount)
        if without is not None:
            is_rise, stay = without
            other, other_status = curve_of(values, amount * stay)
            curve, status = curve - is_rise * other, jnp.maximum(status, other_status)
        t = lanes.output
        read = jnp.stack([readout.formula(t, curve, t[0], t[-1]) for readout in _SMOOTH.values()])
        found = jnp.take_along_axis(read, how[None], 0)[0]
        return jnp.sum(found), (found, status)

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
    ports = list(dict.fromkeys(given.cmt for given in slopes.given if given.cmt))
    rows = []
    for output, y, parameter, amount in zip(outputs, *slopes[:3], strict=True):
        of_output = [
            _of_column(scenario, name, y, slope)
            if name in scenario.bound
            else _of_parameter(scenario, name, y, slope, over)
            for name, slope in zip(scenario.parameters, parameter, strict=True)
        ]
        of_output += [_of_port(scenario, port, y, amount, slopes) for port in ports]
        of_output.sort(key=lambda row: -math.inf if row["elasticity"] is None else abs(row["elasticity"]), reverse=True)
        rows += [{"output": output.label, **row} for row in of_output]
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


def _of_column(scenario: Scenario, name: str, y: float, slope: float) -> dict[str, Any]:
    """A parameter that follows a column; `value` is the mean of the column, and `slope` that of a factor on it."""
    column, _ = columns_of(scenario.subjects)
    mean = float(np.nanmean(column.covariates[name]))
    return {
        "parameter": name,
        "elasticity": slope / y if y and mean else None,
        "slope": slope / mean if mean else 0.0,
        "value": mean,
        "unit": scenario.parameters[name].unit,
        **_range_entries(),
        "basis": COLUMN,
        "text": f"{scenario.model.parameters[name].text}, which follows column {scenario.bound[name]}",
    }


def _range_entries(span: Range | None = None, ends: tuple[float | None, ...] = (None, None)) -> dict[str, float | None]:
    """Ends of a range, and what the logarithm of the output does at each and between them."""
    low, high = span or (None, None)
    at_low, at_high = ends
    effect = None if at_low is None or at_high is None else at_high - at_low
    return {"low": low, "high": high, "at_low": at_low, "at_high": at_high, "range_effect": effect}


def _of_port(scenario: Scenario, port: str, y: float, amount: np.ndarray, slopes: Slopes) -> dict[str, Any]:
    """All doses into a port made larger together; `value` is what they add up to, on average over the subjects of a table."""
    members = [i for i, given in enumerate(slopes.given) if given.cmt == port]
    given, count = (np.array([getattr(slopes.given[i], name) for i in members]) for name in ("strength", "repeats"))
    total, moved = float(given @ count) / slopes.subjects, float(given @ amount[members])
    doses = int(count.sum())
    several = f" of {slopes.subjects} subjects" if slopes.subjects > 1 else ""
    return {
        "parameter": f"dose.{port}",
        "elasticity": moved / y if y and total else None,
        "slope": moved / total if total else float(amount[members].mean()),
        "value": total,
        "unit": dosed_unit(scenario.model, port),
        **_range_entries(),
        "basis": DOSED,
        "text": f"amount of {doses} dose{'s' * (doses > 1)} into {port}{several}",
    }

"""What differs between the trajectories of a sweep: axes over parameters and doses, as a grid or as samples.

    NAME=LOW..HIGH[ UNIT]:log:20      20 values from LOW to HIGH, evenly spaced in the logarithm (`lin` or nothing: evenly)
    NAME=A,B,C[ UNIT]                 these values

NAME is a parameter, `hypothesis` (H1, H2, H3), or a property of the doses: `dose.amount`, `dose.scale` (a factor on every amount),
`dose.start` (of the first one; the others move with it), `dose.interval`, `dose.duration` or `dose.count` (the first so many).
Where several ports are dosed the port is named: `dose.liposome.iv.amount`. Numbers may have any unit of the dimension, without one
they have the model's, in which the axis is.

In a grid every axis is a dimension. Sobol points and Latin hypercubes fill the box of all axes with points along one dimension.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from nanomg import units
from nanomg.dosing.quantities import amount_in
from nanomg.errors import InputError, unknown
from nanomg.jobs.sweep.regimens import DOSE_PROPERTIES, HYPOTHESIS, ID, POINT, REGIMEN, brings_mg, dosed
from nanomg.library.scenario import Scenario
from nanomg.results.attributes import of_quantity
from nanomg.simulation import arms as simulation_arms
from nanomg.simulation import roles

SAMPLES = ("grid", "sobol", "lhs")


_LONGEST, _MOST = 1_000_000, 100_000_000  # values of an axis, points of a design


class Axis(NamedTuple):
    """One varied quantity: its values or the ends of its range in `unit`, the model's."""

    name: str
    unit: str
    values: tuple[Any, ...]  # numbers, or the names of hypotheses; empty where a range awaits its points
    ends: tuple[float, float] | None
    log: bool
    text: str  # what it is

    def at(self, share: np.ndarray) -> np.ndarray:
        """The values at shares from 0 to 1 of the way along the axis."""
        if self.ends is None:
            index = np.minimum((share * len(self.values)).astype(int), len(self.values) - 1)
            return np.array(self.values)[index]
        low, high = self.ends
        if self.log:
            return np.asarray(low * (high / low) ** share)
        return np.asarray(low + (high - low) * share)


class AxisColumn(NamedTuple):
    """What a parameter or a property of doses is along a dimension, in the model's unit."""

    dim: str
    values: np.ndarray


@dataclasses.dataclass(frozen=True)
class SweepDesign:
    """The points of a sweep in the order of `dims`, the last one fastest; `columns` by parameter or property of doses."""

    dims: Mapping[str, int]
    columns: Mapping[str, AxisColumn]
    coords: Mapping[str, xr.Variable]

    @property
    def points(self) -> int:
        """How many points there are."""
        return math.prod(self.dims.values())

    def at(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """The columns' values at points of these numbers."""
        if not self.dims:
            return {}
        where = dict(zip(self.dims, np.unravel_index(points, tuple(self.dims.values())), strict=True))
        return {name: column.values[where[column.dim]] for name, column in self.columns.items()}


# ---------------------------------------------------------------- reading
def parse_axis(text: str, scenario: Scenario) -> Axis:
    """One axis as written. Raises `InputError` of one sentence for whatever is wrong with it."""
    name, sign, body = (part.strip() for part in text.partition("="))
    if not (name and sign and body):
        raise InputError(
            f"{text!r} is not NAME=LOW..HIGH:log:N or NAME=A,B,C, such as 'liposome.k_leak=1e-4..0.01 1/h:log:20'",
            "--vary",
        )
    where = f"--vary {name}"
    body, log, count = _spacing(body, where)
    for bound in _acts_on(name, scenario) & scenario.bound.keys():
        message = f"{bound} follows column {scenario.bound[bound]} of the event table, so an axis cannot set it"
        raise InputError(f"{message}; vary another parameter, or remove the column", where)
    if name == HYPOTHESIS:
        return _hypotheses(body, scenario, where)
    unit, read, most, what = _quantity(name, scenario, where)
    first, dots, last = body.partition("..")
    written = [first, last] if dots else body.split(",")
    numbers = _numbers(written, unit, read, where)
    for number in numbers:
        if not 0 <= number <= most * (1 + 1e-12):
            allowed = "0 or more" if math.isinf(most) else f"0 to {most:g}"
            raise InputError(f"{number:g} {unit} is out of range; {allowed} is allowed", where)
    if not dots:
        if len({*numbers}) < len(numbers):
            raise InputError("a value is given twice", where)
        return Axis(name, unit, tuple(numbers), None, False, what)
    low, high = numbers
    if not low < high:
        raise InputError(f"the range must increase, but {low:g} is not below {high:g}", where)
    if log and low <= 0:
        raise InputError("a range that is spaced in the logarithm must begin above 0", where)
    axis = Axis(name, unit, (), (low, high), log, what)
    return axis if count is None else axis._replace(values=tuple(axis.at(np.linspace(0.0, 1.0, count)).tolist()))


def _spacing(body: str, where: str) -> tuple[str, bool, int | None]:
    """The values as written, whether they are spaced in the logarithm, and how many they are."""
    head, *rest = (part.strip() for part in body.split(":"))
    log, count = False, None
    for part in rest:
        if part in ("log", "lin"):
            log = part == "log"
        elif part.isdecimal() and 2 <= int(part) <= _LONGEST:
            count = int(part)
        else:
            raise InputError(f"{part!r} is neither 'log' nor 'lin' nor a number of values, 2 to {_LONGEST:,}", where)
    if rest and ".." not in head:
        raise InputError("a list of values takes neither a spacing nor a number of values", where)
    return head, log, count


def _hypotheses(body: str, scenario: Scenario, where: str) -> Axis:
    names = tuple(part.strip() for part in body.split(","))
    if not all(name in scenario.parameters for name in roles.HYPOTHESES.values()):
        raise InputError("the model has no LFA-1 under several hypotheses", where)
    for name in names:
        if name not in roles.HYPOTHESES:
            raise unknown("hypothesis", name, roles.HYPOTHESES, where)
    if len({*names}) < len(names):
        raise InputError("a hypothesis is given twice", where)
    return Axis(HYPOTHESIS, "", names, None, False, "hypothesis on LFA-1")


def _numbers(written: Sequence[str], unit: str, read: Callable[[str], float], where: str) -> list[float]:
    """The numbers in the model's unit; as written, one without a unit has that of the last."""
    pairs = [units.split_quantity(part, where) for part in written]
    last = pairs[-1][1] or unit
    return [value * read(f"1 {own or last}") for value, own in pairs]


def _quantity(name: str, scenario: Scenario, where: str) -> tuple[str, Callable[[str], float], float, str]:
    """Unit, reader, largest value and description of what an axis varies."""
    if name.startswith("dose.") and name not in scenario.parameters:
        cmt, what = dosed(name, scenario, where)
        if what in ("scale", "count"):
            return "", lambda text: units.parse_quantity(text, "", where), math.inf, f"{what} of doses into {cmt}"
        if what != "amount":
            return "h", lambda text: units.parse_quantity(text, "h", where), math.inf, f"{what} of doses into {cmt}"
        port = scenario.dosed(cmt)
        read = lambda text: amount_in(text, port, "amount", where)
        return port.unit, read, math.inf, f"amount of each dose into {cmt}"
    if name not in scenario.parameters:
        raise unknown("parameter", name, [*scenario.parameters, *(f"dose.{what}" for what in DOSE_PROPERTIES)], where)
    declared = scenario.model.parameters[name]
    return declared.unit, lambda text: units.parse_quantity(text, declared.unit, where), declared.at_most, declared.text


def _acts_on(name: str, scenario: Scenario) -> set[str]:
    """The parameters or the property of doses that an axis sets, however it names them."""
    if name == HYPOTHESIS:
        return {*roles.HYPOTHESES.values()}
    if name in scenario.parameters or not name.startswith("dose."):
        return {name}
    return {".".join(("dose", *dosed(name, scenario, f"--vary {name}")))}


# ---------------------------------------------------------------- laying out
def lay_out(
    texts: Sequence[str],
    scenario: Scenario,
    sample: str = "grid",
    points: int | None = None,
    seed: int = 0,
    paired: bool = False,
) -> SweepDesign:
    """The design that axes as written make. `points` is the number of samples, and of values of a range without one in a grid.

    With `paired`, every point is solved as given and without Mg, along the dimension `regimen`.
    """
    if sample not in SAMPLES:
        raise unknown("way to sample", sample, SAMPLES, "--sample")
    if points is not None and points < 2:
        raise InputError(f"at least 2 points are needed, not {points}", "--points")
    if points is not None and points > _MOST:
        raise InputError(f"{points:,} points are too many; {_MOST:,} at most", "--points")
    axes = [parse_axis(text, scenario) for text in texts]
    if sample != "grid" and not axes:
        raise InputError("there is nothing to sample; add an axis (--vary)", "--sample")
    varied: set[str] = set()
    for axis in axes:
        names = _acts_on(axis.name, scenario)
        if names & varied:
            raise InputError(f"{axis.name!r} is varied twice", "--vary")
        varied |= names
    dims, columns, coords = (_grid if sample == "grid" or not axes else _sampled)(axes, sample, points, seed)
    _add_subjects(scenario, dims, columns, coords)
    if paired:
        if not brings_mg(scenario):
            raise InputError("no dose of this regimen contains Mg, so there is no arm without it", "--paired")
        arms = (simulation_arms.AS_GIVEN, simulation_arms.WITHOUT)
        dims[REGIMEN] = len(arms)
        columns[REGIMEN] = AxisColumn(REGIMEN, np.arange(len(arms)))
        coords[REGIMEN] = xr.Variable((REGIMEN,), np.array(arms, object), {"long_name": "arm"})
    found = SweepDesign(dims, columns, coords)
    if found.points > _MOST:
        raise InputError(f"the axes span {found.points:,} points; {_MOST:,} at most", "--vary")
    return found


def _add_subjects(
    scenario: Scenario, dims: dict[str, int], columns: dict[str, AxisColumn], coords: dict[str, xr.Variable]
) -> None:
    """The subjects of an event table as a further dimension, if there are several."""
    names = [subject.id for subject in scenario.subjects]
    if len(names) > 1:
        dims[ID] = len(names)
        columns[ID] = AxisColumn(ID, np.arange(len(names)))
        coords[ID] = xr.Variable((ID,), np.array(names, object), {"long_name": "subject of the event table"})


def of_values(values: Mapping[str, np.ndarray], scenario: Scenario) -> SweepDesign:
    """The design whose points take these values, (point,) each, in the model's units."""
    for name in values:
        if name not in scenario.parameters:
            raise unknown("parameter", name, scenario.parameters, "values")
        if name in scenario.bound:
            raise InputError(f"{name} follows column {scenario.bound[name]} of the event table", "values")
    shapes = {np.shape(v) for v in values.values()}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 1 or not shape[0]:
        raise InputError("every parameter needs the same number of values, one for each point")
    attributes = {
        name: of_quantity(scenario.model.parameters[name].unit, scenario.model.parameters[name].text) for name in values
    }
    dims = {POINT: shape[0]}
    columns = {name: AxisColumn(POINT, np.asarray(v, float)) for name, v in values.items()}
    coords = {name: xr.Variable((POINT,), np.asarray(v, float), attributes[name]) for name, v in values.items()}
    _add_subjects(scenario, dims, columns, coords)
    return SweepDesign(dims, columns, coords)


def _grid(axes: Sequence[Axis], sample: str, points: int | None, seed: int) -> tuple[dict[str, Any], ...]:
    dims: dict[str, int] = {}
    columns: dict[str, AxisColumn] = {}
    coords: dict[str, xr.Variable] = {}
    if points is not None and all(axis.values for axis in axes):
        raise InputError("no axis needs this number of values; remove it", "--points")
    for axis in axes:
        if not axis.values and points is None:
            raise InputError(
                "give the number of values of the range, as in '0.01..1:log:20', or use --points", f"--vary {axis.name}"
            )
        values = np.array(axis.values or axis.at(np.linspace(0.0, 1.0, points or 0)))
        dims[axis.name] = len(values)
        columns |= _columns(axis, axis.name, values)
        coords[axis.name] = _coordinate(axis, axis.name, values)
    return dims, columns, coords


def _sampled(axes: Sequence[Axis], sample: str, points: int | None, seed: int) -> tuple[dict[str, Any], ...]:
    from scipy.stats import qmc

    if points is None:
        raise InputError("give the number of points with --points, for sobol a power of 2", "--sample")
    for axis in axes:
        if axis.ends is not None and axis.values:
            raise InputError("a sampled range has no number of values", f"--vary {axis.name}")
    if sample == "sobol":  # balanced in powers of two
        unit = qmc.Sobol(len(axes), rng=seed).random_base2((points - 1).bit_length())[:points]
    else:
        unit = qmc.LatinHypercube(len(axes), rng=seed).random(points)
    columns: dict[str, AxisColumn] = {}
    coords: dict[str, xr.Variable] = {}
    for axis, share in zip(axes, unit.T, strict=True):
        columns |= _columns(axis, POINT, axis.at(share))
        coords[axis.name] = _coordinate(axis, POINT, axis.at(share))
    return {POINT: points}, columns, coords


def _columns(axis: Axis, dim: str, values: np.ndarray) -> dict[str, AxisColumn]:
    if axis.name == HYPOTHESIS:
        return {
            name: AxisColumn(dim, weight) for name, weight in simulation_arms.weights_of(values.tolist(), {}).items()
        }
    return {axis.name: AxisColumn(dim, values.astype(float))}


def _coordinate(axis: Axis, dim: str, values: np.ndarray) -> xr.Variable:
    if axis.name == HYPOTHESIS:
        return xr.Variable((dim,), values.astype(object), {"long_name": axis.text})
    return xr.Variable((dim,), values.astype(float), of_quantity(axis.unit, axis.text))

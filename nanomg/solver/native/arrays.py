"""The arrays of a kernel that solves lanes, as NumPy holds them: see nanomg.solver.native.arguments for what each is."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from nanomg.solver.native import arguments, reused
from nanomg.solver.problem import Problem, fixed_names, slack


class KernelInputs(NamedTuple):
    """What a kernel reads, lanes first; arrays of intervals have one row if all lanes share them. `looks` is their number."""

    y0: np.ndarray
    length: np.ndarray
    keep: np.ndarray
    inflow: np.ndarray
    jump: np.ndarray
    forcing: np.ndarray
    fixed: np.ndarray
    varied: np.ndarray
    floor: np.ndarray
    rtol: float
    rows: np.ndarray
    looks: int

    def of(self, lanes: np.ndarray) -> KernelInputs:
        """The same for the lanes of these numbers, which may be there more than once."""
        some = {name: getattr(self, name) for name in ("y0", "varied", "floor", *arguments.SHARED)}
        whole = len(self.y0)
        return self._replace(**{name: a[lanes] if len(a) == whole else a for name, a in some.items()})


class KernelResults(NamedTuple):
    """What a kernel writes, lanes first."""

    ends: np.ndarray
    status: np.ndarray
    accepted: np.ndarray
    rejected: np.ndarray
    interval: np.ndarray
    tau: np.ndarray
    last: np.ndarray
    worst: np.ndarray


@functools.lru_cache(maxsize=256)
def source_of(problem: Problem) -> np.ndarray:
    """Where each value of the model lies: i of the fixed ones, or -1 - i of the varied ones."""
    place = {name: i for i, name in enumerate(fixed_names(problem))}
    place |= {name: -1 - i for i, name in enumerate(problem.varied)}
    names = (n for n in (*problem.model.parameters, *problem.model.constants) if n not in problem.timed)
    return np.array([place[name] for name in names], np.int32)


def operands(problem: Problem, inputs: KernelInputs, precision: str) -> list[np.ndarray]:
    """The arrays that a kernel reads, in their order; times have been subtracted before, so that no digit of a length is lost."""
    given = inputs._asdict()
    given["slack"] = slack(problem) * inputs.rtol
    given["settings"] = np.array([inputs.rtol, problem.min_step, problem.max_steps])
    given["used"] = np.array([inputs.length.shape[1]], np.int32)
    given["source"] = source_of(problem)
    whole = {"used": np.int32, "rows": np.int32, "source": np.int32}
    return [np.ascontiguousarray(given[name], whole.get(name, precision)) for name in arguments.FORWARD]


def results(inputs: KernelInputs, precision: str) -> KernelResults:
    """Room for what a kernel writes."""
    lanes, states = inputs.y0.shape
    count = lambda kind: np.empty(lanes, kind)
    return KernelResults(
        ends=reused.empty((lanes, inputs.looks, states), precision),
        status=count(np.int8),
        accepted=count(np.int32),
        rejected=count(np.int32),
        interval=count(np.int32),
        tau=count(precision),
        last=np.empty((lanes, states), precision),
        worst=count(np.int32),
    )


def sizes(inputs: KernelInputs) -> list[int]:
    """The sizes of a kernel's arrays, in their order; an array of one row is shared by all lanes."""
    lanes = len(inputs.y0)
    known = {
        "lanes": lanes,
        "intervals": inputs.length.shape[1],
        "looks": inputs.looks,
        "varied_count": inputs.varied.shape[1],
        "slots": 0,
    }
    for name in arguments.SHARED:
        array = getattr(inputs, name)
        known[f"{name}_stride"] = array[0].size if len(array) > 1 else 0
    return [known[name] for name in arguments.SIZES]

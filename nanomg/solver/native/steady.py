"""The steady state of repeated dosing by a kernel: the search of `nanomg.solver.steady_state`, for concrete values in NumPy.

Lanes come first in every array.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nanomg.solver.native import solve
from nanomg.solver.native.arrays import KernelInputs
from nanomg.solver.problem import Problem
from nanomg.solver.steady_state import CLOSE_STEP, DOUBLINGS, PROBE, TRIES

_DYING = 0.1  # of a disturbance, what may be left of it


class SteadyStates(NamedTuple):
    """`y` (lane, state), how far a period moves it relative to its size (lane,), and whether it is a steady state (lane,).

    `last` (lane, state) is where the search ended, and `worst` (lane,) the row of the state that is at fault if it found none.
    """

    y: np.ndarray
    residual: np.ndarray
    found: np.ndarray
    last: np.ndarray
    worst: np.ndarray


def search(problem: Problem, inputs: KernelInputs) -> SteadyStates:
    """The steady state of the period that the intervals describe, searched from `y0`; 0 where none is found."""
    lanes, states = inputs.y0.shape
    y, fallback = inputs.y0.copy(), np.full((lanes, states), np.nan)
    jacobian, residual, best = np.zeros((lanes, states, states)), np.full(lanes, np.inf), np.full(lanes, np.inf)
    found, left = np.zeros(lanes, bool), np.arange(lanes)
    for _ in range(TRIES):
        some = inputs.of(left)._replace(y0=y[left])
        with np.errstate(all="ignore"):
            after, slopes = _linearised(problem, some)
            size = np.maximum(np.maximum(np.abs(some.y0), np.abs(after)), some.floor)
            moved = after - some.y0
            off = np.max(np.abs(moved) / size, 1, initial=0.0)
            step = _solved(slopes, moved, size)
            target = some.y0 + step
            target = np.where(after >= 0, np.maximum(target, 0.0), target)
            target = np.where(np.isfinite(target).all(1)[:, None], target, after)
            improves = np.isfinite(off) & (off <= best[left])
            close = improves & (np.max(np.abs(step) / size, 1) <= CLOSE_STEP)
        lost = ~(improves | np.isfinite(fallback[left]).all(1))
        y[left] = np.where(improves[:, None], target, fallback[left])
        fallback[left] = np.where(improves[:, None], after, fallback[left])
        jacobian[left], residual[left] = slopes, off
        best[left] = np.where(improves, off, np.inf)  # the state after a fallback need not improve on anything
        found[left] = close
        left = left[~(close | lost)]
        if not len(left):
            break
    with np.errstate(all="ignore"):
        powers = _scaled(jacobian, np.maximum(np.abs(y), inputs.floor))
        scaled = powers
        for _ in range(DOUBLINGS):
            powers = powers @ powers
        found &= np.max(np.abs(powers), (1, 2)) < _DYING  # false too where it is not a number
    return SteadyStates(np.where(found[:, None], y, 0.0), residual, found, y, _at_fault(scaled, found))


def _at_fault(scaled: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The row of the state that takes most part in what is left of a disturbance after many periods."""
    worst = np.zeros(len(scaled), int)
    direction = scaled[~found]
    with np.errstate(all="ignore"):
        for _ in range(DOUBLINGS + 1):
            direction = direction / np.maximum(np.abs(direction).max((1, 2), keepdims=True, initial=0.0), 1e-300)
            direction = direction @ direction
        worst[~found] = np.argmax(np.nan_to_num(np.abs(np.diagonal(direction, axis1=1, axis2=2))), 1)
    return worst


def _linearised(problem: Problem, inputs: KernelInputs) -> tuple[np.ndarray, np.ndarray]:
    """The state after a period from `y0` and its Jacobian (lane, state, state), by one-sided differences of second order."""
    lanes, states = inputs.y0.shape
    count = 1 + 2 * states
    step = PROBE * np.maximum(np.abs(inputs.y0), 1e3 * inputs.floor)
    y0 = np.repeat(inputs.y0[None], count, 0)
    # upwards only, since the equations may not hold for amounts below zero
    for row in range(states):
        y0[1 + row, :, row] += step[:, row]
        y0[1 + states + row, :, row] += 2.0 * step[:, row]
    many = inputs.of(np.tile(np.arange(lanes), count))._replace(y0=y0.reshape(-1, states))
    ends = solve.solved(problem._replace(any_sign=True), many, "float64").ends[:, 0].reshape(count, lanes, states)
    once, twice = ends[1 : 1 + states], ends[1 + states :]
    columns = (4.0 * (once - ends[:1]) - (twice - ends[:1])) / (2.0 * step.T[:, :, None])
    return ends[0], np.moveaxis(columns, 0, -1)


def _scaled(jacobian: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The Jacobian of the state in units of its size."""
    return jacobian * size[:, None, :] / size[:, :, None]


def _solved(jacobian: np.ndarray, right: np.ndarray, size: np.ndarray) -> np.ndarray:
    """`x` of (1 - J) x = right, (lane, state), whose entries are about as large as `size`; not finite where there is none."""
    matrix = np.eye(right.shape[1]) - _scaled(jacobian, size)
    wanted = (right / size)[:, :, None]
    try:
        return np.linalg.solve(matrix, wanted)[:, :, 0] * size
    except np.linalg.LinAlgError:  # one of them is singular
        alone = [_alone(*pair) for pair in zip(matrix, wanted, strict=True)]
        return np.array(alone)[:, :, 0] * size


def _alone(matrix: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.solve(matrix, wanted)
    except np.linalg.LinAlgError:
        return np.full_like(wanted, np.nan)

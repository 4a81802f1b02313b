"""What a kernel is called with: the arrays it reads and writes, by name and in order.

Arrays are lane-major in memory: all of a lane, then all of the next. `B` lanes, `K` intervals, `L` looks, `N` states, `C`
channels, `U` rows of forcing, `V` varied values, `R` records of steps a lane has room for. What all lanes share is given once,
without an axis for the lanes: the sizes say how far the next lane's part of such an array lies (`SHARED`), which then is 0.
"""

from __future__ import annotations

from typing import NamedTuple

from nanomg.solver.native.ir import I64, POINTER, Function, Value

FORWARD = (
    "y0",  # (B, N)
    "length",  # (B, K) [h]
    "keep",  # (B, K)
    "inflow",  # (B, K, C)
    "jump",  # (B, K, C)
    "forcing",  # (B, K, U)
    "fixed",  # (n,)
    "varied",  # (B, V)
    "floor",  # (B, N)
    "slack",  # (N,) the part of its largest size by which a state may lie below 0
    "settings",  # (3,): rtol, smallest step [h], most steps
    "used",  # () i32
    "rows",  # (B, K) i32: the look that each interval ends with, or -1
    "source",  # (P,) i32: of each value of the model i >= 0 for fixed[i], else varied[-1 - i]
)
SOLUTION = (
    "ends",  # (B, L, N) the state at each look
    "status",  # (B,) i8
    "accepted",  # (B,) i32
    "rejected",  # (B,) i32
    "interval",  # (B,) i32 where the lane stopped
    "tau",  # (B,) the share of that interval that is done
    "last",  # (B, N) the last state accepted
    "worst",  # (B,) i32 the state with the largest error where the lane failed
)
RECORD = (
    "states",  # (B, R, N) before each accepted step, after the jump
    "shares",  # (B, R) of its interval
    "places",  # (B, R) i32: 4 * interval, + 2 for its last step, + 1 for its first
)
BACKWARD = (  # what the gradient's kernel reads, names as above
    "length",
    "keep",
    "inflow",
    "forcing",
    "fixed",
    "varied",
    "rows",
    "source",
    "accepted",
    *RECORD,
    "ends_bar",  # (B, L, N) cotangents of the looks
)
BARS = (
    "y0_bar",  # (B, N)
    "length_bar",  # (B, K)
    "inflow_bar",  # (B, K, C)
    "jump_bar",  # (B, K, C)
    "forcing_bar",  # (B, K, U)
    "varied_bar",  # (B, V)
)
SHARED = ("length", "keep", "inflow", "jump", "forcing", "rows")  # (K, …) for all lanes, or with an axis for them
SIZES = ("lanes", "intervals", "looks", "varied_count", "slots", *(f"{name}_stride" for name in SHARED))


class Arguments(NamedTuple):
    """The arguments of a kernel by name, once its function has begun."""

    arrays: dict[str, Value]
    sizes: dict[str, Value]
    queue: Value


PARAMETERS = ((POINTER, "operands"), (POINTER, "results"), (POINTER, "sizes"), (POINTER, "queue"))


def begin(function: Function, operands: tuple[str, ...], results: tuple[str, ...]) -> Arguments:
    """Read the pointers and sizes of a kernel."""
    given, made, sizes, queue = function.arguments
    arrays = {name: function.load(given, POINTER, i) for i, name in enumerate(operands)}
    arrays |= {name: function.load(made, POINTER, i) for i, name in enumerate(results)}
    return Arguments(arrays, {name: function.load(sizes, I64, i) for i, name in enumerate(SIZES)}, queue)

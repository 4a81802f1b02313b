"""A kernel written by hand: each lane's numbers times a factor plus their place, many times over, in double or float."""

from __future__ import annotations

import jax
import numpy as np

from nanomg.solver.native import foreign

_TEXT = """
define void @scaled(ptr %operands, ptr %results, ptr %sizes, ptr %queue) {
entry:
  %y = load ptr, ptr %operands
  %f.at = getelementptr ptr, ptr %operands, i64 1
  %factor.at = load ptr, ptr %f.at
  %factor = load REAL, ptr %factor.at
  %out = load ptr, ptr %results
  %lanes = load i64, ptr %sizes
  %rows.at = getelementptr i64, ptr %sizes, i64 1
  %rows = load i64, ptr %rows.at
  %times.at = getelementptr i64, ptr %sizes, i64 2
  %times = load i64, ptr %times.at
  br label %next
next:
  %lane = atomicrmw add ptr %queue, i64 1 monotonic
  %more = icmp slt i64 %lane, %lanes
  br i1 %more, label %work, label %done
work:
  %start = mul i64 %lane, %rows
  br label %row
row:
  %j = phi i64 [0, %work], [%j.after, %stored]
  %at = add i64 %start, %j
  %place = sitofp i64 %j to REAL
  %from = getelementptr REAL, ptr %y, i64 %at
  %x0 = load REAL, ptr %from
  br label %again
again:
  %i = phi i64 [0, %row], [%i.after, %again]
  %x = phi REAL [%x0, %row], [%z, %again]
  %product = fmul REAL %x, %factor
  %z = fadd REAL %product, %place
  %i.after = add i64 %i, 1
  %on = icmp slt i64 %i.after, %times
  br i1 %on, label %again, label %stored
stored:
  %to = getelementptr REAL, ptr %out, i64 %at
  store REAL %z, ptr %to
  %j.after = add i64 %j, 1
  %rest = icmp slt i64 %j.after, %rows
  br i1 %rest, label %row, label %next
done:
  ret void
}
"""


def text_of(real: str) -> str:
    return _TEXT.replace("REAL", real)


def kernel(real: str) -> foreign.Kernel:
    (compiled,) = foreign.compiled(text_of, (real,), {"scaled": 1})
    return compiled


def scaled(y: jax.Array, factor: float, times: int = 1) -> jax.Array:
    """factor * y (row, lane) + row, `times` times."""
    real = {"float64": "double", "float32": "float"}[str(y.dtype)]
    out = [jax.ShapeDtypeStruct(y.shape, y.dtype)]
    rows, lanes = y.shape
    return foreign.call(kernel(real), [y, np.asarray(factor, y.dtype)], {1}, out, [lanes, rows, times])[0]


def expected(y: np.ndarray, factor: float, times: int = 1) -> np.ndarray:
    for _ in range(times):
        y = factor * y + np.arange(len(y))[:, None]
    return y

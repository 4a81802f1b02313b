"""The linear algebra of a model: which Jacobian entries exist, their values, sparse LU and substitution, all on batches.

Sparsity is read off the jaxpr of the model's rates; entries come from one forward-mode pass per colour; elimination follows a
fixed Markowitz order with diagonal pivots. Factorisation and substitution run as `lax.scan` over small packed chunks of rows,
since straight-line code of that length takes XLA minutes to compile.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core as jex

from nanomg.equations.model import Model

Entry = tuple[int, int]
_CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat")


def dependencies(jaxpr: Any, inputs: Sequence[frozenset[int]]) -> list[frozenset[int]]:
    """The inputs that each output depends on; a primitive that is not a call mixes all of its operands."""
    known = dict(zip(jaxpr.invars, inputs, strict=True))

    def read(atom: Any) -> frozenset[int]:
        return frozenset() if isinstance(atom, jex.Literal) else known.get(atom, frozenset())

    for eqn in jaxpr.eqns:
        inner = eqn.params.get("jaxpr") or eqn.params.get("call_jaxpr")
        operands = [read(atom) for atom in eqn.invars]
        if inner is not None and eqn.primitive.name in _CALLS:
            outputs = dependencies(getattr(inner, "jaxpr", inner), operands)
        else:
            outputs = [frozenset().union(*operands)] * len(eqn.outvars)
        known.update(zip(eqn.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def along(linear: Any, moves: Mapping[int, jax.Array]) -> list[jax.Array]:
    """The results of a linear jaxpr if all arguments but those with these numbers are 0; operations on zeros alone are left out."""
    jaxpr = linear.jaxpr
    moving = {jaxpr.invars[i]: move for i, move in moves.items()}
    resting = set(jaxpr.invars) - moving.keys()
    known = dict(zip(jaxpr.constvars, linear.consts, strict=True)) | moving

    def read(atom: Any) -> Any:
        if isinstance(atom, jex.Literal):
            return atom.val
        return jnp.zeros(atom.aval.shape, atom.aval.dtype) if atom in resting else known[atom]

    for eqn in jaxpr.eqns:
        operands = {atom for atom in eqn.invars if not isinstance(atom, jex.Literal)}
        moves_on = bool(operands & moving.keys())
        if operands & resting and not moves_on:
            resting.update(eqn.outvars)
            continue
        found = eqn.primitive.bind(*map(read, eqn.invars), **eqn.params)
        results = dict(zip(eqn.outvars, found if eqn.primitive.multiple_results else [found], strict=True))
        known |= results
        moving |= results if moves_on else {}
    return [read(atom) for atom in jaxpr.outvars]


def pattern(model: Model) -> list[Entry]:
    """The entries (row, column) where a rate can depend on a state, sorted."""
    names = list(model.states)
    others = dict.fromkeys([*model.parameters, *model.constants, *model.inputs], 1.0)

    def rates(*amounts: Any) -> list[Any]:
        return [jnp.asarray(r) for r in model.rates({**others, **dict(zip(names, amounts, strict=True))})]

    jaxpr = jax.make_jaxpr(rates)(*np.ones(len(names))).jaxpr
    columns = dependencies(jaxpr, [frozenset([j]) for j in range(len(names))])
    return sorted((i, j) for i, row in enumerate(columns) for j in row)


def colouring(entries: Sequence[Entry], n: int) -> list[list[int]]:
    """Groups of columns that share no row, so that one directional derivative gives all of a group's entries."""
    rows = [{i for i, j in entries if j == column} for column in range(n)]
    groups: list[list[int]] = []
    taken: list[set[int]] = []
    for column in sorted(range(n), key=lambda j: -len(rows[j])):
        place = next((g for g, used in enumerate(taken) if not used & rows[column]), len(groups))
        if place == len(groups):
            groups.append([])
            taken.append(set())
        groups[place].append(column)
        taken[place] |= rows[column]
    return groups


def elimination_order(entries: Sequence[Entry], n: int) -> tuple[list[int], set[Entry]]:
    """Markowitz order with diagonal pivots, and the pattern with its fill."""
    filled = set(entries) | {(i, i) for i in range(n)}
    left, order = set(range(n)), []
    while left:
        below = {k: [i for i in left if i != k and (i, k) in filled] for k in left}
        right = {k: [j for j in left if j != k and (k, j) in filled] for k in left}
        pivot = min(left, key=lambda k: (len(below[k]) * len(right[k]), k))
        filled |= {(i, j) for i in below[pivot] for j in right[pivot]}
        left.remove(pivot)
        order.append(pivot)
    return order, filled


class RowUpdate(NamedTuple):
    """`row` becomes `(row - sum left * right) * scale`, or the reciprocal of the bracket."""

    products: tuple[tuple[int, int, frozenset[int]], ...]  # left, right, and the rows that must be final before
    scale: int
    scale_needs: frozenset[int]
    invert: bool


class Chunks(NamedTuple):
    """A schedule: chunk `q` treats `width` rows with `terms` products each; arrays (chunk, width[, terms])."""

    row: Any
    left: Any
    right: Any
    scale: Any
    invert: Any


def schedule(jobs: Mapping[int, RowUpdate], width: int, terms: int, idle: tuple[int, int, int, int]) -> Chunks:
    """Pack jobs into chunks, longest chain of dependants first. `idle` is (row, left, right, scale) of an empty slot."""
    users: dict[int, set[int]] = {}
    for row, job in jobs.items():
        for need in frozenset().union(job.scale_needs, *(p[2] for p in job.products)):
            users.setdefault(need, set()).add(row)

    @functools.cache
    def urgency(row: int) -> int:
        after = max((1 + urgency(r) for r in users.get(row, ())), default=0)
        return after + -(-len(jobs[row].products) // terms)

    todo = {row: list(job.products) for row, job in jobs.items()}
    open_rows = sorted(jobs, key=lambda r: (-urgency(r), r))
    packed: list[list[tuple[int, list[Any], int, bool]]] = []
    while open_rows:
        waiting, done = set(open_rows), set[int]()
        chunk: list[tuple[int, list[Any], int, bool]] = []
        for partial in (False, True):  # half-filled slots only where nothing fills one
            for row in open_rows:
                if len(chunk) == width or (partial and chunk):
                    break
                ready = [p for p in todo[row] if not p[2] & waiting][:terms]
                ends = len(ready) == len(todo[row]) and not jobs[row].scale_needs & waiting
                if ends or len(ready) == terms or (partial and ready):
                    chunk.append((row, ready, jobs[row].scale if ends else idle[3], jobs[row].invert and ends))
                    todo[row] = [p for p in todo[row] if p not in ready]
                    if ends:
                        done.add(row)
        packed.append(chunk)
        open_rows = [row for row in open_rows if row not in done]
    shape = len(packed), width
    chunks = Chunks(
        np.full(shape, idle[0]),
        np.full((*shape, terms), idle[1]),
        np.full((*shape, terms), idle[2]),
        np.full(shape, idle[3]),
        np.zeros(shape, bool),
    )
    for q, chunk in enumerate(packed):
        for w, (row, products, scale, invert) in enumerate(chunk):
            chunks.row[q, w], chunks.scale[q, w], chunks.invert[q, w] = row, scale, invert
            for m, (left, right, _) in enumerate(products):
                chunks.left[q, w, m], chunks.right[q, w, m] = left, right
    return chunks


def _take(a: jax.Array, rows: Any) -> jax.Array:
    return a.at[rows].get(mode="promise_in_bounds")


def behind_boundary(function: Callable[..., Any], flag: jax.Array, *arguments: Any) -> Any:
    """`function(*arguments)` behind a conditional on `flag`, a run-time value that is always true.

    XLA on CPU fuses a stack of expressions into one loop in which each row computes again all that it shares with the others;
    a conditional is a boundary that it keeps. Do not vmap.
    """
    shapes = jax.eval_shape(function, *arguments)
    return jax.lax.cond(
        flag, function, lambda *_: jax.tree.map(lambda s: jnp.full(s.shape, jnp.nan, s.dtype), shapes), *arguments
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Structure:
    """The sparse linear algebra that is fixed for one model; build it with `structure_of`, which keeps one per model."""

    model: Model
    n: int
    rows: np.ndarray
    columns: np.ndarray
    groups: tuple[tuple[int, ...], ...]
    slots: int  # rows of the factor array: L and U off the diagonal, 0, 1, reciprocal pivots
    one: int
    pivots: np.ndarray
    entry_slots: np.ndarray
    factorisation: Chunks
    forward: Chunks
    transposed: Chunks

    def jacobian(self, rates: Callable[[list[Any]], list[Any]], y: list[jax.Array]) -> list[jax.Array]:
        """Entries of d rates / d y in the order of (`rows`, `columns`): one directional derivative per group of columns."""
        # linearised once: a program in which every group repeats the rates takes twice as long to trace
        push = jax.make_jaxpr(jax.linearize(lambda *amounts: rates(list(amounts)), *y)[1])(*y)
        found: dict[Entry, jax.Array] = {}
        for group in self.groups:
            out = along(push, {j: jnp.ones_like(y[j]) for j in group})
            found.update({(i, j): out[i] for i, j in zip(self.rows, self.columns, strict=True) if j in group})
        return [found[entry] for entry in zip(self.rows, self.columns, strict=True)]

    def factor(self, values: jax.Array) -> jax.Array:
        """LU of I - A for entries `values` (entry, batch) of A, as an array (slot, batch) for `solve`."""
        V = jnp.zeros((self.slots + 1, values.shape[1]), values.dtype)
        V = V.at[self.one].set(1).at[self.pivots].set(1).at[self.entry_slots].add(-values, unique_indices=True)

        def chunk(V: jax.Array, c: Chunks) -> tuple[jax.Array, None]:
            total = _take(V, c.row)
            for m in range(c.left.shape[1]):
                total = total - _take(V, c.left[:, m]) * _take(V, c.right[:, m])
            new = jnp.where(c.invert[:, None], 1 / total, total * _take(V, c.scale))
            return V.at[c.row].set(new, mode="promise_in_bounds"), None

        return jax.lax.scan(chunk, V, Chunks(*(jnp.asarray(a) for a in self.factorisation)))[0]

    def solve(self, V: jax.Array, b: jax.Array, transposed: bool = False) -> jax.Array:
        """u with (I - A) u = b, or with the transposed matrix; `b` and `u` are (state, batch)."""
        b = jnp.concatenate([b, jnp.zeros_like(b[:1])])  # the last row takes what empty slots write

        def chunk(b: jax.Array, c: Chunks) -> tuple[jax.Array, None]:
            total = _take(b, c.row)
            for m in range(c.left.shape[1]):
                total = total - _take(V, c.left[:, m]) * _take(b, c.right[:, m])
            return b.at[c.row].set(total * _take(V, c.scale), mode="promise_in_bounds"), None

        chunks = self.transposed if transposed else self.forward
        return jax.lax.scan(chunk, b, Chunks(*(jnp.asarray(a) for a in chunks)))[0][: self.n]


@functools.lru_cache(maxsize=64)
def structure_of(
    model: Model, substitution: tuple[int, int] = (3, 4), elimination: tuple[int, int] = (12, 2)
) -> Structure:
    """The structure of a model. The pairs are the (width, terms) of a chunk in substitution and in elimination."""
    n = len(model.states)
    entries = pattern(model) or [(0, 0)]  # where no rate depends on a state, one zero entry keeps the arrays non-empty
    order, filled = elimination_order(entries, n)
    place = {k: q for q, k in enumerate(order)}
    off_diagonal = {entry: slot for slot, entry in enumerate(sorted(e for e in filled if e[0] != e[1]))}
    zero, one, bin_slot = len(off_diagonal), len(off_diagonal) + 1, len(off_diagonal) + 2 + n
    pivot = {k: one + 1 + k for k in range(n)}

    def slot(i: int, j: int) -> int:
        return pivot[i] if i == j else off_diagonal[i, j]

    jobs: dict[int, RowUpdate] = {}
    for i, j in sorted(filled):
        inner = [
            k
            for k in range(n)
            if place[k] < min(place[i], place[j]) and (i, k) in off_diagonal and (k, j) in off_diagonal
        ]
        products = tuple((slot(i, k), slot(k, j), frozenset((slot(i, k), slot(k, j)))) for k in inner)
        below = i != j and place[i] > place[j]
        if products or below or i == j:
            needs = frozenset([pivot[j]]) if below else frozenset[int]()
            jobs[slot(i, j)] = RowUpdate(products, pivot[j] if below else one, needs, i == j)
    factorisation = schedule(jobs, *elimination, (bin_slot, zero, zero, one))

    def sweep(reads: Callable[[int, int], bool], value: Callable[[int, int], int], scaled: bool) -> Chunks:
        rows: dict[int, RowUpdate] = {}
        for k in range(n):
            products = tuple((value(k, j), j, frozenset([j])) for j in range(n) if reads(k, j))
            if products or scaled:
                rows[k] = RowUpdate(products, pivot[k] if scaled else one, frozenset(), False)
        return schedule(rows, *substitution, (n, zero, n, one))

    def join(first: Chunks, second: Chunks) -> Chunks:
        return Chunks(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))

    def earlier(k: int, j: int) -> bool:
        return place[j] < place[k]

    forward = join(
        sweep(lambda k, j: (k, j) in off_diagonal and earlier(k, j), slot, False),
        sweep(lambda k, j: (k, j) in off_diagonal and earlier(j, k), slot, True),
    )
    transposed = join(
        sweep(lambda k, j: (j, k) in off_diagonal and earlier(k, j), lambda k, j: slot(j, k), True),
        sweep(lambda k, j: (j, k) in off_diagonal and earlier(j, k), lambda k, j: slot(j, k), False),
    )
    return Structure(
        model=model,
        n=n,
        rows=np.array([i for i, _ in entries]),
        columns=np.array([j for _, j in entries]),
        groups=tuple(tuple(g) for g in colouring(entries, n)),
        slots=bin_slot,
        one=one,
        pivots=np.array([pivot[k] for k in range(n)]),
        entry_slots=np.array([slot(i, j) for i, j in entries]),
        factorisation=factorisation,
        forward=forward,
        transposed=transposed,
    )

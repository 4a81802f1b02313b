"""What an answer hangs on: the values that it goes with, how all of them are known, and what would change it."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy.stats import rankdata

from nanomg import kinds
from nanomg.answers import HOLDS, capital, state
from nanomg.batch import SUBJECT, VALUE
from nanomg.card import BASES
from nanomg.design import REGIMEN
from nanomg.drawing import unit_text
from nanomg.facts import Facts
from nanomg.page import Folded, Items, Shares, Table, Text, figure
from nanomg.validation import NO_ROW, UNJUDGED, verdict_of
from nanomg.verdict import RELEVANT, local_share
from nanomg.wording import factor, number, span

_TOP = 10  # rows of what matters or is known least
_ENOUGH = 20_000  # trajectories that a rank correlation rests on at most
_FEW = 8  # pairs: below, a rank correlation says nothing
_POOR = 0.5  # coefficient of variation above which a fitted value is hardly known


# ---------------------------------------------------------------- what mattered
def mattered(facts: Facts) -> Iterator[Any]:
    """The values that the answer goes with, as far as the file tells, and how all of them are known."""
    yield from _DRIVERS.get(facts.kind, lambda _: ())(facts)
    yield from _known(facts)


def _of_draws(facts: Facts) -> Iterator[Any]:
    data = facts.group("feasibility")
    if data is None or not {"value", "rise"} <= set(data) or "total, day" not in data.get("quantity", ()):
        return
    rise = data["rise"].sel(quantity="total, day").values
    values = {str(p): data["value"].values[:, i] for i, p in enumerate(data["parameter"].values)}
    pairs = {name: _Pairs(x, rise, "draws") for name, x in values.items()}
    yield from _ranked(facts, {"rise of tumour free Mg over its best 24 h": pairs})


def _of_sweep(facts: Facts) -> Iterator[Any]:
    data = facts.group("sweep")
    if data is None or "status" not in data:
        return
    if REGIMEN in data.dims:  # the other arm is without Mg
        data = data.isel({REGIMEN: 0})
    dims = [str(d) for d in data["status"].dims]
    kept = [str(k) for k, v in data.items() if v.dtype.kind == "f" and set(v.dims) == set(dims)]
    outputs = [k for k in kept if ":" in k and not k.endswith(f":{VALUE}")]
    some = _some(data[kept], dims)
    inputs = {k: some[k] for k in kept if k not in outputs}
    inputs |= {str(k): c for k, c in some.coords.items() if c.dtype.kind == "f" and c.dims == (_AT,)}
    yield from _ranked(
        facts, {_long(data, k): {name: _paired(x, some[k]) for name, x in inputs.items()} for k in outputs}
    )
    total = int(np.prod([data.sizes[d] for d in dims]))
    if outputs and some[outputs[0]].size < total:
        yield Text(f"From {some[outputs[0]].size:,} of {total:,} trajectories, taken at random.", "note")


def _some(data: xr.Dataset, dims: Sequence[str]) -> xr.Dataset:
    """Some subjects at some points of the axes, (subject, point), or all of them; taken at random, the same at each call."""
    random = np.random.default_rng(0)
    axes = {d: data.sizes[d] for d in dims if d != SUBJECT}
    points, subjects = math.prod(axes.values()), data.sizes.get(SUBJECT, 1)
    most = min(subjects, max(math.isqrt(_ENOUGH), _ENOUGH // points))
    taken = lambda count, at_most: np.sort(random.choice(count, min(count, at_most), replace=False, shuffle=False))
    at = np.unravel_index(taken(points, _ENOUGH // most), tuple(axes.values())) if axes else ()
    where = {d: xr.DataArray(i, dims=_AT) for d, i in zip(axes, at, strict=True)}
    if SUBJECT in dims:
        where[SUBJECT] = xr.DataArray(taken(subjects, most), dims=SUBJECT)
    found = data.isel(where)
    missing = [d for d in (SUBJECT, _AT) if d not in found.dims]
    return found.expand_dims(missing).transpose(SUBJECT, _AT, ...).load()


_AT = "point of the axes"


class _Pairs(NamedTuple):
    """Values of an input and of an output that belong together, (pair,) each, and what a pair is."""

    x: np.ndarray
    y: np.ndarray
    of: str

    @property
    def known(self) -> np.ndarray:
        """The pairs of which both are known."""
        return np.isfinite(self.x) & np.isfinite(self.y)

    @property
    def correlation(self) -> float:
        """The rank correlation; NaN where too few pairs are known or one side is always the same."""
        x, y = self.x[self.known], self.y[self.known]
        if len(x) < _FEW or np.ptp(x) == 0 or np.ptp(y) == 0:
            return np.nan
        return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def _paired(x: xr.DataArray, y: xr.DataArray) -> _Pairs:
    """Trajectories, or subjects where the input belongs to the subject alone: those by the median of their trajectories, since
    many rows of one subject would count as many subjects."""
    own, out = x.broadcast_like(y).transpose(*y.dims).values, y.values
    low, high = np.fmin.reduce(own, axis=1), np.fmax.reduce(own, axis=1)
    if len(own) > 1 and np.all((low == high) | np.isnan(low)):
        return _Pairs(low, np.median(out, axis=1), "subjects")
    return _Pairs(own.ravel(), out.ravel(), "trajectories")


def _long(data: xr.Dataset, name: str) -> str:
    return str(data[name].attrs.get("long_name", name))


def _ranked(facts: Facts, found: Mapping[str, Mapping[str, _Pairs]]) -> Iterator[Any]:
    """Rank correlations of what varied with what came out, by the words of each output."""
    known = {p["parameter"]: p for p in facts.parameters}
    units_of_pairs: set[str] = set()
    for text, pairs in found.items():
        rho = {name: each.correlation for name, each in pairs.items()}
        top = sorted((n for n, r in rho.items() if np.isfinite(r)), key=lambda n: -abs(rho[n]))[:_TOP]
        rows = [(facts.name(n), figure(rho[n], 2), _count(pairs[n]), *_basis(known.get(n, {}))) for n in top]
        if rows:
            units_of_pairs |= {pairs[n].of for n in top}
            headers = ("", "rank correlation", "n", "range", "unit", "known")
            yield Table(headers, "prrlul", rows, f"What goes with the {text}")
    if units_of_pairs:
        yield Text(
            "Rank correlation: 1 or -1 where the one always grows or falls with the other, 0 where it tells nothing. "
            "It says what goes together, not what causes what.",
            "note",
        )
    if {"subjects", "trajectories"} <= units_of_pairs:
        yield Text(
            "A value of a subject goes with the median over the subject's trajectories: n counts subjects.", "note"
        )


def _count(pairs: _Pairs) -> str:
    return f"{int(pairs.known.sum()):,} {pairs.of}"


def _basis(p: Mapping[str, Any]) -> tuple[str, str, str]:
    return _range(p), _unit(p) if p else "", str(p.get("basis", ""))


_DRIVERS: Mapping[str, Callable[[Facts], Iterator[Any]]] = {kinds.FEASIBILITY: _of_draws, kinds.SWEEP: _of_sweep}


def _known(facts: Facts) -> Iterator[Any]:
    """How all parameters are known: shares, the least known of them, and the whole list."""
    rows = facts.parameters
    if not rows:
        if facts.kind not in (kinds.VALIDATE, kinds.CALIBRATE):
            yield Text("The file holds no parameters, and the library cannot build its scenario again.", "note")
        return
    counts = Counter(str(p.get("basis")) for p in rows)
    yield Text(f"The model took {len(rows)} values. This is how they are known:")
    yield Shares([(basis, counts[basis]) for basis in (*BASES, *sorted({*counts} - {*BASES})) if counts[basis]])
    if facts.parameters_are_of_now:
        yield Text(
            "The file holds no ranges and sources of these values: they are those of the library of now.", "note"
        )
    if facts.kind in (kinds.SIMULATE, kinds.OPTIMIZE):
        command = f"nanomg sensitivity {shlex.quote(str(facts.at('scenario')))}"
        yield Text(
            f"This run varied none of them, so it does not tell which ones the answer hangs on. Ask: {command}", "note"
        )
    vague = sorted((p for p in rows if _width(p) > 1), key=lambda p: -_width(p))[:_TOP]
    least = [(*_value(facts, p), f"{number(_width(p), 2)}-fold", *_texts(p, "basis", "source")) for p in vague]
    if least:
        yield Table(
            (*_COLUMNS, "range", "width", "known", "source"),
            "prulrll",
            least,
            "The least known values: where the range of the card is widest",
        )
    columns = (*_COLUMNS, "5–95 % range", "between subjects (CV)", "known", "source", "card")
    every = [
        (*_value(facts, p), figure(p["cv"], 2) if p.get("cv") else "", *_texts(p, "basis", "source", "card"))
        for p in rows
    ]
    yield Folded(f"All {len(rows)} values", [Table(columns, "prulrlll", every)])


_COLUMNS = ("", "value", "unit")


def _value(facts: Facts, p: Mapping[str, Any]) -> tuple[Any, ...]:
    return facts.name(p["parameter"]), figure(p.get("value")), _unit(p), _range(p)


def _range(p: Mapping[str, Any]) -> str:
    return span(p.get("low"), p.get("high")) if p.get("low") is not None else ""


def _unit(p: Mapping[str, Any]) -> str:
    return str(p.get("unit") or "1")


def _texts(p: Mapping[str, Any], *keys: str) -> Iterator[str]:
    return (str(p.get(key) or "") for key in keys)


def _width(p: Mapping[str, Any]) -> float:
    low, high = p.get("low", np.nan), p.get("high", np.nan)
    return high / low if low > 0 and np.isfinite(high) else 0.0


# ---------------------------------------------------------------- what would change the answer
def changes(facts: Facts) -> Iterator[Any]:
    """What would change the answer, as sentences."""
    said = list(_CHANGES.get(facts.kind, lambda _: ())(facts))
    assumed = sum(p.get("basis") == "assumed" for p in facts.parameters)
    if assumed:
        said.append(
            f"Measurements in place of assumptions: {assumed} of the {len(facts.parameters)} values are assumed."
        )
    if said:
        yield Items(said)


def _of_effect(facts: Facts) -> Iterator[str]:
    gains = facts.at("mg", "mean_competence_gain") or {}
    if len(gains) > 1:
        each = ", ".join(f"{_signed(100 * gain)} % under {h}" for h, gain in sorted(gains.items()) if gain is not None)
        yield f"Which hypothesis of what Mg does to LFA-1 holds: mean T-cell competence changes by {each}."
    peak = facts.at("mg", "peak_rise", "value")
    short = [level for level in RELEVANT.values() if peak and 0 < peak < level]
    if short:
        more = f"{number(short[0] / peak, 2)} times as much as now, its highest rise would reach +{short[0]:g} mmol/L"
        yield f"A carrier or dose that raises tumour free Mg further: at {more}."
    if (local := local_share(facts.at("mg") or {})) is not None:
        yield f"Where the carrier frees its Mg: {100 * local:.0f} % of the mean rise is local, the rest comes through serum."


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{number(value, 2)}"


def _of_optimum(facts: Facts) -> Iterator[str]:
    for c in facts.at("constraints") or ():
        if state(c) == HOLDS:
            level = f"{number(c['limit'])} {unit_text(c['unit'])}"
            yield f"Another value of the limit “{c['name']}”: at {level} it holds the optimum back."
    ends = [s["objective"] for s in facts.at("starts") or () if s.get("feasible") and s.get("objective") is not None]
    if len(ends) > 1 and number(min(ends)) != number(max(ends)):
        between = f"{number(min(ends))} and {number(max(ends))}"
        yield f"A longer search, as far as its starts disagree: {len(ends)} of them ended between {between}."
    if facts.at("terms"):
        yield "Other weights in the objective: they say what a visit or a dose is worth."
    yield from _of_effect(facts)


def _of_targets(facts: Facts) -> Iterator[str]:
    for label, target in (facts.at("feasibility", "quantities", "total, day", "targets") or {}).items():
        typical, best = (target.get("shortfall", {}).get(q) for q in ("50", "5"))
        if typical and typical > 1:
            ends = f"; the best 5 % of the draws {number(best, 2)} times" if best and best > 1 else ""
            yield f"To hold +{label} mmol/L for 24 h, the typical draw needs {number(typical, 2)} times its rise{ends}."


def _of_slopes(facts: Facts) -> Iterator[str]:
    for output in facts.at("outputs") or ():
        own = [r for r in facts.at("elasticities") or () if r["output"] == output["output"] and r["range_effect"]]
        for r in sorted(own, key=lambda r: -abs(r["range_effect"]))[:3]:
            what = f"{capital(r['text'])} ({r['parameter']}, {r['basis']})"
            over = f"from {span(r['low'], r['high']).replace(' – ', ' to ')} {unit_text(r['unit'])}".replace(" –", "")
            yield f"{what}: {over} the {output['text']} is multiplied by {factor(r['range_effect'])[2:]}, to first order."


def _of_domains(facts: Facts) -> Iterator[str]:
    domains = [d for d in facts.at("domains") or () if d.get("use") == "validate"]
    for d in domains:
        if d.get("stands") is False:
            errors = f"{number(d['allowed'], 3)} in place of {number(d['gmfe'], 3)}"
            yield f"{d['title']} would stand with a mean fold error of {errors}."
    for verdict, wanted in (
        (NO_ROW, "Published numbers for what nothing judges yet"),
        (UNJUDGED, "Published sizes for what directions and bounds alone judge"),
    ):
        if titles := [d["title"] for d in domains if verdict_of(d) == verdict]:
            yield f"{wanted}: {'; '.join(titles)}."
    for m in sorted((m for m in facts.at("misses") or () if m.get("fold")), key=lambda m: -m["fold"])[:3]:
        why = f": {m['reason']}" if m.get("reason") else ""
        yield f"Among the largest misses: {m['quantity']} ({m['domain']}), off by a factor of {number(m['fold'], 3)}{why}."


def _of_fit(facts: Facts) -> Iterator[str]:
    for name, p in (facts.at("parameters") or {}).items():
        if p.get("bound"):
            yield f"A wider {p['bound']} bound of {name}."
        elif (p.get("cv") or 0.0) > _POOR:
            yield f"Further data that tell {name}: its coefficient of variation is {100 * p['cv']:.0f} %."
        if p.get("prior"):
            yield f"Another prior of {name}, which is taken to be near {number(p['prior']['value'])} {unit_text(p['unit'])}."
    if not any(e["part"] == "judge" for e in facts.at("errors") or ()):
        yield "Data kept aside: no row judges this fit, so its error says how close it comes, not how well it predicts."


def _of_axes(facts: Facts) -> Iterator[str]:
    data = facts.group("sweep")
    if data is None:
        return
    for axis in (str(d) for d in data.sizes if d in data.coords and data[d].dtype.kind == "f" and d != "time"):
        for name, kept in data.items():
            if kept.dtype.kind == "f" and axis in kept.dims and "time" not in kept.dims and ":" in str(name):
                first, last = (number(_median(kept.isel({axis: i}).values)) for i in (0, -1))
                low, high = (number(float(data[axis][i])) for i in (0, -1))
                over = f"{_long(data, axis)} from {low} to {high} {_shown(data[axis])}".strip()
                yield (
                    f"The {over}: the median of the {_long(data, str(name))} goes from {first} to {last} {_shown(kept)}".strip()
                    + "."
                )


def _shown(quantity: xr.DataArray) -> str:
    return unit_text(str(quantity.attrs.get("units", "1"))).replace("–", "")


def _median(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else np.nan


_CHANGES: Mapping[str, Callable[[Facts], Iterator[str]]] = {
    kinds.SIMULATE: _of_effect,
    kinds.OPTIMIZE: _of_optimum,
    kinds.FEASIBILITY: _of_targets,
    kinds.SENSITIVITY: _of_slopes,
    kinds.VALIDATE: _of_domains,
    kinds.CALIBRATE: _of_fit,
    kinds.SWEEP: _of_axes,
}

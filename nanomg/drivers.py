"""What an answer hangs on: the values that it goes with, how all of them are known, and what would change it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import rankdata

from nanomg import kinds
from nanomg.answers import HOLDS, capital, state
from nanomg.card import BASES
from nanomg.drawing import unit_text
from nanomg.facts import Facts
from nanomg.page import Folded, Items, Shares, Table, Text, figure
from nanomg.verdict import RELEVANT
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
    values = {str(p): data["value"].values[:, i] for i, p in enumerate(data["parameter"].values)}
    rise = data["rise"].sel(quantity="total, day").values
    yield from _ranked(facts, values, {"rise of tumour free Mg over its best 24 h": rise})


def _of_sweep(facts: Facts) -> Iterator[Any]:
    data = facts.group("sweep")
    if data is None or "status" not in data:
        return
    sizes = {d: data.sizes[d] for d in data["status"].dims}
    kept = [str(k) for k, v in data.items() if v.dtype.kind == "f" and v.dims == data["status"].dims]
    if not kept:
        return
    longest = max(sizes, key=lambda d: sizes[d])
    thin = data[kept].isel({longest: slice(None, None, -(-int(np.prod([*sizes.values()])) // _ENOUGH))})
    columns = {str(k): v.to_numpy() for k, v in thin.to_dataframe().reset_index().items() if v.dtype.kind == "f"}
    outputs = {_long(data, k): columns.pop(k) for k in kept if ":" in k}
    yield from _ranked(facts, columns, outputs)


def _long(data: xr.Dataset, name: str) -> str:
    return str(data[name].attrs.get("long_name", name))


def _ranked(facts: Facts, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> Iterator[Any]:
    """Rank correlations of what varied with what came out."""
    known = {p["parameter"]: p for p in facts.parameters}
    shown = False
    for text, values in outputs.items():
        found = {name: _rank_correlation(x, values) for name, x in inputs.items()}
        top = sorted((n for n, rho in found.items() if np.isfinite(rho)), key=lambda n: -abs(found[n]))[:_TOP]
        rows = [(facts.name(n), figure(found[n], 2), *_basis(known.get(n, {}))) for n in top]
        if rows:
            shown = True
            yield Table(("", "rank correlation", "range", "unit", "known"), "prlul", rows, f"What goes with the {text}")
    if shown:
        yield Text(
            "Rank correlation: 1 or -1 where the one always grows or falls with the other, 0 where it tells nothing.",
            "note",
        )


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < _FEW or np.ptp(x[both]) == 0 or np.ptp(y[both]) == 0:
        return np.nan
    return float(np.corrcoef(rankdata(x[both]), rankdata(y[both]))[0, 1])


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
        each = ", ".join(f"{100 * gain:+.2g} % under {h}" for h, gain in sorted(gains.items()) if gain is not None)
        yield f"Which hypothesis of what Mg does to LFA-1 holds: mean T-cell competence changes by {each}."
    peak = facts.at("mg", "peak_rise", "value")
    short = [level for level in RELEVANT.values() if peak and 0 < peak < level]
    if short:
        more = f"{number(short[0] / peak, 2)} times as much as now, its highest rise would reach +{short[0]:g} mmol/L"
        yield f"A carrier or dose that raises tumour free Mg further: at {more}."
    local = facts.at("mg", "share_local")
    if local is not None:
        share = 100 * min(max(local, 0.0), 1.0)
        yield f"Where the carrier frees its Mg: {share:.0f} % of the mean rise is local, the rest comes through serum."


def _of_optimum(facts: Facts) -> Iterator[str]:
    for c in facts.at("constraints") or ():
        if state(c) == HOLDS:
            level = f"{number(c['limit'])} {unit_text(c['unit'])}"
            yield f"Another value of the limit “{c['name']}”: at {level} it holds the optimum back."
    ends = [s["objective"] for s in facts.at("starts") or () if s.get("feasible") and s.get("objective") is not None]
    if len(ends) > 1:
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
    unjudged = [d["title"] for d in domains if d.get("stands") is None]
    if unjudged:
        yield f"Published numbers for what nothing judges yet: {'; '.join(unjudged)}."
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

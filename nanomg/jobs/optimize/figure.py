"""What an optimisation changed: the schedule before and after, the terms of the objective, the limits, and how the search went."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from nanomg import units
from nanomg.drawing import style
from nanomg.drawing.asked import Asked
from nanomg.drawing.style import COLOURS, GREY, LINES, Picture
from nanomg.formatting import format_number
from nanomg.jobs.simulate import figure as simulation
from nanomg.results import reading
from nanomg.results.kinds import BASELINE, OPTIMUM
from nanomg.results.limits import ACTIVE, EXCEEDED, state_of_limit
from nanomg.results.reading import DoseMark

TAKES = simulation.TAKES

_FEW = 5  # steps of a search that are dots
_WAS, _IS = "#8C8C8C", COLOURS[0]
_ROOM = "slack"
_STATES = {
    _ROOM: {"facecolor": COLOURS[5]},
    ACTIVE: {"facecolor": COLOURS[0]},
    EXCEEDED: {"facecolor": COLOURS[1], "hatch": "///", "edgecolor": "white"},
}
_BAR, _PANEL = 0.36, 1.75  # [inch]


def pictures(tree: xr.DataTree, asked: Asked) -> list[Picture]:
    """Courses, schedule, limits, objective and history; of signals the courses alone."""
    if asked.signals:
        return simulation.pictures(tree, asked)
    search = tree["optimization"].to_dataset()
    main = () if asked.everything else tuple(signals_of(tree))
    terms = [_objective(search)] if asked.everything else []
    courses = simulation.pictures(tree, asked._replace(signals=main))
    return [*courses, _schedule(tree), _limits(search), *terms, _history(search)]


def _schedule(tree: xr.DataTree) -> Picture:
    was, now = reading.doses_of(tree, BASELINE), reading.doses_of(tree, OPTIMUM)
    ports = list(dict.fromkeys(dose.port for dose in [*now, *was]))
    if not ports:
        return style.message("Regimen before and after", "The file has no doses.")
    hours = _horizon(tree, [*was, *now])

    def draw(part: Any) -> None:
        axes = part.subplots(len(ports), 1, squeeze=False)[:, 0]
        for axis, port in zip(axes, ports, strict=True):
            texts = []
            for doses, colour, marker, shift, what in ((was, _WAS, "s", -1, "baseline"), (now, _IS, "o", 1, "optimum")):
                for dose in doses:
                    if dose.port == port:
                        _stems(axis, dose, hours, colour, marker, 0.0015 * shift * hours)
                        texts.append(f"{what} {_total(dose)}")
            unit = next(d.unit for d in [*now, *was] if d.port == port)
            axis.set_title(style.literal(f"{port}: {', '.join(texts)}"))
            axis.set_ylabel(f"dose [{units.unit_text(unit)}]")
            style.time_axis(axis, hours, style.WIDTH, label=axis is axes[-1])
            axis.set_xlim(left=-0.01 * axis.get_xlim()[1])
            axis.set_ylim(bottom=0.0)
            axis.margins(y=0.12)
        handles = [
            style.key(color=_WAS, marker="s", mfc="white", ls=LINES[1], lw=1.2, label="baseline regimen"),
            style.key(color=_IS, marker="o", lw=1.6, label="optimised regimen"),
        ]
        style.legend(part, handles)

    return Picture("Regimen before and after", _PANEL * len(ports) + 0.7, draw)


def _horizon(tree: xr.DataTree, doses: list[DoseMark]) -> float:
    if "simulation" in tree.children:
        return float(tree["simulation"].time.values[-1])
    return max(float(dose.times.max()) for dose in doses) + 24.0


def _total(dose: DoseMark) -> str:
    visits = f"{len(dose.times)} dose{'s' if len(dose.times) > 1 else ''}"
    return f"{visits}, {format_number(float(dose.amounts.sum()), 3)} {units.unit_text(dose.unit)} in all"


def _stems(axis: Any, dose: DoseMark, hours: float, colour: str, marker: str, shift: float) -> None:
    scale = style.time_scale(hours)
    face, line = ("white", LINES[1]) if colour == _WAS else (colour, LINES[0])
    at = (dose.times + shift) * scale
    axis.vlines(at, 0.0, dose.amounts, color=colour, ls=line, lw=1.4)
    axis.plot(at, dose.amounts, marker, color=colour, mfc=face, ms=6.5, ls="", clip_on=False)


def _limits(group: xr.Dataset) -> Picture:
    count = group.sizes["constraint"]
    if not count:
        return style.message("Limits at the optimum", "The scenario sets no limits.")
    limit, value, slack = (group[key].values for key in ("limit", "value", "slack"))
    size = group["size"].values if "size" in group else np.abs(limit)
    at_most = np.abs(slack - (limit - value)) <= np.abs(slack - (value - limit))
    with np.errstate(divide="ignore", invalid="ignore"):
        used = np.where(at_most, value / limit, limit / value)
        used = np.where((limit > 0) & (value >= 0), used, 1.0 - slack / size)  # no share of 0, nor of a negative number
    unit = [units.unit_text(str(u)) for u in group.constraint_unit.values]

    def draw(part: Any) -> None:
        axis = part.subplots()
        for i, share in enumerate(used):
            if not np.isfinite(share):
                continue
            state = state_of_limit(float(limit[i]), float(slack[i]), float(size[i])) or _ROOM
            axis.barh(i, 100 * share, 0.62, **_STATES[state])
        axis.axvline(100.0, color="black", lw=1.0, ls=LINES[1])
        names = [
            style.wrapped(f"{name}: {format_number(float(at), 3)}\u00a0{u}", 3.2)
            for name, at, u in zip(group.constraint.values, limit, unit, strict=True)
        ]
        axis.set_yticks(range(count), names, fontsize=9)
        axis.tick_params(axis="y", length=0)
        for i, (v, u) in enumerate(zip(value, unit, strict=True)):
            text = f"{format_number(float(v), 3)} {u}"
            axis.text(1.01, i, text, transform=axis.get_yaxis_transform(), va="center", fontsize=9)
        axis.set(ylim=(count - 0.4, -0.6), xlim=(0.0, max(112.0, 105.0 * float(np.nanmax([*used, 0.0])))))
        axis.set_xlabel("used of the limit [%]")
        style.legend(part, [style.block(**look, label=state) for state, look in _STATES.items()])

    return Picture("Limits at the optimum", _BAR * 1.25 * count + 0.95, draw)


def _objective(group: xr.Dataset) -> Picture:
    names = [str(name) for name in group.term.values]
    if not names:
        return style.message("Terms of the objective", "The objective has no terms.")
    was, now = (group.term_value.sel(regimen=r).values for r in (BASELINE, OPTIMUM))
    rows = [*zip(names, was, now, strict=True), ("total", was.sum(), now.sum())]

    def draw(part: Any) -> None:
        axis = part.subplots()
        for i, (_, before, after) in enumerate(rows):
            better = after <= before
            axis.barh(
                i, after - before, 0.62, color=COLOURS[0] if better else COLOURS[1], hatch="" if better else "///"
            )
            text = f"{format_number(float(before), 3)} → {format_number(float(after), 3)}"
            axis.text(1.01, i, text, transform=axis.get_yaxis_transform(), va="center", fontsize=9)
        axis.axvline(0.0, color="black", lw=0.8)
        axis.set_yticks(range(len(rows)), [style.wrapped(name, 2.4) for name, *_ in rows])
        axis.tick_params(axis="y", length=0)
        axis.set_ylim(len(rows) - 0.4, -0.6)
        axis.set_xlabel("change of the weighted term from baseline to optimum [–]")
        meanings = ((COLOURS[0], "", "better than the baseline"), (COLOURS[1], "///", "worse"))
        style.legend(
            part, [style.block(facecolor=c, hatch=h, edgecolor="white", label=text) for c, h, text in meanings]
        )

    return Picture("Terms of the objective", _BAR * len(rows) + 1.0, draw)


def _history(group: xr.Dataset) -> Picture:
    rows = (
        ("objective", "objective [–]"),
        ("excess", "largest excess over a limit [–]"),
        ("kkt_residual", "KKT residual [–]"),
    )

    def draw(part: Any) -> None:
        axes = part.subplots(1, len(rows))
        handles = []
        for axis, (name, label) in zip(axes, rows, strict=True):
            values = group[name].values
            for i, y in enumerate(values.T):
                look = {
                    "color": COLOURS[i % len(COLOURS)],
                    "ls": LINES[i % len(LINES)],
                    "lw": 1.3,
                    "marker": "o" if len(values) < _FEW else None,
                    "ms": 4,
                }
                y = y if name == "objective" else np.where(y > 0, y, np.nan)
                axis.plot(group.step.values + 1, y, **look)
                if name == "objective":
                    handles.append(style.key(**look, label=f"start {i + 1}"))
            known = values[np.isfinite(values) & (values > 0 if name != "objective" else np.isfinite(values))]
            if not len(known):
                axis.text(0.5, 0.5, "none", transform=axis.transAxes, ha="center", color=GREY)
                axis.set_yticks([])
            elif name != "objective":
                axis.set_ylim(max(float(known.min()) / 1.5, float(known.max()) * 1e-6), float(known.max()) * 1.5)
                style.log_axis(axis)
            axis.set_title(label)
            axis.set_xlabel("step of the search")
            axis.set_xlim(0.5, len(values) + 0.5)
            axis.locator_params(axis="x", nbins=5, integer=True)
        style.legend(part, handles)

    return Picture("History of the search", 2.7, draw)


def signals_of(tree: xr.DataTree) -> list[str]:
    """The signals that the objective and the limits are about, each once."""
    config = reading.config_of(tree)
    terms = [term.get("signal") for term in config.get("objective", {}).values() if isinstance(term, dict)]
    limits = [limit.get("signal") for limit in config.get("limit", ())]
    there = tree["simulation"].data_vars if "simulation" in tree.children else ()
    return [name for name in dict.fromkeys([*terms, *limits]) if name in there]

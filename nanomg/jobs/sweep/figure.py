"""What a sweep shows: lines and maps over the axes that vary, distributions and bands over subjects, courses where they are kept.

Of a large sweep only as much is read as a figure can show: so many of the first subjects, which are as random as any others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.patheffects import withStroke

from nanomg import units
from nanomg.analysis import across_subjects
from nanomg.drawing import dose_strip
from nanomg.drawing import style as drawing_style
from nanomg.drawing.style import COLOURS, GREY, LINES, Picture
from nanomg.formatting import format_number
from nanomg.results import reading
from nanomg.results.reading import BAND, DoseMark

_READ = 1_000_000  # numbers of a variable that are read
_SIDE = 200  # values of an axis of a map
_LINES = 5  # values of a second axis that have a line each
_PANELS = 4  # values of a third axis, or of a category, that have a map each
_POINTS = 4000  # dots of a scatter
_BINS = 40
_UNEVEN = 3.0  # an axis is logarithmic where its last step is so many times the first
_DECADES = 100.0  # a number that spans more than this factor is drawn on a logarithmic axis
_SKEWED = 5.0  # and a distribution from this factor on
_ROW = 2.4  # [inch]
_FIXED = ("subject", "time")


class _Space(NamedTuple):
    """What varies: numeric axes, those of names (hypotheses, arms), points of a sample, subjects."""

    numeric: list[str]
    named: list[str]
    sampled: list[str]
    subjects: bool


def pictures(tree: xr.DataTree, signals: Sequence[str], log: bool | None, everything: bool) -> list[Picture]:
    """The pictures of a sweep: of all numbers kept together where they are lines, one for each where they are maps.

    Without `signals` they are of the first numbers that are kept, or of `everything`.
    """
    data, config = tree["sweep"].to_dataset(), reading.config_of(tree)
    reasons = reading.failures(data)
    if reasons and reading.all_failed(data):
        return [drawing_style.message("Sweep", f"No trajectory was solved. {'; '.join(reasons)}.")]
    every = reading.chosen(data, _labels(data, signals), map(str, data.data_vars))
    if not every:
        return [drawing_style.message("Sweep", "The file keeps no numbers.")]
    names = every if signals or everything else every[: reading.MOST]
    data, fixed = _without_single(_in_order(data))
    space = _space(data)
    note = _both(
        f"at {', '.join(fixed)}" if fixed else "",
        f"left out: {'; '.join(reasons)}" if reasons else "",
        f"{len(every) - len(names)} of {len(every)} numbers kept are drawn by --all alone"
        if len(names) < len(every)
        else "",
    )
    numbers = [name for name in names if "time" not in data[name].dims]
    found = [_courses(tree, data, space, name, log, note) for name in names if name not in numbers]
    kept = [_Number(_read(data[name], space), config, name, log) for name in numbers]
    if kept and space.sampled:
        found += [_scatters(data, space, number, note) for number in kept]
    elif kept and len(space.numeric) > 1:
        found += [picture for number in kept for picture in _maps(data, space, number, note)]
    elif kept and space.numeric:
        found.append(_lines(data, space, kept, note))
    elif kept and space.subjects:
        found.append(_distributions(space, kept, note))
    elif kept:
        found.append(_bars(space, kept, note))
    return found


def _labels(data: xr.Dataset, signals: Sequence[str]) -> list[str]:
    """Signals as asked for: a quantity stands for every way in which it is kept."""
    there = list(map(str, data.data_vars))
    every = [[n for n in there if s in (n, n.rpartition(":")[0])] or [s] for s in signals]
    return list(dict.fromkeys(itertools.chain(*every)))


def _in_order(data: xr.Dataset) -> xr.Dataset:
    """The data with its axes of numbers rising."""
    falling = [dim for dim in _numeric(data) if (np.diff(data[dim].values) < 0).any()]
    return data.sortby(falling) if falling else data


def _without_single(data: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    """The data without numeric axes of one value, and what these values are."""
    single = [dim for dim in _numeric(data) if data.sizes[dim] == 1]
    return data.isel(dict.fromkeys(single, 0)), [_told(data[dim], data[dim].values[0]) for dim in single]


def _numeric(data: xr.Dataset) -> list[str]:
    """The axes of numbers."""
    there = [str(dim) for dim in data.sizes if dim not in _FIXED]
    return [dim for dim in there if dim in data.coords and data[dim].dtype.kind in "iuf"]


def _space(data: xr.Dataset) -> _Space:
    dims, numeric = [str(dim) for dim in data.sizes if dim not in _FIXED], _numeric(data)
    along = [str(name) for name, coord in data.coords.items() if coord.dims == ("point",) and name != "point"]
    return _Space(
        numeric=sorted(numeric, key=lambda d: -data.sizes[d]),
        named=[d for d in dims if d != "point" and d not in numeric],
        sampled=along if "point" in dims else [],
        subjects="subject" in data.sizes,
    )


def _read(variable: xr.DataArray, space: _Space) -> xr.DataArray:
    """As much of a variable as a figure shows, in memory."""
    for dim in space.numeric:
        if variable.sizes[dim] > _SIDE:
            variable = variable.isel({dim: np.linspace(0, variable.sizes[dim] - 1, _SIDE).round().astype(int)})
    if variable.size > _READ and "subject" in variable.dims:
        others = variable.size // variable.sizes["subject"]
        variable = variable.isel(subject=slice(0, max(100, _READ // others)))
    return variable.load()


class _Number:
    """A number kept of each trajectory, with the words for it and the limits that it should keep."""

    def __init__(self, values: xr.DataArray, config: Mapping[str, Any], name: str, log: bool | None):
        self.values = values
        signal, _, how = name.rpartition(":")
        self.unit = str(values.attrs.get("units", "1"))
        self.text = str(values.attrs.get("long_name", name))
        self.limits = reading.limits_of(signal, config, self.unit) if how == "max" else []
        known = values.values[np.isfinite(values.values)]
        low, high = np.quantile(known, (0.01, 0.99)) if len(known) else (0.0, 0.0)
        positive = bool(len(known)) and bool(known.min() > 0)
        self.log = positive and bool(log or (log is None and high > _DECADES * low))
        self.skewed = positive and bool(log or (log is None and known.max() > _SKEWED * low))

    @property
    def label(self) -> str:
        """Its unit, as an axis says it."""
        return f"[{units.unit_text(self.unit)}]"

    @property
    def middle(self) -> xr.DataArray:
        """The median over subjects, or the number itself."""
        if "subject" not in self.values.dims:
            return self.values
        return across_subjects.quantiles(self.values, (0.5,)).isel(quantile=0, drop=True)


# ---------------------------------------------------------------- one axis: lines
def _lines(data: xr.Dataset, space: _Space, numbers: Sequence[_Number], note: str) -> Picture:
    """Each number over the axis, a line for each category, with a band over the subjects."""
    along = space.numeric[0]
    columns = 1 if len(numbers) == 1 else 2
    rows = math.ceil(len(numbers) / columns)

    def draw(part: Any) -> None:
        axes = part.subplots(rows, columns, squeeze=False).ravel()
        handles: dict[str, Any] = {}
        for i, (axis, kept) in enumerate(itertools.zip_longest(axes, numbers)):
            if kept is None:
                axis.set_axis_off()
                continue
            for k, (label, values) in enumerate(_by_name(kept.values, space.named)):
                handles.update(_line(axis, data[along], values, label, k))
            axis.set_title(drawing_style.wrapped(kept.text, 0.8 * drawing_style.WIDTH / columns))
            axis.set_ylabel(kept.label)
            _axes(axis, data[along], kept, drawing_style.WIDTH / columns, last=i + columns >= len(numbers))
        drawing_style.legend(part, [*handles.values()], note)

    return Picture(f"Over {_text(data[along])}", _ROW * rows + 0.7, draw)


def _by_name(values: xr.DataArray, named: Sequence[str]) -> list[tuple[str, xr.DataArray]]:
    """The values of each combination of names, with its label."""
    if not named:
        return [("", values)]
    coords = [values[dim].values for dim in named]
    each = [dict(zip(named, c, strict=True)) for c in itertools.product(*coords)]
    return [(", ".join(map(str, at.values())), values.sel(at)) for at in each]


def _line(axis: Any, along: xr.DataArray, values: xr.DataArray, label: str, k: int) -> dict[str, Any]:
    colour, style = COLOURS[k % len(COLOURS)], LINES[k % len(LINES)]
    x = values[along.name].values if along.name in values.coords else along.values
    markers = {"marker": "o", "ms": 3.5} if len(x) <= 25 else {}
    if "subject" not in values.dims:
        axis.plot(x, values.values, color=colour, ls=style, **markers)
        return {
            label: drawing_style.key(
                color=colour, ls=style, **markers, label=drawing_style.plain(label) or "typical subject"
            )
        }
    low, middle, high = (
        across_subjects.quantiles(values.transpose(along.name, "subject"), BAND).transpose("quantile", ...).values
    )
    axis.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)
    axis.plot(x, middle, color=colour, ls=style, **markers)
    name = f"{drawing_style.plain(label)}, median" if label else "median of subjects"
    line = drawing_style.key(color=colour, ls=style, **markers, label=name)
    return {
        label: line,
        "band": drawing_style.block(color=GREY, alpha=0.3, label=f"5 to 95 % of {values.sizes['subject']:,} subjects"),
    }


def _axes(axis: Any, along: xr.DataArray, kept: _Number, inches: float, last: bool) -> None:
    if last:
        axis.set_xlabel(drawing_style.wrapped(f"{_text(along)} [{_unit(along)}]", 0.85 * inches))
    _scale_y(axis, kept)
    if _is_log(along.values):
        axis.set_xlim(along.values.min(), along.values.max())
        drawing_style.log_axis(axis, "x")


def _scale_y(axis: Any, kept: _Number, named: bool = True) -> None:
    """The vertical axis, with the limits that are near, `named` beside it."""
    bottom, top = axis.get_ylim()
    for value, _ in kept.limits:
        if value <= top + (top - bottom):
            axis.axhline(value, color="black", lw=1.0, ls=LINES[1], zorder=1.5)
    if kept.log:
        drawing_style.log_axis(axis)
    else:
        axis.ticklabel_format(axis="y", useOffset=False, style="plain")
        axis.locator_params(axis="y", nbins=5)
    bottom, top = axis.get_ylim()
    texts = [(value, text) if value <= top else (top, f"↑ {text}") for value, text in kept.limits]
    if named:
        drawing_style.beside(axis, texts, _ROW * 0.7)


def _is_log(x: np.ndarray) -> bool:
    steps = np.diff(np.sort(x))
    return bool(
        len(x) > 2 and x.min() > 0 and steps[-1] > _UNEVEN * steps[0] and np.ptp(np.diff(np.log(np.sort(x)))) < 0.7
    )


def _text(along: xr.DataArray) -> str:
    return str(along.attrs.get("long_name", along.name))


def _unit(along: xr.DataArray) -> str:
    return units.unit_text(str(along.attrs.get("units", "1")))


def _both(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


# ---------------------------------------------------------------- two axes and more: maps
def _maps(data: xr.Dataset, space: _Space, kept: _Number, note: str) -> list[Picture]:
    """A map over the two longest axes, for some values of the next or of a category, and the same as lines."""
    x, y, *rest = space.numeric
    spread = space.named[0] if space.named else rest[0] if rest else None
    middle, fixed = _hold(kept.middle, [d for d in [*rest, *space.named] if d != spread])
    ends = np.nanquantile(middle.values, (0.0, 1.0)) if np.isfinite(middle.values).any() else (0.0, 1.0)
    shown = _some(middle[spread].values, _PANELS) if spread else [None]
    what = "median of the subjects" if space.subjects else "typical subject"
    where = f"{what}{', at ' + ', '.join(fixed) if fixed else ''}"

    def draw(part: Any) -> None:
        axes = part.subplots(1, len(shown), squeeze=False, sharey=True)[0]
        if ends[1] <= ends[0]:
            norm: Any = mpl.colors.Normalize(ends[0] - 0.5, ends[0] + 0.5)
        else:
            norm = mpl.colors.LogNorm(*ends) if kept.log else mpl.colors.Normalize(*ends)
        for i, (axis, value) in enumerate(zip(axes, shown, strict=True)):
            values = middle if value is None else middle.sel({spread: value})
            mesh = _map(axis, data[x], data[y], values.transpose(y, x).values, norm, kept)
            axis.set_xlabel(
                drawing_style.wrapped(f"{_text(data[x])} [{_unit(data[x])}]", 0.8 * drawing_style.WIDTH / len(shown))
            )
            if i == 0:
                axis.set_ylabel(drawing_style.wrapped(f"{_text(data[y])} [{_unit(data[y])}]", 2.4))
            if spread is not None:
                axis.set_title(
                    drawing_style.wrapped(_told(data[spread], value), 0.75 * drawing_style.WIDTH / len(shown)),
                    fontsize=9,
                )
        bar = part.colorbar(mesh, ax=list(axes), aspect=18, pad=0.015)
        bar.set_label(drawing_style.wrapped(f"{kept.text} {kept.label}", 2.6))
        if kept.log and ends[1] > ends[0]:
            drawing_style.log_axis(bar.ax)
        handles: list[Any] = []
        if np.isnan(middle.values).any():
            handles.append(drawing_style.block(facecolor="#DDDDDD", hatch="///", edgecolor=GREY, label="no result"))
        handles += [
            drawing_style.key(color="black", ls=LINES[1], label=drawing_style.plain(text)) for _, text in kept.limits
        ]
        drawing_style.legend(part, handles, _both(where, note))

    wide = Picture(f"{kept.text}, as a map", 3.6, draw)
    return [wide, _sections(data, x, y, middle, spread, kept, _both(where, note))]


def _hold(values: xr.DataArray, dims: Sequence[str]) -> tuple[xr.DataArray, list[str]]:
    """The values in the middle of further axes, of names at the first, and where that is."""
    told = []
    for dim in dims:
        at = values[dim].isel({dim: values.sizes[dim] // 2 if values[dim].dtype.kind in "iuf" else 0})
        told.append(_told(values[dim], at.values[()]))
        values = values.sel({dim: at})
    return values, told


def _some(values: np.ndarray, most: int) -> list[Any]:
    """At most so many values from the first to the last."""
    index = np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))
    return list(values[index])


def _told(along: xr.DataArray, value: Any) -> str:
    """A value of an axis in words."""
    if along.dtype.kind not in "iuf":
        return str(value)
    return f"{_text(along)} {_value(value)} {_unit(along)}".removesuffix(" –")


def _value(value: Any) -> str:
    return format_number(float(value), 3) if isinstance(value, int | float | np.number) else str(value)


def _map(axis: Any, x: xr.DataArray, y: xr.DataArray, values: np.ndarray, norm: Any, kept: _Number) -> Any:
    xs, ys = (_near(c, n) for c, n in ((x, values.shape[1]), (y, values.shape[0])))
    axis.set_facecolor("#DDDDDD")
    axis.patch.set(hatch="///", edgecolor=GREY)
    mesh = axis.pcolormesh(
        *(_edges(at) for at in (xs, ys)), values, norm=norm, cmap=drawing_style.MAP, rasterized=values.size > 4000
    )
    mesh.centres = xs, ys  # for a pointer: an uneven axis has its values beside the middles of the fields
    for value, _ in kept.limits:
        if np.nanmin(values) < value < np.nanmax(values):
            line = axis.contour(xs, ys, values, [value], colors="black", linestyles="--", linewidths=1.5)
            line.set_path_effects([withStroke(linewidth=3.5, foreground="white")])
    for which, coord in (("x", x), ("y", y)):
        if _is_log(coord.values):
            drawing_style.log_axis(axis, which)
    axis.spines[["top", "right"]].set_visible(True)
    return mesh


def _near(coord: xr.DataArray, count: int) -> np.ndarray:
    """The values of an axis that were read."""
    if len(coord) == count:
        return np.asarray(coord.values)
    return np.asarray(coord.values[np.linspace(0, len(coord) - 1, count).round().astype(int)])


def _edges(at: np.ndarray) -> np.ndarray:
    """The ends of fields about the values of an axis, half-way as it is drawn."""
    as_log = _is_log(at)
    at = np.log(at) if as_log else at
    middles = (at[1:] + at[:-1]) / 2
    edges = np.concatenate([[2 * at[0] - middles[0]], middles, [2 * at[-1] - middles[-1]]])
    return np.exp(edges) if as_log else edges


def _sections(
    data: xr.Dataset, x: str, y: str, middle: xr.DataArray, spread: str | None, kept: _Number, where: str
) -> Picture:
    """Lines over the longest axis at some values of the second."""
    values = middle if spread is None else middle.isel({spread: 0})
    at = _some(values[y].values, _LINES)
    if spread is not None:
        where = f"{where}, {_told(data[spread], data[spread].values[0])}"

    def draw(part: Any) -> None:
        axis = part.subplots()
        handles = []
        for k, value in enumerate(at):
            look = {
                "color": mpl.colormaps[drawing_style.MAP](0.9 * k / max(len(at) - 1, 1)),
                "ls": LINES[k % len(LINES)],
            }
            axis.plot(values[x].values, values.sel({y: value}).values, **look)
            handles.append(drawing_style.key(**look, label=f"{_value(value)} {_unit(data[y])}".removesuffix(" –")))
        axis.set_ylabel(drawing_style.wrapped(f"{kept.text} {kept.label}", _ROW))
        _axes(axis, data[x], kept, drawing_style.WIDTH, last=True)
        drawing_style.legend(part, handles, f"{where}; {_text(data[y])}:")

    return Picture(f"{kept.text}, as lines", _ROW + 0.8, draw)


# ---------------------------------------------------------------- samples, subjects, courses
def _scatters(data: xr.Dataset, space: _Space, kept: _Number, note: str) -> Picture:
    """A number over each coordinate of sampled points, with the running median, in a colour for each category."""
    columns = min(3, len(space.sampled))
    rows = math.ceil(len(space.sampled) / columns)
    each = _by_name(kept.middle, space.named)
    points = data.sizes["point"]
    thin = slice(None, None, max(1, len(each) * points // _POINTS))
    bright = [withStroke(linewidth=4.0, foreground="white")]
    looks = [{"color": COLOURS[k % len(COLOURS)], "ls": LINES[k % len(LINES)], "lw": 2.0} for k in range(len(each))]

    def draw(part: Any) -> None:
        axes = part.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for i, (axis, name) in enumerate(itertools.zip_longest(axes, space.sampled)):
            if name is None:
                axis.set_axis_off()
                continue
            inches = drawing_style.WIDTH / columns
            x = data[name].values
            named = x.dtype.kind not in "iuf"
            if named:
                categories, x = np.unique(x, return_inverse=True)
                axis.set_xticks(range(len(categories)), categories)
                axis.margins(x=0.2)
            for look, (_, y) in zip(looks, each, strict=True):
                dots = {"color": look["color"], "alpha": 0.4, "mew": 0, "rasterized": points > 1000}
                axis.plot(x[thin], y.values[thin], "o", ms=2.6, **dots)
            for look, (_, y) in zip(looks, each, strict=True):
                median = _by_category(x, y.values) if named else _running(x, y.values)
                axis.plot(*median, **look | ({"ls": "", "marker": "D"} if named else {}), path_effects=bright)
            as_log = not named and x.min() > 0 and x.max() > 20 * x.min() and np.median(x) < (x.min() + x.max()) / 3
            axis.set_xlabel(drawing_style.wrapped(f"{_text(data[name])} [{_unit(data[name])}]", 0.85 * inches))
            if i % columns == 0:
                axis.set_ylabel(drawing_style.wrapped(f"{kept.text} {kept.label}", 2.0))
            if as_log:
                drawing_style.log_axis(axis, "x")
        for i, axis in enumerate(axes[: len(space.sampled)]):
            _scale_y(axis, kept, named=i == columns - 1)
        lines = [
            drawing_style.key(
                **look, label=f"{drawing_style.plain(label)}, running median" if label else "running median"
            )
            for look, (label, _) in zip(looks, each, strict=True)
        ]
        dot = drawing_style.key(ls="", marker="o", color=GREY, ms=4, label=f"{points:,} points")
        drawing_style.legend(part, [dot, *lines], note)

    return Picture(kept.text, _ROW * rows + 0.8, draw)


def _running(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Medians of y in so many bins of equal count in x."""
    known = np.isfinite(y)
    order = np.argsort(x[known])
    count = max(2, min(15, known.sum() // 8))
    xs, ys = (np.array_split(v[known][order], count) for v in (x, y))
    pairs = [(np.median(a), np.median(b)) for a, b in zip(xs, ys, strict=True) if len(a)]
    return np.array(pairs).reshape(-1, 2).T[0], np.array(pairs).reshape(-1, 2).T[1]


def _by_category(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The median of y at each value of x."""
    at = np.unique(x[np.isfinite(y)])
    return at, np.array([np.nanmedian(y[x == value]) for value in at])


def _distributions(space: _Space, numbers: Sequence[_Number], note: str) -> Picture:
    """How each number is distributed over the subjects, for each category."""
    columns = 1 if len(numbers) == 1 else 2
    rows = math.ceil(len(numbers) / columns)

    def draw(part: Any) -> None:
        axes = part.subplots(rows, columns, squeeze=False).ravel()
        handles: dict[str, Any] = {}
        for axis, kept in itertools.zip_longest(axes, numbers):
            if kept is None:
                axis.set_axis_off()
                continue
            told = []
            for k, (label, values) in enumerate(_by_name(kept.values, space.named)):
                y = values.values.ravel()
                y = y[np.isfinite(y)]
                if not len(y):
                    continue
                _histogram(axis, y, kept, k)
                low, middle, high = np.quantile(y, BAND)
                said = f"median {format_number(middle, 3)} ({format_number(low, 3)} to {format_number(high, 3)})"
                told.append(f"{label}: {said}" if label else said)
                look = {"color": COLOURS[k % len(COLOURS)], "ls": LINES[k % len(LINES)]}
                name = drawing_style.plain(label) or f"{len(y):,} subjects"
                handles[label] = drawing_style.key(**look, label=name)
            inches = drawing_style.WIDTH / columns
            axis.set_title(
                drawing_style.wrapped(kept.text, 0.8 * inches) + "\n" + "\n".join(map(drawing_style.plain, told))
            )
            axis.set_xlabel(kept.label)
            axis.set_ylabel("share of subjects [%]")
            axis.set_ylim(bottom=0.0)
            for value, text in kept.limits:
                axis.axvline(value, color="black", lw=1.0, ls=LINES[1])
                handles[text] = drawing_style.key(color="black", lw=1.0, ls=LINES[1], label=drawing_style.plain(text))
            if kept.skewed:
                drawing_style.log_axis(axis, "x")
            else:
                axis.locator_params(axis="x", nbins=6)
        drawing_style.legend(part, [*handles.values()], _both("medians, and 5 to 95 % in brackets", note))

    return Picture("Over the subjects", (_ROW + 0.3 * len(space.named)) * rows + 0.7, draw)


def _bars(space: _Space, numbers: Sequence[_Number], note: str) -> Picture:
    """Each number of the typical subject for each category."""
    columns = 1 if len(numbers) == 1 else 2
    rows = math.ceil(len(numbers) / columns)

    def draw(part: Any) -> None:
        axes = part.subplots(rows, columns, squeeze=False).ravel()
        for axis, kept in itertools.zip_longest(axes, numbers):
            if kept is None:
                axis.set_axis_off()
                continue
            each = _by_name(kept.values, space.named)
            for k, (_, value) in enumerate(each):
                axis.plot(float(value), k, "o", color=COLOURS[0], ms=7)
            axis.set_yticks(range(len(each)), [drawing_style.plain(label) for label, _ in each])
            axis.set_ylim(len(each) - 0.5, -0.5)
            axis.set_title(drawing_style.wrapped(kept.text, 0.8 * drawing_style.WIDTH / columns))
            axis.set_xlabel(kept.label)
            axis.ticklabel_format(axis="x", useOffset=False, style="plain")
            axis.locator_params(axis="x", nbins=5)
            axis.margins(x=0.15)
        drawing_style.legend(part, [], _both("typical subject", note))

    title = f"For each {' and '.join(space.named)}" if space.named else "What was kept"
    return Picture(title, 1.9 * rows + 0.7, draw)


def _histogram(axis: Any, y: np.ndarray, kept: _Number, k: int) -> None:
    low, high = np.quantile(y, (0.001, 0.999)) if len(y) > 1000 else (y.min(), y.max())
    if not high > low:
        low, high = low - 0.1 * abs(low) - 1e-9, high + 0.1 * abs(high) + 1e-9
    bins = max(5, min(_BINS, int(2 * len(y) ** 0.4)))
    edges = np.geomspace(low, high, bins + 1) if kept.skewed else np.linspace(low, high, bins + 1)
    share = 100.0 * np.histogram(y, edges)[0] / len(y)
    look = {"color": COLOURS[k % len(COLOURS)], "ls": LINES[k % len(LINES)], "lw": 1.6}
    axis.stairs(share, edges, **look)
    axis.stairs(share, edges, fill=True, color=look["color"], alpha=0.15)


def _courses(tree: xr.DataTree, data: xr.Dataset, space: _Space, name: str, log: bool | None, note: str) -> Picture:
    """A course that is kept: bands over subjects, a line for some values of a category or of the longest axis."""
    given, varied = _common_doses(tree, data)
    lead = next(iter([*space.named, *space.numeric, *(["point"] if space.sampled else [])]), None)
    variable = data[name]
    at = _some(np.arange(data.sizes[lead]), _LINES) if lead is not None else []
    if lead is not None:
        variable = variable.isel({lead: at})
    variable, fixed = _hold(variable, [str(d) for d in variable.dims if d not in (lead, *_FIXED)])
    kept = _Number(_read(variable, space._replace(numeric=[])), reading.config_of(tree), f"{name}:max", log)
    lines = [("", kept.values)]
    if lead is not None:
        along = variable[lead] if lead in variable.coords else xr.DataArray(at, dims=lead, name=lead)
        lines = [(_told(along, v), kept.values.isel({lead: i})) for i, v in enumerate(along.values)]
    strip = 0.42 * len(given) + 0.1

    def draw(part: Any) -> None:
        doses, axis = part.subplots(2, 1, gridspec_kw={"height_ratios": [strip, _ROW]})
        hours = float(data.time.values[-1])
        dose_strip.draw_doses(doses, given, hours)
        times = xr.DataArray(data.time.values * drawing_style.time_scale(hours), dims="time", name="time")
        handles: dict[str, Any] = {}
        for k, (label, values) in enumerate(lines):
            handles.update(_line(axis, times, values.drop_vars("time"), label, k))
        drawing_style.time_axis(axis, hours, drawing_style.WIDTH)
        axis.set_ylabel(drawing_style.wrapped(f"{kept.text} {kept.label}", _ROW))
        _scale_y(axis, kept)
        where = f"at {', '.join(fixed)}" if fixed else ""
        drawing_style.legend(part, [*handles.values()], _both(where, varied, note))

    return Picture(kept.text, strip + _ROW + 0.8, draw)


def _common_doses(tree: xr.DataTree, data: xr.Dataset) -> tuple[list[DoseMark], str]:
    """The doses that all trajectories have, and a note of those that are varied."""
    given = reading.doses_of(tree, "")
    axes = [str(name).split(".")[1:-1] for name in data.coords if str(name).startswith("dose.")]
    ports = {".".join(port) for port in axes}
    varied = [dose.port for dose in given if dose.port in ports or "" in ports]
    note = f"doses into {' and '.join(varied)} vary and are not shown" if varied else ""
    return [dose for dose in given if dose.port not in varied], note

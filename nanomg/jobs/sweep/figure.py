"""What a sweep shows: lines and maps over its axes, distributions over subjects, and time courses."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from nanomg.drawing import style as drawing_style
from nanomg.drawing.asked import Asked
from nanomg.drawing.style import Picture
from nanomg.equations.model import RISE
from nanomg.jobs.sweep.figure_axes import MOST_LINES
from nanomg.jobs.sweep.figure_courses import course_picture
from nanomg.jobs.sweep.figure_distributions import bar_picture, distribution_picture, scatter_picture
from nanomg.jobs.sweep.figure_lines import line_picture
from nanomg.jobs.sweep.figure_maps import map_pictures
from nanomg.jobs.sweep.figure_space import KeptNumber, read_shown, rising, space_of, without_single
from nanomg.jobs.sweep.figure_words import joined
from nanomg.jobs.sweep.keep import RECORD, STATUS, SUBJECT
from nanomg.jobs.sweep.regimens import ID, REGIMEN
from nanomg.results import reading

TAKES = ("signals", "log")


def pictures(tree: xr.DataTree, asked: Asked) -> list[Picture]:
    """The pictures of a sweep: of all numbers kept together where they are lines, one for each where they are maps.

    Without `signals` they are of the first numbers that are kept, or of `everything`.
    """
    signals, log, _, everything = asked
    data, config = tree["sweep"].to_dataset(), reading.config_of(tree)
    reasons = reading.failures(data)
    if reasons and reading.all_failed(data):
        return [drawing_style.message("Sweep", f"No trajectory was solved. {'; '.join(reasons)}.")]
    at_records = [str(name) for name, kept in data.data_vars.items() if RECORD in kept.dims]
    data = data.drop_dims(RECORD, errors="ignore")
    if at_records and not [n for n in data.data_vars if n != STATUS]:
        return [drawing_style.message("Sweep", "Values at records are in the file; they are not drawn.")]
    every = reading.chosen(data, _labels(data, signals), map(str, data.data_vars))
    if not every:
        return [drawing_style.message("Sweep", "The file has no read-outs.")]
    data = _pooled(data)
    names = every if signals or everything else every[: reading.MOST]
    data, fixed = without_single(rising(data))
    space = space_of(data)
    note = joined(
        f"at {', '.join(fixed)}" if fixed else "",
        f"left out: {'; '.join(reasons)}" if reasons else "",
        f"{len(every) - len(names)} of {len(every)} read-outs are only drawn with --all"
        if len(names) < len(every)
        else "",
    )
    found = [course_picture(tree, data, space, name, log, note) for name in names if "time" in data[name].dims]
    numbers = [name for name in names if "time" not in data[name].dims]
    if data.sizes.get(REGIMEN, 0) < 2:
        return found + _of_numbers(data, numbers, config, log, note)
    found += _of_numbers(data, [name for name in numbers if RISE not in name], config, log, note)
    effect = _differences(data, numbers)
    pictures_of_effect = _of_numbers(effect, numbers, config, log, joined("as given less without Mg, paired", note))
    return found + [picture._replace(title=f"{picture.title}: what the Mg changes") for picture in pictures_of_effect]


def _of_numbers(
    data: xr.Dataset, names: Sequence[str], config: Mapping[str, Any], log: bool | None, note: str
) -> list[Picture]:
    """The pictures of numbers that are kept: lines, maps, distributions or dots, as there are axes and subjects."""
    space = space_of(data)
    kept = [KeptNumber(read_shown(data[name], space), config, name, log) for name in names]
    if not kept:
        return []
    if space.sampled:
        return [scatter_picture(data, space, number, note) for number in kept]
    if len(space.numeric) > 1:
        return [picture for number in kept for picture in map_pictures(data, space, number, note)]
    if space.numeric:
        return [line_picture(data, space, kept, note)]
    return [(distribution_picture if space.subjects else bar_picture)(space, kept, note)]


def _differences(data: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """Each number as given less without Mg, in the same subject at the same point; a rise is one already."""
    variables = {}
    for name in names:
        arms = data[name]
        text = arms.attrs.get("long_name", name)
        about = {**arms.attrs, "long_name": text if RISE in name else f"{text}, difference"}
        variables[name] = (arms.isel({REGIMEN: 0}, drop=True) - arms.isel({REGIMEN: 1}, drop=True)).assign_attrs(about)
    return xr.Dataset(variables)


def _pooled(data: xr.Dataset) -> xr.Dataset:
    """The data with the subjects of an event table among the virtual ones, if they are too many for a line each."""
    if data.sizes.get(ID, 0) <= MOST_LINES:
        return data.assign_coords({ID: [f"{ID} {name}" for name in data[ID].values]}) if ID in data.coords else data
    data = data.drop_vars([name for name, coord in data.coords.items() if {ID, SUBJECT} & {*coord.dims}])
    if SUBJECT not in data.dims:
        return data.rename({ID: SUBJECT})
    return data.rename({SUBJECT: "virtual"}).stack({SUBJECT: (ID, "virtual")}, create_index=False)


def _labels(data: xr.Dataset, signals: Sequence[str]) -> list[str]:
    """Signals as asked for: a quantity stands for every way in which it is kept."""
    there = list(map(str, data.data_vars))
    every = [[n for n in there if s in (n, n.rpartition(":")[0])] or [s] for s in signals]
    return list(dict.fromkeys(itertools.chain(*every)))

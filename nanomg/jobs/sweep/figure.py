"""What a sweep shows: lines and maps over its axes, distributions over subjects, and time courses."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import xarray as xr

from nanomg.drawing import style as drawing_style
from nanomg.drawing.asked import Asked
from nanomg.drawing.style import Picture
from nanomg.jobs.sweep.figure_axes import MOST_LINES
from nanomg.jobs.sweep.figure_courses import course_picture
from nanomg.jobs.sweep.figure_distributions import bar_picture, distribution_picture, scatter_picture
from nanomg.jobs.sweep.figure_lines import line_picture
from nanomg.jobs.sweep.figure_maps import map_pictures
from nanomg.jobs.sweep.figure_space import KeptNumber, read_shown, rising, space_of, without_single
from nanomg.jobs.sweep.figure_words import joined
from nanomg.jobs.sweep.keep import RECORD, STATUS, SUBJECT
from nanomg.jobs.sweep.regimens import ID
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
    numbers = [name for name in names if "time" not in data[name].dims]
    found = [course_picture(tree, data, space, name, log, note) for name in names if name not in numbers]
    kept = [KeptNumber(read_shown(data[name], space), config, name, log) for name in numbers]
    if kept and space.sampled:
        found += [scatter_picture(data, space, number, note) for number in kept]
    elif kept and len(space.numeric) > 1:
        found += [picture for number in kept for picture in map_pictures(data, space, number, note)]
    elif kept and space.numeric:
        found.append(line_picture(data, space, kept, note))
    elif kept and space.subjects:
        found.append(distribution_picture(space, kept, note))
    elif kept:
        found.append(bar_picture(space, kept, note))
    return found


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

"""Several results side by side: the same quantities of each in the first one's units, and how what was asked for differs.

    found = nanomg.compare(["low.h5", "high.h5"])
    found.table.change.sel(run="high")  # xarray, (quantity, run): relative to the first run
    found.differences                   # parameters, doses, options, seed, versions that are not the same

Results of one job can be compared. A simulation and an optimisation count as one: what the regimen does as given, and what
the optimised one does.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from nanomg import jobs, units
from nanomg.dosing.dose import Dose
from nanomg.dosing.prescription import describe
from nanomg.errors import InputError
from nanomg.files import StrPath
from nanomg.formatting import format_number
from nanomg.jobs import Job
from nanomg.page.quantity import Quantity
from nanomg.page.result import ResultReader
from nanomg.results import file as result_file
from nanomg.results.groups import about

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Given = StrPath | xr.DataTree


HAS = "yes"  # what a run that has an item says of it

_SAME = 1e-9  # relative difference below which numbers are the same


_LISTS = ("mechanisms", "cards", "vary", "keep")  # lists of which the items that differ are told
# of a configuration: told in another way, or of no effect
_TOLD = ("scenario", "parameters", "set", "dose", "file.parameters", "file.dose", "precision", "sweep.seed")
_WORDS = ("file.title", "file.description")
_LONGEST, _HASH = 60, 8  # letters of a value; of a longer one's beginning and hash


@dataclasses.dataclass(frozen=True)
class Difference:
    """Something asked for that is not the same in all runs: its value in each, as text with its unit, None where there is none.

    `change` is relative to the first run, NaN for what is not a number.
    """

    group: str
    name: str
    values: tuple[str | None, ...]
    change: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What several results of one kind have in common, and what not, by the name of each.

    `table` has `value` and `change` (relative to the first run), both (quantity, run), with the coordinates `group`, `name`,
    `measure` and `unit` of each quantity; what a run does not have is NaN.
    """

    kind: str
    runs: Mapping[str, xr.DataTree]
    table: xr.Dataset
    differences: tuple[Difference, ...]

    def figure(self) -> Figure:
        """Courses of all runs over each other, where they have such, and every quantity relative to the first run."""
        from nanomg.views import compare_figure  # with Matplotlib

        return compare_figure.figure(self.table, self.runs)

    def to_dict(self) -> dict[str, Any]:
        """What `nanomg compare --json` prints."""
        by_name = lambda values: dict(zip(self.runs, values, strict=True))
        rows = zip(self.table.value.values.tolist(), self.table.change.values.tolist(), strict=True)
        return {
            "kind": self.kind,
            "runs": [{"name": name, "title": str(tree.attrs.get("title", ""))} for name, tree in self.runs.items()],
            "differences": [
                {"group": d.group, "name": d.name, "values": by_name(d.values), "change": by_name(d.change)}
                for d in self.differences
            ],
            "quantities": [
                quantity._asdict() | {"values": by_name(value), "change": by_name(change)}
                for quantity, (value, change) in zip(self.quantities, rows, strict=True)
            ],
        }

    @property
    def quantities(self) -> list[Quantity]:
        """The rows of the table."""
        columns = (self.table[key].values.tolist() for key in Quantity._fields)
        return [Quantity(*row) for row in zip(*columns, strict=True)]


def compare(runs: Sequence[Given] | Mapping[str, Given]) -> Comparison:
    """Compare the quantities, settings and figures of two or more results of one kind.

    Args:
        runs: result files or open trees, or a mapping from names to these. Without names, the shortest distinct parts of the
            paths are used.

    Returns:
        A comparison: `table` has the value and relative change of each quantity (quantity, run), in the units of the first run;
        `differences` the settings that differ; `figure()` draws both.

    Raises:
        InputError: there are fewer than two results, one is not a result, or they are of different jobs.

    Example:
        >>> import nanomg
        >>> low = nanomg.simulate("textbook-1cpt", dose=["pk.depot: 50 mg"])
        >>> high = nanomg.simulate("textbook-1cpt", dose=["pk.depot: 100 mg"])
        >>> comparison = nanomg.compare({"low": low.tree, "high": high.tree})
        >>> round(float(comparison.table.change.sel(run="high").max()), 3)  # the dose is doubled
        1.0
    """
    named = runs if isinstance(runs, Mapping) else dict(zip(_names(runs), runs, strict=True))
    if len(named) < 2:
        raise InputError(f"two or more result files are needed; {len(named) or 'none'} was given", "compare")
    trees = {name: run if isinstance(run, xr.DataTree) else result_file.open(run) for name, run in named.items()}
    makers = {name: _maker(tree, name) for name, tree in trees.items()}
    (first, job), *others = makers.items()
    for other, maker in others:
        if (maker.comparable_as or maker.name) != (job.comparable_as or job.name):
            raise InputError(
                f"only results of the same job can be compared; {job.name} made {first!r} and {maker.name} made {other!r}"
            )
    summaries = [_summary(tree, name) for name, tree in trees.items()]
    numbers = [dict(maker.about("quantities", ResultReader(trees[name]))) for name, maker in makers.items()]
    differences = tuple(_differences([*trees.values()], summaries))
    return Comparison(job.name, trees, _table(numbers, list(trees)), differences)


def _maker(tree: xr.DataTree, name: str) -> Job:
    try:
        return jobs.job_of(tree)
    except InputError as error:
        raise InputError(error.message, name) from None


def _summary(tree: xr.DataTree, name: str) -> dict[str, Any]:
    if "summary_json" not in tree.attrs:
        raise InputError("this result has no summary", name)
    return dict(json.loads(tree.attrs["summary_json"]))


def _names(runs: Sequence[Given]) -> list[str]:
    """The shortest names that tell the files apart; of trees their number."""
    files = {i: Path(run).absolute() for i, run in enumerate(runs) if not isinstance(run, xr.DataTree)}
    twice = next((a for a, b in itertools.combinations(files.values(), 2) if a.resolve() == b.resolve()), None)
    if twice is not None:
        raise InputError("the file is named twice", str(twice))
    names = {i: file.stem for i, file in files.items()}
    depth = 1
    while len({*names.values()}) < len(names):
        names = {i: str(Path(*file.parts[-depth:])) for i, file in files.items()}
        depth += 1
    return [names.get(i, f"run {i + 1}") for i in range(len(runs))]


def _table(told: Sequence[Mapping[Quantity, float | None]], names: Sequence[str]) -> xr.Dataset:
    """All quantities, each in the unit of the first run that has it; of another dimension it is another quantity."""
    rows: dict[tuple[Any, ...], Quantity] = {}
    values: dict[tuple[Any, ...], list[float]] = {}
    for i, quantities in enumerate(told):
        for quantity, value in quantities.items():
            key = (*quantity[:3], units.dimension(quantity.unit))
            row = rows.setdefault(key, quantity)
            into = values.setdefault(key, [math.nan] * len(told))
            into[i] = math.nan if value is None else units.convert(value, quantity.unit, row.unit)
    groups = list(dict.fromkeys(row.group for row in rows.values()))
    order = sorted(rows, key=lambda key: groups.index(key[0]))
    found = np.array([values[key] for key in order], float).reshape(-1, len(told))
    first = found[:, :1]
    change = np.divide(found - first, np.abs(first), out=np.full_like(found, np.nan), where=first != 0)
    change[np.isclose(found, first, rtol=_SAME, atol=0.0)] = 0.0
    dims = ("quantity", "run")
    texts = zip(*(rows[key] for key in order), strict=True)
    coords = {key: ("quantity", np.array(column, object)) for key, column in zip(Quantity._fields, texts, strict=False)}
    return xr.Dataset(
        {
            "value": (dims, found, about("1", "value in the unit of `unit`")),
            "change": (dims, change, about("1", "change relative to the first run")),
        },
        {"run": list(names), **coords},
    )


# ---------------------------------------------------------------- what was asked
def _differences(trees: Sequence[xr.DataTree], summaries: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    """Whatever is not the same in all runs; of each group first what all of them have."""
    groups = itertools.groupby(_unlike(trees, summaries), key=lambda each: each.group)
    for _, members in groups:
        yield from sorted(members, key=lambda each: None in each.values)


def _unlike(trees: Sequence[xr.DataTree], summaries: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    configs = [json.loads(tree.attrs.get("config_json", "{}")) for tree in trees]
    yield from _told("run", [_run(tree, config) for tree, config in zip(trees, configs, strict=True)])
    yield from _parameters([_values(config) for config in configs])
    asked = [_doses(tree, config) for tree, config in zip(trees, configs, strict=True)]
    yield from _told("doses", [dict.fromkeys(lines, HAS) for lines in asked])
    found = [_lines(summary.get("regimen", ())) for summary in summaries]
    yield from _told("optimised doses", [dict.fromkeys(lines, HAS) for lines in found])
    yield from _told("configuration", [dict(_leaves(config)) for config in configs])
    yield from _told("versions", [json.loads(tree.attrs.get("package_versions_json", "{}")) for tree in trees])


def _told(group: str, facts: Sequence[Mapping[str, str]]) -> Iterator[Difference]:
    for name in dict.fromkeys(itertools.chain.from_iterable(facts)):
        values = tuple(each.get(name) for each in facts)
        if len({*values}) > 1:
            yield Difference(group, name, values, (math.nan,) * len(facts))


def _run(tree: xr.DataTree, config: Mapping[str, Any]) -> dict[str, str]:
    said = {
        "scenario": config.get("scenario"),
        "seed": tree.attrs.get("rng_seed"),
        "precision": tree.attrs.get("dtype"),
        "device": tree.attrs.get("device"),
        "equations": str(tree.attrs.get("model_hash", ""))[:_HASH] or None,
    }
    return {name: str(value) for name, value in said.items() if value is not None}


def _values(config: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    return {name: (float(value), unit) for name, (value, unit) in config.get("parameters", {}).items()}


def _parameters(sets: Sequence[Mapping[str, tuple[float, str]]]) -> Iterator[Difference]:
    for name in sorted({*itertools.chain.from_iterable(sets)}):
        own = [values.get(name) for values in sets]
        value, unit = next(entry for entry in own if entry is not None)
        each = [math.nan if entry is None else units.convert(*entry, unit) for entry in own]
        if all(math.isclose(other, value, rel_tol=_SAME) for other in each):
            continue
        change = tuple((other - each[0]) / abs(each[0]) if each[0] else math.nan for other in each)
        yield Difference("parameters", name, tuple(entry and _amount(*entry) for entry in own), change)


def _amount(value: float, unit: str) -> str:
    return f"{format_number(value, 6)} {unit}".removesuffix(" 1").strip()


def _doses(tree: xr.DataTree, config: Mapping[str, Any]) -> list[str]:
    """The doses that were asked for, a line for each series of equal ones; as they were written where the file holds none."""
    if "doses" in tree.children and "evid" not in tree["doses"]:
        first = tree["doses"].to_dataset().isel(regimen=0)
        columns = [first[name].values.tolist() for name in ("time_h", "amt", "cmt", "duration_h", "unit")]
        rows = zip(*columns, strict=True)
        names = ("time_h", "amt", "cmt", "duration_h", "unit")
        return _lines([dict(zip(names, row, strict=True)) for row in rows if row[2]])
    tables = config.get("file", {}).get("dose", ())
    written = ("; ".join(f"{key} {_text(value)}" for key, value in table.items()) for table in tables)
    return list(config.get("dose") or written)


def _lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    unit = {row["cmt"]: row["unit"] for row in rows}
    return describe([Dose(r["time_h"], r["amt"], r["cmt"], r["duration_h"]) for r in rows], unit.__getitem__, 4)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The values of a configuration by their dotted names, as text."""
    if path in _TOLD or path in _WORDS or value is None:
        return
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _leaves(entry, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        for i, entry in enumerate(value, 1):
            yield from _leaves(entry, f"{path}[{i}]")
    elif isinstance(value, list) and path.rpartition(".")[2] in _LISTS:
        for entry in value:
            yield f"{path}: {_text(entry)}", HAS
    else:
        yield path, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list):
        value = ", ".join(map(_text, value))
    text = " ".join(str(value).split())
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_HASH]}… ({hashlib.sha256(text.encode()).hexdigest()[:_HASH]})"

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
from nanomg.results.doubt import interprets
from nanomg.results.groups import about
from nanomg.views.checked import checked_result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Given = StrPath | xr.DataTree


HAS = "yes"  # what a run that has an item says of it

_SAME = 1e-9  # relative difference below which numbers are the same


_LISTS = ("mechanisms", "cards", "vary", "keep")  # lists of which the items that differ are shown
# of a configuration: shown in another way, or of no effect
_ELSEWHERE = (
    *("scenario", "parameters", "set", "dose", "doses_changed", "file.parameters", "file.dose"),
    *("precision", "sweep.seed"),
)
_OF_REQUEST = frozenset(
    f"request.{key}" for key in ("job", "request_version", "scenario", "set", "dose", "precision", "seed")
)
_WORDS = ("file.title", "file.description", "file.control")
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
    unknowns: tuple[str, ...] = ()  # what cannot be compared, as sentences

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
            "unknowns": list(self.unknowns),
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


@interprets
def compare(runs: Sequence[Given] | Mapping[str, Given]) -> Comparison:
    """Compare the quantities, settings and figures of two or more results of one kind.

    Args:
        runs: result files or open trees, or a mapping from names to these. Without names, the shortest distinct parts of the
            paths are used.

    Returns:
        A comparison: `table` has the value and relative change of each quantity (quantity, run), in the units of the first run;
        `differences` the settings that differ, `unknowns` what cannot be compared; `figure()` draws table and time courses.

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
    results = [_checked(tree, name) for name, tree in trees.items()]
    numbers = [dict(maker.about("quantities", result)) for maker, result in zip(makers.values(), results, strict=True)]
    return Comparison(
        job.name, trees, _table(numbers, list(trees)), tuple(_differences(results)), tuple(_unknowns(results))
    )


def _maker(tree: xr.DataTree, name: str) -> Job:
    try:
        return jobs.job_of(tree)
    except InputError as error:
        raise InputError(error.message, name) from None


def _checked(tree: xr.DataTree, name: str) -> ResultReader:
    """A reader of a result whose summary is whole, of whatever version it is."""
    result = checked_result(tree, where=name)
    if not (result.summary or result.broken):
        raise InputError("this result has no summary", name)
    if result.broken:
        raise InputError(f"the summary of this result is broken: {result.broken}", name)
    return result


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


def _table(numbers: Sequence[Mapping[Quantity, float | None]], names: Sequence[str]) -> xr.Dataset:
    """All quantities, each in the unit of the first run that has it; of another dimension it is another quantity."""
    rows: dict[tuple[Any, ...], Quantity] = {}
    values: dict[tuple[Any, ...], list[float]] = {}
    for i, quantities in enumerate(numbers):
        for quantity, value in quantities.items():
            key = (*quantity[:3], units.dimension(quantity.unit))
            row = rows.setdefault(key, quantity)
            into = values.setdefault(key, [math.nan] * len(numbers))
            into[i] = math.nan if value is None else units.convert(value, quantity.unit, row.unit)
    groups = list(dict.fromkeys(row.group for row in rows.values()))
    order = sorted(rows, key=lambda key: groups.index(key[0]))
    matrix = np.array([values[key] for key in order], float).reshape(-1, len(numbers))
    first = matrix[:, :1]
    change = np.divide(matrix - first, np.abs(first), out=np.full_like(matrix, np.nan), where=first != 0)
    change[np.isclose(matrix, first, rtol=_SAME, atol=0.0)] = 0.0
    dims = ("quantity", "run")
    texts = zip(*(rows[key] for key in order), strict=True)
    coords = {key: ("quantity", np.array(column, object)) for key, column in zip(Quantity._fields, texts, strict=False)}
    return xr.Dataset(
        {
            "value": (dims, matrix, about("1", "value in the unit of `unit`")),
            "change": (dims, change, about("1", "change relative to the first run")),
        },
        {"run": list(names), **coords},
    )


# ---------------------------------------------------------------- what was asked
def _differences(results: Sequence[ResultReader]) -> Iterator[Difference]:
    """Whatever is not the same in all runs; of each group first what all of them have."""
    for _, members in itertools.groupby(_unlike(results), key=lambda difference: difference.group):
        yield from sorted(members, key=lambda difference: None in difference.values)


def _unlike(results: Sequence[ResultReader]) -> Iterator[Difference]:
    same_hash = len({_hashed(result) for result in results}) == 1
    yield from _texts("run", [_run(result, same_hash) for result in results])
    yield from _parameters([_values(result.config) for result in results])
    yield from _texts("doses", [dict.fromkeys(_doses(result), HAS) for result in results])
    optimised = [_lines(result.at("regimen") or ()) for result in results]
    yield from _texts("optimised doses", [dict.fromkeys(lines, HAS) for lines in optimised])
    yield from _texts("configuration", [dict(_leaves(result.config)) for result in results])
    yield from _texts("versions", [result.versions for result in results])


def _texts(group: str, facts: Sequence[Mapping[str, str]]) -> Iterator[Difference]:
    """The entries of a group that differ, as text; `facts` has the entries of each run."""
    for name in dict.fromkeys(itertools.chain.from_iterable(facts)):
        values = tuple(entries.get(name) for entries in facts)
        if len({*values}) > 1:
            yield Difference(group, name, values, (math.nan,) * len(facts))


def _run(result: ResultReader, same_hash: bool) -> dict[str, str]:
    """Facts of a run; its equations only if those of all runs were hashed in the same way."""
    facts = {
        "scenario": str(result.config.get("scenario", "")),
        "seed": result.attribute("rng_seed"),
        "precision": result.attribute("dtype"),
        "engine": result.attribute("engine"),
        "device": result.attribute("device"),
        "equations": result.attribute("model_hash")[:_HASH] if same_hash else "",
    }
    return {name: value for name, value in facts.items() if value}


def _hashed(result: ResultReader) -> str:
    """How the equations of a file were hashed: by whole source files in schema 1, by their syntax since."""
    return "files" if result.attribute("nanomg_schema_version") == "1" else "syntax"


def _unknowns(results: Sequence[ResultReader]) -> Iterator[str]:
    """What cannot be compared, as sentences."""
    older = [result.where for result in results if _hashed(result) == "files"]
    if older and len(older) < len(results):
        yield (
            f"Whether the equations are the same is not known: {', '.join(older)} "
            f"{'has' if len(older) == 1 else 'have'} schema version 1, which hashed them in another way."
        )


def _values(config: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    return {name: (float(value), unit) for name, (value, unit) in config.get("parameters", {}).items()}


def _parameters(sets: Sequence[Mapping[str, tuple[float, str]]]) -> Iterator[Difference]:
    for name in sorted({*itertools.chain.from_iterable(sets)}):
        amounts = [values.get(name) for values in sets]
        first, unit = next(amount for amount in amounts if amount is not None)
        numbers = [math.nan if amount is None else units.convert(*amount, unit) for amount in amounts]
        if all(math.isclose(number, first, rel_tol=_SAME) for number in numbers):
            continue
        change = tuple((number - numbers[0]) / abs(numbers[0]) if numbers[0] else math.nan for number in numbers)
        yield Difference("parameters", name, tuple(amount and _text_of(*amount) for amount in amounts), change)


def _text_of(value: float, unit: str) -> str:
    return f"{format_number(value, 6)} {unit}".removesuffix(" 1").strip()


def _doses(result: ResultReader) -> list[str]:
    """The doses that were asked for, a line for each series of equal ones; as they were written where the file holds none."""
    doses, config = result.group("doses"), result.config
    if doses is not None and "evid" not in doses:
        first = doses.isel(regimen=0)
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
    if path in _ELSEWHERE or path in _OF_REQUEST or path in _WORDS:
        return
    if value is None or value is False or value in ("", [], {}):  # as where an older file lacks the entry
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

"""Result files changed by others: with their checksum made anew, or taken away as of an older version."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

from nanomg.results import checksum


@contextlib.contextmanager
def altered(path: str | Path, *, seal: bool = True) -> Iterator[h5py.File]:
    """An open result file, whose checksum is made anew at the end, or removed."""
    with h5py.File(path, "a") as file:
        yield file
        if not seal:
            del file.attrs[checksum.CHECKSUM]
    if seal:
        with Path(path).open("r+b") as raw:
            checksum.seal(raw, Path(path).stat().st_size)
    else:  # the attribute's text is still in the file
        Path(path).write_bytes(Path(path).read_bytes().replace(b"nanomg-sha256", b"nothing at all"[:13]))


def _first(file: h5py.File, kind: str) -> h5py.Dataset:
    """A variable of numbers or of text below the root."""
    found: list[h5py.Dataset] = []

    def visit(_: str, entry: h5py.HLObject) -> None:
        if isinstance(entry, h5py.Dataset) and entry.size and entry.dtype.kind in kind:
            found.append(entry)

    file.visititems(visit)
    return found[len(found) // 2]


def _many_groups(file: h5py.File) -> None:
    for i in range(1200):
        file.create_group(f"group {i}")


def _nested(file: h5py.File) -> None:
    group = file
    for _ in range(300):
        group = group.create_group("a")


def _cycle(file: h5py.File) -> None:
    name = next(name for name, entry in file.items() if isinstance(entry, h5py.Group))
    file[name]["again"] = file[name]


def _root_cycle(file: h5py.File) -> None:
    file["again"] = file["/"]


def _soft(file: h5py.File) -> None:
    file["soft"] = h5py.SoftLink("/soft")


def _external(file: h5py.File) -> None:
    file["other"] = h5py.ExternalLink("/etc/hostname.h5", "/")


def _set(name: str, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file.attrs[name] = value

    return change


def _json(name: str, change: Callable[[dict], object]) -> Callable[[h5py.File], None]:
    def alter(file: h5py.File) -> None:
        content = json.loads(file.attrs[name])
        found = change(content)
        file.attrs[name] = json.dumps(content if found is None else found)

    return alter


def _cut_json(name: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file.attrs[name] = str(file.attrs[name])[: len(str(file.attrs[name])) // 2]

    return change


def _times(value: float) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        for entry in file.values():
            if isinstance(entry, h5py.Group) and "time" in entry:
                entry["time"][0] = value

    return change


def _no_scales(file: h5py.File) -> None:
    variable = _first(file, "f")
    del variable.attrs["DIMENSION_LIST"]


def _no_variable(file: h5py.File) -> None:
    variable = _first(file, "f")
    del file[variable.name]


def _no_group(index: int) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        names = [name for name, entry in file.items() if isinstance(entry, h5py.Group)]
        del file[names[index % len(names)]]

    return change


def _not_utf8(file: h5py.File) -> None:
    variable = _first(file, "O")
    variable[...] = np.full(variable.shape, b"\xff\xfe\xed", object)


def _control(file: h5py.File) -> None:
    variable = _first(file, "O")
    variable[...] = np.full(variable.shape, "\x1b[2J\x07", object)


def _bytes_attribute(file: h5py.File) -> None:
    file.attrs["title"] = np.bytes_(b"\xff\xfe")


def _attribute_of(name: str, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        _first(file, "f").attrs[name] = value

    return change


def _all_nan(file: h5py.File) -> None:
    def visit(_: str, entry: h5py.HLObject) -> None:
        if isinstance(entry, h5py.Dataset) and entry.dtype.kind == "f" and entry.size and "CLASS" not in entry.attrs:
            entry[...] = np.nan

    file.visititems(visit)


def _of_kind(value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        variable = _first(file, "f")
        name = variable.name
        del file[name]
        file[name] = value

    return change


def _bomb(file: h5py.File) -> None:
    group = next(entry for entry in file.values() if isinstance(entry, h5py.Group))
    group.create_dataset("bomb", (10**12,), "f8", chunks=(10**6,), compression="gzip")


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (3,))
    next(entry for entry in file.values() if isinstance(entry, h5py.Group)).create_virtual_dataset("virtual", layout)


DEEP = "[" * 5000
HOSTILE: dict[str, Callable[[h5py.File], None]] = {
    "1,200 groups": _many_groups,
    "groups in groups": _nested,
    "a cycle": _cycle,
    "a cycle with the root": _root_cycle,
    "a link to itself": _soft,
    "a link to another file": _external,
    "numbers of another file": _virtual,
    "a bomb": _bomb,
    "time NaN": _times(np.nan),
    "time infinite": _times(np.inf),
    "time backwards": _times(1e9),
    "no scales": _no_scales,
    "no variable": _no_variable,
    **{f"group {i} missing": _no_group(i) for i in range(4)},
    "text that is not UTF-8": _not_utf8,
    "control characters": _control,
    "title in bytes": _bytes_attribute,
    "title as a number": _set("title", 7),
    "title as a list": _set("title", [1.0, 2.0]),
    "title of 100 kB": _set("title", "x" * 60_000),
    "title with control characters": _set("title", "\x1b[2Jtitle\x07\u202e"),
    "units as a number": _attribute_of("units", 3),
    "units without sense": _attribute_of("units", "bushel^^2"),
    "units of time": _attribute_of("units", "days since 2000-01-01"),
    "scale factor": _attribute_of("scale_factor", "x"),
    "fill value": _attribute_of("_FillValue", "x"),
    "all NaN": _all_nan,
    "a number for an array": _of_kind(3.0),
    "text for an array": _of_kind("x"),
    "a complex array": _of_kind(np.ones(3, complex)),
    "an empty array": _of_kind(np.ones((0, 3))),
    "another job": _set("nanomg_job", "sweep"),
    "a job of 60 kB": _set("nanomg_job", "x" * 60_000),
    "a job as a number": _set("nanomg_job", 3),
    "schema as text": _set("nanomg_schema_version", "two"),
    "schema NaN": _set("nanomg_schema_version", np.nan),
    "schema as a list": _set("nanomg_schema_version", [1, 2]),
    "model hash as a number": _set("model_hash", 3),
    "seed as text": _set("rng_seed", "x"),
    "engine unknown": _set("engine", "steam"),
    "date without sense": _set("date_created", "yesterday\x1b"),
    **{f"{name} cut": _cut_json(name) for name in ("summary_json", "config_json", "package_versions_json")},
    **{f"{name} nested": _set(name, DEEP) for name in ("summary_json", "config_json")},
    **{f"{name} with NaN": _set(name, '{"a": NaN, "file": 1e999}') for name in ("summary_json", "config_json")},
    "summary without a field": _json("summary_json", lambda s: {k: s[k] for k in list(s)[1::2]}),
    "summary with other kinds": _json("summary_json", lambda s: {key: [1] for key in s}),
    "summary with nulls": _json("summary_json", lambda s: dict.fromkeys(s, None)),
    "summary with long texts": _json("summary_json", lambda s: s | {"title": "\x1b" * 5000}),
    "config without a file": _json("config_json", lambda c: {k: v for k, v in c.items() if k != "file"}),
    "config with other kinds": _json("config_json", lambda c: {key: [1] for key in c}),
    "config with text": _json("config_json", lambda c: dict.fromkeys(c, "x")),
    "file with other kinds": _json("config_json", lambda c: c | {"file": {key: [1] for key in c.get("file", {})}}),
    "file as a list": _json("config_json", lambda c: c | {"file": []}),
    "parameters as numbers": _json(
        "config_json", lambda c: c | {"parameters": dict.fromkeys(c.get("parameters", {}), 1)}
    ),
    "versions as a list": _set("package_versions_json", "[1]"),
    "versions as numbers": _set("package_versions_json", '{"jax": [1], "numpy": 3}'),
}

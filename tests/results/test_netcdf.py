"""Files as xarray would write them: the same content for xarray and h5netcdf, and the marks that the netCDF library looks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray

from nanomg.results import netcdf

FILTERS = {"compression": "gzip", "compression_opts": 4, "shuffle": True, "fletcher32": True}


def nodes() -> dict[str, xarray.Dataset]:
    rng = np.random.default_rng(3)
    whole = xarray.Dataset(
        {"mass": ("subject", np.array([20.0, np.nan, 25.0]), {"units": "g"})},
        {"subject": [3, 5, 8]},
        {"title": "whole µ", "version": 2, "weights": np.array([0.5, 1.5]), "names": ["a", "µ"]},
    )
    course = xarray.Dataset(
        {
            "y": (
                ("subject", "time"),
                rng.random((3, 40)),
                {"units": "mg", "flag_values": np.arange(3, dtype=np.int8)},
            ),
            "count": (("time",), np.arange(40, dtype=np.int32)),
            "small": ((), np.float32(1.5)),
            "label": ((), "one text"),
            "whether": (("subject",), np.array([True, False, True])),
            "cell": (("subject", "dose"), np.array([["a", ""], ["µ", "b"], ["", ""]], object)),
            "fixed": (("dose",), np.array(["x", "yy"])),
        },
        {
            "time": ("time", np.linspace(0.0, 9.0, 40), {"units": "h"}),
            "group": (("subject",), np.array(["x", "y", "x"], object)),
            "when": (("subject", "time"), rng.random((3, 40))),
            "level": 4.0,
        },
    )
    nothing = xarray.Dataset({"amount": (("dose",), np.zeros(0))})
    return {
        "/": whole,
        "/course": course,
        "/course/inner": xarray.Dataset({"z": ("time", np.ones(40))}),
        "/none": nothing,
    }


ENCODING = {"/course": {"y": FILTERS, "time": {"_FillValue": None}}}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """As nanomg writes it, and as xarray does."""
    folder = tmp_path_factory.mktemp("netcdf")
    mine, theirs = folder / "mine.h5", folder / "theirs.h5"
    mine.write_bytes(netcdf.image(nodes(), ENCODING))
    xarray.DataTree.from_dict(nodes()).to_netcdf(theirs, engine="h5netcdf", encoding=ENCODING)
    return mine, theirs


def test_xarray_reads_the_same(files: tuple[Path, Path]) -> None:
    mine, theirs = (xarray.open_datatree(path, engine="h5netcdf") for path in files)
    assert list(mine.groups) == list(theirs.groups)
    for node in theirs.subtree:
        found, expected = mine[node.path].to_dataset(), node.to_dataset()
        xarray.testing.assert_identical(found, expected)
        assert (list(found.variables), list(found.attrs)) == (list(expected.variables), list(expected.attrs))
        for name in expected.variables:
            for key in ("_FillValue", "dtype", "zlib", "complevel", "shuffle", "fletcher32"):
                assert str(found[name].encoding.get(key)) == str(expected[name].encoding.get(key)), (name, key)


def layout(group: Any) -> dict[str, Any]:
    """Dimensions, and variables with their dimensions, of a group and of those within."""
    own = {name: (tuple(v.dimensions), v.shape, v.dtype.str) for name, v in group.variables.items()}
    inner = {name: layout(g) for name, g in group.groups.items()}
    return {"dimensions": {name: d.size for name, d in group.dimensions.items()}, "variables": own, **inner}


def test_netcdf_has_the_same_dimensions(files: tuple[Path, Path]) -> None:
    mine, theirs = (h5netcdf.File(path) for path in files)
    assert layout(mine) == layout(theirs)


def test_dimensions_are_scales_with_numbers(files: tuple[Path, Path]) -> None:
    with h5py.File(files[0]) as hdf:
        scales = {"subject": 0, "course/time": 1, "course/dose": 2, "none/dose": 3}
        assert {name: int(hdf[name].attrs["_Netcdf4Dimid"]) for name in scales} == scales
        assert all(hdf[name].is_scale for name in scales)
        assert hdf["course/dose"].attrs["NAME"] == b"This is a netCDF dimension but not a netCDF variable.         2"
        assert [hdf["course/y"].dims[axis][0].name for axis in (0, 1)] == ["/subject", "/course/time"]
        assert hdf["course/inner/z"].dims[0][0].name == "/course/time"

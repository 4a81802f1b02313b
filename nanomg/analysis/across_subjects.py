"""What a population shows: quantiles over subjects, how many reach a target, how long a curve stays above one.

Failed subjects are NaN. They are counted, and are part of nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from nanomg import units
from nanomg.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

_CHUNK = "32 MiB"  # of lazy data at once; sorting takes some times that

Data = TypeVar("Data", "xr.DataArray", "xr.Dataset")


def quantiles(data: Data, q: Sequence[float] = (0.05, 0.5, 0.95), dim: str = "subject") -> Data:
    """Quantiles over the subjects that did not fail, along a new dimension `quantile`; lazy where `data` is.

    Between two subjects they are interpolated, as NumPy does by default; NaN where every subject failed. How many failed is the
    coordinate `failed`; in a dataset, whose variables may differ, it is the variable `NAME.failed` beside each `NAME`.
    Raises `InputError` where there is no such dimension, or where a quantile is not between 0 and 1.
    """
    import xarray as xr

    if not all(0.0 <= level <= 1.0 for level in q):
        raise InputError(f"quantiles lie between 0 and 1, not {', '.join(f'{level:g}' for level in q)}", "quantiles")
    _check_dim(data, dim, "quantiles")
    if isinstance(data, xr.DataArray):
        found, failed = _quantiles_of(data, q, dim)
        return found.assign_coords(failed=failed)
    variables: dict[str, xr.DataArray] = {}
    for name, variable in data.data_vars.items():
        if dim in variable.dims and variable.dtype.kind in "iuf" and "flag_values" not in variable.attrs:
            variables[str(name)], variables[f"{name}.failed"] = _quantiles_of(variable, q, dim)
    return xr.Dataset(variables, attrs=data.attrs)


def _quantiles_of(data: xr.DataArray, q: Sequence[float], dim: str) -> tuple[xr.DataArray, xr.DataArray]:
    """The quantiles, and how many failed."""
    import xarray as xr

    found: xr.DataArray = xr.apply_ufunc(
        _quantiles,
        _along(data, dim),
        input_core_dims=[[dim]],
        output_core_dims=[["quantile"]],
        kwargs={"q": np.asarray(q, float)},
        dask="parallelized",
        output_dtypes=[float],
        dask_gufunc_kwargs={"output_sizes": {"quantile": len(q)}},
        keep_attrs=True,
    )
    level = xr.Variable("quantile", np.asarray(q, float), {"units": "1", "long_name": f"quantile over {dim}"})
    failed = data.isnull().sum(dim).assign_attrs(units="1", long_name=f"failed along {dim}")
    return found.assign_coords(quantile=level), failed


def attainment(
    data: xr.DataArray,
    target: str | float | Sequence[str],
    dim: str = "subject",
    above: bool = True,
    level: float = 0.95,
) -> xr.Dataset:
    """The probability of reaching a target: the share of subjects at it or above (below it, where `above` is false).

    `target` has a unit ("0.8 mmol/L"); several give a dimension `target`. The result has `probability`, the ends `low` and `high`
    of its Wilson interval at the confidence `level`, the number `n` of subjects that count and how many `failed`; these are
    neither hits nor misses. Lazy where `data` is.
    Raises `InputError` where there is no such dimension, or a target does not fit the data.
    """
    import xarray as xr

    _check_dim(data, dim, "attainment")
    unit = data.attrs.get("units", "1")
    given = [target] if isinstance(target, str | int | float) else target
    wanted = [units.parse_quantity(one, unit, "attainment: target") for one in given]
    goal = xr.DataArray(wanted, coords={"target": ("target", wanted, {"units": unit, "long_name": "target"})})
    if given is not target:
        goal = goal.isel(target=0)
    n, failed = data.notnull().sum(dim), data.isnull().sum(dim)
    hits = ((data >= goal) if above else (data <= goal)).sum(dim)
    z = NormalDist().inv_cdf((1.0 + level) / 2.0)
    share = hits / n.where(n > 0)
    centre = (share + z**2 / (2.0 * n)) / (1.0 + z**2 / n)
    half = z / (1.0 + z**2 / n) * np.sqrt(share * (1.0 - share) / n + z**2 / (4.0 * n**2))
    texts = {
        "probability": (share, f"share of {dim} at the target or {'above' if above else 'below'}"),
        "low": (centre - half, f"lower end of the {100 * level:g} % Wilson interval"),
        "high": (centre + half, f"upper end of the {100 * level:g} % Wilson interval"),
        "n": (n, f"{dim} counted"),
        "failed": (failed, f"{dim} failed"),
    }
    return xr.Dataset({k: v.assign_attrs(units="1", long_name=text) for k, (v, text) in texts.items()})


def time_above(data: xr.DataArray, threshold: str | float) -> xr.DataArray:
    """How long each curve is above a threshold with a unit ("0.8 mmol/L"), in the unit of `time`; lazy where `data` is.

    Between samples the curve is straight; a curve with a NaN has no such time.
    Raises `InputError` for a threshold that does not fit the data.
    """
    import xarray as xr

    _check_dim(data, "time", "time_above")
    unit = data.attrs.get("units", "1")
    times = np.asarray(data["time"], float)
    found: xr.DataArray = xr.apply_ufunc(
        share_above,
        data.chunk(time=-1) if data.chunks else data,
        input_core_dims=[["time"]],
        kwargs={"times": times, "threshold": units.parse_quantity(threshold, unit, "time_above: threshold")},
        dask="parallelized",
        output_dtypes=[float],
    )
    length = float(times[-1] - times[0])
    return (found * length).assign_attrs(
        units=data["time"].attrs.get("units", "1"), long_name=f"time above {threshold}"
    )


# ---------------------------------------------------------------------- arrays
def share_above(values: Any, times: np.ndarray, threshold: float) -> Any:
    """The share of the time that piecewise linear `values` (…, time) are above `threshold`."""
    rise = values - threshold
    above, size = (part[..., 1:] + part[..., :-1] for part in (np.maximum(rise, 0.0), np.abs(rise)))
    share = np.divide(above, size, out=np.zeros_like(size), where=size != 0)
    return share @ np.diff(times) / (times[-1] - times[0])


def _quantiles(values: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Quantiles (…, quantile) of what is not NaN in values (…, subject)."""
    ordered = np.sort(values, axis=-1)  # NaN come last
    last = values.shape[-1] - 1 - np.isnan(values).sum(-1)
    place = np.maximum(last, 0)[..., None] * q
    low = np.floor(place).astype(int)
    below, over = (
        np.take_along_axis(ordered, i, -1) for i in (low, np.minimum(low + 1, np.maximum(last, 0)[..., None]))
    )
    return below + (over - below) * (place - low)


def _check_dim(data: xr.DataArray | xr.Dataset, dim: str, where: str) -> None:
    if dim not in data.dims:
        raise InputError(f"the data have no dimension {dim!r}; theirs are {', '.join(map(str, data.dims))}", where)


def _along(data: xr.DataArray, dim: str) -> xr.DataArray:
    """The data with all of `dim` in each chunk, where they are chunked."""
    if not data.chunks:
        return data
    import dask

    with dask.config.set({"array.chunk-size": _CHUNK}):
        return data.chunk({dim: -1, **{other: "auto" for other in data.dims if other != dim}})

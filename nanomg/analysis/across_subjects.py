"""Statistics over subjects: quantiles, target attainment, time above a threshold.

Failed subjects are NaN. They are counted and otherwise excluded.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from nanomg import units
from nanomg.analysis import readouts
from nanomg.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

_CHUNK = "32 MiB"  # chunk size of lazy data; sorting needs several times as much memory

Data = TypeVar("Data", "xr.DataArray", "xr.Dataset")


def quantiles(data: Data, q: Sequence[float] = (0.05, 0.5, 0.95), dim: str = "subject") -> Data:
    """Quantiles over the subjects that did not fail, interpolated between subjects as NumPy does by default.

    Args:
        data: numbers with the dimension `dim` and any others. A failed subject is NaN.
        q: the quantiles, between 0 and 1.
        dim: the dimension over which the quantiles are taken.

    Returns:
        The data with the dimension `quantile` in place of `dim`, in the same unit; NaN if every subject failed; lazy if `data` is
        lazy. The number of failed subjects is the coordinate `failed`; a dataset has the variable `NAME.failed` for each `NAME`.

    Raises:
        InputError: `data` has no dimension `dim`, or a quantile is not between 0 and 1.

    Example:
        >>> import xarray, nanomg
        >>> peak = xarray.DataArray([2.0, 4.0, 3.0, float("nan")], dims="subject", attrs={"units": "mg L-1"})
        >>> band = nanomg.quantiles(peak)
        >>> band.values
        array([2.1, 3. , 3.9])
        >>> int(band.failed)
        1
    """
    import xarray as xr

    if not all(0.0 <= level <= 1.0 for level in q):
        raise InputError(
            f"quantiles must be between 0 and 1, not {', '.join(f'{level:g}' for level in q)}", "quantiles"
        )
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
    """The quantiles and the number of failed subjects."""
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
    """Probability of target attainment: the share of subjects at or above a target, with its Wilson interval.

    Args:
        data: numbers with the dimension `dim`, any others, and the attribute `units`. A failed subject is NaN.
        target: a quantity with a unit ("0.8 mmol/L"), or several.
        dim: the dimension over which subjects are counted.
        above: if false, the share at or below the target.
        level: confidence level of the interval.

    Returns:
        A dataset with `probability`, the ends `low` and `high` of its interval, the number `n` of subjects counted and the
        number `failed`, which are neither hits nor misses. Several targets give a dimension `target`. Lazy if `data` is lazy.

    Raises:
        InputError: `data` has no dimension `dim`, or a target has another dimension than the data.

    Example:
        >>> import xarray, nanomg
        >>> peak = xarray.DataArray([2.0, 4.0, 3.0, float("nan")], dims="subject", attrs={"units": "mg L-1"})
        >>> reached = nanomg.attainment(peak, "3 mg/L")
        >>> round(float(reached.probability), 3), int(reached.n), int(reached.failed)
        (0.667, 3, 1)
        >>> round(float(reached.low), 3), round(float(reached.high), 3)
        (0.208, 0.939)
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
    """The time that each curve is above a threshold; between samples it is straight where it rises, exponential where it falls.

    Args:
        data: curves with the dimension `time` and any others; data and `time` have the attribute `units`.
        threshold: a quantity with a unit ("0.8 mmol/L").

    Returns:
        The time, in the unit of `time`, without its dimension; NaN for a curve with a NaN. Lazy if `data` is lazy.

    Raises:
        InputError: `data` has no dimension `time`, or the threshold has another dimension than the data.

    Example:
        >>> import xarray, nanomg
        >>> time = ("time", [0.0, 2.0, 4.0], {"units": "h"})
        >>> C = xarray.DataArray([4.0, 2.0, 0.0], {"time": time}, "time", attrs={"units": "mg L-1"})
        >>> float(nanomg.time_above(C, "1 mg/L"))  # h
        3.0
    """
    import xarray as xr

    _check_dim(data, "time", "time_above")
    unit = data.attrs.get("units", "1")
    times = np.asarray(data["time"], float)
    found: xr.DataArray = xr.apply_ufunc(
        _time_above,
        data.chunk(time=-1) if data.chunks else data,
        input_core_dims=[["time"]],
        kwargs={"times": times, "threshold": units.parse_quantity(threshold, unit, "time_above: threshold")},
        dask="parallelized",
        output_dtypes=[float],
    )
    return found.assign_attrs(units=data["time"].attrs.get("units", "1"), long_name=f"time above {threshold}")


# ---------------------------------------------------------------------- arrays
def _time_above(values: Any, times: np.ndarray, threshold: float) -> Any:
    """How long values (…, time) are above `threshold`."""
    return readouts.time_above(times, np.moveaxis(values, -1, 0), times[0], times[-1], threshold)


def _quantiles(values: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Quantiles (…, quantile) of values (…, subject), without NaN."""
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
        raise InputError(f"the data have no dimension {dim!r}; they have {', '.join(map(str, data.dims))}", where)


def _along(data: xr.DataArray, dim: str) -> xr.DataArray:
    """The data with all of `dim` in each chunk, if they are chunked."""
    if not data.chunks:
        return data
    import dask

    with dask.config.set({"array.chunk-size": _CHUNK}):
        return data.chunk({dim: -1, **{other: "auto" for other in data.dims if other != dim}})

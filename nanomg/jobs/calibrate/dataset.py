"""What a result file holds of a calibration: rows with predictions, estimates, and the fitted curves over time."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from nanomg.data.observations import ObservedRun, Row
from nanomg.data.prediction import Predictor
from nanomg.data.studies import Datum
from nanomg.jobs.calibrate.least_squares import Optimum, Uncertainty
from nanomg.jobs.calibrate.problem import FitProblem, free_in, residual

_FINE = 100  # times of a fitted curve, besides those of its data


def fitted_rows(problem: FitProblem, found: Optimum, known: Uncertainty, predicted: np.ndarray) -> xr.Dataset:
    """Data with predictions (row, 2) before and after the fit, estimates with their Fisher matrix, and all starts."""
    data = problem.study.data
    text = lambda values: np.array(list(values), object)
    stated = np.asarray(residual(data, predicted[:, 1]))
    return xr.Dataset(
        {
            "quantity": (("row",), text(d.row.quantity for d in data), {"long_name": "what was measured"}),
            "part": (("row",), text(d.part for d in data), {"long_name": "fit or judge"}),
            "unit": (("row",), text(d.row.unit for d in data), {"long_name": "unit of observed and predicted"}),
            "curve_name": (
                ("row",),
                text(_name(d) for d in data),
                {"long_name": "its curve in /curves, if it is a point of one"},
            ),
            "time": (
                ("row",),
                np.array([_time(d.row) for d in data]),
                {"units": "h", "long_name": "time, of a point of a curve"},
            ),
            "subject": (("row",), text(d.subject for d in data), {"long_name": "ID of the subject, if it is known"}),
            "below": (
                ("row",),
                np.array([d.row.bound == "upper" for d in data]),
                {"long_name": "whether the value is a limit that the quantity is below"},
            ),
            "observed": (("row",), np.array([d.row.value for d in data]), {"long_name": "measured value"}),
            "predicted": (("row",), predicted[:, 1], {"long_name": "prediction with the fitted values"}),
            "predicted_at_start": (("row",), predicted[:, 0], {"long_name": "prediction with the values of the card"}),
            "residual": (("row",), stated, {"units": "1", "long_name": "residual in assumed standard deviations"}),
            "estimate": (
                ("parameter",),
                np.exp(found.z),
                {"long_name": "fitted value in the unit of `parameter_unit`"},
            ),
            "parameter_unit": (("parameter",), text(problem.units), {"long_name": "unit of the parameter"}),
            "se_log": (("parameter",), known.se, {"units": "1", "long_name": "standard error of ln of the parameter"}),
            "fisher": (
                ("parameter", "other"),
                known.fisher,
                {"units": "1", "long_name": "Fisher matrix of ln of the parameters, priors included"},
            ),
            "start_value": (("start", "parameter"), np.exp(found.begin), {"long_name": "first point of each start"}),
            "end_value": (("start", "parameter"), np.exp(found.end), {"long_name": "last point of each start"}),
            "cost": (
                ("start",),
                found.cost,
                {"units": "1", "long_name": "half the sum of squared residuals at the end"},
            ),
        },
        {"parameter": list(problem.names), "other": list(problem.names)},
    )


def fitted_curves(problem: FitProblem, found: Optimum) -> xr.Dataset | None:
    """The predictions over time, (curve, point), of all curves that data are points of; None if there are none."""
    points = [datum for datum in problem.study.data if _name(datum)]
    if not points:
        return None
    free = free_in(points, problem.names)
    values = {name: np.exp(found.z[[problem.names.index(name)]]) for name in free}
    courses = Predictor([datum.row for datum in points], free, fine=_FINE).predict(values).courses
    curves: dict[str, tuple[str, np.ndarray, np.ndarray]] = {}
    for datum in points:
        key = _key(datum.row)
        if key is not None and _name(datum) not in curves:
            times, course = courses[key]
            curves[_name(datum)] = datum.row.unit, times, datum.row.factor * np.asarray(course).mean(-1)
    length = max(len(times) for _, times, _ in curves.values())
    fill = lambda values: np.pad(values, (0, length - len(values)), constant_values=np.nan)
    return xr.Dataset(
        {
            "time": (("curve", "point"), np.stack([fill(t) for _, t, _ in curves.values()]), {"units": "h"}),
            "predicted": (
                ("curve", "point"),
                np.stack([fill(y) for _, _, y in curves.values()]),
                {"long_name": "prediction with the fitted values"},
            ),
            "unit": (("curve",), np.array([unit for unit, _, _ in curves.values()], object), {"long_name": "unit"}),
        },
        {"curve": list(curves)},
    )


def _key(row: Row) -> tuple[ObservedRun, str] | None:
    """The run and the signal of a row that is a point of a curve: not compared with another, and no statistic of a window."""
    measure = row.measure
    if measure is None or row.against is not None or measure.baseline or measure.statistic != "at":
        return None
    return measure.run, measure.signal


def _name(datum: Datum) -> str:
    """The curve that a row is a point of, empty if it is none."""
    key = _key(datum.row)
    return "" if key is None else f"{key[0].name}, {key[1]} [{datum.row.unit}]"


def _time(row: Row) -> float:
    return row.measure.stop if row.measure is not None and _key(row) is not None else math.nan

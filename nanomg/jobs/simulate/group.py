"""Groups of a result file that hold trajectories of arms, their outcome and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from nanomg.jobs.simulate import outcome
from nanomg.jobs.simulate.added import AddedColumn
from nanomg.library.scenario import Scenario
from nanomg.results.attributes import of_quantity
from nanomg.results.groups import about, dose_rows, doses, parameters, trajectories
from nanomg.results.kinds import MINUS
from nanomg.simulation import arms as simulation_arms
from nanomg.simulation import roles
from nanomg.simulation.arms import Arms


def of_arms(
    scenario: Scenario, arms: Arms, rows: Mapping[str, Sequence[Mapping[str, Any]]] | None = None
) -> dict[str, xr.Dataset]:
    """Trajectories, doses (`rows` by regimen, else those of the arms) and parameters of a run."""
    rows = rows or {regimen: dose_rows(scenario, arms.doses[regimen]) for regimen in arms.regimens}
    simulation = trajectories(scenario.model, arms.regimens, arms.hypotheses, arms.times, arms.data, arms.status)
    return {"simulation": simulation, "doses": doses(rows), "parameters": parameters(scenario)}


def of_verdict(mg: dict[str, Any] | None, arms: Arms, regimen: str) -> dict[str, xr.Dataset]:
    """The numbers behind the verdict, for the regimen and for the same Mg given free; nothing where there is no verdict."""
    if mg is None:
        return {}
    rows = {regimen: mg} if mg["free"] is None else {regimen: mg, simulation_arms.FREE: mg["free"]}
    by_hypothesis = {
        **{
            key: ("h", f"hours per day with tumour free Mg raised above {label} mmol/L")
            for key, label in roles.HOURS.items()
        },
        **(
            {"mean_competence_gain": ("1", "mean gain of T-cell competence compared with the arm without Mg")}
            if mg["mean_competence_gain"]
            else {}
        ),
    }
    variables: dict[str, Any] = {
        name: (("regimen", "hypothesis"), [[r[name][h] for h in arms.hypotheses] for r in rows.values()], about(*words))
        for name, words in by_hypothesis.items()
    }
    shares = {
        "share_local": "share of the mean rise that is local",
        "share_serum": "share of the mean rise from serum",
    }
    for name, text in shares.items():
        variables[name] = (("regimen",), np.array([r[name] for r in rows.values()], float), about("1", text))
    for name, text in {
        "mean_rise": "mean rise of tumour free Mg",
        "peak_rise": "highest rise of tumour free Mg",
    }.items():
        variables[name] = (("regimen",), [r[name]["value"] for r in rows.values()], about("mmol L-1", text))
    return {"verdict": xr.Dataset(variables, {"regimen": list(rows), "hypothesis": list(arms.hypotheses)})}


def of_outcome(found: outcome.OutcomeNumbers) -> dict[str, xr.Dataset]:
    """The outcome of all arms, in the units of `unit`; nothing where the scenario has no outputs.

    Values are (signal, read_out, regimen, hypothesis[, subject]), differences have comparisons in place of regimens.
    A read-out that is not taken of a signal is NaN.
    """
    if not found.units:
        return {}
    read_outs = [
        name
        for name in (outcome.END, outcome.MEAN, outcome.HIGHEST)
        if any(name in rows for rows in found.values.values())
    ]
    more = () if found.subjects is None else ("subject",)

    def stacked(rows: Mapping[str, Mapping[str, np.ndarray]]) -> np.ndarray:
        empty = np.full_like(next(iter(next(iter(rows.values())).values())), np.nan)
        return np.array([[rows[name].get(read_out, empty) for read_out in read_outs] for name in found.units])

    variables: dict[str, Any] = {
        "value": (
            ("signal", "read_out", "regimen", "hypothesis", *more),
            stacked(found.values),
            about("1", "read-out, in the unit of `unit`"),
        ),
        "unit": (("signal",), np.array([*found.units.values()], object), {"long_name": "unit of the signal"}),
    }
    coordinates: dict[str, Any] = {
        "signal": [*found.units],
        "read_out": read_outs,
        "regimen": list(found.regimens),
        "hypothesis": list(found.hypotheses),
    }
    if found.compared:
        variables["difference"] = (
            ("signal", "read_out", "comparison", "hypothesis", *more),
            stacked(found.differences),
            about("1", "difference between two regimens, in the unit of `unit`"),
        )
        texts = [f"{one}{MINUS}{other}" for one, other in found.compared.values()]
        variables["compared"] = (("comparison",), np.array(texts, object), {"long_name": "regimens compared"})
        coordinates["comparison"] = list(found.compared)
    if found.subjects is not None:
        coordinates["subject"] = np.array(found.subjects, object)
    return {"outcome": xr.Dataset(variables, coordinates)}


def of_added(columns: Mapping[str, AddedColumn]) -> dict[str, Any]:
    """Columns that were added to the records, (record,) each."""
    return {
        name: (("record",), column.values, of_quantity(column.unit, column.text)) for name, column in columns.items()
    }

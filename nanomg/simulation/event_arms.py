"""The subjects of an event table in a scenario, and their arms.

Arms are made by changing records, so that every arm has the same rows: a record that brings Mg becomes one that changes nothing,
or at steady state the steady state without any dose; given free, it brings the same Mg through the other port.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nanomg.dosing import event_record, record_columns
from nanomg.dosing.event_record import Subject
from nanomg.dosing.record_columns import Columns, columns_of, filled
from nanomg.library.scenario import Scenario
from nanomg.simulation import arms as simulation_arms
from nanomg.simulation import lanes as simulation_lanes
from nanomg.simulation.arms import AS_GIVEN, FREE, WITHOUT


def scenario_subject(scenario: Scenario) -> Subject:
    """The scenario's own regimen as the records of one subject."""
    return event_record.subject_of(scenario.doses, f"scenario {scenario.name!r}, doses in order of time")


def until(scenario: Scenario, hours: float) -> Scenario:
    """The scenario with a shorter horizon [h], without the doses and records after it; a subject keeps the first one."""

    def cut(subject: Subject) -> Subject:
        columns, _ = columns_of([subject])
        return dataclasses.replace(subject, records=subject.records[: max(int((columns.time < hours).sum()), 1)])

    doses = tuple(dose for dose in scenario.doses if dose.time < hours)
    return dataclasses.replace(scenario, horizon=hours, doses=doses, subjects=tuple(map(cut, scenario.subjects)))


def brings_mg(scenario: Scenario, subjects: Sequence[Subject]) -> bool:
    """Whether any dose of these subjects carries Mg."""
    columns, _ = columns_of(subjects)
    return bool(_carrying(scenario, columns).any())


def _carrying(scenario: Scenario, columns: Columns) -> np.ndarray:
    """Which records bring Mg."""
    if not simulation_arms.has_free_mg(scenario.model):
        return np.zeros(len(columns.time), bool)
    carries = [bool(simulation_arms.carries(scenario.model, name)) for name in columns.names]
    return columns.doses & np.array([*carries, False])[columns.cmt]


def without_mg(scenario: Scenario, subjects: Sequence[Subject]) -> dict[str, tuple[Subject, ...]]:
    """The arm of subjects without their Mg."""
    return {WITHOUT: record_columns.changed(subjects, functools.partial(_without_mg, scenario))}


def arms_of(scenario: Scenario, subjects: tuple[Subject, ...]) -> dict[str, tuple[Subject, ...]]:
    """The subjects as given, and their paired arms if anyone is given Mg."""
    arms = {AS_GIVEN: subjects}
    columns, _ = columns_of(subjects)
    if _carrying(scenario, columns).any():
        arms |= without_mg(scenario, subjects)
        given = _given_free(scenario, subjects, columns)
        if given is not None:
            arms[FREE] = record_columns.changed(subjects, lambda _: given)
    return arms


def _without_mg(scenario: Scenario, columns: Columns) -> Columns:
    """The records without what brings Mg; a steady state that replaces another stays, as one without a dose."""
    off = _carrying(scenario, columns)
    other = off & (columns.ss != 1)
    zero = lambda column: np.where(off, 0, column)
    return columns._replace(
        amt=zero(columns.amt),
        rate=zero(columns.rate),
        duration=zero(columns.duration),
        ii=zero(columns.ii),
        addl=zero(columns.addl),
        evid=np.where(other, np.where(columns.resets, 3, 2), columns.evid),
        ss=np.where(other, 0, columns.ss),
    )


def _given_free(scenario: Scenario, subjects: Sequence[Subject], columns: Columns) -> Columns | None:
    """The records with the Mg of every carrier given unencapsulated, None where none is; a modelled rate stays as it is."""
    model = scenario.model
    to_move = _carrying(scenario, columns) & (columns.rate >= 0)
    bound = [
        np.concatenate([filled(subject, name, scenario.columns[name].between) for subject in subjects])
        for name in subjects[0].bound
    ]
    at = np.array(bound)[:, to_move].T if bound else np.zeros((int(to_move.sum()), 0))
    distinct, which = np.unique(np.column_stack([at, columns.cmt[to_move]]), axis=0, return_inverse=True)
    names, targets, shares = list(columns.names), [], []
    known: dict[tuple[float, ...], Mapping[str, Any]] = {}
    for *at_record, code in distinct.tolist():
        if (key := tuple(at_record)) not in known:
            given = dict(zip(subjects[0].bound, at_record, strict=True))
            known[key] = simulation_lanes.derived(model, {**scenario.values, **given})
        to = simulation_arms.free_of(model, known[key], columns.names[int(code)])
        target, dose = to or (columns.names[int(code)], 1.0)
        if target not in names:
            names.append(target)
        targets.append(names.index(target))
        shares.append(dose)
    cmt, share = columns.cmt.copy(), np.ones(len(columns.time))
    cmt[to_move], share[to_move] = np.array(targets, int)[which.ravel()], np.array(shares)[which.ravel()]
    if (cmt == columns.cmt).all() and (share == 1).all():
        return None
    return columns._replace(cmt=cmt, amt=columns.amt * share, rate=columns.rate * share, names=tuple(names))

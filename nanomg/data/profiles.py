"""Concentration-time profiles for noncompartmental analysis: samples of one curve each, with the dose that they follow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nanomg.errors import InputError

_SAME = 1e-9  # relative: times this near are one
_JUMP = 1e-3  # relative: a rise at the time of the dose that is more than an error of the solver


class ProfileDose(NamedTuple):
    """A dose: when it starts, how much, how long an infusion lasts (0: no infusion), and whether it is given at steady state."""

    time: float
    amount: float
    duration: float = 0.0
    steady: bool = False


class Profile(NamedTuple):
    """Samples of a curve: times since the dose and concentrations, NaN where none was taken; `start`, amount and duration of the
    dose."""

    labels: Mapping[str, str]
    time: np.ndarray
    value: np.ndarray
    start: float
    dose: float
    duration: float


class Profiles(NamedTuple):
    """Profiles in one unit of concentration, of time and of dose (empty: not known), and sentences about how they were read."""

    name: str
    unit: str
    clock: str
    dose_unit: str
    members: tuple[Profile, ...]
    notes: tuple[str, ...] = ()


def profile_of(
    labels: Mapping[str, str],
    times: np.ndarray,
    values: np.ndarray,
    doses: Sequence[ProfileDose],
    since: float | None,
    tau: float | None,
    where: str,
) -> Profile:
    """The profile after the dose at `since`; without it after the only dose, and with `tau` after the last one whose interval is
    sampled.

    Raises `InputError` if several doses leave open which one is meant, or how long its interval is.
    """
    start = {dose.time for dose in doses if dose.amount > 0}
    if since is None and len(start) > 1 and tau is None:
        raise InputError(
            f"there are {len(start)} doses; give the dosing interval with --tau, and with --since the time of the dose "
            "[default: the last whose interval is sampled]",
            where,
        )
    begin = since if since is not None else _last(start, times, tau or 0.0)
    near = lambda time: math.isclose(time, begin, rel_tol=_SAME, abs_tol=_SAME)
    if start and not any(map(near, start)):
        raise InputError(f"there is no dose at {begin:g}", where)
    if tau is None and any(time > begin and not near(time) for time in start):
        raise InputError(f"further doses follow the one at {begin:g}; give the dosing interval with --tau", where)
    meant = [dose for dose in doses if near(dose.time)]
    if tau is None and any(dose.steady for dose in meant):
        raise InputError("the dose is given at steady state (SS); give the dosing interval with --tau", where)
    amount = sum(dose.amount for dose in meant) if meant else math.nan
    duration = max((dose.duration for dose in meant), default=0.0)
    return Profile(labels, times - begin, values, begin, amount, duration)


def jumps(profile: Profile) -> bool:
    """Whether a simulated curve rises at once at the time of the dose: then that was a bolus into its compartment."""
    at = int(np.searchsorted(profile.time, -_SAME))
    if not profile.dose > 0 or at >= len(profile.time) or abs(profile.time[at]) > _SAME:
        return False
    value = profile.value[at]
    other = profile.value[at - 1] if at else profile.value[min(at + 1, len(profile.time) - 1)]
    return bool(value > other * (1.0 + _JUMP))


def _last(start: set[float], times: np.ndarray, tau: float) -> float:
    """The last of the doses after which there are samples for `tau`, or the last of all; 0 where there is none."""
    end = float(times.max(initial=0.0))
    sampled = [time for time in start if time + tau <= end * (1.0 + _SAME)]
    return max(sampled or start, default=0.0)


def curve_name(labels: Mapping[str, str]) -> str:
    """What distinguishes a curve from others: IDs and arms as they are, the values of an axis after its name."""
    return ", ".join(f"{axis} {text.removesuffix('.0')}" if "." in axis else text for axis, text in labels.items())

"""Random doses and records of event tables, for property tests."""

from __future__ import annotations

import dataclasses

from hypothesis import strategies as st

from nanomg.dosing.event_record import Record, Subject

halves = st.integers(0, 60).map(lambda n: n / 2)
lags = st.sampled_from([0.0, 0.5, 1.0, 2.5])
bioavailabilities = st.sampled_from([1.0, 0.5, 0.25])


@st.composite
def doses(draw: st.DrawFn, ss: bool = True) -> Record:
    """A dose whose times are exact in binary, so that ties are common."""
    amt, kind = float(draw(st.integers(1, 20))), draw(st.sampled_from(["bolus", "rate", "duration", "constant"]))
    steady = draw(st.sampled_from([0, 0, 1, 2])) if ss else 0
    if kind == "constant" and steady:
        return Record(0, 0.0, 1, 0.0, "pk.central", rate=amt, ss=steady)
    return Record(
        0,
        0.0,
        draw(st.sampled_from([1, 1, 1, 4])) if ss else 1,
        amt,
        "pk.central",
        rate=amt / draw(st.sampled_from([0.5, 4.0, 16.0])) if kind == "rate" else 0.0,
        duration=draw(st.sampled_from([0.5, 3.0, 24.0])) if kind == "duration" else 0.0,
        ii=draw(st.sampled_from([3.0, 6.0, 12.0])),
        addl=draw(st.integers(0, 3)),
        ss=steady,
    )


others = st.sampled_from([0, 0, 0, 2, 3]).map(lambda evid: Record(0, 0.0, evid))


@st.composite
def subjects(draw: st.DrawFn) -> Subject:
    found = draw(st.lists(st.one_of(doses(), others), min_size=1, max_size=7))
    times = sorted(draw(st.lists(halves, min_size=len(found), max_size=len(found))))
    rows = [dataclasses.replace(r, row=i, time=t) for i, (r, t) in enumerate(zip(found, times, strict=True))]
    return Subject("1", (*rows, Record(99, 40.0)))

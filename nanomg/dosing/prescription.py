"""Prescriptions: doses as people write them, expanded to single administrations.

The language of a prescription (words in any case, clauses of a part in any order, each at most once):

    prescription = part { "then" part }
    part         = amount [ "over" TIME | "rate" RATE ] { clause }   an amount: a bolus, or an infusion that lasts TIME
                 | rate "for" TIME { clause }             an infusion at a rate, such as "1 g/h for 12 h"
                 | rate "ss"                              an infusion that has always run and ends here
    clause       = ("q" | "every") TIME                   the interval between doses; needs a count or ss
                 | ("x" | "times") COUNT | COUNT "times"  how many doses in all; more than one needs an interval
                 | "once"                                 the same as "x 1"
                 | ("from" | "at") TIME                   the first dose, counted from the start of the prescription
                 | "ss" | "ss2"                           the first dose comes at steady state, in place of what was there
                                                          before or (ss2) on top of it; needs an interval
                 | "reset"                                every state becomes 0 just before the first dose

"over modelled" and "rate modelled" leave the duration or the rate to the port's own parameter. What follows `then` starts
when the part before it ends: after its last interval if it has one ("q 7 d x 4" ends at 28 d), else when its infusion ends. A
`from` there may wait longer, but not go back. Examples:

    4 g over 20 min then 1 g/h for 12 h
    200 mg over 30 min q 3 wk x 6
    100 mg q 12 h x 4 ss
    0.2 mg q 3 d x 5 from 7 d

A `[[dose]]` table of a scenario has the keys of an event record, in small or capital letters: `cmt` (a port or state),
`amt`, `time` (0 if absent), `duration` (or `dur`, `tinf`) or `rate`, and for repeats `ii` with `addl` (further doses)
or with `until` (doses strictly before this time). `ss` is 1 or 2 and needs `ii`, or amt = 0 with a rate: a constant infusion.
`rate` may be -1 or "modelled", -2 (or `duration` "modelled"). `evid` is 1, or 4 for a reset before the dose; a table with
evid = 3 is a reset by itself and has nothing but its `time`. Or a table has `cmt`, `text` (a prescription) and `time` (its
start).

A reset (evid 3 or 4, ss = 1) cancels the doses still to come of the tables and parts that began before it.

A bare number is accepted only for an amount in a dimensionless unit, for a count, and for a time of 0. A mass is accepted
where the port counts an amount of substance, if its molar mass [mg/umol] is known. An amount or rate per body weight or
surface ("5 mg/kg", "2 mg/kg/h", "75 mg/m2") is accepted where the scenario or a card of it gives weight or surface.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from nanomg.dosing.dose import Dose
from nanomg.dosing.quantities import (
    LETTER,
    MODELLED,
    UNIT,
    DosedUnit,
    LookUp,
    Quantity,
    amount_of,
    finite,
    hours_of,
    is_rate,
    located,
    rate_of,
    time_text,
    whole_number,
)
from nanomg.dosing.series import DoseSeries, delivery_of, in_order, series_of
from nanomg.errors import InputError


def parse_prescription(
    text: str, cmt: str, unit: str, molar_mass: float | None = None, where: str | None = None
) -> tuple[Dose, ...]:
    """Every dose of a prescription into a port with this unit, sorted by time."""
    with located(where):
        return in_order(prescription_series(text, cmt, DosedUnit(unit, molar_mass)))


class DoseLine(NamedTuple):
    """One line such as `"liposome.iv: 1 mg q 7 d x 3"`: the port ("" for resets), and its doses, none for `"liposome.iv: none"`."""

    cmt: str
    series: list[DoseSeries]
    tables: list[dict[str, Any]]  # the same as `[[dose]]` tables


def parse_dose_option(text: str, port: LookUp) -> tuple[Dose, ...]:
    """The doses of one line such as `"liposome.iv: 1 mg q 7 d x 3"`, sorted by time; `"reset at 2 d"` is a reset."""
    return parse_dose_options([text], port)


def parse_dose_options(texts: Iterable[str], port: LookUp) -> tuple[Dose, ...]:
    """The doses of several lines, sorted by time; equal times keep the order of the lines."""
    return in_order(series for text in texts for series in parse_dose_line(text, port).series)


_NONE = "none"  # in place of a prescription: no doses
_KEYWORDS = ("q", "x", "over", "for", "then", "from", "once", "rate", "modelled", "ss2", "ss", "reset")
_KEYWORD_OF = {word: word for word in _KEYWORDS} | {
    "every": "q",
    "times": "x",
    "\N{MULTIPLICATION SIGN}": "x",
    "at": "from",
    "modeled": "modelled",
}
_AFTER = {"over": "a time", "for": "a time", "q": "a time", "from": "a time", "x": "a count", "rate": "a rate"}
_ALONE: Mapping[str, tuple[str, Quantity]] = {
    "once": ("x", (1.0, "")),
    "ss": ("ss", (1.0, "")),
    "ss2": ("ss", (2.0, "")),
    "reset": ("reset", (1.0, "")),
}


_TOKEN = re.compile(
    rf"(?P<keyword>(?i:{'|'.join(_KEYWORD_OF)})(?!{LETTER}|[/*^]))"
    r"|(?P<number>(?!1\s*/)[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"
    rf"|(?P<unit>{UNIT})|(?P<other>\S+)"
)


class _Reader:
    """The words of a prescription, taken one after another."""

    def __init__(self, text: str):
        self.text, self.position = text.strip(), 0
        self.words = [(match.lastgroup or "", match.group()) for match in _TOKEN.finditer(text)]

    def kind(self, ahead: int = 0) -> str:
        """What comes next: the plain name of a keyword, "number", "unit", "other", or "" at the end."""
        kind, word = self.words[self.position + ahead] if self.position + ahead < len(self.words) else ("", "")
        return _KEYWORD_OF[word.lower()] if kind == "keyword" else kind

    def take(self) -> str:
        self.position += 1
        return self.words[self.position - 1][1]

    def quantity(self, expected: str) -> Quantity:
        """A number and its unit; nothing where none follows or a count is expected."""
        if self.kind() != "number":
            self.fail(expected)
        number, unit = self.take(), ""
        if self.kind() == "unit" and expected != "a count":
            unit = self.take()
        return finite(float(number), number), unit

    def clause(self) -> tuple[str, Quantity]:
        """A keyword and what belongs to it."""
        key = self.kind()
        if key == "number" and self.kind(1) == "x":  # "4 times"
            count = self.quantity("a count")
            self.take()
            return "x", count
        if key not in _ALONE and key not in _AFTER:
            self.fail("one of over, for, rate, q, x, once, from, at, ss, ss2, reset, then")
        self.take()
        if key in _ALONE:
            return _ALONE[key]
        if key in ("over", "rate") and self.kind() == "modelled":
            self.take()
            return key, MODELLED
        return key, self.quantity(_AFTER[key])

    def fail(self, expected: str) -> NoReturn:
        if not self.kind():
            raise InputError(f"{self.text!r} ends where {expected} is expected")
        word = self.words[self.position][1]
        raise InputError(f"{self.text!r} cannot be read at word {self.position + 1}, {word!r}: {expected} is expected")


def parse_dose_line(text: str, port: LookUp) -> DoseLine:
    """What one line gives: a prescription or `none` after the name of its port, a reset, or `reset: none`."""
    name, colon, prescription = text.partition(":")
    cmt, removes = name.strip(), prescription.strip().lower() == _NONE
    with located(f"dose {text!r}"):
        if removes and cmt.lower() == "reset":
            return DoseLine("", [], [])
        reader = _Reader(text)
        if not colon and reader.kind() == "reset":
            reader.take()
            key, time = reader.clause() if reader.kind() else ("from", (0.0, ""))
            if key != "from" or reader.kind():
                raise InputError("a reset is written as 'reset at 2 d'")
            reset = Dose(hours_of(*time, "the time of 'reset'"), 0.0, "", evid=3)
            return DoseLine("", [DoseSeries(reset)], [{"time": f"{reset.time!r} h", "evid": 3}])
        if not (cmt and colon):
            raise InputError("a dose is written as 'port: prescription', for example 'liposome.iv: 1 mg q 7 d x 3'")
        unit = DosedUnit(*port(cmt))
        if removes:
            return DoseLine(cmt, [], [])
        table = {"cmt": cmt, "text": prescription.strip()}
        return DoseLine(cmt, prescription_series(prescription, cmt, unit), [table])


def prescription_series(text: str, cmt: str, unit: DosedUnit) -> list[DoseSeries]:
    """The doses of each part of a prescription."""
    reader, parts, ends = _Reader(text), list[DoseSeries](), 0.0
    while True:
        part, ends = _part(reader, ends, cmt, unit)
        parts.append(part)
        if not reader.kind():
            return parts
        reader.take()  # then


def _part(reader: _Reader, starts: float, cmt: str, unit: DosedUnit) -> tuple[DoseSeries, float]:
    """The doses of one part of a prescription that starts at `starts` at the earliest, and when the part ends."""
    value, value_unit = reader.quantity("an amount or a rate with its unit")
    clauses: dict[str, Quantity] = {}
    while reader.kind() not in ("", "then"):
        key, quantity = reader.clause()
        if key in clauses:
            raise InputError(f"{reader.text!r} gives {key!r} twice in one part")
        clauses[key] = quantity
    shown = f"{value:g} {value_unit}".strip()
    hours = {k: hours_of(*clauses[k], f"the time of {k!r}") for k in ("for", "q", "from") if k in clauses}
    ss, evid = int(clauses.get("ss", (0.0, ""))[0]), 4 if "reset" in clauses else 1
    rate = duration = amount = 0.0
    if is_rate(value_unit, unit.unit):
        if "over" in clauses or "rate" in clauses or ("for" not in hours and not (ss and "q" not in hours)):
            raise InputError(f"the rate {shown!r} needs how long it runs, such as 'for 12 h'")
        rate = rate_of(value, value_unit, unit)
        if "for" in hours:
            duration = hours["for"]
            amount, rate = rate * duration, 0.0
    else:
        if "for" in hours:
            raise InputError(f"'for' belongs to a rate such as '1 g/h'; after the amount {shown!r} write 'over'")
        if "over" in clauses and "rate" in clauses:
            raise InputError("'over' and 'rate' are both given; one follows from the other, keep one")
        amount = amount_of(value, value_unit, unit, "the amount")
        rate, duration = delivery_of(amount, clauses.get("rate"), clauses.get("over"), unit)

    first, interval = hours.get("from", starts), hours.get("q")
    if first < starts:
        raise InputError(
            f"'from {time_text(first)}' goes back before {time_text(starts)}, where the part before 'then' ends"
        )
    if interval is not None and "x" not in clauses and not ss:
        raise InputError(f"'q {time_text(interval)}' needs a number of doses, such as 'x 4'")
    count = whole_number(*clauses["x"], 1, "the number of doses") if "x" in clauses else 1
    if count > 1 and interval is None:
        raise InputError(f"'x {count}' needs an interval, such as 'q 7 d'")
    written = series_of(cmt, first, amount, rate, duration, ss, evid, interval, count)
    return written, first + (duration if interval is None else count * interval)


# --- back to people ---------------------------------------------------------------------------------------------------


def describe(doses: Iterable[Dose], port_unit: Callable[[str], str], digits: int = 12) -> list[str]:
    """Lines such as `"liposome.iv: 2 mg q 7 d x 4 from 0 h"`; together they read back by `parse_dose_options`.

    Equal doses into one port at equal intervals share a line, unless a reset comes between them. Lines are in the order of their
    first doses. Numbers have up to `digits` significant digits.
    """
    ordered = sorted(doses, key=lambda dose: dose.time)
    stretch = itertools.accumulate(int(dose.resets) for dose in ordered)
    lines: list[tuple[int, float, str]] = []
    series: dict[tuple[int, str, str], list[float]] = {}
    for part, dose in zip(stretch, ordered, strict=True):
        if dose.evid == 3:
            lines.append((part, dose.time, f"reset at {time_text(dose.time, digits)}"))
            continue
        what = f"{dose.cmt}: {_how(dose, port_unit(dose.cmt), digits)}"
        if dose.ss or dose.evid == 4:
            lines.append((part, dose.time, f"{what} at {time_text(dose.time, digits)}"))
        else:
            series.setdefault((part, dose.cmt, what), []).append(dose.time)
    for (part, _, what), times in series.items():
        while times:
            count = _evenly(times, digits)
            interval = time_text(times[1] - times[0], digits) if count > 1 else ""
            if count == 2 and ("." in interval or _evenly(times[1:], digits) > 2):
                count = 1  # no row by intention, or the second dose belongs to a longer one
            every = f" q {interval} x {count} from" if count > 1 else " at"
            lines.append((part, times[0], f"{what}{every} {time_text(times[0], digits)}"))
            times = times[count:]
    return [line for _, _, line in sorted(lines, key=lambda line: line[:2])]


def _how(dose: Dose, unit: str, digits: int) -> str:
    """An amount with the way it is given, its steady state and its reset, in the words of a prescription."""
    amt, rate = f"{dose.amt:.{digits}g} {unit}".strip(), f"{dose.rate:.{digits}g} {unit or 1}/h"
    if dose.ss and not dose.amt and dose.rate > 0:
        words = [rate]
    elif dose.rate:
        words = [amt, {-1: "rate modelled", -2: "over modelled"}.get(int(min(dose.rate, 0)), f"rate {rate}")]
    else:
        words = [amt, *([f"over {time_text(dose.duration, digits)}"] if dose.duration else [])]
    if dose.ss:
        words += [f"q {time_text(dose.ii, digits)}"] if dose.ii else []
        words.append("ss" if dose.ss == 1 else "ss2")
    return " ".join([*words, "reset"] if dose.evid == 4 else words)


def _evenly(times: list[float], digits: int) -> int:
    """How many of the sorted times, from the first on, are at equal intervals above zero."""
    if len(times) < 2 or times[1] - times[0] <= 1e-9:
        return 1
    count, close = 2, 10.0 ** (1 - digits)
    while count < len(times) and math.isclose(times[count], times[0] + count * (times[1] - times[0]), rel_tol=close):
        count += 1
    return count

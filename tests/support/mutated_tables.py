"""Event tables as people write them, and random changes to them by a seeded generator."""

from __future__ import annotations

from typing import Any

import numpy as np

GOOD = (
    "ID,TIME,EVID,AMT,CMT,RATE,II,ADDL,SS,MDV,DV,WT\n1,0,1,100,2,.,12,3,.,1,.,70\n1,6,0,.,.,.,.,.,.,0,3.5,70\n"
    "1,48,3,.,.,.,.,.,.,1,.,71\n1,50,1,50,pk.depot,25,.,.,.,1,.,71\n2,0,1,20,2,-2,24,.,1,1,.,60\n2,5.5,0,.,.,.,.,.,.,0,BLQ,60\n",
    "#ID;TIME;AMOUNT;COMPARTMENT;DURATION;SEX\n1;0,5;100;PK.Central;2,5;F\n1;7,25;;;;F\n# a note\nS-2;0;50;1;;M\nS-2;9;;;;M\n",
    "ID\tDATE\tTIME\tAMT\tCMT\n1\t2024-02-28\t08:30\t70\t2\n1\t2024-02-29\t9:00\t.\t.\n2\t2024-03-01\t23:59\t.\t.\n",
    "ID TIME AMT CMT SS II UNTIL\n 1  0   10 1  2  8  .\n 1  24  10 2  .  8 48\n 1  72  .  .  .  .  .\n",
    '"ID","TIME","AMT","CMT","NOTE"\r\n"1",0,5,"pk.central","a, b"\r\n"1",4,NA,NA,"said ""so"""\r\n',
    "C,TIME,EVID,AMT,RATE,SS,CMT,CLR\n.,0,4,0,5,1,2,4\n,12,0,,,,,3.5\nC,left,out,,,,,\n.,13,2,,,,,2\n.,24,1,30,-1,,1,2\n",
    "TABLE NO.  1\n ID TIME AMT CMT\n 1.0E+00 0.0E+00 5.0E+00 2\n 1.0E+00 6.5E+00 . .\n",
    "ID,TIME,DV\n1,2024-02-28T08:30,<0.5\n1,2024-03-01 09:00,2.5\n",
    "ID,TIME,AMT,CMT\n2,5,.,.\n1,3,.,.\n1,0,7,1\n2,0,9,2\n",
)
_CELLS = (
    "", ".", "NA", "NaN", "0", "1", "2", "3", "4", "-1", "-2", "-7", "0.5", "1,5", "1e3", "1e-300", "1e308", "1e999", "99999999999",
    "9" * 400, "inf", "0x10", "1_0", "x", "µ", "pk.iv", "PK.DEPOT", "pk.centrl", "101", "8", "8:30", "24:00", "25:61", "8:30 pm",
    "2024-02-30", "2024-02-29", "2024-02-29T08:30", "2024-02-29T08:30+99:00", "9999-12-31T23:59", "03/04/2024", "31/12/2024",
    "BLQ", "<0.5", "< ", '"', "'", "#", "@", " 7 ", "\t", "٣", "１", "True", "None", "🙂",
    "1\u20282", "-0", "+5", ".5.", "1e", "00", "007",
)  # fmt: skip
_NAMES = (
    "ID", "#ID", "@ID", "time", "TIME", "T", "AMT", "AMOUNT", "DOSE", "DUR", "TINF", "RATE", "II", "TAU", "ADDL", "UNTIL", "SS",
    "EVID",     "MDV", "DV", "CMT", "DATE", "DAT1", "DAT3", "C", "WT", "CLR", "", " ", "#", "X" * 300,
)  # fmt: skip
_LETTERS = "0123456789.,;:\t \"'#@+-eEINATCpk\n\r\0\ufeff\u2028µ"


def mutated(rng: np.random.Generator) -> str:
    """A good table with up to six changes of letters, cells, rows, columns or what separates them."""
    text = str(rng.choice(np.array(GOOD, object)))
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        text = _CHANGES[rng.integers(len(_CHANGES))](rng, text)
    return text


def layout_options(rng: np.random.Generator) -> dict[str, Any]:
    """How a table might be read: mostly as it is."""
    if rng.integers(4):
        return {}
    return {"sort": bool(rng.integers(2)), "ignore": str(rng.choice(np.array(["", "@", "C", "!"], object)))}


def _letter(rng: np.random.Generator, text: str) -> str:
    at, what = int(rng.integers(len(text) + 1)), rng.integers(3)
    put = "" if what == 0 else _LETTERS[rng.integers(len(_LETTERS))]
    return text[:at] + put + text[at + (what != 1) :]


def _cell(rng: np.random.Generator, text: str) -> str:
    separator, rows = _rows(rng, text)
    row = rows[rng.integers(len(rows))]
    row[rng.integers(len(row))] = str(rng.choice(np.array(_CELLS, object)))
    return _text(separator, rows)


def _name(rng: np.random.Generator, text: str) -> str:
    separator, rows = _rows(rng, text)
    rows[0][rng.integers(len(rows[0]))] = str(rng.choice(np.array(_NAMES, object)))
    return _text(separator, rows)


def _column(rng: np.random.Generator, text: str) -> str:
    """A column is added or removed, in all rows or in some."""
    separator, rows = _rows(rng, text)
    at, add, whole = int(rng.integers(len(rows[0]) + 1)), rng.integers(2), rng.integers(2)
    value = str(rng.choice(np.array(_CELLS, object)))
    for i, row in enumerate(rows):
        if whole or rng.integers(2):
            if add:
                row.insert(at, str(rng.choice(np.array(_NAMES, object))) if i == 0 else value)
            elif len(row) > 1:
                row.pop(min(at, len(row) - 1))
    return _text(separator, rows)


def _order(rng: np.random.Generator, text: str) -> str:
    separator, rows = _rows(rng, text)
    what, at = rng.integers(3), int(rng.integers(len(rows)))
    if what == 0:
        rows[1:] = [rows[1:][i] for i in rng.permutation(len(rows) - 1)]
    elif what == 1:
        rows.insert(at, list(rows[at]))
    elif len(rows) > 1:
        rows.pop(at)
    return _text(separator, rows)


def _separator(rng: np.random.Generator, text: str) -> str:
    _, rows = _rows(rng, text)
    return _text(str(rng.choice(np.array([",", ";", "\t", " ", "  ", "|"], object))), rows)


def _ending(rng: np.random.Generator, text: str) -> str:
    return text.replace("\n", str(rng.choice(np.array(["\r\n", "\r", "\n\n", "\n#", "\n "], object))))


def _rows(rng: np.random.Generator, text: str) -> tuple[str, list[list[str]]]:
    first = text.partition("\n")[0]
    separator = max((",", ";", "\t", " "), key=first.count)
    return separator, [line.split(separator) for line in text.split("\n")]


def _text(separator: str, rows: list[list[str]]) -> str:
    return "\n".join(separator.join(row) for row in rows)


_CHANGES = (_letter, _letter, _cell, _cell, _cell, _cell, _name, _column, _order, _separator, _ending)

"""Event tables as other tools write them, solved: right values by closed forms, and what every job says of a table."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from program import Program
from textbook import ACCURATE, CL, MG, K, V, bolus, rows_of, textbook, written

import nanomg
from nanomg.errors import InputError
from nanomg.library import scenario_file
from nanomg.models import library


def infused(amount: float, over: float, t: float) -> float:
    """The concentration [mg/L] during and after an infusion."""
    last = min(t, over)
    return amount / over / CL * -math.expm1(-K * last) * math.exp(-K * (t - last))


def seen(folder: Path, events: Any, extra: str = "", **asked: Any) -> list[float]:
    """pk.C [mg/L] at the records of a table."""
    out = folder / "out.csv"
    nanomg.simulate(textbook(folder, extra), events=events, records=out, force=True, **asked)
    header, rows = rows_of(out)
    return [float(row[header.index("pk.C")]) for row in rows]


def test_a_duration_is_an_infusion(tmp_path: Path) -> None:
    """100 mg over 10 h: C(10 h) = 1.7027 mg/L (closed form; a bolus would leave 0.9112)."""
    assert infused(100, 10, 10) == pytest.approx(1.7027, abs=5e-5)
    for name in ("DURATION", "DUR", "TINF", "duration"):
        found = seen(tmp_path, written(tmp_path, f"ID TIME AMT CMT {name}\n1 0 100 2 10\n1 10 . . .\n1 24 . . ."))
        assert found == pytest.approx([0.0, infused(100, 10, 10), infused(100, 10, 24)], **ACCURATE)


def test_units_of_times_amounts_and_rates(tmp_path: Path) -> None:
    """70 mg as 70,000 ug at 6 h, an infusion of 25 mg/h from 12 h for 2 h, all in minutes or days; rates per unit of time."""
    wanted = [2, 2 * bolus(6), 2 * bolus(12) + infused(50, 2, 6)]
    minutes = '[columns]\nTIME = { unit = "min" }\nAMT = { unit = "ug" }\n'
    table = "ID TIME AMT CMT RATE\n1 360 70000 pk.central .\n1 720 50000 PK.CENTRAL {}\n1 1080 . . ."
    rate = 25 * 1000 / 60
    assert seen(tmp_path, written(tmp_path, table.format(rate)), minutes) == pytest.approx(wanted, **ACCURATE)
    given = minutes + 'RATE = { unit = "mg/h" }\n'
    assert seen(tmp_path, written(tmp_path, table.format(25)), given) == pytest.approx(wanted, **ACCURATE)
    days = '[columns]\nTIME = { column = "DAY", unit = "d" }\nDUR = { unit = "h" }\nAMT = { column = "DOSE", unit = "g" }\n'
    table = "ID DAY DOSE CMT DUR\n1 0.25 0.07 2 .\n1 0.5 0.05 2 2\n1 0.75 . . ."
    assert seen(tmp_path, written(tmp_path, table), days) == pytest.approx(wanted, **ACCURATE)


def test_an_interval_is_in_the_unit_of_time(tmp_path: Path) -> None:
    extra = '[columns]\nTIME = { unit = "d" }\n'
    found = seen(tmp_path, written(tmp_path, "TIME AMT CMT II ADDL\n0 70 2 0.5 2\n1.25 . . . ."), extra)
    assert found[1] == pytest.approx(2 * (bolus(30) + bolus(18) + bolus(6)), **ACCURATE)
    assert found == seen(tmp_path, written(tmp_path, "TIME AMT CMT II UNTIL\n0 70 2 0.5 1.5\n1.25 . . . ."), extra)


def test_amounts_of_substance_and_masses(tmp_path: Path) -> None:
    """Mg sulfate by vein in mmol, or as g of its heptahydrate of 246.47 g/mol."""
    series = []
    for unit, amount in (("mmol", "0.004"), ("g", str(0.004 * 0.24647)), ("", "4")):
        extra = f'[columns]\nAMT = {{ unit = "{unit}" }}\n' if unit else ""
        (tmp_path / "mg.toml").write_text(MG + extra, encoding="utf-8")
        events = written(tmp_path, f"TIME AMT CMT\n0 {amount} magnesium.iv\n6 . .")
        run = nanomg.simulate(str(tmp_path / "mg.toml"), events=events)
        series.append(run.tree["records"]["magnesium.total"].values)
    assert series[0] == pytest.approx(series[2], rel=1e-9) and series[1] == pytest.approx(series[2], rel=1e-9)


def test_doses_per_kg_of_subjects_of_several_weights_are_refused(tmp_path: Path) -> None:
    extra = 'weight = "70 kg"\n[columns]\nAMT = { unit = "mg/kg" }\n'
    table = "ID TIME AMT CMT {}\n1 0 1 2 50\n2 0 1 2 90"
    assert seen(tmp_path, written(tmp_path, table.format("AGE")), extra) == pytest.approx([2, 2], **ACCURATE)
    with pytest.raises(
        InputError, match=r"doses per kg are those of the scenario's body, but the table has a column WT"
    ):
        seen(tmp_path, written(tmp_path, table.format("wt")), extra)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (
            'AMT = { unit = "mmol" }',
            r"doses\.csv, row 2, into pk\.central: the unit 'mmol' cannot be converted to 'mg'",
        ),
        ('RATE = { unit = "mg" }', r"row 2, into pk\.central: .*is not a rate"),
        ('TIME = { unit = "mg" }', r"\[columns\], TIME: the unit 'mg' cannot be converted to 'h'"),
        ('EVID = { unit = "h" }', r"\[columns\], EVID: there is no key 'unit'"),
        ('TIME = "AFTER"', r"there is no column 'AFTER'"),
        ('TIMES = "TIME"', r"there is no parameter or column of events 'TIMES'; did you mean 'TIME'"),
        ('TIME = "TIME"\ntime = "TIME"', r"TIME is there twice"),
        ('AMT = " "', r"the name of the column is empty"),
    ],
)
def test_what_columns_cannot_say(columns: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        seen(tmp_path, written(tmp_path, "TIME AMT CMT\n0 70 2\n1 . ."), f"[columns]\n{columns}\n")


def test_placebo_and_missing_values(tmp_path: Path) -> None:
    """Placebo rows, also at steady state, give nothing; NA is missing."""
    table = """
    ID TIME EVID AMT CMT II SS DV
    1  0    1    70  2   NA NA NA
    1  6    0    NA  NA  NA NA BLQ
    2  0    1    0   2   12 1  <0.5
    2  6    0    NA  NA  NA NA 0.7
    3  0    1    70  2   NA NA NA
    3  2    1    0   2   12 1  NA
    3  6    0    NA  NA  NA NA NA
    """
    found = seen(tmp_path, written(tmp_path, table))
    assert found == pytest.approx([2, 2 * bolus(6), 0, 0, 2, 0, 0], **ACCURATE)


def test_long_ids_are_subjects_of_their_own(tmp_path: Path) -> None:
    table = "ID TIME AMT CMT\n1234567890123456789 0 70 2\n1234567890123456788 0 35 2"
    assert seen(tmp_path, written(tmp_path, table)) == pytest.approx([2, 1], **ACCURATE)


def test_clock_times_with_dates_across_a_leap_day(tmp_path: Path) -> None:
    table = "DATE,TIME,AMT,CMT\n2024-02-28,23:00,70,2\n2024-02-29,23:00,,\n2024-03-01,05:00,,\n"
    (tmp_path / "clock.csv").write_text(table, encoding="utf-8")
    found = seen(tmp_path, tmp_path / "clock.csv")
    assert found == pytest.approx([2, 2 * bolus(24), 2 * bolus(30)], **ACCURATE)


# ---------------------------------------------------------------- frames
FRAME = pd.DataFrame({"ID": [1, 1, 2], "TIME": [0.0, 6.0, 0.0], "AMT": [70.0, np.nan, 35.0], "CMT": [2, None, 2]})


def test_a_frame_as_events_of_every_job(tmp_path: Path) -> None:
    assert seen(tmp_path, FRAME) == pytest.approx([2, 2 * bolus(6), 1], **ACCURATE)
    name, keep = textbook(tmp_path), ["pk.C:initial"]
    assert nanomg.sweep(name, events=FRAME, vary=["pk.V=35,70 L"], keep=keep).tree["sweep"]["pk.C:initial"].shape == (
        2,
        2,
    )
    run = nanomg.simulate(name, events=FRAME.iloc[::-1], sort=True, output=tmp_path / "run.h5")
    config = json.loads(run.tree.attrs["config_json"])
    assert config["request"]["events"] == "events" and config["events"]["sort"] is True
    assert config["events"]["text"].startswith("ID,TIME,AMT,CMT\n2,0.0,35.0,2.0\n")
    again = nanomg.simulate(config)
    assert again.tree["records"]["pk.C"].values == pytest.approx(run.tree["records"]["pk.C"].values)


def test_a_request_holds_a_table_as_name_and_text(tmp_path: Path) -> None:
    from nanomg.jobs.simulate.request import SimulateRequest

    request = SimulateRequest(scenario=textbook(tmp_path), events=FRAME, records=tmp_path / "out.csv")
    again = SimulateRequest.from_json(json.loads(json.dumps(request.to_json())))
    assert again.events == request.events == {"name": "events", "text": FRAME.to_csv(index=False)}
    with pytest.raises(InputError, match="a path, a frame, or name and text"):
        nanomg.simulate(textbook(tmp_path), events={"table": "x"})
    with pytest.raises(InputError, match="a path, a pandas frame or an xarray dataset, not list"):
        nanomg.simulate(textbook(tmp_path), events=[1, 2])


# ---------------------------------------------------------------- what is said
UNDOSED = "ID,TIME,DOSE,CMT,WT\n# a comment\n1,0,70,2,80\n1,6,,,80\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["simulate"],
        ["sweep", "--vary", "pk.V=30,40 L"],
        ["sensitivity", "--of", "pk.V"],
    ],
)
def test_every_job_says_what_it_did_not_use_and_that_nobody_was_dosed(
    arguments: list[str], program: Program, tmp_path: Path
) -> None:
    events, result, page = tmp_path / "doses.csv", tmp_path / "run.h5", tmp_path / "run.html"
    events.write_text(UNDOSED, encoding="utf-8")
    job, *more = arguments
    if job == "sensitivity":
        more = ["--of", "pk.C:final"]
    told = (
        'The only subject of doses.csv was given no dose: there is no column AMT; if DOSE holds the amounts, write AMT = "DOSE" '
        "under [columns].",
        "Columns of doses.csv that were not used: DOSE, WT.",
        "1 row was skipped as comments.",
    )
    code, out, err = program(job, textbook(tmp_path), "--events", events, *more, "-o", result)
    assert (code, err) == (0, "") and all(f"- {text}" in out for text in told), out + err
    code, out, _ = program("summary", result, "--json")
    (table,) = json.loads(out)["event_tables"]
    assert (table["name"], table["rows"], table["comments"], table["dosed"]) == ("doses.csv", 2, 1, 0)
    assert (table["unused"], [*table["warnings"], *table["notes"]]) == (["DOSE", "WT"], [*told])
    assert program("report", result, "-o", page).code == 0
    text = page.read_text(encoding="utf-8").replace("&#34;", '"')
    assert all(sentence in text for sentence in told)


def test_bad_rows_are_lines_on_the_screen(program: Program, tmp_path: Path) -> None:
    events = written(tmp_path, "TIME AMT CMT EVID\n0 70 2 101\n1 -1 2 1\n2 1 -2 1")
    code, out, err = program("simulate", textbook(tmp_path), "--events", events)
    assert (code, out) == (2, "") and err.splitlines() == [
        f"nanomg: {events}: 3 rows of the table cannot be used:",
        "  row 2, column EVID: EVID 101 is a code of RxODE, which holds the compartment; write EVID 1 and name the compartment in "
        "CMT (allowed are 0, 1, 2, 3, 4)",
        "  row 3, column AMT: AMT must not be negative, but is -1",
        "  row 4, column CMT: CMT must be a name or a number from 1 to 2, not -2; NONMEM turns a compartment off by its negative "
        "number, nanomg does not",
    ]  # fmt: skip


def test_options_for_tables_need_one(program: Program) -> None:
    for option in (["--sort"], ["--ignore", "@"]):
        code, out, err = program("simulate", "textbook-1cpt", *option)
        assert (code, out) == (2, "") and f"{option[0]}: it is for an event table; name one with --events" in err


def test_a_scenario_with_columns_of_events_reads_its_own_doses() -> None:
    """Without an event table [columns] has no effect."""
    scenario = scenario_file.load("textbook-1cpt", library())
    assert scenario.event_columns == {} and scenario.reading is None and V > 0

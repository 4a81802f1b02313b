"""Event tables from file to summary: what is written beside each row, arms, failures, and tables at random."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from program import Program
from textbook import ACCURATE, MG, K, V, bolus, oral, rows_of, textbook, written

import nanomg
from nanomg.dosing.event_record import Record, Subject
from nanomg.errors import InputError
from nanomg.jobs.simulate import run as simulate_run
from nanomg.library import event_doses, scenario_file
from nanomg.library.library import Library
from nanomg.library.scenario import Scenario
from nanomg.simulation import arms as simulation_arms
from nanomg.simulation import blocks as simulation_blocks
from nanomg.simulation import event_arms, event_runs, event_times, layout
from nanomg.simulation import lanes as simulation_lanes

# ---------------------------------------------------------------- records out
TABLE = """
C    Id   time WT   amt cmt       evid ii addl ss NOTE
.    b7   0    70.0 100 pk.depot  1    12 2    .  first
.    b7   30   70   .   .         0    .  .    .  .
no   b7   31   70   .   .         0    .  .    .  out
.    1.0  0    1e2  50  2         1    24 .    1  .
.    1.0  2.5  .    0   pk.depot  2    .  .    .  x;y
.    1.0  6    80   25  pk.central 1   .  .    .  .
"""


def test_records_keep_rows_and_columns_and_add_the_outputs(program: Program, tmp_path: Path) -> None:
    events, out, run = written(tmp_path, TABLE), tmp_path / "out.csv", tmp_path / "run.h5"
    code, shown, err = program("simulate", "textbook-1cpt", "--events", events, "--records", out, "-o", run, "--json")
    assert (code, err) == (0, "")
    header, rows = rows_of(out)
    own, given_rows = rows_of(events)
    assert header == [*own, "pk.C"]
    assert [row[:-1] for row in rows] == [row for row in given_rows if row[0] == "."]
    steady = 50 / V / -math.expm1(-24 * K)
    expected = [0.0, sum(100 / V * oral(30 - t) for t in (0, 12, 24))]
    expected += [steady, steady * bolus(2.5), steady * bolus(6) + 25 / V]
    assert [float(row[-1]) for row in rows] == pytest.approx(expected, **ACCURATE)
    assert all(repr(float(row[-1])) == row[-1] for row in rows)

    summary = json.loads(shown)
    assert summary["events"] == str(events) and summary["records"] == str(out) and summary["output"] == str(run)
    assert summary["status"] == {
        "code": 0, "reason": "solved to the end", "failed": 0, "trajectories": 2, "subjects": 2, "failed_subjects": {}
    }  # fmt: skip
    signal = summary["signals"]["pk.C"]
    assert {"unit", "initial", "final", "min", "max", "auc", "auc_unit", "range"} == signal.keys()
    assert signal["range"]["initial"] == pytest.approx([0.0, steady], **ACCURATE)
    assert signal["initial"] == pytest.approx(steady / 2, **ACCURATE)

    tree = nanomg.open(run)
    series, at = tree["simulation"].to_dataset(), tree["records"].to_dataset()
    assert list(series.subject.values) == ["b7", "1"] and series["pk.C"].dims == (
        "regimen",
        "hypothesis",
        "subject",
        "time",
    )
    assert series.time.values[-1] == 168.0 and set(np.arange(0, 169, 2.0)) <= set(series.time.values)
    assert list(at["subject"].values) == ["b7", "b7", "1", "1", "1"] and list(at["row"].values) == [2, 3, 5, 6, 7]
    assert at["pk.C"].values == pytest.approx([float(row[-1]) for row in rows], rel=1e-15)
    assert list(at["cmt"].values) == ["pk.depot", "", "pk.central", "pk.depot", "pk.central"]
    doses = tree["doses"].to_dataset().sel(regimen="as given")
    assert list(doses["amt"].values) == [100, 50, 25] and list(doses["addl"].values) == [2, 0, 0]
    assert json.loads(tree.attrs["config_json"])["events"] == {"name": "doses.csv", "text": events.read_text()}


def test_outputs_are_in_the_unit_of_the_mechanism_whatever_the_scenario_writes(tmp_path: Path) -> None:
    events = written(tmp_path, "TIME AMT CMT\n0 70 2\n5 . .")
    run = simulate_run.simulate(textbook(tmp_path), events=events, records=tmp_path / "out.csv")
    header, rows = rows_of(tmp_path / "out.csv")
    assert header == ["TIME", "AMT", "CMT", "pk.C", "pk.central"]
    last = [float(cell) for cell in rows[-1][-2:]]
    assert last == pytest.approx([70 / V * bolus(5), 70 * bolus(5)], **ACCURATE)
    assert run.tree["records"]["pk.C"].attrs["units"] == "mg L-1"
    assert run.summary["signals"]["pk.C"]["unit"] == "mg/L"
    assert run.summary["signals"]["pk.C"]["max"] == pytest.approx(70 / V, **ACCURATE)
    assert run.summary["mg"] is None and "range" not in run.summary["signals"]["pk.C"]


def test_the_screen_shows_the_range_over_subjects(program: Program, tmp_path: Path) -> None:
    events = written(tmp_path, "ID TIME AMT CMT\n1 0 70 2\n2 0 35 2\n3 0 700 2")
    code, out, _ = program("simulate", "textbook-1cpt", "--events", events, "--records", tmp_path / "out.csv")
    assert code == 0
    assert "3 subjects, 3 trajectories, all solved" in out
    rows = [line.split() for line in out.splitlines()]
    start = next(i for i, row in enumerate(rows) if row[:1] == ["pk.C"])
    assert rows[start][1:3] == ["mg/L", "2"] and [row[:2] for row in rows[start + 1 : start + 3]] == [
        ["lowest", "1"],
        ["highest", "20"],
    ]
    assert f"Records: {tmp_path / 'out.csv'}" in out


def test_a_run_goes_on_to_the_last_record(tmp_path: Path) -> None:
    events = written(tmp_path, "TIME AMT CMT\n-3 70 2\n100 . .")
    series = simulate_run.simulate(textbook(tmp_path), events=events).tree["simulation"].to_dataset()
    assert series.time.values[0] == -3.0 and series.time.values[-1] == 100.0
    assert float(series["pk.central"].sel(time=42.0).item()) == pytest.approx(70 * bolus(45), **ACCURATE)


def test_many_subjects_are_solved_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, amounts = textbook(tmp_path), range(1, 20)
    rows = "\n".join(f"{i} 0 {amt} 2\n{i} 5 . ." for i, amt in enumerate(amounts))
    monkeypatch.setattr(event_runs, "MEMORY", 1.0)  # blocks of 8
    run = simulate_run.simulate(name, events=written(tmp_path, f"ID TIME AMT CMT\n{rows}"))
    expected = [amt * share for amt in amounts for share in (1, bolus(5))]
    assert run.tree["records"]["pk.central"].values == pytest.approx(expected, **ACCURATE)
    series = run.tree["simulation"]["pk.central"][0, 0].sel(time=24.0)
    assert series.values == pytest.approx([amt * bolus(24) for amt in amounts], **ACCURATE)
    assert list(series.subject.values) == [str(i) for i in range(19)]


def test_a_clock_that_starts_again_leaves_only_the_records(program: Program, tmp_path: Path) -> None:
    events = written(tmp_path, "TIME AMT CMT EVID\n0 70 2 1\n20 . . 0\n0 35 2 4\n5 . . 0")
    code, out, _ = program("simulate", "textbook-1cpt", "--events", events, "-o", tmp_path / "run.h5")
    assert code == 0 and "a reset restarts the clock" in out
    tree = nanomg.open(tmp_path / "run.h5")
    assert "simulation" not in tree
    expected = [70 / V, 70 / V * bolus(20), 35 / V, 35 / V * bolus(5)]
    assert tree["records"]["pk.C"].values == pytest.approx(expected, **ACCURATE)
    summary = json.loads(tree.attrs["summary_json"])["signals"]["pk.C"]
    assert summary["max"] == pytest.approx(2.0, **ACCURATE) and summary["auc"] is None


def test_a_table_and_the_same_doses_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "mg.toml").write_text(MG, encoding="utf-8")
    name = str(tmp_path / "mg.toml")
    events = written(
        tmp_path, "ID TIME AMT CMT II ADDL dur\n1 1 5 magnesium.iv 12 1 2\n2 0 . . . . .\n3 1 9 magnesium.im . . ."
    )
    run = simulate_run.simulate(name, events=events)
    series = run.tree["simulation"].to_dataset()
    assert list(series.regimen.values) == ["as given", "without Mg"]
    alone = (
        simulate_run.simulate(name, dose=["magnesium.iv: 5 umol over 2 h q 12 h x 2 from 1 h"])
        .tree["simulation"]
        .to_dataset()
    )
    for regimen in series.regimen.values:
        for time in (0.0, 1.0, 3.0, 13.02, 48.0):
            one = series["magnesium.total"].sel(regimen=regimen, subject="1", time=time).item()
            assert one == pytest.approx(alone["magnesium.total"].sel(regimen=regimen, time=time).item(), rel=2e-5)
    nothing = series["magnesium.total"].sel(regimen="without Mg", hypothesis="as set")
    assert np.ptp(nothing.values, axis=0) == pytest.approx(0.0, abs=1e-9)
    assert series["magnesium.total"].sel(subject="3").max() > nothing.max() * 1.01


def test_too_many_doses_to_follow_closely_get_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mg.toml").write_text(MG, encoding="utf-8")
    monkeypatch.setattr(event_times, "_MOST_EDGES", 3)
    events = written(tmp_path, "TIME AMT CMT II ADDL\n1 5 magnesium.iv 7 4")
    run = simulate_run.simulate(str(tmp_path / "mg.toml"), events=events)
    assert run.summary["verdict"].startswith("No conclusion: there are too many different dose times")
    assert list(run.tree["simulation"].time.values) == [*np.arange(0, 49, 6.0)]


def test_an_arm_without_magnesium_keeps_resets_and_its_own_steady_state(library: Library, tmp_path: Path) -> None:
    (tmp_path / "mg.toml").write_text(MG, encoding="utf-8")
    loaded = scenario_file.load(str(tmp_path / "mg.toml"), library)
    text = "TIME,AMT,CMT,EVID,II,SS\n0,5,magnesium.iv,4,,\n1,5,magnesium.iv,1,6,1\n2,5,magnesium.iv,1,6,2\n3,5,magnesium.iv,1,,\n"
    (arm,) = event_arms.arms_of(loaded, event_doses.subjects_in(loaded, {"text": text}, "doses.csv")[0])["without Mg"]
    assert [(r.evid, r.ss, r.amt, r.ii) for r in arm.records] == [
        (3, 0, 0, 0),
        (1, 1, 0, 0),
        (2, 0, 0, 0),
        (2, 0, 0, 0),
    ]
    assert [r.time for r in arm.records] == [0, 1, 2, 3]


def test_arms_of_a_liposome_are_given_free(library: Library) -> None:
    loaded = scenario_file.load("mouse-mc38-iv", library)
    text = "TIME,AMT,CMT,RATE\n0,2,liposome.iv,0.5\n1,2,liposome.iv,0\n2,0.2,pd1.ip,0\n"
    arms = event_arms.arms_of(loaded, event_doses.subjects_in(loaded, {"text": text}, "doses.csv")[0])
    assert list(arms) == ["as given", "without Mg", "same Mg given free"]
    (free,) = arms["same Mg given free"]
    (plain,) = (d for d in simulation_arms.given_free(loaded, loaded.doses[:1]) or ())
    per_mg = plain.amt / loaded.doses[0].amt
    assert [r.cmt for r in free.records] == [plain.cmt, plain.cmt, "pd1.ip"]
    assert [(r.amt, r.rate) for r in free.records] == [
        pytest.approx(pair) for pair in ((2 * per_mg, 0.5 * per_mg), (2 * per_mg, 0.0), (0.2, 0.0))
    ]


def test_the_verdict_on_a_table_is_that_on_the_same_doses(tmp_path: Path) -> None:
    text = "ID TIME AMT CMT II ADDL\n1 24 1 liposome.intratumoral 168 3\n2 24 . . . .\n3 24 3 magnesium.im . ."
    run = simulate_run.simulate("mouse-mc38-depot", events=written(tmp_path, text))
    alone = simulate_run.simulate(
        "mouse-mc38-depot", dose=["pd1.ip: none", "liposome.intratumoral: 1 mg q 7 d x 4 from 1 d"]
    )
    assert run.summary["mg"] is None and list(run.summary["mg_of_subjects"]) == ["1", "3"]
    sentence = run.summary["verdict"]
    assert sentence.startswith("2 subjects with Mg. The Mg changes tumour volume at the end by ")
    assert "in the median of 2 subjects: " in sentence and "it is above +0.02 mmol/L for " in sentence
    mg, expected = run.summary["mg_of_subjects"]["1"], alone.summary["mg"]
    for key in ("hours_per_day_above_0.02", "hours_per_day_above_0.3", "mean_competence_gain"):
        assert mg[key] == pytest.approx(expected[key], rel=0.02, abs=1e-3)
    assert mg["mean_rise"]["value"] == pytest.approx(expected["mean_rise"]["value"], rel=0.01)


# ---------------------------------------------------------------- failures
def test_a_subject_that_fails_is_named_and_the_others_stay(program: Program, tmp_path: Path) -> None:
    name, out = textbook(tmp_path, '[columns]\n"pk.V" = "V"\n'), tmp_path / "out.csv"
    good = "1 0 70 2 35\n1 5 . . 35\n"
    events = written(tmp_path, f"ID TIME AMT CMT V\n{good}x 0 70 2 0\nx 5 . . 0\n2 0 35 2 35")
    code, shown, _ = program("simulate", name, "--events", events, "--records", out, "--json")
    summary = json.loads(shown)
    assert code == 1
    assert summary["status"]["failed"] == 1 and summary["status"]["trajectories"] == 3
    assert list(summary["status"]["failed_subjects"]) == ["x"] and summary["status"]["failed_subjects"]["x"]["reason"]
    _, rows = rows_of(out)
    assert [row[-1] == "" for row in rows] == [False, False, True, True, False]
    alone = written(tmp_path, f"ID TIME AMT CMT V\n{good}", "alone.csv")
    program("simulate", name, "--events", alone, "--records", out, "--force")
    for one, other in zip(rows_of(out)[1], rows[:2], strict=True):
        assert [float(cell) for cell in one[-2:]] == pytest.approx([float(cell) for cell in other[-2:]], rel=1e-5)
    code, shown, _ = program("simulate", name, "--events", events)
    assert code == 1
    assert re.search(r"3 subjects, 1 of 3 trajectories failed: .*\n+- subject x: 1 failed: ", shown)


# ---------------------------------------------------------------- any table
COLUMNS = ("ID", "TIME", "EVID", "AMT", "CMT", "RATE", "II", "ADDL", "SS", "MDV", "DV", "dur", "CLR", "BIO", "LAG")
CELLS: Mapping[str, Sequence[str]] = {
    "ID": ("1", "1", "1", "2", "two"),
    "TIME": ("0", "1", "2.5", "6", "12", "12", "24", "-1"),
    "EVID": ("0", "1", "1", "1", "2", "3", "4", "."),
    "AMT": ("100", "50", "1e-3", "100", "0", "."),
    "CMT": ("1", "2", "pk.depot", "pk.central", ".", "2"),
    "RATE": ("0", ".", ".", "10", "25", "-1", "-2"),
    "II": ("0", "6", "12", "12", "24", "."),
    "ADDL": ("0", "0", ".", "1", "3"),
    "SS": ("0", "0", ".", "1", "2"),
    "MDV": ("0", "1", "."),
    "DV": (".", "3.5", "0"),
    "dur": (".", ".", ".", "2", "7"),
    "CLR": ("4", "4", "8", "0", "4"),
    "BIO": ("1", "0.5", "0", "1", "."),
    "LAG": ("0", "0.5", "1", "7", "0", "."),
}
JUNK = st.sampled_from(
    ["", ".", "-1", "1e400", "nan", "x", "0x10", "1e9", "99999999999", "5", " 3 ", '"', "a,b", "\0", "é", "1e-320"]
)
NAMES = st.sampled_from(["C", "WT", "UNTIL", "tinf", "", "time", "pk.C", "a/b", "ID"])


@st.composite
def tables(draw: st.DrawFn) -> str:
    """A table that is right but for what chance brings in: columns missing, strange or doubled, cells of junk, broken rows."""
    columns = [c for c in COLUMNS if c in ("TIME", "CLR", "BIO", "LAG") or draw(st.integers(0, 3))]
    if not draw(st.integers(0, 7)):
        columns.insert(draw(st.integers(0, len(columns))), draw(NAMES))
    if not draw(st.integers(0, 7)):
        columns.remove(draw(st.sampled_from(columns)))
    columns = draw(st.permutations(columns)) if draw(st.booleans()) else columns
    header = [draw(st.sampled_from([c, c.lower(), c.upper(), f" {c} "])) for c in columns]
    consistent = draw(st.integers(0, 4)) > 0
    rows = []
    for _ in range(draw(st.sampled_from([0, 1, 2, 2, 3, 4, 5, 6]))):
        row = {c: draw(st.sampled_from(CELLS[c])) if c in CELLS else "7" for c in columns}
        if consistent:
            _mend(row)
        rows.append(row)
    if consistent:
        rows.sort(key=lambda row: (row.get("ID", ""), float(row.get("TIME", 0))))
    lines = [header, *([row[c] for c in columns] for row in rows)]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        line = draw(st.sampled_from(lines))
        if line:
            line[draw(st.integers(0, len(line) - 1))] = draw(JUNK)
    return "\n".join(",".join(line) for line in lines) + draw(st.sampled_from(["\n", "", "\n\n"]))


def _mend(row: dict[str, str]) -> None:
    """Make the columns of a row agree with each other."""
    doses = row.get("EVID") in ("1", "4", None) and row.get("AMT", ".") not in ("0", ".")
    if not doses:
        row.update({c: "." for c in ("AMT", "RATE", "ADDL", "SS", "dur", "tinf", "UNTIL") if c in row})
        if row.get("EVID") in ("1", "4"):
            row["EVID"] = "0"
    if row.get("II", ".") in ("0", "."):
        row.update({c: "0" for c in ("ADDL", "SS", "UNTIL") if c in row})
    if row.get("RATE", ".") not in ("0", "."):
        row.update({c: "." for c in ("dur", "tinf") if c in row})
    row.update({"UNTIL": "."} if "UNTIL" in row else {})


SMALL = """
[columns]
"pk.CL" = "CLR"
"pk.F_central" = { column = "BIO", between = "locf" }
"pk.Tlag_depot" = "LAG"
[parameters]
"pk.rate_central" = "20 mg/h"
"pk.duration_central" = "3 h"
"pk.rate_depot" = "20 mg/h"
"pk.duration_depot" = "3 h"
"""


def ballast(bound: Mapping[str, str]) -> Subject:
    """A subject that makes every table as large as the largest, so that one compiled program serves all."""
    values = {"pk.CL": 4.0, "pk.F_central": 1.0, "pk.Tlag_depot": 0.0}
    record = Record(2, 0.0, covariates={name: values[name] for name in bound})
    doses = [
        dataclasses.replace(record, time=time, evid=1, amt=1.0, cmt=cmt, rate=0.5, ii=ii, ss=1)
        for time, cmt, ii in ((0.0, "pk.depot", 0.5), *((float(t), "pk.central", 12.0) for t in range(1, 5)))
    ]
    many = dataclasses.replace(record, time=5.0, evid=1, amt=1.0, cmt="pk.central", ii=0.25, addl=70)
    looks = [dataclasses.replace(record, time=6.0 + i) for i in range(18)]
    return Subject("ballast", (*doses, many, *looks), dict(bound))


@pytest.fixture(scope="module")
def small(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return scenario_file.load(textbook(tmp_path_factory.mktemp("tables"), SMALL), library)


def test_any_table_gives_a_result_or_one_sentence(
    small: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand tables, each from the file to the summary; those that can be read are solved."""
    lanes, count = 8, {"solved": 0, "refused": 0, "failed": 0}
    plan_of, lanes_of = layout.plan_of, layout.lanes_of

    def block(solve: Any, batch: int, *_: Any) -> Any:
        assert batch < lanes
        return jax.tree.map(lambda a: a[..., :batch], solve(np.arange(batch), False))

    def padded(plan: Any, values: Any, subjects: Any, *args: Any, **options: Any) -> Any:
        return lanes_of(
            plan, values, [*subjects, *[ballast(subjects[0].bound)] * (lanes - len(subjects))], *args, **options
        )

    for name in ("solve_in_turn", "solve_in_like_blocks"):
        monkeypatch.setattr(simulation_blocks, name, block)
    monkeypatch.setattr(
        layout, "plan_of", lambda model, who, *a, **k: plan_of(model, [*who, ballast(who[0].bound)], *a, **k)
    )
    monkeypatch.setattr(layout, "lanes_of", padded)
    monkeypatch.setattr(simulation_lanes, "PROBES", ())
    events, out, told = tmp_path / "doses.csv", tmp_path / "out.csv", list[str]()

    @settings(max_examples=1000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(tables())
    def check(text: str) -> None:
        events.write_text(text, encoding="utf-8")
        try:
            run = simulate_run.simulate(small, events=events, records=out, force=True)
        except InputError as error:
            count["refused"] += 1
            told.append(str(error))
            return
        status = run.summary["status"]
        count["failed" if status["failed"] else "solved"] += 1
        names, rows = rows_of(out)
        assert len(rows) == run.tree["records"].sizes["record"] > 0
        if status["failed"]:  # nothing but a steady state that does not exist: nothing leaves at a clearance of 0
            column = [name.strip().upper() for name in names].index("CLR")
            assert status["reason"].startswith("no steady state was found: pk.central has none")
            assert any(float(row[column]) == 0.0 for row in rows if row[column].strip() not in ("", "."))
        else:
            values = run.tree["records"]["pk.central"].values
            assert np.all(np.isfinite(values)) and np.all(values > -1e-6)

    check()
    listed = re.compile(r".*doses\.csv: \d+ rows of the table cannot be used:(\n  (row \d+.*: .*|and \d+ more))+")
    assert [s for s in told if "doses.csv" not in s or ("\n" in s and not listed.fullmatch(s))] == []
    assert count["solved"] > 200 and count["refused"] > 200, count


def test_line_breaks_in_a_table_break_no_sentence(small: Scenario, tmp_path: Path) -> None:
    events = tmp_path / "doses.csv"
    for text in ('TIME,"A\nB","A\nb"\n0,1,1\n', 'ID,TIME,CLR,BIO,LAG\n"a\nb",0,4,1,0\nc,0,4,1,0\n"a\nb",2,4,1,0\n'):
        events.write_text(text)
        with pytest.raises(InputError) as caught:
            simulate_run.simulate(small, events=events)
        assert "\n" not in str(caught.value) and "doses.csv, row" in str(caught.value)


# ---------------------------------------------------------------- the records alone
def test_many_subjects_for_records_alone_take_no_series(tmp_path: Path) -> None:
    """Above 100 subjects; their values are those that a run with the series gives."""
    name, count = textbook(tmp_path), 101
    rows = "\n".join(f"{i} 0 {i} 2\n{i} 5 . ." for i in range(1, count + 1))
    events = written(tmp_path, f"ID TIME AMT CMT\n{rows}")
    alone = simulate_run.simulate(name, events=events, records=tmp_path / "alone.csv")
    both = simulate_run.simulate(name, events=events, records=tmp_path / "both.csv", series=True)
    assert "simulation" not in alone.tree and "--series" in alone.summary["verdict"]
    assert both.tree["simulation"].sizes["subject"] == count
    one, other = (
        np.array([float(row[-1]) for row in rows_of(tmp_path / name)[1]]) for name in ("alone.csv", "both.csv")
    )
    assert one == pytest.approx(other, rel=1e-6)
    expected = [amt * share for amt in range(1, count + 1) for share in (1, bolus(5))]
    assert one == pytest.approx(expected, **ACCURATE)
    assert alone.summary["signals"]["pk.central"]["range"]["max"] == pytest.approx([1, count], **ACCURATE)


def test_records_in_a_file_without_the_series(program: Program, tmp_path: Path) -> None:
    events = written(tmp_path, "ID TIME AMT CMT\n1 0 70 2\n1 5 . .")
    code, _, _ = program("simulate", textbook(tmp_path), "--events", events, "-o", tmp_path / "run.h5", "--no-series")
    tree = nanomg.open(tmp_path / "run.h5")
    assert code == 0 and "simulation" not in tree
    assert tree["records"]["pk.central"].values == pytest.approx([70, 70 * bolus(5)], **ACCURATE)
    code, _, told = program("simulate", textbook(tmp_path), "--no-series")
    assert code == 2 and "--events" in told


def test_series_larger_than_memory_are_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate_run, "MOST_NUMBERS", 10)
    events = written(tmp_path, "ID TIME AMT CMT\n1 0 70 2\n2 0 35 2")
    with pytest.raises(InputError, match=r"2 subjects hold .* GB of memory\); leave them out with --no-series"):
        simulate_run.simulate(textbook(tmp_path), events=events)
    assert "simulation" in simulate_run.simulate(textbook(tmp_path), events=events, series=True).tree
    assert "records" in simulate_run.simulate(textbook(tmp_path), events=events, series=False).tree

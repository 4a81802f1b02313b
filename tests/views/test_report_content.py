"""What a report says of small results made here, against what they hold: limits, rows of data, what is missing."""

from __future__ import annotations

import copy
import dataclasses
import html
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr
from read_page import courses, facts_of, said, warned

from nanomg.errors import InputError
from nanomg.page.blocks import Cell, Table, capped
from nanomg.results import parts
from nanomg.views import answers, cautions, drivers, provenance, report
from nanomg.views.checked import checked_result

# ---------------------------------------------------------------- limits
SERUM = "magnesium.total"
LIMITED = {"file": {"limit": [{"name": "serum", "signal": SERUM, "max": "2000 umol/L"}]}}


@pytest.mark.parametrize("level", [1.5, 4.5])
def test_limits_and_toxicity_are_read_off_the_courses(level: float) -> None:
    over = {"safety.grade": [0.0, level - 1.5], "safety.margin_reflexes": [1.0, 3.5 - level]}
    found = cautions.cautions(facts_of(LIMITED, {}, simulation=courses(**{SERUM: [1.0, level]}, **over)))
    text = " ".join(c.text for c in found)
    assert ("The limit “serum” of 2000 umol/L is exceeded: 4500 umol/L" in text) == (level > 2)
    assert ("exceeds the level of 3 of 6 signs" in text) == (level > 2) and ("Exceeded by 1 mmol L-1" in text) == (
        level > 3.5
    )
    assert any(c.well for c in found) == (level < 2)


@pytest.mark.parametrize(
    ("highest", "sentence"),
    [
        ((1.0, 1.5), ""),
        ((2.0 * (1 + 1e-10), 1.0), ""),
        ((1.0, 2.0 * (1 + 1e-10)), ""),
        ((2.5, 3.0), "The limit “serum” of 2000 umol/L is exceeded: 2500 umol/L is reached."),
        ((1.0, 3.0, 2.5), "Under H2 the limit “serum” of 2000 umol/L is exceeded: 3000 umol/L is reached."),
        ((np.nan, 1.0), "Whether the limit “serum” is kept is not known: a trajectory failed."),
        ((np.nan, 3.0), "Under H2 the limit “serum” of 2000 umol/L is exceeded: 3000 umol/L is reached."),
    ],
)
def test_a_limit_is_told_once_and_of_its_hypothesis(highest: Sequence[float], sentence: str) -> None:
    simulation = courses(**{SERUM: [[0.0, value] for value in highest]}).assign_coords(regimen=["optimum"])
    reached = {f"H{i + 1}": value for i, value in enumerate(highest)}
    row = {"name": "serum", "limit": 2.0, "unit": "mmol/L", "value": highest[0], "slack": 2.0 - highest[0]}
    constraint = {key: None if value != value else value for key, value in row.items()}
    by = {h: None if math.isnan(value) else value for h, value in reached.items()}
    summary = {
        "objective": 1.0,
        "feasible": not sentence.startswith("The"),
        "constraints": [constraint | {"value_by_hypothesis": by}],
    }
    facts = facts_of(LIMITED, summary, simulation=simulation, optimization=xr.Dataset())
    about = [text for text in warned(facts) if "limit" in text]
    assert sentence in about if sentence else not about
    assert sum("serum" in text for text in about) == bool(sentence)
    assert ("No limit is exceeded (“serum”)." in {c.text for c in cautions.cautions(facts)}) == (not sentence)
    tile = next(b for b in answers.blocks(facts) if b.kind == "tiles").tiles[0].cell
    assert tile.text == ("NOT KEPT" if sentence.startswith("The") else "all kept")
    assert ("is exceeded under H2" in tile.note) == (highest[1] > 2.1)


def test_a_limit_on_counts_is_held_against_the_courses() -> None:
    """Counts of cells are plain numbers in a file."""
    config = {"file": {"limit": [{"name": "cells", "signal": "tcell.tumour", "max": "2 Mcell"}]}}
    simulation = courses(**{"tcell.tumour": [1.0, 3.0]})
    simulation["tcell.tumour"].attrs["units"] = "1e6"
    assert any("is exceeded: 3 Mcell" in text for text in warned(facts_of(config, {}, simulation=simulation)))


def test_a_limit_without_a_course_is_not_known() -> None:
    found = warned(facts_of(LIMITED, {}, simulation=courses(other=[1.0])))
    assert "Whether the limit “serum” is kept is not known: the file has no time course." in found


def test_a_limit_that_cannot_be_read_says_why() -> None:
    config = {"file": {"limit": [{"name": "serum", "signal": SERUM, "max": "2 parsecs"}]}}
    (told,) = [t for t in warned(facts_of(config, {}, simulation=courses(**{SERUM: [1.0]}))) if "“serum”" in t]
    assert told.startswith("Whether the limit “serum” is kept is not known: ") and "parsec" in told


def test_a_scenario_that_the_library_no_longer_knows_says_why() -> None:
    config = {"scenario": "x", "set": {}, "dose": [], "parameters": {}}
    (told,) = [t for t in warned(facts_of(config | {"file": {"mechanisms": ["Gone"]}}, {})) if "built again" in t]
    assert "scenario 'x': " in told and "cards" in told
    (told,) = [t for t in warned(facts_of({"scenario": "x", "file": {}}, {})) if "built again" in t]
    assert "the configuration has no 'set'" in told


def test_an_attribute_that_is_no_json_is_a_damaged_file(simulated: xr.DataTree) -> None:
    for name in ("config_json", "summary_json"):
        tree = simulated.copy()
        tree.attrs[name] = tree.attrs[name][:-9]
        with pytest.raises(InputError, match=f"run.h5: the file is damaged: its {name} is not a JSON object"):
            report.render(checked_result(tree, where="run.h5"))


# ---------------------------------------------------------------- against data
def domain(name: str, use: str, n: int, stands: bool | None) -> dict[str, Any]:
    numbers = {"gmfe": 1.5, "allowed": 1.25, "noise_floor": None, "within_1_25": 0.5, "within_2": 1, "within_2sd": None}
    return {"name": name, "title": name.upper(), "use": use, "n": n, "stands": stands, "failed": 0, **numbers}


def miss(use: str) -> dict[str, Any]:
    return {
        "quantity": f"{use}d",
        "domain": "a",
        "use": use,
        "predicted": 1.0,
        "observed": 2.0,
        "low": None,
        "high": None,
        "unit": "h",
        "fold": 2.0,
        "reason": "",
        "source": "one",
        "place": "",
    }


VALIDATED: dict[str, Any] = {
    "domains": [
        domain("a", "validate", 7, True),
        domain("b", "calibrate", 90, None),
        domain("c", "validate", 0, None),
        domain("d", "validate", 3, None),
        domain("e", "validate", 8, False),
    ],
    "signs": {"n": 3, "right": 2},
    "misses": [miss("validate"), miss("calibrate")],
    "rows": {},
    "looks": [miss("look")],
}


def test_a_validation_speaks_of_the_rows_that_judge() -> None:
    facts = facts_of({}, VALIDATED, rows=xr.Dataset())
    assert answers.sentence(facts) == (
        "1 of 2 scored domains pass. Of 18 published values held out for validation, the model misses 1."
    )
    blocks = list(answers.blocks(facts))
    assert blocks[0].tiles[0].cell.text == "1 of 18"
    tables = [block for block in blocks if isinstance(block, Table)]
    verdicts = {row[0].text: row[-1] for table in tables[:2] for row in table.rows}
    assert verdicts == {"A": "passes", "B": "", "D": "", "E": "FAILS"}
    assert "No validation data: c" in said(blocks) and "Directions and bounds only: d" in said(blocks)
    changes = said(drivers.changes(facts))
    assert "for domains without validation data: C." in changes and "have only directions and bounds: D." in changes


# ---------------------------------------------------------------- what was asked
@pytest.mark.parametrize(
    ("hours", "told"), [(168.0, "7 d"), (24.0, "the first 24 h of the scenario's 7 d"), (None, "7 d")]
)
def test_the_horizon_is_that_of_the_run(hours: float | None, told: str) -> None:
    config = {"file": {"horizon": "7 d"}} | ({} if hours is None else {"horizon_h": hours})
    assert told in said(provenance.asked(facts_of(config, {}))).split(" | ")


def test_every_table_of_doses_is_listed_with_all_its_columns() -> None:
    tables = [
        {"cmt": "pk.depot", "text": "100 mg q 12 h x 2", "time": "6 d"},
        {"CMT": "pk.central", "AMT": "5 mg", "ii": "8 h", "addl": 3, "evid": 4},
        {"evid": 3, "time": "5 d"},
    ]
    texts = said(provenance.asked(facts_of({"file": {"dose": tables}}, {}))).split(" | ")
    given = [after for before, after in itertools.pairwise(texts) if before == "given"]
    assert given == [
        "drug into the depot compartment: 100 mg q 12 h x 2, time = 6 d",
        "drug into the central compartment: amt = 5 mg, ii = 8 h, addl = 3, reset",
        "time = 5 d, reset",
    ]


def test_long_lists_and_texts_of_the_configuration_are_cut() -> None:
    short = {"scenario": "mine", "parameters": {"a.b": [1.0, "mg"]}, "file": {"dose": [{"cmt": "x"}, {"cmt": "y"}]}}
    whole = next(b for b in provenance.again(facts_of(short, {})) if b.kind == "folded")
    assert whole.summary == "The whole configuration" and json.loads(whole.blocks[0].text) == short
    assert '"a.b": [1.0, "mg"]' in whole.blocks[0].text
    long = short | {"values": list(range(100_000)), "events": {"text": "1,2\n" * 10_000}}
    cut = next(b for b in provenance.again(facts_of(long, {})) if b.kind == "folded").blocks[0].text
    assert len(cut) < 5000 and "and 99,980 more" in cut and "and 39,000 more characters" in cut


def test_long_tables_say_what_is_left_out() -> None:
    table = Table(("a", "b"), "pr", [("x", Cell("y", note="z"))] * 2000, "many")
    assert capped(table).caption == "many (the first 500 of 2,000 rows)" and len(capped(table).rows) == 500
    wide = dataclasses.replace(table, rows=[("x" * 5000, "")] * 300)
    assert sum(len(row[0]) for row in capped(wide).rows) < 210_000
    few = dataclasses.replace(table, rows=table.rows[:3])
    assert said(capped(few)) == said(few)


# ---------------------------------------------------------------- magnesium
def test_no_share_is_above_the_whole() -> None:
    for share, told in ((1.04, "100 %"), (-0.2, "0 %"), (0.4, "40 %"), (None, "–")):
        summary = {"signals": {}, "mg": {"share_local": share}}
        tiles = next(answers.blocks(facts_of({}, summary, simulation=xr.Dataset()))).tiles
        cell = next(tile.cell for tile in tiles if "local" in tile.label)
        assert (cell.text, cell.value) == (told, share)


# ---------------------------------------------------------------- what is not there
def test_a_table_whose_time_goes_back_lacks_no_courses() -> None:
    given = {"doses": xr.Dataset(), "parameters": xr.Dataset()}
    assert any("lacks" in text for text in warned(facts_of({}, {"signals": {}}, **given)))
    assert not any("lacks" in text for text in warned(facts_of({}, {}, records=xr.Dataset(), **given)))


def test_trajectories_of_missing_parts_are_told() -> None:
    meanings = {"flag_values": np.arange(3, dtype=np.int8), "flag_meanings": f"done failed {parts.NOT_COMPUTED}"}
    data = xr.Dataset({"status": ("point", np.array([0, 1, 2, 2, 2], np.int8), meanings)})
    assert any("3 trajectories are missing" in text for text in warned(facts_of({}, {}, sweep=data)))


EFFECT = {
    "hours_per_day_above_0.02": {"H1": 4.21, "H2": 4.2},
    "hours_per_day_above_0.3": {"H1": 0.51, "H2": 0.5},
    "mean_competence_gain": {"H1": 0.0123, "H2": 0.1},
    "share_local": 0.5,
    "mean_rise": {"value": 0.0312, "unit": "mmol/L"},
    "peak_rise": {"value": 0.25, "unit": "mmol/L"},
}
SIGNAL = {"unit": "mg/L", "auc_unit": "mg/L h", "initial": 0.0, "final": 0.5, "min": 0.0, "max": 12.0, "auc": 123.0}
SIMULATED: dict[str, Any] = {
    "scenario": "mine",
    "status": {
        "failed": 1,
        "trajectories": 4,
        "reason": "too many steps",
        "failed_subjects": {"7": {"failed": 1, "reason": "too many steps"}},
    },
    "signals": {"pk.C": SIGNAL | {"range": {key: [0.0, 1.0] for key in ("initial", "final", "min", "max", "auc")}}},
    "verdict": "It is said.",
    "mg": EFFECT | {"free": EFFECT},
}
DOSE = {"time_h": 30.5, "amt": 0.25, "cmt": "pk.depot", "unit": "mg", "duration_h": 0.0}
OPTIMISED: dict[str, Any] = SIMULATED | {
    "feasible": True,
    "converged": True,
    "objective": -1.25,
    "baseline_objective": 0.75,
    "terms": {"visits": {"baseline": 0.5, "optimum": 0.25}},
    "constraints": [
        {"name": "x", "limit": 2.0, "value": 1.99, "slack": 0.01, "unit": "mmol/L", "value_by_hypothesis": {"H1": 1.99}}
    ],
    "regimen": [DOSE],
    "starts": [{"objective": 1.0, "feasible": True}, {"objective": 2.0, "feasible": True}],
}
SWEPT = {
    "sweep": {"y:max": {"unit": "mg", "min": 0.0, "q05": 0.1, "median": 0.5, "q95": 0.9, "max": 1.0}},
    "trajectories": 10,
    "failed": 1,
    "reasons": {"too many steps": 1},
    "population": {"title": "adults", "varied": 3, "share_rejected": 0.1},
}
PERCENTILES = {"5": 0.1, "50": 1.5, "95": 2.0}
DRAWN = {
    "verdict": "It is said.",
    "status": {"failed": 0, "trajectories": 10, "reason": "done"},
    "feasibility": {
        "share_rejected": 0.6,
        "rejected": {"rule": 3},
        "targets": {"0.3": {"value": 0.3}},
        "quantities": {
            "total, day": {
                "text": "rise",
                "unit": "mmol/L",
                "rise": PERCENTILES,
                "targets": {"0.3": {"shortfall": PERCENTILES, "share": 0.2}},
            }
        },
    },
}
CALIBRATED = {
    "title": "a study",
    "card": "a card",
    "identifiability": "All are known.",
    "parameters": {
        "pk.CL": {
            "unit": "L/h",
            "start": 1.0,
            "estimate": 2.0,
            "se": 0.1,
            "cv": 0.6,
            "low": 1.0,
            "high": 3.0,
            "bounds": [0.1, 10.0],
            "bound": None,
            "prior": {"value": 1.0},
        }
    },
    "errors": [
        {
            "part": "fit",
            "series": None,
            "n": 2,
            "failed": 0,
            "gmfe_at_start": 2.0,
            "gmfe": 1.1,
            "rmse": 0.1,
            "unit": "mg",
        }
    ],
    "rows": [
        {"quantity": "C", "part": "fit", "observed": 1.0, "predicted": 2.0, "unit": "mg", "fold": 2.0, "failed": "why"}
    ],
    "starts": {"n": 2, "converged": 2, "same_optimum": 2},
}
EXAMINED = {
    "outputs": [{"output": "pk.C:max", "value": 1.0, "unit": "mg/L", "text": "level"}],
    "elasticities": [
        {
            "output": "pk.C:max",
            "parameter": "pk.CL",
            "text": "clearance",
            "elasticity": -0.5,
            "slope": -1.0,
            "value": 1.0,
            "unit": "L/h",
            "low": 0.5,
            "high": 2.0,
            "range_effect": -0.4,
            "basis": "assumed",
        }
    ],
    "sobol": {
        "indices": [
            {"output": "pk.C:max", "parameter": "pk.CL", "S1": 0.5, "S1_conf": 0.1, "ST": 0.6, "ST_conf": 0.1},
        ],
        "complete": 3,
        "samples": 4,
        "unphysical": {"rule": 1},
        "failed": 0,
    },
}


def places(found: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a summary has an entry."""
    entries = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in entries:
        yield (*at, key)
        yield from places(value, (*at, key))


KINDS = {
    "simulation": SIMULATED,
    "optimization": OPTIMISED,
    "sweep": SWEPT,
    "feasibility": DRAWN,
    "rows": VALIDATED,
    "calibration": CALIBRATED,
    "sensitivity": EXAMINED,
}


@pytest.mark.parametrize("group", KINDS)
def test_every_kind_has_a_page_of_its_numbers(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_pictures", lambda tree: iter(()))
    page = report.render(facts_of({}, KINDS[group], **{group: xr.Dataset()}))
    assert "data-value=" in page and "Run it again" in page


def test_a_summary_without_a_field_still_has_a_page(simulated: xr.DataTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_pictures", lambda tree: iter(()))
    summary, named = json.loads(simulated.attrs["summary_json"]), 0
    assert "is broken" not in report.render(checked_result(simulated))
    for *inner, key in places(summary):
        less = copy.deepcopy(summary)
        holder: Any = less
        for step in inner:
            holder = holder[step]
        del holder[key]
        tree = simulated.copy()
        tree.attrs["summary_json"] = json.dumps(less)
        page = report.render(checked_result(tree, where="run.h5"))
        if "is broken" in page:
            named += 1
            page = html.unescape(page)
            assert (
                f"The summary of run.h5 is broken, so the answer and what depends on it are left out: "
                f"the field '{'.'.join((*inner, key))}' is missing"
                in page
                and "no answer in words" in page
                and "Run it again" in page
            )
    assert named > 5

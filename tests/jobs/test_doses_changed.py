"""Doses that are replaced, added or removed: those of other ports stay, and every job says what was changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from program import Program

import nanomg
from nanomg.errors import InputError
from nanomg.library import scenario_file
from nanomg.models import library
from nanomg.results.run import Run

GIVEN = "pd1.ip: 0.2 mg q 3 d x 4 from 7 d"
REMOVED = "The doses into pd1.ip are removed (0.2 mg q 3 d x 4 from 7 d)."
JOBS: dict[str, Callable[..., Run]] = {
    "simulate": nanomg.simulate,
    "optimize": lambda *args, **asked: nanomg.optimize(*args, steps=1, **asked),
    "sweep": lambda *args, **asked: nanomg.sweep(*args, vary=["dose.scale=0.5,1"], **asked),
    "sensitivity": nanomg.sensitivity,
    "feasibility": lambda *args, **asked: nanomg.feasibility(*args, draws=2, horizon="2 d", **asked),
}


def doses(*lines: str, name: str = "mouse-mc38-depot") -> list[tuple[str, float, float]]:
    """Port, time [h] and amount of each dose of a scenario with these lines."""
    return [(d.cmt, d.time, d.amt) for d in scenario_file.load(name, library(), doses=lines).doses]


def test_doses_into_a_port_are_replaced_and_other_ports_keep_theirs() -> None:
    before, after = doses(), doses("pd1.ip: 0.1 mg at 2 d")
    assert [d for d in after if d[0] == "pd1.ip"] == [("pd1.ip", 48.0, 0.1)]
    assert [d for d in after if d[0] != "pd1.ip"] == [d for d in before if d[0] != "pd1.ip"] != []


def test_repeats_of_a_port_add_up() -> None:
    found = doses("pd1.ip: 0.1 mg at 2 d", "pd1.ip: 0.3 mg at 4 d")
    assert [d for d in found if d[0] == "pd1.ip"] == [("pd1.ip", 48.0, 0.1), ("pd1.ip", 96.0, 0.3)]


@pytest.mark.parametrize(
    ("name", "line", "other"),
    [
        ("mouse-mc38-depot", "pd1.iv: 0.2 mg", "pd1.ip"),
        ("human-nsclc-nivolumab", "pd1.ip: 240 mg", "pd1.iv"),
        ("mouse-mc38-iv", "liposome.intratumoral: 1 mg", "liposome.iv"),
        ("textbook-1cpt", "pk.central: 100 mg", "pk.depot"),
        ("human-mg-oral", "magnesium.iv: 1 g over 1 h", "magnesium.oral"),
        ("human-mgso4-im", "magnesium.im: 5 g", "magnesium.iv"),
        ("human-mgso4-im", "magnesium.iv: 4 g", "magnesium.im"),
    ],
)
def test_a_drug_does_not_enter_by_two_ports_unasked(name: str, line: str, other: str) -> None:
    with pytest.raises(
        InputError, match=f"by '{other}' as well; remove those doses with '{other}: none', or repeat them"
    ):
        doses(line, name=name)
    assert {cmt for cmt, *_ in doses(line, f"{other}: none", name=name)} >= {line.partition(":")[0]}
    both = doses(line, f"{other}: 1 {line.split()[2]}", name=name)
    assert {line.partition(":")[0], other} <= {cmt for cmt, *_ in both}


def test_one_of_two_ports_of_a_drug_is_emptied_alone() -> None:
    """MgSO4 into a vein, then into muscle."""
    before, after = (doses(*lines, name="human-mgso4-im") for lines in ((), ("magnesium.im: none",)))
    assert after == [d for d in before if d[0] == "magnesium.iv"] != before


@pytest.mark.parametrize("job", JOBS)
def test_every_job_says_what_was_removed_and_has_another_title(job: str, tmp_path: Path) -> None:
    run = JOBS[job]("mouse-mc38-depot", dose=["pd1.ip: none"], output=tmp_path / "run.h5")
    assert list(run.summary["doses_changed"]) == [REMOVED]
    assert run.summary["title"] == "mouse-mc38-depot with other doses (pd1.ip: none)"
    assert "anti-PD-1" not in run.tree.attrs["title"] and "pd1.ip: none" in run.tree.attrs["title"]
    page = tmp_path / "page.html"
    nanomg.report(run.path, page)
    assert REMOVED in page.read_text(encoding="utf-8")
    config = json.loads(run.tree.attrs["config_json"])
    again = scenario_file.rebuild(config, library())
    assert again.doses_changed == (REMOVED,) and again.title == run.summary["title"]


def test_without_changes_title_and_summary_are_those_of_the_scenario() -> None:
    run = nanomg.simulate("mouse-mc38-depot", dose=[GIVEN])
    assert run.summary["title"] == "Intratumoral Mg liposome depot with anti-PD-1 in the MC38 mouse"
    assert "doses_changed" not in run.summary


def test_the_screen_says_what_was_changed(program: Program) -> None:
    code, out, _ = program(
        "simulate", "mouse-mc38-depot", "--dose", "pd1.ip: 0.1 mg at 2 d", "--dose", "tcell.transfer: 2 Mcell"
    )
    assert code == 0
    text = " ".join(out.split())
    assert "The doses into pd1.ip are replaced: 0.1 mg at 2 d, in place of 0.2 mg q 3 d x 4 from 7 d." in text
    assert "The doses into tcell.transfer are added: 2 Mcell at 0 h." in text

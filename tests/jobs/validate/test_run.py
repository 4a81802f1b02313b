"""Validation from a table of published numbers to scores, file, figure and page."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from shelf import AGAINST, BROKEN, HEAD, TEXTS, K, Shelf, row
from typer.testing import CliRunner

import nanomg
from nanomg import models
from nanomg.cli.main import commands
from nanomg.data import observations
from nanomg.data.observations import Row
from nanomg.drawing import style
from nanomg.errors import InputError
from nanomg.jobs.validate import figure as validate_figure
from nanomg.jobs.validate import page
from nanomg.jobs.validate import run as validate_run
from nanomg.library.library import Library
from nanomg.views import report


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Library, Path]:
    folder = tmp_path_factory.mktemp("validation")
    (folder / "observations").mkdir()
    (folder / "observations" / "textbook.toml").write_text(HEAD + BROKEN + "".join(TEXTS), encoding="utf-8")
    library = models.library(folder)
    return validate_run.validate(["textbook"], output=folder / "v.h5", library=library), library, folder


def test_predictions_are_the_closed_form(finished: tuple[Any, Library, Path]) -> None:
    rows = finished[0].tree["rows"].to_dataset()
    exact = ~np.isin(rows.quantity, ["C too low", "less later", "rising", "broken", "not in the model"])
    np.testing.assert_allclose(rows.predicted[exact], rows.value[exact], rtol=5e-4)


def test_the_summary_by_hand(finished: tuple[Any, Library, Path]) -> None:
    found = finished[0].summary
    calibrated, validated = found["domains"]
    assert (calibrated["use"], calibrated["n"], calibrated["within_2sd"], calibrated["stands"]) == (
        "calibrate",
        1,
        1.0,
        None,
    )
    assert (validated["use"], validated["n"], validated["failed"]) == ("validate", 9, 2)
    assert validated["gmfe"] == pytest.approx(2 ** (1 / 6), rel=1e-3)
    assert validated["noise_floor"] == pytest.approx(2 * math.exp(4 * K))
    assert validated["within_1_25"] == pytest.approx(5 / 8) and validated["within_2sd"] != validated["within_2sd"]
    assert validated["stands"] is False  # runs failed
    assert (found["signs"]["n"], found["signs"]["right"]) == (1, 1)
    assert found["rows"] == {"textbook": {"calibrate": 1, "validate": 9, "look": 1}}
    assert [look["quantity"] for look in found["looks"]] == ["not in the model"]


def test_what_fails_is_listed(finished: tuple[Any, Library, Path]) -> None:
    misses = {miss["quantity"]: miss for miss in finished[0].summary["misses"]}
    assert set(misses) == {"C too low", "rising", "broken"}
    assert misses["broken"]["reason"] == "run 'broken': a state became infinite or not a number"
    assert misses["rising"]["reason"] == "run 'infusion' has no such value"
    assert math.isnan(misses["broken"]["predicted"])


def test_files(finished: tuple[Any, Library, Path]) -> None:
    run, _, folder = finished
    assert sorted(p.name for p in folder.glob("v*")) == ["v-curves-textbook.png", "v-observed.png", "v.h5"]
    assert all((folder / p).read_bytes()[:4] == b"\x89PNG" for p in run.summary["figures"])
    tree = nanomg.open(folder / "v.h5")
    assert dict(tree["rows"].sizes) == {"row": len(TEXTS)}
    assert tree["rows"].use.attrs["flag_meanings"] == "calibrate validate look"
    assert tree["domains"].gmfe[1] == pytest.approx(run.summary["domains"][1]["gmfe"])


def test_the_command(finished: tuple[Any, Library, Path]) -> None:
    folder = str(finished[2])
    invoke = lambda *args: CliRunner().invoke(commands, [*args], catch_exceptions=False)
    printed = json.loads(invoke("validate", "textbook", "--library", folder, "--json").stdout)
    assert {"domains", "signs", "misses", "looks", "rows"} <= set(printed)
    keys = {"name", "use", "n", "gmfe", "noise_floor", "within_1_25", "within_2", "within_2sd"}
    assert [keys <= set(entry) for entry in printed["domains"]] == [True, True]
    shown = invoke("summary", f"{folder}/v.h5")
    assert shown.exit_code == 0
    for text in (
        "9 for validation, 1 for calibration, 1 not scored",
        "FAILS (2 failed)",
        "Directions: 1 of 1 right",
        "Misses: 3",
    ):
        assert text in shown.stdout
    with pytest.raises(InputError, match="exists"):
        invoke("validate", "textbook", "--library", folder, "-o", f"{folder}/v.h5")


@pytest.mark.parametrize(
    ("text", "failed", "stands"),
    [
        (row(value=None, sign=-1, against={"time": "1 h", "how": "ratio"}), 0, None),
        (row(value=9.0, bound="upper"), 0, None),
        (TEXTS[0] + row(run="broken", signal="pk.C", time="4 h", value=None, sign=1, against=AGAINST), 1, False),
        (TEXTS[0] + row(run="broken", signal="pk.C", time="4 h", bound="upper"), 1, False),
        (row(run="broken", signal="pk.C", time="4 h", bound="upper"), 1, False),
    ],
)
def test_a_run_that_fails_counts_in_every_row(shelf: Shelf, text: str, failed: int, stands: bool | None) -> None:
    (domain,) = validate_run.validate(["textbook"], library=shelf(BROKEN, text)).summary["domains"]
    assert (domain["failed"], domain["stands"]) == (failed, stands)


def test_two_tables_of_one_name(shelf: Shelf, tmp_path: Path) -> None:
    library = shelf(row())
    other = tmp_path / "textbook.toml"
    other.write_text(HEAD + row(), encoding="utf-8")
    with pytest.raises(InputError, match="are one domain by their names"):
        validate_run.validate(["textbook", str(other)], library=library)


def test_figures_take_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(style, "save", lambda figure, path: drawn.append(figure))
    bound = Row("a", "validate", value=1.0, bound="upper")
    validate_figure.observed(tmp_path / "a.png", [("d", bound, 0.5)])  # without a warning, though nothing is drawn
    validate_figure.observed(tmp_path / "a.png", [("d", bound, 0.5), ("d", dataclasses.replace(bound, bound=""), 0.5)])
    assert [[len(axis.get_yticks()) for axis in figure.axes][1] for figure in drawn] == [0, 1]
    points = [len(c.get_offsets()) for c in drawn[1].axes[0].collections]
    assert sum(points) == 1
    measure = observations.Measure(cast(Any, None), "a.b", "at", 0.0, 1.0)
    course = [
        dataclasses.replace(bound, bound=b, measure=dataclasses.replace(measure, stop=t))
        for t, b in ((1, ""), (2, ""), (3, "upper"))
    ]
    assert not observations.courses_of(course)


def test_without_validated_rows_no_domain_passes(shelf: Shelf) -> None:
    library = shelf(
        row(use="look", value=1.0), row(use="calibrate", value=K, unit="1/h", signal="pk.CL", divide_by="35 L")
    )
    calibrated, validated = validate_run.validate(["textbook"], library=library).summary["domains"]
    assert (validated["use"], validated["n"], validated["stands"]) == ("validate", 0, None)
    assert math.isnan(validated["gmfe"])
    assert [page.verdict_of(entry) for entry in (calibrated, validated)] == ["", "no validation data"]
    assert page.verdict_of({**validated, "n": 1}) == "directions and bounds only"
    assert page.verdict_of({**validated, "n": 1, "stands": True}) == "passes (few)"
    assert page.verdict_of({**validated, "n": 4, "stands": True}) == "passes (few)"
    assert page.verdict_of({**validated, "n": 5, "stands": True}) == "passes"
    assert page.verdict_of({**validated, "n": 1, "stands": False}) == "FAILS"


# what docs/validation.md says of the shipped tables
FALL_SHORT: set[str] = set()
UNJUDGED = {"influenza", "lfa1", "lnp", "small-solute", "survival"}


@pytest.mark.slow
def test_the_shipped_model_passes_in_the_domains_that_the_docs_name() -> None:
    found = validate_run.validate().summary
    failed = [miss for miss in found["misses"] if miss["reason"].startswith("run ")]
    assert not failed
    assert found["signs"]["right"] == found["signs"]["n"] > 0
    assert {e["name"] for e in found["domains"] if e["stands"] is False} == FALL_SHORT
    assert {e["name"] for e in found["domains"] if e["use"] == "validate" and not e["n"]} == UNJUDGED
    assert not [miss["quantity"] for miss in found["misses"] if not miss["reason"]], "a miss without its reason"


def test_the_page_of_a_validation(finished: tuple[Any, Library, Path], tmp_path: Path) -> None:
    made = report.report(finished[0].tree, tmp_path / "page.html", library=finished[1])
    said = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert made["kind"] == "validate" and "scored domains pass" in made["verdict"]
    assert f"Misses: {len(finished[0].summary['misses'])}" in said and "can be drawn" not in said

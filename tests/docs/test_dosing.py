"""Every dose, table and column of the page on dosing."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from textbook import ACCURATE, K, V, rows_of, textbook

from nanomg.jobs.simulate import run as simulate_run
from nanomg.library import scenario_file
from nanomg.library.library import Library

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "dosing.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_every_line_of_text_on_the_page_is_a_dose(library: Library) -> None:
    (lines,) = (text.splitlines() for text in blocks("text"))
    for line in lines:
        alone = [line] if line.startswith("pk.depot") else [line, "pk.depot: none"]
        assert scenario_file.load("textbook-1cpt", library, doses=alone).doses, line
    every = lines if any(line.startswith("pk.depot") for line in lines) else [*lines, "pk.depot: none"]
    assert {dose.resets for dose in scenario_file.load("textbook-1cpt", library, doses=every).doses} == {True, False}


def test_the_tables_on_the_page_run(tmp_path: Path) -> None:
    regimen, columns, other = blocks("toml")
    run = simulate_run.simulate(textbook(tmp_path, regimen, "7 d"))
    assert run.summary["status"]["failed"] == 0
    series = run.tree["simulation"]["pk.central"][0, 0]
    assert float(series.sel(time=96.0)) > 5 / K and float(series.sel(time=120.0)) == 0 < float(series.sel(time=150.0))

    events = tmp_path / "doses.csv"
    *_, text = blocks("csv")
    events.write_text(text, encoding="utf-8")
    columns = "\n".join(line for line in columns.splitlines() if "VOLUME" not in line)
    simulate_run.simulate(textbook(tmp_path, columns), events=events, records=tmp_path / "out.csv")
    header, rows = rows_of(tmp_path / "out.csv")
    assert header == [*text.splitlines()[0].split(","), "pk.C", "pk.central"]
    k = 2.5 / V  # of the row at which the steady state holds
    steady = 50 / k * -math.expm1(-2 * k) * math.exp(-22 * k) / -math.expm1(-24 * k)
    assert float(rows[2][-1]) == pytest.approx(steady, **ACCURATE)
    assert len(rows) == 4

    events.write_text("DAY,DOSE,AMT,CMT,RATE\n0.25,x,70000,2,.\n0.5,x,50000,2,25\n0.75,x,.,.,.\n", encoding="utf-8")
    simulate_run.simulate(textbook(tmp_path, other), events=events, records=tmp_path / "out.csv", force=True)
    *_, row = rows_of(tmp_path / "out.csv")[1]
    infused = 25 / K * -math.expm1(-2 * K) * math.exp(-4 * K)
    assert float(row[-1]) == pytest.approx(70 * math.exp(-12 * K) + infused, **ACCURATE)

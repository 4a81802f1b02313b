"""Shipped studies fitted again to their published raw data: what the fit says of the series that it did not see."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from nanomg.data import studies
from nanomg.jobs.calibrate import run
from nanomg.models import library as read_library

RAW = Path(os.environ.get("NANOMG_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
needs_raw = pytest.mark.skipif(not RAW.is_dir(), reason=f"the raw data are not at {RAW} (set NANOMG_DATA)")


@needs_raw
@pytest.mark.parametrize("study", sorted(read_library().studies))
def test_shipped_studies_find_their_data_and_their_card(study, library):
    found = studies.read(library.studies[study], RAW, library)
    assert {d.part for d in found.data} == {"fit", "judge"} and found.source in library.references


def refitted(study, library):
    """The study fitted again from the shipped values: what judged series say, by name."""
    found = run.calibrate(None, study, raw=RAW, starts=1).summary
    for name, entry in found["parameters"].items():  # the shipped card is what the fit gives
        assert entry["bound"] or not np.isfinite(entry["cv"]) or entry["low"] < entry["start"] < entry["high"], name
    return {(row["part"], row["quantity"]): row for row in found["rows"]}, found["errors"]


@needs_raw
@pytest.mark.slow
def test_particles_at_the_middle_dose_follow_from_the_low_one(library):
    rows, _ = refitted("shalgunov2017", library)
    for quantity in ("plasma half-life", "tumour at 24 h", "liver at 24 h"):
        assert rows["judge", quantity]["fold"] < 1.5, quantity


@needs_raw
@pytest.mark.slow
def test_amphotericin_in_spleen_and_at_24_h_follows_from_plasma_and_liver_to_8_h(library):
    rows, errors = refitted("kagan2013", library)
    judged = next(e for e in errors if e["part"] == "judge" and e["series"] is None)
    assert judged["gmfe"] < 1.5 and rows["judge", "ambisome, organ.liver at 24 h"]["fold"] < 1.5


@needs_raw
@pytest.mark.slow
def test_killing_at_one_to_ten_follows_from_one_to_five_and_one_to_twenty_five(library):
    """Cytolysis against wells without CAR-T cells, within ten points at 48 and 72 h."""
    rows, _ = refitted("carrgo", library)
    judged = [
        r for (part, name), r in rows.items() if part == "judge" and name.startswith("ten, dish.index against control")
    ]
    assert len(judged) >= 2 and all(abs(r["predicted"] - r["observed"]) < 0.10 for r in judged)


@needs_raw
@pytest.mark.slow
def test_growth_stands_still_after_the_transfer_of_t_cells_and_comes_back(library):
    """About 0 within 0.1 per day on days 3 to 5; day 7, which is not fitted, is larger again."""
    rows, _ = refitted("b16f10", library)
    day3, day5 = (rows["fit", f"transfer, tumour.volume at {t} h"]["predicted"] for t in (96, 144))
    day7 = rows["judge", "transfer, tumour.volume at 192 h"]
    assert abs(np.log(day5 / day3) / 2) < 0.1 and day7["predicted"] > day5 and day7["fold"] < 1.6


@needs_raw
@pytest.mark.slow
def test_growth_and_response_of_later_experiments_follow_from_earlier_ones(library):
    """Volumes under IgG and under the antibody, the ratio of both, and the share of mice without a tumour."""
    _, errors = refitted("mc38", library)
    judged = [e for e in errors if e["part"] == "judge"]
    assert len(judged) >= 3 and all(e["gmfe"] < 1.6 for e in judged), judged

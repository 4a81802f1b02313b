"""Values that a pointer reads off a figure, against what the figure was drawn from."""

from __future__ import annotations

import pytest
from small_results import NAMES, feasible, varied

from nanomg.drawing import style
from nanomg.page import hover
from nanomg.views import plots


@pytest.mark.parametrize(
    ("dims", "fields"), [({"dose.b": 5, "dose.a": 4, "hypothesis": 2}, 20), ({"dose.b": 60, "dose.a": 50}, 400)]
)
def test_a_pointer_reads_values_off_a_map(dims: dict[str, int], fields: int) -> None:
    found = varied(dims)
    picture = plots.pictures(found)["highest concentration, as a map"]
    panels = hover.page_image("map", style.sheet([picture]), picture.centres).panels
    assert len(panels) == dims.get("hypothesis", 1)
    seen = 0
    for panel, hypothesis in zip(panels, NAMES["hypothesis"], strict=False):
        assert (panel["x"], panel["y"]) == ("amount, dose.b [mg]", "highest concentration [mg/L]")
        values = found["sweep"]["C:max"]
        values = values.sel(hypothesis=hypothesis) if "hypothesis" in dims else values
        for curve in panel["curves"]:
            across = float(curve["label"].removeprefix("amount, dose.a [mg]: "))
            for along, shown in curve["values"]:
                there = values.sel({"dose.b": along, "dose.a": across}, method="nearest")
                assert float(there) == pytest.approx(shown, rel=1e-3)
                seen += 1
    assert seen == fields * len(panels) - 1


def test_a_pointer_reads_dots_shares_and_ranges() -> None:
    panels = lambda found, title: hover.page_image(title, plots.figures(found)[title]).panels
    named = varied({"hypothesis": 3})
    (panel,) = panels(named, "For each hypothesis")
    values = named["sweep"]["C:max"].values
    assert [curve["values"] for curve in panel["curves"]] == [
        [[pytest.approx(values[i], rel=1e-3), f"H{i + 1}"]] for i in (1, 2)
    ]
    (panel,) = panels(varied({"subject": 50}), "Over the subjects")
    assert sum(at[1] for at in panel["curves"][0]["values"]) == pytest.approx(100, rel=0.01)
    draws = feasible()
    (panel,) = panels(draws, "Rise of tumour free Mg, by its parts")
    ends = draws["feasibility"].rise.sel(quantity="total, peak").quantile([0.05, 0.95], method="inverted_cdf").values
    read = [at for curve in panel["curves"] for at in curve["values"]]
    assert all([pytest.approx(end, rel=1e-3), "total"] in read for end in ends)

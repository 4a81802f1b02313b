"""The tolerance of a solve holds for small amounts, too: against a closed form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from nanomg import AbstractMechanism, Flux, Scalar, Var, param
from nanomg.dosing.dose import Dose
from nanomg.equations.model import Model
from nanomg.simulation import lanes as simulation_lanes


class Rhythm(AbstractMechanism):
    """A hormone that swings around its mean, more and more weakly, next to a drug in the same unit."""

    name = "day"
    states = {
        "day.drug": Var("mg", "drug"),
        "day.hormone": Var("mg", "hormone above its mean", signed=True),
        "day.drive": Var("mg", "what drives the hormone, above its mean", signed=True),
    }

    k: Scalar = param("1/h", "elimination rate of the drug")
    w: Scalar = param("1/h", "angular frequency")
    damping: Scalar = param("1/h", "rate at which the swing dies away")
    height: Scalar = param("mg", "height of the swing at time 0")

    def initial(self, x: Mapping[str, Any]) -> dict[str, Any]:
        return {"day.hormone": self.height}

    def fluxes(self, x: Mapping[str, Any]) -> Iterator[Flux]:
        hormone, drive = x["day.hormone"], x["day.drive"]
        yield Flux("day.drug", None, self.k * x["day.drug"])
        yield Flux(None, "day.hormone", self.w * drive - self.damping * hormone)
        yield Flux("day.drive", None, self.w * hormone + self.damping * drive)


@pytest.mark.parametrize("engine", ["jax", "native"])
@pytest.mark.parametrize(("height", "damping"), [(1e-5, 0.0), (1.0, 0.03)], ids=["far below a dose", "nearly gone"])
def test_small_amounts_are_solved_as_well_as_large_ones(engine: str, height: float, damping: float) -> None:
    """Ten periods of a cosine, against its height at the end: 1e-7 of the dose, or 1e-3 of its own height at time 0."""
    doses, hours = [Dose(0.0, 100.0 if height < 1.0 else 0.0, "day.drug")], 240.0
    plan = simulation_lanes.plan_for(Model(Rhythm), doses, engine=engine)
    values = {"day.k": 0.01, "day.w": 2.0 * np.pi / 24.0, "day.damping": damping, "day.height": height}
    lanes = simulation_lanes.lanes_for(plan, values, doses, (), np.array([hours]))
    left = height * np.exp(-damping * hours)
    for rtol in (1e-6, 1e-8):
        solved = np.asarray(simulation_lanes.run(plan, lanes, rtol).y)[0, 1:, 0]
        np.testing.assert_allclose(solved / left, [1.0, 0.0], atol=3.0 * rtol)

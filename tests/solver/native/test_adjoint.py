"""One step and its adjoint as machine code against the same in JAX, lane by lane."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from machine_code import Case, Code, room, shared_call

from nanomg.library import scenario_file
from nanomg.library.library import Library
from nanomg.solver.native import adjoint
from nanomg.solver.native.ir import Module
from nanomg.solver.native.pulls import straight_with_pulls
from nanomg.solver.rosenbrock import METHODS, StepPoint, step_adjoint
from nanomg.solver.sparsity import structure_of


@pytest.mark.parametrize(
    ("name", "method"), [("textbook-2cpt", "rodas5p"), ("human-mg28", "rodas4"), ("mouse-ct26-anti-pd1", "rodas5p")]
)
def test_the_adjoint_of_a_step_is_that_of_jax(library: Library, name: str, method: str) -> None:
    scenario = scenario_file.load(name, library)
    model = scenario.model
    varied = tuple(model.parameters)[::4]
    case, structure = Case(scenario, varied=varied), structure_of(model)
    tableau = METHODS[method]
    form, lanes = case.form, case.form.width
    module = Module(form)
    straight, pulls = straight_with_pulls(module, case.equations, case.rows, varied)
    adjoint.add_adjoint(module, straight, pulls, tableau)
    for function in list(module.functions):
        shared_call(module, function, f"call_{function.name}")
    code = Code(module.text)

    random = np.random.default_rng(5)
    h = random.uniform(1e-4, 1e-2, lanes)
    bar = random.standard_normal((straight.states, lanes))
    sizes = {
        "y": straight.states,
        "h": 1,
        "inv": straight.invariants,
        "inflow": len(case.rows),
        "U": straight.states * len(tableau.m),
        "E": straight.live,
        "L": straight.slots,
        **adjoint.sizes_of(straight, pulls, tableau),
    }
    arrays = {name: room(form, size) for name, size in sizes.items()}
    for name, values in (("y", case.y), ("h", h), ("inv", case.inv), ("inflow", case.inflow), ("y_bar", bar)):
        arrays[name][:] = values
    code.call("call_adjoint", *(arrays[name] for name in (*adjoint.ROWS, *adjoint.SUMS)))
    u_bar, p_bar = room(form, case.equations.forcing), room(form, len(varied))
    code.call("call_pull_forcing", case.p, case.u, case.inv, arrays["inv_bar"], u_bar)
    code.call("call_pull_subject", case.p, case.inv, arrays["inv_bar"], p_bar)

    values = dict(zip(case.equations.values, map(jnp.asarray, case.p), strict=False))

    def rates(y: Any, u: Any, p: Any) -> list[Any]:
        return case.rates(y, u, list({**values, **dict(zip(varied, p, strict=True))}.values()))

    point = StepPoint(
        jnp.asarray(case.y),
        jnp.asarray(h),
        jnp.asarray(case.inflow[: len(case.rows)]),
        jnp.asarray(case.u[: case.equations.forcing]),
        jnp.stack([values[n] for n in varied]),
    )
    want = step_adjoint(tableau, structure, rates, np.array(case.rows), point, jnp.asarray(bar))
    found = StepPoint(arrays["y_bar"], arrays["h_bar"][0], arrays["inflow_bar"], u_bar, p_bar)
    for name, f, w in zip(StepPoint._fields, found, want, strict=True):
        expected = np.asarray(w)
        size = np.abs(expected).max(0) if expected.size else 0.0
        assert (np.abs(f[: len(expected)] - expected) <= 1e-9 * size).all(), name

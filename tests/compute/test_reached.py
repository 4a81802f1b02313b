"""What counts as the same equations, and as the same program: syntax that is reached, and nothing else."""

from __future__ import annotations

import ast
import itertools
import textwrap
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from nanomg.compute import outlines, program_key, programs, reached
from nanomg.equations.model import Model
from nanomg.library.library import scan
from nanomg.library.model_hash import model_hash

HELPER = '''
    """Helpers."""

    FEW = 2.0

    def half(x):
        """Half of it."""
        return x / FEW

    def unused(x):
        return x
'''
MECHANISM = '''
    """A drug that decays."""

    from nanomg.equations.mechanism import AbstractMechanism, Flux, Scalar, Var, param
    from HELPER import half

    RATE = 1.0


    class Base(AbstractMechanism):
        """What drugs share."""

        def speed(self, x):
            return RATE * x


    class Decay(Base):
        """A drug."""

        name = "decay"
        states = {"decay.A": Var("mg", "amount")}
        k: Scalar = param("1/h", "rate constant")

        def fluxes(self, x):
            """Loss from the only compartment."""
            yield Flux("decay.A", None, half(self.k) * self.speed(x["decay.A"]))  # first order


    class Other(AbstractMechanism):
        name = "other"
        states = {"other.B": Var("mg", "amount")}

        def fluxes(self, x):
            yield Flux("other.B", None, 3.0 * x["other.B"])
'''

SAME = {
    "comment": ("# first order", "# of order one"),
    "docstring": ("Loss from the only compartment.", "Loss."),
    "module docstring": ("A drug that decays.", "Drugs."),
    "layout": ('half(self.k) * self.speed(x["decay.A"])', 'half( self.k )*self.speed( x["decay.A"] )'),
    "an import": ("from HELPER import half", "import math, jax.numpy as jnp\n    from HELPER import half, unused"),
    "imports in another order": ("AbstractMechanism, Flux, Scalar", "Scalar, Flux, AbstractMechanism"),
    "an import by module": ("from HELPER import half", "import HELPER\n    from HELPER import half"),
    "imports of public names": (
        "from nanomg.equations.mechanism import AbstractMechanism, Flux, Scalar, Var, param",
        "from nanomg import AbstractMechanism, Flux, Var, param\n    from nanomg.equations.mechanism import Scalar",
    ),
    "another class": ("3.0 * x", "4.0 * x"),
    "a function that nothing calls": ("RATE = 1.0", "RATE = 1.0\n\n    def more(x):\n        return x + 1"),
    "helper: docstring": ("Half of it.", "The half."),
    "helper: another function": ("        return x\n", "        return x + 1\n"),
}
OTHER = {
    "equation": ('half(self.k) * self.speed(x["decay.A"])', 'half(self.k) * 2.0 * self.speed(x["decay.A"])'),
    "sign": ('Flux("decay.A", None,', 'Flux(None, "decay.A",'),
    "unit": ('param("1/h"', 'param("1/d"'),
    "constant of the file": ("RATE = 1.0", "RATE = 2.0"),
    "base class": ("return RATE * x", "return RATE + x"),
    "helper": ("return x / FEW", "return x * FEW"),
    "constant of the helper": ("FEW = 2.0", "FEW = 3.0"),
    "another helper": ("from HELPER import half", "from HELPER import unused as half"),
}
numbers = itertools.count()


@programs.compiled(0)
def scaled(model: Model, x: jax.Array) -> jax.Array:
    return jnp.sin(x)


def decay(folder: Path, monkeypatch: pytest.MonkeyPatch, edit: tuple[str, str] | None = None) -> Model:
    """The mechanism with its helper, in a folder of its own, after an edit of either."""
    helper = f"helper_{next(numbers)}"
    (folder / helper).mkdir()
    texts = MECHANISM, HELPER
    if edit is not None:
        assert any(edit[0] in text for text in texts)
        texts = texts[0].replace(*edit), texts[1].replace(*edit)
    mechanism, help_text = (textwrap.dedent(text.replace("HELPER", helper)) for text in texts)
    (folder / helper / "decay.py").write_text(mechanism, encoding="utf-8")
    (folder / f"{helper}.py").write_text(help_text, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    return Model(scan(folder / helper).mechanisms["Decay"])


@pytest.fixture(params=[model_hash, lambda model: program_key.of(scaled, (model,), ())[0]], ids=["model", "program"])
def hashed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Model], str]:
    monkeypatch.setattr(program_key, "_BEGAN", 4e9)  # files written meanwhile are of this process
    return request.param


@pytest.mark.parametrize("edit", SAME.values(), ids=SAME)
def test_an_edit_that_changes_no_equation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashed: Callable[[Model], str], edit: tuple[str, str]
) -> None:
    assert hashed(decay(tmp_path, monkeypatch, edit)) == hashed(decay(tmp_path, monkeypatch))


@pytest.mark.parametrize("edit", OTHER.values(), ids=OTHER)
def test_an_edit_of_what_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashed: Callable[[Model], str], edit: tuple[str, str]
) -> None:
    assert hashed(decay(tmp_path, monkeypatch, edit)) != hashed(decay(tmp_path, monkeypatch))


# ---------------------------------------------------------------- the machinery
def key_of_a_solve(monkeypatch: pytest.MonkeyPatch, module: str = "", edit: Callable[[str], str] = str) -> str:
    """The key of the compiled solve, where the file of a module of nanomg reads as edited."""
    from nanomg.simulation import lanes

    def source(path: Path) -> bytes:
        text = path.read_text(encoding="utf-8")
        return (edit(text) if path.as_posix().endswith(f"nanomg/{module}") else text).encode()

    monkeypatch.setattr(reached, "_source", source)
    program_key._sources.cache_clear()
    try:
        return program_key.of(lanes._run, (lanes.Plan,), ())[0]
    finally:
        program_key._sources.cache_clear()


@pytest.mark.parametrize(
    ("module", "before", "after"),
    [
        ("solver/integrate.py", " - ", " + "),
        ("solver/rosenbrock.py", "    0.25,", "    0.26,"),
        ("equations/model.py", "-1.0, flux.source", "-2.0, flux.source"),
        ("simulation/lanes.py", "1e-5 *", "1e-6 *"),
    ],
)
def test_an_edit_of_the_solver_is_another_program(
    monkeypatch: pytest.MonkeyPatch, module: str, before: str, after: str
) -> None:
    edited = key_of_a_solve(monkeypatch, module, lambda text: text.replace(before, after))
    assert edited != key_of_a_solve(monkeypatch)


@pytest.mark.parametrize(
    "module", ["formatting.py", "simulation/blocks.py", "compute/programs.py", "library/card.py", "results/file.py"]
)
def test_an_edit_elsewhere_is_the_same_program(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    edited = lambda text: text.replace("return ", "return 1 and ") + "\nmore = 1\n"
    assert key_of_a_solve(monkeypatch, module, edited) == key_of_a_solve(monkeypatch)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\nimport jax\n", "\n# a comment\nimport jax\nimport math\n"),
        ("\nimport jax\n", "\nimport jax\n\n\ndef nobody_calls_this() -> int:\n    return 1\n\n\n"),
        (" = ", "  =  "),
    ],
    ids=["comment and import", "another function", "layout"],
)
def test_what_computes_nothing_in_the_solver_is_the_same_program(
    monkeypatch: pytest.MonkeyPatch, before: str, after: str
) -> None:
    edited = key_of_a_solve(monkeypatch, "solver/integrate.py", lambda text: text.replace(before, after))
    assert edited == key_of_a_solve(monkeypatch)


# ---------------------------------------------------------------- syntax as text
def test_syntax_leaves_out_what_computes_nothing() -> None:
    one = ast.parse('def f(x: int) -> int:\n    "doc"\n    import math\n    return x + 1  # more\n')
    other = ast.parse("def f(x: int) -> int:\n\n    return (x +\n            1)\n")
    assert outlines.syntax(one.body[0]) == outlines.syntax(other.body[0])


@pytest.mark.parametrize("text", ["x = None", "x = 0", "x = ''", "x = 0.0", "x = False", "x = -1", "x = '0'", "y = 0"])
def test_syntax_tells_values_apart(text: str) -> None:
    others = [
        t for t in ("x = None", "x = 0", "x = ''", "x = 0.0", "x = False", "x = -1", "x = '0'", "y = 0") if t != text
    ]
    mine = outlines.syntax(ast.parse(text).body[0])
    assert all(outlines.syntax(ast.parse(other).body[0]) != mine for other in others)

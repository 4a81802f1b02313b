"""Machine code made in the process from the text of LLVM IR, for tests, and arrays aligned as kernels need them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import llvmlite.binding as llvm
import numpy as np

from nanomg.library.scenario import Scenario
from nanomg.simulation.plan import channels
from nanomg.solver.native.graph import Equations, equations_of, read_jaxpr
from nanomg.solver.native.ir import Format, Function, Module
from nanomg.solver.native.nodes import Graph
from nanomg.solver.native.pulls import Pulls, straight_with_pulls
from nanomg.solver.native.straight import Straight, straight_of
from nanomg.solver.sparsity import structure_of

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()


class Code:
    """The compiled functions of a module; call one by its name with arrays."""

    def __init__(self, text: str, level: int = 1):
        module = llvm.parse_assembly(text)
        module.verify()
        features = llvm.get_host_cpu_features().flatten()
        target = llvm.Target.from_default_triple()
        machine = target.create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=features, opt=level, reloc="pic", codemodel="jitdefault"
        )
        builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=level))
        builder.getModulePassManager().run(module, builder)
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()

    def call(self, name: str, *arrays: np.ndarray) -> None:
        """Call a function of pointers alone."""
        address = self._engine.get_function_address(name)
        ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(arrays))(address)(*(a.ctypes.data for a in arrays))


def room(form: Format, rows: int, values: Any = 0.0) -> np.ndarray:
    """An array (row, lane) that begins at a multiple of 64 bytes."""
    dtype = np.dtype(np.float64 if form.real == "double" else np.float32)
    raw = np.zeros(max(rows, 1) * form.width * dtype.itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    array = raw[start : start + max(rows, 1) * form.width * dtype.itemsize].view(dtype).reshape(-1, form.width)
    array[:rows] = values
    return array


def shared_call(module: Module, function: Function, name: str) -> None:
    """A shared function of pointers that calls an internal one; a vector among its parameters is read from the pointer."""
    outer = module.function(name, *(("ptr", f"a{i}") for i in range(len(function.arguments))), shared=True)
    given = [
        a if inner.kind == "ptr" else outer.load(a, inner.kind)
        for a, inner in zip(outer.arguments, function.arguments, strict=True)
    ]
    outer.call(function, *given)
    outer.done()


def elementwise(form: Format, operation: Callable[..., Any], operands: int = 1, level: int = 1) -> Callable[..., Any]:
    """An operation on vectors as a function of arrays of any length."""
    module = Module(form)
    pointers = [("ptr", f"x{i}") for i in range(operands)]
    function = module.function("run", *pointers, ("ptr", "result"), ("ptr", "count"), shared=True)
    *sources, result, count = function.arguments
    with function.each(function.load(count, "i64")) as i:
        function.store(operation(*(function.load(s, form.vector, i) for s in sources)), result, i)
    function.done()
    code = Code(module.text, level)

    def run(*arrays: Any) -> np.ndarray:
        flat = [np.asarray(a).ravel() for a in np.broadcast_arrays(*arrays)]
        vectors = -(-len(flat[0]) // form.width)
        inputs = [room(form, vectors) for _ in flat]
        for array, x in zip(inputs, flat, strict=True):
            array.ravel()[: len(x)] = x
        out = room(form, vectors)
        code.call("run", *inputs, out, np.array([vectors]))
        return out.ravel()[: len(flat[0])].reshape(np.broadcast_shapes(*(np.shape(a) for a in arrays)))

    return run


class Compiled:
    """A function of scalars with several results, compiled; each argument is a value `p`, a forcing `u` or a state `y`."""

    def __init__(self, form: Format, function: Callable[..., Any], letters: str, pulls: bool = False):
        g = Graph()
        closed = jax.make_jaxpr(function)(*[1.0] * len(letters))
        places = [(letter, letters[:i].count(letter)) for i, letter in enumerate(letters)]
        constants = [g.number(float(c)) for c in closed.consts]
        results = read_jaxpr(g, closed.jaxpr, constants, [g.input(*place) for place in places])
        self.form, self.places, self.results = form, places, len(results)
        self.sizes = {letter: letters.count(letter) for letter in "ypu"}
        names = tuple(f"p{i}" for i in range(self.sizes["p"]))
        states = max(self.sizes["y"], len(results))
        equations = Equations(g, states, self.sizes["u"], names, tuple(results), (), (), ())
        module = Module(form)
        if pulls:
            self.straight, self.pulls = straight_with_pulls(module, equations, (), names)
        else:
            self.straight = straight_of(module, equations, ())
        for made in list(module.functions):
            shared_call(module, made, f"call_{made.name}")
        self.code = Code(module.text)
        self.arrays = {letter: room(form, size) for letter, size in self.sizes.items()}
        self.arrays["inv"] = room(form, self.straight.invariants)

    def __call__(self, *arguments: Any) -> np.ndarray:
        """The results (result, lane) for arguments (lane,)."""
        self._outside(arguments)
        out = room(self.form, self.results)
        self.code.call("call_rates", self.arrays["y"], self.arrays["inv"], room(self.form, 1), out)
        return out[: self.results]

    def _outside(self, arguments: Sequence[Any]) -> None:
        for (letter, row), values in zip(self.places, arguments, strict=True):
            self.arrays[letter][row] = values
        self.code.call("call_subject", self.arrays["p"], self.arrays["inv"])
        self.code.call("call_forcing", self.arrays["u"], self.arrays["inv"])

    def cotangents(self, arguments: Sequence[Any], bar: Any) -> np.ndarray:
        """Those of the arguments (argument, lane) for those of the results (result, lane)."""
        self._outside(arguments)
        bars = {letter: room(self.form, size) for letter, size in self.sizes.items()}
        held, given, at = room(self.form, self.pulls.held), room(self.form, self.results, bar), self.arrays
        self.code.call("call_pull_rates", at["y"], at["inv"], given, bars["y"], held)
        self.code.call("call_pull_forcing", at["p"], at["u"], at["inv"], held, bars["u"])
        self.code.call("call_pull_subject", at["p"], at["inv"], held, bars["p"])
        return np.array([bars[letter][row] for letter, row in self.places])


class Case:
    """A model at random states and values, one per lane, and its compiled functions; with `varied` those of its gradient too."""

    form = Format("double", 4)

    def __init__(self, scenario: Scenario, timed: tuple[str, ...] = (), varied: tuple[str, ...] | None = None):
        model, form, lanes = scenario.model, self.form, self.form.width
        self.scenario, self.timed, self.varied = scenario, timed, varied or ()
        self.rows = list(channels(model, tuple(d.cmt for d in scenario.doses))) or [0]
        self.equations = equations_of(model, timed)
        module = Module(form)
        self.straight: Straight
        self.pulls: Pulls | None = None
        if varied is None:
            self.straight = straight_of(module, self.equations, self.rows)
        else:
            self.straight, self.pulls = straight_with_pulls(module, self.equations, self.rows, varied)
        for function in list(module.functions):
            shared_call(module, function, f"call_{function.name}")
        self.code = Code(module.text)
        random = np.random.default_rng(len(model.states))

        def spread(values: Any) -> np.ndarray:
            values = np.array([float(v) for v in values]).reshape(-1, 1)
            return values * np.exp(0.1 * random.standard_normal((len(values), lanes)))

        x = model.derive(scenario.values)
        x.update({n: var.default for n, var in model.inputs.items()})
        start = np.array([float(v) for v in model.initial(x)])[:, None]
        states = len(start)
        y = start * np.exp(0.3 * random.standard_normal((states, lanes))) + 0.1 * random.random((states, lanes))
        forced = (*model.inputs, *timed)
        self.y = room(form, states, y)
        self.u = room(form, len(forced), spread([x[n] for n in forced]))
        self.p = room(form, len(self.equations.values), spread([x[n] for n in self.equations.values]))
        self.inflow = room(form, len(self.rows), random.random((len(self.rows), lanes)))
        sizes = ("invariants", "states", "live", "slots", "states")
        self.inv, self.f, self.E, self.L, self.b = (room(form, getattr(self.straight, size)) for size in sizes)
        self.call("subject", self.p, self.inv)
        self.call("forcing", self.u, self.inv)

    def call(self, name: str, *arrays: np.ndarray) -> None:
        """Call a function of the model by its name."""
        self.code.call(f"call_{name}", *arrays)

    def rates(self, y: list[Any], u: Any, p: Any) -> list[jax.Array]:
        """By JAX, without inflow."""
        model = self.scenario.model
        x = dict(zip((*model.inputs, *self.timed), u, strict=False)) | dict(zip(self.equations.values, p, strict=False))
        x |= dict(zip(model.states, y, strict=True))
        return [jnp.broadcast_to(jnp.asarray(r), jnp.shape(y[0])) for r in model.rates(x)]

    def jacobian(self) -> np.ndarray:
        """By JAX: (entry, lane)."""
        structure = structure_of(self.scenario.model)
        entries = structure.jacobian(lambda rows: self.rates(rows, self.u, self.p), [jnp.asarray(v) for v in self.y])
        return np.stack([np.broadcast_to(np.asarray(v), self.form.width) for v in entries])

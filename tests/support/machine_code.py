"""Machine code made in the process from the text of LLVM IR, for tests, and arrays aligned as kernels need them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import jax
import llvmlite.binding as llvm
import numpy as np

from nanomg.solver.native.graph import Equations, read_jaxpr
from nanomg.solver.native.ir import Format, Function, Module
from nanomg.solver.native.nodes import Graph
from nanomg.solver.native.straight import straight_of

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()


class Library:
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
    library = Library(module.text, level)

    def run(*arrays: Any) -> np.ndarray:
        flat = [np.asarray(a).ravel() for a in np.broadcast_arrays(*arrays)]
        vectors = -(-len(flat[0]) // form.width)
        inputs = [room(form, vectors) for _ in flat]
        for array, x in zip(inputs, flat, strict=True):
            array.ravel()[: len(x)] = x
        out = room(form, vectors)
        library.call("run", *inputs, out, np.array([vectors]))
        return out.ravel()[: len(flat[0])].reshape(np.broadcast_shapes(*(np.shape(a) for a in arrays)))

    return run


def compiled(form: Format, function: Callable[..., Any], letters: str) -> Callable[..., np.ndarray]:
    """A function of scalars with several results, compiled; each argument is a value `p`, a forcing `u` or a state `y`.

    The result takes arrays (lane,) and returns (result, lane).
    """
    g = Graph()
    closed = jax.make_jaxpr(function)(*[1.0] * len(letters))
    inputs = [g.input(letter, letters[:i].count(letter)) for i, letter in enumerate(letters)]
    results = read_jaxpr(g, closed.jaxpr, [g.number(float(c)) for c in closed.consts], inputs)
    counts = {letter: letters.count(letter) for letter in "ypu"}
    names = tuple(f"p{i}" for i in range(counts["p"]))
    equations = Equations(g, len(results), counts["u"], names, tuple(results), (), (), ())
    module = Module(form)
    straight = straight_of(module, equations, ())
    for name in ("subject", "forcing", "rates"):
        shared_call(module, getattr(straight, name), f"call_{name}")
    library = Library(module.text)

    def run(*arguments: Any) -> np.ndarray:
        arrays = {letter: room(form, counts[letter]) for letter in "ypu"}
        for i, (letter, values) in enumerate(zip(letters, arguments, strict=True)):
            arrays[letter][letters[:i].count(letter)] = values
        inv, none, out = room(form, straight.invariants), room(form, 1), room(form, len(results))
        library.call("call_subject", arrays["p"], inv)
        library.call("call_forcing", arrays["u"], inv)
        library.call("call_rates", arrays["y"], inv, none, out)
        return out[: len(results)]

    return run

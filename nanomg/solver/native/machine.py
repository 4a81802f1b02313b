"""From LLVM's text to code of this machine, in this process: what the processor has, compiling, loading.

llvmlite is imported when the first of this is needed. LLVM's own state is shared by the process, so one thread at a time compiles.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import sys
import threading
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

_compiling = threading.Lock()
_engines: list[Any] = []  # never freed, as XLA cannot forget an address
# bytes of a vector register, and the features of a processor that make it so; all of those of a row
_REGISTERS = ((64, {"avx512f", "avx512dq", "avx512vl"}), (32, {"avx2", "fma"}), (16, {"sse2"}), (16, {"neon"}))
_SCALAR = 8  # bytes of a register that holds one number


class Machine(NamedTuple):
    """What code is generated for. `register_bytes` of a vector register: 8 where there are none, so that lanes go one by one."""

    triple: str
    cpu: str
    features: str
    register_bytes: int

    @property
    def text(self) -> str:
        """All that generated code depends on besides its source, with the version of LLVM."""
        import llvmlite

        return f"llvmlite {llvmlite.__version__} {' '.join(map(str, self))}"

    def lanes(self, dtype: Any) -> int:
        """Numbers of a type that a register holds, 1 or more."""
        import numpy as np

        return max(1, self.register_bytes // np.dtype(dtype).itemsize)


def available() -> bool:
    """Whether code can be generated at all: llvmlite is installed, and the system is not Windows."""
    return sys.platform != "win32" and importlib.util.find_spec("llvmlite") is not None


@functools.cache
def host() -> Machine:
    """The processor that this runs on."""
    llvm = _llvm()
    features = llvm.get_host_cpu_features()
    has = {name for name, there in features.items() if there}
    if not has:  # LLVM does not look into every processor; all of 64 bits have the smallest vectors
        has = {"sse2"} if llvm.get_process_triple().startswith("x86_64") else {"neon"}
    size = register_bytes(has)
    text = features.flatten()
    if size == 64:  # some processors are thought to be quicker with half of a register
        text += ",-prefer-256-bit"
    return Machine(llvm.get_process_triple(), llvm.get_host_cpu_name(), text, size)


def register_bytes(features: Collection[str]) -> int:
    """Bytes of the largest vector register of a processor with these features, 8 without any."""
    return next((size for size, needed in _REGISTERS if needed.issubset(features)), _SCALAR)


def object_code(ir: str, level: int = 1, target: Machine | None = None) -> bytes:
    """Object code of LLVM's text, optimised at `level` 0 to 3, for this machine or another target."""
    llvm = _llvm()
    with _compiling:
        module = llvm.parse_assembly(ir, context=llvm.create_context())
        module.verify()
        machine = _target_machine(target or host(), level)
        module.triple = machine.triple
        module.data_layout = str(machine.target_data)
        options = llvm.create_pipeline_tuning_options(speed_level=level)
        options.loop_vectorization = options.slp_vectorization = False  # lanes fill the registers already
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        return machine.emit_object(module)


class MachineCode:
    """Functions of object code, in memory until the process ends. `shared` are numbers that the code knows by these names."""

    def __init__(self, code: bytes, shared: Mapping[str, Any] | None = None):
        llvm = _llvm()
        with _compiling:
            for name, number in (shared or {}).items():
                llvm.add_symbol(name, ctypes.addressof(number))
            machine = _target_machine(host(), 1)
            empty = llvm.parse_assembly("", context=llvm.create_context())
            self._engine = llvm.create_mcjit_compiler(empty, machine)
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
            self._engine.finalize_object()
            _engines.append(self._engine)
        self._code = code

    def address(self, name: str) -> int:
        """Where a function lies. Raises `KeyError` if there is none of this name."""
        if name.encode() not in self._code:  # LLVM ends the process
            raise KeyError(name)
        with _compiling:
            found = self._engine.get_function_address(name)
        if not found:
            raise KeyError(name)
        return found


def _target_machine(target: Machine, level: int) -> Any:
    described = _llvm().Target.from_triple(target.triple)
    # on x86 addresses of 64 bits, since sections may lie far from each other
    reloc = "static" if described.name.startswith("x86") else "default"
    return described.create_target_machine(cpu=target.cpu, features=target.features, opt=level, reloc=reloc, jit=True)


@functools.cache
def _llvm() -> Any:
    import llvmlite.binding

    llvmlite.binding.initialize_all_targets()
    llvmlite.binding.initialize_all_asmprinters()
    return llvmlite.binding

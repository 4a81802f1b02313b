"""Code for the machine: which registers a processor has, compiling for it and for others, loading."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest
import toy_kernel

from nanomg.solver.native import machine
from nanomg.solver.native.machine import Machine

CUBE = """
define double @cube(double %x) {
  %y = fmul double %x, %x
  %z = fmul double %y, %x
  ret double %z
}
"""


@pytest.mark.parametrize(
    ("features", "size"),
    [
        ({"sse2", "avx", "avx2", "fma", "avx512f", "avx512dq", "avx512vl"}, 64),
        ({"sse2", "avx", "avx2", "fma", "avx512f"}, 32),
        ({"sse2", "avx"}, 16),
        ({"neon", "fp-armv8"}, 16),
        ({"cmov"}, 8),
    ],
)
def test_registers_are_those_of_the_processor(features: set[str], size: int) -> None:
    assert machine.register_bytes(features) == size


@pytest.mark.parametrize(("size", "double", "single"), [(64, 8, 16), (32, 4, 8), (16, 2, 4), (8, 1, 2)])
def test_lanes_fill_a_register(size: int, double: int, single: int) -> None:
    target = machine.host()._replace(register_bytes=size)
    assert (target.lanes("float64"), target.lanes("float32")) == (double, single)


def test_code_runs_and_outlives_what_made_it() -> None:
    code = machine.MachineCode(machine.object_code(CUBE))
    cube = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(code.address("cube"))
    assert cube(3.0) == 27.0
    with pytest.raises(KeyError, match="square"):
        code.address("square")


@pytest.mark.parametrize("level", [0, 1, 2])
def test_every_level_of_the_optimiser_means_the_same(level: int) -> None:
    code = machine.MachineCode(machine.object_code(CUBE, level))
    assert ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(code.address("cube"))(-2.0) == -8.0


@pytest.mark.parametrize(
    "target",
    [
        Machine("x86_64-unknown-linux-gnu", "x86-64", "+sse2", 16),
        Machine("x86_64-unknown-linux-gnu", "haswell", "", 32),
        Machine("x86_64-unknown-linux-gnu", "skylake-avx512", "-prefer-256-bit", 64),
        Machine("aarch64-unknown-linux-gnu", "neoverse-n1", "+neon", 16),
        Machine("arm64-apple-macosx13.0.0", "apple-m1", "+neon", 16),
    ],
    ids=lambda target: f"{target.triple.split('-')[0]} {target.cpu}",
)
def test_code_is_generated_for_other_processors(target: Machine) -> None:
    code = machine.object_code(toy_kernel.text_of("double"), target=target)
    magic = b"\xcf\xfa\xed\xfe" if "apple" in target.triple else b"\x7fELF"
    assert code.startswith(magic)
    assert b"scaled" in code


def test_faulty_text_is_refused() -> None:
    with pytest.raises(RuntimeError, match="expected value token"):
        machine.object_code("define void @f() { ret i32 }")


def test_nothing_of_llvm_is_imported_before_it_is_needed() -> None:
    text = "import sys, nanomg.solver.native.foreign; print('llvmlite' in sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

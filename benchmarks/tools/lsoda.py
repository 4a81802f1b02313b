"""LSODA in compiled code: the solver of numbalsoda, the model's code and the loop over doses compiled by Numba.

numbalsoda's wheel needs a Fortran compiler for a solver that is not used here. Where the package is not installed, its LSODA
is compiled from its source distribution.
"""

from __future__ import annotations

import ctypes
import importlib.util
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import export
import numba
import numpy as np
from problem import Problem

from tools.base import Missing, OneByOne, settings

CACHE = Path(__file__).parents[2] / ".cache" / "benchmarks"


def _library() -> Path:
    spec = importlib.util.find_spec("numbalsoda")
    if spec and spec.origin:
        return Path(spec.origin).with_name("liblsoda.so")
    built = CACHE / "liblsoda.so"
    if not built.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            fetch = ["-m", "pip", "download", "--no-deps", "--no-build-isolation", "--no-binary", "numbalsoda"]
            _call([sys.executable, *fetch, "--dest", folder, "numbalsoda>=0.3.4"])
            (archive,) = Path(folder).glob("*.tar.gz")
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
            source = sorted(Path(folder).glob("*/src/*.cpp"))
            flags = ["-O3", "-march=native", "-shared", "-fPIC"]
            _call(["g++", *flags, *map(str, source), "-o", f"{folder}/liblsoda.so"])
            Path(folder, "liblsoda.so").rename(built)
    return built


def _call(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        raise Missing(f"numbalsoda is not installed and its LSODA could not be built ({error})") from error


def _solver() -> ctypes._NamedFuncPointer:
    solver = ctypes.CDLL(str(_library())).lsoda_wrapper
    pointer, real, integer = ctypes.c_void_p, ctypes.c_double, ctypes.c_int
    solver.argtypes = [pointer, integer, pointer, pointer, integer, pointer, pointer, real, real, integer, pointer]
    solver.restype = None
    return solver


class Lsoda(OneByOne):
    """One subject after the other, states divided by their peaks so that one absolute tolerance fits all."""

    settings = settings(4, 9, 1e-2, 1e-3, 1e-4)
    version = f"numba {numba.__version__}"

    def __init__(self, problem: Problem, scale: np.ndarray):
        self.scale, self.outputs, self.subjects = scale, problem.outputs, problem.subjects
        kind = numba.types.CPointer(numba.types.double)
        signature = numba.types.void(numba.types.double, kind, kind, kind)
        function = export.python_function(export.python_source(problem.program, problem.channels, scale))
        self.function = numba.cfunc(signature, fastmath=True)(function)
        self.lanes = [
            (problem.start(i) / scale, problem.values(i), *map(np.ascontiguousarray, problem.segments(i)))
            for i in range(self.subjects)
        ]
        self.channels = np.array(problem.channels)
        self.one = _compiled(_solver())
        self.lane(0, 1e-4, 1e-6)

    def lane(self, i: int, rtol: float, atol: float) -> np.ndarray:
        """(output, state) of one subject; NaN if the solver gave up."""
        where = (self.channels, self.outputs, self.scale)
        return self.one(self.function.address, *self.lanes[i], *where, rtol, atol)


def _compiled(solver: ctypes._NamedFuncPointer):
    @numba.njit
    def one(address, start, values, edges, jump, inflow, forcing, first, channels, outputs, scale, rtol, atol):
        y, states = start.copy(), len(start)
        result = np.full((len(outputs), states), np.nan)
        ok = np.zeros(1, np.int32)
        for s in range(len(edges) - 1):
            for c in range(len(channels)):
                y[channels[c]] += jump[s, c] / scale[channels[c]]
            data = np.concatenate((values, inflow[s], forcing[s]))
            begin, end = first[s], first[s + 1]
            if begin < end and outputs[begin] == edges[s]:
                result[begin] = y * scale
                begin += 1
            inner = end - (begin < end and outputs[end - 1] == edges[s + 1])  # an output at the end is there once
            times = np.concatenate((edges[s : s + 1], outputs[begin:inner], edges[s + 1 : s + 2]))
            found = np.empty((len(times), states))
            solver(
                address,
                states,
                y.ctypes.data,
                data.ctypes.data,
                len(times),
                times.ctypes.data,
                found.ctypes.data,
                rtol,
                atol,
                1_000_000,
                ok.ctypes.data,
            )
            if ok[0] != 1:
                return result
            for k in range(begin, end):
                result[k] = found[k - begin + 1] * scale
            y = found[-1].copy()
        return result

    return one

"""The gradient of a solve: the recorded steps of many lanes in reverse, as one function of machine code.

Each lane goes through its own records from the last to the first (nanomg.solver.integrate has the same in JAX). Cotangents of what
holds for an interval are summed on the stack and written when its first step has been undone; those of the subject's values
when the lane is through.
"""

from __future__ import annotations

from nanomg.solver.native import adjoint, arguments
from nanomg.solver.native.arguments import Arguments
from nanomg.solver.native.ir import I32, I64, Function, Module, Value
from nanomg.solver.native.pulls import Pulls
from nanomg.solver.native.register import Register
from nanomg.solver.native.straight import Straight
from nanomg.solver.rosenbrock import Tableau


def add_backward(
    module: Module, straight: Straight, pulls: Pulls, tableau: Tableau, wiped: tuple[tuple[int, ...], ...]
) -> Function:
    """The kernel `backward`."""
    undo = adjoint.add_adjoint(module, straight, pulls, tableau)
    kernel = module.function("backward", *arguments.PARAMETERS, shared=True)
    given = arguments.begin(kernel, arguments.BACKWARD, arguments.BARS)
    lanes = _Lanes(kernel, module, straight, pulls, tableau, given, wiped)
    lanes.serve()
    with kernel.as_long_as(lanes.r.any_left):
        lanes.turn(undo)
        lanes.serve()
    kernel.done()
    return kernel


class _Lanes:
    """The lanes of a gradient, and the code that moves them back."""

    def __init__(
        self,
        kernel: Function,
        module: Module,
        straight: Straight,
        pulls: Pulls,
        tableau: Tableau,
        given: Arguments,
        wiped: tuple[tuple[int, ...], ...],
    ):
        states = straight.states
        sizes = {
            "y": states,
            "U": states * len(tableau.m),
            "E": straight.live,
            "L": straight.slots,
            "inv": straight.invariants,
            "inflow": len(straight.channels),
            "u": straight.equations.forcing,
            "p": len(straight.equations.values),
            **adjoint.sizes_of(straight, pulls, tableau),
            "u_bar": straight.equations.forcing,
            "p_bar": pulls.varied,
            "length_bar": 1,
        }
        reals = ("h", "whole", "share", "active")
        integers = ("lane", "record", "k", "first")
        self.r = Register(kernel, module, straight, given, sizes, reals, integers)
        self.f, self.form, self.straight, self.pulls = kernel, module.form, straight, pulls
        self.given, self.wiped, self.arrays = given, wiped, given.arrays

    def serve(self) -> None:
        """Bring every lane to its next record, or let it go."""
        self.r.serve(self._load, self._go_on)

    def turn(self, undo: Function) -> None:
        """Undo a step in every lane; then all are pending."""
        f, rows = self.f, self.r.rows
        share = self.r.all("share")
        self.r.set_all("h", share * self.r.all("whole"))
        self.r.clear("h_bar", 1)
        places = {**rows, "h": self.r.reals["h"]}
        f.call(undo, *(places[name] for name in (*adjoint.ROWS, *adjoint.SUMS)))
        slope = f.load(rows["h_bar"], self.form.vector)
        before = f.load(rows["length_bar"], self.form.vector)
        f.store(before + slope * share, rows["length_bar"])
        self.r.pending.set(self.r.bits(self.r.all("active").is_(">", 0.0)))

    # ------------------------------------------------------------ what a lane does next
    def _load(self, lane: Value) -> None:
        """The end of a subject."""
        f, real, number = self.f, self.form.real, self.r.get("lane", lane)
        count = f.load(self.arrays["accepted"], I32, number).to(I64, "sext")
        self.r.set("record", lane, count)
        self.r.set("k", lane, -1)
        self.r.set("first", lane, 0)
        for name in ("y_bar", "u_bar", "p_bar", "inv_bar", "inflow_bar", "length_bar"):
            self._forget(name, lane)
        width = {"length_bar": 1, "inflow_bar": len(self.straight.channels), "jump_bar": len(self.straight.channels)}
        for name, size in {**width, "forcing_bar": self.straight.equations.forcing}.items():
            numbers = self.given.sizes["intervals"] * size
            to = f.at(self.arrays[name], real, number * numbers)
            with f.each(numbers) as i:
                f.store(f.number(real, 0.0), to, i)
        self.r.load_values(lane)

    def _forget(self, name: str, lane: Value) -> None:
        """Zeros in one lane of an array of vectors."""
        with self.f.each(self.r.sizes[name]) as i:
            self.f.store(self.f.number(self.form.real, 0.0), self.r.place(name, i, lane))

    def _go_on(self, lane: Value) -> None:
        with self.f.when(self.r.get("first", lane).is_("!=", 0)):
            self._leave_interval(lane)
        left = self.r.get("record", lane)
        self.f.choose(left.is_("==", 0), lambda: self._finish(lane), lambda: self._take_record(lane, left - 1))

    def _leave_interval(self, lane: Value) -> None:
        """The first step of an interval is undone: write what was summed for it, and undo its start."""
        f, real = self.f, self.form.real
        self._pass_on(self.pulls.forcing, "p", "u", "inv", "inv_bar", "u_bar")
        number, k, channels = self.r.get("lane", lane), self.r.get("k", lane), self.straight.channels
        row = number * self.given.sizes["intervals"] + k
        at = lambda name, width: f.at(self.arrays[name], real, row * width)
        self.r.write("length_bar", 1, lane, at("length_bar", 1))
        self.r.write("inflow_bar", len(channels), lane, at("inflow_bar", len(channels)))
        self.r.write("u_bar", self.straight.equations.forcing, lane, at("forcing_bar", self.straight.equations.forcing))
        jumps = at("jump_bar", len(channels))
        for c, state in enumerate(channels):
            f.store(f.load(self.r.place("y_bar", state, lane), real), jumps, c)
        for name in ("u_bar", "inflow_bar", "length_bar"):
            self._forget(name, lane)
        keep = f.load(self.r.interval("keep", lane, k), real)
        self.r.wipe("y_bar", lane, keep, self.straight.states, self.wiped)
        self.r.set("first", lane, 0)

    def _pass_on(self, function: Function, *names: str) -> None:
        """What is summed for invariants goes on to what they are made of: in all lanes, of which none has left its interval yet."""
        self.f.call(function, *(self.r.rows[name] for name in names))

    def _finish(self, lane: Value) -> None:
        states = self.straight.states
        self._pass_on(self.pulls.subject, "p", "inv", "inv_bar", "p_bar")
        self.r.write("y_bar", states, lane, self.r.element("y0_bar", lane, 0, states))
        self.r.write("p_bar", self.pulls.varied, lane, self.r.element("varied_bar", lane, 0, self.pulls.varied))
        self.r.set("share", lane, 0.0)
        self._forget("y_bar", lane)
        self.r.let_go(lane)

    def _take_record(self, lane: Value, record: Value) -> None:
        f, real, states = self.f, self.form.real, self.straight.states
        self.r.set("record", lane, record)
        at = self.r.get("lane", lane) * self.given.sizes["slots"] + record
        code = f.load(self.arrays["places"], I32, at).to(I64, "sext")
        k, first, last = code.whole("ashr", 2), code.whole("and", 1), code.whole("and", 2)
        self.r.set("first", lane, first)
        self.r.set("share", lane, f.load(self.arrays["shares"], real, at))
        self.r.read(f.at(self.arrays["states"], real, at * states), states, "y", lane)
        with f.when(k.is_("!=", self.r.get("k", lane))):
            start = self.r.get("k", lane).is_("<", 0)
            self.r.set("k", lane, k)
            channels = len(self.straight.channels)
            self.r.read(self.r.interval("inflow", lane, k, channels), channels, "inflow", lane)
            self.r.load_forcing(lane, k, start)
            self.r.set("whole", lane, f.load(self.r.interval("length", lane, k), real))
        with f.when(last.is_("!=", 0)):
            row = f.load(self.r.interval("rows", lane, k), I32).to(I64, "sext")
            with f.when(row.is_(">=", 0)):
                look = self.r.get("lane", lane) * self.given.sizes["looks"] + row
                bars = f.at(self.arrays["ends_bar"], real, look * states)
                with f.each(states) as i:
                    place = self.r.place("y_bar", i, lane)
                    f.store(f.load(place, real) + f.load(bars, real, i), place)
        self.r.ready(lane)

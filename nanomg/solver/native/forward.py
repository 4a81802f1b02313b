"""The solve of many lanes as one function of machine code: as many side by side as a register holds, each with its own steps.

The rules are those of nanomg.solver.integrate, turn by turn. A lane that is through, or has failed, makes room for the next one
of the queue, so no lane waits for another and none is deferred; several threads may work on one queue. What a lane does next is
decided lane by lane (`_Lanes.serve`), the steps are taken together (`_Lanes.turn`).
"""

from __future__ import annotations

from collections.abc import Callable

from nanomg.solver.native import arguments, mathematics, stages
from nanomg.solver.native.arguments import Arguments
from nanomg.solver.native.ir import I8, I32, I64, Function, Module, Value
from nanomg.solver.native.register import Register
from nanomg.solver.native.straight import Straight
from nanomg.solver.rosenbrock import Tableau
from nanomg.solver.status import Status

FIRST_STEP = 0.05  # [h]


def add_forward(
    module: Module, straight: Straight, tableau: Tableau, wiped: tuple[tuple[int, ...], ...], record: bool
) -> Function:
    """The kernel `forward`, or `record`, which also writes down every accepted step."""
    step = stages.add_step(module, straight, tableau)
    kernel = module.function("record" if record else "forward", *arguments.PARAMETERS, shared=True)
    results = (*arguments.SOLUTION, *(arguments.RECORD if record else ()))
    given = arguments.begin(kernel, arguments.FORWARD, results)
    lanes = _Lanes(kernel, module, straight, tableau, given, wiped, record)
    lanes.serve()
    with kernel.as_long_as(lanes.r.any_left):
        lanes.turn(step)
        lanes.serve()
    kernel.done()
    return kernel


class _Lanes:
    """The lanes of a solve, and the code that moves them on."""

    def __init__(
        self,
        kernel: Function,
        module: Module,
        straight: Straight,
        tableau: Tableau,
        given: Arguments,
        wiped: tuple[tuple[int, ...], ...],
        record: bool,
    ):
        states = straight.states
        sizes = {
            "y": states,
            "peak": states,
            "Y": states,
            "F": states,
            "U": states * len(tableau.m),
            "E": straight.live,
            "L": straight.slots,
            "inv": straight.invariants,
            "inflow": len(straight.channels),
            "u": straight.equations.forcing,
            "p": len(straight.equations.values),
        }
        reals = ("h", "used", "tau", "whole", "again", "fresh", "active", "accepted", "rejected")
        integers = ("lane", "k", "ended", "status", "worst")
        self.r = Register(kernel, module, straight, given, sizes, reals, integers)
        self.f, self.form, self.straight, self.tableau = kernel, module.form, straight, tableau
        self.given, self.wiped, self.record, self.arrays = given, wiped, record, given.arrays
        self.error_row = kernel.at(self.r.rows["U"], self.form.vector, (len(tableau.m) - 1) * states)
        settings = [kernel.load(self.arrays["settings"], self.form.real, i) for i in range(3)]
        self.rtol, self.min_step = (s.spread(self.form.vector) for s in settings[:2])
        self.most = settings[2]
        if record:
            room = given.sizes["slots"].to(self.form.real, "sitofp")
            self.most = room.is_("<", self.most).where(room, self.most)
        self.count = kernel.load(self.arrays["used"], I32).to(I64, "sext")

    def serve(self) -> None:
        """Bring every pending lane to where it can step again, or let it go."""
        self.r.serve(self._load, self._go_on)

    # ------------------------------------------------------------ a turn: one step of every lane
    def turn(self, step: Function) -> None:
        """Try a step in every lane; `pending` are the lanes whose interval it ended, that failed or may try no more."""
        f, vector = self.f, self.form.vector
        h, tau, whole = self.r.all("h"), self.r.all("tau"), self.r.all("whole")
        active = self.r.all("active").is_(">", 0.0)
        left = 1.0 - tau
        share = h / whole.larger(1e-30)
        reaches = share.is_(">=", left * 0.999)
        half = left * 0.5
        # two even steps rather than a tiny last one
        share = reaches.where(left, share.is_(">", half).where(half, share))
        used = active.where(share * whole, 0.0)
        self.r.set_all("used", used)
        rows = self.r.rows
        f.call(step, rows["y"], self.r.reals["used"], *(rows[n] for n in ("inv", "inflow", "U", "Y", "F", "E", "L")))

        own, finite = self._error()
        smallest = self.min_step.larger(whole * tau * (4 * _EPSILON[self.form.real]))
        tiny = used.is_("<=", smallest * 1.001)
        good = own.is_("<=", 1.0)
        fails = active & tiny & ~good
        moves = active & good
        self._note_failures(fails, finite)
        if self.record:
            self._note_steps(moves, share, reaches)
        lowest = f.variable(vector, 0.0)
        with f.each(self.straight.states) as i:
            before, after = f.load(rows["y"], vector, i), f.load(rows["Y"], vector, i)
            peak = f.load(rows["peak"], vector, i)
            largest = peak.larger(before.intrinsic("fabs")).larger(after.intrinsic("fabs"))
            f.store(moves.where(after, before), rows["y"], i)
            f.store(moves.where(largest, peak), rows["peak"], i)
            lowest.set(lowest.get().smaller(self._above(after, largest, i)))
        sinks = moves & lowest.get().is_("<", 0.0)
        done = moves & reaches & ~sinks
        self.r.each_lane(sinks, self._note_negative)
        grow = mathematics.exp(mathematics.log(own.larger(1e-20)) * (-0.5 / self.tableau.order)) * 0.9
        onward = used * grow.larger(0.2).smaller(5.0)
        following = done.where(h.larger(onward), onward).larger(smallest)
        fresh = moves & self.r.all("fresh").is_(">", 0.0)
        self.r.set_all("again", fresh.where(following, self.r.all("again")))
        self.r.set_all("fresh", moves.where(f.number(vector, 0.0), self.r.all("fresh")))
        self.r.set_all("h", active.where(following, h))
        self.r.set_all("tau", done.where(f.number(vector, 0.0), moves.where(tau + share, tau)))
        one = f.number(vector, 1.0)
        accepted = self.r.all("accepted") + moves.where(one, 0.0)
        rejected = self.r.all("rejected") + (active & ~moves).where(one, 0.0)
        self.r.set_all("accepted", accepted)
        self.r.set_all("rejected", rejected)
        exhausted = active & (accepted + rejected).is_(">=", self.most.spread(vector))
        self.r.each_lane(done, lambda lane: self.r.set("ended", lane, 1))
        self.r.pending.set(self.r.bits(done | fails | sinks | exhausted))

    def _error(self) -> tuple[Value, Value]:
        """The mean square of the errors in units of what is allowed, infinite unless all numbers are finite; where they are."""
        f, vector, states = self.f, self.form.vector, self.straight.states
        total, odd = f.variable(vector, 0.0), f.variable(vector, 0.0)
        with f.each(states) as i:
            weighted, after, e = self._weighted(i)
            total.set(total.get() + weighted * weighted)
            odd.set(odd.get() + (after + e) * 0.0)
        finite = odd.get().is_("==", 0.0)
        return finite.where(total.get() * (1.0 / states), float("inf")), finite

    def _weighted(self, i: Value) -> tuple[Value, Value, Value]:
        f, vector = self.f, self.form.vector
        before, after = f.load(self.r.rows["y"], vector, i), f.load(self.r.rows["Y"], vector, i)
        peak, e = f.load(self.r.rows["peak"], vector, i), f.load(self.error_row, vector, i)
        size = before.intrinsic("fabs")
        peak = peak.larger(size)
        size = size.larger(after.intrinsic("fabs")) + peak * 1e-3 + 1e-30  # a state that stays 0 has no error
        return e / (self.rtol * size), after, e

    def _note_failures(self, fails: Value, finite: Value) -> None:
        """Status and worst state of lanes that have just failed."""
        f = self.f

        def note(lane: Value) -> None:
            small, odd = (f.number(I64, int(s)) for s in (Status.STEP_TOO_SMALL, Status.NOT_FINITE))
            self.r.set("status", lane, self.r.is_in(finite, lane).where(small, odd))
            largest, worst = f.variable(self.form.real, -1.0), f.variable(I64, 0)
            with f.each(self.straight.states) as i:
                size = self._weighted(i)[0].intrinsic("fabs").element(lane)
                # as `argmax` has it: the first number that is none, else the first of the largest
                better = (~size.is_("<=", largest.get())) & largest.get().is_("==", largest.get())
                worst.set(better.where(i, worst.get()))
                largest.set(better.where(size, largest.get()))
            self.r.set("worst", lane, worst.get())

        self.r.each_lane(fails, note)

    def _above(self, y: Value, peak: Value, i: Value) -> Value:
        """How far a state is above the lowest that is tolerated."""
        slack = self.f.load(self.arrays["slack"], self.form.real, i)
        return y + peak * (slack.spread(self.form.vector) if y.kind == self.form.vector else slack)

    def _note_negative(self, lane: Value) -> None:
        """The status of a lane that has just become negative, and the state that is so the most for its size."""
        f, real = self.f, self.form.real
        self.r.set("status", lane, int(Status.NEGATIVE))
        lowest, worst = f.variable(real, 0.0), f.variable(I64, 0)
        with f.each(self.straight.states) as i:
            y, peak = (f.load(self.r.place(name, i, lane), real) for name in ("y", "peak"))
            share = self._above(y, peak, i) / peak
            lower = share.is_("<", lowest.get())
            worst.set(lower.where(i, worst.get()))
            lowest.set(lower.where(share, lowest.get()))
        self.r.set("worst", lane, worst.get())

    # ------------------------------------------------------------ records of steps
    def _note_steps(self, moves: Value, share: Value, reaches: Value) -> None:
        """Write down the steps of this turn that moved."""
        shares = self.f.room(self.form.vector)
        self.f.store(share, shares)
        bits = self.r.bits(reaches)
        self.r.each_lane(
            moves,
            lambda lane: self._note_step(
                lane, self.f.load(shares, self.form.real, lane), bits.whole("lshr", lane).whole("and", 1)
            ),
        )

    def _note_step(self, lane: Value, share: Value, last: Value) -> None:
        f, slots = self.f, self.given.sizes["slots"]
        at = self.r.get("lane", lane) * slots + self.r.get("accepted", lane).to(I64, "fptosi")
        states = self.straight.states
        self.r.write("y", states, lane, f.at(self.arrays["states"], self.form.real, at * states))
        f.store(share, self.arrays["shares"], at)
        first = self.r.get("tau", lane).is_("==", 0.0).to(I64, "zext")
        code = self.r.get("k", lane) * 4 + last * 2 + first
        f.store(code.to(I32, "trunc"), self.arrays["places"], at)

    # ------------------------------------------------------------ what a lane does next
    def _load(self, lane: Value) -> None:
        """The start of a subject."""
        f, states = self.f, self.straight.states
        for name in ("k", "ended", "status", "worst", "tau", "again", "accepted", "rejected"):
            self.r.set(name, lane, 0)
        self.r.set("h", lane, FIRST_STEP)
        self.r.read(self.r.element("y0", lane, 0, states), states, "y", lane)
        floor = self.r.element("floor", lane, 0, states)
        with f.each(states) as i:
            size = f.load(self.r.place("y", i, lane), self.form.real).intrinsic("fabs")
            f.store(size.larger(f.load(floor, self.form.real, i)), self.r.place("peak", i, lane))
        self.r.load_values(lane)

    def _go_on(self, lane: Value) -> None:
        f = self.f
        with f.when(self.r.get("ended", lane).is_("!=", 0)):
            self._show(lane, self.r.get("k", lane), lambda i: f.load(self.r.place("y", i, lane), self.form.real))
            self.r.set("k", lane, self.r.get("k", lane) + 1)
            self.r.set("ended", lane, 0)
        through = self.r.get("k", lane).is_(">=", self.count)
        tried = self.r.get("accepted", lane) + self.r.get("rejected", lane)
        fine = self.r.get("status", lane).is_("==", 0)
        with f.when(~through & fine & tried.is_(">=", self.most)):
            self.r.set("status", lane, int(Status.TOO_MANY_STEPS))
        over = through | self.r.get("status", lane).is_("!=", 0)
        f.choose(over, lambda: self._finish(lane), lambda: self._enter(lane))

    def _finish(self, lane: Value) -> None:
        """Write what became of a lane."""
        f, states, number = self.f, self.straight.states, self.r.get("lane", lane)
        f.store(self.r.get("status", lane).to(I8, "trunc"), self.arrays["status"], number)
        for name in ("accepted", "rejected"):
            f.store(self.r.get(name, lane).to(I32, "fptosi"), self.arrays[name], number)
        f.store(self.r.get("k", lane).to(I32, "trunc"), self.arrays["interval"], number)
        f.store(self.r.get("worst", lane).to(I32, "trunc"), self.arrays["worst"], number)
        f.store(self.r.get("tau", lane), self.arrays["tau"], number)
        self.r.write("y", states, lane, self.r.element("last", lane, 0, states))
        # intervals that were not reached end in no number
        with f.each(self.count, self.r.get("k", lane)) as k:
            self._show(lane, k, lambda _: f.number(self.form.real, float("nan")))
        self.r.let_go(lane)

    def _show(self, lane: Value, k: Value, value: Callable[[Value], Value]) -> None:
        """Write the state at the end of an interval, if it is looked at."""
        f, states = self.f, self.straight.states
        row = f.load(self.r.interval("rows", lane, k), I32).to(I64, "sext")
        with f.when(row.is_(">=", 0)):
            look = self.r.get("lane", lane) * self.given.sizes["looks"] + row
            to = f.at(self.arrays["ends"], self.form.real, look * states)
            with f.each(states) as i:
                f.store(value(i), to, i)

    def _enter(self, lane: Value) -> None:
        """The start of an interval: what is kept, what is added, what flows, which inputs hold."""
        f, real = self.f, self.form.real
        k = self.r.get("k", lane)
        start = k.is_("==", 0)
        eventful = f.variable("i1", 0)
        keep = f.load(self.r.interval("keep", lane, k), real)
        eventful.set(start | keep.is_("!=", 1.0))
        self.r.wipe("y", lane, keep, self.straight.states, self.wiped)
        channels = self.straight.channels
        jumps, inflows = (self.r.interval(name, lane, k, len(channels)) for name in ("jump", "inflow"))
        for c, state in enumerate(channels):
            jump, inflow = f.load(jumps, real, c), f.load(inflows, real, c)
            place, flowing = self.r.place("y", state, lane), self.r.place("inflow", c, lane)
            f.store(f.load(place, real) + jump, place)
            changes = jump.is_("!=", 0.0) | inflow.is_("!=", f.load(flowing, real))
            eventful.set(eventful.get() | changes)
            f.store(inflow, flowing)
        forced = self.r.load_forcing(lane, k, start)
        with f.when(eventful.get() | forced):
            again, h = self.r.get("again", lane), self.r.get("h", lane)
            self.r.set("h", lane, h.smaller(again.is_(">", 0.0).where(again, FIRST_STEP)))
            self.r.set("fresh", lane, 1.0)
        whole = f.load(self.r.interval("length", lane, k), real)
        self.r.set("whole", lane, whole)
        self.r.set("tau", lane, 0.0)

        def pass_over() -> None:
            """No step: only its jump, which cannot fail."""
            if self.record:
                self._note_step(lane, f.number(real, 1.0), f.number(I64, 1))
            with f.each(self.straight.states) as i:
                peak = self.r.place("peak", i, lane)
                size = f.load(self.r.place("y", i, lane), real).intrinsic("fabs")
                f.store(f.load(peak, real).larger(size), peak)
            self.r.set("accepted", lane, self.r.get("accepted", lane) + 1.0)
            self.r.set("ended", lane, 1)

        f.choose(whole.is_(">", 0.0), lambda: self.r.ready(lane), pass_over)


_EPSILON = {"double": 2.0**-52, "float": 2.0**-23}

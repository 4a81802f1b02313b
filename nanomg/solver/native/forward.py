"""The solve of many lanes as one function of machine code: as many side by side as a register holds, each with its own steps.

The rules are those of nanomg.solver.integrate, turn by turn. A lane that is through, or has failed, makes room for the next one of the
queue, so no lane waits for another and none is deferred; several threads may work on one queue. What a lane does next is decided lane
by lane (`_Lanes.serve`), the steps are taken together (`_Lanes.turn`).
"""

from __future__ import annotations

from collections.abc import Callable

from nanomg.solver.native import arguments, mathematics, stages
from nanomg.solver.native.ir import I8, I32, I64, Function, Module, Value
from nanomg.solver.native.straight import Straight
from nanomg.solver.rosenbrock import Tableau
from nanomg.solver.status import Status

FIRST_STEP = 0.05  # [h]


def add_forward(module: Module, straight: Straight, tableau: Tableau, record: bool) -> Function:
    """The kernel `forward`, or `record`, which also writes down every accepted step."""
    step = stages.add_step(module, straight, tableau)
    kernel = module.function("record" if record else "forward", *arguments.PARAMETERS, shared=True)
    results = (*arguments.SOLUTION, *(arguments.RECORD if record else ()))
    given = arguments.begin(kernel, arguments.FORWARD, results)
    lanes = _Lanes(kernel, module, straight, tableau, given, record)
    lanes.start()
    with kernel.as_long_as(lanes.any_left):
        lanes.turn(step)
        lanes.serve()
    kernel.done()
    return kernel


class _Lanes:
    """The lanes of a register: their state on the stack, and the code that moves them on."""

    def __init__(
        self,
        kernel: Function,
        module: Module,
        straight: Straight,
        tableau: Tableau,
        given: arguments.Arguments,
        record: bool,
    ):
        self.f, self.form, self.straight, self.tableau, self.given = kernel, module.form, straight, tableau, given
        self.record, self.arrays = record, given.arrays
        vector, states = self.form.vector, straight.states
        sizes = {
            "y": states,
            "peak": states,
            "Y": states,
            "F": states,
            "U": states * len(tableau.m),
            "E": max(straight.entries, 1),
            "L": straight.slots,
            "inv": max(straight.invariants, 1),
            "inflow": len(straight.channels),
            "u": max(straight.forcings, 1),
            "p": max(straight.values, 1),
        }
        self.rows = {name: kernel.room(vector, size) for name, size in sizes.items()}
        self.sizes = sizes
        # one number for each lane, read together by `turn` and one by one by `serve`
        reals = ("h", "used", "tau", "whole", "again", "fresh", "active", "accepted", "rejected")
        self.reals = {name: kernel.room(vector) for name in reals}
        self.whole = {
            name: kernel.room(I64, self.form.width) for name in ("lane", "k", "ended", "status", "worst")
        }
        self.pending = kernel.variable(I64, (1 << self.form.width) - 1)
        self.busy = kernel.variable(I64, 0)  # lanes that have a subject
        settings = [kernel.load(self.arrays["settings"], self.form.real, i) for i in range(3)]
        self.rtol, self.min_step = (s.spread(vector) for s in settings[:2])
        self.most = settings[2]
        if record:
            room = given.sizes["slots"].to(self.form.real, "sitofp")
            self.most = room.is_("<", self.most).where(room, self.most)
        self.count = kernel.load(self.arrays["used"], I32).to(I64, "sext")

    # ------------------------------------------------------------ one number of one lane
    def get(self, name: str, lane: Value) -> Value:
        """A number of one lane."""
        if name in self.whole:
            return self.f.load(self.whole[name], I64, lane)
        return self.f.load(self.reals[name], self.form.real, lane)

    def set(self, name: str, lane: Value, value: Value | float) -> None:
        """Give a lane another number."""
        place, kind = (self.whole[name], I64) if name in self.whole else (self.reals[name], self.form.real)
        self.f.store(value if isinstance(value, Value) else self.f.number(kind, value), place, lane)

    def place(self, name: str, row: Value | int, lane: Value) -> Value:
        """The address of one lane in a row of vectors."""
        return self.f.at(self.f.at(self.rows[name], self.form.vector, row), self.form.real, lane)

    def all(self, name: str) -> Value:
        """A number of every lane."""
        return self.f.load(self.reals[name], self.form.vector)

    def set_all(self, name: str, value: Value | float) -> None:
        """Give every lane another number."""
        self.f.store(
            value if isinstance(value, Value) else self.f.number(self.form.vector, value), self.reals[name]
        )

    def element(self, array: str, lane: Value, row: Value | int, rows: Value | int) -> Value:
        """The address of (lane, row) of an array of real numbers."""
        offset = self.get("lane", lane) * rows + row
        return self.f.at(self.arrays[array], self.form.real, offset)

    def interval(self, array: str, lane: Value, k: Value, width: int = 1) -> Value:
        """The address of (lane, interval) of an array that lanes may share, `width` numbers for each interval."""
        offset = self.get("lane", lane) * self.given.sizes[f"{array}_stride"] + k * width
        return self.f.at(self.arrays[array], I32 if array == "rows" else self.form.real, offset)

    # ------------------------------------------------------------ the start
    def start(self) -> None:
        """No lane has a subject yet; each takes one."""
        f = self.f
        for name, size in self.sizes.items():
            with f.each(size) as i:
                f.store(f.number(self.form.vector, 0.0), self.rows[name], i)
        for name in self.reals:
            self.set_all(name, 1.0 if name == "whole" else 0.0)
        with f.each(self.form.width) as lane:
            self.set("lane", lane, -1)
        self.serve()

    def any_left(self) -> Value:
        """Whether a lane has a subject."""
        return self.busy.get().is_("!=", 0)

    # ------------------------------------------------------------ a turn: one step of every lane
    def turn(self, step: Function) -> None:
        """Try a step in every lane; `pending` are the lanes whose interval it ended, that failed or may try no more."""
        f, vector = self.f, self.form.vector
        h, tau, whole = self.all("h"), self.all("tau"), self.all("whole")
        active = self.all("active").is_(">", 0.0)
        left = 1.0 - tau
        share = h / whole.larger(1e-30)
        reaches = share.is_(">=", left * 0.999)
        half = left * 0.5
        # two even steps rather than a tiny last one
        share = reaches.where(left, share.is_(">", half).where(half, share))
        used = active.where(share * whole, 0.0)
        self.set_all("used", used)
        rows = self.rows
        f.call(step, rows["y"], self.reals["used"], *(rows[n] for n in ("inv", "inflow", "U", "Y", "F", "E", "L")))

        own, finite = self._error()
        smallest = self.min_step.larger(whole * (4 * _EPSILON[self.form.real]))
        tiny = used.is_("<=", smallest * 1.001)
        good = own.is_("<=", 1.0)
        fails = active & tiny & ~good
        moves = active & good
        done = moves & reaches
        self._note_failures(fails, finite)
        if self.record:
            self._note_steps(moves, share, reaches)
        with f.each(self.straight.states) as i:
            before, after = f.load(rows["y"], vector, i), f.load(rows["Y"], vector, i)
            peak = f.load(rows["peak"], vector, i)
            largest = peak.larger(before.intrinsic("fabs")).larger(after.intrinsic("fabs"))
            f.store(moves.where(after, before), rows["y"], i)
            f.store(moves.where(largest, peak), rows["peak"], i)
        grow = mathematics.exp(mathematics.log(own.larger(1e-20)) * (-0.5 / self.tableau.order)) * 0.9
        onward = used * grow.larger(0.2).smaller(5.0)
        following = done.where(h.larger(onward), onward).larger(smallest)
        fresh = moves & self.all("fresh").is_(">", 0.0)
        self.set_all("again", fresh.where(following, self.all("again")))
        self.set_all("fresh", moves.where(f.number(vector, 0.0), self.all("fresh")))
        self.set_all("h", active.where(following, h))
        self.set_all("tau", done.where(f.number(vector, 0.0), moves.where(tau + share, tau)))
        one = f.number(vector, 1.0)
        accepted = self.all("accepted") + moves.where(one, 0.0)
        rejected = self.all("rejected") + (active & ~moves).where(one, 0.0)
        self.set_all("accepted", accepted)
        self.set_all("rejected", rejected)
        exhausted = active & (accepted + rejected).is_(">=", self.most.spread(vector))
        self._each_lane(done, lambda lane: self.set("ended", lane, 1))
        self.pending.set(self._bits(done | fails | exhausted))

    def _error(self) -> tuple[Value, Value]:
        """The mean square of the errors in units of what is allowed, infinite where a number is not finite; and where all are finite."""
        f, vector, states = self.f, self.form.vector, self.straight.states
        error = f.at(self.rows["U"], vector, (len(self.tableau.m) - 1) * states)
        total, odd = f.variable(vector, 0.0), f.variable(vector, 0.0)
        with f.each(states) as i:
            weighted, after, e = self._weighted(error, i)
            total.set(total.get() + weighted * weighted)
            odd.set(odd.get() + (after + e) * 0.0)
        finite = odd.get().is_("==", 0.0)
        return finite.where(total.get() * (1.0 / states), float("inf")), finite

    def _weighted(self, error: Value, i: Value) -> tuple[Value, Value, Value]:
        f, vector = self.f, self.form.vector
        before, after = f.load(self.rows["y"], vector, i), f.load(self.rows["Y"], vector, i)
        peak, e = f.load(self.rows["peak"], vector, i), f.load(error, vector, i)
        size = before.intrinsic("fabs")
        peak = peak.larger(size)
        size = size.larger(after.intrinsic("fabs")) + peak * 1e-3 + 1e-30  # a state that stays 0 has no error
        return e / (self.rtol * size), after, e

    def _note_failures(self, fails: Value, finite: Value) -> None:
        """Status and worst state of lanes that have just failed."""
        f = self.f

        def note(lane: Value) -> None:
            small, odd = (f.number(I64, int(s)) for s in (Status.STEP_TOO_SMALL, Status.NOT_FINITE))
            self.set("status", lane, self._element(finite, lane).where(small, odd))
            states = self.straight.states
            error = f.at(self.rows["U"], self.form.vector, (len(self.tableau.m) - 1) * states)
            largest, worst = f.variable(self.form.real, -1.0), f.variable(I64, 0)
            with f.each(states) as i:
                size = self._weighted(error, i)[0].intrinsic("fabs").element(lane)
                # as `argmax` has it: the first number that is none, else the first of the largest
                better = (~size.is_("<=", largest.get())) & largest.get().is_("==", largest.get())
                worst.set(better.where(i, worst.get()))
                largest.set(better.where(size, largest.get()))
            self.set("worst", lane, worst.get())

        self._each_lane(fails, note)

    def _element(self, mask: Value, lane: Value) -> Value:
        return self._bits(mask).whole("lshr", lane).to("i1", "trunc")

    def _bits(self, mask: Value) -> Value:
        """A mask as the bits of an integer."""
        width = self.form.width
        return mask.to(f"i{width}", "bitcast").to(I64, "zext")

    def _each_lane(self, mask: Value, body: Callable[[Value], None]) -> None:
        """The body for each lane of a mask."""
        f = self.f
        left = f.variable(I64, 0)
        left.set(self._bits(mask))
        with f.as_long_as(lambda: left.get().is_("!=", 0)):
            now = left.get()
            body(now.intrinsic("cttz"))
            left.set(now.whole("and", now - 1))

    # ------------------------------------------------------------ records of steps
    def _note_steps(self, moves: Value, share: Value, reaches: Value) -> None:
        """Write down the steps of this turn that moved."""
        shares = self.f.room(self.form.vector)
        self.f.store(share, shares)
        bits = self._bits(reaches)
        self._each_lane(
            moves,
            lambda lane: self._note_step(
                lane, self.f.load(shares, self.form.real, lane), bits.whole("lshr", lane).whole("and", 1)
            ),
        )

    def _note_step(self, lane: Value, share: Value, last: Value) -> None:
        f, slots = self.f, self.given.sizes["slots"]
        at = self.get("lane", lane) * slots + self.get("accepted", lane).to(I64, "fptosi")
        states = self.straight.states
        to = f.at(self.arrays["states"], self.form.real, at * states)
        with f.each(states) as i:
            f.store(f.load(self.place("y", i, lane), self.form.real), to, i)
        f.store(share, self.arrays["shares"], at)
        first = self.get("tau", lane).is_("==", 0.0).to(I64, "zext")
        code = self.get("k", lane) * 4 + last * 2 + first
        f.store(code.to(I32, "trunc"), self.arrays["places"], at)

    # ------------------------------------------------------------ what a lane does next
    def serve(self) -> None:
        """Bring every pending lane to where it can step again, or let it go."""
        f = self.f
        with f.as_long_as(lambda: self.pending.get().is_("!=", 0)):
            lane = self.pending.get().intrinsic("cttz")
            f.choose(
                self.get("lane", lane).is_("<", 0),
                lambda: self._take(lane),
                lambda: self._go_on(lane),
            )

    def _leave(self, lane: Value) -> None:
        """The lane is no longer pending."""
        bit = self.f.number(I64, 1).whole("shl", lane)
        self.pending.set(self.pending.get().whole("and", bit.whole("xor", -1)))

    def _take(self, lane: Value) -> None:
        """Take the next subject, or none if there is none left."""
        f = self.f
        following = f.add_atomically(self.given.queue, 1)

        def rest() -> None:
            self.set("h", lane, 0.0)
            self.set("whole", lane, 1.0)
            self.set("tau", lane, 0.0)
            self._leave(lane)

        def load() -> None:
            self.set("lane", lane, following)
            self.busy.set(self.busy.get() + 1)
            for name in ("k", "ended", "status", "worst", "tau", "again", "accepted", "rejected"):
                self.set(name, lane, 0)
            self.set("active", lane, 1.0)
            self.set("h", lane, FIRST_STEP)
            states = self.straight.states
            start, floor = (self.element(name, lane, 0, states) for name in ("y0", "floor"))
            with f.each(states) as i:
                y = f.load(start, self.form.real, i)
                f.store(y, self.place("y", i, lane))
                size, least = y.intrinsic("fabs"), f.load(floor, self.form.real, i)
                f.store(size.larger(least), self.place("peak", i, lane))
            self._load_values(lane)

        f.choose(following.is_(">=", self.given.sizes["lanes"]), rest, load)

    def _load_values(self, lane: Value) -> None:
        """The values of a lane's subject, and what follows from them."""
        f, real = self.f, self.form.real
        varied = self.element("varied", lane, 0, self.given.sizes["varied_count"])
        with f.each(self.straight.values) as i:
            source = f.load(self.arrays["source"], I32, i).to(I64, "sext")
            shared = source.is_(">=", 0)
            base = shared.where(self.arrays["fixed"], varied)
            value = f.load(base, real, shared.where(source, -1 - source))
            f.store(value, self.place("p", i, lane))
        f.call(self.straight.subject, self.rows["p"], self.rows["inv"])

    def _go_on(self, lane: Value) -> None:
        f, states = self.f, self.straight.states
        with f.when(self.get("ended", lane).is_("!=", 0)):
            self._show(lane, self.get("k", lane), lambda i: f.load(self.place("y", i, lane), self.form.real))
            self.set("k", lane, self.get("k", lane) + 1)
            self.set("ended", lane, 0)
        through = self.get("k", lane).is_(">=", self.count)
        tried = self.get("accepted", lane) + self.get("rejected", lane)
        fine = self.get("status", lane).is_("==", 0)
        with f.when(~through & fine & tried.is_(">=", self.most)):
            self.set("status", lane, int(Status.TOO_MANY_STEPS))
        over = through | self.get("status", lane).is_("!=", 0)
        f.choose(over, lambda: self._finish(lane), lambda: self._enter(lane))

    def _finish(self, lane: Value) -> None:
        """Write what became of a lane."""
        f, states, number = self.f, self.straight.states, self.get("lane", lane)
        f.store(self.get("status", lane).to(I8, "trunc"), self.arrays["status"], number)
        for name in ("accepted", "rejected"):
            f.store(self.get(name, lane).to(I32, "fptosi"), self.arrays[name], number)
        f.store(self.get("k", lane).to(I32, "trunc"), self.arrays["interval"], number)
        f.store(self.get("worst", lane).to(I32, "trunc"), self.arrays["worst"], number)
        f.store(self.get("tau", lane), self.arrays["tau"], number)
        to = self.element("last", lane, 0, states)
        with f.each(states) as i:
            f.store(f.load(self.place("y", i, lane), self.form.real), to, i)
        # intervals that were not reached end in no number
        with f.each(self.count, self.get("k", lane)) as k:
            self._show(lane, k, lambda _: f.number(self.form.real, float("nan")))
        self.set("lane", lane, -1)
        self.set("active", lane, 0.0)
        self.busy.set(self.busy.get() - 1)

    def _show(self, lane: Value, k: Value, value: Callable[[Value], Value]) -> None:
        """Write the state at the end of an interval, if it is looked at."""
        f, states = self.f, self.straight.states
        row = f.load(self.interval("rows", lane, k), I32).to(I64, "sext")
        with f.when(row.is_(">=", 0)):
            look = self.get("lane", lane) * self.given.sizes["looks"] + row
            to = f.at(self.arrays["ends"], self.form.real, look * states)
            with f.each(states) as i:
                f.store(value(i), to, i)

    def _enter(self, lane: Value) -> None:
        """The start of an interval: what is kept, what is added, what flows, which inputs hold."""
        f, real = self.f, self.form.real
        k = self.get("k", lane)
        start = k.is_("==", 0)
        eventful, forced = f.variable("i1", 0), f.variable("i1", 0)
        forced.set(start)
        keep = f.load(self.interval("keep", lane, k), real)
        eventful.set(start | keep.is_("!=", 1.0))
        with f.when(keep.is_("!=", 1.0)), f.each(self.straight.states) as i:
            place = self.place("y", i, lane)
            f.store(f.load(place, real) * keep, place)
        channels = self.straight.channels
        jumps, inflows = (self.interval(name, lane, k, len(channels)) for name in ("jump", "inflow"))
        for c, state in enumerate(channels):
            jump, inflow = f.load(jumps, real, c), f.load(inflows, real, c)
            place, flowing = self.place("y", state, lane), self.place("inflow", c, lane)
            f.store(f.load(place, real) + jump, place)
            changes = jump.is_("!=", 0.0) | inflow.is_("!=", f.load(flowing, real))
            eventful.set(eventful.get() | changes)
            f.store(inflow, flowing)
        forcings = self.interval("forcing", lane, k, self.straight.forcings)
        with f.each(self.straight.forcings) as i:
            given, held = f.load(forcings, real, i), self.place("u", i, lane)
            forced.set(forced.get() | given.is_("!=", f.load(held, real)))
            f.store(given, held)
        with f.when(forced.get()):
            f.call(self.straight.forcing, self.rows["u"], self.rows["inv"])
        with f.when(eventful.get() | forced.get()):
            again, h = self.get("again", lane), self.get("h", lane)
            self.set("h", lane, h.smaller(again.is_(">", 0.0).where(again, FIRST_STEP)))
            self.set("fresh", lane, 1.0)
        whole = f.load(self.interval("length", lane, k), real)
        self.set("whole", lane, whole)
        self.set("tau", lane, 0.0)

        def pass_over() -> None:
            """No step: only its jump, which cannot fail."""
            if self.record:
                self._note_step(lane, f.number(real, 1.0), f.number(I64, 1))
            with f.each(self.straight.states) as i:
                peak = self.place("peak", i, lane)
                size = f.load(self.place("y", i, lane), real).intrinsic("fabs")
                f.store(f.load(peak, real).larger(size), peak)
            self.set("accepted", lane, self.get("accepted", lane) + 1.0)
            self.set("ended", lane, 1)

        f.choose(whole.is_(">", 0.0), lambda: self._leave(lane), pass_over)


_EPSILON = {"double": 2.0**-52, "float": 2.0**-23}

"""The lanes of a register: what a kernel keeps of each of them on the stack, and how they come and go.

A lane holds one subject at a time. `pending` are the lanes that something must be decided for, one by one, before all of them take
their next step together; a lane that is through makes room for the next subject of the queue, which several threads may share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nanomg.solver.native.arguments import Arguments
from nanomg.solver.native.ir import I32, I64, Function, Module, Value
from nanomg.solver.native.straight import Straight


class Register:
    """The lanes side by side in a kernel. `rows` are arrays of vectors, `reals` and `integers` one number for each lane."""

    def __init__(
        self,
        kernel: Function,
        module: Module,
        straight: Straight,
        given: Arguments,
        rows: Mapping[str, int],
        reals: Sequence[str],
        integers: Sequence[str],
    ):
        self.f, self.form, self.straight, self.given, self.arrays = kernel, module.form, straight, given, given.arrays
        self.sizes = {name: max(size, 1) for name, size in rows.items()}
        self.rows = {name: kernel.room(self.form.vector, size) for name, size in self.sizes.items()}
        self.reals = {name: kernel.room(self.form.vector) for name in reals}
        self.integers = {name: kernel.room(I64, self.form.width) for name in integers}
        self.pending = kernel.variable(I64, (1 << self.form.width) - 1)
        self.busy = kernel.variable(I64, 0)  # lanes that have a subject
        for name, size in self.sizes.items():
            self.clear(name, size)
        for name in reals:
            self.set_all(name, 0.0)
        with kernel.each(self.form.width) as lane:
            self.set("lane", lane, -1)

    def clear(self, name: str, size: int) -> None:
        """Zeros in an array of vectors."""
        with self.f.each(size) as i:
            self.f.store(self.f.number(self.form.vector, 0.0), self.rows[name], i)

    def any_left(self) -> Value:
        """Whether a lane has a subject."""
        return self.busy.get().is_("!=", 0)

    # ------------------------------------------------------------ one number of one lane, or of all
    def get(self, name: str, lane: Value) -> Value:
        """A number of one lane."""
        if name in self.integers:
            return self.f.load(self.integers[name], I64, lane)
        return self.f.load(self.reals[name], self.form.real, lane)

    def set(self, name: str, lane: Value, value: Value | float) -> None:
        """Give a lane another number."""
        real = name not in self.integers
        place, kind = (self.reals[name], self.form.real) if real else (self.integers[name], I64)
        self.f.store(value if isinstance(value, Value) else self.f.number(kind, value), place, lane)

    def place(self, name: str, row: Value | int, lane: Value) -> Value:
        """The address of one lane in a row of vectors."""
        return self.f.at(self.f.at(self.rows[name], self.form.vector, row), self.form.real, lane)

    def all(self, name: str) -> Value:
        """A number of every lane."""
        return self.f.load(self.reals[name], self.form.vector)

    def set_all(self, name: str, value: Value | float) -> None:
        """Give every lane another number."""
        self.f.store(value if isinstance(value, Value) else self.f.number(self.form.vector, value), self.reals[name])

    def element(self, array: str, lane: Value, row: Value | int, rows: Value | int) -> Value:
        """The address of (lane, row) of an array of real numbers."""
        offset = self.get("lane", lane) * rows + row
        return self.f.at(self.arrays[array], self.form.real, offset)

    def interval(self, array: str, lane: Value, k: Value, width: int = 1) -> Value:
        """The address of (lane, interval) of an array that lanes may share, `width` numbers for each interval."""
        offset = self.get("lane", lane) * self.given.sizes[f"{array}_stride"] + k * width
        return self.f.at(self.arrays[array], I32 if array == "rows" else self.form.real, offset)

    def is_in(self, mask: Value, lane: Value) -> Value:
        """Whether a mask holds in a lane."""
        return self.bits(mask).whole("lshr", lane).to("i1", "trunc")

    def bits(self, mask: Value) -> Value:
        """A mask as the bits of an integer."""
        width = self.form.width
        return mask.to(f"i{width}", "bitcast").to(I64, "zext")

    def each_lane(self, mask: Value, body: Callable[[Value], None]) -> None:
        """The body for each lane of a mask."""
        f = self.f
        left = f.variable(I64, 0)
        left.set(self.bits(mask))
        with f.as_long_as(lambda: left.get().is_("!=", 0)):
            now = left.get()
            body(now.intrinsic("cttz"))
            left.set(now.whole("and", now - 1))

    # ------------------------------------------------------------ coming and going
    def serve(self, load: Callable[[Value], None], go_on: Callable[[Value], None]) -> None:
        """Until no lane is pending: `load` a lane that has just taken a subject, `go_on` with one that has had it before."""
        f = self.f
        with f.as_long_as(lambda: self.pending.get().is_("!=", 0)):
            lane = self.pending.get().intrinsic("cttz")
            f.choose(self.get("lane", lane).is_("<", 0), lambda: self._take(lane, load), lambda: go_on(lane))

    def ready(self, lane: Value) -> None:
        """The lane is no longer pending."""
        bit = self.f.number(I64, 1).whole("shl", lane)
        self.pending.set(self.pending.get().whole("and", bit.whole("xor", -1)))

    def let_go(self, lane: Value) -> None:
        """The lane is through with its subject."""
        self.set("lane", lane, -1)
        self.set("active", lane, 0.0)
        self.busy.set(self.busy.get() - 1)

    def _take(self, lane: Value, load: Callable[[Value], None]) -> None:
        """Take the next subject, or none if there is none left."""
        following = self.f.add_atomically(self.given.queue, 1)

        def fill() -> None:
            self.set("lane", lane, following)
            self.set("active", lane, 1.0)
            self.busy.set(self.busy.get() + 1)
            load(lane)

        self.f.choose(following.is_(">=", self.given.sizes["lanes"]), lambda: self.ready(lane), fill)

    def read(self, array: Value, count: int, name: str, lane: Value) -> None:
        """Numbers that lie side by side in memory, into one lane of an array of vectors."""
        with self.f.each(count) as i:
            self.f.store(self.f.load(array, self.form.real, i), self.place(name, i, lane))

    def write(self, name: str, count: int, lane: Value, array: Value) -> None:
        """One lane of an array of vectors, side by side into memory."""
        with self.f.each(count) as i:
            self.f.store(self.f.load(self.place(name, i, lane), self.form.real), array, i)

    def wipe(self, name: str, lane: Value, keep: Value, states: int, wiped: Sequence[Sequence[int]]) -> None:
        """Zeros for what the code `keep` of an interval takes away: all states, or one of the groups `wiped`."""
        nothing = self.f.number(self.form.real, 0.0)
        with self.f.when(keep.is_("==", 0.0)), self.f.each(states) as i:
            self.f.store(nothing, self.place(name, i, lane))
        for number, rows in enumerate(wiped):
            with self.f.when(keep.is_("==", 2.0 + number)):
                for row in rows:
                    self.f.store(nothing, self.place(name, row, lane))

    def load_values(self, lane: Value) -> None:
        """The values of a lane's subject, and what follows from them."""
        f, real = self.f, self.form.real
        varied = self.element("varied", lane, 0, self.given.sizes["varied_count"])
        with f.each(len(self.straight.equations.values)) as i:
            source = f.load(self.arrays["source"], I32, i).to(I64, "sext")
            shared = source.is_(">=", 0)
            base = shared.where(self.arrays["fixed"], varied)
            f.store(f.load(base, real, shared.where(source, -1 - source)), self.place("p", i, lane))
        f.call(self.straight.subject, self.rows["p"], self.rows["inv"])

    def load_forcing(self, lane: Value, k: Value, always: Value) -> Value:
        """The inputs that hold in an interval; whether they differ from those before, or `always` holds."""
        f, real = self.f, self.form.real
        forced = f.variable("i1", 0)
        forced.set(always)
        forcings = self.interval("forcing", lane, k, self.straight.equations.forcing)
        with f.each(self.straight.equations.forcing) as i:
            given, before = f.load(forcings, real, i), self.place("u", i, lane)
            forced.set(forced.get() | given.is_("!=", f.load(before, real)))
            f.store(given, before)
        with f.when(forced.get()):
            f.call(self.straight.forcing, self.rows["u"], self.rows["inv"])
        return forced.get()

"""A small typed layer over the text of LLVM IR: values with operators, variables, loops and conditions.

A `Function` collects the lines of one function. A `Value` knows its function and type, so that `a * b + c` emits two operations.
Lanes side by side in a vector register are the elements of vectors; `Format` says how many, and of which precision. Products may be
contracted with sums into one rounding, as XLA does it, and nothing else is reordered.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

_ARITHMETIC = {"+": ("fadd", "add"), "-": ("fsub", "sub"), "*": ("fmul", "mul"), "/": ("fdiv", "sdiv")}
_COMPARE = {
    "<": ("olt", "slt"),
    "<=": ("ole", "sle"),
    ">": ("ogt", "sgt"),
    ">=": ("oge", "sge"),
    "==": ("oeq", "eq"),
    "!=": ("une", "ne"),
}
I1, I8, I32, I64, POINTER = "i1", "i8", "i32", "i64", "ptr"


class Format(NamedTuple):
    """The real numbers of a kernel: `double` or `float`, and how many lanes stand side by side in a register."""

    real: str
    width: int

    @property
    def bytes(self) -> int:
        """Bytes of one real number."""
        return 8 if self.real == "double" else 4

    @property
    def vector(self) -> str:
        """The type of one value in every lane."""
        return f"<{self.width} x {self.real}>"

    @property
    def bits(self) -> str:
        """The integer type as wide as a real number."""
        return I64 if self.real == "double" else I32

    @property
    def integers(self) -> str:
        """A vector of such integers."""
        return f"<{self.width} x {self.bits}>"

    @property
    def mask(self) -> str:
        """A yes or no in every lane."""
        return f"<{self.width} x i1>"


def scalar_of(kind: str) -> str:
    """The type of the elements of a vector, or the type itself."""
    return kind.split()[-1].rstrip(">") if kind.startswith("<") else kind


def is_real(kind: str) -> bool:
    """Whether a type is a real number or a vector of such."""
    return scalar_of(kind) in ("double", "float")


def literal(kind: str, number: float) -> str:
    """A number as a constant of this type; in every lane of a vector."""
    if is_real(kind):
        exact = struct.unpack("f", struct.pack("f", number))[0] if scalar_of(kind) == "float" else float(number)
        text = f"0x{struct.unpack('>Q', struct.pack('>d', exact))[0]:016X}"
    else:
        text = str(int(number))
    return f"splat ({scalar_of(kind)} {text})" if kind.startswith("<") else text


class Value:
    """A value of a function: its text and type. Operators emit operations; numbers beside it become constants of its type."""

    __slots__ = ("function", "kind", "text")

    def __init__(self, function: Function, kind: str, text: str):
        self.function, self.kind, self.text = function, kind, text

    def _other(self, other: Value | float) -> str:
        return other.text if isinstance(other, Value) else literal(self.kind, other)

    def _two(self, sign: str, left: str, right: str) -> Value:
        real = is_real(self.kind)
        operation = _ARITHMETIC[sign][0 if real else 1]
        return self.function.emit(self.kind, f"{operation}{' contract' if real else ''} {self.kind} {left}, {right}")

    def __add__(self, other: Value | float) -> Value:
        return self._two("+", self.text, self._other(other))

    def __radd__(self, other: float) -> Value:
        return self._two("+", self._other(other), self.text)

    def __sub__(self, other: Value | float) -> Value:
        return self._two("-", self.text, self._other(other))

    def __rsub__(self, other: float) -> Value:
        return self._two("-", self._other(other), self.text)

    def __mul__(self, other: Value | float) -> Value:
        return self._two("*", self.text, self._other(other))

    def __rmul__(self, other: float) -> Value:
        return self._two("*", self._other(other), self.text)

    def __truediv__(self, other: Value | float) -> Value:
        return self._two("/", self.text, self._other(other))

    def __rtruediv__(self, other: float) -> Value:
        return self._two("/", self._other(other), self.text)

    def __neg__(self) -> Value:
        if is_real(self.kind):
            return self.function.emit(self.kind, f"fneg {self.kind} {self.text}")
        return self._two("-", literal(self.kind, 0), self.text)

    def is_(self, sign: str, other: Value | float) -> Value:
        """Comparison by `<`, `<=`, `>`, `>=`, `==` or `!=`; with a number that is none only `!=` holds."""
        real = is_real(self.kind)
        kind = self.kind.replace(scalar_of(self.kind), "i1") if self.kind.startswith("<") else I1
        how = f"{'fcmp' if real else 'icmp'} {_COMPARE[sign][0 if real else 1]}"
        return self.function.emit(kind, f"{how} {self.kind} {self.text}, {self._other(other)}")

    def whole(self, operation: str, other: Value | int) -> Value:
        """An operation of integers by its name in LLVM: `and`, `or`, `xor`, `shl`, `lshr`, `ashr`."""
        return self.function.emit(self.kind, f"{operation} {self.kind} {self.text}, {self._other(other)}")

    def __and__(self, other: Value) -> Value:
        return self.whole("and", other)

    def __or__(self, other: Value) -> Value:
        return self.whole("or", other)

    def __invert__(self) -> Value:
        """Not, of a mask or of single yes or no."""
        ones = "splat (i1 true)" if self.kind.startswith("<") else "true"
        return self.function.emit(self.kind, f"xor {self.kind} {self.text}, {ones}")

    def where(self, yes: Value, no: Value | float) -> Value:
        """`yes` where this mask holds, else `no`."""
        other = no.text if isinstance(no, Value) else literal(yes.kind, no)
        return self.function.emit(
            yes.kind, f"select {self.kind} {self.text}, {yes.kind} {yes.text}, {yes.kind} {other}"
        )

    def to(self, kind: str, how: str) -> Value:
        """A conversion by its name in LLVM: `bitcast`, `sitofp`, `fptosi`, `zext`, `sext`, `trunc`, `fpext`, `fptrunc`."""
        return self if kind == self.kind else self.function.emit(kind, f"{how} {self.kind} {self.text} to {kind}")

    def intrinsic(self, name: str, *others: Value) -> Value:
        """An intrinsic function of this type: `fabs`, `sqrt`, `maxnum`, `cttz`…"""
        short = self.kind
        if self.kind.startswith("<"):
            count, element = self.kind[1:-1].split(" x ")
            short = f"v{count}{_SHORT[element]}"
        else:
            short = _SHORT[self.kind]
        arguments = ", ".join(f"{v.kind} {v.text}" for v in (self, *others))
        extra = {"cttz": ", i1 false", "ctlz": ", i1 false"}.get(name, "")
        kinds = ", ".join([*(v.kind for v in (self, *others)), *(["i1"] if extra else [])])
        symbol = f"@llvm.{name}.{short}"
        self.function.declare(f"declare {self.kind} {symbol}({kinds})")
        return self.function.emit(self.kind, f"call {self.kind} {symbol}({arguments}{extra})")

    def larger(self, other: Value | float) -> Value:
        """The larger of two; of a number that is none and another, the other."""
        return self.is_(">", other).where(self, other)

    def smaller(self, other: Value | float) -> Value:
        """The smaller of two; of a number that is none and another, the other."""
        return self.is_("<", other).where(self, other)

    def element(self, lane: Value | int) -> Value:
        """One lane of a vector."""
        at = lane.text if isinstance(lane, Value) else str(lane)
        return self.function.emit(scalar_of(self.kind), f"extractelement {self.kind} {self.text}, i64 {at}")

    def set_element(self, lane: Value | int, value: Value) -> Value:
        """The vector with another value in one lane."""
        at = lane.text if isinstance(lane, Value) else str(lane)
        return self.function.emit(
            self.kind, f"insertelement {self.kind} {self.text}, {value.kind} {value.text}, i64 {at}"
        )

    def spread(self, kind: str) -> Value:
        """A single value in every lane of a vector of this type."""
        first = self.function.emit(kind, f"insertelement {kind} poison, {self.kind} {self.text}, i64 0")
        count = kind[1:].split()[0]
        mask = f"<{count} x i32> zeroinitializer"
        return self.function.emit(kind, f"shufflevector {kind} {first.text}, {kind} poison, {mask}")


_SHORT = {"double": "f64", "float": "f32", "i64": "i64", "i32": "i32", "i8": "i8", "i1": "i1"}


class StackVariable:
    """A place on the stack that the optimiser turns into a register."""

    def __init__(self, function: Function, kind: str, place: Value):
        self.function, self.kind, self.place = function, kind, place

    def get(self) -> Value:
        """Its value now."""
        return self.function.load(self.place, self.kind)

    def set(self, value: Value | float) -> None:
        """Give it another value."""
        self.function.store(value if isinstance(value, Value) else self.function.number(self.kind, value), self.place)


class Function:
    """The lines of one function of a module. `parameters` are pairs of type and name; `attributes` follow the name."""

    def __init__(
        self,
        module: Module,
        name: str,
        parameters: Sequence[tuple[str, str]],
        returns: str = "void",
        attributes: str = "nounwind",
        shared: bool = False,
    ):
        self.module, self.name, self.returns = module, name, returns
        self._head = ", ".join(f"{kind} %{label}" for kind, label in parameters)
        self._kinds = [kind.split()[0] if kind.startswith("ptr") else kind for kind, _ in parameters]
        self._open = f"define {'' if shared else 'internal '}{returns} @{name}({self._head}) {attributes} {{"
        self._places: list[str] = []
        self._lines: list[str] = []
        self._count = 0
        self.arguments = [
            Value(self, kind, f"%{label}") for kind, (_, label) in zip(self._kinds, parameters, strict=True)
        ]
        module.functions.append(self)

    # ------------------------------------------------------------ values
    def emit(self, kind: str, operation: str) -> Value:
        """The result of an operation given as text."""
        self._count += 1
        self._lines.append(f"  %v{self._count} = {operation}")
        return Value(self, kind, f"%v{self._count}")

    def number(self, kind: str, number: float) -> Value:
        """A constant."""
        return Value(self, kind, literal(kind, number))

    def declare(self, line: str) -> None:
        """Make a function from elsewhere known."""
        self.module.declarations[line] = None

    def call(self, function: Function, *arguments: Value) -> Value | None:
        """Call another function of the module; its result, if it has one."""
        given = ", ".join(f"{v.kind} {v.text}" for v in arguments)
        if function.returns == "void":
            self._lines.append(f"  call void @{function.name}({given})")
            return None
        return self.emit(function.returns, f"call {function.returns} @{function.name}({given})")

    # ------------------------------------------------------------ memory
    def room(self, kind: str, count: int = 1, align: int = 64) -> Value:
        """Room for `count` values on the stack, for as long as the function runs; not set to anything."""
        self._count += 1
        self._places.append(f"  %v{self._count} = alloca {kind}, i64 {count}, align {align}")
        return Value(self, POINTER, f"%v{self._count}")

    def variable(self, kind: str, first: Value | float) -> StackVariable:
        """A variable with its first value, set where this is called."""
        made = StackVariable(self, kind, self.room(kind, align=64))
        made.set(first)
        return made

    def at(self, place: Value, kind: str, index: Value | int) -> Value:
        """The address of the element with this index of an array of `kind`."""
        offset = f"{index.kind} {index.text}" if isinstance(index, Value) else f"i64 {index}"
        return self.emit(POINTER, f"getelementptr inbounds {kind}, ptr {place.text}, {offset}")

    def load(self, place: Value, kind: str, index: Value | int | None = None, align: int = 0) -> Value:
        """What an address, or an element of an array, holds."""
        where = place if index is None else self.at(place, kind, index)
        return self.emit(kind, f"load {kind}, ptr {where.text}" + (f", align {align}" if align else ""))

    def store(self, value: Value, place: Value, index: Value | int | None = None, align: int = 0) -> None:
        """Write to an address or to an element of an array."""
        where = place if index is None else self.at(place, value.kind, index)
        self._lines.append(
            f"  store {value.kind} {value.text}, ptr {where.text}" + (f", align {align}" if align else "")
        )

    def add_atomically(self, place: Value, amount: int) -> Value:
        """Increase an integer that other threads increase too; its value before."""
        return self.emit(I64, f"atomicrmw add ptr {place.text}, i64 {amount} monotonic")

    # ------------------------------------------------------------ control
    def _label(self, name: str) -> None:
        self._lines.append(f"{name}:")

    def _jump(self, name: str) -> None:
        self._lines.append(f"  br label %{name}")

    def _branch(self, condition: Value, yes: str, no: str) -> None:
        self._lines.append(f"  br i1 {condition.text}, label %{yes}, label %{no}")

    def _names(self, *parts: str) -> list[str]:
        self._count += 1
        return [f"{part}{self._count}" for part in parts]

    @contextlib.contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """The body runs only if the condition holds."""
        yes, after = self._names("then", "after")
        self._branch(condition, yes, after)
        self._label(yes)
        yield
        self._jump(after)
        self._label(after)

    def choose(self, condition: Value, yes: Callable[[], None], no: Callable[[], None]) -> None:
        """One body or the other."""
        first, second, after = self._names("then", "else", "after")
        self._branch(condition, first, second)
        self._label(first)
        yes()
        self._jump(after)
        self._label(second)
        no()
        self._jump(after)
        self._label(after)

    @contextlib.contextmanager
    def as_long_as(self, condition: Callable[[], Value]) -> Iterator[None]:
        """The body again and again while the condition, worked out before each turn, holds."""
        test, body, after = self._names("test", "body", "after")
        self._jump(test)
        self._label(test)
        self._branch(condition(), body, after)
        self._label(body)
        yield
        self._jump(test)
        self._label(after)

    @contextlib.contextmanager
    def each(self, count: Value | int, first: Value | int = 0) -> Iterator[Value]:
        """The body for each index from `first` to below `count` (i64)."""
        index = self.variable(I64, first)
        with self.as_long_as(lambda: index.get().is_("<", count)):
            now = index.get()
            yield now
            index.set(now + 1)

    def done(self, value: Value | None = None) -> None:
        """The end of the function."""
        self._lines.append("  ret void" if value is None else f"  ret {value.kind} {value.text}")

    @property
    def text(self) -> str:
        """The function as LLVM reads it."""
        return "\n".join([self._open, "entry:", *self._places, *self._lines, "}"])


class Module:
    """Functions that are compiled together."""

    def __init__(self, form: Format):
        self.form = form
        self.functions: list[Function] = []
        self.declarations: dict[str, None] = {}

    def function(
        self,
        name: str,
        *parameters: tuple[str, str],
        returns: str = "void",
        attributes: str = "nounwind",
        shared: bool = False,
    ) -> Function:
        """A new function; a `shared` one is found by its name in the compiled code."""
        return Function(self, name, parameters, returns, attributes, shared)

    @property
    def text(self) -> str:
        """The module as LLVM reads it."""
        return "\n\n".join([*self.declarations, *(f.text for f in self.functions)]) + "\n"

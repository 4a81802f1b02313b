"""Files and texts changed at random from a seed, and what comes of each: a result, or one sentence."""

from __future__ import annotations

import contextlib
import re
import signal
import time
import traceback
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from nanomg.errors import NanomgError

LONGEST = 4000  # [bytes] of a sentence
PATIENCE = 10.0  # [s] of the processor for a mutant

_TOKEN = re.compile(r'"""(?s:.*?)"""|"[^"\n]*"|[-+]?\d[\w.+-]*|[\w.-]+|\[\[|\]\]|[\[\]{}=,]')
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_UNIT = re.compile(r"(?<=\d )[A-Za-z%µ][\w/*^%µ .()-]*")

NUMBERS = (
    "0",
    "-1",
    "-0.0",
    "1e-320",
    "1e308",
    "1e400",
    "nan",
    "inf",
    "-inf",
    "9" * 400,
    "9" * 25,
    "1_000",
    "0x1F",
    "7",
)
PLAUSIBLE = ("0.001", "0.5", "1.5", "3", "12", "48", "2000", "1e-6", "1e6")
UNITS = (
    "",
    "h",
    "L",
    "mg",
    "mL/h",
    "mmol/L",
    "hh",
    "1",
    "%",
    "mL/h/h",
    "kg^9",
    "m^1e3",
    "degC",
    "dB",
    "(" * 40,
    "µg",
    "1/(",
    "cell",
)
TEXTS = (
    "",
    " ",
    "\\u001b[31mred",
    "\\u0000",
    "\\u202eright to left",
    "=1+1",
    "ä" * 200,
    "x" * 100_000,
    "1" + " " * 50_000 + "x",
    "../../../etc/passwd",
    "/dev/zero",
    "1 mg q 0 h x 3",
    "1 mg q 1 h x 999999999",
    "1 mg q 1e-9 h x 9999",
    "true",
    "pk.C",
    "a\\nb\\rc",
)
VALUES = (
    "true",
    "[]",
    "{}",
    "[[[[]]]]",
    "[1, 'a', {}]",
    "{ a = 1 }",
    "1979-05-27T07:32:00Z",
    "07:32:00",
    "[" * 60 + "]" * 60,
    "[" * 3000,
    '""',
    "-0",
    "'''a\nb'''",
)
BYTES = (
    b"\x00",
    b"\x1b[2J",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\r",
    b"\x7f",
    b"\xe2\x80\xae",
    b'"',
    b"[",
    b"]]",
)


# ---------------------------------------------------------------- mutants
def mutant_of(text: str, rng: Random, names: Sequence[str] = ()) -> bytes:
    """A TOML file with one to three changes; `names` are words that may take the place of others."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        text = rng.choice(_CHANGES)(text, rng, names)
    content = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        content = changed_bytes(content, rng)
    return content


def changed_bytes(content: bytes, rng: Random) -> bytes:
    """One place of a file changed: a bit, a byte, an insertion or a cut."""
    at = rng.randrange(len(content) + 1)
    kind = rng.randrange(4)
    if kind == 0 and at < len(content):
        return flipped(content, 8 * at + rng.randrange(8))
    if kind == 1:
        return content[:at]
    if kind == 2:
        return content[:at] + content[at + rng.randrange(1, 40) :]
    return content[:at] + rng.choice(BYTES) + content[at:]


def flipped(content: bytes, bit: int) -> bytes:
    """The content with one bit flipped."""
    image = bytearray(content)
    image[bit // 8] ^= 1 << bit % 8
    return bytes(image)


def changed_text(text: str, rng: Random, names: Sequence[str] = ()) -> str:
    """An option's value with a change: of a number, a unit or a name, or of letters."""
    kind = rng.randrange(7)
    if kind == 0:
        return _replaced(_NUMBER, text, rng, rng.choice((NUMBERS, PLAUSIBLE)))
    if kind == 1:
        return _replaced(_UNIT, text, rng, UNITS)
    if kind == 2 and names:
        return _replaced(re.compile(r"[A-Za-z_][\w.]*"), text, rng, names)
    if kind == 3:
        at = rng.randrange(len(text) + 1)
        return text[:at] + rng.choice((*":=,.;/*^()[]{}\"'\\ \t\n\x1b\x07\u202e", "..", "é", "log", "then")) + text[at:]
    if kind == 4 and text:
        at = rng.randrange(len(text))
        return text[:at] + text[at + rng.randrange(1, 6) :]
    if kind == 5:
        return text * rng.choice((2, 3, 500))
    return rng.choice([*TEXTS, *NUMBERS])


def _replaced(pattern: re.Pattern[str], text: str, rng: Random, by: Sequence[str]) -> str:
    places = list(pattern.finditer(text))
    if not places:
        return text
    place = rng.choice(places)
    return text[: place.start()] + rng.choice(by) + text[place.end() :]


def _number(text: str, rng: Random, names: Sequence[str]) -> str:
    return _replaced(_NUMBER, text, rng, rng.choice((NUMBERS, PLAUSIBLE)))


def _unit(text: str, rng: Random, names: Sequence[str]) -> str:
    return _replaced(_UNIT, text, rng, UNITS)


def _name(text: str, rng: Random, names: Sequence[str]) -> str:
    words = [*_TOKEN.findall(text), *names] if rng.random() < 0.5 or not names else names
    return _replaced(re.compile(r'"[^"\n]+"|\b[a-z_]+(?= =)'), text, rng, words)


def _text(text: str, rng: Random, names: Sequence[str]) -> str:
    return _replaced(re.compile(r'(?<=")[^"\n]*(?=")'), text, rng, TEXTS)


def _value(text: str, rng: Random, names: Sequence[str]) -> str:
    return _replaced(re.compile(r"(?<== )[^\n]+"), text, rng, [*VALUES, *NUMBERS])


def _key(text: str, rng: Random, names: Sequence[str]) -> str:
    keys = re.findall(r"^[\w.\"-]+(?= =)", text, re.MULTILINE) or ["a"]
    by = [*keys, "a.b.c", '"a b"', "a." * 300 + "a", "text", "rate", "addl", "ii", "ss", "evid"]
    return _replaced(re.compile(r"\b[\w]+(?= = )"), text, rng, by)


def _token(text: str, rng: Random, names: Sequence[str]) -> str:
    places = list(_TOKEN.finditer(text))
    if len(places) < 2:
        return text
    one, other = sorted(rng.sample(places, 2), key=lambda place: place.start())
    kind = rng.randrange(3)
    if kind == 0:
        return text[: one.start()] + text[one.end() :]
    if kind == 1:
        return text[: one.end()] + " " + other.group() + text[one.end() :]
    between = text[one.end() : other.start()]
    return text[: one.start()] + other.group() + between + one.group() + text[other.end() :]


def _line(text: str, rng: Random, names: Sequence[str]) -> str:
    lines = text.splitlines(keepends=True)
    at, to = (rng.randrange(len(lines) or 1) for _ in range(2))
    kind = rng.randrange(4)
    if kind == 0:
        del lines[at : at + 1]
    elif kind == 1:
        lines.insert(to, lines[at] if lines else "\n")
    elif kind == 2:
        lines[at:at], lines[to:to] = lines[to : to + 3], lines[at : at + 3]
    else:
        lines.insert(
            at, rng.choice(("[dose]\n", "[[input]]\n", "[parameters]\n", "[a.b]\n", "[[free]]\n", "x = 1\n", "# é\n"))
        )
    return "".join(lines)


def _table(text: str, rng: Random, names: Sequence[str]) -> str:
    tables = re.split(r"(?m)^(?=\[)", text)
    at = rng.randrange(len(tables))
    if rng.random() < 0.5:
        del tables[at]
    else:
        tables.insert(at, tables[at] * rng.choice((1, 1, 30)))
    return "".join(tables)


_CHANGES = (_number, _number, _unit, _unit, _name, _name, _text, _value, _value, _key, _token, _line, _table)


# ---------------------------------------------------------------- what comes of them
def sentence_of(act: Callable[[], Any], what: object) -> str:
    """The sentence with which an act is refused, or "" where it has a result. Anything else fails the test and shows `what`."""
    began = time.monotonic()
    try:
        with _at_most(PATIENCE):
            act()
        found = ""
    except NanomgError as error:
        found = str(error)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        last = "".join(traceback.format_exception(error)[-4:])
        raise AssertionError(
            f"{type(error).__name__} after {time.monotonic() - began:.1f} s\n{last[-3000:]}\n{_shown(what)}"
        ) from None
    assert not (fault := fault_of(found)), f"{fault}: {found[:500]!r}\n{_shown(what)}"
    return found


def fault_of(sentence: str) -> str:
    """What is wrong with a sentence, or ""."""
    if len(sentence.encode("utf-8", "backslashreplace")) >= LONGEST:
        return "too long"
    if any(
        unicodedata.category(letter) in ("Cc", "Zl", "Zp") or letter in "\u202a\u202b\u202d\u202e"
        for letter in sentence
    ):
        return "a control character"
    return "no sentence" if "Traceback" in sentence else ""


def _shown(what: object) -> str:
    text = what.decode("utf-8", "backslashreplace") if isinstance(what, bytes) else str(what)
    return text if len(text) < 6000 else f"{text[:3000]}\n…\n{text[-3000:]}"


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Stop the body after so much time of the processor, or six times as much on the clock."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"still at work after {seconds:g} s")

    timers = ((signal.ITIMER_PROF, signal.SIGPROF, seconds), (signal.ITIMER_REAL, signal.SIGALRM, 6 * seconds))
    before = [signal.signal(number, stop) for _, number, _ in timers]
    for timer, _, limit in timers:
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for (timer, number, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)

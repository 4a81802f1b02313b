"""What can go wrong for a user, as one sentence: what, where, what is allowed."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping

_ALIKE, _STARTS = 0.6, 0.85  # likeness of whole names, and of what was typed with the beginning of a name
_NEARLY = 0.05  # how far behind the best a name may be


_LONGEST, _LONGEST_PLACE, _LONGEST_NAME = 2500, 1000, 100  # [bytes] of a message and of its place; letters of a name
_REORDERING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # letters that turn the direction of a line


def one_line(text: str, most: int = _LONGEST) -> str:
    """Text from outside as a screen may show it: one line of at most `most` bytes, without control characters.

    Example:
        >>> one_line("a\\nb\\x1b[2J")
        'a b\\\\x1b[2J'
    """
    line = " ".join(text[:most].splitlines() + text[-most:].splitlines() if len(text) > 2 * most else text.splitlines())
    line = visible(line)
    coded = line.encode()
    if len(coded) <= most:
        return line
    start, end = coded[: most * 3 // 4], coded[-most // 8 :]
    return f"{start.decode(errors='ignore')} … {end.decode(errors='ignore')}"


def visible(text: str) -> str:
    """Text from outside in which control characters are written out, so that a terminal shows and does not obey them.

    Example:
        >>> visible("\\x1b[2J")
        '\\\\x1b[2J'
    """
    if text.isprintable():
        return text
    hidden = lambda letter: unicodedata.category(letter) in ("Cc", "Cs") or letter in _REORDERING
    return "".join(repr(letter)[1:-1] if hidden(letter) else letter for letter in text)


class NanomgError(Exception):
    """A mistake or limit that the user can act on; shown as one line, never as a traceback."""

    exit_code = 2

    def __init__(self, message: str, where: str | None = None):
        # what a user wrote may hold line breaks, such as a quoted cell of a table
        self.message, self.where = one_line(message), where if where is None else one_line(where, _LONGEST_PLACE)
        super().__init__(self.message if where is None else f"{self.where}: {self.message}")


class InputError(NanomgError):
    """Wrong usage or configuration: an unknown name, a unit of the wrong dimension, a broken file."""


class SimulationError(NanomgError):
    """No trajectory of a simulation reached its end."""

    exit_code = 1


class InfeasibleError(NanomgError):
    """An optimisation ended without a regimen that keeps every limit."""

    exit_code = 3


def unknown(kind: str, name: str, known: Iterable[str], where: str | None = None) -> InputError:
    """The error for a name that does not exist, with the nearest names that do.

    Args:
        kind: what the name should be one of, such as `"parameter"`.
        name: the name that was given.
        known: the names that exist.
        where: the place of the mistake, such as a file or an option.

    Example:
        >>> unknown("card", "Mouse", ["human", "mouse", "mouse-old"]).message
        "there is no card 'Mouse'; did you mean 'mouse' or 'mouse-old'?"
    """
    names = sorted(set(known))
    if near := nearest(name, names):
        *others, last = map(repr, near)
        hint = f"did you mean {' or '.join(filter(None, (', '.join(others), last)))}?"
    else:
        shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        hint = f"known: {shown or 'none'}"
    return InputError(f"there is no {kind} {name!r}; {hint}", where)


def nearest(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The names most like `name`, the best first. Upper and lower case are the same.

    First those that begin with it, the shortest first; then those with a word that begins with it (`volume`, `tumour.volume`);
    then those that differ by few letters, in all or in as much as was typed (`tumor`, `tumour.volume`).

    Args:
        name: what was typed.
        known: the names to choose from.
        most: how many names to give at most.

    Example:
        >>> nearest("tumor", ["tumour.volume", "magnesium.GFR"])
        ['tumour.volume']
    """
    typed = name[:_LONGEST_NAME].casefold()
    names = sorted(known, key=lambda candidate: (len(candidate), candidate))
    folded = {candidate: candidate.casefold() for candidate in names}
    begins = [n for n in names if typed and folded[n].startswith(typed)]
    if not begins:
        begins = [n for n in names if typed and any(gap + typed in folded[n] for gap in ".-_ ")]
    alike = _alike(typed, folded, _ALIKE)
    started = _alike(typed, {n: text[: len(typed) + 1] for n, text in folded.items()}, _STARTS)
    return (begins or list(dict.fromkeys([*alike, *started])))[:most]


def _alike(typed: str, texts: Mapping[str, str], least: float) -> list[str]:
    """The names with a likeness to the typed text of at least `least` and near that of the best, which comes first."""
    matcher = difflib.SequenceMatcher(b=typed)
    likeness = {}
    for name, text in texts.items():
        matcher.set_seq1(text)
        if matcher.real_quick_ratio() >= least and matcher.quick_ratio() >= least:
            likeness[name] = matcher.ratio()
    least = max(least, max(likeness.values(), default=0.0) - _NEARLY)
    return sorted((n for n, ratio in likeness.items() if ratio >= least), key=lambda n: -likeness[n])

"""Cards rewritten: some parameters have new values, and every other character of the file stays."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping

from nanomg.errors import InputError
from nanomg.library.card import Parameter

_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*(?:([A-Za-z0-9_-]+)|"([^"]*)"|'([^']*)')\s*=\s*""")


def rewrite(text: str, parameters: Mapping[str, Parameter], where: str | None = None) -> str:
    """The text of a card with these parameters, by dotted name, in place of its old entries.

    A parameter that the card does not have is added to the end of its group. Raises `InputError` where the card is written in a
    way that cannot be edited line by line.
    """
    lines, missing, ends = text.splitlines(keepends=True), dict(parameters), {}
    group = ""
    for i, line in enumerate(lines):
        if header := _HEADER.match(line):
            group = header[1]
        elif key := _KEY.match(line):
            name = f"{group}.{next(part for part in key.groups() if part is not None)}"
            if name in missing:
                lines[i] = line[: key.end()] + entry(missing.pop(name)) + line[_end(line, key.end()) :]
        if line.strip() and group:
            ends[group] = i
    for name, parameter in missing.items():
        group, _, key_name = name.partition(".")
        added = f"{key_name} = {entry(parameter)}\n"
        if group in ends:
            lines[ends[group]] = lines[ends[group]].rstrip("\r\n") + "\n" + added
        else:
            lines.append(f"\n[{group}]\n{added}")
            ends[group] = len(lines) - 1
    written = "".join(lines)
    wanted = tomllib.loads(text)
    for name, parameter in parameters.items():
        group, _, key_name = name.partition(".")
        wanted.setdefault(group, {})[key_name] = tomllib.loads(f"entry = {entry(parameter)}")["entry"]
    try:
        same = tomllib.loads(written) == wanted
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise InputError(
            "write each parameter of this card on one line, as NAME = { value = …, … }, to have it rewritten",
            where,
        )
    return written


def entry(parameter: Parameter) -> str:
    """A parameter as cards write it."""
    fields = {
        key: getattr(parameter, key)
        for key in ("value", "unit", "low", "high", "cv", "basis", "source", "place", "note")
    }
    written = {key: value for key, value in fields.items() if key in ("value", "unit") or value not in (None, "", 0.0)}
    return "{ " + ", ".join(f"{key} = {_toml(value)}" for key, value in written.items()) + " }"


def _toml(value: str | float) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # a JSON string is a TOML string
    short = float(f"{value:.6g}")
    return repr(int(short)) if short.is_integer() and abs(short) < 1e6 else repr(short)


def _end(line: str, start: int) -> int:
    """Where the value that begins at `start` ends; what follows is a comment or nothing."""
    for i in (i for i in range(start, len(line)) if line[i] == "}"):
        try:
            tomllib.loads(f"value = {line[start : i + 1]}")
        except tomllib.TOMLDecodeError:
            continue
        return i + 1
    return len(line.rstrip("\r\n"))

"""Help pages in plain text: commands and options in named groups, examples and exit codes at the end."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

# groups of options that several commands share, in the order of the page; an option that names none stands under "Options"
MODEL, COMPUTATION, OUTPUT = "Model", "Computation", "Output"

_OPTIONS = "Options"
_COMPLETION = {  # in place of what Typer says
    "install_completion": "Install completion for this shell (bash, zsh, fish, PowerShell).",
    "show_completion": "Print the completion script of this shell.",
}
_NAMES = 30  # columns of a name at most; a longer one stands in a line of its own
_GAP = 2
_NO_BREAK = "\N{NO-BREAK SPACE}"
_TRIVIAL = re.compile(r"  \[x>=[01]\]|; x>=[01](?=\])")  # what any count or seed must be
_WHOLE = re.compile(r"\[[^]]{,40}\]|\"[^\"]{,40}\"")  # notes and quotations, which are not broken


class Example(NamedTuple):
    """A command line that works as it stands, and what it does."""

    command: str
    does: str


class Command(TyperCommand):
    """A command whose page lists arguments, groups of options and examples."""

    examples: Sequence[Example] = ()

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Arguments as they are written, before the options."""
        arguments = [p for p in self.get_params(ctx) if p.param_type_name == "argument"]
        return [*(_argument(p) if p.required else f"[{_argument(p)}]" for p in arguments), "[OPTIONS]"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments and groups of options, all with one column of names."""
        _write_lists(formatter, _parameters(self, ctx))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples."""
        _write_examples(formatter, self.examples)


class CommandGroups(TyperGroup):
    """The program, whose page lists its commands by purpose."""

    examples: Sequence[Example] = ()
    command_class = Command

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """A command, and what belongs to it."""
        return ["COMMAND", "[OPTIONS]"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Commands by group, then the program's own options."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            if not command.hidden:
                first, _, _ = inspect.cleandoc(command.help or "").partition("\n")
                groups.setdefault(getattr(command, "rich_help_panel", None) or "Commands", []).append((name, first))
        _write_lists(formatter, groups)
        _write_lists(formatter, _parameters(self, ctx))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples, and what else there is to say, line by line."""
        _write_examples(formatter, self.examples)
        if self.epilog:
            formatter.write(f"\n{inspect.cleandoc(self.epilog)}\n")


def add(
    commands: typer.Typer, group: str, name: str, function: Callable[..., Any], examples: Iterable[Example]
) -> None:
    """Give a program a command.

    Args:
        commands: the program.
        group: the heading under which `--help` lists the command.
        name: how it is called.
        function: what it does; its parameters are arguments and options, and the first line of its docstring is its summary.
        examples: command lines for the end of its page.
    """
    kind = type("Command", (Command,), {"examples": tuple(examples)})
    commands.command(name, cls=kind, rich_help_panel=group)(function)


def _argument(parameter: Any) -> str:
    """An argument as the usage line has it."""
    name = (parameter.metavar or parameter.name.upper()).strip("[].")
    return f"{name}..." if parameter.nargs != 1 else name


def _parameters(command: Any, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """Names and help of arguments and options, by group: the shared groups last, and help at the end of all."""
    groups: dict[str, list[tuple[str, str]]] = {"Arguments": []}
    shared: dict[str, list[tuple[str, str]]] = {MODEL: [], COMPUTATION: [], OUTPUT: []}
    last: list[tuple[str, str]] = []
    for parameter in command.get_params(ctx):
        if (record := parameter.get_help_record(ctx)) is None:
            continue
        name, text = record[0], _COMPLETION.get(parameter.name, record[1])
        title = getattr(parameter, "rich_help_panel", None) or _OPTIONS
        if parameter.param_type_name == "argument":
            groups["Arguments"].append((_argument(parameter), text.replace("  [required]", "")))
        elif parameter.name == "help":
            last.append((name, text))
        else:
            (shared if title in shared else groups).setdefault(title, []).append((name, _TRIVIAL.sub("", text)))
    filled = {title: rows for title, rows in (groups | shared).items() if rows}
    filled.setdefault(next(reversed(filled), _OPTIONS), []).extend(last)
    return filled


def _write_lists(formatter: Any, groups: dict[str, list[tuple[str, str]]]) -> None:
    names = [name for rows in groups.values() for name, _ in rows]
    column = max((len(name) for name in names if len(name) <= _NAMES), default=_NAMES) + _GAP
    for title, rows in groups.items():
        formatter.write(f"\n{title}:\n")
        for name, text in rows:
            _write_row(formatter, name, text, column)


def _write_row(formatter: Any, name: str, text: str, column: int) -> None:
    whole = _WHOLE.sub(lambda piece: piece[0].replace(" ", _NO_BREAK), text)
    lines = textwrap.wrap(whole, formatter.width - column - _GAP, break_long_words=False, break_on_hyphens=False)
    if len(name) > column - _GAP:
        formatter.write(f"{' ' * _GAP}{name}\n")
        name = ""
    for line in lines or [""]:
        formatter.write(f"{' ' * _GAP}{name.ljust(column)}{line}".replace(_NO_BREAK, " ").rstrip() + "\n")
        name = ""


def _write_examples(formatter: Any, examples: Sequence[Example]) -> None:
    if examples:
        formatter.write("\nExamples:\n")
    for example in examples:
        formatter.write(f"  # {example.does}\n")
        first, *others = _broken(example.command, formatter.width - 4)
        formatter.write(f"  {first}\n" + "".join(f"      {line}\n" for line in others))


def _broken(command: str, width: int) -> list[str]:
    """A command line in lines of that width, broken before options, each but the last with a backslash at its end."""
    pieces = re.split(r" (?=--?[a-z])", command)
    lines = [pieces[0]]
    for piece in pieces[1:]:
        if len(lines[-1]) + len(piece) + 1 > width - 2:
            lines[-1] += " \\"
            lines.append(piece)
        else:
            lines[-1] += f" {piece}"
    return lines

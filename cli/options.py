"""Arguments and options that several commands share, and how their text is read."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import nanomg
from nanomg.cli.help_pages import COMPUTATION, MODEL, OUTPUT
from nanomg.errors import InputError, NanomgError


def complete_scenarios(ctx: typer.Context, incomplete: str) -> list[str]:
    """The names of scenarios that begin as what was typed, from file names alone, so that a shell need not wait."""
    return _stems(("scenarios",), ctx.params.get("library"), incomplete)


def complete_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names that begin as what was typed: scenarios, cards, populations, observation tables, parameters and outputs."""
    folders = ctx.params.get("library")
    found = _stems(("scenarios", "cards", "populations", "observations"), folders, incomplete)
    return found or _dotted(folders, incomplete)


def complete_assignments(ctx: typer.Context, incomplete: str) -> list[str]:
    """`NAME=` of the parameters that begin as what was typed: those of the scenario, where it is named already."""
    if "=" in incomplete:
        return []
    # an option that still lacks its value leaves the arguments before it unread
    scenario = ctx.params.get("scenario") or next(iter(ctx.args), None)
    names = _dotted(ctx.params.get("library"), incomplete, scenario, outputs=False)
    return [f"{name}=" for name in names]


def _files(shelf: str, folders: Sequence[Path] | None) -> dict[str, Path]:
    """The TOML files of a shelf by name."""
    places = [Path(nanomg.__file__).parent / "models", *map(Path, folders or ())]
    return {path.stem: path for place in places for path in place.glob(f"{shelf}/*.toml")}


def _stems(shelves: Sequence[str], folders: Sequence[Path] | None, incomplete: str) -> list[str]:
    names = {name for shelf in shelves for name in _files(shelf, folders)}
    return sorted(name for name in names if name.startswith(incomplete))


def _dotted(
    folders: Sequence[Path] | None, incomplete: str, scenario: str | None = None, outputs: bool = True
) -> list[str]:
    """Dotted names of cards and scenarios that begin as what was typed, or those of one scenario and its cards."""
    cards, scenarios = _files("cards", folders), _files("scenarios", folders)
    if scenario in scenarios:
        scenarios = {scenario: scenarios[scenario]}
        cards = {name: cards[name] for name in _toml(scenarios[scenario]).get("cards", ()) if name in cards}
    names: set[str] = set()
    for card in cards.values():
        names |= {f"{group}.{key}" for group, table in _toml(card).items() if isinstance(table, dict) for key in table}
    for file in map(_toml, scenarios.values()):
        names |= {*file.get("parameters", ()), *(file.get("outputs", ()) if outputs else ())}
    return sorted(name for name in names if name.startswith(incomplete))


def _toml(path: Path) -> dict[str, Any]:
    """The content of a file; nothing of one that is no TOML, as a shell shows no errors while it completes."""
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError):
        return {}


ScenarioName = Annotated[
    str,
    typer.Argument(
        metavar="SCENARIO", help="Name of a scenario, or path of a TOML file.", autocompletion=complete_scenarios
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        rich_help_panel=MODEL,
        metavar="NAME=VALUE",
        help='Set a parameter: --set magnesium.GFR="12 mL/h". Repeatable.',
        autocompletion=complete_assignments,
    ),
]
Doses = Annotated[
    list[str] | None,
    typer.Option(
        "--dose",
        rich_help_panel=MODEL,
        metavar='"PORT: TEXT"',
        help='Replace the doses into a port; other ports keep theirs: --dose "pd1.ip: 0.2 mg q 3 d x 4". '
        '"PORT: none" removes them. Repeatable.',
    ),
]
Events = Annotated[
    Path | None,
    typer.Option(
        "--events",
        rich_help_panel=MODEL,
        metavar="FILE",
        help="Take doses and subjects from this table of events in NONMEM's columns (CSV, .gz or .xlsx).",
    ),
]
EventDoses = Annotated[
    Path | None,
    typer.Option(
        "--events",
        rich_help_panel=MODEL,
        metavar="FILE",
        help="Take the regimens from this table of events of one subject or several, in NONMEM's columns (CSV, .gz or .xlsx).",
    ),
]
SubjectId = Annotated[
    str | None,
    typer.Option(
        "--id", rich_help_panel=MODEL, metavar="ID", help="Only this subject of the event table  [default: all]"
    ),
]
Sort = Annotated[
    bool,
    typer.Option(
        "--sort",
        rich_help_panel=MODEL,
        help="Put the rows of each subject of the event table together, in order of time.",
    ),
]
Ignore = Annotated[
    str,
    typer.Option(
        "--ignore",
        rich_help_panel=MODEL,
        metavar="CHARACTER",
        help="What starts a comment in the event table, like NONMEM's IGNORE; @ is any letter. # always does.",
    ),
]
Records = Annotated[
    Path | None,
    typer.Option(
        "--records",
        rich_help_panel=OUTPUT,
        metavar="FILE",
        help="Write the outputs at each record of the events to this CSV file.",
    ),
]
Series = Annotated[
    bool | None,
    typer.Option(
        "--series/--no-series",
        rich_help_panel=OUTPUT,
        help="Solve the events' subjects at common times too, with control arms  [default: yes, unless more than 100 subjects go "
        "to --records alone]",
        show_default=False,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        metavar="float64|float32", rich_help_panel=COMPUTATION, help="float32 is faster; three digits are reliable."
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        metavar="auto|native|jax",
        rich_help_panel=COMPUTATION,
        help="Solve by machine code made for the model (native), or by JAX; auto: native on a CPU.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        rich_help_panel=OUTPUT,
        metavar="FILE",
        help="Write the result to this HDF5 file  [default: no file]",
    ),
]
Force = Annotated[bool, typer.Option("--force", rich_help_panel=OUTPUT, help="Overwrite files that exist.")]
Json = Annotated[
    bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print one JSON object to stdout instead of tables.")
]
Folders = Annotated[
    list[Path] | None,
    typer.Option(
        "--library",
        rich_help_panel=MODEL,
        metavar="FOLDER",
        help="Folder of more mechanisms, cards and scenarios. Repeatable.",
    ),
]


class Interrupted(NanomgError):
    """Ctrl-C where there is something to say about it."""

    exit_code = 130


def parse_assignments(texts: Sequence[str] | None) -> dict[str, str]:
    """`["a.b=0.03 L/h"]` to `{"a.b": "0.03 L/h"}`."""
    values: dict[str, str] = {}
    for text in texts or ():
        name, sign, value = (part.strip() for part in text.partition("="))
        if not (name and sign and value):
            raise InputError(f"{text!r} is not NAME=VALUE with a unit, such as magnesium.GFR='12 mL/h'", "--set")
        if name in values:
            raise InputError(f"{name!r} is set twice", "--set")
        values[name] = value
    return values


def command_line() -> str:
    """The command as typed, for the history of the result file."""
    return shlex.join(["nanomg", *sys.argv[1:]])

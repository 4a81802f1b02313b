"""`nanomg list`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanomg.cli import options, render
from nanomg.cli.help_pages import Example
from nanomg.errors import InputError
from nanomg.units import unit_text

if TYPE_CHECKING:
    from pathlib import Path

    from nanomg.library.library import Library

_NOTES = {"simulate": "", "optimize": " (optimize)"}  # what stands after the title of a scenario

EXAMPLES = (
    Example("nanomg list", "the scenarios, by species"),
    Example("nanomg list --cards", "the cards of parameter values"),
    Example("nanomg list --signals", "what a model computes: name, unit and meaning, by mechanism"),
    Example("nanomg list --json", "the scenarios as JSON"),
)


def list(
    cards: Annotated[bool, typer.Option("--cards", help="Cards of parameter values instead.")] = False,
    populations: Annotated[bool, typer.Option("--populations", help="Populations instead.")] = False,
    mechanisms: Annotated[bool, typer.Option("--mechanisms", help="Mechanisms instead.")] = False,
    signals: Annotated[
        bool, typer.Option("--signals", help="Signals by mechanism instead: name, unit, meaning.")
    ] = False,
    json: options.Json = False,
    library: options.Folders = None,
) -> None:
    """List scenarios, cards, populations, mechanisms or signals."""
    from nanomg import models

    asked = {"--cards": cards, "--populations": populations, "--mechanisms": mechanisms, "--signals": signals}
    given = [option for option, on in asked.items() if on]
    if len(given) > 1:
        raise InputError(f"one list at a time, not {' and '.join(given)}", given[1])
    shelf = models.library(*library or ())
    if mechanisms:
        entries = [*_mechanisms(shelf)]
    elif signals:
        entries = [*_signals(shelf)]
    elif cards:
        entries = [*_titled(shelf.cards)]
    elif populations:
        entries = [*_titled(shelf.populations)]
    else:
        entries = [*_scenarios(shelf)]
    if json:
        render.emit_json(entries)
    elif mechanisms:
        render.table(("", ""), "ll", render.one_line((e["name"], e["title"]) for e in entries))
    elif signals:
        declared = [(e["name"], unit_text(e["unit"]), e["text"]) for e in entries]
        _print_groups([", ".join(e["mechanisms"]) for e in entries], declared)
    else:
        titles = [(e["name"], e["title"] + _NOTES.get(e.get("kind", ""), "")) for e in entries]
        _print_groups([(e["species"] or "any").capitalize() for e in entries], render.one_line(titles))


def _titled(shelf: Mapping[str, Path]) -> Iterator[dict[str, Any]]:
    """Name, title and species of TOML files."""
    from nanomg.library.toml import load_toml

    for name, path in sorted(shelf.items()):
        data = load_toml(path)
        yield {"name": name, "title": data.get("title", ""), "species": data.get("species", "")}


def _scenarios(library: Library) -> Iterator[dict[str, Any]]:
    from nanomg.library.toml import load_toml

    for entry in _titled(library.scenarios):
        optimised = {"objective", "free"} <= load_toml(library.scenarios[entry["name"]]).keys()
        yield entry | {"kind": "optimize" if optimised else "simulate"}


def _mechanisms(library: Library) -> Iterator[dict[str, Any]]:
    for name, mechanism in sorted(library.mechanisms.items()):
        yield {"name": name, "title": (inspect.getdoc(mechanism) or "").partition("\n")[0]}


def _signals(library: Library) -> Iterator[dict[str, Any]]:
    """Each signal once, with every mechanism that computes it: of those, a model has one."""
    owners: dict[str, dict[str, Any]] = {}
    for mechanism, declared in sorted(library.mechanisms.items()):
        for name, var in declared.signals.items():
            entry = owners.setdefault(name, {"name": name, "unit": var.unit, "text": var.text, "mechanisms": []})
            entry["mechanisms"].append(mechanism)
    yield from (owners[name] for name in sorted(owners))


def _print_groups(groups: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The rows under the groups that they are of, in columns that all groups share."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    aligned = [(*map(str.ljust, row, widths), row[-1]) for row in rows]
    for i, group in enumerate(sorted(set(groups), key=lambda one: (one == "Any", one))):
        if i:
            render.paragraph("")
        render.paragraph(group, style="bold")
        members = [row for row, of in zip(aligned, groups, strict=True) if of == group]
        render.table([""] * len(members[0]), "l" * len(members[0]), members, prose=True)

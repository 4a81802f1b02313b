"""`nanomg cite`."""

from __future__ import annotations

from nanomg.cli import options, render
from nanomg.cli.help_pages import Example

EXAMPLES = (
    Example(
        "nanomg cite mouse-mc38-iv > sources.bib",
        "the sources of a scenario, as a BibTeX file",
    ),
)


def cite(scenario: options.ScenarioName, json: options.Json = False, library: options.Folders = None) -> None:
    """Print the BibTeX of the sources that a scenario uses."""
    import sys

    from nanomg import models
    from nanomg.errors import unknown
    from nanomg.library.scenario_file import load

    shelf = models.library(*library or ())
    entries = {}
    for parameter in load(scenario, shelf).parameters.values():
        if parameter.source:
            if parameter.source not in shelf.references:
                raise unknown(
                    "reference", parameter.source, shelf.references, f"card {parameter.card!r}, {parameter.name}"
                )
            entries[parameter.source] = shelf.references[parameter.source]
    if json:
        render.emit_json([{"key": key, "bibtex": entry} for key, entry in sorted(entries.items())])
    else:
        sys.stdout.write("\n".join(entry for _, entry in sorted(entries.items())))

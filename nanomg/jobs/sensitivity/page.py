"""What a page and the screen show of a sensitivity analysis: what each output depends on most, and Sobol indices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nanomg.formatting import capital, format_factor, format_number, percent, span
from nanomg.page.blocks import Block, Caution, Cell, Table, Text, Tile, Tiles
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.result import ResultReader
from nanomg.units import unit_text

_SHOWN = 20  # rows of a table that are shown first
_NEGLIGIBLE = 1e-6  # an elasticity below this is none
_OVER = {"card": "the cards' ranges (5 to 95 %)", "cv": "5 to 95 % of subjects"}

Rows = list[tuple[int, Mapping[str, Any]]]  # entries of the summary's elasticities with their places


def sentence(result: ResultReader) -> str:
    """The value of each output, and what it depends on most."""
    sentences = []
    for output in result.at("outputs") or []:
        unit = unit_text(output["unit"]).strip("–")
        value = f"{capital(output['text'])} is {format_number(output['value'])} {unit}".rstrip()
        elastic, sloped, _ = _sorted(result, output)
        measure, rows = ("elasticity", elastic) if elastic else ("slope", sloped)
        most = [
            (result.glossary.get(r["parameter"], r["parameter"]), format_number(r[measure], 2)) for _, r in rows[:3]
        ]
        if not most:
            sentences.append(f"{value}; nothing changes it.")
        elif measure == "elasticity":
            changes = ", ".join(f"{name} ({by} %)" for name, by in most)
            sentences.append(f"{value}. It depends most on (change per 1 % more of each): {changes}.")
        else:
            sentences.append(f"{value}. Its steepest slopes: {', '.join(f'{name} ({by})' for name, by in most)}.")
    return " ".join(sentences)


def _sorted(result: ResultReader, output: Mapping[str, Any]) -> tuple[Rows, Rows, int]:
    """The rows of an output with an elasticity, the largest first, those with a slope alone, and how many there are."""
    rows = [(i, r) for i, r in enumerate(result.at("elasticities") or []) if r["output"] == output["output"]]
    least = _NEGLIGIBLE * abs(output["value"] or 0.0)
    elastic = [(i, r) for i, r in rows if r["elasticity"] is not None and abs(r["elasticity"]) > _NEGLIGIBLE]
    sloped = [(i, r) for i, r in rows if r["elasticity"] is None and abs(r["slope"] or 0.0) > least]
    elastic.sort(key=lambda row: -abs(row[1]["elasticity"]))
    sloped.sort(key=lambda row: -abs(row[1]["slope"]))
    return elastic, sloped, len(rows)


def blocks(result: ResultReader) -> Iterator[Block]:
    """For each output what it depends on, as elasticities, slopes and Sobol indices."""
    outputs = result.at("outputs") or []
    tiles = [Tile(o["text"], result.cell("outputs", i, "value"), o["unit"]) for i, o in enumerate(outputs)]
    yield Tiles(tiles, on_screen=False)
    for output in outputs:
        elastic, sloped, count = _sorted(result, output)
        value = f"{format_number(output['value'])} {unit_text(output['unit'])}".removesuffix(" –")
        title = f"{output['output']} = {value} ({output['text']})"
        headers = ("", "elasticity", "value", "unit", "range", "effect", "basis")
        rows = [_elastic(result, *row) for row in elastic]
        yield Table(headers, "prrulrl", rows, title, most=_SHOWN, spare=("range", "basis"))
        yield Text(f"{count - len(elastic)} of {count} are negligible.", "note")
        if sloped:
            why = "the value is 0" if output["value"] else "the value or, as here, the output is 0"
            rows = [_sloped(result, output["unit"], *row) for row in sloped]
            yield Table(
                ("", "slope", "unit", "range", "effect"),
                "prulr",
                rows,
                f"Slopes, where {why}",
                most=_SHOWN,
                spare=("range",),
            )
        yield from _indices(result, output["output"])
    yield Text("Elasticity: percent change in the output per 1 % change in the parameter.", "note")
    yield Text(
        "Effect: output at the high end of the range divided by output at the low end (linear estimate); "
        f"ranges are {_OVER.get(str(result.at('over')), result.at('over'))}.",
        "note",
    )


def _elastic(result: ResultReader, i: int, r: Mapping[str, Any]) -> Sequence[Any]:
    return (
        Cell(r["text"], name=r["parameter"]),
        result.cell("elasticities", i, "elasticity", digits=3),
        result.cell("elasticities", i, "value"),
        r["unit"],
        span(r["low"], r["high"]),
        format_factor(r["range_effect"]),
        r["basis"],
    )


def _sloped(result: ResultReader, unit: str, i: int, r: Mapping[str, Any]) -> Sequence[Any]:
    per = f"{unit} per {r['unit']}" if r["unit"] not in ("", "1") else unit
    return (
        Cell(r["text"], name=r["parameter"]),
        result.cell("elasticities", i, "slope", digits=3),
        per,
        span(r["low"], r["high"]),
        format_factor(r["range_effect"]),
    )


def _indices(result: ResultReader, output: str) -> Iterator[Block]:
    """Sobol indices of an output, and on how many samples they rest; nothing where none were asked for."""
    sobol = result.at("sobol") or {}
    varied = {entry["parameter"]: entry for entry in sobol.get("parameters") or ()}
    rows = [(i, r) for i, r in enumerate(sobol.get("indices") or ()) if r["output"] == output]
    if not rows:
        return
    cells = [
        (
            result.name(r["parameter"]),
            *(result.cell("sobol", "indices", i, key, digits=3) for key in ("S1", "S1_conf", "ST", "ST_conf")),
            span(*(varied.get(r["parameter"], {}).get(end) for end in ("low", "high"))),
            varied.get(r["parameter"], {}).get("unit", ""),
        )
        for i, r in rows
    ]
    headers = ("", "alone (S1)", "±", "with interactions (ST)", "±", "range", "unit")
    caption = f"Sobol indices: shares of the variance of {output}"
    yield Table(headers, "prrrrlu", cells, caption, spare=("range", "unit"))
    rest = f"{percent(sobol.get('confidence'))} intervals from {sobol.get('complete')} of {sobol.get('samples')} base samples"
    if all(r["S1"] is not None for _, r in rows):
        alone, error = sum(r["S1"] for _, r in rows), math.hypot(*(r["S1_conf"] for _, r in rows))
        interactions = "; interactions make up the rest to 1" if alone + error < 1 else ""
        rest += f"; sum of S1: {alone:.2f} ± {error:.2f}{interactions}"
    yield Text(f"{rest}.", "note")


def changes(result: ResultReader) -> Iterator[str]:
    """The parameters whose range changes each output most."""
    for output in result.at("outputs") or ():
        rows = [r for r in result.at("elasticities") or () if r["output"] == output["output"] and r["range_effect"]]
        for r in sorted(rows, key=lambda r: -abs(r["range_effect"]))[:3]:
            what = f"{capital(r['text'])} ({r['parameter']}, {r['basis']})"
            ends = f"{span(r['low'], r['high']).replace(' – ', ' to ')} {unit_text(r['unit'])}".replace(" –", "")
            factor = format_factor(r["range_effect"])[2:]
            yield f"{what}: from {ends} the {output['text']} is multiplied by {factor} (linear estimate)."


def warnings(result: ResultReader) -> Iterator[Caution]:
    """Sobol samples that were left out."""
    sobol = result.at("sobol") or {}
    if sobol.get("unphysical") or sobol.get("failed"):
        rules = sorted((sobol.get("unphysical") or {}).items(), key=lambda item: -item[1])[:4]
        why = ", ".join(f"{rule} ({count})" for rule, count in rules) or "not solved"
        yield Caution(
            f"The Sobol indices use {sobol.get('complete')} of {sobol.get('samples')} base samples; "
            f"the others were left out ({why})."
        )


def quantities(result: ResultReader) -> Numbers:
    """The numbers by which two runs are compared."""
    for output in result.summary["outputs"]:
        yield Quantity("outputs", output["output"], "value", output["unit"]), output["value"]
    for row in result.summary["elasticities"]:
        if row["elasticity"] is not None:
            yield Quantity("elasticities", row["parameter"], row["output"], "1"), row["elasticity"]

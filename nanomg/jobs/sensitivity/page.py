"""Answer of a sensitivity analysis: sentence, tables, drivers and comparable quantities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nanomg.formatting import capital, format_factor, format_number, span
from nanomg.page.blocks import Cell, Table, Text, Tile, Tiles
from nanomg.page.quantity import Numbers, Quantity
from nanomg.page.result import ResultReader
from nanomg.units import unit_text

if TYPE_CHECKING:
    pass

_SHOWN = 12  # rows that a table of the most important shows


def _sensitivity_sentence(facts: ResultReader) -> str:
    said = []
    for output in facts.at("outputs") or []:
        value = f"{capital(output['text'])} is {format_number(output['value'])} {unit_text(output['unit']).strip('–')}".rstrip()
        measure, rows = _moving(facts, output["output"])
        most = [(facts.glossary.get(r["parameter"], r["parameter"]), format_number(r[measure], 2)) for _, r in rows[:3]]
        if measure == "elasticity":
            moved = "What moves it most, for 1 % more of each: " + ", ".join(f"{name} ({by} %)" for name, by in most)
        else:
            moved = "Its steepest slopes: " + ", ".join(f"{name} ({by})" for name, by in most)
        said.append(f"{value}. {moved}." if most else f"{value}; nothing moves it.")
    return " ".join(said)


def _moving(facts: ResultReader, output: str) -> tuple[str, list[tuple[int, Mapping[str, Any]]]]:
    """The elasticities of an output with their place in the summary, the largest first; its slopes where it is 0 and has none."""
    own = [(i, r) for i, r in enumerate(facts.at("elasticities") or []) if r["output"] == output]
    measure = "elasticity" if any(r["elasticity"] for _, r in own) else "slope"
    return measure, sorted((item for item in own if item[1][measure]), key=lambda item: -abs(item[1][measure]))


def _sensitivity(facts: ResultReader) -> Iterator[Any]:
    outputs = facts.at("outputs") or []
    yield Tiles([Tile(o["text"], facts.cell("outputs", i, "value"), o["unit"]) for i, o in enumerate(outputs)])
    for output in outputs:
        measure, moving = _moving(facts, output["output"])
        rows = [
            (
                Cell(r["text"], note=r["parameter"]),
                facts.cell("elasticities", i, measure, digits=3),
                facts.cell("elasticities", i, "value"),
                r["unit"],
                span(r["low"], r["high"]) if r["low"] is not None else "",
                format_factor(r["range_effect"]),
                r["basis"],
            )
            for i, r in moving[:_SHOWN]
        ]
        yield Table(
            ("what it is", measure, "value", "unit", "range", "over it", "known"),
            "prrulrl",
            rows,
            f"What moves it most: {output['text']}",
        )
        indices = [
            (
                Cell(facts.glossary.get(r["parameter"], r["parameter"]), note=r["parameter"]),
                *(facts.cell("sobol", "indices", i, key, digits=3) for key in ("S1", "S1_conf", "ST", "ST_conf")),
            )
            for i, r in enumerate(facts.at("sobol", "indices") or [])
            if r["output"] == output["output"]
        ]
        if indices:
            yield Table(
                ("what it is", "alone (S1)", "±", "with interactions (ST)", "±"),
                "prrrr",
                indices,
                "Shares of the variance over the ranges (Sobol indices)",
            )
    note = "Elasticity: by how many per cent the output grows where the value grows by one per cent. "
    yield Text(
        note + "Over it: what the output is multiplied by from the low to the high end of the range, to first order.",
        "note",
    )


def _of_sensitivity(found: Mapping[str, Any]) -> Numbers:
    for output in found["outputs"]:
        yield Quantity("outputs", output["output"], "value", output["unit"]), output["value"]
    for row in found["elasticities"]:
        if row["elasticity"] is not None:
            yield Quantity("elasticities", row["parameter"], row["output"], "1"), row["elasticity"]


def _of_slopes(facts: ResultReader) -> Iterator[str]:
    for output in facts.at("outputs") or ():
        own = [r for r in facts.at("elasticities") or () if r["output"] == output["output"] and r["range_effect"]]
        for r in sorted(own, key=lambda r: -abs(r["range_effect"]))[:3]:
            what = f"{capital(r['text'])} ({r['parameter']}, {r['basis']})"
            over = f"from {span(r['low'], r['high']).replace(' – ', ' to ')} {unit_text(r['unit'])}".replace(" –", "")
            yield f"{what}: {over} the {output['text']} is multiplied by {format_factor(r['range_effect'])[2:]}, to first order."

"""Write the tables of docs/feasibility.md: the rise of tumour free Mg over the ranges of the cards.

python docs/feasibility.py [--draws 1000]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pages import filled, table

from nanomg.jobs.feasibility.run import feasibility

PAGE = Path(__file__).with_suffix(".md")
SEED = 1

# scenario, its dose, and the end of the simulation if earlier than the scenario's
ROWS = (
    ("mouse-mc38-iv", "1 mg lipid weekly", None),
    ("human-nsclc-iv", "2.44 g lipid every 3 weeks", None),
    ("mouse-mc38-lnp", "1 mg lipid weekly", None),
    ("mouse-mc38-depot", "1 mg lipid weekly, first week", "8 d"),
    ("mouse-mc38-depot", "the same, 28 d", None),
    ("mouse-triggered", "4 mg lipid once, heated", None),
    ("human-triggered", "2.44 g lipid once, heated", None),
    ("human-nsclc-iv-mgso4", "8 g in 12 h every 3 weeks", None),
)
LOCAL = (
    "mouse-mc38-iv",
    "human-nsclc-iv",
    "mouse-mc38-lnp",
    "human-triggered",
)  # with separate rows for the local part


def two(value: float) -> str:
    """Two significant figures, written out."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 9.5 else f"{value:.2g}"


def three(percentiles: Mapping[str, float], factor: float = 1.0) -> str:
    """5 / 50 / 95 %."""
    return " / ".join(two(factor * percentiles[q]) for q in ("5", "50", "95"))


def share(value: float) -> str:
    """A share of the samples."""
    return f"{two(100 * value)} %"


def rises(label: Sequence[str], quantities: Mapping[str, Any]) -> Sequence[str]:
    """The row of a scenario in the table of rises [umol/L]."""
    columns = ("total, day", "poorly perfused, day", "local, day", "serum, day")
    return (*label, *(three(quantities[column]["rise"], 1000.0) for column in columns))


def shortfalls(label: str, quantities: Mapping[str, Any], part: str) -> Sequence[str]:
    """A row of the table of shortfalls."""
    day, peak = (quantities[f"{part}, {when}"]["targets"] for when in ("day", "peak"))
    cells = ((three(day[t]["shortfall"]), share(day[t]["share"]), share(peak[t]["share"])) for t in ("0.02", "0.3"))
    return (label, *(cell for row in cells for cell in row))


def lines(draws: int) -> Iterator[list[str]]:
    """Both tables and a sentence about the samples."""
    first, second, failed, rejected, sampled = [], [], 0, [], []
    for name, dose, horizon in ROWS:
        found = feasibility(name, draws=draws, seed=SEED, horizon=horizon).summary["feasibility"]
        quantities = found["quantities"]
        label = name if horizon is None else f"{name}, to {horizon}"
        first.append(rises((label, dose), quantities))
        second.append(shortfalls(label, quantities, "total"))
        if name in LOCAL:
            second.append(shortfalls("… local part alone", quantities, "local"))
            second.append(shortfalls("… local part, poorly perfused", quantities, "local, poorly perfused"))
        failed += found["failed"]
        rejected.append(found["share_rejected"])
        sampled.append(found["sampled"])
    yield table(("scenario", "dose", "total", "total, poorly perfused", "local part", "serum part"), first)
    yield table(("scenario", "+0.02 mmol/L", "day", "peak", "+0.3 mmol/L", "day", "peak"), second)
    again = f"{share(min(rejected))} to {share(max(rejected))} of the sampled sets were implausible and were resampled"
    sizes = f"{draws:,} samples of {min(sampled)} to {max(sampled)} parameters, seed {SEED}"
    yield [f"{sizes}; {again}; {f'{failed} simulations' if failed else 'no simulation'} failed.", ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    page = PAGE.read_text(encoding="utf-8")
    for name, text in zip(("rises", "shortfalls", "draws"), lines(parser.parse_args().draws), strict=True):
        page = filled(page, name, text)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Rank correlations of outputs with sampled values, and where values come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from nanomg.formatting import span
from nanomg.page.blocks import Table, Text, number_cell
from nanomg.page.result import ResultReader

TOP = 10  # rows of what matters or is known least


_FEW = 8  # pairs: below, a rank correlation says nothing


class Pairs(NamedTuple):
    """Values of an input and of an output that belong together, (pair,) each, and what a pair is."""

    x: np.ndarray
    y: np.ndarray
    of: str

    @property
    def known(self) -> np.ndarray:
        """The pairs of which both are known."""
        return np.isfinite(self.x) & np.isfinite(self.y)

    @property
    def correlation(self) -> float:
        """The rank correlation; NaN where too few pairs are known or one side is always the same."""
        x, y = self.x[self.known], self.y[self.known]
        if len(x) < _FEW or np.ptp(x) == 0 or np.ptp(y) == 0:
            return np.nan
        from scipy.stats import rankdata  # slow to import, and the screen shows no correlations

        return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def ranked(result: ResultReader, outputs: Mapping[str, Mapping[str, Pairs]]) -> Iterator[Any]:
    """Rank correlations of the values that varied with each output, which is described in words."""
    known = {p["parameter"]: p for p in result.parameters}
    units_of_pairs: set[str] = set()
    for text, pairs in outputs.items():
        rho = {name: pair.correlation for name, pair in pairs.items()}
        top = sorted((n for n, r in rho.items() if np.isfinite(r)), key=lambda n: -abs(rho[n]))[:TOP]
        rows = [(result.name(n), number_cell(rho[n], 2), _count(pairs[n]), *_basis(known.get(n, {}))) for n in top]
        if rows:
            units_of_pairs |= {pairs[n].of for n in top}
            headers = ("", "rank correlation", "n", "range", "unit", "known")
            yield Table(headers, "prrlul", rows, f"Rank correlations with the {text}")
    if units_of_pairs:
        yield Text(
            "Rank correlation: 1 or -1 where one always grows or falls with the other, 0 where there is no such relation. "
            "It shows association, not causation.",
            "note",
        )
    if {"subjects", "trajectories"} <= units_of_pairs:
        yield Text(
            "A subject's value is correlated with the median over the subject's trajectories: n counts subjects.",
            "note",
        )


def _count(pairs: Pairs) -> str:
    return f"{int(pairs.known.sum()):,} {pairs.of}"


def _basis(p: Mapping[str, Any]) -> tuple[str, str, str]:
    return range_text(p), unit_of(p) if p else "", str(p.get("basis", ""))


def range_text(p: Mapping[str, Any]) -> str:
    """The range of a parameter, empty where its card has none."""
    return span(p.get("low"), p.get("high")) if p.get("low") is not None else ""


def unit_of(p: Mapping[str, Any]) -> str:
    """The unit of a parameter."""
    return str(p.get("unit") or "1")


def width(p: Mapping[str, Any]) -> float:
    """The high end of a parameter's range over its low end; 0 where it has none."""
    low, high = p.get("low", np.nan), p.get("high", np.nan)
    return high / low if low > 0 and np.isfinite(high) else 0.0

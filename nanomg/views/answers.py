"""The answer of a report: for each kind of result its sentence, the numbers that matter and their tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nanomg.jobs.calibrate.page import _calibration, _calibration_sentence
from nanomg.jobs.feasibility.page import _feasibility
from nanomg.jobs.optimize.page import _optimum
from nanomg.jobs.sensitivity.page import _sensitivity, _sensitivity_sentence
from nanomg.jobs.simulate.page import _simulation
from nanomg.jobs.sweep.page import _sweep
from nanomg.jobs.validate.page import _validation, _validation_sentence
from nanomg.page.result import ResultReader
from nanomg.results import kinds


def sentence(facts: ResultReader) -> str:
    """The answer in plain words: the verdict of the summary where the run gave one."""
    if "verdict" in facts.summary:
        return str(facts.summary["verdict"])
    return (
        _SENTENCES.get(facts.kind, lambda _: "")(facts)
        or "The file holds no summary, so the answer is not put in words."
    )


def blocks(facts: ResultReader) -> Iterator[Any]:
    """Tiles and tables that carry the answer; nothing where the file has no summary."""
    if facts.summary and facts.kind in _BLOCKS:
        yield from _BLOCKS[facts.kind](facts)


_SENTENCES: Mapping[str, Callable[[ResultReader], str]] = {
    kinds.VALIDATE: _validation_sentence,
    kinds.CALIBRATE: _calibration_sentence,
    kinds.SENSITIVITY: _sensitivity_sentence,
}
_BLOCKS: Mapping[str, Callable[[ResultReader], Iterator[Any]]] = {
    kinds.SIMULATE: _simulation,
    kinds.OPTIMIZE: _optimum,
    kinds.SWEEP: _sweep,
    kinds.FEASIBILITY: _feasibility,
    kinds.VALIDATE: _validation,
    kinds.CALIBRATE: _calibration,
    kinds.SENSITIVITY: _sensitivity,
}

"""The answer of a result: its sentence and the blocks that carry it, as the page of its job has them."""

from __future__ import annotations

from collections.abc import Iterator

from nanomg import jobs
from nanomg.page import steady_states
from nanomg.page.blocks import Block
from nanomg.page.result import ResultReader


def sentence(result: ResultReader) -> str:
    """The answer in plain words."""
    job = jobs.maker(result.tree)
    known = job is not None and result.summary
    found = str(job.page.sentence(result) if job is not None and known else result.at("verdict") or "")
    why = "The summary of the file is broken" if result.broken else "The file has no summary"
    return found or f"{why}, so there is no answer in words."


def blocks(result: ResultReader) -> Iterator[Block]:
    """Tiles, tables and texts that carry the answer; nothing where the file has no summary."""
    job = jobs.maker(result.tree)
    if job is not None and result.summary:
        yield from job.page.blocks(result)
        yield from steady_states.blocks(result)

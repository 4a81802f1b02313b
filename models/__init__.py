"""The science: one file per family of mechanisms, together with cards, scenarios, observations and references."""

from __future__ import annotations

from pathlib import Path

from nanomg.library.library import Library, installed_folders, scan


def library(*paths: str | Path) -> Library:
    """Everything in this folder, in installed packages that extend it, and in the given folders; later ones win."""
    return scan(Path(__file__).resolve().parent, *installed_folders(), *(Path(p) for p in paths))

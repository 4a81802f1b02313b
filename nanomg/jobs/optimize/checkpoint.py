"""The state of a search on disk, sealed, with what it is a state of: the search goes on from its own state alone."""

from __future__ import annotations

import importlib.metadata
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nanomg import __version__, files, sealed
from nanomg.errors import InputError
from nanomg.library.model_hash import model_hash
from nanomg.library.scenario import Scenario
from nanomg.solver import engine

_PACKAGES = ("jax", "jaxlib", "numpy", "optax", "llvmlite")  # whose versions change the numbers
_HASHES = "scenario", "model"  # of which nothing is to be read


def identity_of(scenario: Scenario, steps: int, seed: int) -> dict[str, Any]:
    """What must be the same for a search to go on: scenario, model, steps, seed, engine and versions."""
    installed = {d.name: d.version for name in _PACKAGES for d in importlib.metadata.distributions(name=name)}
    return {
        "scenario": scenario.config_hash,
        "model": model_hash(scenario.model),
        "--steps": steps,
        "--seed": seed,
        "--engine": engine.default(),
        "nanomg": __version__,
        **installed,
    }


def write_state(path: Path, identity: Mapping[str, Any], leaves: Sequence[Any]) -> None:
    """Write the state of a search, whole or not at all. Raises `InputError` where the disk is full or fails."""
    body = io.BytesIO()
    np.savez(body, *map(np.asarray, leaves))
    try:
        files.replace_file(path, sealed.seal(identity, body.getvalue()))
    except InputError as error:
        hint = "; the state before is kept, continue with --resume" if path.exists() else ""
        raise InputError(error.message + hint, error.where) from None


def read_state(path: Path, identity: Mapping[str, Any], like: Sequence[Any]) -> list[np.ndarray]:
    """The arrays of a state, of the shapes of `like`. Raises `InputError` where it is missing, damaged or of another search."""
    try:
        about, body = sealed.unseal(path.read_bytes())
    except FileNotFoundError:
        raise InputError("there is no checkpoint to resume from", str(path)) from None
    except OSError as error:
        raise InputError(f"this checkpoint cannot be read ({error.strerror})", str(path)) from None
    except sealed.Damaged as error:
        raise InputError(
            f"this checkpoint is damaged ({error}); start the search again with --force", str(path)
        ) from None
    for name, now in identity.items():
        if (then := about.get(name)) != now:
            differs = f"another {name}" if name in _HASHES else f"{name} {then}, and now it is {now}"
            message = f"this checkpoint is of a search with {differs}; repeat its command, or discard it with --force"
            raise InputError(message, str(path))
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as saved:
            leaves = [saved[name] for name in saved.files]
        alike = [
            (found.ndim, found.dtype) == (expected.ndim, expected.dtype)  # the history grows
            for found, expected in zip(leaves, map(np.asarray, like), strict=True)
        ]
    except (ValueError, zipfile.BadZipFile):
        alike = [False]
    if not all(alike):
        raise InputError("this checkpoint is of another build of nanomg; discard it with --force", str(path))
    return leaves

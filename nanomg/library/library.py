"""The library: mechanisms, cards, scenarios, populations, observations, studies and references found in folders.

A library folder holds Python files with mechanisms, `cards/*.toml`, `scenarios/*.toml`, `populations/*.toml`,
`observations/*.toml`, `studies/*.toml` and `references.bib`, each optional.
Installed packages add folders through the entry-point group `nanomg.models` (an entry point is a package with such files).
Later folders win where two give the same name.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
import threading
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from nanomg.equations.mechanism import AbstractMechanism
from nanomg.errors import InputError, unknown
from nanomg.library.bibliography import read_bibliography
from nanomg.library.card import Card, load_card

ENTRY_POINTS = "nanomg.models"


@dataclasses.dataclass(frozen=True)
class Library:
    """The contents: classes by name, files by stem, BibTeX entries by key."""

    mechanisms: Mapping[str, type[AbstractMechanism]]
    cards: Mapping[str, Path]
    scenarios: Mapping[str, Path]
    references: Mapping[str, str]
    observations: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    studies: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    populations: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    folders: tuple[Path, ...] = ()

    def card(self, name: str, where: str | None = None, trail: tuple[str, ...] = ()) -> Card:
        """The card of that name, or at that path; `trail` are the cards that are being scaled from it.

        Raises `InputError` for an unknown name.
        """
        if name in trail:
            raise InputError(f"cards are scaled from each other in a circle: {' -> '.join((*trail, name))}", where)
        other = functools.partial(self.card, trail=(*trail, name))
        if name in self.cards:
            return load_card(self.cards[name], other)
        if name.endswith(".toml"):
            return load_card(Path(name), other)
        raise unknown("card", name, self.cards, where)

    def mechanism(self, name: str, where: str | None = None) -> type[AbstractMechanism]:
        """The mechanism class of that name. Raises `InputError` for an unknown name."""
        if name not in self.mechanisms:
            raise unknown("mechanism", name, self.mechanisms, where)
        return self.mechanisms[name]


_importing = threading.RLock()  # a module that one thread is still importing is half a module to another


def _modules(folder: Path) -> Iterator[ModuleType]:
    """The folder's Python files as modules; a file of an installed package is imported under its own name."""
    package = _package_of(folder.resolve())
    for path in sorted(folder.glob("*.py")):
        if path.stem.startswith("__"):
            continue
        if package:
            yield importlib.import_module(f"{package}.{path.stem}")
            continue
        name = f"nanomg_library_{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}_{path.stem}"
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            try:
                spec.loader.exec_module(module)
            except Exception as error:
                del sys.modules[name]
                raise InputError(f"this mechanism file cannot be imported: {error!r}", str(path)) from error
        yield sys.modules[name]


def _package_of(folder: Path) -> str | None:
    """The imported package with its files in a folder."""
    return next((name for name, module in list(sys.modules.items()) if _folder(module) == folder), None)


def _folder(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return _parent(file) if file and file.endswith("__init__.py") else None


@functools.cache
def _parent(file: str) -> Path:
    return Path(file).resolve().parent


def _mechanisms(folder: Path) -> Iterator[type[AbstractMechanism]]:
    """The mechanism classes of a folder's modules; one without a name is the base of others."""
    for module in _modules(folder):
        for _, member in inspect.getmembers(module, inspect.isclass):
            if (
                issubclass(member, AbstractMechanism)
                and member.__module__ == module.__name__
                and hasattr(member, "name")
            ):
                yield member


def scan(*folders: Path) -> Library:
    """The library of these folders. Raises `InputError` for a path that is no folder or a file that cannot be read."""
    mechanisms: dict[str, type[AbstractMechanism]] = {}
    kinds = ("cards", "scenarios", "populations", "observations", "studies")
    shelves: dict[str, dict[str, Path]] = {kind: {} for kind in kinds}
    references: dict[str, str] = {}
    for folder in folders:
        if not folder.is_dir():
            raise InputError("there is no such library folder", str(folder))
        with _importing:
            mechanisms.update((m.__name__, m) for m in _mechanisms(folder))
        for kind, shelf in shelves.items():
            shelf.update((path.stem, path) for path in sorted((folder / kind).glob("*.toml")))
        if (folder / "references.bib").is_file():
            references.update(read_bibliography(folder / "references.bib"))
    return Library(mechanisms=mechanisms, references=references, folders=folders, **shelves)


@functools.cache
def installed_folders() -> tuple[Path, ...]:
    """Folders of installed packages that declare the entry point."""
    folders = []
    for point in entry_points(group=ENTRY_POINTS):
        module = point.load()
        if (folder := _folder(module)) is not None:
            folders.append(folder)
    return tuple(folders)

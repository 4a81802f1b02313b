"""What a function or class is made of: the syntax of its definition and of all that it reaches by name, through any module.

The walk goes over top-level definitions, not over whole modules: an edit of an equation or of a helper counts; a comment, a
docstring, an import line or another class in the same file do not. Where a module is used as a whole, all of it counts. Names
that are put together at run time (`globals()["f"]`) are not followed.
"""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from nanomg.compute import outlines

_STANDARD = Path(sysconfig.get_path("stdlib"))
_HERE = __name__.partition(".")[0]

Place = tuple[str, int]  # a module and the number of a statement in it
Name = tuple[str, str | None]  # a module and a name in it; None is the module itself


class SourceMissing(Exception):
    """The source of something cannot be read."""


class Reached(NamedTuple):
    """A hash of all the syntax that was reached, and the files that contain it."""

    digest: str
    files: frozenset[Path]


def installed(path: Path) -> bool:
    """Whether a file is of the standard library or of an installed package."""
    return path.is_relative_to(_STANDARD) or not {"site-packages", "dist-packages"}.isdisjoint(path.parts)


def reached(roots: Iterable[Name], followed: Callable[[str, Path], bool]) -> Reached:
    """What the definitions of these names reach. `followed` decides whether to enter a module, by its name and file.

    Raises:
        SourceMissing: a root's module has no source file, or does not define it at its top level.
    """
    walk = _Walk(followed)
    lines = [" ".join(str(walk.number(place)) for place in walk.root(*root)) for root in roots]
    for place in walk.order:  # which grows meanwhile
        statement = walk.outline(place[0]).statements[place[1]]
        targets = [f"{use}:{walk.number(to)}" for use in statement.uses for to in walk.targets(place[0], use)]
        lines.append(" ".join([statement.digest, *targets]))
    return Reached(outlines.digest("\n".join(lines)), frozenset(walk.files))


class _Walk:
    """Statements in the order in which they are reached. The order depends on syntax alone, not on the names of modules."""

    def __init__(self, followed: Callable[[str, Path], bool]):
        self.followed = followed
        self.order: list[Place] = []
        self.files: set[Path] = set()
        self._numbers: dict[Place, int] = {}
        self._outlines: dict[str, outlines.Outline | None] = {}
        self._entered: set[str] = set()

    def number(self, place: Place) -> int:
        """The number of a statement, which is then on the list of those to look into."""
        if place not in self._numbers:
            self._numbers[place] = len(self.order)
            self.order.append(place)
            self._enter(place[0])
        return self._numbers[place]

    def _enter(self, module: str) -> None:
        """Statements of a module that bind no name, such as registrations, count as soon as anything of it does."""
        if module in self._entered:
            return
        self._entered.add(module)
        outline = self.outline(module)
        for at in outline.effects:
            self.number((module, at))
        for at, statement in enumerate(outline.statements):
            if any(self.targets(module, use) for use in statement.decorators):
                self.number((module, at))

    def outline(self, module: str) -> outlines.Outline:
        """The outline of a module that is entered."""
        outline = self._outline(module)
        assert outline is not None
        return outline

    def _outline(self, module: str) -> outlines.Outline | None:
        """None where a module is not to be entered."""
        if module not in self._outlines:
            path, package = _file_of(module)
            if path is None or not self.followed(module, path):
                self._outlines[module] = None
            else:
                try:
                    self._outlines[module] = outlines.outline(_source(path), package)
                except (OSError, SyntaxError, ValueError) as error:
                    raise SourceMissing(f"the source file of {module} cannot be read ({error})") from None
                self.files.add(path)
        return self._outlines[module]

    def root(self, module: str, name: str | None) -> list[Place]:
        """The statements that define a root."""
        if self._outline(module) is None:
            raise SourceMissing(f"{module} has no source file")
        places = self._defined(module, name)
        if not places:
            raise SourceMissing(f"{name} is not defined in the file of {module}")
        return places

    def targets(self, module: str, use: str) -> list[Place]:
        """The statements that a dotted name in `module` refers to."""
        return self._resolved(module, use.split("."), set())

    def _resolved(self, module: str, chain: list[str], seen: set[Name]) -> list[Place]:
        outline = self._outline(module)
        name, *rest = chain
        if outline is None or (module, name) in seen:
            return []
        seen.add((module, name))
        places = self._defined(module, name)
        for target, part in outline.imports.get(name, ()):
            places += self._imported(target, part, rest, seen)
        if not places:
            for target in outline.stars:
                places += self._resolved(target, chain, seen)
        return places

    def _imported(self, module: str, part: str | None, rest: list[str], seen: set[Name]) -> list[Place]:
        """The statements behind `module.part` and the names that follow it."""
        if part is None:  # a module: the next name is one of it
            if not rest:
                return self._defined(module, None)
            return self._imported(module, rest[0], rest[1:], seen)
        outline = self._outline(module)
        if outline is None and not _passed_through(module):
            return []
        if outline is not None and (part in outline.bound or part in outline.imports):
            return self._resolved(module, [part, *rest], seen)
        if _file_of(f"{module}.{part}")[0] is not None:
            return self._imported(f"{module}.{part}", None, rest, seen)
        if outline is not None and outline.stars:
            return self._resolved(module, [part, *rest], seen)
        return self._loaded(module, part, rest, seen)

    def _loaded(self, module: str, part: str, rest: list[str], seen: set[Name]) -> list[Place]:
        """The same, asked of the modules as they are in memory, for a package that loads its names when they are used."""
        thing: Any = getattr(sys.modules.get(module), part, None)
        if isinstance(thing, ModuleType):
            return self._imported(thing.__name__, None, rest, seen)
        home = getattr(thing, "__module__", None)
        if not isinstance(home, str) or home == module:
            return []
        return self._resolved(home, [getattr(thing, "__qualname__", part).partition(".")[0]], seen)

    def _defined(self, module: str, name: str | None) -> list[Place]:
        """The statements of a module that bind a name; all of them where it is None."""
        outline = self._outline(module)
        if outline is None:
            return []
        at = range(len(outline.statements)) if name is None else outline.bound.get(name, ())
        return [(module, number) for number in at]


def _source(path: Path) -> bytes:
    return path.read_bytes()


def _file_of(module: str) -> tuple[Path | None, str]:
    """A module's source file and the package that its relative imports start from, whether it is imported yet or not."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        file, package = getattr(loaded, "__file__", None), loaded.__package__
        spec = None
    else:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError, AttributeError):
            spec = None
        file, package = (spec.origin, spec.parent) if spec is not None and spec.has_location else (None, "")
    if not file or not file.endswith(".py"):
        return None, ""
    return Path(file), package or ""


def _passed_through(module: str) -> bool:
    """Whether a module that is not entered may hold some that are: this package, and folders without an `__init__`."""
    loaded = sys.modules.get(module)
    return module == _HERE or (hasattr(loaded, "__path__") and getattr(loaded, "__file__", None) is None)

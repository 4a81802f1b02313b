"""The outline of a Python file: what its top-level statements define, which names they use, and a hash of their syntax.

The hash is of the syntax tree without docstrings, comments, layout and imports, and is the same under every version of Python.
Outlines are stored in the user's cache folder under the hash of the file's text, so that an unchanged file is parsed once.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from nanomg import user_cache

_FORMAT = "1"  # of an outline; a change of this file that changes outlines changes it
_EFFECTFUL = ast.For | ast.While | ast.With | ast.Try | ast.TryStar | ast.If | ast.Expr | ast.Delete | ast.AugAssign
_BLOCKS = "body", "orelse", "finalbody", "handlers", "cases"  # where a statement holds others
_HASH = 32  # hexadecimal digits


class Statement(NamedTuple):
    """A top-level statement: hash of its syntax, dotted names that it uses, names of its decorators."""

    digest: str
    uses: tuple[str, ...]
    decorators: tuple[str, ...]


class Outline(NamedTuple):
    """A file: its statements; which of them bind a name; imports as name to (module, name in it or None); the modules of
    `from … import *`; and the statements that act on something rather than bind a name."""

    statements: tuple[Statement, ...]
    bound: dict[str, tuple[int, ...]]
    imports: dict[str, tuple[tuple[str, str | None], ...]]
    stars: tuple[str, ...]
    effects: tuple[int, ...]


_stored = user_cache.ValueTable("outlines", lambda: _FORMAT, most=2000)
_read: dict[str, Outline] = {}


def outline(source: bytes, package: str) -> Outline:
    """The outline of a file's text; `package` is what its relative imports start from.

    Raises:
        SyntaxError: the text is not Python.
    """
    key = hashlib.sha256(source).hexdigest() + (f" {package}" if b"from ." in source else "")
    if key not in _read:
        parts = _stored.get(key, lambda: _outlined(source, package))
        statements, bound, imports, stars, effects = parts
        _read[key] = Outline(
            tuple(Statement(digest, tuple(uses), tuple(decorators)) for digest, uses, decorators in statements),
            {name: tuple(at) for name, at in bound.items()},
            {name: tuple((module, part) for module, part in targets) for name, targets in imports.items()},
            tuple(stars),
            tuple(effects),
        )
    return _read[key]


def digest(text: str) -> str:
    """A short hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH]


def _outlined(source: bytes, package: str) -> list[object]:
    tree = ast.parse(source)
    statements: list[list[object]] = []
    bound: dict[str, list[int]] = {}
    effects: list[int] = []
    for node in tree.body:
        text = syntax(node)
        if not text or _only_imports(node):
            continue
        decorators = [name for d in getattr(node, "decorator_list", ()) for name in _uses(d)][:1]
        for name in _binds(node):
            bound.setdefault(name, []).append(len(statements))
        if isinstance(node, _EFFECTFUL) or _assigns_into(node):
            effects.append(len(statements))
        statements.append([digest(text), sorted(_uses(node)), decorators])
    imports, stars = _imports(tree, package)
    return [statements, bound, imports, stars, effects]


# ---------------------------------------------------------------- syntax
def syntax(node: ast.AST) -> str:
    """A syntax tree as text, without docstrings, imports and `pass`; empty where nothing else is in it."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Pass) or _is_text(node):
        return ""
    fields = []
    for name, value in ast.iter_fields(node):
        if name in ("ctx", "kind", "type_comment"):
            continue
        if isinstance(value, list):
            parts = [syntax(part) if isinstance(part, ast.AST) else repr(part) for part in value]
            text = ",".join(filter(None, parts))
        elif isinstance(value, ast.AST):
            text = syntax(value)
        else:
            text = "" if value is None and not isinstance(node, ast.Constant) else repr(value)
        if text:
            fields.append(f"{name}=[{text}]")
    return f"{type(node).__name__}({' '.join(fields)})"


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _only_imports(node: ast.AST) -> bool:
    """Whether a statement is an `if` or `try` with nothing but imports in it."""
    blocks = (getattr(node, name, ()) for name in _BLOCKS)
    parts = [part for block in blocks for part in block]
    return bool(parts) and all(not syntax(part) or _only_imports(part) for part in parts)


# ---------------------------------------------------------------- names
def _uses(node: ast.AST) -> set[str]:
    """The names that are read in a tree, each with the attributes read of it: `solver.solve`."""
    names: set[str] = set()
    todo = [node]
    while todo:
        part = todo.pop()
        chain: list[str] = []
        inner = part
        while isinstance(inner, ast.Attribute):
            chain.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            names.add(".".join([inner.id, *reversed(chain)]))
        elif inner is not part:
            todo.append(inner)
        else:
            todo.extend(ast.iter_child_nodes(part))
    return names


def _binds(node: ast.AST) -> set[str]:
    """The names that a top-level statement gives a value to."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    names: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            names.add(part.id)
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(part.name)
    return names | {name for target in _targets(node) if (name := _root(target))}


def _targets(node: ast.AST) -> list[ast.expr]:
    """Where an assignment puts its value, if not into a name."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target for target in targets if isinstance(target, ast.Attribute | ast.Subscript)]


def _assigns_into(node: ast.AST) -> bool:
    return bool(_targets(node))


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _imports(tree: ast.Module, package: str) -> tuple[dict[str, list[list[str | None]]], list[str]]:
    """What every import, also within functions, binds: name to (module, name in the module)."""
    names: dict[str, list[list[str | None]]] = {}
    stars: list[str] = []
    for name, module, part in _bindings(tree, package):
        if name == "*":
            stars.append(module)
        elif [module, part] not in names.setdefault(name, []):
            names[name].append([module, part])
    return {name: sorted(targets, key=str) for name, targets in sorted(names.items())}, sorted(set(stars))


def _bindings(tree: ast.Module, package: str) -> Iterator[tuple[str, str, str | None]]:
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        for name in _BLOCKS:
            todo.extend(getattr(node, name, ()))
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield (alias.asname, alias.name, None) if alias.asname else (top, top, None)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join(filter(None, [*parents[: len(parents) - node.level + 1], base]))
            for alias in node.names:
                yield alias.asname or alias.name, base, alias.name

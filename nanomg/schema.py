"""Frozen dataclasses to JSON and back, and the JSON schema of each: what requests and summaries of jobs are made of.

    @dataclass(frozen=True)
    class Rise(Strict):
        mean: Number = field(metadata=about("mean rise of tumour Mg", unit="mmol/L"))

JSON has neither NaN nor infinity. A `Number` that is not finite is null there, and NaN when it is read.
Pydantic does the checks; it is imported on first use.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import json
import math
import os
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from nanomg.errors import InputError, unknown

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")


# ---------------------------------------------------------------- fields
class AsJson:
    """Marks the type of a field that may hold more in Python than in JSON: `kind` is what JSON holds."""

    def __init__(self, kind: Any):
        self.kind = kind

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return handler.generate_schema(self.kind)


class _NullIsNan:
    """Marks a float that is null in JSON where it is not finite."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(lambda v: math.nan if v is None else v, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": ["number", "null"]}


Number = Annotated[float, _NullIsNan()]
File = Annotated[str | os.PathLike[str], AsJson(str)]
Texts = Annotated[Sequence[str], AsJson(tuple[str, ...])]


def about(
    text: str,
    *,
    unit: str = "",
    allowed: Sequence[str] = (),
    least: int | None = None,
    alias: str = "",
    execution: bool = False,
    optional: bool = False,
) -> dict[str, Any]:
    """Metadata of a field: description, unit, allowed texts, least value, and its key in JSON if not its name.

    `execution` marks fields of a request on how a job is run and where its result goes, not on what is computed; `optional`
    those that JSON does not have where they are None.
    """
    extra = ({"unit": unit} if unit else {}) | ({"enum": list(allowed)} if allowed else {})
    metadata: dict[str, Any] = {"description": text, "execution": execution, "optional": optional}
    if extra:
        metadata["json_schema_extra"] = extra
    if least is not None:
        metadata["ge"] = least
    if alias:
        metadata["alias"] = alias
    return metadata


class Strict:
    """Base of dataclasses that take no field but their own when they are read."""

    __pydantic_config__ = {"extra": "forbid"}


class JsonRecord(Strict, Mapping[str, Any]):
    """Base of dataclasses that can also be read as the mapping that they are in JSON: `signal.auc` is `signal["auc"]`."""

    def __getitem__(self, key: str) -> Any:
        name = _names(type(self)).get(key)
        value = None if name is None else getattr(self, name)
        if name is None or (value is None and _left_out(type(self), name)):
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[str]:
        return (key for key in _names(type(self)) if key in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        name = _names(type(self)).get(str(key))
        return name is not None and not (getattr(self, name) is None and _left_out(type(self), name))


# ---------------------------------------------------------------- to JSON
def plain(value: Any) -> Any:
    """What JSON can hold of a value: dataclasses become mappings, arrays lists, and numbers that are not finite None."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain_fields(value)
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy and JAX
        return plain(value.tolist())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{value!r} has no place in JSON")


def plain_fields(record: Any) -> dict[str, Any]:
    """The fields of a dataclass by their keys in JSON, without those that are optional and None."""
    found = {entry: getattr(record, entry.name) for entry in dataclasses.fields(record)}
    return {
        key_of(entry): plain(value)
        for entry, value in found.items()
        if value is not None or not entry.metadata.get("optional")
    }


def to_json(value: Any, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """The JSON text of a value. A number that is not finite is null; dataclasses become objects, arrays lists."""
    return json.dumps(plain(value), indent=indent, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False)


def key_of(entry: dataclasses.Field[Any]) -> str:
    """The key of a field in JSON."""
    return str(entry.metadata.get("alias", entry.name))


@functools.cache
def _names(kind: Any) -> dict[str, str]:
    """The names of a dataclass's fields by their keys in JSON."""
    return {key_of(entry): entry.name for entry in dataclasses.fields(kind)}


@functools.cache
def _left_out(kind: Any, name: str) -> bool:
    """Whether JSON does not have this field where it is None."""
    return any(entry.name == name and entry.metadata.get("optional") for entry in dataclasses.fields(kind))


# ---------------------------------------------------------------- from what was computed
def build(kind: Any, value: Any) -> Any:
    """The dataclass of values that were just computed, by their keys in JSON: as `read`, but neither checked nor converted.

    Raises `TypeError` where a field is missing or unknown.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if value is None or isinstance(kind, str):
        return value
    if origin is Annotated:
        return build(arguments[0], value)
    if origin in (Union, types.UnionType):
        return build(next(one for one in arguments if one is not types.NoneType), value)
    if hasattr(kind, "__dataclass_fields__"):
        if isinstance(value, kind):
            return value
        names, hints = _names(kind), _hints(kind)
        given = {names.get(key, key): entry for key, entry in value.items()}
        return kind(**{name: build(hints.get(name, Any), entry) for name, entry in given.items()})
    if origin in (Mapping, dict, collections.abc.Mapping):
        return {str(key): build(arguments[1], entry) for key, entry in value.items()}
    if origin is tuple:
        return tuple(build(arguments[0], entry) for entry in value)
    return value.item() if hasattr(value, "item") else value


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


# ---------------------------------------------------------------- from JSON
def read(kind: type[T], data: Mapping[str, Any], where: str) -> T:
    """The dataclass that JSON describes.

    Raises `InputError` that names the first field that is missing, unknown or of another type.
    """
    from pydantic import ValidationError

    try:
        found: T = _adapter(kind).validate_python(plain(data))
    except ValidationError as error:
        raise InputError(_sentence(error.errors()[0], len(error.errors())), where) from None
    _check_words(found, where)
    return found


def _sentence(error: Mapping[str, Any], count: int) -> str:
    place = ".".join(str(step) for step in error["loc"])
    more = f" (and {count - 1} more)" if count > 1 else ""
    if error["type"] in ("missing", "missing_argument"):
        return f"the field {place!r} is missing{more}"
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"there is no field {place!r}{more}"
    text = str(error["input"])
    reason = str(error["msg"]).removeprefix("Input ").replace("should", "must")
    return f"{place!r} {reason}, not {text if len(text) <= 60 else f'{text[:59]}…'}{more}"


def _check_words(found: Any, where: str) -> None:
    for entry in dataclasses.fields(found):
        words = entry.metadata.get("json_schema_extra", {}).get("enum")
        value = getattr(found, entry.name)
        if words and value not in words:
            raise unknown(entry.name, str(value), words, where)


_adapters: dict[Any, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Pydantic's view of a dataclass, built once."""
    from pydantic import TypeAdapter

    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def schema_of(kind: type) -> dict[str, Any]:
    """The JSON schema of a dataclass."""
    return dict(_adapter(kind).json_schema(by_alias=True))

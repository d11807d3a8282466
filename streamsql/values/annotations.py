"""Python's annotations as SQL types, and values on their way between Arrow and a user's function.

`int` is BIGINT NOT NULL, `int | None` is BIGINT: an annotation that takes no None says NOT NULL. Below
the top (an element, a field) every value may be NULL.
"""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import datetime
import decimal
import types as python_types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

from streamsql.core import types
from streamsql.core.types import DataType
from streamsql.errors import SQLTypeError
from streamsql.sql import parse_type
from streamsql.values import python_values
from streamsql.values.promotion import MILLISECONDS, MONTHS
from streamsql.values.python_values import Convert

HINT = ("Write int, float, str, bool, bytes, Decimal, date, time, datetime, timedelta, list[…], dict[…, …], "
        "Counter[…], set[int] or a dataclass; or give the SQL types: @streamsql.function('INT', returns='INT').")

_PLAIN: dict[object, DataType] = {
    bool: types.BOOLEAN, int: types.BIGINT, float: types.DOUBLE, str: types.STRING, bytes: types.BYTES,
    decimal.Decimal: types.decimal(38, 18), datetime.date: types.DATE, datetime.time: types.time(6),
    datetime.datetime: types.timestamp(6), datetime.timedelta: MILLISECONDS,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A SQL type and how its values become Python's (`read`) and Arrow's (`write`); None: as they are."""

    type: DataType
    read: Convert | None = None
    write: Convert | None = None

    def reading(self, values: list[Any]) -> list[Any]:
        read = self.read
        return values if read is None else [None if v is None else read(v) for v in values]

    def writing(self, values: list[Any]) -> list[Any]:
        write = self.write
        return values if write is None else [None if v is None else write(v) for v in values]


def kind_of(annotation: object) -> Kind:
    """The kind of an annotation, or of a SQL type as text. Raises SQLTypeError for what has none."""
    if isinstance(annotation, str):
        return of_type(parse_type(annotation))
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        written = next((m for m in more if isinstance(m, str)), None)
        return kind_of(inner if written is None else written)
    if get_origin(annotation) in (Union, python_types.UnionType):
        members = [m for m in get_args(annotation) if m is not type(None)]
        if len(members) == 1 and len(members) < len(get_args(annotation)):
            kind = kind_of(members[0])
            return Kind(kind.type.as_nullable(), kind.read, kind.write)
    if annotation in _PLAIN:
        return of_type(_PLAIN[annotation].not_null())
    found = _collection(annotation) or _row(annotation)
    if found is None:
        raise SQLTypeError(f"{shown(annotation)} is no type of a function's argument or result", hint=HINT)
    return Kind(found.type.not_null(), found.read, found.write)


def shown(annotation: object) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _collection(annotation: object) -> Kind | None:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin in (list, collections.abc.Sequence) and len(inside) == 1:
        return _array(_nested(inside[0]))
    if origin in (dict, collections.abc.Mapping) and len(inside) == 2:
        return _map(_nested(inside[0]), _nested(inside[1]))
    if origin is collections.Counter and len(inside) == 1:
        return _multiset(_nested(inside[0]))
    if origin in (set, frozenset, collections.abc.Set) and inside == (int,):
        return of_type(DataType("BITMAP"))
    return None


def _nested(annotation: object) -> Kind:
    kind = kind_of(annotation)
    return Kind(kind.type.as_nullable(), kind.read, kind.write)


def _array(element: Kind) -> Kind:
    return Kind(types.array(element.type), element.reading if element.read else None,
                lambda value: element.writing(list(value)))


def _map(key: Kind, value: Kind) -> Kind:
    def both(keys: Callable[[list[Any]], list[Any]], values: Callable[[list[Any]], list[Any]],
             pairs: dict[Any, Any]) -> list[tuple[Any, Any]]:
        return list(zip(keys(list(pairs)), values(list(pairs.values())), strict=True))

    return Kind(types.map_of(key.type, value.type),
                lambda pairs: dict(both(key.reading, value.reading, dict(pairs))),
                lambda pairs: both(key.writing, value.writing, dict(pairs)))


def _multiset(element: Kind) -> Kind:
    return Kind(types.multiset(element.type),
                lambda pairs: collections.Counter(dict(zip(
                    element.reading([value for value, _ in pairs]), (count for _, count in pairs), strict=True))),
                lambda counts: python_values.write_counts(counts, element.writing))


def fields_of(annotation: object) -> dict[str, object] | None:
    """The fields of a dataclass, a TypedDict or a NamedTuple with their annotations; None for others."""
    if not isinstance(annotation, type):
        return None
    named = issubclass(annotation, tuple) and hasattr(annotation, "_fields")
    if not (dataclasses.is_dataclass(annotation) or typing.is_typeddict(annotation) or named):
        return None
    hints = get_type_hints(annotation, include_extras=True)
    names = getattr(annotation, "_fields", None) or (
        [f.name for f in dataclasses.fields(annotation)] if dataclasses.is_dataclass(annotation) else hints)
    return {name: hints[name] for name in names}


def _row(annotation: object) -> Kind | None:
    fields = fields_of(annotation)
    if fields is None:
        return None
    kinds = {name: _nested(hint) for name, hint in fields.items()}
    make: Convert = dict if typing.is_typeddict(annotation) else lambda value: annotation(**value)  # type: ignore[operator]
    return row_kind(kinds, make)


def row_kind(kinds: dict[str, Kind], make: Convert = dict) -> Kind:
    """A ROW of these fields; written from a dict, a tuple, or anything with such attributes."""
    def read(value: dict[str, Any]) -> Any:
        return make({name: kind.reading([value[name]])[0] for name, kind in kinds.items()})

    def write(value: Any) -> dict[str, Any]:
        return {name: kind.writing([given])[0]
                for (name, kind), given in zip(kinds.items(), _values(value, tuple(kinds)), strict=True)}

    return Kind(types.row({name: kind.type for name, kind in kinds.items()}), read, write)


def _values(value: Any, names: tuple[str, ...]) -> list[Any]:
    if isinstance(value, collections.abc.Mapping):
        if unknown := [k for k in value if k not in names]:
            raise ValueError(f"field {unknown[0]!r} is not among {', '.join(names)}")
        return [value.get(name) for name in names]
    if isinstance(value, tuple | list):
        if len(value) != len(names):
            raise ValueError(f"{len(value)} values for {len(names)} columns")
        return list(value)
    return [getattr(value, name) for name in names]


def of_type(type_: DataType) -> Kind:
    """The kind of a SQL type: a ROW is a dict, a MAP too; a type that holds others holds theirs."""
    nested = [of_type(child) for child in type_.children]
    match type_.root:
        case "ARRAY":
            kind = _array(nested[0])
        case "MAP":
            kind = _map(nested[0], nested[1])
        case "ROW":
            kind = row_kind(dict(zip(type_.names, nested, strict=True)))
        case "DECIMAL":
            kind = Kind(type_, None, _rounded(type_.scale))
        case "MULTISET":
            kind = _multiset(nested[0])
        case "VARIANT":
            kind = Kind(type_, python_values.read_json, python_values.write_json)
        case "BITMAP":
            kind = Kind(type_, set, python_values.write_members)
        case "INTERVAL YEAR TO MONTH":
            type_ = MONTHS.as_nullable(type_.nullable)
            kind = Kind(type_, python_values.read_months, python_values.write_months)
        case "INTERVAL DAY TO SECOND":
            type_ = MILLISECONDS.as_nullable(type_.nullable)
            kind = Kind(type_, python_values.read_duration, python_values.write_duration)
        case "NULL":
            raise SQLTypeError(f"{type_} is no type of a function's argument or result", hint=HINT)
        case _:
            kind = Kind(type_)
    return Kind(type_, kind.read, kind.write)


def _rounded(scale: int) -> Convert:
    """A number as DECIMAL of `scale`, half up as in a CAST; a float would bring digits that it has not."""
    unit = decimal.Decimal(1).scaleb(-scale)
    exact = decimal.Context(prec=76, rounding=decimal.ROUND_HALF_UP)

    def write(value: Any) -> decimal.Decimal:
        if isinstance(value, float) or not isinstance(value, decimal.Decimal | int):
            raise TypeError("a DECIMAL is a Decimal or an int")
        return decimal.Decimal(value).quantize(unit, context=exact)

    return write


REFUSED = (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError, KeyError,
           decimal.DecimalException)
"""What is raised when a value is not of the type that it is written as."""


def arrow_of(kind: Kind, values: list[Any]) -> pa.Array:
    """Python's values as an Arrow column. Raises one of REFUSED."""
    return pa.array(kind.writing(values), kind.type.arrow_type())

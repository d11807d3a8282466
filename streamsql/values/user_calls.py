"""How DuckDB calls user functions: Arrow columns in, Arrow columns out, and what they raise as DataError.

A function that takes values is called once a row, in Python: about 1 µs a row and argument beside its
own work. One that takes Arrow arrays is called once for each 2048 rows or fewer.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from streamsql.state.database import refusal
from streamsql.values import user_aggregates
from streamsql.values.annotations import REFUSED, Kind
from streamsql.values.user import UserFunction, called_type
from streamsql.values.user_rows import (
    Columns,
    Over,
    arguments_of,
    attempted,
    combined,
    no_value,
    refused,
    skipped_by,
    written,
)

_CALLED = re.compile(r'"u_([^"/]+)/(\d+)(?:\$\w+)?"')


class Registry(Protocol):
    """A Database, as far as functions are concerned."""

    def function(self, name: str, call: Callable[..., Any], arguments: list[str], result: str, *,
                 vectorised: bool = True, volatile: bool = False) -> None: ...


def load(database: Registry, functions: Mapping[str, UserFunction], text: str) -> None:
    """Register on `database` the functions that the SQL in `text` calls, before anything is prepared."""
    for name, count in sorted(set(_CALLED.findall(text))):
        if name in functions:
            _register(database, functions[name], int(count))


def _register(database: Registry, f: UserFunction, count: int) -> None:
    arguments = f.argument_types(count)
    name, result = f.sql_name(count)[1:-1], called_type(f.result.type)

    def register(name: str, over: Over, arguments: list[str], result: str) -> None:
        call = _of_arity(over, len(arguments))
        database.function(name, call, arguments, result, volatile=not f.deterministic)

    if f.form == "aggregate":
        for part, (over, taken, given) in user_aggregates.calls(f, count, arguments).items():
            register(f.sql_name(count, part)[1:-1], over, taken, given)
    elif f.form == "table":
        register(name, _generated(f, count), arguments, f"{result}[]")
    else:
        register(name, _vectorised(f, count) if f.arrays else _rowwise(f, count), arguments, result)


def _of_arity(over: Callable[..., Any], count: int) -> Callable[..., Any]:
    """`over` with a signature of `count` parameters: DuckDB counts them."""
    def call(*columns: pa.ChunkedArray) -> pa.Array:
        return over(columns)

    kind = inspect.Parameter.POSITIONAL_ONLY
    call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(f"a{i}", kind) for i in range(count)])
    return call


# ------------------------------------------------------------------------------------------------ scalar


def _rowwise(f: UserFunction, count: int) -> Callable[[Columns], pa.Array]:
    parameters, call, nullable = f.of_arity(count), attempted(f, f.call), f.result.type.nullable
    skipped = skipped_by(parameters)

    def one(row: tuple[Any, ...]) -> Any:
        if skipped(row):
            return None
        value = call(*row)
        if value is None and not nullable:
            raise no_value(f)
        return value

    return lambda columns: written(f, [one(row) for row in arguments_of(columns, parameters)])


def _vectorised(f: UserFunction, count: int) -> Callable[[Columns], pa.Array]:
    parameters, type_ = f.of_arity(count), f.result.type.arrow_type()
    chunked, call = f.arrays == "ChunkedArray", attempted(f, f.call)

    def called(columns: Columns) -> pa.Array:
        result = call(*(c if chunked else combined(c) for c in columns))
        if not isinstance(result, pa.Array | pa.ChunkedArray) or len(result) != len(columns[0]):
            what = f"{len(result)} rows" if isinstance(result, pa.Array | pa.ChunkedArray) else repr(type(result))
            raise refusal(f'function "{f.name}" gave {what} for an array of {len(columns[0])} rows', None)
        if result.null_count and not f.result.type.nullable:
            raise no_value(f)
        try:
            return combined(result.cast(type_))
        except pa.ArrowException as error:
            raise refusal(f'function "{f.name}" gave {result.type}, its result is {f.result.type}',
                          str(error)) from None

    def over(columns: Columns) -> pa.Array:
        valid = None
        for column, parameter in zip(columns, parameters, strict=True):
            if parameter.strict and column.null_count:
                there = column.is_valid()
                valid = there if valid is None else pc.and_(valid, there)
        if valid is None:
            return called(columns)
        given = [column.filter(valid) for column in columns]
        if not len(given[0]):
            return pa.nulls(len(columns[0]), type_)
        return pc.replace_with_mask(pa.nulls(len(columns[0]), type_), combined(valid), called(given))

    return over


# ------------------------------------------------------------------------------------------------ table


def _generated(f: UserFunction, count: int) -> Callable[[Columns], pa.Array]:
    """The rows of each call as a list; NULL for none, so that a LEFT JOIN can tell."""
    parameters, type_ = f.of_arity(count), f.result.type
    skipped, call = skipped_by(parameters), attempted(f, lambda *row: list(f.call(*row) or ()))
    required = [name for name, t in zip(type_.names, type_.children, strict=True) if not t.nullable]

    def rows(row: tuple[Any, ...]) -> list[Any] | None:
        if skipped(row):
            return None
        found = call(*row)
        try:
            given = f.result.writing(found)
        except REFUSED:
            raise refused(f, f.result, found) from None
        for name in required:
            if any(w is None or w[name] is None for w in given):
                raise no_value(f, f'its column "{name}"')
        return given or None

    def over(columns: Columns) -> pa.Array:
        lists = [rows(row) for row in arguments_of(columns, parameters)]
        try:
            return pa.array(lists, pa.list_(type_.arrow_type()))
        except REFUSED:
            raise refused(f, Kind(type_), [row for one in lists if one for row in one]) from None

    return over

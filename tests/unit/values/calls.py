"""Calls of functions on constants and on columns, through DuckDB: what the tests of functions are written in."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal

import pyarrow as pa

from streamsql.core.schema import quote, text_literal
from streamsql.core.types import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    INT,
    STRING,
    DataType,
    array,
    char,
    decimal,
    map_of,
    time,
    timestamp,
)
from streamsql.state.database import Database
from streamsql.values.functions import lookup
from streamsql.values.macros import SETUP, set_clock
from streamsql.values.signature import apply
from streamsql.values.typed import Typed
from streamsql.values.udfs import register

Value = object


class Word(str):
    """A keyword of a call: a unit, BOTH, OBJECT."""


@contextmanager
def database() -> Iterator[Database]:
    """A database that knows the functions and macros of values, its clock at one second past 1970."""
    opened = Database()
    try:
        register(opened)
        for statement in SETUP:
            opened.execute(statement)
        set_clock(opened.execute, 1_000_000)
        yield opened
    finally:
        opened.close()


def type_of(value: Value) -> DataType:
    """The Flink type of a Python value of these tests."""
    if isinstance(value, list):
        return array(type_of(next((v for v in value if v is not None), 0)).as_nullable())
    if isinstance(value, dict):
        return map_of(type_of(next(iter(value))), type_of(next(iter(value.values()))))
    if isinstance(value, Decimal):
        digits = value.as_tuple()
        return decimal(max(len(digits.digits), -int(digits.exponent)), -int(digits.exponent))
    if isinstance(value, int) and not isinstance(value, bool):
        return INT if abs(value) < 2**31 else BIGINT
    return {bool: BOOLEAN, float: DOUBLE, str: STRING, bytes: BYTES, datetime.date: DATE, datetime.time: time(0),
            datetime.datetime: timestamp(3)}[type(value)]


def constant(value: Value) -> Typed:
    """A literal, as the binder makes it."""
    if isinstance(value, Typed):
        return value
    if isinstance(value, Word):
        return Typed("", STRING.not_null(), str(value), True)
    type_ = type_of(value)
    if isinstance(value, str):
        return Typed(text_literal(value), char(len(value)).not_null() if value else type_.not_null(), value, True)
    if isinstance(value, bytes):
        return Typed(f"unhex('{value.hex()}')", type_.not_null(), value, True)
    if isinstance(value, list):
        inner = ", ".join("NULL" if v is None else constant(v).sql for v in value)
        return Typed(f"CAST([{inner}] AS {type_.duck_type()})", type_.not_null())
    if isinstance(value, dict):
        entries = ", ".join(f"{constant(k).sql}: {constant(v).sql}" for k, v in value.items())
        return Typed(f"MAP {{{entries}}}", type_.not_null())
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return Typed(f"CAST('{text}' AS {type_.duck_type()})", type_.not_null(), value, True)


def null(type_: DataType) -> Typed:
    return Typed(f"CAST(NULL AS {type_.duck_type()})", type_.as_nullable())


def bound(name: str, args: Sequence[Typed], zone: str = "UTC") -> Typed:
    function = lookup(name)
    assert function is not None, name
    return apply(function, args, zone=text_literal(zone))


def on_constants(opened: Database, name: str, *args: Value, zone: str = "UTC") -> Value:
    """The value of a call whose arguments are all literals."""
    sql = bound(name, [constant(a) for a in args], zone).sql
    return plain(opened.query(f"SELECT {sql} AS v").column("v").to_pylist()[0])


def on_columns(opened: Database, name: str, *args: Value, zone: str = "UTC") -> list[Value]:
    """The values of a call whose arguments are columns of three rows: the values, NULLs, the values again."""
    typed: list[Typed] = []
    columns: dict[str, pa.Array] = {}
    for index, value in enumerate(args):
        if isinstance(value, (Word, Typed)):
            typed.append(constant(value))
            continue
        type_, column = type_of(value), f"c{index}"
        held = list(value.items()) if isinstance(value, dict) else value
        columns[column] = pa.array([held, None, held], type_.arrow_type())
        typed.append(Typed(quote(column), type_.as_nullable()))
    table = pa.table(columns)
    source = opened.over("rows", table.schema)
    source.set(table)
    sql = bound(name, typed, zone).sql
    return [plain(v) for v in opened.query(f"SELECT {sql} AS v FROM rows").column("v").to_pylist()]


def plain(value: Value) -> Value:
    """A value as the tables of cases write it."""
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.UTC)
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return dict(value)
    return value


def check(opened: Database, name: str, args: Sequence[Value], expected: Value, zone: str = "UTC") -> None:
    """One case, on constants and on columns; the row of NULLs gives no error."""
    assert on_constants(opened, name, *args, zone=zone) == expected
    if any(not isinstance(a, (Word, Typed)) for a in args):
        first, _, last = on_columns(opened, name, *args, zone=zone)
        assert first == expected
        assert last == expected

"""The examples of functions over columns: their constants become columns of a table that a Session reads.

Constants are folded by DuckDB and may be computed while planning, which hides what is wrong with whole
columns; so each example is also run as a scan and a projection over rows of which some hold NULLs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

import streamsql
from streamsql.core.types import DataType
from streamsql.errors import Source, SQLError
from streamsql.sql import exp, parse
from streamsql.sql.statements import Select
from streamsql.state.database import Database
from streamsql.values.binder import Binder
from streamsql.values.typed import Function, Typed
from tests.unit.values.expressions import Columns


@dataclass(frozen=True)
class Example:
    """A function's call in its example.

    call      the call with columns `c0`, `c1` … for those arguments that may be columns
    types     the columns' types, nullable
    values    what the constants were: DuckDB text by column
    constant  how many arguments stay constant since the function takes nothing else
    bound     the call over the columns
    literal   the call as it is written
    """

    call: exp.Expr
    types: Mapping[str, DataType]
    values: Mapping[str, str]
    constant: int
    bound: Typed
    literal: exp.Expr = field(compare=False)


def example_of(function: Function) -> Example:
    (statement,) = parse(Source(f"SELECT {function.example}"))
    assert isinstance(statement, Select)
    tree = statement.query.expressions[0]
    names = (function.name, *function.aliases)
    found = [t for t in tree.find_all(exp.Anonymous, exp.Overlaps)
             if (t.name.upper() if isinstance(t, exp.Anonymous) else "OVERLAPS") in names]
    assert found, f"the example of {function.name} does not call it"
    return _over_columns(found[0])


def _over_columns(written: exp.Expr) -> Example:
    call, constant = written.copy(), 0
    types: dict[str, DataType] = {}
    values: dict[str, str] = {}
    for n, argument in enumerate(_arguments(call)):
        value = Binder(Columns({}), {}).bind(argument)
        if value.type.root == "NULL":
            continue
        name = f"c{n}"
        trial = {**types, name: value.type.as_nullable()}
        column = exp.column(name)
        argument.replace(column)
        if _bound(call, trial) is None:
            column.replace(argument)
            constant += 1
            continue
        types, values[name] = trial, value.sql
    bound = _bound(call, types)
    assert bound is not None
    return Example(call, types, values, constant, bound, written)


def _arguments(call: exp.Expr) -> list[exp.Expr]:
    """The values that a call is given; for one that no table can hold, those that it is made of."""
    given = [*call.this.expressions, *call.expression.expressions] if isinstance(call, exp.Overlaps) else (
        call.expressions)
    found: list[exp.Expr] = []
    for argument in given:
        if isinstance(argument, exp.Var | exp.Kwarg):
            continue
        bitmap = Binder(Columns({}), {}).bind(argument).type.root == "BITMAP"
        found += _arguments(argument) if bitmap else [argument]
    return found


def _bound(call: exp.Expr, types: Mapping[str, DataType]) -> Typed | None:
    try:
        return Binder(Columns(types), {}).bind(call)
    except SQLError:
        return None


def constants(database: Database, example: Example) -> pa.Table:
    """One row: what the constants of the example are, with the types of its columns."""
    listed = ", ".join(f'{sql} AS "{name}"' for name, sql in example.values.items())
    row = database.query(f"SELECT {listed or '1 AS c'}")
    fields = [(name, type_.arrow_type()) for name, type_ in example.types.items()] or [("c", pa.int32())]
    return row.cast(pa.schema(fields))


def through_session(example: Example, rows: pa.Table) -> tuple[DataType, list[Any]]:
    """Type and values of the call over rows of a memory table: scan, project, collect."""
    declared = ", ".join(f"`{n}` {t}" for n, t in example.types.items()) or "c INT"
    with streamsql.Session(threaded=False) as session:
        list(session.execute(f"CREATE TABLE t ({declared}) WITH ('connector' = 'memory')"))
        return _read(session, f"SELECT {_text(example.call)} AS v FROM t", rows)


def as_written(example: Example) -> tuple[DataType, list[Any]]:
    with streamsql.Session(threaded=False) as session:
        return _read(session, f"SELECT {_text(example.literal)} AS v", None)


def _text(tree: exp.Expr) -> str:
    return tree.sql("streamsql")


def _read(session: streamsql.Session, sql: str, rows: pa.Table | None) -> tuple[DataType, list[Any]]:
    query = session.sql(sql)
    if rows is not None:
        table = session.memory("t")
        table.append(rows)
        table.end()
    query.turn()
    while not query.finished:
        query.turn()
    return query.schema["v"].type, [v for batch in query.taken() for v in batch.column("v").to_pylist()]

"""Expressions over the columns of a small table: what the tests of the binder are written in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from streamsql.core.schema import quote
from streamsql.core.types import DataType
from streamsql.errors import BindError, Source, did_you_mean
from streamsql.sql import exp, parse, parse_type, span_of
from streamsql.sql.statements import Select
from streamsql.state.database import Database
from streamsql.values.binder import Binder
from streamsql.values.constructors import field
from streamsql.values.typed import Typed


class Columns:
    """A scope of columns, by name."""

    def __init__(self, types: Mapping[str, DataType]) -> None:
        self.types = types

    def column(self, tree: exp.Expr) -> Typed:
        assert isinstance(tree, exp.Column)
        first, *path = [part.name for part in tree.parts]
        if first not in self.types:
            raise BindError(f'column "{first}" does not exist', span_of(tree),
                            hint=did_you_mean(first, self.types, "Columns"))
        value = Typed(quote(first), self.types[first])
        for name in path:
            value = field(value, name, span_of(tree))
        return value

    def call(self, tree: exp.Expr) -> Typed | None:
        return None


def bind(text: str, types: Mapping[str, DataType] | None = None, *, zone: str = "UTC") -> Typed:
    """The binding of one expression; errors carry the source `SELECT text`."""
    (statement,) = parse(Source(f"SELECT {text}"))
    assert isinstance(statement, Select)
    return Binder(Columns(types or {}), {"table.local-time-zone": zone}).bind(statement.query.expressions[0])


def type_of(text: str, **columns: str) -> str:
    """The type of an expression over columns of the named types."""
    return str(bind(text, {name: parse_type(t) for name, t in columns.items()}).type)


def value_of(opened: Database, text: str, *, zone: str = "UTC") -> object:
    """The value of an expression without columns."""
    return opened.query(f"SELECT {bind(text, zone=zone).sql} AS v").column("v").to_pylist()[0]


def values_of(opened: Database, text: str, columns: Mapping[str, tuple[str, Sequence[object]]], *,
              zone: str = "UTC") -> list[object]:
    """The values of an expression over columns: name → (type, values)."""
    types = {name: parse_type(t) for name, (t, _) in columns.items()}
    table = pa.table({n: pa.array(values, types[n].arrow_type()) for n, (_, values) in columns.items()})
    source = opened.over("rows", table.schema)
    source.set(table)
    sql = f"SELECT {bind(text, types, zone=zone).sql} AS v FROM rows"
    return list(opened.query(sql).column("v").to_pylist())

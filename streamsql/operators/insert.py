"""Insert: the rows of a query become records of a sink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from streamsql.core.batch import DIFF, Batch
from streamsql.core.connector import KEY, VALUE, Sink, TableSpec
from streamsql.core.format import Encoding
from streamsql.core.node import Context, Explain, Node, Operator, Statement, fuse
from streamsql.core.schema import quote, text_literal
from streamsql.errors import DataError, InternalError

NotNull = Literal["error", "drop"]

_VALUE, _KEY = quote("$value"), quote("$key")
_NULL_IN = "$null_in"
"""The first NOT NULL column of a row that is NULL."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A part of the record, encoded from columns of the sink.

    columns  (column as `encoding` calls it, column of the sink); they differ by `key.fields-prefix`
    changes  the encoder makes a record of each change, `$diff`
    """

    encoding: Encoding
    columns: tuple[tuple[str, str], ...]
    changes: bool = False


@dataclass(frozen=True)
class Insert(Node):
    """`INSERT INTO table`: a root of the plan; its one input is the query.

    schema      the sink's physical and written metadata columns, in order
    table       the sink as its connector is told; `table.metadata` are the ones written
    name        how errors and EXPLAIN call it
    columns     (column of `schema`, DuckDB text over the query's columns), casts included
    value, key  encoders of the record's parts; both None for a typed connector
    not_null    `table.exec.sink.not-null-enforcer`: what a NULL in a NOT NULL column does
    upsert      `$diff` -1 deletes the row of a key: of a record nothing but the key is left
    """

    table: TableSpec = field(hash=False)
    name: str
    columns: tuple[tuple[str, str], ...]
    value: Encoded | None = None
    key: Encoded | None = None
    not_null: NotNull = "error"
    upsert: bool = False

    def relation(self, inputs: Sequence[str]) -> str:
        return f"SELECT {self._casts()} FROM {inputs[0]}"

    def _casts(self) -> str:
        return ", ".join(f"{sql} AS {quote(name)}" for name, sql in self.columns)

    def required(self) -> list[str]:
        return [c.name for c in self.schema if not c.type.nullable]

    def sql(self, source: str) -> str:
        """The statement that makes the sink's rows of a batch; `source` is a quoted identifier.

        Casts first; then the value, whose encoder sees the sink's columns; then the key, whose
        encoder may see them under other names.
        """
        changes = self.value is not None and self.value.changes
        carried = [quote(DIFF)] if not self.append_only or changes else []
        rows = fuse(self.inputs[0]).select(source)
        if self.append_only and changes:
            rows = f"SELECT *, 1 AS {quote(DIFF)} FROM ({rows})"
        rows = f"SELECT {', '.join([self._casts(), *carried])} FROM ({rows})"
        deletes = f" AND {quote(DIFF)} > 0" if self.upsert and not self.append_only else ""
        cases = " ".join(f"WHEN {quote(n)} IS NULL{deletes} THEN {text_literal(n)}" for n in self.required())
        if cases:
            carried.append(quote(_NULL_IN))
            rows = f"SELECT *, CASE {cases} END AS {quote(_NULL_IN)} FROM ({rows})"
        metadata = [f"$meta.{m.key}" for m in self.table.metadata]
        given = [f"{quote(m.name)} AS {quote(n)}" for m, n in zip(self.table.metadata, metadata, strict=True)]
        if not self.table.encoded:
            physical = [quote(n) for n in self.table.schema.names]
            return f"SELECT {', '.join([*physical, *given, *carried])} FROM ({rows})"
        carried += [quote(n) for n in metadata]
        value = self.value.encoding.value if self.value else "NULL::BLOB"
        value = f"CASE WHEN {quote(DIFF)} > 0 THEN {value} END AS {_VALUE}" if deletes else f"{value} AS {_VALUE}"
        rows = f"SELECT {', '.join(['*', value, *given])} FROM ({rows})"
        if self.key is None:
            return f"SELECT {', '.join([_VALUE, *carried])} FROM ({rows})"
        names = ", ".join(f"{quote(column)} AS {quote(name)}" for name, column in self.key.columns)
        rows = f"SELECT {', '.join([_VALUE, *carried, names])} FROM ({rows})"
        return f"SELECT {', '.join([_VALUE, f'{self.key.encoding.value} AS {_KEY}', *carried])} FROM ({rows})"

    def operator(self, context: Context) -> InsertStep:
        return InsertStep(self, context)

    def explain(self) -> Explain:
        columns = ", ".join(f"{c.name} {c.type}" for c in self.schema)
        return Explain(f"Insert({self.name})", (("columns", columns), ("sql", self.sql(quote("input")))))


class InsertStep(Operator):
    """Cast rows to the sink's columns, encode them, and write them.

        written += encode(cast(Δin))

    Input:   any columns that the casts name; append-only, or a changelog if the sink takes one
    Output:  nothing; the sink has got `value`, `key`, `$meta.KEY`, or the columns; `$diff`. A delete of a
             key has no value
    State:   none
    Cost:    one DuckDB statement a batch
    Forgets: nothing to forget
    Raises:  DataError for a value that a cast refuses or a NULL where NOT NULL, before anything of
             the batch is written
    """

    def __init__(self, node: Insert, context: Context) -> None:
        self._node = node
        source = fuse(node.inputs[0]).source
        self._input = context.database.over(f"{context.name}$in", source.batch_schema())
        self._statement: Statement = context.database.compute(node.sql(quote(self._input.name)))
        self._sink: Sink | None = None
        self._rows = 0
        self._dropped = 0

    def bind(self, sink: Sink) -> None:
        """Where the rows go; once, before the first step. The caller opens and closes it."""
        self._sink = sink

    def step(self, port: int, batch: Batch) -> Batch | None:
        if self._sink is None:
            raise InternalError(f'insert into "{self._node.name}" has no sink')
        rows = self.rows(batch)
        if rows.num_rows:
            self._sink.write(rows)
        self._rows += int(rows.num_rows)
        return None

    def rows(self, batch: Batch) -> pa.Table:
        """What `Sink.write` takes, for a batch."""
        self._input.set(batch.table)
        out = self._statement.run()
        if _NULL_IN in out.column_names:
            out = self._enforced(out)
        columns = {name: out[name] for name in out.column_names}
        for name, part in ((VALUE, self._node.value), (KEY, self._node.key)):
            if self._node.table.encoded and f"${name}" in columns:
                columns[name] = _record(columns.pop(f"${name}"), part)
        return pa.table(columns)

    def _enforced(self, out: pa.Table) -> pa.Table:
        null_in = out[_NULL_IN]
        out = out.drop_columns([_NULL_IN])
        if null_in.null_count == len(null_in):
            return out
        if self._node.not_null == "error":
            first = null_in.drop_null()[0].as_py()
            raise DataError(f'column "{first}" of table "{self._node.name}" is NOT NULL and got NULL',
                            hint="SET 'table.exec.sink.not-null-enforcer' = 'DROP' leaves such rows out.")
        self._dropped += len(null_in) - null_in.null_count
        return out.filter(null_in.is_null())

    def statistics(self) -> Mapping[str, int]:
        return {"rows": self._rows, "dropped": self._dropped}


def _record(column: pa.ChunkedArray, part: Encoded | None) -> pa.ChunkedArray:
    """An encoded column as BINARY; the view of text as bytes copies nothing."""
    if part is not None and part.encoding.arrow is not None:
        return part.encoding.arrow(column)
    if column.type == pa.binary():
        return column
    return pa.chunked_array([c.view(pa.binary()) for c in column.chunks], pa.binary())

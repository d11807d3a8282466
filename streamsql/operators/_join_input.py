"""What the joins over time share: an input as rows that carry the watermark by which each is judged."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa

from streamsql.core.batch import DERIVED_SEQ, DIFF, MAX_WATERMARK, MIN_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Node, fuse
from streamsql.core.schema import quote
from streamsql.errors import DataError
from streamsql.operators._progress import Progress

AT = "$at"
"""BIGINT, µs: the watermark of the join just before a row came: the least of the row's own and of the
other input's."""
NUMBER = "$n"
"""BIGINT: the place of a row in its batch."""


Columns = Sequence[tuple[str, str]]
"""Names and DuckDB texts over the columns of both sides."""


def selected(columns: Columns) -> str:
    return ", ".join(f"{sql} AS {quote(name)}" for name, sql in columns)


def some(columns: Columns, needed: Collection[str]) -> Collection[str]:
    """`needed`, or one column: Arrow counts no rows without."""
    return needed if any(name in needed for name, _ in columns) else [columns[0][0]]


def kept(columns: Columns, needed: Collection[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, sql) for name, sql in columns if name in needed)


def rowtime_us(column: str) -> str:
    """A rowtime as µs. A TIMESTAMP is taken as UTC, as its watermark is."""
    return f"epoch_us({quote(column)})"


def derived_seq(seq: str) -> str:
    """The `$seq` of a row that comes of several records, the last of which has `seq`."""
    return f"CASE WHEN {seq} < 0 THEN {seq} ELSE {seq} + {DERIVED_SEQ} END"


def behind(watermark: str, us: int) -> str:
    """A watermark less `us`, which does not fall below the least."""
    return f"(greatest({watermark}, {MIN_WATERMARK + us}) - {us})" if us else watermark


class JoinInput:
    """One input of a join: its columns, then what the join computes, then `$at`, `$seq` and `$diff` if it changes.

    computed  (name, DuckDB text over the input's columns)
    where     a condition that rows have to meet, or ''
    required  of `computed`, what may not be NULL: a rowtime
    """

    def __init__(self, node: Node, port: int, context: Context, progress: Progress, *,
                 computed: Sequence[tuple[str, str]], where: str = "", required: str = "") -> None:
        source = node.inputs[port]
        fused = fuse(source)
        self._port, self._progress, self._required = port, progress, required
        self._own = WATERMARK in source.hidden
        self._input = context.database.over(f"{context.name}$in{port}", fused.source.batch_schema())
        own = quote(WATERMARK) if self._own else f"CAST({MAX_WATERMARK} AS BIGINT)"
        seq = quote(SEQ) if SEQ in source.hidden else f"CAST({DERIVED_SEQ} AS BIGINT)"
        columns = [quote(c) for c in source.schema.names]
        columns += [f"{sql} AS {quote(name)}" for name, sql in computed]
        columns += [f"{own} AS {quote(AT)}", f"{seq} AS {quote(SEQ)}"]
        columns += [quote(DIFF)] if DIFF in source.hidden else []
        condition = f" WHERE {where}" if where else ""
        select = fused.select(quote(self._input.name))
        self._statement = context.database.compute(f"SELECT {', '.join(columns)} FROM ({select}){condition}")
        self.schema: pa.Schema = self.rows(Batch(fused.source.batch_schema().empty_table())).schema

    def rows(self, batch: Batch) -> pa.Table:
        """The rows of a batch. Raises DataError for a rowtime that is NULL."""
        self._input.set(batch.table)
        rows = self._statement.run()
        if self._required and rows.column(self._required).null_count:
            raise DataError("rowtime is NULL")
        return self._judged(rows)

    def _judged(self, rows: pa.Table) -> pa.Table:
        limit = self._progress.limit(self._port) if self._own else self._progress.least()
        if limit == MAX_WATERMARK:
            return rows
        index = rows.column_names.index(AT)
        at = np.minimum(rows.column(index).to_numpy(), limit)
        return rows.set_column(index, rows.schema.field(index), pa.array(at))


class Alone:
    """The rows of one side that meet none of the other, as rows of the join: the other's columns are NULL."""

    def __init__(self, node: Node, port: int, context: Context, columns: Columns) -> None:
        names = node.inputs[port].schema.names
        hidden = [pa.field(h, pa.int32() if h == DIFF else pa.int64()) for h in node.hidden]
        self._schema = pa.schema([*(node.inputs[port].schema.arrow()), *hidden])
        self._input = context.database.over(f"{context.name}$alone{port}", self._schema)
        absent = [f"CAST(NULL AS {c.type.duck_type()}) AS {quote(c.name)}" for c in node.inputs[1 - port].schema]
        inner = ", ".join([*(quote(n) for n in (*names, *node.hidden)), *absent])
        hidden_names = "".join(f", {quote(h)}" for h in node.hidden)
        self._statement = context.database.compute(
            f"SELECT {selected(columns)}{hidden_names} FROM (SELECT {inner} FROM {quote(self._input.name)})")

    def rows(self, rows: pa.Table) -> pa.Table:
        """`rows` have the side's columns and the hidden ones of the join."""
        self._input.set(rows.select(self._schema.names))
        return self._statement.run()


def numbered_rows(rows: pa.Table) -> pa.Table:
    """`rows`, each with its place among them."""
    return rows.append_column(NUMBER, pa.array(np.arange(rows.num_rows, dtype=np.int64)))

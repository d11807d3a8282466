"""The rows of each group, for aggregates that need all of them: lists, quantiles, modes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from streamsql.core.batch import ARRIVAL, DIFF, SEQ, WATERMARK
from streamsql.core.schema import quote
from streamsql.operators._group_parts import Call, Groups, Part
from streamsql.state.table import KEY, ROW

_AT = "$at"
_BATCH = 2**62
"""Rows of a batch arrive after those of the state, whose numbers are below."""


def value_name(number: int) -> str:
    """The column of a group's row that holds the value of a call itself."""
    return f"$x{number}"


class KeptRows(Part):
    """The rows of a group and, after a batch, the values over those that are left.

    A row that is taken back goes with the first to arrive of those equal to it, as in Flink. Rows are
    in order of arrival where the input tells it, else in that in which they came here.
    """

    alias = "k"

    def __init__(self, groups: Groups, calls: Sequence[Call]) -> None:
        database, name = groups.context.database, groups.context.name
        self._groups, self._calls = groups, calls
        self._kept = [(n, sql) for i, call in calls for n, sql in call.kept(f"$k{i}")]
        self._delta = database.compute(self._delta_sql())
        shape = self._delta.run().schema
        stored = pa.schema([f for f in shape if f.name != DIFF])
        self._state = database.state(f"{name}$kept", stored, ttl_ms=groups.ttl_ms)
        both = pa.schema([*shape, pa.field(ROW, pa.int64()), pa.field(_AT, pa.int64())])
        self._both = database.over(f"{name}$rows_and_kept", both)
        self._left = database.compute(self._left_sql())
        self._alive = database.over(f"{name}$alive", both)
        self._values = database.compute(self._values_sql())
        self._given = database.over(f"{name}$kept_values", self._values.run().schema)
        self._gone: pa.ChunkedArray | None = None
        self._new = stored.empty_table()

    def _delta_sql(self) -> str:
        groups = self._groups
        diff = quote(DIFF) if groups.weighted else f"CAST(1 AS INTEGER) AS {quote(DIFF)}"
        columns = [f"{groups.hashed} AS {quote(KEY)}", *groups.keys, diff]
        columns += [quote(c) for c in ((WATERMARK, SEQ) if groups.arrival else ())]
        columns += [f"{sql} AS {quote(n)}" for n, sql in self._kept]
        return f"SELECT {', '.join(columns)} FROM {groups.rows}"

    def _order(self) -> str:
        return f"{ARRIVAL}, {quote(_AT)}" if self._groups.arrival else quote(_AT)

    def _left_sql(self) -> str:
        """Rows of the state and of the batch that no row takes back."""
        over = f"PARTITION BY {', '.join([*self._groups.keys, *(quote(n) for n, _ in self._kept)])}"
        diff, nth, gone = quote(DIFF), quote("$nth"), quote("$gone")
        marked = (f"SELECT *, row_number() OVER ({over}, {diff} ORDER BY {self._order()}) AS {nth}, "
                  f"count(*) FILTER (WHERE {diff} < 0) OVER ({over}) AS {gone} FROM {quote(self._both.name)}")
        return f"SELECT * EXCLUDE ({nth}, {gone}) FROM ({marked}) WHERE {diff} > 0 AND {nth} > {gone}"

    def _values_sql(self) -> str:
        groups, columns, source = self._groups, [], quote(self._alive.name)
        if not groups.arrival:
            source = (f"(SELECT *, CAST(0 AS BIGINT) AS {quote(WATERMARK)}, {quote(_AT)} AS {quote(SEQ)} "
                      f"FROM {source})")
        for i, call in self._calls:
            value = call.over_kept(f"$k{i}", arrival=True)
            columns.append(f"{value} AS {quote(value_name(i))}")
        keys = f"{quote(KEY)}, {groups.listed}"
        return f"SELECT {keys}, {', '.join(columns)} FROM {source} GROUP BY {keys}"

    @property
    def given(self) -> str:
        return self._given.name

    def columns(self) -> dict[str, tuple[pa.DataType, str]]:
        shape = self._values.run().schema
        names = [value_name(i) for i, _ in self._calls]
        return {n: (shape.field(n).type, f"{self.alias}.{quote(n)}") for n in names}

    def compute(self, groups: pa.Table) -> None:
        delta = self._delta.run()
        found = self._state.find(delta.column(KEY))
        known = found.append_column(DIFF, pa.array(np.ones(len(found), np.int32)))
        known = known.append_column(_AT, found.column(ROW))
        added = delta.append_column(ROW, pa.nulls(len(delta), pa.int64()))
        added = added.append_column(_AT, pa.array(np.arange(_BATCH, _BATCH + len(delta), dtype=np.int64)))
        both = pa.concat_tables([known.select(added.column_names), added])
        left = both
        if self._groups.weighted:
            self._both.set(both)
            left = self._left.run()
        numbers = left.column(ROW)
        self._gone = pa.array(np.setdiff1d(found.column(ROW).to_numpy(), numbers.drop_null().to_numpy()))
        self._new = left.filter(numbers.is_null()).sort_by(_AT)
        if self._groups.ttl_ms:  # all of a group were used now
            self._gone, self._new = found.column(ROW), left.sort_by(_AT)
        self._alive.set(left)
        self._given.set(self._values.run())

    def store(self, now_ms: int) -> None:
        self._state.remove(self._gone)
        self._state.add(self._new, now_ms=now_ms)

    def forget(self, now_ms: int) -> None:
        self._state.forget(now_ms)

    def __len__(self) -> int:
        return len(self._state)

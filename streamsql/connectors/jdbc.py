"""`'connector'='jdbc'`: a table of a SQLite or DuckDB file, with the options of Flink's JDBC connector.

Source: reads the table once and ends. Lookup: `JOIN t FOR SYSTEM_TIME AS OF o.proc` asks for the
keys of a batch at once. Sink: rows are inserted; by a PRIMARY KEY, which the table has to have too,
they replace each other, and are deleted. They are written before the epoch is committed: after a crash
some may come again, which a PRIMARY KEY makes harmless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamsql.connectors import jdbc_database as databases
from streamsql.connectors.jdbc_database import located, require_plain, select, table_of
from streamsql.core.batch import DIFF
from streamsql.core.clock import Clock
from streamsql.core.connector import (
    LOOKUP_OPTIONS,
    Changes,
    Chunk,
    Metadata,
    SinkStatistics,
    SourceStatistics,
    Split,
    TableSpec,
)
from streamsql.core.database_file import Connection
from streamsql.core.options import Option
from streamsql.core.schema import quote

OPTIONS = (
    Option("url", required=True, doc="`jdbc:sqlite:PATH` or `jdbc:duckdb:PATH`"),
    Option("table-name", required=True, doc="the table in that database"),
    Option("driver", doc="accepted for Flink's sake: the URL says which database it is"),
    Option("username", doc="accepted for Flink's sake: a file has no users"),
    Option("password", doc="accepted for Flink's sake: a file has no users", secret=True),
    *LOOKUP_OPTIONS,
)

METADATA: Mapping[str, Metadata] = {}

_KEYS_A_QUERY = 500


def changes(options: Mapping[str, str], primary_key: Sequence[str], *, write: bool) -> Changes:
    """What is read only comes; what is written replaces by primary key."""
    return "upsert" if write and primary_key else "append"


class JdbcSource:
    """Reads a table once, from the row at which it stopped before."""

    bounded = True

    def __init__(self, spec: TableSpec) -> None:
        require_plain(spec.schema)
        located(spec.options.text("url"))
        self._spec = spec
        self._connection: Connection | None = None
        self._rows: pa.Table | None = None
        self._at = self._read = 0

    def open(self, positions: Mapping[str, int], clock: Clock, keys: Sequence[str]) -> None:
        self._connection = databases.connected(self._spec.options.text("url"))
        self._at = positions.get("table", 0)

    def splits(self) -> Sequence[Split]:
        return (Split("table", self._spec.options.text("table-name")),)

    def poll(self, max_rows: int, timeout_s: float) -> Chunk | None:
        if self._rows is None:
            assert self._connection is not None
            found = self._connection.execute(select(self._spec.options.text("table-name"), self._spec.schema))
            self._rows = table_of(found, self._spec.schema)
        part = self._rows.slice(self._at, max_rows)
        if not part.num_rows:
            return None
        offsets = np.arange(self._at, self._at + part.num_rows, dtype=np.int64)
        self._at += part.num_rows
        self._read += part.num_rows
        return Chunk(part, np.zeros(part.num_rows, np.int32), offsets, {0: self._at})

    def ended(self) -> frozenset[int]:
        return frozenset([0]) if self.finished() else frozenset()

    def finished(self) -> bool:
        return self._rows is not None and self._at >= self._rows.num_rows

    def commit(self, positions: Mapping[str, int]) -> None:
        """Nothing outside keeps positions."""

    def statistics(self) -> SourceStatistics:
        return SourceStatistics(self._read)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class JdbcLookup:
    """Finds the rows of some keys: `core.connector.Lookup`."""

    def __init__(self, spec: TableSpec, keys: Sequence[str]) -> None:
        require_plain(spec.schema)
        self._spec, self._keys = spec, tuple(keys)
        self._kind, _ = located(spec.options.text("url"))
        self._connection: Connection | None = None

    def find(self, keys: pa.Table) -> pa.Table:
        if self._connection is None:
            self._connection = databases.connected(self._spec.options.text("url"))
        parts = [self._found(self._connection, keys.slice(at, _KEYS_A_QUERY))
                 for at in range(0, keys.num_rows, _KEYS_A_QUERY)]
        return pa.concat_tables(parts) if parts else self._spec.schema.arrow().empty_table()

    def _found(self, connection: Connection, keys: pa.Table) -> pa.Table:
        names = [quote(k) for k in self._keys]
        row = f"({', '.join('?' for _ in names)})"
        where = f" WHERE ({', '.join(names)}) IN (VALUES {', '.join([row] * keys.num_rows)})"
        given = databases.parameters(keys.select(list(self._keys)), self._kind)
        found = connection.execute(select(self._spec.options.text("table-name"), self._spec.schema, where),
                                   [value for key in given for value in key])
        return table_of(found, self._spec.schema)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class JdbcSink:
    """Writes rows, or what they change by primary key, when the epoch is flushed."""

    def __init__(self, spec: TableSpec) -> None:
        require_plain(spec.schema)
        self._spec = spec
        self._kind, _ = located(spec.options.text("url"))
        self._connection: Connection | None = None
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def open(self, epoch: int, clock: Clock) -> None:
        self._connection = databases.connected(self._spec.options.text("url"))

    def write(self, rows: pa.Table) -> None:
        self._waiting.append(rows)

    def flush(self) -> None:
        waiting = [rows for rows in self._waiting if rows.num_rows]
        if waiting:
            rows = pa.concat_tables(waiting)
            for gone, part in _runs(_last(rows, self._spec.primary_key)):
                self._apply(gone, part)
            self._rows += rows.num_rows
        self._waiting.clear()

    def _apply(self, gone: bool, rows: pa.Table) -> None:
        assert self._connection is not None
        table, names = quote(self._spec.options.text("table-name")), list(self._spec.schema.names)
        key = list(self._spec.primary_key)
        if gone:
            where = " AND ".join(f"{quote(k)} = ?" for k in key or names)
            self._connection.executemany(f"DELETE FROM {table} WHERE {where}",
                                         databases.parameters(rows.select(key or names), self._kind))
            return
        holes = ", ".join("?" for _ in names)
        sql = f"INSERT INTO {table} ({', '.join(map(quote, names))}) VALUES ({holes})"
        if key:
            others = [n for n in names if n not in key]
            update = ", ".join(f"{quote(n)} = excluded.{quote(n)}" for n in others)
            instead = f"UPDATE SET {update}" if others else "NOTHING"
            sql += f" ON CONFLICT ({', '.join(map(quote, key))}) DO {instead}"
        self._connection.executemany(sql, databases.parameters(rows.select(names), self._kind))

    def commit(self, epoch: int) -> None:
        """All is written by `flush`."""

    def statistics(self) -> SinkStatistics:
        return SinkStatistics(self._rows)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _last(rows: pa.Table, key: Sequence[str]) -> pa.Table:
    """The last change of each key, what goes first: the others would not be seen. All rows where there is no key."""
    if not key:
        return rows
    numbered = rows.append_column("$i", pa.array(np.arange(rows.num_rows)))
    last = numbered.group_by(list(key)).aggregate([("$i", "max")]).column("$i_max")
    kept = rows.take(last.combine_chunks().sort())
    return kept.sort_by([(DIFF, "ascending")]) if DIFF in kept.column_names else kept


def _runs(rows: pa.Table) -> list[tuple[bool, pa.Table]]:
    """Runs of rows that all come, or all go, in their order."""
    if DIFF not in rows.column_names:
        return [(False, rows)]
    gone = pc.less(rows.column(DIFF), 0).to_numpy()
    edges = [0, *(np.flatnonzero(gone[1:] != gone[:-1]) + 1).tolist(), rows.num_rows]
    return [(bool(gone[a]), rows.slice(a, b - a)) for a, b in pairwise(edges) if a < b]


def source(table: TableSpec) -> JdbcSource:
    return JdbcSource(table)


def lookup(table: TableSpec, keys: Sequence[str]) -> JdbcLookup:
    return JdbcLookup(table, keys)


def sink(table: TableSpec) -> JdbcSink:
    return JdbcSink(table)

"""What a lookup join asks: the whole of a table that it keeps, or a connector's `lookup` behind a cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from streamsql.core.batch import DIFF
from streamsql.core.clock import Clock
from streamsql.core.connector import Lookup, Source
from streamsql.core.node import Context
from streamsql.core.options import Options
from streamsql.core.schema import quote
from streamsql.errors import ConnectorError
from streamsql.operators.scan import Scan, ScanStep
from streamsql.state.table import KEY, ROW, StateTable

_POLL_ROWS = 50_000


class _Memory:
    """The storage of a table that no checkpoint has: it is read anew."""

    durable = False

    def execute(self, sql: str, *params: object) -> None: ...

    def query(self, sql: str, *params: object) -> pa.Table:
        raise AssertionError(sql)

    def over(self, name: str, schema: pa.Schema) -> Any: ...

    def create_table(self, name: str, schema: pa.Schema) -> None: ...


def kept_rows(name: str, schema: pa.Schema) -> StateTable:
    return StateTable(_Memory(), name, schema)


class Found(Protocol):
    def find(self, keys: pa.Table, hashes: pa.ChunkedArray) -> pa.Table:
        """The rows of distinct keys, `$key` and `$row` among their columns; there may be others among them."""
        ...

    def close(self) -> None: ...


Prepared = Callable[[pa.Table], pa.Table]
"""Rows of the table, and `$diff` if it changes, as the columns that the join reads, and `$key`."""


class WholeTable:
    """A table that is read as a whole before the first key is looked up, and kept.

    Of a source that ends it is what was there; one that goes on is read on before each batch. A batch
    in which a table of changes has changed costs what the table holds.
    """

    def __init__(self, scan: Scan, context: Context, opened: Callable[[], Source], prepared: Prepared,
                 schema: pa.Schema) -> None:
        self._scan, self._context, self._opened, self._prepared = scan, context, opened, prepared
        self._schema = schema
        reload_ms = scan.table.options.get("lookup.full-cache.periodic-reload.interval")
        self._reload_us = int(str(reload_ms)) * 1000 if reload_ms is not None else None
        self._read_us = 0
        self._source: Source | None = None
        self._step: ScanStep | None = None
        self._rows = kept_rows(f"{context.name}$table", schema)
        if not scan.append_only:
            self._now = scan.schema.arrow().empty_table()
            self._known = context.database.over(f"{context.name}$known", self._now.schema)
            self._changes = context.database.over(f"{context.name}$changes", scan.batch_schema())
            self._net = context.database.compute(self._net_sql())

    def find(self, keys: pa.Table, hashes: pa.ChunkedArray) -> pa.Table:
        now_us = self._context.clock.now_us()
        if self._source is None or (self._reload_us is not None and now_us - self._read_us >= self._reload_us):
            self.close()
            self._rows = kept_rows(f"{self._context.name}$table", self._schema)
            if not self._scan.append_only:
                self._now = self._now.slice(0, 0)
            self._source, self._step = self._opened(), self._scan.operator(self._context)
            self._source.open({}, self._context.clock, self._scan.keys())
            self._read_us = now_us
        self._read()
        return self._rows.find(hashes)

    def _read(self) -> None:
        assert self._source is not None
        assert self._step is not None
        while not self._source.finished():
            chunk = self._source.poll(_POLL_ROWS, 0)
            if chunk is None:
                return
            self._step.observe(self._source.splits(), self._source.ended())
            out = self._step.ingest(chunk)
            if out is not None:
                self._apply(out.table)

    def _apply(self, rows: pa.Table) -> None:
        """Rows that come are added; of a table that changes all rows are taken anew."""
        if self._scan.append_only:
            self._rows.add(self._prepared(rows))
            return
        self._changes.set(rows)
        self._known.set(self._now)
        self._now = self._net.run()
        self._rows = kept_rows(f"{self._context.name}$table", self._schema)
        self._rows.add(self._prepared(self._now))

    def _net_sql(self) -> str:
        """The rows left of those known and the changes after them."""
        names = ", ".join(quote(n) for n in self._scan.schema.names)
        diff = quote(DIFF)
        both = (f'(SELECT {names}, 1 AS {diff}, 0 AS "$i" FROM {quote(self._known.name)} UNION ALL '
                f"SELECT {names}, {diff}, row_number() OVER () FROM {quote(self._changes.name)})")
        if self._scan.upsert:
            key = ", ".join(quote(k) for k in self._scan.table.primary_key)
            last = f'SELECT * FROM {both} QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY "$i" DESC) = 1'
            return f"SELECT {names} FROM ({last}) WHERE {diff} > 0"
        left = f"SELECT {names}, CAST(sum({diff}) AS BIGINT) AS \"$left\" FROM {both} GROUP BY {names}"
        return f'SELECT {names} FROM (SELECT *, unnest(range("$left")) FROM ({left}) WHERE "$left" > 0)'

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None


@dataclass(slots=True)
class _Asked:
    """When a key was asked for outside, and when it was last needed; µs."""

    written_us: int
    used_us: int
    hash: int


class CachedLookup:
    """Asks a connector once for each distinct key of a batch, and keeps what `lookup.cache` says."""

    def __init__(self, lookup: Lookup, options: Options, clock: Clock, prepared: Prepared, schema: pa.Schema) -> None:
        self._lookup, self._clock, self._prepared = lookup, clock, prepared
        self._keeps = options.text("lookup.cache") == "partial"
        self._max_rows = options["lookup.partial-cache.max-rows"]
        self._written_us = _us(options, "lookup.partial-cache.expire-after-write")
        self._used_us = _us(options, "lookup.partial-cache.expire-after-access")
        self._missing = options.flag("lookup.partial-cache.cache-missing-key")
        self._retries = options.integer("lookup.max-retries")
        self._schema = schema
        self._rows = kept_rows("lookup", schema)
        self._known: OrderedDict[tuple[Any, ...], _Asked] = OrderedDict()

    def find(self, keys: pa.Table, hashes: pa.ChunkedArray) -> pa.Table:
        if not self._keeps:
            self._rows = kept_rows("lookup", self._schema)
            if keys.num_rows:
                self._rows.add(self._asked(keys))
            return self._rows.find(hashes)
        now_us = self._clock.now_us()
        self._expire(now_us)
        named = list(zip(*(c.to_pylist() for c in keys.columns), strict=True))
        missing = [i for i, key in enumerate(named) if key not in self._known]
        if missing:
            wanted = keys.take(pa.array(missing))
            found = self._asked(wanted)
            self._rows.add(found)
            there = set(found.column(KEY).to_pylist())
            numbers = hashes.to_pylist()
            for i in missing:
                if self._missing or numbers[i] in there:
                    self._known[named[i]] = _Asked(now_us, now_us, numbers[i])
        for key in named:
            if key in self._known:
                self._known[key].used_us = now_us
                self._known.move_to_end(key)
        result = self._rows.find(hashes)
        self._shrink()
        return result

    def _asked(self, keys: pa.Table) -> pa.Table:
        for tries in range(self._retries + 1):
            try:
                return self._prepared(self._lookup.find(keys))
            except ConnectorError:
                if tries == self._retries:
                    raise
        raise AssertionError

    def _expire(self, now_us: int) -> None:
        gone = [key for key, asked in self._known.items()
                if (self._written_us is not None and now_us - asked.written_us >= self._written_us)
                or (self._used_us is not None and now_us - asked.used_us >= self._used_us)]
        self._drop(gone)

    def _shrink(self) -> None:
        """The keys needed longest ago go, until there are few enough rows."""
        limit = self._max_rows
        while isinstance(limit, int) and len(self._rows) > limit and self._known:
            self._drop([next(iter(self._known))])

    def _drop(self, keys: list[tuple[Any, ...]]) -> None:
        hashes = [self._known.pop(key).hash for key in keys]
        if hashes:
            self._rows.remove(self._rows.find(pa.array(hashes, pa.uint64())).column(ROW))

    def close(self) -> None:
        self._lookup.close()


def _us(options: Options, key: str) -> int | None:
    value = options[key]
    return int(value) * 1000 if isinstance(value, int) else None


def distinct(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """The distinct rows of some columns, those with a NULL left out."""
    table = rows.select(list(names)).drop_null()
    return table.group_by(list(names)).aggregate([]) if table.num_rows else table


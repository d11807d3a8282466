"""Scan: the records of a source become rows with a watermark; what cannot be a row is set aside.

Its statements are composed in `_scan_sql` and run in `_scan_statements`; `_watermarks` keeps event time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamsql.core.batch import DIFF, MIN_WATERMARK, SEQ, SEQ_SHIFT, WATERMARK, Batch
from streamsql.core.connector import KEY, VALUE, Chunk, MetadataColumn, Split, TableSpec
from streamsql.core.format import Decoding
from streamsql.core.node import BatchInput, Context, Explain, Node, Operator, Statement
from streamsql.core.schema import quote
from streamsql.core.system import SIDE_SCHEMA
from streamsql.errors import DataError
from streamsql.operators import _scan_sql
from streamsql.operators._scan_sql import ScanSQL
from streamsql.operators._scan_statements import Refusals, Statements
from streamsql.operators._watermarks import Int64s, SplitWatermarks

ErrorMode = Literal["fail", "log", "ignore"]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A part of the record, decoded: columns[i] of the table is what `decoding.columns[i]` gives.

    Among the value's are the metadata columns that its format reads; they stand last.
    """

    decoding: Decoding
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rowtime:
    """`WATERMARK FOR column AS …`: the event-time column and the DuckDB text of the watermark."""

    column: str
    watermark: str


@dataclass(frozen=True)
class Scan(Node):
    """A table that is read.

    schema         what the plan reads of it: physical, metadata and computed columns
    table          as its connector is told; `table.schema` has the physical columns that are read,
                   by the plan, a computed column or the watermark
    name           how errors and EXPLAIN call it
    value, key     decoders of the record's parts; both None for a typed connector
    metadata       metadata columns that are read, by the plan, a computed column or the watermark
    computed       (column, DuckDB text over physical and metadata columns)
    rowtime        None for a table without a watermark
    errors         `error-handling.mode`
    idle_ms        `scan.watermark.idle-timeout`, 0 for never
    future_ms      `scan.watermark.max-future`, 0 for any; only live sources are judged by it
    upsert         its rows replace (`$diff` +1) or delete (-1) the one of the same primary key, and are
                   no Z-set: a Normalize stands above. What is no key of a delete may be NULL; a record
                   without a value is one
    """

    table: TableSpec = field(hash=False)
    name: str
    value: Decoded | None = None
    key: Decoded | None = None
    metadata: tuple[MetadataColumn, ...] = ()
    computed: tuple[tuple[str, str], ...] = ()
    rowtime: Rowtime | None = None
    errors: ErrorMode = "log"
    idle_ms: int = 30_000
    future_ms: int = 3_600_000
    upsert: bool = False

    @property
    def expands(self) -> bool:
        """A record may be several rows."""
        return self.value is not None and self.value.decoding.diffs is not None

    def unique_keys(self) -> frozenset[frozenset[str]]:
        key = frozenset(self.table.primary_key)
        known = key and not self.append_only and key <= set(self.schema.names)
        return frozenset([key]) if known else frozenset()

    def relation(self, inputs: Sequence[str]) -> str:
        """Over all rows that it let in: kept by the caller as `inputs[0]`, or under the table's name."""
        columns = ", ".join(quote(c) for c in self.schema.names) or "1"
        return f"SELECT {columns} FROM {inputs[0] if inputs else quote(self.name)}"

    def operator(self, context: Context) -> ScanStep:
        return ScanStep(self, context)

    def explain(self) -> Explain:
        details = [("columns", ", ".join(f"{c.name} {c.type}" for c in self.schema))]
        if self.rowtime:
            details.append(("watermark", f"{self.rowtime.column} as {self.rowtime.watermark}"))
        details.append(("sql", ScanSQL(self).fast("records")))
        return Explain(f"Scan({self.name})", tuple(details))

    def keys(self) -> tuple[str, ...]:
        """What the source is asked for (see `Source.open`)."""
        raw = (VALUE, *((KEY,) if self.key else ())) if self.table.encoded else ()
        return (*raw, *(f"$meta.{m.key}" for m in self.metadata))


class ScanStep(Operator):
    """Decode a chunk, compute its columns, and say of each row what the watermark was before it.

        Δout = decode(Δrecords) − refused

    Input:   chunks of the source, by `ingest`; nothing arrives by `step`
    Output:  the columns read, `$watermark`, `$seq`; `$diff` if the source is a changelog. The rows of
             one record have its `$seq`, and stand or fall together
    State:   the watermark of each split, counters: `snapshot`, which the engine commits
    Cost:    one DuckDB statement a chunk; a second one over the rows in doubt, if there are any
    Late:    lets late rows through: which window a row is late for, only the window knows
    Refused: undecodable, NULL where NOT NULL, an expression that fails, a row from the future;
             `take_errors` hands them out (`log`), they are only counted (`ignore`), or the first
             one raises DataError (`fail`)
    Source:  Flink's watermark strategies, per split and with idleness; DESIGN §5
    """

    def __init__(self, node: Scan, context: Context) -> None:
        self.node = node
        self._context = context
        self._watermarks = SplitWatermarks()
        self._splits: Sequence[Split] = ()
        self._live = False
        self._counts: Counter[str] = Counter()
        self._errors: list[pa.Table] = []
        self._texts: dict[pa.Schema, tuple[BatchInput, Statement]] = {}
        self._chunk: Chunk | None = None
        self._statements: Statements | None = None

    @property
    def watermark_us(self) -> int:
        """That of the source: MIN_WATERMARK before it is known, MAX_WATERMARK at the end.

        The engine reads it after `ingest` and `idle` and passes it on: what was read once, rows of
        splits that come later are measured by.
        """
        return self._watermarks.advance()

    def observe(self, splits: Sequence[Split], ended: Collection[int] = (), *, live: bool = False,
                finished: bool = False) -> None:
        """The source's splits and their ends, as they are after the chunk that `ingest` takes next.

        live: the source is not bounded, so that clocks can be compared and silence means idleness.
        """
        self._splits, self._live = splits, live
        self._watermarks.observe([s.id for s in splits], ended, finished, self._context.clock.monotonic_s())

    def idle(self, now_s: float) -> list[str]:
        """Mark splits without rows since the idle timeout; ids of those that just became so.

        Called when the source has nothing to give (a split that waits behind our own slowness is
        not idle). Bounded sources have no idle splits: what they have not given yet, comes.
        """
        if not self._live or not self.node.idle_ms:
            return []
        return self._watermarks.idle(now_s, self.node.idle_ms / 1000)

    def step(self, port: int, batch: Batch) -> Batch | None:
        """A scan has no inputs; a batch that was made elsewhere passes."""
        return batch

    def ingest(self, chunk: Chunk) -> Batch | None:
        """The rows of a chunk; None for none. Raises DataError if a refused row is to end the job."""
        self._chunk = chunk
        if len(chunk) == 0:
            return None
        if self._statements is None:
            self._statements = Statements(self.node, self._context)
        refusals = Refusals()
        out, at = self._statements.rows(chunk, refusals)
        split, offset = (chunk.split, chunk.offset) if at is None else (chunk.split[at], chunk.offset[at])
        skipped = out[_scan_sql.SKIP].to_numpy() if self._statements.skips else np.zeros(len(split), bool)
        rowtime, moves = self._times(out)
        self._refuse_future(rowtime, at, refusals)
        dropped = skipped.copy()
        if refusals.rows:
            refused = sorted(refusals.rows)
            bad = np.zeros(len(chunk), bool)
            bad[refused] = True
            dropped |= bad if at is None else bad[at]
            skipped = skipped & ~(bad if at is None else bad[at])
            self._set_aside(chunk, refused, refusals)
        if moves is not None:
            moves[dropped] = MIN_WATERMARK
        else:
            moves = np.full(len(split), MIN_WATERMARK, np.int64)
        before = self._watermarks.before(split, moves, self._context.clock.monotonic_s())
        self._counts["rows"] += len(chunk)
        self._counts["skipped"] += int(np.count_nonzero(skipped))
        seq = (split.astype(np.int64) << SEQ_SHIFT) | offset
        return self._batch(seq, out, before, rowtime, dropped)

    @staticmethod
    def _times(out: pa.Table) -> tuple[Int64s | None, Int64s | None]:
        """Event time and watermark of each row, as far as there are; NULL moves nothing and is not late."""
        if _scan_sql.ROWTIME not in out.column_names:
            return None, None
        rowtime = _int64s(out[_scan_sql.ROWTIME], 2**63 - 1)
        moves = _int64s(out[_scan_sql.WATERMARK_OF_ROW], MIN_WATERMARK).copy()
        moves[rowtime == 2**63 - 1] = MIN_WATERMARK
        return rowtime, moves

    def _refuse_future(self, rowtime: Int64s | None, records: Int64s | None, refusals: Refusals) -> None:
        if rowtime is None or not self._live or not self.node.future_ms:
            return
        limit = self._context.clock.now_us() + self.node.future_ms * 1000
        at = np.flatnonzero((rowtime > limit) & (rowtime != 2**63 - 1))
        if len(at):
            assert self.node.rowtime is not None
            reasons = [f'"{self.node.rowtime.column}" is {np.datetime64(int(rowtime[i]), "us")}, '
                       f"more than {_duration(self.node.future_ms)} past the clock" for i in at]
            refusals.add((at if records is None else records[at]).tolist(), "future", reasons,
                         "a clock is wrong, or 'scan.watermark.max-future' is too small")

    def _batch(self, seq: Int64s, out: pa.Table, before: Int64s, rowtime: Int64s | None,
               dropped: np.ndarray[Any, Any]) -> Batch | None:
        late = rowtime is not None and bool(((rowtime <= before) & ~dropped).any())
        columns: dict[str, Any] = {name: out[name] for name in self.node.schema.names}
        columns |= {DIFF: out[DIFF]} if not self.node.append_only else {}
        columns |= {WATERMARK: pa.array(before), SEQ: pa.array(seq)}
        table = pa.table({name: columns[name] for name in (*self.node.schema.names, *self.node.hidden)})
        if dropped.any():
            table = table.filter(pa.array(~dropped))
        return Batch(table, late) if table.num_rows else None

    def _set_aside(self, chunk: Chunk, at: list[int], refusals: Refusals) -> None:
        for position in at:
            self._counts[refusals.rows[position][0]] += 1
        if self.node.errors == "fail":
            _, reason, detail = refusals.rows[at[0]]
            split = self._splits[int(chunk.split[at[0]])]
            raise DataError(reason, topic=split.topic, partition=split.partition,
                            offset=int(chunk.offset[at[0]]), detail=detail)
        if self.node.errors == "log":
            self._errors.append(self._side_rows(at, [refusals.rows[p][1] for p in at],
                                                [refusals.rows[p][2] for p in at]))

    def take_errors(self) -> pa.Table | None:
        """The records refused since the last call, in the form of `SIDE_SCHEMA`; None for none."""
        taken, self._errors = self._errors, []
        return pa.concat_tables(taken) if taken else None

    def records(self, seq: Sequence[int], reason: str, detail: str | None = None) -> pa.Table:
        """The records of the current chunk with these `$seq`, in the form of `SIDE_SCHEMA`.

        For rows that an operator drops while the chunk's batch travels: `t$late`, `t$errors`.
        """
        if self._chunk is None:
            return SIDE_SCHEMA.arrow().empty_table()
        known = (self._chunk.split.astype(np.int64) << SEQ_SHIFT) | self._chunk.offset
        at = np.flatnonzero(np.isin(known, np.asarray(seq, np.int64))).tolist()
        return self._side_rows(at, [reason] * len(at), [detail] * len(at))

    def _side_rows(self, at: list[int], reasons: list[str], details: list[str | None]) -> pa.Table:
        assert self._chunk is not None
        chunk, n = self._chunk, len(at)
        rows = chunk.table.take(pa.array(at, pa.int64()))
        split = chunk.split[at]
        shape = SIDE_SCHEMA.arrow()

        def given(name: str, field: str) -> Any:
            kind = shape.field(field).type
            return rows[name].cast(kind) if name in rows.column_names else pa.nulls(n, kind)

        if self.node.table.encoded:
            value = given(VALUE, "value")
        else:
            value = self._as_json(rows)
        topics = pa.array([s.topic for s in self._splits], pa.string())
        partitions = pa.array([s.partition for s in self._splits], pa.int32())
        return pa.table({
            "topic": topics.take(pa.array(split)), "partition": partitions.take(pa.array(split)),
            "offset": pa.array(chunk.offset[at]), "timestamp": given("$meta.timestamp", "timestamp"),
            "key": given(KEY, "key"), "value": value, "reason": pa.array(reasons, pa.string()),
            "detail": pa.array(details, pa.string())}, schema=shape)

    def _as_json(self, rows: pa.Table) -> pa.ChunkedArray:
        """Rows of a typed source as JSON text."""
        if rows.schema not in self._texts:
            names = [n for n in rows.column_names if not n.startswith("$")]
            source = self._context.database.over(f"{self._context.name}$aside{len(self._texts)}", rows.schema)
            packed = ", ".join(f"{quote(n)} := {quote(n)}" for n in names)
            text = f"encode(to_json(struct_pack({packed}))::VARCHAR)" if names else "'{}'::BLOB"
            sql = f"SELECT {text} AS value FROM {quote(source.name)}"
            self._texts[rows.schema] = source, self._context.database.compute(sql)
        source, statement = self._texts[rows.schema]
        source.set(rows)
        return statement.run()["value"]

    def statistics(self) -> Mapping[str, int]:
        """`rows` read, `skipped`, and refused ones by kind: `undecodable`, `computed`, `future`."""
        return dict(self._counts)

    def snapshot(self) -> dict[str, Any]:
        """What the next run needs, JSON-able: watermarks by split id, counters."""
        return {**self._watermarks.snapshot(), "counts": dict(self._counts)}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Take up a `snapshot`; before the first `observe`."""
        self._watermarks.restore(snapshot)
        self._counts = Counter(snapshot["counts"])


def _int64s(column: pa.ChunkedArray, null: int) -> Int64s:
    filled = pc.fill_null(column, null) if column.null_count else column
    values: Int64s = filled.to_numpy()
    return values


def _duration(ms: int) -> str:
    for unit, size in (("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if ms % size == 0:
            return f"{ms // size} {unit}"
    return f"{ms} ms"

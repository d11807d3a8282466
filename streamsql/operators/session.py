"""SessionAssign: the rows of each session, with its bounds, when it closes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import pyarrow as pa

from streamsql.core.batch import MAX_WATERMARK, MIN_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Explain, Node, Operator, fuse
from streamsql.core.schema import Column, Schema, quote
from streamsql.errors import DataError
from streamsql.operators.window import window_columns
from streamsql.operators.window_aggregate import closed_until, passed
from streamsql.windows.session import Session, resolved
from streamsql.windows.window import (
    END,
    START,
    TIME,
    closed_until_us,
    floored,
    is_utc,
    local_us,
    shown,
    time_column,
)

_TIME, _UNTIL, _SUSPECT = "$time", "$until", "$suspect"
_FROM, _TO = "$start", "$end"
_ID = "$id"
"""Names a kept row. DuckDB's own `rowid` would do but for rows of the running transaction: a join on it, which the
optimizer turns into a filter of the scan, brings the process down (2.0)."""


@dataclass(frozen=True)
class SessionAssign(Node):
    """The rows of the input with the bounds of their session, once it is closed.

    A window aggregate above then groups them by the bounds, and by whatever else. The schema may
    leave out columns that nobody reads.

    session    the description
    time       the rowtime column of the input
    partition  the columns of PARTITION BY
    zone       UTC for a TIMESTAMP rowtime, the session's for a TIMESTAMP_LTZ
    names      of the columns window_start, window_end, window_time
    proctime   `time` is processing time: the clock closes sessions, no row is late
    """

    session: Session
    time: str
    partition: tuple[str, ...]
    zone: str = "UTC"
    local_zoned: bool = False
    names: tuple[str, str, str] = (START, END, TIME)
    proctime: bool = False

    def key_names(self) -> list[str]:
        return [f"$k{i}" for i in range(len(self.partition))]

    def bounds(self) -> str:
        """The window columns of the schema, over `$start` and `$end`."""
        start, end = quote(_FROM), quote(_TO)
        texts = (f"make_timestamp({start})", f"make_timestamp({end})",
                 time_column(end, self.zone, self.local_zoned))
        return "".join(f", {text} AS {quote(name)}" for name, text in zip(self.names, texts, strict=True)
                       if name in self.schema)

    def passed(self) -> list[str]:
        """The columns that come from the input."""
        return [c for c in self.schema.names if c not in self.names]

    def narrowed(self, needed: Collection[str]) -> SessionAssign:
        return replace(self, schema=self.schema.only(needed))

    def relation(self, inputs: Sequence[str]) -> str:
        named = zip(self.key_names(), self.partition, strict=True)
        keys = "".join(f"{quote(column)} AS {quote(key)}, " for key, column in named)
        time = local_us(quote(self.time), self.zone)
        apart = 1 if self.proctime else 0  # by the clock a session is over when its gap is, not after it
        until = f"{time} + {self.session.gap_us - apart}"
        rows = (f"(SELECT *, {keys}{time} AS {quote(_TIME)}, {until} AS {quote(_UNTIL)} "
                f"FROM {inputs[0]} WHERE {quote(self.time)} IS NOT NULL)")
        islands = self.session.islands(rows, self.key_names(), _TIME, _UNTIL)
        by = ", ".join(quote(k) for k in (*self.key_names(), "$island"))
        bounded = (f"SELECT *, min({quote(_TIME)}) OVER (PARTITION BY {by}) AS {quote(_FROM)}, "
                   f"max({quote(_UNTIL)}) OVER (PARTITION BY {by}) + {apart} AS {quote(_TO)} FROM ({islands})")
        columns = ", ".join(quote(c) for c in self.schema.names)
        return f"SELECT {columns} FROM (SELECT *{self.bounds()} FROM ({bounded}))"

    def operator(self, context: Context) -> Operator:
        return SessionStep(self, context)

    def holds_state(self) -> bool:
        return True

    def explain(self) -> Explain:
        by = (("partition by", ", ".join(self.partition)),) if self.partition else ()
        zone = () if is_utc(self.zone) else (("zone", self.zone),)
        return Explain("Session", (("function", f"SESSION(gap {shown(self.session.gap_us)})"),
                                   ("proctime" if self.proctime else "rowtime", self.time), *by, *zone,
                                   ("emits", "the rows of a session, when it closes")))


def session_assign(source: Node, session: Session, time: str, partition: Sequence[str], *, zone: str,
                   names: tuple[str, str, str] = (START, END, TIME)) -> SessionAssign:
    """The node of SESSION over `source`. zone: that of the session settings, whatever the rowtime."""
    column = source.schema[time]
    local_zoned = column.type.root == "TIMESTAMP_LTZ"
    plain = (Column(c.name, c.type, c.time if c.time == "proctime" else "") for c in source.schema)
    schema = Schema((*plain, *window_columns(column, names)))
    return SessionAssign((source,), schema, source.append_only, source.hidden, session, time,
                         tuple(partition), zone if local_zoned else "UTC", local_zoned, names,
                         column.time == "proctime")


class SessionStep(Operator):
    """Keep rows until their session closes; then emit them with its bounds.

        Δout = the rows of the sessions that the watermark, or the clock, has just closed

    Input:   partition columns, rowtime, whatever else is read, hidden columns; any changelog mode (a
             row taken back makes a session as long as one that came, as in Flink)
    Output:  the rows; `$watermark` and `$seq` are still the row's own
    State:   the rows of open sessions; and spans: one row a batch, key and run of rows, merged when due
    Cost:    O(|Δin|) a batch; at a closing, the keys with a span that ended, and a scan of the rows
    Forgets: a session's rows when it closes
    Late:    a row whose own session was closed at its `$watermark` is kept if it touches a session
             that was open then, and reported otherwise. A row at or behind its `$watermark` is a
             suspect: runs that hold one are resolved row by row in order of arrival (`resolved`) once
             every row of before has come, all others by gaps and islands
    Source:  Flink's merging windows (MergingWindowSet); gaps and islands as in SQL
    """

    def __init__(self, node: SessionAssign, context: Context) -> None:
        self._node = node
        self._side = context.side
        self._database = context.database
        self._hidden = node.hidden
        self._rows_table = quote(f"{context.name}$rows")
        self._spans_table = quote(f"{context.name}$spans")
        self._due = quote(f"{context.name}$due")
        self._taken = quote(f"{context.name}$taken")
        self._late_rows = 0
        self._compile(context)
        self._rows = int(self._value(f"SELECT count(*) FROM {self._rows_table}"))
        self._next = int(self._value(f"SELECT coalesce(max({quote(_ID)}), 0) + 1 FROM {self._rows_table}"))

    def _compile(self, context: Context) -> None:
        node, database = self._node, self._database
        fused = fuse(node.inputs[0])
        self._input = database.over(f"{context.name}$in", fused.source.batch_schema())
        self._keep = database.compute(self._select(fused.select(quote(self._input.name))))
        schema = self._keep.run().schema.append(pa.field(_ID, pa.int64()))
        self._incoming = database.over(f"{context.name}$kept", schema)
        kept = quote(self._incoming.name)
        spans = self._spans_of(kept)
        for table, select in ((self._rows_table, f"SELECT * FROM {kept}"), (self._spans_table, spans)):
            database.execute(f"CREATE TABLE IF NOT EXISTS {table} AS {select} WITH NO DATA")
        self._store = database.prepare(f"INSERT INTO {self._rows_table} SELECT * FROM {kept}")
        self._span = database.prepare(f"INSERT INTO {self._spans_table} {spans}")
        fates = pa.schema([("id", pa.int64()), (_FROM, pa.int64()), (_TO, pa.int64())])
        self._fates = database.over(f"{context.name}$fates", fates)
        self._fates_schema = fates

    def _select(self, rows: str) -> str:
        """What is kept of the input's rows."""
        node = self._node
        columns = [f"{quote(c)} AS {quote(k)}" for k, c in zip(node.key_names(), node.partition, strict=True)]
        columns.append(f"{local_us(quote(node.time), node.zone)} AS {quote(_TIME)}")
        judged = WATERMARK in self._hidden and not node.proctime
        watermark = quote(WATERMARK) if judged else f"CAST({MIN_WATERMARK} AS BIGINT)"
        columns.append(f"{closed_until_us(watermark, node.zone)} AS {quote(_UNTIL)}")
        columns += [quote(c) for c in (*node.passed(), *self._hidden)]
        return f"SELECT {', '.join(columns)} FROM ({rows})"

    def _spans_of(self, rows: str) -> str:
        """Spans of the rows of each key, each within one session, and whether a suspect is among them.

        Rows in the same stretch of one gap are surely in one session; `_merged` joins the rest.
        """
        gap, keys = self._node.session.gap_us, [quote(k) for k in self._node.key_names()]
        time, until = quote(_TIME), quote(_UNTIL)
        columns = [*keys, f"min({time}) AS {quote(_FROM)}", f"max({time}) + {gap} AS {quote(_TO)}",
                   f"bool_or({time} <= {until}) AS {quote(_SUSPECT)}"]
        by = ", ".join((*keys, floored(time, gap, 0)))
        return f"SELECT {', '.join(columns)} FROM {rows} GROUP BY {by}"

    def _merged(self, spans: str) -> str:
        keys = [quote(k) for k in self._node.key_names()]
        islands = self._node.session.islands(spans, self._node.key_names(), _FROM, _TO)
        columns = [*keys, f"min({quote(_FROM)}) AS {quote(_FROM)}", f"max({quote(_TO)}) AS {quote(_TO)}",
                   f"bool_or({quote(_SUSPECT)}) AS {quote(_SUSPECT)}"]
        by = ", ".join((*keys, quote("$island")))
        return f"SELECT {', '.join(columns)} FROM ({islands}) GROUP BY {by}"

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        kept = self._keep.run()
        if not kept.num_rows:
            return None
        if kept.column(_TIME).null_count:
            raise DataError("rowtime is NULL")
        ids = pa.array(range(self._next, self._next + kept.num_rows), pa.int64())
        self._next += kept.num_rows
        named = kept.append_column(_ID, ids)
        self._incoming.set(named)
        self._store.run()
        self._span.run()
        self._incoming.set(named.slice(0, 0))
        self._rows += kept.num_rows
        return None

    def advance(self, watermark_us: int) -> Batch | None:
        return None if self._node.proctime and watermark_us < MAX_WATERMARK else self._close(watermark_us)

    def tick(self, now_us: int) -> Batch | None:
        return self._close(passed(now_us)) if self._node.proctime else None

    def _close(self, watermark_us: int) -> Batch | None:
        if not self._rows:
            return None
        until_us = closed_until(self._database, watermark_us, self._node.zone)
        ended = (f"({quote(_TO)} <= {until_us} OR "
                 f"{quote(_SUSPECT)} AND {quote(_FROM)} + {self._node.session.gap_us} <= {until_us})")
        if not self._value(f"SELECT count(*) FROM {self._spans_table} WHERE {ended}"):
            return None
        self._gather(ended, until_us)
        fates, late = self._resolve(watermark_us, until_us)
        self._fates.set(fates)
        self._database.execute(f"INSERT INTO {self._taken} SELECT * FROM {quote(self._fates.name)}")
        self._fates.set(self._fates_schema.empty_table())
        out = self._database.query(self._emission())
        self._forget()
        if late:
            self._late_rows += len(late)
            if SEQ in self._hidden:
                self._side.late(late, "late for every session")
        return Batch(out, may_be_late=False) if out.num_rows else None

    def _gather(self, ended: str, until_us: int) -> None:
        """Merge the spans of keys with an ended one; what is open goes back, what closes is taken."""
        same = self._same("s", "e")
        execute = self._database.execute
        ending = f"SELECT * FROM {self._spans_table} e WHERE {ended}"
        touched = f"(SELECT * FROM {self._spans_table} s WHERE EXISTS (FROM ({ending}) e WHERE {same}))"
        execute(f"CREATE TEMP TABLE {self._due} AS {self._merged(touched)}")
        execute(f"DELETE FROM {self._spans_table} s WHERE EXISTS (FROM {self._due} e WHERE {same})")
        execute(f"INSERT INTO {self._spans_table} FROM {self._due} "
                f"WHERE {quote(_TO)} > {until_us} AND NOT {quote(_SUSPECT)}")
        closed = f"{quote(_TO)} <= {until_us} AND NOT {quote(_SUSPECT)}"
        execute(f"CREATE TEMP TABLE {self._taken} AS SELECT r.{quote(_ID)} AS id, d.{quote(_FROM)}, d.{quote(_TO)} "
                f"FROM {self._joined()} WHERE {closed}")

    def _same(self, left: str, right: str) -> str:
        keys = [f"{left}.{quote(k)} IS NOT DISTINCT FROM {right}.{quote(k)}" for k in self._node.key_names()]
        return " AND ".join(keys) or "TRUE"

    def _joined(self) -> str:
        """The rows with the due span that covers them."""
        time, gap = quote(_TIME), self._node.session.gap_us
        return (f"{self._rows_table} r JOIN {self._due} d ON {self._same('r', 'd')} "
                f"AND r.{time} >= d.{quote(_FROM)} AND r.{time} <= d.{quote(_TO)} - {gap}")

    def _resolve(self, watermark_us: int, until_us: int) -> tuple[pa.Table, list[int]]:
        """Judge the runs that hold suspects. Gives the rows to take (a late one without bounds), and
        the `$seq` of the late ones; runs that stay are spans again."""
        arrival = [quote(h) for h in (WATERMARK, SEQ) if h in self._hidden]
        runs = ", ".join(f"d.{quote(k)}" for k in (*self._node.key_names(), _FROM))
        watermark, seq = (quote(h) if h in self._hidden else "0" for h in (WATERMARK, SEQ))
        found = self._database.query(
            f"SELECT dense_rank() OVER (ORDER BY {runs}) AS run, r.{quote(_ID)} AS id, r.{quote(_TIME)}, "
            f"r.{quote(_UNTIL)}, {watermark} AS w, {seq} AS q FROM {self._joined()} "
            f"WHERE d.{quote(_SUSPECT)} ORDER BY {', '.join(['run', *arrival])}")
        taken: list[tuple[int, int | None, int | None]] = []
        late: list[int] = []
        staying: list[int] = []
        records = zip(*(c.to_pylist() for c in found.columns), strict=True)
        for _, members in groupby(records, lambda row: row[0]):
            rows = list(members)
            fates = resolved([r[2] for r in rows], [r[3] for r in rows], self._node.session.gap_us)
            for (_, identity, _, _, reached, name), fate in zip(rows, fates, strict=True):
                if fate is not None and fate[1] <= until_us:
                    taken.append((identity, *fate))
                elif fate is None and reached < watermark_us:
                    taken.append((identity, None, None))
                    late.append(name)
                else:
                    staying.append(identity)
        self._return(staying)
        columns = zip(*taken, strict=True) if taken else ((), (), ())
        arrays = [pa.array(c, pa.int64()) for c in columns]
        return pa.Table.from_arrays(arrays, schema=self._fates_schema), late

    def _return(self, staying: list[int]) -> None:
        """Make spans of the rows that stay; they are suspect until resolved."""
        if staying:
            ids = ", ".join(map(str, staying))
            rows = (f"(SELECT * REPLACE ({quote(_TIME)} AS {quote(_UNTIL)}) FROM {self._rows_table} "
                    f"WHERE {quote(_ID)} IN ({ids}))")
            self._database.execute(f"INSERT INTO {self._spans_table} {self._spans_of(rows)}")

    def _emission(self) -> str:
        """The taken rows that are in a session."""
        columns = ", ".join(quote(c) for c in (*self._node.schema.names, *self._hidden))
        order = [quote(_TO), quote(_FROM), *(f"{quote(k)} NULLS FIRST" for k in self._node.key_names())]
        order += [quote(h) for h in (WATERMARK, SEQ) if h in self._hidden]
        rows = (f"SELECT * FROM {self._rows_table} r JOIN {self._taken} t ON r.{quote(_ID)} = t.id "
                f"WHERE t.{quote(_TO)} IS NOT NULL")
        bounded = f"SELECT *{self._node.bounds()} FROM ({rows})"
        return f"SELECT {columns} FROM ({bounded}) ORDER BY {', '.join(order)}"

    def _forget(self) -> None:
        taken = f"SELECT id FROM {self._taken}"
        gone = self._database.query(f"DELETE FROM {self._rows_table} WHERE {quote(_ID)} IN ({taken})")
        self._rows -= int(gone.column(0)[0].as_py())
        self._database.execute(f"DROP TABLE {self._taken}")
        self._database.execute(f"DROP TABLE {self._due}")

    def _value(self, sql: str) -> int:
        return int(self._database.query(sql).column(0)[0].as_py())

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": self._rows, "late_rows": self._late_rows}

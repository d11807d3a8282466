"""Deduplicate: one row of each key, the first or the last by time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa

from streamsql.core.batch import DIFF, MIN_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Explain, Node, Operator
from streamsql.core.schema import quote
from streamsql.errors import DataError
from streamsql.operators._ranked import NEW, RANK, TIME, Kept, numbered, ttl_of, with_arrival
from streamsql.state.table import KEY, ROW
from streamsql.windows.window import MILLISECOND_US


@dataclass(frozen=True)
class Deduplicate(Node):
    """`ROW_NUMBER() OVER (PARTITION BY keys ORDER BY time) = 1` of a stream that only adds rows.

    partition     DuckDB texts over the input
    time          its rowtime column; '' for processing time, the order of arrival
    keep          the first row of each key, or the last
    rank          the column that is always 1, '' where nobody reads it
    every_change  of the last rows: emit each version, also one that the same batch replaces
    The schema is columns of the input, then `rank`; a rowtime stays one. Keep-last by rowtime is a
    versioned table: each row is the version of its key from its rowtime on.
    """

    partition: tuple[str, ...]
    time: str
    keep: Literal["first", "last"]
    rank: str = ""
    every_change: bool = False

    def columns(self) -> list[str]:
        """The columns that come from the input."""
        return [c for c in self.schema.names if c != self.rank]

    def kept(self) -> Kept:
        return Kept(self.inputs[0], self.partition, (), self.columns(), self.time)

    def narrowed(self, needed: Collection[str]) -> Deduplicate:
        rank = self.rank if self.rank in needed else ""
        return replace(self, schema=self.schema.only(needed), rank=rank)

    def unique_keys(self) -> frozenset[frozenset[str]]:
        names = {quote(c): c for c in self.columns()}
        keys = {k for k in self.inputs[0].unique_keys() if all(c in names.values() for c in k)}
        if all(p in names for p in self.partition):
            keys.add(frozenset(names[p] for p in self.partition))
        return frozenset(keys)

    def relation(self, inputs: Sequence[str]) -> str:
        partition = f"PARTITION BY {', '.join(self.partition)} " if self.partition else ""
        way = "DESC" if self.keep == "last" else "ASC"
        order = ", ".join(f"{quote(c)} {way}" for c in ([self.time] if self.time else []) + [ROW])
        rows = f"SELECT *, row_number() OVER () AS {quote(ROW)} FROM {inputs[0]}"
        ranked = f"SELECT *, row_number() OVER ({partition}ORDER BY {order}) AS {quote(RANK)} FROM ({rows})"
        return f"SELECT {', '.join(self.shown()) or '1'} FROM ({ranked}) WHERE {quote(RANK)} = 1"

    def shown(self) -> list[str]:
        """The visible columns over kept rows."""
        rank = [f"CAST(1 AS BIGINT) AS {quote(self.rank)}"] if self.rank else []
        return [*(quote(c) for c in self.columns()), *rank]

    def operator(self, context: Context) -> Operator:
        if self.keep == "last":
            return KeepLast(self, context)
        return KeepFirst(self, context) if self.time else KeepFirstArrived(self, context)

    def holds_state(self) -> bool:
        return True

    def grows(self) -> bool:
        return bool(self.partition)

    def explain(self) -> Explain:
        emits = "each change at once"
        if self.keep == "first":
            emits = "once, when the watermark has passed the row" if self.time else "once, at once"
        details = [("keys", ", ".join(self.partition) or "-"), ("keeps", f"the {self.keep} row"),
                   ("by", self.time or "processing time"), ("emits", emits)]
        return Explain("Deduplicate", tuple(details))


class _Keeps(Operator):
    """What the three ways share: the rows of a batch with their keys, and rows kept by key."""

    def __init__(self, node: Deduplicate, context: Context) -> None:
        self._node, self._kept, self._context = node, node.kept(), context
        database = context.database
        self._input = database.over(f"{context.name}$in", self._kept.fused.source.batch_schema())
        self._take = database.compute(self._kept.select(quote(self._input.name)))
        self._watermark_us = MIN_WATERMARK
        self._ttl_ms = ttl_of(context)
        self._shape = node.batch_schema()
        stored = with_arrival(self._take.run(), 0).schema
        time = TIME if node.time and node.keep == "first" else None
        self._rows = database.state(f"{context.name}$rows", stored, time=time, ttl_ms=self._ttl_ms)
        self._old = database.over(f"{context.name}$old", self._rows.found_schema)
        self._new = database.over(f"{context.name}$new", self._rows.found_schema)
        self._names = [quote(n) for n in stored.names]

    def _taken(self, batch: Batch) -> pa.Table:
        self._input.set(batch.table)
        rows = numbered(with_arrival(self._take.run(), self._watermark_us))
        if self._node.time and rows.column(TIME).null_count:
            raise DataError("rowtime is NULL")
        return rows

    def _both(self, where: str = "") -> str:
        """Kept rows and new ones."""
        columns = ", ".join([*self._names, quote(ROW)])
        return (f"(SELECT {columns}, FALSE AS {quote(NEW)} FROM {quote(self._old.name)} UNION ALL "
                f"SELECT {columns}, TRUE FROM {quote(self._new.name)} n{where})")

    def _now_ms(self) -> int:
        return self._context.clock.now_us() // 1000 if self._ttl_ms else 0

    def watermark(self, port: int, watermark_us: int) -> None:
        self._watermark_us = watermark_us

    def tick(self, now_us: int) -> Batch | None:
        if self._ttl_ms:
            self._rows.forget(now_us // 1000)
        return None

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._rows)}


_ARRIVAL = [quote(WATERMARK), quote(SEQ), quote(ROW)]


class KeepLast(_Keeps):
    """Keep the last row of each key and emit how it changed.

        Δout = last(I + Δin) − last(I)        restricted to the keys that Δin touches

    Input:   append-only
    Output:  columns of the input, `$diff`, and where the input says it the arrival of the row that
             made the change; −old before +new
    State:   one row a key
    Cost:    one window over the batch and the kept rows of its keys
    Forgets: a row that is replaced; by `table.exec.state.ttl`
    Late:    never drops a row; of equal times the later arrival wins
    Source:  Flink's RowTimeDeduplicateFunction and ProcTimeDeduplicateKeepLastRowFunction
    """

    def __init__(self, node: Deduplicate, context: Context) -> None:
        super().__init__(node, context)
        keys, newest, taken = self._kept.partitioned(), quote(NEW), f"SELECT * FROM {self._both()}"
        if node.time:
            newest, before = quote(TIME), quote("$before")
            window = (f"{keys}ORDER BY {quote(NEW)}, {', '.join(_ARRIVAL)} "
                      "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING")
            judged = f"SELECT *, max({newest}) OVER ({window}) AS {before} FROM {self._both()}"
            taken = f"SELECT * EXCLUDE ({before}) FROM ({judged}) WHERE {before} IS NULL OR {newest} >= {before}"
        rank = (f"row_number() OVER ({keys}ORDER BY {newest} DESC, {quote(NEW)} DESC, "
                f"{', '.join(a + ' DESC' for a in _ARRIVAL)}) AS {quote(RANK)}")
        keep = "" if node.every_change else f" QUALIFY {quote(RANK)} = 1 OR NOT {quote(NEW)}"
        self._versions = context.database.compute(f"SELECT *, {rank} FROM ({taken}){keep} ORDER BY {quote(ROW)}")
        self._moved = context.database.over(f"{context.name}$moved", self._versions.run().schema)
        self._emit = context.database.compute(self._emission())

    def _emission(self) -> str:
        """−old +new for each version that replaces another; − with the arrival of what replaces it."""
        node, window = self._node, f"({self._kept.partitioned()}ORDER BY {quote(RANK)} DESC)"
        shown = ", ".join(node.shown())
        hidden = [h for h in node.hidden if h != DIFF]
        lead = "".join(f", lead({quote(h)}) OVER {window} AS {quote(h + '$next')}" for h in hidden)
        same = " AND ".join(f"{c} IS NOT DISTINCT FROM lead({c}) OVER {window}" for c in self._kept.columns) or "TRUE"
        back = " AND ".join(f"{c} IS NOT DISTINCT FROM lag({c}) OVER {window}" for c in self._kept.columns) or "TRUE"
        rows = (f"SELECT *{lead}, count(*) OVER {window} AS \"$i\", {quote(RANK)} = 1 AS \"$last\", "
                f"{same} AS \"$same\", {back} AND lag({quote(ROW)}) OVER {window} IS NOT NULL AS \"$back\" "
                f"FROM {quote(self._moved.name)}")
        gone, come = ("".join(f", {quote(h + more)} AS {quote(h)}" for h in hidden) for more in ("$next", ""))
        row = quote(ROW)
        minus = (f"SELECT {shown}, CAST(-1 AS INTEGER) AS {quote(DIFF)}{gone}, lead({row}) OVER {window} AS \"$at\" "
                 f"FROM r QUALIFY NOT \"$last\" AND NOT \"$same\"")
        plus = (f"SELECT {shown}, CAST(1 AS INTEGER) AS {quote(DIFF)}{come}, {row} AS \"$at\" "
                f"FROM r WHERE {quote(NEW)} AND NOT \"$back\"")
        return (f"WITH r AS ({rows}) SELECT * EXCLUDE (\"$at\") FROM ({minus} UNION ALL {plus}) "
                f"ORDER BY \"$at\", {quote(DIFF)}")

    def step(self, port: int, batch: Batch) -> Batch | None:
        rows = self._taken(batch)
        if not rows.num_rows:
            return None
        self._new.set(rows)
        self._old.set(self._rows.find(rows.column(KEY)))
        versions = self._versions.run()
        self._moved.set(versions)
        out = self._emit.run()
        new, last = versions.column(NEW).to_numpy(), versions.column(RANK).to_numpy() == 1
        self._rows.remove(versions.column(ROW).to_numpy()[~new & ~last])
        self._rows.add(versions.filter(pa.array(new & last)), now_ms=self._now_ms())
        return Batch(out.select(self._shape.names).cast(self._shape), batch.may_be_late) if out.num_rows else None


class KeepFirstArrived(_Keeps):
    """Pass the first row of each key.

        Δout = the rows of Δin whose key I does not have, the first of each

    Input:   append-only
    Output:  append-only; hidden columns pass
    State:   the keys that came
    Cost:    one window over the batch, one lookup a key
    Forgets: by `table.exec.state.ttl`
    Late:    takes every row
    Source:  Flink's ProcTimeDeduplicateKeepFirstRowFunction
    """

    def __init__(self, node: Deduplicate, context: Context) -> None:
        super().__init__(node, context)
        self._done = _Done(self._kept, context, self._take.run().schema)
        window = f"{self._kept.partitioned()}ORDER BY {quote(ROW)}"
        first = f"SELECT * FROM {quote(self._new.name)} n WHERE {self._done.unknown('n')} " \
                f"QUALIFY row_number() OVER ({window}) = 1"
        self._first = context.database.compute(f"{first} ORDER BY {quote(ROW)}")
        columns = ", ".join([*node.shown(), *(quote(h) for h in node.hidden)])
        self._emit = context.database.compute(f"SELECT {columns} FROM {quote(self._old.name)} ORDER BY {quote(ROW)}")

    def step(self, port: int, batch: Batch) -> Batch | None:
        rows = self._taken(batch)
        self._new.set(rows)
        self._done.look(rows)
        first = self._first.run()
        self._old.set(first)
        out = self._emit.run()
        self._done.add(first, self._now_ms())
        return Batch(out.cast(self._shape), batch.may_be_late) if out.num_rows else None

    def tick(self, now_us: int) -> Batch | None:
        self._done.forget(now_us)
        return None

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._done)}


class KeepFirst(_Keeps):
    """Emit the oldest row of each key once the watermark has passed it.

        Δout = the oldest rows of the keys that have none yet, at or behind the watermark

    Input:   append-only
    Output:  append-only, ordered by time; `$watermark` just before the row: never late for what follows
    State:   the oldest row of each key that waits; the keys that are done
    Cost:    one window over the batch and the waiting rows of its keys; at a watermark, what it passes
    Forgets: a row when it is emitted; keys by `table.exec.state.ttl`
    Late:    a row at or behind its own `$watermark` is dropped and reported
    Source:  Flink's RowTimeDeduplicateKeepFirstRowFunction
    """

    def __init__(self, node: Deduplicate, context: Context) -> None:
        super().__init__(node, context)
        self._done = _Done(self._kept, context, self._take.run().schema)
        punctual = f" WHERE {quote(TIME)} > {quote(WATERMARK)} AND {self._done.unknown('n')}"
        rank = (f"row_number() OVER ({self._kept.partitioned()}ORDER BY {quote(TIME)}, {', '.join(_ARRIVAL)})"
                f" AS {quote(RANK)}")
        self._best = context.database.compute(f"SELECT *, {rank} FROM {self._both(punctual)} ORDER BY {quote(ROW)}")
        before = f"{quote(TIME)} - {MILLISECOND_US} AS {quote(WATERMARK)}"
        order = ", ".join([quote(TIME), *(f"r.{a}" for a in _ARRIVAL)])
        columns = ", ".join([*node.shown(), before, quote(SEQ)])
        self._emit = context.database.compute(f"SELECT {columns} FROM {quote(self._old.name)} r ORDER BY {order}")
        self._late_rows = 0

    def step(self, port: int, batch: Batch) -> Batch | None:
        rows = self._taken(batch)
        late = rows.column(TIME).to_numpy() <= rows.column(WATERMARK).to_numpy()
        self._new.set(rows)
        self._done.look(rows)
        self._old.set(self._rows.find(rows.column(KEY)))
        best = self._best.run()
        new, first = best.column(NEW).to_numpy(), best.column(RANK).to_numpy() == 1
        self._rows.remove(best.column(ROW).to_numpy()[~new & ~first])
        self._rows.add(best.filter(pa.array(new & first)), now_ms=self._now_ms())
        if late.any():
            self._late_rows += int(late.sum())
            self._context.side.late(rows.column(SEQ).to_numpy()[late].tolist(), "late for deduplication")
        return None

    def advance(self, watermark_us: int) -> Batch | None:
        passed = self._rows.pop(watermark_us, through=True)
        if not passed.num_rows:
            return None
        self._old.set(passed)
        out = self._emit.run()
        self._done.add(passed, self._now_ms())
        return Batch(out.select(self._shape.names).cast(self._shape), False)

    def tick(self, now_us: int) -> Batch | None:
        self._done.forget(now_us)
        return super().tick(now_us)

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._rows) + len(self._done), "late_rows": self._late_rows}


class _Done:
    """The keys whose row has been emitted."""

    def __init__(self, kept: Kept, context: Context, taken: pa.Schema) -> None:
        self._ttl_ms = ttl_of(context)
        self._kept = kept
        names = {KEY, *(f"$k{i}" for i in range(len(kept.partition)))}
        schema = pa.schema([f for f in taken if f.name in names])
        self._state = context.database.state(f"{context.name}$done", schema, ttl_ms=self._ttl_ms)
        self._known = context.database.over(f"{context.name}$known", self._state.found_schema)

    def __len__(self) -> int:
        return len(self._state)

    def unknown(self, rows: str) -> str:
        """The condition of a row whose key is not done, over `rows`."""
        return f"NOT EXISTS (SELECT 1 FROM {quote(self._known.name)} d WHERE {self._kept.same('d', rows)})"

    def look(self, rows: pa.Table) -> None:
        self._known.set(self._state.find(np.asarray(rows.column(KEY))))

    def add(self, rows: pa.Table, now_ms: int) -> None:
        self._state.add(rows, now_ms=now_ms)

    def forget(self, now_us: int) -> None:
        if self._ttl_ms:
            self._state.forget(now_us // 1000)

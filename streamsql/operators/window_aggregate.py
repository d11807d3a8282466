"""WindowAggregate: GROUP BY keys and a window; each group is emitted once, when its window closes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from streamsql.aggregates import Aggregate
from streamsql.core.batch import DERIVED_SEQ, DIFF, MAX_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Database, Explain, Node, Operator
from streamsql.core.schema import Column, Schema, TimeAttribute, quote
from streamsql.core.types import BIGINT, DataType, timestamp
from streamsql.errors import DataError
from streamsql.operators._window_frames import END, START, Frame, frame_of
from streamsql.operators._window_state import Groups, Kept, State, kept_columns, key
from streamsql.windows.window import ALWAYS_US, MILLISECOND_US, closed_until_us, closing_us, is_utc, time_column

Bound = Literal["start", "end", "time"]


@dataclass(frozen=True)
class WindowAggregate(Node):
    """Groups of a windowed input; append-only whatever the input's changelog mode.

    keys        name and DuckDB text over the input's columns
    aggregates  name and call
    start, end  the input's window columns
    windows     the window columns of the output: name, and which bound
    sets        grouping sets as indexes of `keys`; empty for one set of all keys
    groupings   GROUPING(k, …) columns: name and the indexes of the keys
    zone        UTC for a TIMESTAMP rowtime, the session's for TIMESTAMP_LTZ (`local_zoned`)
    proctime    the windows are of processing time: the clock closes them, and no row is late
    The schema is keys, windows, groupings, aggregates. HAVING is a Project above.
    """

    keys: tuple[tuple[str, str], ...]
    aggregates: tuple[tuple[str, Aggregate], ...]
    start: str
    end: str
    windows: tuple[tuple[str, Bound], ...]
    sets: tuple[tuple[int, ...], ...] = ()
    groupings: tuple[tuple[str, tuple[int, ...]], ...] = ()
    zone: str = "UTC"
    local_zoned: bool = False
    proctime: bool = False

    def relation(self, inputs: Sequence[str]) -> str:
        keys = [f"{sql} AS {key(i)}" for i, (_, sql) in enumerate(self.keys)]
        bounds = [f"epoch_us({quote(self.start)}) AS {START}", f"epoch_us({quote(self.end)}) AS {END}"]
        rows = f"SELECT *, {', '.join((*keys, *bounds))} FROM {inputs[0]}"
        groups = Groups(len(self.keys), self.sets, ("$start", "$end"))
        columns = [f"{key(i)} AS {quote(name)}" for i, (name, _) in enumerate(self.keys)]
        columns += self.bounds(START)
        columns += [f"{groups.grouping(of)} AS {quote(name)}" for name, of in self.groupings]
        columns += [f"{call.whole()} AS {quote(name)}" for name, call in self.aggregates]
        return f"SELECT {', '.join(columns)} FROM ({rows}) GROUP BY {groups.clause()}"

    def bounds(self, start: str) -> list[str]:
        """The window columns of the output over `$end` and a start, both local µs."""
        texts = {"start": f"make_timestamp({start})", "end": f"make_timestamp({END})",
                 "time": time_column(END, self.zone, self.local_zoned)}
        return [f"{texts[bound]} AS {quote(name)}" for name, bound in self.windows]

    def unique_keys(self) -> frozenset[frozenset[str]]:
        if self.sets:
            return frozenset()
        bounds = {bound: name for name, bound in self.windows}
        ends = [bounds[b] for b in ("start", "end") if b in bounds]
        return frozenset([frozenset([*(name for name, _ in self.keys), *ends])]) if len(ends) == 2 else frozenset()

    def operator(self, context: Context) -> Operator:
        return WindowAggregateStep(self, context)

    def holds_state(self) -> bool:
        return True

    def frame(self) -> Frame:
        """How rows get their windows."""
        texts = [*(sql for _, sql in self.keys), *kept_columns(self.aggregates)]
        return frame_of(self.inputs[0], self.start, self.end, self.zone, tuple(texts))

    def kept(self, frame: Frame) -> Kept:
        """What is kept of open windows."""
        hidden = set(self.inputs[0].hidden)
        return Kept(tuple(sql for _, sql in self.keys), self.aggregates, frame, self.sets, self.groupings,
                    weighted=DIFF in hidden, arrival={WATERMARK, SEQ} <= hidden)

    def explain(self) -> Explain:
        grouped = ", ".join(name for name, _ in self.keys)
        details = [("keys", grouped)] if grouped else []
        zone = "" if is_utc(self.zone) else f" ({self.zone})"
        details.append(("window", f"{self.start}, {self.end}{zone}"))
        if self.sets:
            sets = ("(" + ", ".join(self.keys[i][0] for i in s) + ")" for s in self.sets)
            details.append(("grouping sets", ", ".join(sets)))
        details += [(name, call.text()) for name, call in self.aggregates]
        closes = "once, when the clock closes the window" if self.proctime else "once, when the window closes"
        details += [("emits", closes),
                    ("keeps", "partial aggregates" if self.kept(self.frame()).partial() else "the rows")]
        return Explain("WindowAggregate", tuple(details))


def window_aggregate(
    source: Node, keys: Sequence[tuple[Column, str]], aggregates: Sequence[tuple[str, Aggregate]], *,
    start: str, end: str, windows: Sequence[tuple[str, Bound]], zone: str, local_zoned: bool,
    sets: Sequence[Sequence[int]] = (), groupings: Sequence[tuple[str, Sequence[int]]] = (), proctime: bool = False,
) -> WindowAggregate:
    """The node of a GROUP BY over `source`, whose columns `start` and `end` are a window's.

    keys         output column and DuckDB text over the source's columns
    local_zoned  the rowtime below the window is a TIMESTAMP_LTZ; `zone` is then the session's
    """
    missing = {i for i in range(len(keys)) for s in sets if i not in s}
    columns = [Column(c.name, c.type.as_nullable() if i in missing else c.type)
               for i, (c, _) in enumerate(keys)]
    columns += [_bound_column(name, bound, local_zoned, proctime) for name, bound in windows]
    columns += [Column(name, BIGINT.not_null()) for name, _ in groupings]
    columns += [Column(name, call.type) for name, call in aggregates]
    return WindowAggregate(
        (source,), Schema(tuple(columns)), True, (WATERMARK, SEQ), tuple((c.name, sql) for c, sql in keys),
        tuple(aggregates), start, end, tuple(windows), tuple(tuple(s) for s in sets),
        tuple((name, tuple(of)) for name, of in groupings), zone if local_zoned else "UTC", local_zoned, proctime)


def _bound_column(name: str, bound: Bound, local_zoned: bool, proctime: bool) -> Column:
    time: TimeAttribute = "" if bound != "time" else "proctime" if proctime else "rowtime"
    if bound == "time" and local_zoned:
        return Column(name, DataType("TIMESTAMP_LTZ", False, 3), time)
    return Column(name, timestamp(3).not_null(), time)


class WindowAggregateStep(Operator):
    """Keep partial aggregates of open windows, and emit a window's groups when it closes.

        Δout = agg(I restricted to the windows that the watermark, or the clock, has just closed)

    Input:   keys, arguments, window bounds or rowtime, hidden columns; any changelog mode
    Output:  keys, window columns, results; append-only; ordered by window end, then keys.
             `$watermark` is just before the closing instant: never late for what follows
    State:   one row a batch, group and slice, merged when they have tripled; the rows themselves
             where an aggregate is no sum
    Cost:    one statement over the batch and one append; at a closing, the closing groups
    Forgets: a slice once the last window that holds it is closed
    Late:    a row is not counted in windows that were closed at its own `$watermark`; one that is in
             no other window is reported
    Source:  Flink's slicing window aggregation; Li et al., "No pane, no gain", SIGMOD Record 2005
    """

    def __init__(self, node: WindowAggregate, context: Context) -> None:
        database, hidden = context.database, set(node.inputs[0].hidden)
        self._node = node
        self._side = context.side
        self._database = database
        self._frame = node.frame()
        self._judges, self._named = WATERMARK in hidden and not node.proctime, SEQ in hidden
        self._kept = node.kept(self._frame)
        self._input = database.over(f"{context.name}$in", self._frame.fused.source.batch_schema())
        relation = quote(self._input.name)
        self._punctual = database.compute(self._kept.select(self._frame.rows(relation)))
        if self._judges:
            self._judged = database.compute(self._kept.select(self._frame.rows(relation, judged=True)))
            self._late = database.compute(self._frame.late(relation, self._named))
        self._state = State(context, self._kept, self._punctual.run().schema)
        self._late_rows = 0

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        judge = self._judges and batch.may_be_late
        kept = (self._judged if judge else self._punctual).run()
        if kept.column("$end").null_count:
            raise DataError("rowtime is NULL")
        late = self._late.run() if judge else None
        self._state.append(kept)
        if late is not None and late.num_rows:
            self._late_rows += late.num_rows
            if self._named:
                self._side.late(late.column(0).to_numpy().tolist(), "late for every window")
        return None

    def advance(self, watermark_us: int) -> Batch | None:
        return None if self._node.proctime and watermark_us < MAX_WATERMARK else self._close(watermark_us)

    def tick(self, now_us: int) -> Batch | None:
        return self._close(passed(now_us)) if self._node.proctime else None

    def _close(self, watermark_us: int) -> Batch | None:
        if not self._state.rows:
            return None
        until_us = closed_until(self._database, watermark_us, self._node.zone)
        closing = self._frame.closing(until_us, self._state.emitted_us)
        if closing is None:
            return None
        rows = self._database.query(self._emission(self._state.closed(closing)))
        self._state.forget(closing)
        return Batch(numbered(rows), may_be_late=False) if rows.num_rows else None

    def _emission(self, groups: str) -> str:
        """The output over the closed groups."""
        node = self._node
        columns = [f"{key(i)} AS {quote(name)}" for i, (name, _) in enumerate(node.keys)]
        columns += node.bounds(self._frame.start())
        columns += [quote(name) for name, _ in node.groupings]
        columns += self._kept.values()
        columns.append(f"{closing_us(END, node.zone)} - 1000 AS {quote(WATERMARK)}")
        order = [END, self._frame.start(), *(f"{key(i)} NULLS FIRST" for i in range(len(node.keys)))]
        order += [quote(name) for name, _ in node.groupings]
        return f"SELECT {', '.join(columns)} FROM ({groups}) ORDER BY {', '.join(order)}"

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": self._state.rows, "late_rows": self._late_rows}


def passed(now_us: int) -> int:
    """Processing time as a watermark: windows that end by `now_us` are closed, and rows of now are in none of them.

    Flink's timer fires a millisecond earlier, and a row of that millisecond may come on either side of it.
    """
    return now_us - MILLISECOND_US


def closed_until(database: Database, watermark_us: int, zone: str) -> int:
    """The latest window end in local µs that is closed at a watermark; ALWAYS_US at the end of all input."""
    if watermark_us == MAX_WATERMARK:
        return ALWAYS_US
    if is_utc(zone):
        return watermark_us + 1000
    found = database.query(f"SELECT {closed_until_us(f'({watermark_us})', zone)}")
    return int(found.column(0)[0].as_py())


def numbered(rows: pa.Table) -> pa.Table:
    """Rows that no single record made, with a `$seq` each, ascending."""
    seq = np.arange(DERIVED_SEQ, DERIVED_SEQ + rows.num_rows, dtype=np.int64)
    return rows.append_column(pa.field(SEQ, pa.int64()), pa.array(seq))

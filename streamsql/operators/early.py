"""EarlyAggregate: a window aggregate that gives its results while the window is open, and corrects them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from streamsql.core.batch import DIFF, MAX_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Explain, Operator, fuse
from streamsql.core.schema import Column, Schema, quote
from streamsql.errors import DataError
from streamsql.operators._window_frames import END, START, Attached
from streamsql.operators._window_state import ROWS, key
from streamsql.operators.window import WindowAssign
from streamsql.operators.window_aggregate import WindowAggregate, closed_until, passed
from streamsql.state.table import KEY, key_of


@dataclass(frozen=True)
class EarlyAggregate(WindowAggregate):
    """Groups of a windowed input as they stand after each batch: EMIT CHANGES.

    The fields are those of the WindowAggregate it stands for, whose answer is the sum of its changes.
    It has no grouping sets: each set is a node of its own.
    """

    def operator(self, context: Context) -> Operator:
        return EarlyStep(self, context)

    def frame(self) -> Attached:
        return Attached(self.inputs[0], self.start, self.end, self.zone)

    def explain(self) -> Explain:
        kept = WindowAggregate.explain(self).details
        emits = ("emits", "−old and +new after each batch; nothing once the window is closed")
        return Explain("EarlyAggregate", tuple(emits if name == "emits" else (name, text) for name, text in kept))


def early_aggregate(node: WindowAggregate) -> EarlyAggregate:
    """The early form of a window aggregate without grouping sets."""
    schema = Schema(tuple(Column(c.name, c.type) for c in node.schema))
    return EarlyAggregate(
        node.inputs, schema, False, (DIFF,), node.keys, node.aggregates, node.start, node.end, node.windows,
        (), node.groupings, node.zone, node.local_zoned, node.proctime)


class EarlyStep(Operator):
    """Keep what each group of an open window needs, and emit how its row changed.

        Δout = agg(I + Δin) − agg(I)        restricted to the open groups that Δin touches

    Input:   keys, arguments, window columns, hidden columns; any changelog mode
    Output:  keys, window columns, results, `$diff`; all −old before all +new; by window and keys
    State:   one row of partial aggregates a group of an open window; the rows themselves where an
             aggregate is no sum
    Cost:    O(windows of |Δin| + touched groups) a batch; where rows are kept, all those of the groups
    Forgets: a group when its window closes, or when its row count comes to 0
    Late:    as in WindowAggregate: a row is not counted in windows that were closed at its own
             `$watermark`; one that is in no other window is reported
    Source:  Flink's `table.exec.emit.early-fire`; Budiu et al., "DBSP", VLDB 2023
    """

    def __init__(self, node: EarlyAggregate, context: Context) -> None:
        database, hidden = context.database, set(node.inputs[0].hidden)
        self._node, self._side, self._database = node, context.side, context.database
        self._judges, self._named = WATERMARK in hidden and not node.proctime, SEQ in hidden
        self._frame = frame = node.frame()
        self._kept = node.kept(frame)
        self._input = database.over(f"{context.name}$in", frame.fused.source.batch_schema())
        relation = quote(self._input.name)
        self._punctual = database.compute(self._selected(frame.rows(relation)))
        self._nulls = self._null_rowtimes(relation)
        if self._judges:
            self._judged = database.compute(self._selected(frame.rows(relation, judged=True)))
            self._late = database.compute(frame.late(relation, self._named))
        schema = self._punctual.run().schema
        self._state = database.state(f"{context.name}$open", schema, time="$end")
        self._incoming = database.over(f"{context.name}$new", schema)
        self._found = database.over(f"{context.name}$found", self._state.found_schema)
        self._compile()
        self._late_rows = 0

    def _selected(self, rows: str) -> str:
        keys = [*(key(i) for i in range(len(self._node.keys))), START, END]
        return f"SELECT *, {key_of(keys)} AS {quote(KEY)} FROM ({self._kept.select(rows)})"

    def _null_rowtimes(self, relation: str) -> str | None:
        """Windows leave out rows without a time; as in any window aggregation they are errors."""
        assign = self._node.inputs[0]
        if not isinstance(assign, WindowAssign):
            return None
        rows = fuse(assign.inputs[0]).select(relation)
        self._null = self._database.compute(f"SELECT 1 FROM ({rows}) WHERE {quote(assign.time)} IS NULL LIMIT 1")
        return rows

    def _compile(self) -> None:
        node = self._node
        names = [name for name in self._incoming_names() if name != KEY]
        columns = ", ".join(map(quote, names))
        known = f"(SELECT {columns} FROM {quote(self._found.name)})"
        both = f"(SELECT {columns} FROM {quote(self._incoming.name)} UNION ALL FROM {known})"
        old, new = self._results(known), self._results(both)
        visible = ", ".join(quote(c) for c in node.schema.names)
        order = [quote(DIFF), *(quote(name) for name, _ in node.windows),
                 *(f"{quote(name)} NULLS FIRST" for name, _ in node.keys)]
        self._changes = self._database.compute(
            f"WITH o AS ({old}), n AS ({new}) SELECT * FROM ("
            f"SELECT {visible}, CAST(-1 AS INTEGER) AS {quote(DIFF)} FROM (FROM o EXCEPT ALL FROM n) UNION ALL "
            f"SELECT {visible}, CAST(1 AS INTEGER) AS {quote(DIFF)} FROM (FROM n EXCEPT ALL FROM o)"
            f") ORDER BY {', '.join(order)}")
        self._merged = None
        if self._kept.partial():
            keys = [*(key(i) for i in range(len(node.keys))), START, END]
            alive = f" WHERE {ROWS} <> 0" if self._kept.weighted else ""
            self._merged = self._database.compute(
                f"SELECT *, {key_of(keys)} AS {quote(KEY)} FROM ({self._kept.merged(both)}){alive}")

    def _incoming_names(self) -> list[str]:
        return [f.name for f in self._state.found_schema if f.name != "$row"]

    def _results(self, rows: str) -> str:
        """The rows of the output, of the groups in `rows`."""
        node = self._node
        columns = [f"{key(i)} AS {quote(name)}" for i, (name, _) in enumerate(node.keys)]
        columns += node.bounds(START)
        columns += [quote(name) for name, _ in node.groupings]
        columns += self._kept.values()
        return f"SELECT {', '.join(columns)} FROM ({self._kept.groups(rows)})"

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        if self._nulls is not None and self._null.run().num_rows:
            raise DataError("rowtime is NULL")
        judge = self._judges and batch.may_be_late
        kept = (self._judged if judge else self._punctual).run()
        late = self._late.run() if judge else None
        out = self._applied(kept) if kept.num_rows else None
        if late is not None and late.num_rows:
            self._late_rows += late.num_rows
            if self._named:
                self._side.late(late.column(0).to_numpy().tolist(), "late for every window")
        return out

    def _applied(self, kept: pa.Table) -> Batch | None:
        found = self._state.find(kept.column(KEY))
        self._incoming.set(kept)
        self._found.set(found)
        changes = self._changes.run()
        if self._merged is None:
            self._state.add(kept)
        else:
            merged = self._merged.run()
            self._state.remove(found.column("$row"))
            self._state.add(merged)
        return Batch(changes, may_be_late=False) if changes.num_rows else None

    def advance(self, watermark_us: int) -> Batch | None:
        if not self._node.proctime or watermark_us == MAX_WATERMARK:
            self._forget(watermark_us)
        return None

    def tick(self, now_us: int) -> Batch | None:
        if self._node.proctime:
            self._forget(passed(now_us))
        return None

    def _forget(self, watermark_us: int) -> None:
        """The windows that close have given their last change."""
        if len(self._state):
            self._state.pop(closed_until(self._database, watermark_us, self._node.zone), through=True)

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._state), "late_rows": self._late_rows}


"""Throttle: EMIT EVERY, the changes of a node given at intervals of processing time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from streamsql.core.batch import DIFF, MAX_WATERMARK, Batch
from streamsql.core.node import Context, Explain, Node, Operator, fuse
from streamsql.core.schema import quote
from streamsql.operators.window_aggregate import closed_until, passed
from streamsql.state.table import KEY
from streamsql.windows.window import ALWAYS_US, is_utc, shown

_END, _SINCE = "$end", "$since"
_COMPACTED_ROWS = 100_000
"""What waits is not summed up before it has grown by this many rows."""


@dataclass(frozen=True)
class Throttle(Node):
    """The same rows; how they changed is given once an interval.

    every_ms  the interval, on the grid of 1970-01-01
    end       the column of the window's end, '' for none: what waits of a window is given when it closes
    zone      in which `end` is told
    proctime  windows are closed by the clock
    moving    the bounds of windows change: when one closes, all that waits is given, since what it replaces may
              be of several ends
    """

    every_ms: int
    end: str = ""
    zone: str = "UTC"
    proctime: bool = False
    moving: bool = False

    def relation(self, inputs: Sequence[str]) -> str:
        return f"SELECT {', '.join(quote(c) for c in self.schema.names)} FROM {inputs[0]}"

    def unique_keys(self) -> frozenset[frozenset[str]]:
        return self.inputs[0].unique_keys()

    def operator(self, context: Context) -> Operator:
        return ThrottleStep(self, context)

    def holds_state(self) -> bool:
        return True

    def explain(self) -> Explain:
        closes = ", and when the window closes" if self.end else ""
        zone = "" if is_utc(self.zone) else f" ({self.zone})"
        return Explain("Throttle", (("emits", f"every {shown(self.every_ms * 1000)}{closes}{zone}"),))


class ThrottleStep(Operator):
    """Sum up changes, and give what is left of them when the interval is over.

        Δout = Σ Δin since it last gave

    Input:   any columns and `$diff`
    Output:  the same; all −old before all +new, none that undo each other
    State:   the changes that wait, summed up when they have doubled
    Cost:    an append a batch; one statement over what waits an interval
    Forgets: what it has given
    Late:    passes them
    Source:  Flink's `table.exec.emit.early-fire.delay`
    """

    def __init__(self, node: Throttle, context: Context) -> None:
        self._node, self._database = node, context.database
        fused = fuse(node.inputs[0])
        self._input = context.database.over(f"{context.name}$in", fused.source.batch_schema())
        rows = f"({fused.select(quote(self._input.name))})"
        end = f"epoch_us({quote(node.end)})" if node.end else "CAST(0 AS BIGINT)"
        names = [*node.schema.names, DIFF]
        columns = ", ".join(map(quote, names))
        self._taken = context.database.compute(
            f"SELECT {columns}, {end} AS {quote(_END)}, CAST(0 AS UBIGINT) AS {quote(KEY)} FROM {rows}")
        shape = self._taken.run().schema.append(pa.field(_SINCE, pa.int64()))
        self._state = context.database.state(f"{context.name}$waiting", shape, time=_END)
        self._given = context.database.over(f"{context.name}$given", self._state.found_schema)
        self._net = context.database.compute(self._netted(columns))
        self._shape = node.batch_schema()
        self._now_us = 0
        kept = self._state.all()
        self._since = min(kept.column(_SINCE).to_pylist()) if kept.num_rows else 0
        self._summed = kept.num_rows

    def _netted(self, columns: str) -> str:
        """What is left of the changes given, each row as often as it came or went."""
        visible = ", ".join(quote(c) for c in self._node.schema.names)
        hidden = ", ".join(quote(c) for c in (_END, KEY))
        group = f"{visible}, {hidden}"
        total = f"CAST(sum({quote(DIFF)}) AS BIGINT)"
        sums = (f"SELECT {group}, {total} AS {quote('$sum')}, max({quote('$row')}) AS {quote('$last')}, "
                f"min({quote(_SINCE)}) AS {quote(_SINCE)} FROM {quote(self._given.name)} GROUP BY {group} "
                f"HAVING {total} <> 0")
        copies = f"unnest(generate_series(1, abs({quote('$sum')})))"
        once = f"CAST(sign({quote('$sum')}) AS INTEGER) AS {quote(DIFF)}"
        return (f"SELECT {columns}, {hidden}, {quote(_SINCE)} FROM (SELECT * EXCLUDE ({quote('$sum')}), {once}, "
                f"{copies} FROM ({sums})) ORDER BY {quote(DIFF)}, {quote('$last')}")

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        rows = self._taken.run()
        if not rows.num_rows:
            return None
        if not len(self._state):
            self._since = self._now_us
        self._add(rows.append_column(_SINCE, pa.array([self._now_us] * rows.num_rows, pa.int64())))
        if len(self._state) > 2 * self._summed + _COMPACTED_ROWS:
            waiting = self._all()
            self._given.set(waiting)
            self._add(self._net.run())
            self._summed = len(self._state)
        return None

    def _add(self, rows: pa.Table) -> None:
        self._state.add(rows)

    def _all(self) -> pa.Table:
        """All that waits, which is taken."""
        rows = self._state.all()
        self._state.remove(rows.column("$row"))
        self._summed = 0
        return rows

    def tick(self, now_us: int) -> Batch | None:
        self._now_us = now_us
        if not len(self._state):
            return None
        every_us = self._node.every_ms * 1000
        if now_us // every_us > self._since // every_us:
            return self._emit(self._all())
        return self._closed(passed(now_us)) if self._node.proctime else None

    def advance(self, watermark_us: int) -> Batch | None:
        if watermark_us == MAX_WATERMARK:
            return self._emit(self._all())
        return self._closed(watermark_us) if self._node.end and not self._node.proctime else None

    def _closed(self, watermark_us: int) -> Batch | None:
        """What waits of the windows that are closed at a watermark."""
        if not len(self._state):
            return None
        closed = self._state.pop(closed_until(self._database, watermark_us, self._node.zone), through=True)
        if not self._node.moving or not closed.num_rows:
            return self._emit(closed)
        self._given.set(closed)
        net = self._net.run()
        if (net.column(DIFF).to_numpy() > 0).any():
            return self._emit(pa.concat_tables([closed, self._all()]))
        at = net.schema.get_field_index(_END)  # older bounds alone: what replaces them is still open
        self._add(net.set_column(at, _END, pa.array([ALWAYS_US] * net.num_rows, pa.int64())))
        return None

    def _emit(self, rows: pa.Table) -> Batch | None:
        if not rows.num_rows:
            return None
        self._given.set(rows)
        out = self._net.run()
        return Batch(out.select(self._shape.names).cast(self._shape), may_be_late=False) if out.num_rows else None

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._state)}

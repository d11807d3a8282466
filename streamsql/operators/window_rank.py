"""WindowRank: the first rows of each window and partition, emitted once, when the window closes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from streamsql.core.batch import MAX_WATERMARK, MIN_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Explain, Node, Operator, fuse
from streamsql.core.schema import quote
from streamsql.operators._ranked import RANK, ROW_NUMBER, SortKey, numbered, sorted_by, with_arrival
from streamsql.operators.window_aggregate import closed_until
from streamsql.state.table import KEY, ROW
from streamsql.windows.window import ALWAYS_US, MILLISECOND_US, closed_until_us, closing_us, is_utc

_START, _END = "$start", "$end"


@dataclass(frozen=True)
class WindowRank(Node):
    """`function() OVER (PARTITION BY window_start, window_end, … ORDER BY …) BETWEEN start AND end`.

    partition      DuckDB texts over the input, beside the window
    order          the terms of ORDER BY
    first, last    which ranks
    window         the columns window_start and window_end of the input
    zone           UTC for a TIMESTAMP rowtime, the session's for TIMESTAMP_LTZ
    later          of rows that tie the one that came last is first: deduplication that keeps the last
    rank           the column of the rank, '' where nobody reads it
    function       ROW_NUMBER, RANK or DENSE_RANK
    The schema is columns of the input, then `rank`. Append-only, as the input is.
    """

    partition: tuple[str, ...]
    order: tuple[SortKey, ...]
    first: int
    last: int
    window: tuple[str, str]
    zone: str = "UTC"
    later: bool = False
    rank: str = ""
    function: str = ROW_NUMBER

    def columns(self) -> list[str]:
        """The columns that come from the input."""
        return [c for c in self.schema.names if c != self.rank]

    def narrowed(self, needed: Collection[str]) -> WindowRank:
        rank = self.rank if self.rank in needed else ""
        return replace(self, schema=self.schema.only(needed), rank=rank)

    def unique_keys(self) -> frozenset[frozenset[str]]:
        names = {quote(c): c for c in self.columns()}
        texts = [*(quote(w) for w in self.window), *self.partition]
        if not all(t in names for t in texts) or not (self.rank or self.first == self.last):
            return frozenset()
        if self.function != ROW_NUMBER:
            return frozenset()
        return frozenset([frozenset([*(names[t] for t in texts), *([self.rank] if self.first < self.last else [])])])

    def ranked(self, windows: Sequence[str], arrival: Sequence[str]) -> str:
        """The rank, over the input's columns; `windows` are the bounds."""
        way = " DESC" if self.later else ""
        ties = [a + way for a in arrival] if self.function == ROW_NUMBER else []
        keys = ", ".join([*windows, *self.partition])
        return f"{self.function}() OVER (PARTITION BY {keys} {sorted_by(self.order, *ties)})"

    def relation(self, inputs: Sequence[str]) -> str:
        rank = self.ranked([quote(w) for w in self.window], [quote(ROW)])
        rows = f"SELECT *, row_number() OVER () AS {quote(ROW)} FROM {inputs[0]}"
        ranked = f"SELECT *, {rank} AS {quote(RANK)} FROM ({rows})"
        where = f"{quote(RANK)} BETWEEN {self.first} AND {self.last}"
        return f"SELECT {', '.join(self.shown()) or '1'} FROM ({ranked}) WHERE {where}"

    def shown(self) -> list[str]:
        rank = [f"{quote(RANK)} AS {quote(self.rank)}"] if self.rank else []
        return [*(quote(c) for c in self.columns()), *rank]

    def operator(self, context: Context) -> Operator:
        return WindowRankStep(self, context)

    def holds_state(self) -> bool:
        return True

    def explain(self) -> Explain:
        zone = "" if is_utc(self.zone) else f" ({self.zone})"
        details = [("window", f"{', '.join(self.window)}{zone}")]
        details += [("partition by", ", ".join(self.partition))] if self.partition else []
        rows = "rows" if self.function == ROW_NUMBER else self.function.lower()
        details += [("order by", ", ".join(k.text() for k in self.order)), (rows, f"{self.first} to {self.last}"),
                    ("emits", "once, when the window closes")]
        return Explain("WindowRank", tuple(details))


class WindowRankStep(Operator):
    """Keep the rows of open windows that can be among the first, and emit them when a window closes.

        Δout = topₙ(I restricted to the windows that the watermark has just closed)

    Input:   append-only; rows with the bounds of their window
    Output:  append-only, ordered by window end and rank; `$watermark` is just before the closing
             instant: never late for what follows
    State:   of each batch the rows whose rank is at most `last` in their window and partition
    Cost:    one window over the batch and one append; at a closing, the kept rows of its windows
    Forgets: a window's rows when it closes
    Late:    a row is not counted in a window that was closed at its own `$watermark`; one that is in no
             other window is reported
    Source:  Flink's window Top-N and window deduplication
    """

    def __init__(self, node: WindowRank, context: Context) -> None:
        database, fused = context.database, fuse(node.inputs[0])
        self._node, self._database, self._side = node, database, context.side
        self._input = database.over(f"{context.name}$in", fused.source.batch_schema())
        start, end = (f"epoch_us({quote(w)})" for w in node.window)
        self._take = database.compute(
            f"SELECT *, CAST(0 AS UBIGINT) AS {quote(KEY)}, {start} AS {quote(_START)}, {end} AS {quote(_END)} "
            f"FROM ({fused.select(quote(self._input.name))})")
        stored = with_arrival(self._take.run(), 0).schema
        self._state = database.state(f"{context.name}$rows", stored, time=_END)
        self._rows = database.over(f"{context.name}$rows_in", self._state.found_schema)
        relation, arrival = quote(self._rows.name), [quote(h) for h in (WATERMARK, SEQ, ROW)]
        rank = node.ranked([quote(_START), quote(_END)], arrival)
        open_ = f"{quote(_END)} > {closed_until_us(quote(WATERMARK), node.zone)}"
        self._first = database.compute(f"SELECT * FROM {relation} WHERE {open_} "
                                       f"QUALIFY {rank} <= {node.last} ORDER BY {quote(ROW)}")
        self._late = database.compute(f"SELECT {quote(SEQ)} FROM {relation} GROUP BY ALL HAVING NOT bool_or({open_})")
        columns = [*node.shown(), f"{closing_us(quote(_END), node.zone)} - {MILLISECOND_US} AS {quote(WATERMARK)}",
                   quote(SEQ)]
        ranked = f"SELECT *, {rank} AS {quote(RANK)} FROM {relation}"
        order = [quote(_END), quote(_START), *(f"{p} NULLS FIRST" for p in node.partition), quote(RANK), *arrival]
        self._emit = database.compute(
            f"SELECT {', '.join(columns)} FROM (SELECT * FROM ({ranked}) WHERE {quote(RANK)} BETWEEN {node.first} AND "
            f"{node.last} ORDER BY {', '.join(order)})")
        self._shape = node.batch_schema()
        self._watermark_us = MIN_WATERMARK
        self._late_rows = 0

    def watermark(self, port: int, watermark_us: int) -> None:
        self._watermark_us = watermark_us

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        self._rows.set(numbered(with_arrival(self._take.run(), self._watermark_us)))
        first = self._first.run()
        late = self._late.run() if batch.may_be_late else None
        self._state.add(first)
        if late is not None and late.num_rows:
            self._late_rows += late.num_rows
            self._side.late(late.column(0).to_numpy().tolist(), "late for every window")
        return None

    def advance(self, watermark_us: int) -> Batch | None:
        until = ALWAYS_US if watermark_us == MAX_WATERMARK else closed_until(
            self._database, watermark_us, self._node.zone)
        closed = self._state.pop(until, through=True)
        if not closed.num_rows:
            return None
        self._rows.set(closed)
        out: pa.Table = self._emit.run()
        return Batch(out.select(self._shape.names).cast(self._shape), False) if out.num_rows else None

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._state), "late_rows": self._late_rows}

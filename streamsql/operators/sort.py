"""Sort: the rows of a stream in the order of their rowtime."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from streamsql.core.batch import DIFF, MIN_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Explain, Node, Operator
from streamsql.core.schema import quote
from streamsql.errors import DataError
from streamsql.operators._ranked import TIME, Kept, SortKey, sorted_by, with_arrival
from streamsql.windows.window import MILLISECOND_US


@dataclass(frozen=True)
class Sort(Node):
    """`ORDER BY rowtime [, more]` of a stream that only adds rows.

    time   the rowtime column of the input
    order  the terms after it
    """

    time: str
    order: tuple[SortKey, ...] = ()

    def kept(self) -> Kept:
        return Kept(self.inputs[0], (), self.order, self.schema.names, self.time)

    def narrowed(self, needed: Collection[str]) -> Sort:
        return replace(self, schema=self.schema.only(needed))

    def unique_keys(self) -> frozenset[frozenset[str]]:
        names = set(self.schema.names)
        return frozenset(k for k in self.inputs[0].unique_keys() if k <= names)

    def relation(self, inputs: Sequence[str]) -> str:
        columns = ", ".join(quote(c) for c in self.schema.names) or "1"
        return f"SELECT {columns} FROM {inputs[0]} {sorted_by((SortKey(quote(self.time)), *self.order))}"

    def operator(self, context: Context) -> Operator:
        return SortStep(self, context)

    def holds_state(self) -> bool:
        return True

    def explain(self) -> Explain:
        terms = ", ".join([quote(self.time), *(k.text() for k in self.order)])
        return Explain("Sort", (("order by", terms), ("emits", "a row when the watermark has passed it")))


class SortStep(Operator):
    """Keep rows until the watermark has passed them, then emit them in order.

        Δout = the rows of I + Δin that the watermark has just passed, in order

    Input:   append-only
    Output:  append-only, in order; `$watermark` just before the row: never late for what follows
    State:   the rows ahead of the watermark
    Cost:    one append a batch; at a watermark, the rows it passes
    Forgets: a row when it is emitted
    Late:    a row at or behind its own `$watermark` is dropped and reported
    Source:  Flink's RowTimeSortOperator
    """

    def __init__(self, node: Sort, context: Context) -> None:
        database, kept = context.database, node.kept()
        self._side = context.side
        self._input = database.over(f"{context.name}$in", kept.fused.source.batch_schema())
        self._take = database.compute(kept.select(quote(self._input.name)))
        stored = with_arrival(self._take.run(), 0).schema
        self._state = database.state(f"{context.name}$rows", stored, time=TIME)
        self._passed = database.over(f"{context.name}$passed", self._state.found_schema)
        relation = quote(self._passed.name)
        order = [quote(TIME), *(k.of(name) for k, name in zip(kept.order, kept.sorts, strict=True))]
        order += [f"r.{quote(h)}" for h in (WATERMARK, SEQ, "$row")]
        hidden = {WATERMARK: f"{quote(TIME)} - {MILLISECOND_US} AS {quote(WATERMARK)}", SEQ: quote(SEQ)}
        columns = [*kept.columns, *(hidden[h] for h in node.hidden if h != DIFF)]
        self._emit = database.compute(f"SELECT {', '.join(columns)} FROM {relation} r ORDER BY {', '.join(order)}")
        self._shape = node.batch_schema()
        self._watermark_us = MIN_WATERMARK
        self._late_rows = 0

    def watermark(self, port: int, watermark_us: int) -> None:
        self._watermark_us = watermark_us

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        rows = with_arrival(self._take.run(), self._watermark_us)
        if rows.column(TIME).null_count:
            raise DataError("rowtime is NULL")
        late = rows.column(TIME).to_numpy() <= rows.column(WATERMARK).to_numpy()
        if late.any():
            self._late_rows += int(late.sum())
            self._side.late(rows.column(SEQ).to_numpy()[late].tolist(), "late for ORDER BY")
            rows = rows.filter(~late)
        self._state.add(rows)
        return None

    def advance(self, watermark_us: int) -> Batch | None:
        passed = self._state.pop(watermark_us, through=True)
        if not passed.num_rows:
            return None
        self._passed.set(passed)
        return Batch(self._emit.run().cast(self._shape), False)

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._state), "late_rows": self._late_rows}

"""Union: UNION ALL of several inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from streamsql.core.batch import DERIVED_SEQ, DIFF, MAX_WATERMARK, MIN_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.node import BatchInput, Context, Explain, Node, Operator, Statement, fuse
from streamsql.core.schema import quote
from streamsql.operators._progress import Progress


@dataclass(frozen=True)
class Union(Node):
    """All rows of all inputs; their columns have the names and types of the schema, in its order."""

    def relation(self, inputs: Sequence[str]) -> str:
        columns = ", ".join(quote(c) for c in self.schema.names)
        return " UNION ALL ".join(f"SELECT {columns} FROM {i}" for i in inputs)

    def operator(self, context: Context) -> Operator:
        return UnionStep(self, context)

    def explain(self) -> Explain:
        return Explain("Union", (("inputs", str(len(self.inputs))),))


def _lowered(rows: pa.Table, watermark_us: int) -> pa.Table:
    """`rows`, whose `$watermark` is at most `watermark_us`."""
    index = rows.column_names.index(WATERMARK)
    least = pc.min_element_wise(rows.column(index), pa.scalar(watermark_us, pa.int64()))
    return rows.set_column(index, rows.schema.field(index), least)


class UnionStep(Operator):
    """Pass each batch on; a row is late only against the least watermark of all inputs.

        Δout = Δin₀ + Δin₁ + …

    Input:   any number of ports, any changelog mode
    Output:  append-only if all inputs are; `$watermark` of a row = the least of its own and of what
             the other inputs have reached, as the watermark of an operator is the least of its inputs'
    State:   the watermark of each port, which the engine tells again after a restart
    Cost:    one statement a batch
    Late:    passes them; inputs that read the same sources leave each other's `$watermark` alone,
             so that the cut of a batch does not show
    Source:  Flink's StatusWatermarkValve
    """

    def __init__(self, node: Union, context: Context) -> None:
        self._progress = Progress(node)
        self._inputs: list[BatchInput] = []
        self._statements: list[Statement] = []
        self._rows = 0
        for port, source in enumerate(node.inputs):
            self._prepare(node, context, port, source)

    def _prepare(self, node: Union, context: Context, port: int, source: Node) -> None:
        fused = fuse(source)
        taken = context.database.over(f"{context.name}$in{port}", fused.source.batch_schema())
        absent = {DIFF: "CAST(1 AS INTEGER)", WATERMARK: f"CAST({MIN_WATERMARK} AS BIGINT)",
                  SEQ: f"CAST({DERIVED_SEQ} AS BIGINT)"}
        columns = [quote(c) for c in node.schema.names]
        columns += [quote(h) if h in source.hidden else f"{absent[h]} AS {quote(h)}" for h in node.hidden]
        select = f"SELECT {', '.join(columns) or '1'} FROM ({fused.select(quote(taken.name))})"
        self._inputs.append(taken)
        self._statements.append(context.database.compute(select))

    def watermark(self, port: int, watermark_us: int) -> None:
        self._progress.reach(port, watermark_us)

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._inputs[port].set(batch.table)
        rows = self._statements[port].run()
        self._rows += rows.num_rows
        if not rows.num_rows:
            return None
        limit = self._progress.limit(port)
        if limit < MAX_WATERMARK and WATERMARK in rows.column_names:
            rows = _lowered(rows, limit)
        return Batch(rows, batch.may_be_late)

    def statistics(self) -> Mapping[str, int]:
        return {"rows_out": self._rows}

"""Collect: the end of a SELECT; hands its changes to whoever runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from streamsql.core.batch import DIFF, Batch
from streamsql.core.node import Context, Explain, Node, Operator, fuse
from streamsql.core.schema import quote
from streamsql.errors import InternalError

Take = Callable[[pa.Table], None]
"""Given the rows of a SELECT as they come: its columns, and `$diff` unless append-only. May block."""


@dataclass(frozen=True)
class Collect(Node):
    """The result of a query, as a node: the same columns, the stateless steps before it fused."""

    def relation(self, inputs: Sequence[str]) -> str:
        return f"SELECT * FROM {inputs[0]}"

    def operator(self, context: Context) -> Operator:
        raise InternalError("a Collect needs to know who takes the rows: use bound()")

    def bound(self, context: Context, take: Take) -> CollectStep:
        return CollectStep(self, context, take)

    def explain(self) -> Explain:
        return Explain("Collect")


class CollectStep(Operator):
    """Pass each batch on, without its hidden columns.

        Δout = Δin

    Input:   any changelog mode
    Output:  none within the job
    State:   none
    Cost:    one statement a batch, none where nothing is to be computed
    """

    def __init__(self, node: Collect, context: Context, take: Take) -> None:
        fused = fuse(node.inputs[0])
        self._take = take
        self._rows = 0
        self._names = [*node.schema.names, *([] if node.append_only else [DIFF])]
        self._statement = None
        if fused.chain:
            self._input = context.database.over(f"{context.name}$in", fused.source.batch_schema())
            columns = ", ".join(quote(n) for n in self._names)
            self._statement = context.database.compute(
                f"SELECT {columns} FROM ({fused.select(quote(self._input.name))})"
            )

    def step(self, port: int, batch: Batch) -> Batch | None:
        if self._statement is None:
            rows = batch.table.select(self._names)
        else:
            self._input.set(batch.table)
            rows = self._statement.run()
        self._rows += rows.num_rows
        if rows.num_rows:
            self._take(rows)
        return None

    def statistics(self) -> Mapping[str, int]:
        return {"rows_out": self._rows}

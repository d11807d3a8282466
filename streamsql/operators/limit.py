"""Limit: the first rows that come, of a stream that only adds rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from streamsql.core.batch import Batch
from streamsql.core.node import Context, Explain, Node, Operator, fuse
from streamsql.core.schema import quote
from streamsql.state.table import KEY, ROW

_SEEN = "$seen"


@dataclass(frozen=True)
class Limit(Node):
    """`LIMIT end - start + 1 OFFSET start - 1` without ORDER BY: rows `start` to `end` as they come."""

    start: int
    end: int

    def narrowed(self, needed: Collection[str]) -> Limit:
        return replace(self, schema=self.schema.only(needed))

    def unique_keys(self) -> frozenset[frozenset[str]]:
        names = set(self.schema.names)
        return frozenset(k for k in self.inputs[0].unique_keys() if k <= names)

    def relation(self, inputs: Sequence[str]) -> str:
        columns = ", ".join(quote(c) for c in self.schema.names) or "1"
        return f"SELECT {columns} FROM {inputs[0]} LIMIT {max(self.end - self.start + 1, 0)} OFFSET {self.start - 1}"

    def operator(self, context: Context) -> Operator:
        return LimitStep(self, context)

    def holds_state(self) -> bool:
        return True

    def explain(self) -> Explain:
        return Explain("Limit", (("rows", f"{self.start} to {self.end}"),))


class LimitStep(Operator):
    """Count the rows and pass those between the bounds.

        Δout = Δin restricted to the rows `start` to `end` of all that came

    Input:   append-only
    Output:  append-only; hidden columns pass
    State:   one number
    Cost:    O(|Δin|) until the bound is reached, then nothing
    Late:    takes every row
    Source:  Flink's StreamExecLimit
    """

    def __init__(self, node: Limit, context: Context) -> None:
        fused = fuse(node.inputs[0])
        self._node = node
        self._input = context.database.over(f"{context.name}$in", fused.source.batch_schema())
        columns = ", ".join(quote(c) for c in (*node.schema.names, *node.hidden)) or "1"
        self._take = context.database.compute(f"SELECT {columns} FROM ({fused.select(quote(self._input.name))})")
        schema = pa.schema([(KEY, pa.uint64()), (_SEEN, pa.int64())])
        self._state = context.database.state(f"{context.name}$seen", schema)
        kept = self._state.all()
        self._seen = int(kept.column(_SEEN)[-1].as_py()) if kept.num_rows else 0

    def step(self, port: int, batch: Batch) -> Batch | None:
        if self._seen >= self._node.end:
            return None
        self._input.set(batch.table)
        rows = self._take.run()
        first = max(self._node.start - 1 - self._seen, 0)
        out = rows.slice(first, max(self._node.end - self._seen - first, 0))
        self._seen += rows.num_rows
        self._state.remove(self._state.all().column(ROW))
        self._state.add(pa.table({KEY: np.zeros(1, np.uint64), _SEEN: np.array([self._seen], np.int64)}))
        return Batch(out, batch.may_be_late) if out.num_rows else None

    def statistics(self) -> Mapping[str, int]:
        return {"rows_in": self._seen}

"""SingleValue: rows of which there may be one at a time: what a subquery that is a value gives."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from streamsql.core.batch import DIFF, Batch
from streamsql.core.node import Context, Explain, Node, Operator, fuse
from streamsql.core.schema import quote
from streamsql.errors import DataError
from streamsql.operators._key_counts import NEW, KeyCounts


@dataclass(frozen=True)
class SingleValue(Node):
    """The rows of the input, of which at most one at a time has the same keys.

    keys  DuckDB text over the input; () for one row in all
    """

    keys: tuple[str, ...]

    def relation(self, inputs: Sequence[str]) -> str:
        return f"SELECT {', '.join(quote(c) for c in self.schema.names)} FROM {inputs[0]}"

    def narrowed(self, needed: Collection[str]) -> SingleValue:
        if not any(c in needed for c in self.schema.names):
            needed = self.schema.names[:1]  # Arrow counts no rows without a column
        return replace(self, schema=self.schema.only(needed))

    def unique_keys(self) -> frozenset[frozenset[str]]:
        names = {quote(c): c for c in self.schema.names}
        whole = all(k in names for k in self.keys)
        return frozenset([frozenset(names[k] for k in self.keys)]) if whole else frozenset()

    def operator(self, context: Context) -> Operator:
        return SingleValueStep(self, context)

    def explain(self) -> Explain:
        return Explain("SingleValue", (("keys", ", ".join(self.keys) or "-"),))

    def holds_state(self) -> bool:
        return True


class SingleValueStep(Operator):
    """Pass the rows on while no key has two of them.

        Δout = Δin

    Input:   any changelog mode
    Output:  the same rows; hidden columns pass
    State:   a count a key
    Cost:    O(|Δin|)
    Forgets: a key whose count comes to 0
    Late:    takes every row
    Source:  Flink's SINGLE_VALUE
    """

    def __init__(self, node: SingleValue, context: Context) -> None:
        fused = fuse(node.inputs[0])
        names = [*node.schema.names, *node.hidden]
        self._shape = node.batch_schema()
        self._input = context.database.over(f"{context.name}$in", fused.source.batch_schema())
        self._rows = context.database.compute(
            f"SELECT {', '.join(quote(n) for n in names)} FROM ({fused.select(quote(self._input.name))})")
        self._counts = KeyCounts(context, f"{context.name}$counts", node.inputs[0], node.keys, None)

    def step(self, port: int, batch: Batch) -> Batch | None:
        changes = self._counts.changes(batch)
        if (changes.column(NEW).to_numpy() > 1).any():
            raise DataError("a subquery that is used as a value has more than one row",
                            hint="Aggregate in it, as MAX(x), or compare with IN.", whole=True)
        self._input.set(batch.table)
        rows = self._rows.run().cast(self._shape)
        self._counts.store(changes)
        if DIFF in rows.column_names:  # what goes comes first, so that there are never two
            rows = rows.take(np.argsort(rows.column(DIFF).to_numpy(), kind="stable"))
        return Batch(rows, batch.may_be_late) if rows.num_rows else None

    def tick(self, now_us: int) -> None:
        self._counts.forget(now_us)

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._counts.state)}

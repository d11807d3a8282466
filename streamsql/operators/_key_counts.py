"""KeyCounts: how many rows of an input have each key, without the rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamsql.core.batch import DIFF, Batch
from streamsql.core.node import Context, Node, StateTable, fuse
from streamsql.core.schema import quote
from streamsql.operators._matching import COUNT, ttl_ms
from streamsql.state.table import KEY, ROW, key_of

OLD, NEW = "$old", "$new"


def key_name(index: int) -> str:
    return f"$k{index}"


class KeyCounts:
    """Counts the rows of one input by key; a key with NULL parts is one too.

    keys   DuckDB text over the input
    guard  DuckDB text: a row for which it is not TRUE is not counted
    """

    def __init__(self, context: Context, name: str, source: Node, keys: Sequence[str], guard: str | None) -> None:
        fused = fuse(source)
        database = context.database
        self._clock, self._ttl_ms = context.clock, ttl_ms(context)
        self._input = database.over(f"{name}$in", fused.source.batch_schema())
        columns = [f"{sql} AS {quote(key_name(i))}" for i, sql in enumerate(keys)]
        names = [quote(key_name(i)) for i in range(len(keys))]
        weight = "1" if source.append_only else quote(DIFF)
        where = f" WHERE {guard}" if guard else ""
        hashed = f"{key_of(names)} AS {quote(KEY)}"
        rows = f"SELECT {', '.join([*columns, f'{weight} AS {quote(DIFF)}'])} " \
               f"FROM ({fused.select(quote(self._input.name))}){where}"
        grouped = f" GROUP BY {', '.join(names)}" if names else ""
        self._delta = database.compute(
            f"SELECT {', '.join([*names, hashed, f'CAST(sum({quote(DIFF)}) AS BIGINT) AS {quote(DIFF)}'])} "
            f"FROM ({rows}){grouped} HAVING sum({quote(DIFF)}) <> 0")
        shape = self._delta.run().schema
        self._new = database.over(f"{name}$new", shape)
        kept = pa.schema([*(f for f in shape if f.name != DIFF), pa.field(COUNT, pa.int64())])
        self.state: StateTable = database.state(name, kept, ttl_ms=self._ttl_ms)
        self._known = database.over(f"{name}$known", self.state.found_schema)
        same = " AND ".join(f"d.{k} IS NOT DISTINCT FROM c.{k}" for k in [quote(KEY), *names])
        self._changed = database.compute(
            f"SELECT d.*, coalesce(c.{quote(COUNT)}, 0) AS {quote(OLD)}, c.{quote(ROW)} "
            f"FROM {quote(self._new.name)} d LEFT JOIN {quote(self._known.name)} c ON {same}")

    def changes(self, batch: Batch) -> pa.Table:
        """The keys whose number changes: `$k…`, `$key`, `$old`, `$new`, and the `$row` that says it so far."""
        self._input.set(batch.table)
        delta = self._delta.run()
        self._new.set(delta)
        self._known.set(self.state.find(delta.column(KEY)))
        rows = self._changed.run()
        new = np.maximum(rows.column(OLD).to_numpy() + rows.column(DIFF).to_numpy(), 0)
        return rows.append_column(NEW, pa.array(new))

    def store(self, changes: pa.Table) -> None:
        self.state.remove(changes.column(ROW).drop_null())
        left = changes.filter(pc.greater(changes.column(NEW), 0))
        rows = left.append_column(COUNT, left.column(NEW))
        self.state.add(rows, now_ms=self._clock.now_us() // 1000 if self._ttl_ms else 0)

    def forget(self, now_us: int) -> None:
        if self._ttl_ms:
            self.state.forget(now_us // 1000)

"""SetOperation: INTERSECT and EXCEPT, with and without ALL; NULLs are equal in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from streamsql.core.batch import DIFF, Batch
from streamsql.core.node import Context, Explain, Node, Operator, Statement, fuse
from streamsql.core.options import duration_ms
from streamsql.core.schema import quote
from streamsql.state.table import KEY, ROW, key_of

_COUNTS = ("$left", "$right")
_CHANGE = "$change"
TTL = "table.exec.state.ttl"


@dataclass(frozen=True)
class SetOperation(Node):
    """Two inputs, whose columns have the names and types of the schema in its order.

    word  INTERSECT or EXCEPT
    all   a row that is l times on the left and r times on the right is in INTERSECT ALL min(l, r)
          times, in EXCEPT ALL l - r times; without ALL once where it would be there at all, and in
          EXCEPT only if it is not on the right
    """

    word: str
    all: bool

    def times(self, left: str, right: str) -> str:
        """How often a row is in the result, from how often it is on each side (DuckDB text)."""
        if self.word == "INTERSECT":
            some = f"least({left}, {right})"
            return f"greatest({some}, 0)" if self.all else f"CAST({some} > 0 AS BIGINT)"
        if self.all:
            return f"greatest({left} - greatest({right}, 0), 0)"
        return f"CAST({left} > 0 AND {right} <= 0 AS BIGINT)"

    def name(self) -> str:
        return f"{self.word} ALL" if self.all else self.word

    def relation(self, inputs: Sequence[str]) -> str:
        columns = ", ".join(quote(c) for c in self.schema.names)
        return f"SELECT {columns} FROM {inputs[0]} {self.name()} SELECT {columns} FROM {inputs[1]}"

    def unique_keys(self) -> frozenset[frozenset[str]]:
        return frozenset() if self.all else frozenset([frozenset(self.schema.names)])

    def operator(self, context: Context) -> Operator:
        return SetOperationStep(self, context)

    def explain(self) -> Explain:
        return Explain("SetOperation", (("operation", self.name()),))

    def holds_state(self) -> bool:
        return True

    def grows(self) -> bool:
        return True


class SetOperationStep(Operator):
    """Count each distinct row on both sides, and emit how often more or less it is in the result.

        Δout = times(l + Δl, r + Δr) − times(l, r)        a row at a time

    Input:   two ports of the same columns, any changelog mode
    Output:  the columns, `$diff`; a row n times where the result has it n times more or less
    State:   one row a distinct row: the columns, and how often it is on the left and on the right
    Cost:    O(|Δin| + |Δout|) a batch
    Forgets: a row that is on neither side; by `table.exec.state.ttl`
    Late:    takes every row; nothing closes
    Source:  SQL:2016 7.17; Budiu et al., "DBSP", VLDB 2023 (distinct, minus)
    """

    def __init__(self, node: SetOperation, context: Context) -> None:
        database = context.database
        self._clock, self._ttl_ms = context.clock, duration_ms(context.settings.get(TTL, "0"))
        self._shape = node.batch_schema()
        self._names = list(node.schema.names)
        columns = [quote(c) for c in self._names]
        key = f"{key_of(columns)} AS {quote(KEY)}"
        schema = database.columns(
            f"SELECT {', '.join([key, *columns])} FROM ({_empty(node, context)})")
        for count in _COUNTS:
            schema = schema.append(pa.field(count, pa.int64()))
        self._state = database.slots(f"{context.name}$rows", schema, constant=self._names, ttl_ms=self._ttl_ms)
        self._found = database.over(f"{context.name}$found", self._state.found_schema)
        self._delta = database.over(f"{context.name}$delta", schema)
        self._inputs = [database.over(f"{context.name}$in{port}", fuse(i).source.batch_schema())
                        for port, i in enumerate(node.inputs)]
        self._deltas = [self._delta_of(node, context, port, key) for port in range(2)]
        self._merge = database.compute(self._merged(node, columns))

    def _delta_of(self, node: SetOperation, context: Context, port: int, key: str) -> Statement:
        """The rows of a batch with how often more or less each is there."""
        source = node.inputs[port]
        columns = ", ".join(quote(c) for c in self._names)
        rows = f"({fuse(source).select(quote(self._inputs[port].name))})"
        weight = "count(*)" if source.append_only else f"sum({quote(DIFF)})"
        counts = [f"CAST({weight if side == port else 0} AS BIGINT) AS {quote(count)}"
                  for side, count in enumerate(_COUNTS)]
        grouped = f"SELECT {', '.join([columns, *counts])} FROM {rows} GROUP BY {columns} HAVING {weight} <> 0"
        listed = ", ".join([key, columns, *(quote(c) for c in _COUNTS)])
        return context.database.compute(f"SELECT {listed} FROM ({grouped})")

    def _merged(self, node: SetOperation, columns: list[str]) -> str:
        equal = [f"d.{c} IS NOT DISTINCT FROM f.{c}" for c in columns]
        same = " AND ".join([f"d.{quote(KEY)} = f.{quote(KEY)}", *equal])
        old = [f"coalesce(f.{quote(c)}, 0)" for c in _COUNTS]
        new = [f"({o} + d.{quote(c)})" for o, c in zip(old, _COUNTS, strict=True)]
        listed = [f"d.{quote(KEY)}", *(f"d.{c}" for c in columns)]
        listed += [f"{n} AS {quote(c)}" for n, c in zip(new, _COUNTS, strict=True)]
        listed += [f"f.{quote(ROW)}", f"CAST({node.times(*new)} - {node.times(*old)} AS BIGINT) AS {quote(_CHANGE)}"]
        return (f"SELECT {', '.join(listed)} FROM {quote(self._delta.name)} d "
                f"LEFT JOIN {quote(self._found.name)} f ON {same}")

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._inputs[port].set(batch.table)
        delta = self._deltas[port].run()
        self._delta.set(delta)
        self._found.set(self._state.find(delta.column(KEY)))
        rows = self._merge.run()
        self._store(rows)
        change = rows.column(_CHANGE).to_numpy()
        gone, come = (np.repeat(np.flatnonzero(side), np.abs(change[side])) for side in (change < 0, change > 0))
        if not len(gone) + len(come):
            return None
        out = rows.select(self._names).take(pa.array(np.concatenate((gone, come))))
        diffs = np.repeat(np.array([-1, 1], np.int32), (len(gone), len(come)))
        return Batch(out.append_column(DIFF, pa.array(diffs)).cast(self._shape), False)

    def _store(self, rows: pa.Table) -> None:
        left, right = (rows.column(c).to_numpy() for c in _COUNTS)
        there = (left != 0) | (right != 0)
        known = rows.column(ROW).is_valid().to_numpy()
        self._state.put(rows.filter(pa.array(there)), now_ms=self._clock.now_us() // 1000 if self._ttl_ms else 0)
        self._state.remove(rows.column(ROW).filter(pa.array(~there & known)))

    def tick(self, now_us: int) -> Batch | None:
        if self._ttl_ms:
            self._state.forget(now_us // 1000)
        return None

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._state)}


def _empty(node: SetOperation, context: Context) -> str:
    """A SELECT of the node's columns without rows."""
    empty = context.database.over(f"{context.name}$empty", node.schema.arrow())
    return f"SELECT * FROM {quote(empty.name)}"

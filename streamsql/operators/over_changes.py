"""OverChanges: aggregates over the rows before each row in any order, as results that change."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from streamsql.core.batch import DIFF, Batch
from streamsql.core.node import Context, Explain, Node, Operator
from streamsql.core.schema import quote
from streamsql.operators._over_calls import Frame, OverCall
from streamsql.operators._ranked import DEAD, NEW, Kept, SortKey, marked, numbered, ttl_of
from streamsql.operators.over_aggregate import peers, values_of
from streamsql.state.table import KEY, ROW


@dataclass(frozen=True)
class OverChanges(Node):
    """`f(x) OVER (PARTITION BY … ORDER BY value …)`, of rows that may change or come in any order.

    partition  DuckDB texts over the input
    order      the terms of ORDER BY
    frame      of all calls
    calls      name and call
    The schema is columns of the input, then the calls.
    """

    partition: tuple[str, ...]
    order: tuple[SortKey, ...]
    frame: Frame
    calls: tuple[tuple[str, OverCall], ...]

    def kept(self) -> Kept:
        names = {name for name, _ in self.calls}
        columns = [c for c in self.inputs[0].schema.names if c not in names]
        return Kept(self.inputs[0], self.partition, self.order, columns)

    def narrowed(self, needed: Collection[str]) -> OverChanges:
        calls = tuple(c for c in self.calls if c[0] in needed)
        return replace(self, schema=self.schema.only(needed), calls=calls)

    def unique_keys(self) -> frozenset[frozenset[str]]:
        names = set(self.schema.names)
        return frozenset(k for k in self.inputs[0].unique_keys() if k <= names)

    def relation(self, inputs: Sequence[str]) -> str:
        rows = f"(SELECT *, row_number() OVER () AS {quote(ROW)} FROM {inputs[0]})"
        terms = [k.of(k.sql) for k in self.order]
        keys, columns = ", ".join(self.partition), ", ".join(quote(c) for c in self.schema.names)
        values = values_of(self.calls, self.frame, keys, terms, [quote(ROW)])
        equal = [k.sql for k in self.order]
        return f"SELECT {columns} FROM ({peers(self.calls, self.frame, keys, equal, [quote(ROW)], values, rows)})"

    def operator(self, context: Context) -> Operator:
        return OverChangesStep(self, context)

    def holds_state(self) -> bool:
        return True

    def grows(self) -> bool:
        return True

    def explain(self) -> Explain:
        details = [("partition by", ", ".join(self.partition))] if self.partition else []
        details += [("order by", ", ".join(k.text() for k in self.order)), ("frame", self.frame.text())]
        details += [(name, call.text()) for name, call in self.calls]
        details.append(("emits", "changes: a row that comes between others changes those after it"))
        return Explain("OverChanges", tuple(details))


class OverChangesStep(Operator):
    """Keep all rows, and emit how the values of a partition changed.

        Δout = over(I + Δin) − over(I)        restricted to the partitions that Δin touches

    Input:   any changelog mode
    Output:  columns of the input, the values, `$diff`; −old before +new, nothing for a row whose
             values stay
    State:   all rows
    Cost:    two windows over the rows of the touched partitions
    Forgets: a row that is taken back; by `table.exec.state.ttl`
    Late:    takes every row; nothing closes
    Source:  Flink's NonTimeRows- and NonTimeRangeUnboundedPrecedingFunction, for frames of n rows too
    """

    def __init__(self, node: OverChanges, context: Context) -> None:
        database, kept = context.database, node.kept()
        self._clock = context.clock
        self._input = database.over(f"{context.name}$in", kept.fused.source.batch_schema())
        self._take = database.compute(kept.select(quote(self._input.name)))
        taken = numbered(self._take.run()).schema
        self._ttl_ms = ttl_of(context)
        stored = pa.schema([f for f in taken if f.name not in (DIFF, ROW)])
        self._state = database.state(f"{context.name}$rows", stored, ttl_ms=self._ttl_ms)
        self._old = database.over(f"{context.name}$old", self._state.found_schema)
        self._new = database.over(f"{context.name}$new", taken)
        self._net = database.compute(marked(kept, quote(self._old.name), quote(self._new.name)))
        self._both = database.over(f"{context.name}$both", self._net.run().schema)
        self._emit = database.compute(_emission(node, kept, quote(self._both.name)))
        self._shape = node.batch_schema()

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        rows = self._take.run()
        if not rows.num_rows:
            return None
        self._new.set(numbered(rows))
        self._old.set(self._state.find(rows.column(KEY)))
        both = self._net.run()
        self._both.set(both)
        out = self._emit.run()
        new, dead = both.column(NEW).to_numpy(), both.column(DEAD).to_numpy()
        self._state.remove(both.column(ROW).to_numpy()[~new & dead])
        self._state.add(both.filter(pa.array(new & ~dead)), now_ms=self._clock.now_us() // 1000 if self._ttl_ms else 0)
        return Batch(out.cast(self._shape), False) if out.num_rows else None

    def tick(self, now_us: int) -> Batch | None:
        if self._ttl_ms:
            self._state.forget(now_us // 1000)
        return None

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._state)}


def _emission(node: OverChanges, kept: Kept, both: str) -> str:
    """What changed: the values before over the kept rows, after over those that are left."""
    diff, row = quote(DIFF), quote(ROW)
    columns = [quote(c) for c in node.schema.names]
    keys, equal = ", ".join(kept.keys), list(kept.sorts)
    terms = [k.of(name) for k, name in zip(node.order, kept.sorts, strict=True)]
    values = values_of(node.calls, node.frame, keys, terms, kept.arrival)

    def side(condition: str, sign: int) -> str:
        rows = peers(node.calls, node.frame, keys, equal, kept.arrival, values, f"{both} WHERE {condition}")
        return f"SELECT {', '.join(columns)}, {row}, {sign} AS {diff} FROM ({rows})"

    changes = f"{side(f'NOT {quote(NEW)}', -1)} UNION ALL {side(f'NOT {quote(DEAD)}', 1)}"
    net = (f"SELECT {', '.join([*columns, f'sum({diff}) AS {diff}', f'min({row}) AS {row}'])} FROM ({changes}) "
           f"GROUP BY {', '.join(columns)} HAVING sum({diff}) <> 0")
    copies = f"unnest(generate_series(1, CAST(abs({diff}) AS BIGINT)))"
    listed = ", ".join([*columns, f"CAST(sign({diff}) AS INTEGER) AS {diff}"])
    return f"SELECT {listed} FROM (SELECT *, {copies} AS \"$copy\" FROM ({net})) ORDER BY {diff}, {row}"

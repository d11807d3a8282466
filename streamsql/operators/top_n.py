"""TopN: the first rows of each partition in an order, as a result that changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from streamsql.core.batch import DIFF, Batch
from streamsql.core.node import Context, Explain, Node, Operator
from streamsql.core.schema import quote
from streamsql.operators._ranked import (
    DEAD,
    NEW,
    OLD_RANK,
    RANK,
    ROW_NUMBER,
    Kept,
    SortKey,
    numbered,
    sorted_by,
    ttl_of,
)
from streamsql.operators._top_n_changes import TopNOfChanges
from streamsql.state.table import KEY, ROW


@dataclass(frozen=True)
class TopN(Node):
    """`function() OVER (PARTITION BY … ORDER BY …) BETWEEN start AND end`, and ORDER BY … LIMIT.

    partition  DuckDB texts over the input
    order      the terms of ORDER BY
    rank       the column of the rank, '' where nobody reads it
    function   ROW_NUMBER, in which the one of tying rows that came first is first; RANK or DENSE_RANK,
               in which all of them are in the result or none
    The schema is columns of the input, then `rank`.
    """

    partition: tuple[str, ...]
    order: tuple[SortKey, ...]
    start: int
    end: int
    rank: str = ""
    function: str = ROW_NUMBER

    def kept(self) -> Kept:
        return Kept(self.inputs[0], self.partition, self.order, self.columns())

    def columns(self) -> list[str]:
        """The columns that come from the input."""
        return [c for c in self.schema.names if c != self.rank]

    def narrowed(self, needed: Collection[str]) -> TopN:
        rank = self.rank if self.rank in needed else ""
        return replace(self, schema=self.schema.only(needed), rank=rank)

    def unique_keys(self) -> frozenset[frozenset[str]]:
        names = {quote(c): c for c in self.columns()}
        keys = {k for k in self.inputs[0].unique_keys() if all(c in names.values() for c in k)}
        if self.function == ROW_NUMBER and all(p in names for p in self.partition):
            partition = frozenset(names[p] for p in self.partition)
            if self.start == self.end:
                keys.add(partition)
            elif self.rank:
                keys.add(partition | {self.rank})
        return frozenset(keys)

    def relation(self, inputs: Sequence[str]) -> str:
        partition = f"PARTITION BY {', '.join(self.partition)} " if self.partition else ""
        over = partition + sorted_by(self.order, *([quote(ROW)] if self.function == ROW_NUMBER else []))
        rows = f"SELECT *, row_number() OVER () AS {quote(ROW)} FROM {inputs[0]}"
        ranked = f"SELECT *, {self.function}() OVER ({over}) AS {quote(RANK)} FROM ({rows})"
        columns = [quote(c) for c in self.columns()]
        columns += [f"{quote(RANK)} AS {quote(self.rank)}"] if self.rank else []
        where = f"{quote(RANK)} BETWEEN {self.start} AND {self.end}"
        return f"SELECT {', '.join(columns) or '1'} FROM ({ranked}) WHERE {where}"

    def operator(self, context: Context) -> Operator:
        if self.inputs[0].append_only:
            return TopNStep(self, context)
        return TopNOfChanges(self, context, _emission(self, self.kept(), quote(f"{context.name}$moved")))

    def holds_state(self) -> bool:
        return True

    def grows(self) -> bool:
        """Without partitions only ROW_NUMBER has an end: any number of rows may tie."""
        return bool(self.partition) or not self.inputs[0].append_only or self.function != ROW_NUMBER

    def explain(self) -> Explain:
        details = [("partition by", ", ".join(self.partition))] if self.partition else []
        details.append(("order by", ", ".join(k.text() for k in self.order) or "arrival"))
        rows = "rows" if self.function == ROW_NUMBER else self.function.lower()
        details.append((rows, f"{self.start} to {self.end}"))
        if self.rank:
            details.append(("rank", self.rank))
        details.append(("keeps", "the rows that are in the result" if self.inputs[0].append_only else "all rows"))
        return Explain("TopN", tuple(details))


class TopNStep(Operator):
    """Keep the rows that can come into the result, and emit how the first ones changed.

        Δout = topₙ(I + Δin) − topₙ(I)        restricted to the partitions that Δin touches

    Input:   append-only; `TopNOfChanges` takes the others
    Output:  columns of the input, the rank where it is read, `$diff`; −old before +new. Without the
             rank only rows that enter or leave
    State:   the rows of each partition whose rank is at most `end`
    Cost:    one window over the batch and the kept rows of its partitions
    Forgets: a row whose rank is beyond `end`; by `table.exec.state.ttl`
    Late:    takes every row; nothing closes
    Source:  Flink's AppendOnlyTopNFunction
    """

    def __init__(self, node: TopN, context: Context) -> None:
        database, kept = context.database, node.kept()
        self._node = node
        self._clock = context.clock
        self._input = database.over(f"{context.name}$in", kept.fused.source.batch_schema())
        self._take = database.compute(kept.select(quote(self._input.name)))
        taken = numbered(self._take.run()).schema
        stored = pa.schema([f for f in taken if f.name != ROW])
        self._ttl_ms = ttl_of(context)
        self._state = database.state(f"{context.name}$rows", stored, ttl_ms=self._ttl_ms)
        self._old = database.over(f"{context.name}$old", self._state.found_schema)
        self._new = database.over(f"{context.name}$new", taken)
        self._rank = database.compute(_ranked(node, kept, quote(self._old.name), quote(self._new.name)))
        self._moved = database.over(f"{context.name}$moved", self._rank.run().schema)
        self._emit = database.compute(_emission(node, kept, quote(self._moved.name)))
        self._shape = node.batch_schema()

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        rows = self._take.run()
        if not rows.num_rows:
            return None
        self._new.set(numbered(rows))
        self._old.set(self._state.find(rows.column(KEY)))
        moved = self._rank.run()
        self._moved.set(moved)
        out = self._emit.run()
        self._store(moved)
        return Batch(out.cast(self._shape), False) if out.num_rows else None

    def _store(self, moved: pa.Table) -> None:
        """Gone: what has a rank beyond `end`; it only grows."""
        new = moved.column(NEW).to_numpy()
        gone = moved.column(RANK).to_numpy() > self._node.end
        self._state.remove(moved.column(ROW).to_numpy()[~new & gone])
        self._state.add(moved.filter(pa.array(new & ~gone)), now_ms=self._clock.now_us() // 1000 if self._ttl_ms else 0)

    def tick(self, now_us: int) -> Batch | None:
        if self._ttl_ms:
            self._state.forget(now_us // 1000)
        return None

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._state)}


def _ranked(node: TopN, kept: Kept, old: str, new: str) -> str:
    """The rows that the batch moves: kept columns, `$row`, `$new`, `$dead`, the rank before and after."""
    row, fresh, rank, before = (quote(n) for n in (ROW, NEW, RANK, OLD_RANK))
    columns = ", ".join([*kept.stored, row])
    every = (f"SELECT {columns}, FALSE AS {fresh}, FALSE AS {quote(DEAD)} FROM {old} "
             f"UNION ALL SELECT {columns}, TRUE, FALSE FROM {new}")
    ranked = (f"SELECT *, {kept.rank(node.function, kept.arrival)} AS {rank}, "
              f"{kept.rank(node.function, kept.arrival, f'NOT {fresh}')} AS {before} FROM ({every})")
    moved = f"NOT {fresh} AND {before} <> {rank} AND {before} <= {node.end}"
    return f"SELECT * FROM ({ranked}) WHERE ({fresh} AND {rank} <= {node.end}) OR ({moved}) ORDER BY {row}"


def _emission(node: TopN, kept: Kept, moved: str) -> str:
    """What the moved rows change in the result, net."""
    shown = f"BETWEEN {node.start} AND {node.end}"
    before, rank, diff, row = (quote(n) for n in (OLD_RANK, RANK, DIFF, ROW))
    columns = [*kept.columns, *([quote(node.rank)] if node.rank else [])]

    def side(number: str, condition: str, sign: int) -> str:
        texts = [*kept.columns, *([f"{number} AS {quote(node.rank)}"] if node.rank else []), row, f"{sign} AS {diff}"]
        return f"SELECT {', '.join(texts)} FROM {moved} WHERE {condition} AND {number} {shown}"

    both = f"{side(before, f'NOT {quote(NEW)}', -1)} UNION ALL {side(rank, f'NOT {quote(DEAD)}', 1)}"
    group = f"GROUP BY {', '.join(columns)} " if columns else ""
    net = (f"SELECT {', '.join([*columns, f'sum({diff}) AS {diff}', f'min({row}) AS {row}'])} FROM ({both}) "
           f"{group}HAVING sum({diff}) <> 0")
    copies = f"unnest(generate_series(1, CAST(abs({diff}) AS BIGINT)))"
    listed = ", ".join([*columns, f"CAST(sign({diff}) AS INTEGER) AS {diff}"])
    ordered = ", ".join([diff, *([quote(node.rank)] if node.rank else []), row])
    return f"SELECT {listed} FROM (SELECT *, {copies} AS \"$copy\" FROM ({net})) ORDER BY {ordered}"

"""TopNOfChanges: the step of a Top-N over rows that change, which reads a partition's first rows alone.

Of each partition the first rows (the head) are kept apart from the others (the rest), so that a
batch reads the head, and of the rest only rows that it takes back. When too much of a head has gone
it is filled again from the rest: a pass over the partition that pays for as many rows as the square
root of its size. A marker says that a partition has a rest: its head then has a row whose rank is
beyond the last one asked for, so that all rows before that row, and all that tie, are in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streamsql.core.arrays import distinct
from streamsql.core.batch import DIFF, Batch
from streamsql.core.node import Context, Operator
from streamsql.core.schema import quote
from streamsql.operators._ranked import DEAD, NEW, OLD_RANK, RANK, ROW_NUMBER, Kept, numbered, ttl_of
from streamsql.state.table import KEY, ROW, key_of

if TYPE_CHECKING:
    from streamsql.operators.top_n import TopN

_ID, _AT, _TIER, _DEEP, _BELOW, _TOTAL, _POS = "$id", "$at", "$tier", "$deep", "$below", "$total", "$pos"
_PLACE, _PAST = "$place", "$past"
_HEAD, _REST, _MARK, _FILLED = 0, 1, 2, 3
"""Tiers: `_FILLED` are rows of the rest that a step has put to the head; the state has none."""
_AWAY = np.uint64(0x9E3779B97F4A7C15)
"""What makes the key of a rest of that of its head."""
_NO_RANK = 2**40


class TopNOfChanges(Operator):
    """Keep all rows, the first ones of each partition apart, and emit how the first ones changed.

        Δout = topₙ(I + Δin) − topₙ(I)        restricted to the partitions that Δin touches

    Input:   a changelog
    Output:  columns of the input, the rank where it is read, `$diff`; −old before +new
    State:   all rows
    Cost:    one window over the batch and the heads of its partitions; now and then the rest of one
    Forgets: a row that is taken back; by `table.exec.state.ttl`
    Late:    takes every row; nothing closes
    Source:  Flink's RetractableTopNFunction; the two tiers are ours
    """

    def __init__(self, node: TopN, context: Context, emission: str) -> None:
        database, kept = context.database, node.kept()
        self._node, self._clock = node, context.clock
        self._ttl_ms = ttl_of(context)
        self._input = database.over(f"{context.name}$in", kept.fused.source.batch_schema())
        self._take = database.compute(f"SELECT *, {key_of(kept.values)} AS {quote(_ID)} "
                                      f"FROM ({kept.select(quote(self._input.name))})")
        taken = self._stamped(self._take.run(), 0)
        stored = pa.schema([f for f in taken.schema if f.name not in (DIFF, ROW)])
        self._state = database.state(f"{context.name}$rows", stored, other=_ID, ttl_ms=self._ttl_ms)
        self._old = database.over(f"{context.name}$old", self._state.found_schema)
        self._new = database.over(f"{context.name}$new", taken.schema)
        self._rank = database.compute(_ranked(node, kept, quote(self._old.name), quote(self._new.name)))
        self._moved = database.over(f"{context.name}$moved", self._rank.run().schema)
        self._emit = database.compute(emission)
        self._shape = node.batch_schema()
        known = self._state.all().column(_AT).to_numpy()
        self._next = int(known.max()) + 1 if len(known) else 0

    @staticmethod
    def _stamped(rows: pa.Table, first: int) -> pa.Table:
        """`rows` with the number of their arrival, and no tier yet."""
        at = np.arange(first, first + rows.num_rows, dtype=np.int64)
        rows = rows.append_column(pa.field(_AT, pa.int64()), pa.array(at))
        rows = rows.append_column(pa.field(_TIER, pa.int32()), pa.array(np.full(rows.num_rows, -1, np.int32)))
        return numbered(rows)

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        rows = self._stamped(self._take.run(), self._next)
        if not rows.num_rows:
            return None
        self._new.set(rows)
        head = self._state.find(rows.column(KEY))
        head = head.filter(pa.array(_tiers(head) != _REST))
        gone = rows.column(_ID).to_numpy()[rows.column(DIFF).to_numpy() < 0]
        back = self._state.find(gone, other=True)
        back = back.filter(pa.array(_tiers(back) == _REST))
        self._old.set(pa.concat_tables([head, back]))
        moved = self._rank.run()
        few = moved.column(_PAST).to_numpy() == _NO_RANK
        short = distinct(_keys(moved)[moved.column(_DEEP).to_numpy() & few])
        if len(short):
            self._old.set(pa.concat_tables([self._refilled(head, short), back.filter(
                pa.array(~np.isin(_keys(back) ^ _AWAY, short)))]))
            moved = self._rank.run()
        self._moved.set(moved)
        out = self._emit.run()
        self._next += rows.num_rows
        self._store(moved, head, short)
        return Batch(out.cast(self._shape), False) if out.num_rows else None

    def _refilled(self, head: pa.Table, short: npt.NDArray[np.uint64]) -> pa.Table:
        """The heads with the rests of the partitions that have too few rows, and without their markers."""
        rest = self._state.find(short ^ _AWAY)
        rest = rest.filter(pa.array(_tiers(rest) == _REST))
        rest = _replaced(rest, KEY, _keys(rest) ^ _AWAY)
        rest = _replaced(rest, _TIER, np.full(rest.num_rows, _FILLED, np.int32))
        marks = (_tiers(head) == _MARK) & np.isin(_keys(head), short)
        return pa.concat_tables([head.filter(pa.array(~marks)), rest])

    def _store(self, moved: pa.Table, head: pa.Table, short: npt.NDArray[np.uint64]) -> None:
        new, dead, below, deep = (moved.column(c).to_numpy() for c in (NEW, DEAD, _BELOW, _DEEP))
        total, place, past, rank = (moved.column(c).to_numpy() for c in (_TOTAL, _PLACE, _PAST, RANK))
        keys, size = _keys(moved), 2 * self._node.end + np.sqrt(total).astype(np.int64)
        over = (total > 2 * size) & (place > size) & (rank > np.maximum(past, 2 * self._node.end))
        target = np.where(below | over, _REST, _HEAD).astype(np.int32)
        current = np.where(_tiers(moved) == _FILLED, _REST, _tiers(moved))
        moves = ~dead & (target != current)
        has_rest = ~dead & (target == _REST)
        self._state.remove(moved.column(ROW).to_numpy()[~new & (dead | moves)])
        now_ms = self._clock.now_us() // 1000 if self._ttl_ms else 0
        added = _replaced(_replaced(moved, _TIER, target), KEY, np.where(target == _REST, keys ^ _AWAY, keys))
        self._state.add(added.filter(pa.array(moves)), now_ms=now_ms)
        first = moved.column(_POS).to_numpy() == 1
        unmarked = first & ~deep & np.isin(keys, keys[has_rest]) & ~np.isin(keys, short)
        marks = _replaced(moved, _TIER, np.full(moved.num_rows, _MARK, np.int32)).filter(pa.array(unmarked))
        self._state.add(_replaced(marks, _ID, np.zeros(marks.num_rows, np.uint64)), now_ms=now_ms)
        emptied = (_tiers(head) == _MARK) & np.isin(_keys(head), short) & ~np.isin(_keys(head), keys[has_rest])
        self._state.remove(head.column(ROW).to_numpy()[emptied])

    def tick(self, now_us: int) -> Batch | None:
        if self._ttl_ms:
            self._state.forget(now_us // 1000)
        return None

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._state)}


def _tiers(rows: pa.Table) -> npt.NDArray[np.int32]:
    return np.asarray(rows.column(_TIER)).astype(np.int32, copy=False)


def _keys(rows: pa.Table) -> npt.NDArray[np.uint64]:
    return np.asarray(rows.column(KEY)).astype(np.uint64, copy=False)


def _replaced(rows: pa.Table, name: str, values: npt.NDArray[np.generic]) -> pa.Table:
    index = rows.column_names.index(name)
    return rows.set_column(index, rows.schema.field(index), pa.array(values))


def _ranked(node: TopN, kept: Kept, old: str, new: str) -> str:
    """Heads and the batch with their ranks before and after, and what is taken back of the rest."""
    row, fresh, dead, tier, deep, below, pos = (quote(n) for n in (ROW, NEW, DEAD, _TIER, _DEEP, _BELOW, _POS))
    stored = [*kept.stored, quote(_ID), quote(_AT), tier, row]
    columns, arrival = ", ".join(stored), [*kept.hidden, quote(_AT)]
    plus = (f"SELECT {columns}, FALSE AS {fresh} FROM {old} WHERE {tier} <> {_MARK} "
            f"UNION ALL SELECT {columns}, TRUE FROM {new} WHERE {quote(DIFF)} > 0")
    values = ", ".join(kept.values)
    minus = (f"SELECT {values or '1'}, count(*) AS \"$n\" FROM {new} WHERE {quote(DIFF)} < 0"
             f"{' GROUP BY ALL' if values else ''}")
    equal = f"PARTITION BY {', '.join('plus.' + v for v in kept.values)} " if values else ""
    counted = (f"SELECT plus.{row}, minus.\"$n\", row_number() OVER ({equal}ORDER BY "
               f"{', '.join('plus.' + a for a in arrival)}) AS \"$i\" "
               f"FROM plus JOIN minus ON {kept.same('plus', 'minus', kept.values)}")
    gone = f"SELECT {row} FROM ({counted}) WHERE \"$i\" <= \"$n\""
    has_rest = f"EXISTS (SELECT 1 FROM {old} o WHERE o.{tier} = {_MARK} AND {kept.same('o', 'plus')})"
    every = (f"SELECT plus.*, gone.{row} IS NOT NULL AS {dead}, {has_rest} AS {deep} "
             f"FROM plus LEFT JOIN gone ON gone.{row} = plus.{row}")
    keys = kept.partitioned()
    window = f"{keys}ORDER BY {', '.join([*kept.sorting()[:len(kept.order)], *arrival])}"
    placed = f"SELECT *, row_number() OVER ({window}) AS {pos} FROM every WHERE {tier} <> {_REST}"
    last = f"coalesce(max(CASE WHEN NOT {fresh} THEN {pos} END) OVER ({keys}), 0)"
    split = f"SELECT *, {fresh} AND {deep} AND {pos} > {last} AS {below} FROM ({placed})"
    alive = f"NOT {dead} AND NOT {below}"
    ranked = (f"SELECT *, CASE WHEN {below} THEN {_NO_RANK} ELSE {kept.rank(node.function, arrival, alive)} END "
              f"AS {quote(RANK)}, {kept.rank(node.function, arrival, f'NOT {fresh}')} AS {quote(OLD_RANK)}, "
              f"{kept.rank(ROW_NUMBER, arrival, alive)} AS {quote(_PLACE)}, "
              f"count(*) FILTER (WHERE {alive}) OVER ({keys}) AS {quote(_TOTAL)} FROM ({split})")
    past = f"min({quote(RANK)}) FILTER (WHERE {alive} AND {quote(RANK)} > {node.end}) OVER ({keys})"
    ranked = f"SELECT *, coalesce({past}, {_NO_RANK}) AS {quote(_PAST)} FROM ({ranked})"
    back = (f"SELECT *, 0 AS {pos}, FALSE AS {below}, 0, 0, 0, {_NO_RANK}, 0 FROM every "
            f"WHERE {tier} = {_REST} AND {dead}")
    return (f"WITH plus AS ({plus}), minus AS ({minus}), gone AS ({gone}), every AS ({every}) "
            f"SELECT * FROM ({ranked} UNION ALL {back}) ORDER BY {quote(_AT)}")

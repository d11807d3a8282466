"""Rows of two inputs that belong together: what joins, semi joins and anti joins share.

`Matching` says when a row of the left matches one of the right. `MatchStep` finds the matches of
what changes on one side among what it remembers of the other, and counts them with each row that
its kind says something about while it has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from streamsql.core.arrays import is_distinct
from streamsql.core.batch import DIFF, Batch
from streamsql.core.node import Context, Node, Operator, Statement, StateTable, fuse
from streamsql.core.options import duration_ms
from streamsql.core.schema import Column, quote
from streamsql.operators._consolidate import Consolidation
from streamsql.state.table import KEY, ROW, key_of

TTL = "table.exec.state.ttl"
HASH, MAY, COUNT, AT, KEPT = "$hash", "$may", "$count", "$n", "$kept"

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Matching:
    """When a row of the left and a row of the right match; the columns of the two have distinct names.

    keys       DuckDB text over the left, and over the right: equal for rows that match; without keys all meet
    condition  DuckDB text over both, or None; it includes that the keys are equal
    guards     DuckDB text over the left, and over the right, or None: where it is not TRUE a row matches nothing
    """

    keys: tuple[tuple[str, str], ...]
    condition: str | None
    guards: tuple[str | None, str | None]

    def on(self) -> str:
        """The whole condition."""
        parts = [p for p in (*self.guards, self.condition) if p is not None]
        return " AND ".join(parts) or "TRUE"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a step emits.

    pairs  the rows that match, together
    lone   of the left, and of the right: 1 for a row while it matches nothing, -1 for a row while it
           matches something, 0 for neither
    """

    pairs: bool
    lone: tuple[int, int]


def ttl_ms(context: Context) -> int:
    return duration_ms(context.settings.get(TTL, "0"))


class Side:
    """One input of a step that matches: its changes, and what is remembered of it.

    counted  the number of matches is kept with each row
    """

    def __init__(self, context: Context, port: int, source: Node, matching: Matching, *, counted: bool) -> None:
        self.port = port
        self.counted = counted
        self.columns = list(source.schema)
        self.changing = not source.append_only
        self._name = f"{context.name}$side{port}"
        self._database = context.database
        self._clock = context.clock
        self._ttl_ms = ttl_ms(context)
        self._guarded = matching.guards[port] is not None
        visible = [quote(c.name) for c in self.columns]
        whole = key_of(visible)
        extra = [f"{key_of([k[port] for k in matching.keys])} AS {quote(KEY)}"]
        extra += [f"{whole} AS {quote(HASH)}"] if self.changing else []
        extra += [f"({matching.guards[port]}) IS TRUE AS {quote(MAY)}"] if self._guarded else []
        extra += [quote(DIFF) if self.changing else f"CAST(1 AS INTEGER) AS {quote(DIFF)}"]
        fused = fuse(source)
        self._input = context.database.over(f"{self._name}$in", fused.source.batch_schema())
        self._delta = context.database.compute(
            f"SELECT {', '.join([*visible, *extra])} FROM ({fused.select(quote(self._input.name))})")
        fields = [*source.schema.arrow(), pa.field(KEY, pa.uint64())]
        fields += [pa.field(HASH, pa.uint64())] if self.changing else []
        self._rows = pa.schema([*fields, *([pa.field(MAY, pa.bool_())] if self._guarded else []),
                                pa.field(DIFF, pa.int32())])
        kept = pa.schema([*fields, pa.field(COUNT, pa.int64())] if counted else fields)
        self.state: StateTable = context.database.state(
            self._name, kept, other=HASH if self.changing else None, ttl_ms=self._ttl_ms)
        if self.changing:
            self._net = Consolidation(context.database, self._name, self._rows)
            self._prepare_removal(visible)

    def _prepare_removal(self, visible: list[str]) -> None:
        """Statements that choose a remembered row for each one that goes: of distinct rows, and of any."""
        self._gone = self._database.over(f"{self._name}$gone", self._rows)
        self._known = self._database.over(f"{self._name}$known", self.state.found_schema)
        gone, known = quote(self._gone.name), quote(self._known.name)
        same = " AND ".join(f"g.{c} IS NOT DISTINCT FROM k.{c}" for c in [quote(HASH), *visible])
        self._distinct = self._database.compute(f"SELECT k.{quote(ROW)} FROM {gone} g JOIN {known} k ON {same}")
        listed = ", ".join([quote(HASH), *visible])

        def numbered(table: str, order: str) -> str:
            return f'(SELECT *, row_number() OVER (PARTITION BY {listed}{order}) AS "$copy" FROM {table})'

        self._any = self._database.compute(
            f"SELECT k.{quote(ROW)} FROM {numbered(gone, '')} g "
            f"JOIN {numbered(known, f' ORDER BY {quote(ROW)}')} k ON g.\"$copy\" = k.\"$copy\" AND {same}")

    def delta(self, batch: Batch) -> pa.Table:
        """The net changes of the input: its columns, `$key`, `$hash`, `$may`, `$diff`."""
        self._input.set(batch.table)
        rows = self._delta.run().cast(self._rows)
        return self._net.net(rows) if self.changing else rows

    def parted(self, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Changes of rows that may match something, and of those that may not."""
        if not self._guarded:
            return rows, rows.slice(0, 0)
        may = rows.column(MAY)
        return rows.filter(may), rows.filter(pc.invert(may))

    def leaving(self, rows: pa.Table) -> Int64s:
        """The `$row`s of what is remembered of the rows that go."""
        if not self.changing:
            return np.empty(0, np.int64)
        gone = rows.filter(pc.less(rows.column(DIFF), 0))
        if not gone.num_rows:
            return np.empty(0, np.int64)
        known = self.state.find(gone.column(HASH), other=True)
        self._gone.set(gone)
        self._known.set(known)
        distinct = all(is_distinct(t.column(HASH).to_numpy()) for t in (gone, known))
        found: Int64s = (self._distinct if distinct else self._any).run().column(0).to_numpy()
        return found

    def store(self, rows: pa.Table, counts: Int64s, leaving: Int64s) -> None:
        """Remember the rows that come, each with its number of matches, and no longer those that leave."""
        self.state.remove(leaving)
        if self.counted:
            rows = rows.append_column(COUNT, pa.array(counts))
        self.add(rows.filter(pc.greater(rows.column(DIFF), 0)) if self.changing else rows)

    def recount(self, found: pa.Table, counts: Int64s) -> None:
        """The numbers of matches of remembered rows have changed."""
        self.state.remove(found.column(ROW))
        at = found.column_names.index(COUNT)
        self.add(found.set_column(at, COUNT, pa.array(counts)))

    def add(self, rows: pa.Table) -> None:
        self.state.add(rows, now_ms=self._clock.now_us() // 1000 if self._ttl_ms else 0)

    def forget(self, now_us: int) -> None:
        if self._ttl_ms:
            self.state.forget(now_us // 1000)


def nulls(columns: Sequence[Column]) -> list[str]:
    """The columns of a side that is not there."""
    return [f"CAST(NULL AS {c.type.duck_type()}) AS {quote(c.name)}" for c in columns]


class MatchStep(Operator):
    """Match what changes on one side with what is remembered of the other.

        Δout = ΔL ⋈ R + (L + ΔL) ⋈ ΔR + changes of the rows that begin or cease to match something

    Input:   two ports, any changelog mode
    Output:  `columns`; `$diff` unless the node is append-only; − before +, in order of arrival
    State:   the rows of either side that may match, found by key; with each row that `kind.lone`
             speaks of, the number of its matches, so that the other side is not read for it again
    Cost:    O(|Δin| + matches); where a condition goes beyond the keys, + the rows of the keys touched
    Forgets: a row that is taken back; what is older than `table.exec.state.ttl`
    Late:    takes every row
    Source:  Budiu et al., "DBSP", VLDB 2023 (bilinear operators); Flink's outer join with association counts
    """

    def __init__(self, node: Node, context: Context, matching: Matching, kind: Kind,
                 columns: Sequence[tuple[str, str]], where: str | None = None) -> None:
        self._node = node
        self._kind = kind
        self._shape = node.batch_schema()
        self._database = context.database
        self._sides = [Side(context, port, source, matching, counted=kind.lone[port] != 0)
                       for port, source in enumerate(node.inputs)]
        self._changes = pa.schema([*node.schema.arrow(), pa.field(DIFF, pa.int32())])
        self._net = None if node.append_only else Consolidation(context.database, context.name, self._changes)
        self._computed = ", ".join([*(f"{sql} AS {quote(name)}" for name, sql in columns), quote(DIFF)])
        self._selected = ", ".join(quote(name) for name in self._changes.names)
        self._where = where
        self._new = [context.database.over(f"{context.name}$new{s.port}", self._numbered(s)) for s in self._sides]
        self._old = [context.database.over(f"{context.name}$old{s.port}", s.state.found_schema) for s in self._sides]
        self._match = [self._matches(port, matching) for port in (0, 1)]
        self._alone = [context.database.over(f"{context.name}$alone{s.port}", self._visible(s)) for s in self._sides]
        self._lone = [self._padded(port) for port in (0, 1)]

    def _visible(self, side: Side) -> pa.Schema:
        return pa.schema([*(pa.field(c.name, c.type.arrow_type()) for c in side.columns), pa.field(DIFF, pa.int32())])

    def _numbered(self, side: Side) -> pa.Schema:
        return pa.schema([*self._visible(side), pa.field(KEY, pa.uint64()), pa.field(AT, pa.int64())])

    def _matches(self, port: int, matching: Matching) -> Statement:
        """The pairs of a change on `port` and a remembered row of the other side, in order of arrival."""
        new, old = quote(self._new[port].name), quote(self._old[1 - port].name)
        order = f"d.{quote(AT)}, f.{quote(ROW)}"
        same = f"d.{quote(KEY)} = f.{quote(KEY)}" + (f" AND {matching.condition}" if matching.condition else "")
        computed = self._computed if self._kind.pairs else quote(DIFF)
        pairs = f"SELECT {computed}, {order} FROM {new} d JOIN {old} f ON {same}"
        if self._where:
            pairs = f"SELECT *, ({self._where}) IS TRUE AS {quote(KEPT)} FROM ({pairs})"
        return self._database.compute(f"{pairs} ORDER BY {quote(AT)}, {quote(ROW)}")

    def _padded(self, port: int) -> Statement:
        """The output for a row of one side alone, the other side's columns NULL."""
        absent = nulls(self._sides[1 - port].columns)
        rows = f"(SELECT {', '.join(['*', *absent])} FROM {quote(self._alone[port].name)})"
        return self._database.compute(
            f"SELECT {self._selected} FROM (SELECT {self._computed} FROM {rows})"
            + (f" WHERE {self._where}" if self._where else ""))

    def step(self, port: int, batch: Batch) -> Batch | None:
        mine, other = self._sides[port], self._sides[1 - port]
        rows = mine.delta(batch)
        if not rows.num_rows:
            return None
        able, unable = mine.parted(rows)
        found = other.state.find(able.column(KEY))
        pairs = self._pairs(port, able, found)
        kept = pairs.filter(pairs.column(KEPT)) if self._where else pairs
        out = [kept.select(self._changes.names)] if self._kind.pairs else []
        counts = _counts(pairs, able) if mine.counted else np.empty(0, np.int64)
        if mine.counted:
            out.append(self._own(port, able, unable, counts))
        recounted, numbers = found, np.empty(0, np.int64)
        if other.counted:
            changed, numbers, begun = _recounted(pairs, found)
            recounted = found.take(pa.array(changed))
            out.append(self._others(1 - port, recounted, begun))
        leaving = mine.leaving(able)
        result = self._result(out)
        mine.store(able, counts, leaving)
        if other.counted:
            other.recount(recounted, numbers)
        return result

    def _pairs(self, port: int, able: pa.Table, found: pa.Table) -> pa.Table:
        numbered = able.append_column(AT, pa.array(np.arange(able.num_rows)))
        self._new[port].set(numbered.select(self._numbered(self._sides[port]).names))
        self._old[1 - port].set(found)
        return self._match[port].run()

    def _own(self, port: int, able: pa.Table, unable: pa.Table, counts: Int64s) -> pa.Table:
        """The rows that changed themselves, where they stand alone or are emitted for their matches."""
        if self._kind.lone[port] > 0:
            return self._emitted(port, pa.concat_tables([unable, able.filter(pa.array(counts == 0))]))
        return self._emitted(port, able.filter(pa.array(counts > 0)))

    def _others(self, port: int, rows: pa.Table, begun: Int64s) -> pa.Table:
        """Remembered rows that have begun (1) or ceased (-1) to match something."""
        turned = begun != 0
        signs = (begun[turned] * -self._kind.lone[port]).astype(np.int32)
        return self._emitted(port, rows.filter(pa.array(turned)).append_column(DIFF, pa.array(signs)))

    def _emitted(self, port: int, rows: pa.Table) -> pa.Table:
        if not rows.num_rows:
            return self._changes.empty_table()
        self._alone[port].set(rows.select(self._visible(self._sides[port]).names))
        return self._lone[port].run()

    def _result(self, parts: list[pa.Table]) -> Batch | None:
        rows = pa.concat_tables([p.cast(self._changes) for p in parts])
        if self._net is not None:
            rows = self._net.net(rows)
        return Batch(rows.select(self._shape.names), False) if rows.num_rows else None

    def tick(self, now_us: int) -> None:
        for side in self._sides:
            side.forget(now_us)

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": sum(len(side.state) for side in self._sides)}


def _counts(pairs: pa.Table, rows: pa.Table) -> Int64s:
    """How many matches each of `rows` has."""
    found: Int64s = np.bincount(pairs.column(AT).to_numpy(), minlength=rows.num_rows)
    return found


def _recounted(pairs: pa.Table, found: pa.Table) -> tuple[Int64s, Int64s, Int64s]:
    """Of the remembered rows whose number of matches changes: where they are, the new number, and
    1 if they had none before, -1 if they have none now."""
    at = np.searchsorted(found.column(ROW).to_numpy(), pairs.column(ROW).to_numpy())
    change = np.bincount(at, weights=pairs.column(DIFF).to_numpy(), minlength=found.num_rows).astype(np.int64)
    changed = np.flatnonzero(change)
    old = found.column(COUNT).to_numpy()[changed]
    new = np.maximum(old + change[changed], 0)
    return changed, new, (old == 0).astype(np.int64) * (new > 0) - (old > 0).astype(np.int64) * (new == 0)

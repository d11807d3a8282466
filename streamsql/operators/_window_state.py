"""What a window aggregate keeps of open windows: partial aggregates, or the rows where it must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from streamsql.aggregates import Aggregate
from streamsql.core.batch import ARRIVAL, DIFF, SEQ, WATERMARK
from streamsql.core.node import Context
from streamsql.core.schema import quote
from streamsql.operators._window_frames import Closing, Frame
from streamsql.windows.window import NEVER_US

_COMPACTED_ROWS = 200_000
"""The state is not merged before it has grown by this many rows."""

ROWS = quote("$rows")


@dataclass(frozen=True, slots=True)
class Groups:
    """GROUP BY of the keys `$k0` … and the window; with grouping sets, once a set."""

    keys: int
    sets: tuple[tuple[int, ...], ...]
    bounds: tuple[str, ...]

    def clause(self) -> str:
        bounds = [quote(b) for b in self.bounds]
        if not self.sets:
            return ", ".join((*map(key, range(self.keys)), *bounds))
        sets = ("(" + ", ".join((*map(key, s), *bounds)) + ")" for s in self.sets)
        return f"GROUPING SETS ({', '.join(sets)})"

    def grouping(self, of: tuple[int, ...]) -> str:
        """GROUPING(k, …): a bit a key, 1 where the set leaves it out."""
        return f"CAST(grouping({', '.join(map(key, of))}) AS BIGINT)" if self.sets else "CAST(0 AS BIGINT)"


def key(index: int) -> str:
    return quote(f"$k{index}")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept, as SQL text; made once, owned by State.

    weighted  the input has `$diff`
    arrival   the input has `$watermark` and `$seq`
    """

    keys: tuple[str, ...]
    calls: tuple[tuple[str, Aggregate], ...]
    frame: Frame
    sets: tuple[tuple[int, ...], ...]
    groupings: tuple[tuple[str, tuple[int, ...]], ...]
    weighted: bool
    arrival: bool

    def partial(self) -> bool:
        """True if partial aggregates do; else the rows are kept."""
        return all(call.partials(weighted=self.weighted, arrival=self.arrival) is not None
                   for _, call in self.calls)

    def select(self, rows: str) -> str:
        """What to keep of the input's rows, which have their bounds."""
        columns = [f"{sql} AS {key(i)}" for i, sql in enumerate(self.keys)]
        columns += [quote(c) for c in self.frame.columns]
        if not self.partial():
            columns += [f"{sql} AS {quote(name)}" for name, sql in self._row_columns()]
            columns += [quote(c) for c in self._hidden()]
            return f"SELECT {', '.join(columns)} FROM ({rows})"
        if self.weighted:
            columns.append(f"CAST(sum({quote(DIFF)}) AS BIGINT) AS {ROWS}")
        columns += [f"{step} AS {quote(name)}" for name, step, _ in self._partial_columns()]
        return f"SELECT {', '.join(columns)} FROM ({rows}) GROUP BY ALL"

    def merged(self, state: str) -> str:
        """The state with one row a group; only of partials."""
        grouped = [*self._keys(), *(quote(c) for c in self.frame.columns)]
        return f"SELECT {', '.join((*grouped, *self._merges()))} FROM {state} GROUP BY {', '.join(grouped)}"

    def groups(self, rows: str) -> str:
        """The closing groups over the rows of closing windows, with what `values` reads."""
        groups = Groups(len(self.keys), self.sets, self.frame.groups)
        columns = [*self._keys(), *(quote(c) for c in self.frame.groups)]
        columns += [f"{groups.grouping(of)} AS {quote(name)}" for name, of in self.groupings]
        if not self.partial():
            columns += [f"{call.over_kept(f'$a{i}', arrival=self.arrival)} AS {quote(name)}"
                        for i, (name, call) in enumerate(self.calls)]
            rows = self._net(rows) if self.weighted else rows
            return f"SELECT {', '.join(columns)} FROM ({rows}) GROUP BY {groups.clause()}"
        alive = f" HAVING sum({ROWS}) > 0" if self.weighted else ""
        columns += self._merges()
        return f"SELECT {', '.join(columns)} FROM ({rows}) GROUP BY {groups.clause()}{alive}"

    def values(self) -> list[str]:
        """The results over `groups`, in the order of the calls."""
        if not self.partial():
            return [f"{quote(name)}" for name, _ in self.calls]
        merged = [[quote(f"$p{i}_{j}") for j in range(len(self._partials(call)))]
                  for i, (_, call) in enumerate(self.calls)]
        return [f"{call.final(columns)} AS {quote(name)}"
                for (name, call), columns in zip(self.calls, merged, strict=True)]

    def _keys(self) -> list[str]:
        return [key(i) for i in range(len(self.keys))]

    def _partials(self, call: Aggregate) -> list[tuple[str, str]]:
        partials = call.partials(weighted=self.weighted, arrival=self.arrival)
        assert partials is not None
        return [(p.step, p.merged) for p in partials]

    def _partial_columns(self) -> list[tuple[str, str, str]]:
        return [(f"$p{i}_{j}", step, merge) for i, (_, call) in enumerate(self.calls)
                for j, (step, merge) in enumerate(self._partials(call))]

    def _merges(self) -> list[str]:
        rows = [f"CAST(sum({ROWS}) AS BIGINT) AS {ROWS}"] if self.weighted else []
        return rows + [f"{merge.replace('{}', quote(name))} AS {quote(name)}"
                       for name, _, merge in self._partial_columns()]

    def _row_columns(self) -> list[tuple[str, str]]:
        return [column for i, (_, call) in enumerate(self.calls) for column in call.kept(f"$a{i}")]

    def _hidden(self) -> tuple[str, ...]:
        return (*((DIFF,) if self.weighted else ()), *((WATERMARK, SEQ) if self.arrival else ()))

    def _net(self, rows: str) -> str:
        """The rows that were not taken back; of equal ones the first to arrive goes first, as in Flink."""
        same = [*self._keys(), *(quote(c) for c in self.frame.groups)]
        same += [quote(name) for name, _ in self._row_columns()]
        over = f"PARTITION BY {', '.join(same)}"
        order = f"ORDER BY {quote(DIFF)} DESC" + (f", {ARRIVAL}" if self.arrival else "")
        return (f"SELECT * FROM (SELECT *, row_number() OVER ({over} {order}) AS {quote('$nth')}, "
                f"count(*) FILTER (WHERE {quote(DIFF)} < 0) OVER ({over}) AS {quote('$gone')} FROM ({rows})) "
                f"WHERE {quote(DIFF)} > 0 AND {quote('$nth')} > {quote('$gone')}")


class State:
    """The state table of a window aggregate, and the end up to which its windows are emitted.

    schema  of what `Kept.select` gives
    """

    def __init__(self, context: Context, kept: Kept, schema: pa.Schema) -> None:
        self._database = context.database
        self._kept = kept
        self._table = quote(f"{context.name}$state")
        self._emitted = quote(f"{context.name}$emitted")
        self._incoming = self._database.over(f"{context.name}$kept", schema)
        create = f"SELECT * FROM {quote(self._incoming.name)} WITH NO DATA"
        self._database.execute(f"CREATE TABLE IF NOT EXISTS {self._table} AS {create}")
        self._insert = self._database.prepare(
            f"INSERT INTO {self._table} SELECT * FROM {quote(self._incoming.name)}")
        self.rows = self._count()
        self._merged_rows = self.rows
        self.emitted_us = self._remembered() if kept.frame.several else NEVER_US

    def _count(self) -> int:
        return int(self._database.query(f"SELECT count(*) FROM {self._table}").column(0)[0].as_py())

    def _remembered(self) -> int:
        self._database.execute(f"CREATE TABLE IF NOT EXISTS {self._emitted} (end_us BIGINT)")
        found = self._database.query(f"SELECT coalesce(max(end_us), {NEVER_US}) FROM {self._emitted}")
        return int(found.column(0)[0].as_py())

    def append(self, kept: pa.Table) -> None:
        if not kept.num_rows:
            return
        self._incoming.set(kept)
        self._insert.run()
        self._incoming.set(kept.slice(0, 0))
        self.rows += kept.num_rows
        if self._kept.partial() and self.rows > 3 * self._merged_rows + _COMPACTED_ROWS:
            self._merge()

    def _merge(self) -> None:
        """One row a group again, so that the state is bounded by live groups and not by batches."""
        merged = quote(f"{self._incoming.name}$merged")
        self._database.execute(f"CREATE TEMP TABLE {merged} AS {self._kept.merged(self._table)}")
        self._database.execute(f"DELETE FROM {self._table}")
        self._database.execute(f"INSERT INTO {self._table} SELECT * FROM {merged}")
        self._database.execute(f"DROP TABLE {merged}")
        self.rows = self._merged_rows = self._count()

    def closed(self, closing: Closing) -> str:
        """The groups of what closes, as SQL."""
        return self._kept.groups(closing.rows.replace("{}", self._table))

    def forget(self, closing: Closing) -> None:
        """Drop what no open window holds, and remember what was emitted."""
        deleted = self._database.query(f"DELETE FROM {self._table} WHERE {closing.forget}")
        gone = int(deleted.column(0)[0].as_py())
        self.rows -= gone
        self._merged_rows = max(0, self._merged_rows - gone)
        self.emitted_us = closing.emitted_us
        if self._kept.frame.several:
            self._database.execute(f"DELETE FROM {self._emitted}")
            self._database.execute(f"INSERT INTO {self._emitted} VALUES ({closing.emitted_us})")


def kept_columns(calls: Sequence[tuple[str, Aggregate]]) -> tuple[str, ...]:
    """All SQL of the calls, over the input's columns."""
    return tuple(sql for _, call in calls for _, sql in call.kept(""))

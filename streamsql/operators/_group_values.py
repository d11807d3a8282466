"""The distinct values of each group, counted: for DISTINCT, and for MIN and MAX of rows that may go.

A value that comes into a group or leaves it is a change of its own, with weight 1 or -1: over those
changes DISTINCT is an ordinary sum, and an extreme is read anew only where it left itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from streamsql.aggregates import Partial
from streamsql.aggregates.arithmetic import COUNTS
from streamsql.aggregates.flink import further
from streamsql.core.batch import DIFF
from streamsql.core.schema import quote
from streamsql.operators._beside import Beside
from streamsql.operators._group_parts import Call, Groups, Part
from streamsql.operators._group_rows import value_name
from streamsql.state.table import KEY, ROW, key_of

_VALUE, _HASH = quote("$value"), "$hash"


def partial_name(number: int, part: int) -> str:
    """The column of a group's row that holds a partial of a call."""
    return f"$p{number}_{part}"


@dataclass(frozen=True, slots=True)
class _Distinct:
    """A call over the distinct values, whose partials follow what comes and goes."""

    number: int
    partials: tuple[Partial, ...]


@dataclass(frozen=True, slots=True)
class _Extreme:
    """MIN or MAX of rows that may go; `filter` numbers the count that tells which values it sees."""

    number: int
    function: str
    filter: int

    def beyond(self, a: str, b: str) -> str:
        return f"{a} {'<' if self.function == 'min' else '>'} {b}"

    def stands(self, old: str, alias: str) -> str:
        """The extreme so far, or a further one that came, is that of all values."""
        down, up = f"{alias}.{quote(f'$down{self.number}')}", f"{alias}.{quote(f'$up{self.number}')}"
        return (f"({down} IS NULL OR {old} IS NULL OR {self.beyond(old, down)} "
                f"OR coalesce({self.beyond(up, old)}, FALSE))")


class Values(Part):
    """The values of one argument: a row a group and value, how often it is there under each FILTER."""

    def __init__(self, groups: Groups, number: int, argument: str, calls: Sequence[Call]) -> None:
        database = groups.context.database
        self.alias = f"v{number}"
        self._groups, self._argument, self._calls = groups, argument, calls
        self._filters = list(dict.fromkeys(call.filter for _, call in calls))
        self._name = name = f"{groups.context.name}$values{number}"
        self._distinct, self._extremes = self._sorted(calls)
        self._delta = database.compute(self._delta_sql())
        shape = self._delta.run().schema
        constant = [f.name for f in shape if f.name not in self._counts()]
        self._state = database.slots(name, shape, constant=constant, other=_HASH if self._extremes else None,
                                     ttl_ms=groups.ttl_ms)
        self._merge = Beside(database, name, shape, self._state, [*groups.keys, _VALUE], self._merged())
        self._changed = self._merge.schema.empty_table()
        self._changes = database.over(f"{name}$changes", self._merge.schema)
        self._summary = database.compute(self._summary_sql())
        self._given = database.over(f"{name}$given", self._summary.run().schema)
        if self._extremes:
            self._prepare_extremes()

    def _sorted(self, calls: Sequence[Call]) -> tuple[list[_Distinct], list[_Extreme]]:
        distinct, extremes = [], []
        for number, call in calls:
            at = self._filters.index(call.filter)
            if call.function.extreme:
                extremes.append(_Extreme(number, call.function.extreme, at))
            else:
                kept = call.of_values(_VALUE, quote(f"$turn{at}"), weighted=self._groups.weighted)
                assert kept is not None
                distinct.append(_Distinct(number, kept))
        return distinct, extremes

    def _counts(self) -> list[str]:
        return [f"$n{at}" for at in range(len(self._filters))]

    # What a batch brings

    def _delta_sql(self) -> str:
        """The batch's values, each once a group, and how often more or less each is there."""
        groups, counts = self._groups, []
        for name, condition in zip(self._counts(), self._filters, strict=True):
            where = f" FILTER (WHERE {condition})" if condition else ""
            count = f"coalesce(sum({quote(DIFF)}){where}, 0)" if groups.weighted else f"count(*){where} > 0"
            counts.append(f"CAST({count} AS BIGINT) AS {quote(name)}")
        some = "" if None in self._filters else f" AND ({' OR '.join(f'({c})' for c in self._filters)})"
        grouped = (f"SELECT {groups.listed}, {self._argument} AS {_VALUE}, {', '.join(counts)} FROM {groups.rows} "
                   f"WHERE {self._argument} IS NOT NULL{some} GROUP BY {groups.listed}, {_VALUE}")
        key, changed = key_of([*groups.keys, _VALUE]), " OR ".join(f"{quote(n)} <> 0" for n in self._counts())
        where = "" if groups.ttl_ms else f" WHERE {changed}"  # with it a value that comes and goes has been used
        return f"SELECT {key} AS {quote(KEY)}, {groups.hashed} AS {quote(_HASH)}, * FROM ({grouped}){where}"

    def _merged(self) -> list[str]:
        """The values with their new counts; `$turn`: 1 where a value came, -1 where it left."""
        groups = self._groups
        columns = [f"d.{c}" for c in (quote(KEY), quote(_HASH), *groups.keys, _VALUE)]
        for at, name in enumerate(map(quote, self._counts())):
            old = f"coalesce(f.{name}, 0)"
            new = f"{old} + d.{name}" if groups.weighted else f"greatest({old}, d.{name})"
            columns.append(f"{new} AS {name}")
            columns.append(f"CAST({new} > 0 AS INTEGER) - CAST({old} > 0 AS INTEGER) AS {quote(f'$turn{at}')}")
        return [*columns, f"f.{quote(ROW)}"]

    def _summary_sql(self) -> str:
        """A row a group: partials over what came and went, and the furthest values that did."""
        groups, hashed = self._groups, quote(_HASH)
        columns = [f"{p.step} AS {quote(partial_name(one.number, j))}"
                   for one in self._distinct for j, p in enumerate(one.partials)]
        for one in self._extremes:
            count, turn = quote(f"$n{one.filter}"), quote(f"$turn{one.filter}")
            columns.append(f"{one.function}({_VALUE}) FILTER (WHERE {count} > 0) AS {quote(f'$up{one.number}')}")
            columns.append(f"{one.function}({_VALUE}) FILTER (WHERE {turn} < 0) AS {quote(f'$down{one.number}')}")
        columns += [f"max(CASE WHEN FALSE THEN {_VALUE} END) AS {quote(f'$again{one.number}')}"
                    for one in self._extremes]
        return (f"SELECT {hashed} AS {quote(KEY)}, {', '.join([*groups.keys, *columns])} "
                f"FROM {quote(self._changes.name)} GROUP BY {hashed}, {groups.listed}")

    # Extremes that left

    def _prepare_extremes(self) -> None:
        database, groups = self._groups.context.database, self._groups
        shape = self._summary.run().schema
        fields = [f for f in shape if f.name == KEY or quote(f.name) in groups.keys]
        olds = [pa.field(value_name(e.number), shape.field(f"$up{e.number}").type)
                for e in self._extremes]
        self._now_names = [f.name for f in (*fields, *olds)]
        self._now = database.over(f"{self._name}$groups", pa.schema([*fields, *olds]))
        self._before = database.over(f"{self._name}$before", shape)
        lost = " OR ".join(f"NOT {e.stands(f'f.{quote(value_name(e.number))}', 'g')}" for e in self._extremes)
        self._lost = database.compute(
            f"SELECT g.{quote(KEY)} FROM {quote(self._before.name)} g "
            f"JOIN {quote(self._now.name)} f ON {groups.same('g', 'f')} WHERE {lost}")
        self._reread = database.over(f"{self._name}$reread", self._state.found_schema)
        self._again = database.compute(self._again_sql(shape))

    def _again_sql(self, shape: pa.Schema) -> str:
        """The summary, with the extremes of the groups that were read again."""
        hashed, counts = quote(_HASH), ", ".join(map(quote, self._counts()))
        listed = f"{hashed}, {self._groups.listed}, {_VALUE}, {counts}"
        changes = quote(self._changes.name)
        rows = (f"SELECT {listed} FROM {quote(self._reread.name)} r WHERE NOT EXISTS "
                f"(SELECT 1 FROM {changes} c WHERE c.{quote(ROW)} = r.{quote(ROW)}) "
                f"UNION ALL SELECT {listed} FROM {changes}")
        extremes = ", ".join(f"{e.function}({_VALUE}) FILTER (WHERE {quote(f'$n{e.filter}')} > 0) AS "
                             f"{quote(f'$again{e.number}')}" for e in self._extremes)
        again = (f"SELECT {hashed} AS {quote(KEY)}, {self._groups.listed}, {extremes} FROM ({rows}) "
                 f"GROUP BY {hashed}, {self._groups.listed}")
        columns = ", ".join(f"{'a' if n.startswith('$again') else 'g'}.{quote(n)}" for n in shape.names)
        return (f"SELECT {columns} FROM {quote(self._before.name)} g "
                f"LEFT JOIN ({again}) a ON {self._groups.same('g', 'a')}")

    # The part

    @property
    def given(self) -> str:
        return self._given.name

    def columns(self) -> dict[str, tuple[pa.DataType, str]]:
        shape, found = self._summary.run().schema, {}
        for one in self._distinct:
            for j, partial in enumerate(one.partials):
                name = partial_name(one.number, j)
                column = quote(name)
                new = partial.added(f"f.{column}", f"{self.alias}.{column}")
                new = f"coalesce({new}, 0)" if partial.plus == COUNTS else new  # no value has come yet
                found[name] = (shape.field(name).type, new)
        for extreme in self._extremes:
            name = value_name(extreme.number)
            old = f"f.{quote(name)}"
            up, again = (f"{self.alias}.{quote(f'${of}{extreme.number}')}" for of in ("up", "again"))
            best = further(extreme.function).replace("{a}", old).replace("{b}", up)
            new = f"CASE WHEN {extreme.stands(old, self.alias)} THEN {best} ELSE {again} END"
            found[name] = (shape.field(f"$up{extreme.number}").type, new)
        return found

    def compute(self, groups: pa.Table) -> None:
        self._merge.find(self._delta.run())
        self._changed = self._merge.run()
        turns = [self._changed.column(f"$turn{at}").to_numpy() != 0 for at in range(len(self._filters))]
        self._changes.set(self._changed.filter(pa.array(np.logical_or.reduce(turns))))
        summary = self._summary.run()
        self._given.set(self._read_again(summary, groups) if self._extremes else summary)

    def _read_again(self, summary: pa.Table, groups: pa.Table) -> pa.Table:
        self._before.set(summary)
        self._now.set(groups.select(self._now_names))
        lost = self._lost.run().column(0)
        if not len(lost):
            return summary
        self._reread.set(self._state.find(lost, other=True))
        return self._again.run()

    def store(self, now_ms: int) -> None:
        rows = self._changed
        counts = [rows.column(name).to_numpy() for name in self._counts()]
        there = np.logical_or.reduce([c != 0 for c in counts])
        known = rows.column(ROW).is_valid().to_numpy()
        self._state.put(rows.filter(pa.array(there)), now_ms=now_ms)
        self._state.remove(rows.column(ROW).filter(pa.array(~there & known)))

    def forget(self, now_ms: int) -> None:
        self._state.forget(now_ms)

    def __len__(self) -> int:
        return len(self._state)

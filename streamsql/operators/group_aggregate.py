"""GroupAggregate: GROUP BY without a window; its rows change as input comes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streamsql.aggregates import Aggregate, Partial
from streamsql.core.batch import DIFF, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Explain, Node, Operator, Statement, fuse
from streamsql.core.schema import quote
from streamsql.operators._beside import Beside
from streamsql.operators._group_parts import Call, Groups, Part
from streamsql.operators._group_rows import KeptRows, value_name
from streamsql.operators._group_values import Values, partial_name
from streamsql.state.table import KEY, ROW

_SET, _COUNT = quote("$set"), quote("$count")
_DIFFERS = "$differs"

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class GroupAggregate(Node):
    """`SELECT keys, aggregates FROM input GROUP BY keys`, and its GROUPING SETS.

    keys       (name, DuckDB text over the input)
    calls      (name, aggregate over the input)
    sets       of each grouping set the indexes of its keys; () for plain GROUP BY
    groupings  (name, key indexes): GROUPING(…) as a bit mask, the first key the highest bit
    """

    keys: tuple[tuple[str, str], ...]
    calls: tuple[tuple[str, Aggregate], ...]
    sets: tuple[tuple[int, ...], ...] = ()
    groupings: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def grouping_sets(self) -> tuple[tuple[int, ...], ...]:
        return self.sets or (tuple(range(len(self.keys))),)

    def expanded(self, relation: str) -> str:
        """Each input row once a grouping set, the keys it leaves out NULL; `$set` numbers the set."""
        parts = []
        for n, members in enumerate(self.grouping_sets()):
            keys = [
                f"{sql if i in members else f'CASE WHEN FALSE THEN {sql} END'} AS {quote('$key' + str(i))}"
                for i, (_, sql) in enumerate(self.keys)
            ]
            parts.append(f"SELECT *, {', '.join([*keys, f'{n} AS {_SET}'])} FROM {relation}")
        return f"({' UNION ALL '.join(parts)})"

    def key_names(self) -> list[str]:
        return [quote(f"$key{i}") for i in range(len(self.keys))]

    def outputs(self, finals: Sequence[str]) -> str:
        """The visible columns from `$key…`, `$set` and the aggregates' values."""
        columns = [
            f"{key} AS {quote(name)}" for key, (name, _) in zip(self.key_names(), self.keys, strict=True)
        ]
        columns += [f"{sql} AS {quote(name)}" for sql, (name, _) in zip(finals, self.calls, strict=True)]
        return ", ".join([*columns, *self.masks()]) or "1"

    def masks(self) -> list[str]:
        """The GROUPING columns, over `$set`."""
        columns = []
        for name, indexes in self.groupings:
            masks = [
                sum((i not in members) << (len(indexes) - 1 - at) for at, i in enumerate(indexes))
                for members in self.grouping_sets()
            ]
            cases = " ".join(f"WHEN {n} THEN {mask}" for n, mask in enumerate(masks))
            columns.append(f"CAST(CASE {_SET} {cases} END AS BIGINT) AS {quote(name)}")
        return columns

    def relation(self, inputs: Sequence[str]) -> str:
        group = ", ".join([*self.key_names(), _SET])
        finals = [call.whole() for _, call in self.calls]
        if not self.keys and not self.sets:
            some = "" if self.append_only else " HAVING count(*) > 0"  # a stream without rows has no result
            return f"SELECT {self.outputs(finals)} FROM (SELECT *, 0 AS {_SET} FROM {inputs[0]}){some}"
        return f"SELECT {self.outputs(finals)} FROM {self.expanded(inputs[0])} GROUP BY {group}"

    def unique_keys(self) -> frozenset[frozenset[str]]:
        return frozenset() if self.sets else frozenset([frozenset(name for name, _ in self.keys)])

    def operator(self, context: Context) -> Operator:
        return GroupAggregateStep(self, context)

    def explain(self) -> Explain:
        details = [("keys", ", ".join(sql for _, sql in self.keys) or "-")]
        details.append(("aggregates", ", ".join(call.text() for _, call in self.calls) or "-"))
        if self.sets:
            details.append(("grouping sets", str([[self.keys[i][0] for i in s] for s in self.sets])))
        return Explain("GroupAggregate", tuple(details))

    def holds_state(self) -> bool:
        return True

    def grows(self) -> bool:
        return bool(self.keys)

    def narrowed(self, needed: Collection[str]) -> GroupAggregate:
        names = {name for name, _ in self.keys} | set(needed)
        calls = tuple((name, call) for name, call in self.calls if name in names)
        groupings = tuple((name, of) for name, of in self.groupings if name in names)
        return replace(self, schema=self.schema.only(names), calls=calls, groupings=groupings)


class GroupAggregateStep(Operator):
    """Keep what each group needs and emit how its row changed.

        Δout = agg(I + Δin) − agg(I)        restricted to the groups that Δin touches

    Input:   any changelog mode
    Output:  keys, aggregates, `$diff`; all −old before all +new, nothing for a row that stays the same
    State:   a row of partial aggregates a group; for DISTINCT, and for MIN and MAX of rows that may go, the
             distinct values with how often they are there; for calls that need all rows, those
    Cost:    O(|Δin| + touched groups) a batch; the values of a group whose extreme left; the rows of the
             groups where a call needs them
    Forgets: a group whose row count comes to 0; by `table.exec.state.ttl`
    Late:    takes every row; nothing closes
    Source:  Budiu et al., "DBSP", VLDB 2023; Flink's group aggregation
    """

    def __init__(self, node: GroupAggregate, context: Context) -> None:
        self._node, self._clock = node, context.clock
        database = context.database
        fused = fuse(node.inputs[0])
        weighted = not node.inputs[0].append_only
        arrival = {WATERMARK, SEQ} <= set(fused.source.hidden)
        self._input = database.over(f"{context.name}$in", fused.source.batch_schema())
        rows = node.expanded(f"({fused.select(quote(self._input.name))})")
        calls: list[Call] = [(i, call.batchwise(weighted=weighted)) for i, (_, call) in enumerate(node.calls)]
        self._finals = {i: call.final for i, call in calls}
        self._sums = {i: p for i, c in calls if (p := c.partials(weighted=weighted, arrival=arrival)) is not None}
        others = [(i, c) for i, c in calls if i not in self._sums]
        self._expand: Statement | None = None
        if others and (fused.chain or node.sets):  # several statements read the rows: make them once
            self._expand = database.compute(f"SELECT * FROM {rows}")
            self._rows = database.over(f"{context.name}$rows", self._expand.run().schema)
            rows = quote(self._rows.name)
        self._groups = Groups(context, (*node.key_names(), _SET), rows, weighted, arrival)
        self._parts = _parts(self._groups, others)
        self._delta = database.compute(self._delta_sql())
        shape = self._delta.run().schema
        given = {n: column for part in self._parts for n, column in part.columns().items()}
        self._columns = {i: _columns_of(i, [*shape.names, *given]) for i, _ in calls}
        stored = pa.schema([*shape, *(pa.field(n, kind) for n, (kind, _) in given.items())])
        constant = [f.name for f in shape if f.name == KEY or quote(f.name) in self._groups.keys]
        self._state = database.slots(f"{context.name}$groups", stored, constant=constant, ttl_ms=self._groups.ttl_ms)
        self._merge = self._beside(context, shape, {n: text for n, (_, text) in given.items()})
        self._shape = node.batch_schema()

    def _delta_sql(self) -> str:
        """A row for each group that the batch touches: how many rows more or less, and partials over them."""
        groups = self._groups
        columns = [*groups.keys]
        if groups.weighted:
            columns.append(f"CAST(sum({quote(DIFF)}) AS BIGINT) AS {_COUNT}")
        columns += [f"{p.step} AS {quote(partial_name(i, j))}"
                    for i, ps in self._sums.items() for j, p in enumerate(ps)]
        grouped = f"SELECT {', '.join(columns)} FROM {groups.rows} GROUP BY {groups.listed}"
        return f"SELECT {groups.hashed} AS {quote(KEY)}, * FROM ({grouped})"

    def _beside(self, context: Context, shape: pa.Schema, given: Mapping[str, str]) -> Beside:
        """The rows of the touched groups: state columns, `$new…` and `$old…` values, whether these differ."""
        groups = self._groups
        new = {partial_name(i, j): _sum_of(p, partial_name(i, j)) for i, ps in self._sums.items()
               for j, p in enumerate(ps)} | dict(given)
        columns = [f"d.{c}" for c in (quote(KEY), *groups.keys)] + [f"f.{quote(ROW)}"]
        if groups.weighted:
            columns.append(f"coalesce(f.{_COUNT}, 0) + d.{_COUNT} AS {_COUNT}")
        columns += [f"{text} AS {quote(n)}, f.{quote(n)} AS {quote('$was' + n)}" for n, text in new.items()]
        joins = "".join(f" LEFT JOIN {quote(p.given)} {p.alias} ON {groups.same('d', p.alias)}" for p in self._parts)
        values = [f"{self._value(i, call, prefix)} AS {quote(f'{name}{i}')}" for i, (_, call) in
                  enumerate(self._node.calls) for name, prefix in (("$new", ""), ("$old", "$was"))]
        kept = f"* EXCLUDE ({', '.join(quote('$was' + n) for n in new)})" if new else "*"
        differ = [f"{quote(f'$new{i}')} IS DISTINCT FROM {quote(f'$old{i}')}" for i in range(len(self._node.calls))]
        differs = f"({' OR '.join(differ) or 'FALSE'}) AS {quote(_DIFFERS)}"

        def over(rows: str) -> str:
            both = f"SELECT {', '.join(['*', *values, *self._node.masks()])} FROM ({rows})"
            return f"SELECT {kept}, {differs} FROM ({both})"

        return Beside(context.database, f"{context.name}$groups", shape, self._state, groups.keys, columns,
                      more=joins, over=over)

    def _value(self, number: int, call: Aggregate, prefix: str) -> str:
        """The value of a call from the columns of a group's row."""
        columns = [quote(prefix + name) for name in self._columns[number]]
        if self._columns[number] == [value_name(number)]:
            return columns[0]
        return self._finals[number](columns)

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        if self._expand is not None:
            self._rows.set(self._expand.run())
        delta = self._delta.run()
        found = self._merge.find(delta)
        for part in self._parts:
            part.compute(found)
        merged = self._merge.run()
        known = merged.column(ROW).is_valid().to_numpy()
        alive = merged.column("$count").to_numpy() > 0 if self._groups.weighted else np.ones(len(known), np.bool_)
        self._store(merged, known, alive)
        return self._changes(merged, known, alive)

    def _store(self, merged: pa.Table, known: Bools, alive: Bools) -> None:
        now_ms = self._clock.now_us() // 1000 if self._groups.ttl_ms else 0
        self._state.put(merged if alive.all() else merged.filter(pa.array(alive)), now_ms=now_ms)
        self._state.remove(merged.column(ROW).filter(pa.array(known & ~alive)))
        for part in self._parts:
            part.store(now_ms)

    def _changes(self, merged: pa.Table, known: Bools, alive: Bools) -> Batch | None:
        differs = merged.column(_DIFFERS).to_numpy()
        gone, come = known & (differs | ~alive), alive & (differs | ~known)
        sides = [self._side(merged, rows, name) for rows, name in ((gone, "$old"), (come, "$new")) if rows.any()]
        if not sides:
            return None
        diffs = np.repeat(np.array([-1, 1], np.int32), (int(gone.sum()), int(come.sum())))
        columns = [*pa.concat_tables(sides).columns, pa.array(diffs)]  # there may be none but `$diff`
        return Batch(pa.Table.from_arrays(columns, names=self._shape.names).cast(self._shape), False)

    def _side(self, merged: pa.Table, rows: Bools, name: str) -> pa.Table:
        """The visible columns of some rows, as they were or as they are."""
        node = self._node
        columns = {n: f"$key{i}" for i, (n, _) in enumerate(node.keys)}
        columns |= {n: f"{name}{i}" for i, (n, _) in enumerate(node.calls)}
        picked = [columns.get(n, n) for n in node.schema.names]
        return merged.select(picked).filter(pa.array(rows)).rename_columns(list(node.schema.names))

    def tick(self, now_us: int) -> Batch | None:
        if self._groups.ttl_ms:
            self._state.forget(now_us // 1000)
            for part in self._parts:
                part.forget(now_us // 1000)
        return None

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._state) + sum(map(len, self._parts))}


def _sum_of(partial: Partial, name: str) -> str:
    return partial.added(f"f.{quote(name)}", f"d.{quote(name)}")


def _columns_of(number: int, names: Sequence[str]) -> list[str]:
    """The columns of a group's row that are a call's: its value, or its partials in their order."""
    partials = partial_name(number, 0)[:-1]
    return [n for n in names if n == value_name(number) or n.startswith(partials)]


def _parts(groups: Groups, calls: Sequence[Call]) -> list[Part]:
    """The state beside the groups' rows, for calls that are no sums over the rows."""
    values: dict[str, list[Call]] = {}
    rows: list[Call] = []
    for number, call in calls:
        counted = groups.weighted and call.function.extreme and not call.order
        if counted or call.of_values("v", "w", weighted=groups.weighted) is not None:
            values.setdefault(call.arguments[0], []).append((number, call))
        else:
            rows.append((number, call))
    parts: list[Part] = [Values(groups, n, argument, of) for n, (argument, of) in enumerate(values.items())]
    return [*parts, KeptRows(groups, rows)] if rows else parts

"""GroupAggregate: GROUP BY without a window; its rows change as input comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamsql.aggregates import Aggregate
from streamsql.core.batch import DIFF, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Explain, Node, Operator, fuse
from streamsql.core.schema import quote

_SET, _COUNT = quote("$set"), quote("$count")


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
        for name, indexes in self.groupings:
            masks = [
                sum((i not in members) << (len(indexes) - 1 - at) for at, i in enumerate(indexes))
                for members in self.grouping_sets()
            ]
            cases = " ".join(f"WHEN {n} THEN {mask}" for n, mask in enumerate(masks))
            columns.append(f"CAST(CASE {_SET} {cases} END AS BIGINT) AS {quote(name)}")
        return ", ".join(columns) or "1"

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


class GroupAggregateStep(Operator):
    """Keep what each group needs and emit how its row changed.

        Δout = agg(I + Δin) − agg(I)        restricted to the groups that Δin touches

    Input:   any changelog mode
    Output:  keys, aggregates, `$diff`; −old before +new, nothing for a row that stays the same
    State:   a row of partial aggregates a group; or, where an aggregate is no sum, its input rows
    Cost:    O(|Δin|) and a scan of the groups' keys a batch
    Forgets: a group whose row count comes to 0
    Late:    takes every row; nothing closes
    Source:  Budiu et al., "DBSP", VLDB 2023; Flink's group aggregation
    """

    def __init__(self, node: GroupAggregate, context: Context) -> None:
        self._node = node
        self._database = context.database
        fused = fuse(node.inputs[0])
        hidden = set(fused.source.hidden)
        self._arrival = {WATERMARK, SEQ} <= hidden
        self._weighted = not node.inputs[0].append_only
        self._input = context.database.over(f"{context.name}$in", fused.source.batch_schema())
        self._batch = f"({fused.select(quote(self._input.name))})"
        self._state = quote(f"{context.name}$groups")
        partials = [c.partials(weighted=self._weighted, arrival=self._arrival) for _, c in node.calls]
        self._sums = all(p is not None for p in partials)
        if self._sums:
            self._columns = [
                [quote(f"$p{i}_{j}") for j in range(len(p or ()))] for i, p in enumerate(partials)
            ]
            self._merges = [
                f"{one.merged.replace('{}', c)} AS {c}"
                for names, p in zip(self._columns, partials, strict=True)
                for c, one in zip(names, p or (), strict=True)
            ]
            steps = [
                f"{one.step} AS {c}"
                for names, p in zip(self._columns, partials, strict=True)
                for c, one in zip(names, p or (), strict=True)
            ]
            self._delta_sql = self._partial_sql(steps)
        else:
            self._delta_sql = self._rows_sql()
        self._compute = context.database.compute(self._delta_sql)
        self._kept = shape = self._compute.run().schema
        self._delta = context.database.over(f"{context.name}$delta", shape)
        context.database.create_table(f"{context.name}$groups", shape)
        self._shape = node.batch_schema()

    def _weight(self) -> str:
        return f"CAST(sum({quote(DIFF)}) AS BIGINT)" if self._weighted else "count(*)"

    def _partial_sql(self, steps: list[str]) -> str:
        keys = [*self._node.key_names(), _SET]
        columns = ", ".join([*keys, f"{self._weight()} AS {_COUNT}", *steps])
        return f"SELECT {columns} FROM {self._node.expanded(self._batch)} GROUP BY {', '.join(keys)}"

    def _rows_sql(self) -> str:
        kept = [
            f"{sql} AS {quote(name)}"
            for i, (_, call) in enumerate(self._node.calls)
            for name, sql in call.kept(f"$k{i}")
        ]
        weight = quote(DIFF) if self._weighted else "1"
        order = [quote(WATERMARK), quote(SEQ)] if self._arrival else []
        columns = ", ".join(
            [*self._node.key_names(), _SET, f"CAST({weight} AS BIGINT) AS {_COUNT}", *order, *kept]
        )
        return f"SELECT {columns} FROM {self._node.expanded(self._batch)}"

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        self._delta.set(self._compute.run())
        old = self._values(with_delta=False)
        new = self._values(with_delta=True)
        names = ", ".join(quote(n) for n in self._node.schema.names) or "1"
        diff = quote(DIFF)
        out = self._database.query(
            f"WITH o AS ({old}), n AS ({new}) "
            f"SELECT {names}, -1 AS {diff} FROM (SELECT {names} FROM o EXCEPT ALL SELECT {names} FROM n) "
            f"UNION ALL SELECT {names}, 1 AS {diff} "
            f"FROM (SELECT {names} FROM n EXCEPT ALL SELECT {names} FROM o)"
        )
        self._store()
        return Batch(out.cast(self._shape), False) if out.num_rows else None

    def _touched(self, alias: str) -> str:
        delta = quote(self._delta.name)
        same = " AND ".join(
            f"{alias}.{k} IS NOT DISTINCT FROM d.{k}" for k in [*self._node.key_names(), _SET]
        )
        return f"EXISTS (SELECT 1 FROM {delta} d WHERE {same})"

    def _values(self, *, with_delta: bool) -> str:
        """The visible rows of the touched groups, before or after the batch."""
        delta = quote(self._delta.name)
        known = f"SELECT * FROM {self._state} s WHERE {self._touched('s')}"
        rows = f"({known} UNION ALL SELECT * FROM {delta})" if with_delta else f"({known})"
        keys = ", ".join([*self._node.key_names(), _SET])
        if self._sums:
            merged = self._merged(rows)
            finals = [c.final(names) for names, (_, c) in zip(self._columns, self._node.calls, strict=True)]
            return f"SELECT {self._node.outputs(finals)} FROM {merged}"
        finals = [c.over_kept(f"$k{i}", arrival=self._arrival) for i, (_, c) in enumerate(self._node.calls)]
        return f"SELECT {self._node.outputs(finals)} FROM {self._net(rows)} GROUP BY {keys}"

    def _merged(self, rows: str) -> str:
        keys = ", ".join([*self._node.key_names(), _SET])
        columns = ", ".join([keys, f"CAST(sum({_COUNT}) AS BIGINT) AS {_COUNT}", *self._merges])
        return f"(SELECT {columns} FROM {rows} GROUP BY {keys} HAVING sum({_COUNT}) > 0)"

    def _net(self, rows: str) -> str:
        """Rows that were not taken back, each as often as it is there."""
        order = {quote(WATERMARK), quote(SEQ)} if self._arrival else set()
        kept = [quote(n) for i, (_, c) in enumerate(self._node.calls) for n, _ in c.kept(f"$k{i}")]
        same = ", ".join([*self._node.key_names(), _SET, *kept])
        first = "".join(f", min({o}) AS {o}" for o in sorted(order, reverse=True))
        inner = f"SELECT {same}{first}, sum({_COUNT}) AS {_COUNT} FROM {rows} GROUP BY {same} HAVING sum({_COUNT}) > 0"
        if not self._weighted and self._arrival:
            return rows
        return f"(SELECT *, unnest(generate_series(1, {_COUNT}::BIGINT)) AS {quote('$copy')} FROM ({inner}))"

    def _store(self) -> None:
        delta = quote(self._delta.name)
        if not self._sums:
            self._database.execute(f"INSERT INTO {self._state} SELECT * FROM {delta}")
            return
        rows = f"(SELECT * FROM {self._state} s WHERE {self._touched('s')} UNION ALL SELECT * FROM {delta})"
        new = self._database.query(f"SELECT * FROM {self._merged(rows)}")
        self._database.execute(f"DELETE FROM {self._state} AS s WHERE {self._touched('s')}")
        self._delta.set(new.cast(self._kept))
        self._database.execute(f"INSERT INTO {self._state} SELECT * FROM {delta}")

    def statistics(self) -> Mapping[str, int]:
        rows = self._database.query(f"SELECT count(*) FROM {self._state}").column(0)[0].as_py()
        return {"state_rows": int(rows)}

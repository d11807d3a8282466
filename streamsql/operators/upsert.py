"""Upsert: the changes of a query become, for each key of a sink, the row to write or to delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from streamsql.core.batch import DIFF, Batch
from streamsql.core.node import Context, Explain, Node, Operator, fuse
from streamsql.core.schema import quote
from streamsql.errors import PlanError
from streamsql.operators._matching import ttl_ms
from streamsql.state.table import KEY, ROW, key_of

_AT, _KIND, _ALL = quote("$at"), quote("$kind"), quote("$all")
_KEPT, _GONE, _COMES = "k", "g", "c"


@dataclass(frozen=True)
class Upsert(Node):
    """What a sink with a primary key is given: +1 a row that replaces that of its key, -1 one to delete.

    keys          the sink's primary key, among the columns
    materialized  several rows of the query may have one key of the sink at a time: all are kept, and
                  the last that came is shown. False: the key of the query is in that of the sink, so
                  that there is one
    """

    keys: tuple[str, ...]
    materialized: bool = False

    def relation(self, inputs: Sequence[str]) -> str:
        """Where each key has one row; which of several came last no batch can say."""
        if self.materialized:
            raise PlanError("which row of a key came last is not in the rows")
        return f"SELECT {', '.join(map(quote, self.schema.names))} FROM {inputs[0]}"

    def expressible(self) -> bool:
        return not self.materialized

    def unique_keys(self) -> frozenset[frozenset[str]]:
        return frozenset([frozenset(self.keys)])

    def changes(self, source: str) -> str:
        """The net changes of a batch, in order of arrival: `$diff` is how often a row comes or goes."""
        inner = fuse(self.inputs[0]).select(source)
        columns, diff = ", ".join(map(quote, self.schema.names)), quote(DIFF)
        sign = diff if DIFF in self.inputs[0].hidden else f"1 AS {diff}"
        numbered = f"SELECT {columns}, {sign}, row_number() OVER () AS {_AT} FROM ({inner})"
        return (f"SELECT {columns}, CAST(sum({diff}) AS BIGINT) AS {diff}, max({_AT}) AS {_AT} FROM ({numbered}) "
                f"GROUP BY {columns} HAVING sum({diff}) <> 0")

    def operator(self, context: Context) -> Operator:
        return Materialize(self, context) if self.materialized else LastOfKey(self, context)

    def holds_state(self) -> bool:
        return self.materialized

    def grows(self) -> bool:
        return self.materialized

    def explain(self) -> Explain:
        rows = "all rows of a key are kept, the last is shown" if self.materialized else "one row a key"
        return Explain("Upsert", (("key", ", ".join(self.keys)), ("rows", rows)))


class LastOfKey(Operator):
    """Say of each key once what became of it.

        Δout = by key: the row that comes; if none does, the delete of the one that goes

    Input:   any changelog mode; at any time at most one row of a key is there
    Output:  upserts: at most one row a key and batch
    State:   none
    Cost:    one statement a batch
    Forgets: nothing to forget
    Late:    never sees them
    Source:  the upsert mode of Flink's sinks: an update's −old is dropped where its +new follows
    """

    def __init__(self, node: Upsert, context: Context) -> None:
        fused = fuse(node.inputs[0])
        self._input = context.database.over(f"{context.name}$in", fused.source.batch_schema())
        keys, diff = ", ".join(map(quote, node.keys)), quote(DIFF)
        columns = ", ".join(map(quote, node.schema.names))
        best = f"row_number() OVER (PARTITION BY {keys} ORDER BY {diff} > 0 DESC, {_AT} DESC) = 1"
        self._statement = context.database.compute(
            f"SELECT {columns}, CAST(sign({diff}) AS INTEGER) AS {diff} FROM ({node.changes(quote(self._input.name))}) "
            f"QUALIFY {best} ORDER BY {_AT}")
        self._shape = node.batch_schema()

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        out = self._statement.run()
        return Batch(out.cast(self._shape), False) if out.num_rows else None


class Materialize(Operator):
    """Keep the rows of each key as they came, and show the last.

        Δout = by key: last(I + Δin), where it is another than last(I); a delete where none is left

    Input:   any changelog mode; any number of rows of a key
    Output:  upserts: at most one row a key and batch
    State:   the rows that are there
    Cost:    one statement a batch, over it and the rows of its keys
    Forgets: a row that goes; by `table.exec.state.ttl`
    Late:    never sees them. A row that goes and was never there is passed over: its time was over
    Source:  Flink's SinkUpsertMaterializer
    """

    def __init__(self, node: Upsert, context: Context) -> None:
        self._node, self._clock, database = node, context.clock, context.database
        self._ttl_ms = ttl_ms(context)
        self._shape = node.batch_schema()
        fused = fuse(node.inputs[0])
        self._input = database.over(f"{context.name}$in", fused.source.batch_schema())
        hashed = key_of([quote(k) for k in node.keys])
        self._changes = database.compute(
            f"SELECT *, {hashed} AS {quote(KEY)} FROM ({node.changes(quote(self._input.name))})")
        net = self._changes.run().schema
        self._net = database.over(f"{context.name}$net", net)
        stored = pa.schema([f for f in net if f.name in (KEY, *node.schema.names)])
        self._rows = database.state(f"{context.name}$rows", stored, ttl_ms=self._ttl_ms)
        self._found = database.over(f"{context.name}$found", self._rows.found_schema)
        self._judge = database.compute(self._judged())
        self._fates = database.over(f"{context.name}$fates", self._judge.run().schema)
        self._emit = database.compute(self._emission())

    def _judged(self) -> str:
        """Every row of the keys: kept, gone, or coming, in the order of the key's list."""
        names = [quote(c) for c in self._node.schema.names]
        columns, key, row, diff = ", ".join(names), quote(KEY), quote(ROW), quote(DIFF)
        nth = f"row_number() OVER (PARTITION BY {columns} ORDER BY {row}) AS \"$nth\""
        found = f"(SELECT *, {nth} FROM {quote(self._found.name)})"
        same = " AND ".join(f"f.{c} IS NOT DISTINCT FROM n.{c}" for c in names)
        listed = ", ".join(f"f.{c}" for c in names)
        old = (f"SELECT {listed}, f.{key}, f.{row}, CASE WHEN f.\"$nth\" <= -coalesce(n.{diff}, 0) THEN '{_GONE}' "
               f"ELSE '{_KEPT}' END AS {_KIND}, f.{row} AS {_AT} FROM {found} f "
               f"LEFT JOIN {quote(self._net.name)} n ON n.{diff} < 0 AND {same}")
        new = (f"SELECT {columns}, {key}, NULL::BIGINT AS {row}, '{_COMES}' AS {_KIND}, {2**62} + {_AT} AS {_AT} "
               f"FROM (SELECT *, unnest(generate_series(1, {diff})) FROM {quote(self._net.name)} WHERE {diff} > 0)")
        return f"SELECT * FROM ({old} UNION ALL {new}) ORDER BY {_AT}"

    def _emission(self) -> str:
        names = self._node.schema.names
        packed = ", ".join(f"{quote(c)} := {quote(c)}" for c in names)
        keys = ", ".join(map(quote, self._node.keys))
        last = f"arg_max({_ALL}, {_AT}) FILTER ({_KIND} <> '{{}}')"
        shown = (f"SELECT {last.format(_COMES)} AS b, {last.format(_GONE)} AS a, max({_AT}) AS {_AT} "
                 f"FROM (SELECT *, struct_pack({packed}) AS {_ALL} FROM {quote(self._fates.name)}) GROUP BY {keys}")
        columns = ", ".join(f"coalesce(a, b).{quote(c)} AS {quote(c)}" for c in names)
        return (f"SELECT {columns}, CAST(CASE WHEN a IS NULL THEN -1 ELSE 1 END AS INTEGER) AS {quote(DIFF)} "
                f"FROM ({shown}) WHERE a IS DISTINCT FROM b ORDER BY {_AT}")

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        net = self._changes.run()
        if not net.num_rows:
            return None
        self._net.set(net)
        self._found.set(self._rows.find(net.column(KEY)))
        fates = self._judge.run()
        self._fates.set(fates)
        out = self._emit.run()
        kind = fates.column("$kind").to_numpy()
        self._rows.remove(fates.filter(pa.array(kind == _GONE)).column(ROW))
        now_ms = self._clock.now_us() // 1000 if self._ttl_ms else 0
        self._rows.add(fates.filter(pa.array(kind == _COMES)), now_ms=now_ms)
        return Batch(out.cast(self._shape), False) if out.num_rows else None

    def tick(self, now_us: int) -> Batch | None:
        if self._ttl_ms:
            self._rows.forget(now_us // 1000)
        return None

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._rows)}

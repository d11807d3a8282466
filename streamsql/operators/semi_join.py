"""SemiJoin: the rows of the left that match a row of the right, or that match none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from streamsql.core.batch import DIFF, Batch
from streamsql.core.node import Context, Explain, Node, Operator
from streamsql.core.schema import quote
from streamsql.operators._consolidate import Consolidation
from streamsql.operators._key_counts import NEW, OLD, KeyCounts, key_name
from streamsql.operators._matching import AT, Kind, Matching, MatchStep, Side
from streamsql.state.table import KEY, ROW


@dataclass(frozen=True)
class SemiJoin(Node):
    """`SELECT * FROM left WHERE [NOT] EXISTS (SELECT * FROM right WHERE …)`; the schema is the left's.

    anti     NOT EXISTS
    by_keys  equal keys are all of the condition, so that it is enough to count the right's
    """

    anti: bool
    matching: Matching
    by_keys: bool

    def relation(self, inputs: Sequence[str]) -> str:
        columns = ", ".join(quote(c) for c in self.schema.names)
        some = f"EXISTS (SELECT 1 FROM {inputs[1]} WHERE {self.matching.on()})"
        return f"SELECT {columns} FROM {inputs[0]} WHERE {'NOT ' if self.anti else ''}{some}"

    def narrowed(self, needed: Collection[str]) -> SemiJoin:
        if not any(c in needed for c in self.schema.names):
            needed = self.schema.names[:1]  # Arrow counts no rows without a column
        return replace(self, schema=self.schema.only(needed))

    def unique_keys(self) -> frozenset[frozenset[str]]:
        return frozenset(k for k in self.inputs[0].unique_keys() if all(c in self.schema for c in k))

    def operator(self, context: Context) -> Operator:
        if self.by_keys:
            return SemiJoinStep(self, context)
        columns = [(c, quote(c)) for c in self.schema.names]
        return MatchStep(self, context, self.matching, Kind(False, (1 if self.anti else -1, 0)), columns)

    def explain(self) -> Explain:
        return Explain("AntiJoin" if self.anti else "SemiJoin", (("on", self.matching.on()),))

    def holds_state(self) -> bool:
        return True

    def grows(self) -> bool:
        return True


class SemiJoinStep(Operator):
    """Keep the rows of the left and how often each key is on the right.

        semi:  Δout = ΔL ⋉ R + L ⋉ (keys that Δ R makes appear) − L ⋉ (keys that it makes disappear)
        anti:  Δout = ΔL − Δsemi

    Input:   two ports, any changelog mode
    Output:  columns of the left; append-only where it is a semi join of append-only inputs, else `$diff`
    State:   the rows of the left that may match, by key; of the right a count a key
    Cost:    O(|Δin| + rows of the left whose answer changes): a hot key of either side costs nothing more
    Forgets: rows taken back, keys whose count comes to 0; what is older than `table.exec.state.ttl`
    Late:    takes every row
    Source:  Budiu et al., "DBSP", VLDB 2023 (distinct, then join)
    """

    def __init__(self, node: SemiJoin, context: Context) -> None:
        self._anti = node.anti
        self._shape = node.batch_schema()
        self._changes = pa.schema([*node.schema.arrow(), pa.field(DIFF, pa.int32())])
        left, right = zip(*node.matching.keys, strict=True) if node.matching.keys else ((), ())
        self._left = Side(context, 0, node.inputs[0], node.matching, counted=False)
        self._right = KeyCounts(context, f"{context.name}$keys", node.inputs[1], right, node.matching.guards[1])
        self._net = None if node.append_only else Consolidation(context.database, context.name, self._changes)
        self._prepare(context, node, left)

    def _prepare(self, context: Context, node: SemiJoin, keys: Sequence[str]) -> None:
        database, diff = context.database, quote(DIFF)
        columns = ", ".join(quote(c) for c in node.schema.names)
        names = [key_name(i) for i in range(len(keys))]
        row = [pa.field(c.name, c.type.arrow_type()) for c in self._left.columns]
        self._rows = pa.schema([*row, pa.field(DIFF, pa.int32())])
        self._new = database.over(f"{context.name}$new", pa.schema([*self._rows, pa.field(KEY, pa.uint64()),
                                                                    pa.field(AT, pa.int64())]))
        self._known = database.over(f"{context.name}$known", self._right.state.found_schema)
        same = "".join(f" AND {sql} IS NOT DISTINCT FROM c.{quote(k)}" for sql, k in zip(keys, names, strict=True))
        word = "NOT EXISTS" if self._anti else "EXISTS"
        self._own = database.compute(
            f"SELECT {columns}, {diff} FROM {quote(self._new.name)} d WHERE {word} (SELECT 1 FROM "
            f"{quote(self._known.name)} c WHERE c.{quote(KEY)} = d.{quote(KEY)}{same}) ORDER BY {quote(AT)}")
        self._alone = database.over(f"{context.name}$alone", self._rows)
        self._plain = database.compute(f"SELECT {columns}, {diff} FROM {quote(self._alone.name)}")
        turned = [f for f in self._right.state.found_schema if f.name in (KEY, *names)]
        self._turned = database.over(f"{context.name}$turned", pa.schema([*turned, pa.field(DIFF, pa.int32())]))
        self._old = database.over(f"{context.name}$old", self._left.state.found_schema)
        self._others = database.compute(
            f"SELECT {columns}, c.{diff} FROM {quote(self._turned.name)} c JOIN {quote(self._old.name)} f "
            f"ON f.{quote(KEY)} = c.{quote(KEY)}{same} ORDER BY f.{quote(ROW)}")

    def step(self, port: int, batch: Batch) -> Batch | None:
        return self._step_left(batch) if port == 0 else self._step_right(batch)

    def _step_left(self, batch: Batch) -> Batch | None:
        rows = self._left.delta(batch)
        if not rows.num_rows:
            return None
        able, unable = self._left.parted(rows)
        numbered = able.append_column(AT, pa.array(np.arange(able.num_rows)))
        self._new.set(numbered.select([*self._rows.names, KEY, AT]))
        self._known.set(self._right.state.find(able.column(KEY)))
        out = [self._own.run()]
        if self._anti and unable.num_rows:
            self._alone.set(unable.select(self._rows.names))
            out.append(self._plain.run())
        leaving = self._left.leaving(able)
        result = self._result(out)
        self._left.store(able, np.empty(0, np.int64), leaving)
        return result

    def _step_right(self, batch: Batch) -> Batch | None:
        changes = self._right.changes(batch)
        old, new = (changes.column(c).to_numpy() > 0 for c in (OLD, NEW))
        signs = (new.astype(np.int32) - old.astype(np.int32)) * (-1 if self._anti else 1)
        turned = changes.filter(pa.array(signs != 0))
        result = None
        if turned.num_rows:
            table = turned.drop_columns([DIFF]).append_column(DIFF, pa.array(signs[signs != 0].astype(np.int32)))
            self._turned.set(table.select([f for f in changes.column_names if f.startswith("$k")] + [DIFF]))
            self._old.set(self._left.state.find(turned.column(KEY)))
            result = self._result([self._others.run()])
        self._right.store(changes)
        return result

    def _result(self, parts: list[pa.Table]) -> Batch | None:
        rows = pa.concat_tables([p.cast(self._changes) for p in parts])
        if self._net is not None:
            rows = self._net.net(rows)
        return Batch(rows.select(self._shape.names), False) if rows.num_rows else None

    def tick(self, now_us: int) -> None:
        self._left.forget(now_us)
        self._right.forget(now_us)

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._left.state) + len(self._right.state)}

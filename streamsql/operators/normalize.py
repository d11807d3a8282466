"""Normalize: rows that replace each other by key become a changelog of whole rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from streamsql.core.batch import DIFF, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Explain, Node, Operator
from streamsql.core.schema import quote, text_literal
from streamsql.operators._matching import ttl_ms
from streamsql.state.table import KEY, ROW, key_of

_AT, _LAST = quote("$at"), quote("$last")
_ROW, _BEFORE, _AFTER, _OLD = quote("$of"), quote("$before"), quote("$after"), quote("$old")


@dataclass(frozen=True)
class Normalize(Node):
    """A table of upserts as what it is: the last row of each key, and how it changes.

    name  of the table
    key   the columns of its primary key, among the input's; the schema may lack them
    """

    name: str
    key: tuple[str, ...]

    def relation(self, inputs: Sequence[str]) -> str:
        """Over the rows that are left of the upserts."""
        return f"SELECT {', '.join(map(quote, self.schema.names)) or '1'} FROM {inputs[0]}"

    def narrowed(self, needed: Collection[str]) -> Normalize:
        return replace(self, schema=self.schema.only(needed))

    def unique_keys(self) -> frozenset[frozenset[str]]:
        return frozenset([frozenset(self.key)]) if set(self.key) <= set(self.schema.names) else frozenset()

    def chained(self) -> bool:
        """Each version of a row is seen above, also one that the same batch replaces: what is late for a
        window must not depend on where a batch was cut."""
        return any(c.time == "rowtime" for c in self.schema)

    def operator(self, context: Context) -> Operator:
        return NormalizeStep(self, context)

    def holds_state(self) -> bool:
        return True

    def grows(self) -> bool:
        return True

    def explain(self) -> Explain:
        return Explain("Normalize", (("table", self.name), ("key", ", ".join(self.key))))


class NormalizeStep(Operator):
    """Keep the row of each key and emit how it changed.

        Δout = Σ over the upserts of Δin, by key in order of arrival: −(row before) + (row now)

    Input:   upserts of a scan: `$diff` +1 replaces the row of the key, -1 deletes it and may lack the rest
    Output:  whole rows, `$diff`: −old before +new, nothing for a row that stays as it is or a delete of
             an unknown key; `$watermark` and `$seq` are those of the record that made the change
    State:   the visible columns of one row a key
    Cost:    one window over the batch and the rows of its keys
    Forgets: a row that is replaced or deleted; by `table.exec.state.ttl`
    Late:    takes every row
    Source:  Flink's ProcTimeDeduplicateKeepLastRowFunction over upserts (ChangelogNormalize)
    """

    def __init__(self, node: Normalize, context: Context) -> None:
        self._node, self._clock = node, context.clock
        database = context.database
        self._ttl_ms = ttl_ms(context)
        scanned = node.inputs[0].batch_schema()
        self._input = database.over(f"{context.name}$in", scanned)
        self._hashes = database.compute(f"SELECT {self._hash()} AS {quote(KEY)} FROM {quote(self._input.name)}")
        stored = [scanned.field(c) for c in self._columns()]
        self._rows = database.state(f"{context.name}$rows", pa.schema([pa.field(KEY, pa.uint64()), *stored]),
                                    ttl_ms=self._ttl_ms)
        self._found = database.over(f"{context.name}$found", self._rows.found_schema)
        self._changed = database.compute(self._changes())
        self._moves = database.over(f"{context.name}$moves", self._changed.run().schema)
        self._emit, self._keep = database.compute(self._emission()), database.compute(self._kept())
        self._shape = node.batch_schema()

    def _columns(self) -> list[str]:
        """What is kept: the key, and what is seen."""
        return list(dict.fromkeys((*self._node.key, *self._node.schema.names)))

    def _hash(self) -> str:
        return key_of([quote(k) for k in self._node.key])

    def _changes(self) -> str:
        """The upserts that change something: `$before` and `$after` are the row (NULL for none), `$last`
        that of the batch, `$old` the number of the row that is stored."""
        columns = [quote(c) for c in self._columns()]
        whole = ", ".join(f"{c} := {c}" for c in columns)
        keys = ", ".join(quote(k) for k in self._node.key)
        hidden = ", ".join((quote(WATERMARK), quote(SEQ)))
        packed = f"CASE WHEN {quote(DIFF)} > 0 THEN struct_pack({whole}) END AS {_ROW}"
        incoming = (f"SELECT {', '.join(columns)}, {packed}, {hidden}, row_number() OVER () AS {_AT}, "
                    f"NULL::BIGINT AS {_OLD} FROM {quote(self._input.name)}")
        stored = (f"SELECT {', '.join(columns)}, struct_pack({whole}), NULL::BIGINT, NULL::BIGINT, 0, {quote(ROW)} "
                  f"FROM {quote(self._found.name)}")
        before = f"lag({_ROW})" if self._node.chained() else f"first_value(CASE WHEN {_AT} = 0 THEN {_ROW} END)"
        judged = (f"SELECT *, {before} OVER w AS {_BEFORE}, {_ROW} AS {_AFTER}, "
                  f"first_value({_OLD}) OVER w AS \"$stored\", lead({_AT}) OVER w IS NULL AS {_LAST} "
                  f"FROM ({incoming} UNION ALL {stored}) WINDOW w AS (PARTITION BY {keys} ORDER BY {_AT})")
        kept = f"{_BEFORE} IS DISTINCT FROM {_AFTER}" + (f" OR {_LAST}" if self._node.chained() else f" AND {_LAST}")
        return (f"SELECT {_BEFORE}, {_AFTER}, {hidden}, {_AT}, {_LAST}, \"$stored\" AS {_OLD} FROM ({judged}) "
                f"WHERE {_AT} > 0 AND ({kept})")

    def _row(self, of: str, columns: Sequence[str]) -> list[str]:
        return [f"struct_extract({of}, {text_literal(c)}) AS {quote(c)}" for c in columns]

    def _emission(self) -> str:
        """−before, +after. What is not read above does not make a change."""
        names = self._node.schema.names
        hidden = [quote(WATERMARK), quote(SEQ)]
        differs = " OR ".join(f"struct_extract({_BEFORE}, {text_literal(c)}) IS DISTINCT FROM "
                              f"struct_extract({_AFTER}, {text_literal(c)})" for c in names) or "false"
        parts = []
        for of, other, sign in ((_BEFORE, _AFTER, -1), (_AFTER, _BEFORE, 1)):
            listed = [*self._row(of, names), f"CAST({sign} AS INTEGER) AS {quote(DIFF)}", *hidden, _AT]
            parts.append(f"SELECT {', '.join(listed)} FROM {quote(self._moves.name)} "
                         f"WHERE {of} IS NOT NULL AND ({other} IS NULL OR {differs})")
        shown = ", ".join(quote(f.name) for f in self._node.batch_schema())
        return f"SELECT {shown} FROM ({' UNION ALL '.join(parts)}) ORDER BY {_AT}, {quote(DIFF)}"

    def _kept(self) -> str:
        inner = f"SELECT {', '.join(self._row(_AFTER, self._columns()))} FROM {quote(self._moves.name)} " \
                f"WHERE {_LAST} AND {_AFTER} IS NOT NULL ORDER BY {_AT}"
        return f"SELECT {self._hash()} AS {quote(KEY)}, * FROM ({inner})"

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        self._found.set(self._rows.find(self._hashes.run().column(KEY)))
        moves = self._changed.run()
        if not moves.num_rows:
            return None
        self._moves.set(moves)
        out, kept = self._emit.run(), self._keep.run()
        self._rows.remove(moves.filter(moves.column("$last")).column("$old").drop_null())
        self._rows.add(kept, now_ms=self._clock.now_us() // 1000 if self._ttl_ms else 0)
        return Batch(out.cast(self._shape), True) if out.num_rows else None

    def tick(self, now_us: int) -> Batch | None:
        if self._ttl_ms:
            self._rows.forget(now_us // 1000)
        return None

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._rows)}

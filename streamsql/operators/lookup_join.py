"""LookupJoin: each row of a stream with the rows of an outside table as it is when the row comes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from streamsql.core.batch import DIFF, Batch
from streamsql.core.connector import Lookup, Source, TableSpec
from streamsql.core.node import Context, Explain, Node, Operator, fuse
from streamsql.core.schema import quote
from streamsql.errors import InternalError
from streamsql.operators._join_input import NUMBER, kept, numbered_rows, selected, some
from streamsql.operators._lookup_answers import HIT, PLACE, LookupAnswers
from streamsql.operators._lookup_tables import CachedLookup, Found, WholeTable, distinct
from streamsql.operators._matching import Matching
from streamsql.operators.normalize import Normalize
from streamsql.operators.scan import Scan
from streamsql.state.table import KEY, ROW, key_of


@dataclass(frozen=True)
class LookupJoin(Node):
    """`left [LEFT] JOIN table FOR SYSTEM_TIME AS OF left.proc ON keys AND …`.

    outer      LEFT: a row without a match comes padded
    keys       DuckDB text over the left, of the type of the table's column; the column of the dimension;
               and of the table below it
    matching   the whole condition
    columns    name and DuckDB text over both sides' columns
    dimension  the table, and what is projected of it: no input, it is asked
    """

    outer: bool
    keys: tuple[tuple[str, str, str], ...]
    matching: Matching
    columns: tuple[tuple[str, str], ...]
    dimension: Node

    def relation(self, inputs: Sequence[str]) -> str:
        raise InternalError("what a lookup finds is not of the input")

    def expressible(self) -> bool:
        return False

    def narrowed(self, needed: Collection[str]) -> LookupJoin:
        needed = some(self.columns, needed)
        return replace(self, columns=kept(self.columns, needed), schema=self.schema.only(needed))

    def operator(self, context: Context) -> LookupJoinStep:
        return LookupJoinStep(self, context)

    def holds_state(self) -> bool:
        return not self.inputs[0].append_only

    def grows(self) -> bool:
        return self.holds_state()

    def table(self) -> Scan:
        """The table that is looked up."""
        source = fuse(self.dimension).source
        source = source.inputs[0] if isinstance(source, Normalize) else source
        assert isinstance(source, Scan)
        return source

    def explain(self) -> Explain:
        table = self.table().table
        cache = table.options.get("lookup.cache", "full")
        return Explain("LookupJoin", (
            ("kind", "left" if self.outer else "inner"), ("table", table.name),
            ("keys", ", ".join(name for _, _, name in self.keys)), ("on", self.matching.on()), ("cache", str(cache))))


class LookupJoinStep(Operator):
    """Ask the table for the keys of a batch, each once, and join what it has.

        Δout = Δin ⋈ table as it is now

    Input:   any changelog mode
    Output:  columns of both; the changelog mode and the hidden columns of the input
    State:   a cache, or the whole table, which is read anew after a restart; what was joined to each left row
             that may go again
    Cost:    one question for the distinct keys of a batch that the cache lacks
    Forgets: what the cache's options say; a left row that goes, or is older than `table.exec.state.ttl`
    Late:    passes them
    Source:  Flink's LookupJoinRunner; and its KeyedLookupJoinWrapper, which keeps what it found for each row
    """

    def __init__(self, node: LookupJoin, context: Context) -> None:
        self._node, self._context = node, context
        database, fused, scan = context.database, fuse(node.inputs[0]), node.table()
        self._shape = node.batch_schema()
        self._input = database.over(f"{context.name}$in", fused.source.batch_schema())
        names = [f"$k{i}" for i in range(len(node.keys))]
        keys = [f"{text} AS {quote(name)}" for name, (text, _, _) in zip(names, node.keys, strict=True)]
        inner = f"SELECT *, {', '.join(keys)} FROM ({fused.select(quote(self._input.name))})"
        guard = node.matching.guards[0]
        may = f"({guard}) IS TRUE" if guard else "TRUE"
        visible = [quote(n) for n in (*node.inputs[0].schema.names, *node.inputs[0].hidden)]
        asked = [f"CASE WHEN {may} THEN {quote(n)} END AS {quote(n)}" for n in names]
        self._names = names
        self._prepare = database.compute(f"SELECT {', '.join([*visible, *asked])} FROM ({inner})")
        shape = numbered_rows(self._prepare.run()).schema
        self._rows = database.over(f"{context.name}$rows", shape)
        self._keys = database.over(f"{context.name}$keys", pa.schema([shape.field(n) for n in names]))
        self._hash = database.compute(f"SELECT {key_of([quote(n) for n in names])} AS {quote(KEY)} "
                                      f"FROM {quote(self._keys.name)}")
        self._dimension(scan, context)
        changes = DIFF in node.hidden
        self._join = database.compute(self._answer_sql() if changes else self._join_sql())
        self._answers = LookupAnswers(node, node.outer, context, shape, self._join.run().schema) if changes else None
        self._found: Found | None = None
        self._asked = 0

    def _dimension(self, scan: Scan, context: Context) -> None:
        """From rows of the table to the columns that the join reads."""
        chain = fuse(self._node.dimension).chain
        self._raw = context.database.over(f"{context.name}$raw", scan.schema.arrow())
        sql = quote(self._raw.name)
        for node in chain:
            below = replace(node, hidden=()).stateless(sql)
            assert below is not None
            sql = f"({below})"
        hashed = key_of([quote(column) for _, column, _ in self._node.keys])
        self._read = context.database.compute(f"SELECT *, {hashed} AS {quote(KEY)} FROM {sql}")
        self._table = self._read.run().schema
        shape = pa.schema([*self._table, pa.field(ROW, pa.int64())])
        self._there = context.database.over(f"{context.name}$there", shape)

    def _join_sql(self) -> str:
        node = self._node
        hidden = "".join(f", {quote(h)}" for h in node.hidden)
        return (f"SELECT {selected(node.columns)}{hidden} FROM {quote(self._rows.name)} "
                f"{'LEFT' if node.outer else 'INNER'} JOIN ({self._right()}) "
                f"ON {node.matching.on()} ORDER BY {quote(NUMBER)}, {quote(ROW)}")

    def _answer_sql(self) -> str:
        """Each row with all that it meets, or padded."""
        place = f"row_number() OVER (PARTITION BY {quote(NUMBER)} ORDER BY {quote(ROW)}) AS {quote(PLACE)}"
        return (f"SELECT {selected(self._node.columns)}, {quote(NUMBER)}, {place}, "
                f"{quote(ROW)} IS NOT NULL AS {quote(HIT)} FROM {quote(self._rows.name)} "
                f"LEFT JOIN ({self._right()}) ON {self._node.matching.on()}")

    def _right(self) -> str:
        names = ", ".join(quote(c) for c in (*self._node.dimension.schema.names, ROW, KEY))
        return f"SELECT {names} FROM {quote(self._there.name)}"

    def bind(self, source: Callable[[TableSpec], Source], lookup: Callable[[TableSpec, Sequence[str]], Lookup] | None,
             ) -> None:
        """How the connector's module reads the table, and finds rows in it if it can."""
        scan = self._node.table()
        options = scan.table.options
        if lookup is None or options["lookup.cache"] == "full":
            inner = replace(self._context, name=f"{self._context.name}$scan")
            self._found = WholeTable(scan, inner, lambda: source(scan.table), self._columns, self._table)
        else:
            keys = [name for _, _, name in self._node.keys]
            self._found = CachedLookup(lookup(scan.table, keys), options, self._context.clock, self._columns,
                                       self._table)

    def _columns(self, rows: pa.Table) -> pa.Table:
        self._raw.set(rows.select(self._node.table().schema.names))
        return self._read.run()

    def step(self, port: int, batch: Batch) -> Batch | None:
        assert self._found is not None
        self._input.set(batch.table)
        rows = numbered_rows(self._prepare.run())
        come = rows.filter(pc.greater(rows.column(DIFF), 0)) if self._answers is not None else rows
        keys = distinct(come, self._names)
        self._keys.set(keys)
        hashes = self._hash.run().column(KEY)
        self._asked += keys.num_rows
        found = self._found.find(keys.rename_columns([name for _, _, name in self._node.keys]), hashes)
        self._rows.set(come)
        self._there.set(found)
        out = self._join.run()
        out = (self._answers.change(rows, out) if self._answers is not None else out).cast(self._shape)
        return Batch(out, batch.may_be_late) if out.num_rows else None

    def tick(self, now_us: int) -> Batch | None:
        if self._answers is not None:
            self._answers.forget(now_us)
        return None

    def close(self) -> None:
        if self._found is not None:
            self._found.close()

    def statistics(self) -> Mapping[str, int]:
        kept = {"state_rows": len(self._answers)} if self._answers is not None else {}
        return {"keys_looked_up": self._asked, **kept}

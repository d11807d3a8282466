"""What a lookup join answered for each row of a left side that changes, to take it back when the row goes."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from streamsql.core.batch import DIFF
from streamsql.core.node import Context, Node
from streamsql.core.schema import quote
from streamsql.operators._join_input import NUMBER
from streamsql.operators._matching import ttl_ms
from streamsql.state.table import KEY, ROW, key_of

PLACE, HIT = "$p", "$hit"
"""Of a row joined: its place among those of its left row, from 1; whether the table had it or it is padded."""
_AGE, _INSTANCE, _TURN = "$age", "$instance", "$turn"


class LookupAnswers:
    """The answers of the left rows that are there: a row that goes takes back the oldest answer of its like.

    Rows that are alike may have met different rows of the table, which changed between them. Each answer
    is kept whole, that of a row that met none too, so that as many are left as there are rows.
    """

    def __init__(self, node: Node, outer: bool, context: Context, rows: pa.Schema, joined: pa.Schema) -> None:
        self._node, self._outer, self._clock = node, outer, context.clock
        left = [c.name for c in node.inputs[0].schema if c.time != "proctime"]  # which is of no row, but of now
        self._alike = [(f"$l{i}", name) for i, name in enumerate(left)]
        self._columns = node.schema.names
        database = context.database
        self._given = database.over(f"{context.name}$given", rows)
        self._joined = database.over(f"{context.name}$joined", joined)
        self._hash = database.compute(f"SELECT {key_of([quote(n) for n in left])} AS {quote(KEY)} "
                                      f"FROM {quote(self._given.name)}")
        self._answered = database.compute(self._answered_sql())
        shape = self._answered.run().drop_columns([NUMBER]).schema
        self._state = database.state(f"{context.name}$answers", shape, ttl_ms=ttl_ms(context))
        self._known = database.over(f"{context.name}$known", self._state.found_schema)
        self._new = database.over(f"{context.name}$new", self._answered.run().schema)
        self._pairs = database.compute(self._pairs_sql())
        self._taken = database.over(f"{context.name}$taken", self._pairs.run().schema)
        self._out = database.compute(self._out_sql())
        self._gone = database.compute(
            f"SELECT {quote(ROW)} FROM ({self._instances()}) JOIN {quote(self._taken.name)} USING ({quote(_AGE)}) "
            f"WHERE {quote(ROW)} IS NOT NULL")
        self._stay = database.compute(
            f"SELECT * EXCLUDE ({quote(NUMBER)}) FROM {quote(self._new.name)} ANTI JOIN "
            f"(SELECT {quote(_INSTANCE)} FROM {quote(self._taken.name)}) ON {quote(NUMBER)} = {quote(_INSTANCE)} "
            f"ORDER BY {quote(NUMBER)}, {quote(PLACE)}")

    def _answered_sql(self) -> str:
        """The joined rows beside the left row that each is of."""
        own = ", ".join([quote(NUMBER), *(f"{quote(n)} AS {quote(a)}" for a, n in self._alike)])
        hashed = key_of([quote(name) for _, name in self._alike])
        names = ", ".join(quote(n) for n in (*self._columns, PLACE, HIT))
        return (f"SELECT * FROM (SELECT {own}, {hashed} AS {quote(KEY)} FROM {quote(self._given.name)}) JOIN "
                f"(SELECT {quote(NUMBER)}, {names} FROM {quote(self._joined.name)}) USING ({quote(NUMBER)})")

    def _instances(self) -> str:
        """The rows kept, `$age` being that of the answer, which is the number of its first row; then the new ones."""
        alike = self._list([a for a, _ in self._alike])
        columns = ", ".join(quote(n) for n in (*(a for a, _ in self._alike), *self._columns, PLACE, HIT))
        first = (f"max(CASE WHEN {quote(PLACE)} = 1 THEN {quote(ROW)} END) OVER (PARTITION BY {alike} "
                 f"ORDER BY {quote(ROW)} ROWS UNBOUNDED PRECEDING)")
        return (f"SELECT {columns}, {quote(ROW)}, {first} AS {quote(_AGE)}, NULL::BIGINT AS {quote(_INSTANCE)} "
                f"FROM {quote(self._known.name)} UNION ALL SELECT {columns}, NULL, "
                f"{1 << 62} + {quote(NUMBER)}, {quote(NUMBER)} FROM {quote(self._new.name)}")

    def _pairs_sql(self) -> str:
        """Each row that goes by its number, and the answer that it takes back."""
        alike = self._list([a for a, _ in self._alike])
        own = self._list([quote(n) for _, n in self._alike], quoted=True)
        answers = (f"SELECT *, row_number() OVER (PARTITION BY {alike} ORDER BY {quote(_AGE)}) AS {quote(_TURN)} "
                   f"FROM ({self._instances()}) WHERE {quote(PLACE)} = 1")
        going = (f"SELECT *, row_number() OVER (PARTITION BY {own} ORDER BY {quote(NUMBER)}) AS {quote(_TURN)} "
                 f"FROM {quote(self._given.name)} WHERE {quote(DIFF)} < 0")
        same = " AND ".join([f"a.{quote(_TURN)} = g.{quote(_TURN)}",
                             *(f"a.{quote(a)} IS NOT DISTINCT FROM g.{quote(n)}" for a, n in self._alike)])
        return (f"SELECT g.{quote(NUMBER)}, a.{quote(_AGE)}, a.{quote(_INSTANCE)} FROM ({going}) g "
                f"JOIN ({answers}) a ON {same}")

    def _out_sql(self) -> str:
        """What comes of the rows that come, and goes with those that go, in the order of the rows."""
        node = self._node
        names = ", ".join(quote(n) for n in (*self._columns, PLACE, HIT))
        hidden = "".join(f", {quote(h)}" for h in node.hidden)
        came = f"SELECT {quote(NUMBER)}, {names} FROM {quote(self._new.name)}"
        went = (f"SELECT t.{quote(NUMBER)}, {names} FROM {quote(self._taken.name)} t "
                f"JOIN ({self._instances()}) i ON t.{quote(_AGE)} = i.{quote(_AGE)}")
        shown = "TRUE" if self._outer else quote(HIT)
        result = ", ".join(quote(n) for n in self._columns)
        own = ", ".join(quote(n) for n in (NUMBER, *node.hidden))
        return (f"SELECT {result}{hidden} FROM ({came} UNION ALL {went}) JOIN "
                f"(SELECT {own} FROM {quote(self._given.name)}) USING ({quote(NUMBER)}) WHERE {shown} "
                f"ORDER BY {quote(NUMBER)}, {quote(PLACE)}")

    @staticmethod
    def _list(names: Sequence[str], *, quoted: bool = False) -> str:
        """Of PARTITION BY."""
        return ", ".join(names if quoted else [quote(n) for n in names]) or "1"

    def change(self, rows: pa.Table, joined: pa.Table) -> pa.Table:
        """The changes of a batch of numbered rows, of which those that come are joined."""
        self._given.set(rows)
        self._joined.set(joined)
        self._new.set(self._answered.run())
        self._known.set(self._state.find(self._hash.run().column(KEY)))
        self._taken.set(self._pairs.run())
        out, gone, stay = self._out.run(), self._gone.run(), self._stay.run()
        self._state.remove(gone.column(ROW))
        self._state.add(stay, now_ms=self._clock.now_us() // 1000)
        return out

    def forget(self, now_us: int) -> None:
        self._state.forget(now_us // 1000)

    def __len__(self) -> int:
        return len(self._state)

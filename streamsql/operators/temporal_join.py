"""TemporalJoin: each row of a stream with the version of a table that was valid at the row's own time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from streamsql.core.batch import DIFF, MIN_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Explain, Node, Operator
from streamsql.core.schema import quote
from streamsql.operators._join_input import (
    AT,
    NUMBER,
    JoinInput,
    derived_seq,
    kept,
    numbered_rows,
    rowtime_us,
    selected,
    some,
)
from streamsql.operators._matching import Matching, ttl_ms
from streamsql.operators._progress import Progress
from streamsql.state.table import KEY, ROW, key_of
from streamsql.windows.window import shown

_TIME, _GONE, _VERSION, _NEW = "$time", "$gone", "$v", "$new"


@dataclass(frozen=True)
class TemporalJoin(Node):
    """`left [LEFT] JOIN right FOR SYSTEM_TIME AS OF left.time ON keys [AND …]`.

    outer      LEFT: a row without a version comes padded
    keys       DuckDB text over the left, and over the right: the key that versions replace each other by
    matching   the whole condition, which a row and its version have to meet
    columns    name and DuckDB text over both sides' columns
    times      the rowtime column of the left, and that of the right: a version is valid from it on
    after_us   how much later than its rowtime a version becomes valid
    """

    outer: bool
    keys: tuple[tuple[str, str], ...]
    matching: Matching
    columns: tuple[tuple[str, str], ...]
    times: tuple[str, str]
    after_us: int = 0

    def relation(self, inputs: Sequence[str]) -> str:
        """Over append-only versions; of a changelog only the last ones are left."""
        left, right = inputs
        number = quote(NUMBER)
        rows = f"(SELECT *, row_number() OVER () AS {number} FROM {left})"
        same = " AND ".join([*(f"{a} IS NOT DISTINCT FROM {b}" for a, b in self.keys),
                             f"{rowtime_us(self.times[1])} + {self.after_us} <= {rowtime_us(self.times[0])}"])
        names = ", ".join(quote(c) for c in self.inputs[1].schema.names)
        picked = (f"SELECT {number} AS \"$m\", {names} FROM {rows} "
                  f"JOIN (SELECT *, row_number() OVER () AS \"$r\" FROM {right}) ON {same} "
                  f"QUALIFY row_number() OVER (PARTITION BY {number} "
                  f"ORDER BY {quote(self.times[1])} DESC, \"$r\" DESC) = 1")
        return (f"SELECT {selected(self.columns)} FROM {rows} {'LEFT' if self.outer else 'INNER'} JOIN ({picked}) "
                f"ON {number} = \"$m\" AND {self.matching.on()}")

    def narrowed(self, needed: Collection[str]) -> TemporalJoin:
        needed = some(self.columns, needed)
        return replace(self, columns=kept(self.columns, needed), schema=self.schema.only(needed))

    def expressible(self) -> bool:
        return self.inputs[1].append_only

    def operator(self, context: Context) -> Operator:
        return TemporalJoinStep(self, context)

    def holds_state(self) -> bool:
        return True

    def explain(self) -> Explain:
        after = f" + {shown(self.after_us)}" if self.after_us else ""
        return Explain("TemporalJoin", (
            ("kind", "left" if self.outer else "inner"), ("as of", self.times[0]),
            ("versions by", f"{', '.join(b for _, b in self.keys) or '-'} from {self.times[1]}{after}"),
            ("on", self.matching.on()), ("emits", "when the watermark has passed the row")))


class TemporalJoinStep(Operator):
    """Keep the rows of the left until the watermark has passed them: then every version they may meet is there.

        Δout = the rows of the left that the watermark has just passed, each with the last version at or before it

    Input:   left any changelog mode; right append-only, or a changelog: a row that comes is a version from its
             rowtime on, one that goes ends there. The − of an update says nothing beside its +
    Output:  columns of both; the changelog mode and `$watermark` of the left, in order of arrival
    State:   rows ahead of the watermark, and of each key the version valid at it, or its end, so that an older
             version that comes late is not valid again
    Cost:    O(|Δin| log state); when the watermark moves, what it passed and the keys of that
    Forgets: a left row when it is emitted, a version when the watermark has passed the next one; the end of a
             key's last version by `table.exec.state.ttl`
    Late:    a version that came when the watermark had passed a row's time is not seen by it. A row behind the
             watermark meets its version only if that is still valid at the watermark: older ones are gone
    Source:  Flink's TemporalRowTimeJoinOperator, where versions go with timers and some may stay a while longer
    """

    def __init__(self, node: TemporalJoin, context: Context) -> None:
        self._node = node
        self._progress = Progress(node)
        self._shape = node.batch_schema()
        database = context.database
        right = node.inputs[1]
        keys = [key_of([pair[port] for pair in node.keys]) for port in (0, 1)]
        self._inputs = [
            JoinInput(node, 0, context, self._progress, required=_TIME,
                      computed=((_TIME, rowtime_us(node.times[0])), (KEY, keys[0]))),
            JoinInput(node, 1, context, self._progress, required=_TIME,
                      computed=((_TIME, f"{rowtime_us(node.times[1])} + {node.after_us}"), (KEY, keys[1])))]
        self._left = database.state(f"{context.name}$left", self._inputs[0].schema, time=_TIME)
        versions = [self._inputs[1].schema.field(n) for n in (*right.schema.names, _TIME, KEY, AT)]
        shape = pa.schema([*versions, pa.field(_GONE, pa.bool_())])
        self._ahead = database.state(f"{context.name}$versions", shape, time=_TIME)
        self._current = database.state(f"{context.name}$current", shape)
        self._ended = database.state(f"{context.name}$ended", shape, ttl_ms=ttl_ms(context))
        self._clock = context.clock
        self._rows = database.over(f"{context.name}$rows", numbered_rows(self._left.find([])).schema)
        self._known = database.over(f"{context.name}$known", pa.schema(
            [*shape, pa.field(_VERSION, pa.int64()), pa.field(_NEW, pa.bool_())]))
        self._changes = database.over(f"{context.name}$changes", self._inputs[1].schema)
        self._events = database.compute(self._events_sql())
        self._punctual = database.compute(self._join_sql(self._punctual_pairs()))
        self._any = database.compute(self._join_sql(self._any_pairs()))
        self._latest = database.compute(self._latest_sql())

    def _events_sql(self) -> str:
        """The changes of the right as versions and ends of versions."""
        node = self._node
        names = ", ".join(quote(n) for n in (*node.inputs[1].schema.names, _TIME, KEY, AT))
        changes = quote(self._changes.name)
        if DIFF not in node.inputs[1].hidden:
            return f"SELECT {names}, FALSE AS {quote(_GONE)} FROM {changes}"
        keys = ", ".join(b for _, b in node.keys) or "1"
        updates = (f"lead({quote(DIFF)}) OVER w > 0 AND lead({quote(SEQ)}) OVER w = {quote(SEQ)} AS \"$update\"")
        if SEQ not in node.inputs[1].hidden:
            updates = 'FALSE AS "$update"'
        rows = (f"SELECT *, {updates} FROM (SELECT *, row_number() OVER () AS \"$i\" FROM {changes}) "
                f"WINDOW w AS (PARTITION BY {keys} ORDER BY \"$i\")")
        return (f"SELECT {names}, {quote(DIFF)} < 0 AS {quote(_GONE)} FROM ({rows}) "
                f"WHERE {quote(DIFF)} > 0 OR NOT coalesce(\"$update\", FALSE) ORDER BY \"$i\"")

    def _join_sql(self, pairs: str) -> str:
        """The rows, each with the version that `pairs` names by `$m` and `$w`, if it is valid at the row's time."""
        node, number = self._node, quote(NUMBER)
        rows, known = quote(self._rows.name), quote(self._known.name)
        names = ", ".join(quote(n) for n in node.inputs[1].schema.names)
        valid = (f'SELECT "$m", {names} FROM ({pairs}) JOIN {known} ON "$w" = {quote(_VERSION)} '
                 f'WHERE {quote(_TIME)} <= "$t" AND NOT {quote(_GONE)}')
        hidden = {WATERMARK: f"{quote(AT)} AS {quote(WATERMARK)}", SEQ: f"{derived_seq(quote(SEQ))} AS {quote(SEQ)}",
                  DIFF: quote(DIFF)}
        columns = ", ".join([selected(node.columns), *(hidden[h] for h in node.hidden)])
        own = ", ".join(quote(c) for c in (*node.inputs[0].schema.names, AT, SEQ, NUMBER))
        own += f", {quote(DIFF)}" if DIFF in node.hidden else ""
        return (f"SELECT {columns} FROM (SELECT {own} FROM {rows}) {'LEFT' if node.outer else 'INNER'} JOIN ({valid}) "
                f'ON {number} = "$m" AND {node.matching.on()} ORDER BY {number}')

    def _keyed(self, port: int) -> tuple[str, str]:
        """The key of a row or of a version as columns of its own, and their names."""
        keys = [(KEY, quote(KEY)), *((f"${i}", pair[port]) for i, pair in enumerate(self._node.keys))]
        return ", ".join(f"{sql} AS {quote(f'$k{name}')}" for name, sql in keys), \
            ", ".join(quote(f"$k{name}") for name, _ in keys)

    def _punctual_pairs(self) -> str:
        """Rows with the last version at or before them, where each version came before its time. DuckDB's ASOF
        JOIN, prepared, fails when it is run again."""
        until = f"greatest({quote(_TIME)}, {quote(AT)})"
        (mine, names), (theirs, _) = self._keyed(0), self._keyed(1)
        events = (f'SELECT {mine}, {until} AS "$o", {quote(NUMBER)} AS "$m", {quote(_TIME)} AS "$t", '
                  f'NULL::BIGINT AS "$v" '
                  f"FROM {quote(self._rows.name)} UNION ALL SELECT {theirs}, {quote(_TIME)}, NULL, NULL, "
                  f"{quote(_VERSION)} FROM {quote(self._known.name)}")
        last = (f'last_value("$v" IGNORE NULLS) OVER (PARTITION BY {names} ORDER BY "$o", "$v" NULLS LAST '
                "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)")
        return f'SELECT "$m", "$t", "$w" FROM (SELECT *, {last} AS "$w" FROM ({events})) WHERE "$m" IS NOT NULL'

    def _any_pairs(self) -> str:
        """The same, where a version may have come too late for a row to see it."""
        (mine, names), (theirs, _) = self._keyed(0), self._keyed(1)
        rows = (f'(SELECT {mine}, {quote(NUMBER)} AS "$m", {quote(_TIME)} AS "$t", {quote(AT)} AS "$a" '
                f"FROM {quote(self._rows.name)})")
        known = (f'(SELECT {theirs}, {quote(_VERSION)} AS "$w", {quote(_TIME)} AS "$vt", {quote(AT)} AS "$va" '
                 f"FROM {quote(self._known.name)})")
        return (f'SELECT "$m", "$t", "$w" FROM {rows} JOIN {known} USING ({names}) '
                'WHERE "$vt" <= greatest("$t", "$a") AND ("$va" < "$t" OR "$va" <= "$a") '
                'QUALIFY row_number() OVER (PARTITION BY "$m" ORDER BY "$vt" DESC, "$w" DESC) = 1')

    def _latest_sql(self) -> str:
        """Of the keys that have new versions, the last one."""
        keys = ", ".join([quote(KEY), *(b for _, b in self._node.keys)])
        window = f"(PARTITION BY {keys})"
        return (f"SELECT * FROM (SELECT *, bool_or({quote(_NEW)}) OVER {window} AS \"$touched\" "
                f"FROM {quote(self._known.name)}) WHERE \"$touched\" QUALIFY row_number() OVER "
                f"(PARTITION BY {keys} ORDER BY {quote(_TIME)} DESC, {quote(_VERSION)} DESC) = 1")

    def watermark(self, port: int, watermark_us: int) -> None:
        self._progress.reach(port, watermark_us)

    def step(self, port: int, batch: Batch) -> Batch | None:
        rows = self._inputs[port].rows(batch)
        if port == 0:
            self._left.add(rows)
            return None
        self._changes.set(rows)
        self._ahead.add(self._events.run())
        return None

    def advance(self, watermark_us: int) -> Batch | None:
        versions = self._ahead.pop(watermark_us, through=True)
        rows = numbered_rows(self._left.pop(watermark_us, through=True))
        if not rows.num_rows and not versions.num_rows:
            return None
        keys = np.concatenate([t.column(KEY).to_numpy() for t in (rows, versions)])
        current = pa.concat_tables([self._current.find(keys), self._ended.find(keys)])
        known = pa.concat_tables([current, versions])
        new = np.arange(known.num_rows) >= current.num_rows
        known = known.append_column(_VERSION, pa.array(np.arange(known.num_rows))).append_column(_NEW, pa.array(new))
        self._known.set(known.drop_columns([ROW]))
        self._rows.set(rows)
        late = versions.column(AT).to_numpy() >= versions.column(_TIME).to_numpy()
        out = (self._any if late.any() else self._punctual).run().cast(self._shape) if rows.num_rows else None
        if versions.num_rows:
            self._replace(current)
        if out is None or not out.num_rows:
            return None
        behind = rows.column(AT).to_numpy() >= rows.column(_TIME).to_numpy()
        return Batch(out, may_be_late=bool(behind.any()))

    def _replace(self, current: pa.Table) -> None:
        """Keep of each key the version that is valid now, or that none is; it is seen by all that comes."""
        latest = self._latest.run()
        touched = np.isin(current.column(KEY).to_numpy(), latest.column(KEY).to_numpy())
        replaced = touched & ~np.isin(np.arange(current.num_rows), latest.column(_VERSION).to_numpy())
        gone, rows = current.column(_GONE).to_numpy(), current.column(ROW).to_numpy()
        fresh = latest.filter(latest.column(_NEW))
        index = fresh.column_names.index(AT)
        seen = pa.array(np.full(fresh.num_rows, MIN_WATERMARK, np.int64))
        fresh = fresh.set_column(index, fresh.schema.field(index), seen)
        ends = fresh.column(_GONE).to_numpy()
        self._current.remove(rows[replaced & ~gone])
        self._ended.remove(rows[replaced & gone])
        self._current.add(fresh.filter(pa.array(~ends)))
        self._ended.add(fresh.filter(pa.array(ends)), now_ms=self._clock.now_us() // 1000)

    def tick(self, now_us: int) -> Batch | None:
        self._ended.forget(now_us // 1000)
        return None

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._left) + len(self._ahead) + len(self._current) + len(self._ended)}

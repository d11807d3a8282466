"""EarlySession: the rows of each session with its bounds as they are now, corrected as sessions grow and merge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from streamsql.core.batch import DIFF, MAX_WATERMARK, MIN_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Explain, Operator, fuse
from streamsql.core.schema import Column, Schema, quote
from streamsql.errors import DataError
from streamsql.operators.session import SessionAssign
from streamsql.operators.window_aggregate import closed_until, passed
from streamsql.state.table import KEY, key_of
from streamsql.windows.session import resolved
from streamsql.windows.window import closed_until_us, local_us

_TIME, _REACH, _UNTIL, _SUSPECT = "$time", "$reach", "$until", "$suspect"
_FROM, _TO, _GONE = "$start", "$end", "$gone"
_NEW_FROM, _NEW_TO, _RUN = "$newstart", "$newend", "$run"


@dataclass(frozen=True)
class EarlySession(SessionAssign):
    """The rows of a SESSION with the bounds that their session has so far: below an EarlyAggregate.

    The fields are those of the SessionAssign it stands for, whose answer is the sum of its changes.
    """

    def operator(self, context: Context) -> Operator:
        return EarlySessionStep(self, context)

    def explain(self) -> Explain:
        kept = SessionAssign.explain(self).details
        emits = ("emits", "rows at once; −old and +new when their session grows")
        return Explain("EarlySession", tuple(emits if name == "emits" else (name, text) for name, text in kept))


def early_session(node: SessionAssign) -> EarlySession:
    """The early form of a SESSION."""
    schema = Schema(tuple(Column(c.name, c.type) for c in node.schema))
    hidden = (DIFF, *(h for h in node.hidden if h != DIFF))
    return EarlySession(node.inputs, schema, False, hidden, node.session, node.time, node.partition,
                        node.zone, node.local_zoned, node.names, node.proctime)


class EarlySessionStep(Operator):
    """Keep the rows of open sessions, and tell anew those whose session's bounds have changed.

        Δout = sessions(I + Δin) − sessions(I)        restricted to the partitions that Δin touches

    Input:   partition columns, rowtime, whatever else is read, hidden columns; any changelog mode
    Output:  the rows with bounds, `$diff`; all −old before all +new; the rows' own `$watermark` and `$seq`
    State:   the rows of open sessions with the bounds that were told of them
    Cost:    the open rows of the partitions that the batch touches
    Forgets: a session's rows when it closes
    Late:    as in SessionStep: where a row came behind its `$watermark` its partition is resolved row by
             row in order of arrival; a row in no session waits until all rows before it have come, and
             is reported then
    Source:  Flink's merging windows (MergingWindowSet), told before they close
    """

    def __init__(self, node: EarlySession, context: Context) -> None:
        self._node, self._side, self._database = node, context.side, context.database
        fused = fuse(node.inputs[0])
        self._hidden = node.inputs[0].hidden
        self._arrival = [h for h in (WATERMARK, SEQ) if h in self._hidden]
        self._input = self._database.over(f"{context.name}$in", fused.source.batch_schema())
        self._keep = self._database.compute(self._select(fused.select(quote(self._input.name))))
        schema = self._keep.run().schema
        self._state = self._database.state(f"{context.name}$open", schema, time=_GONE)
        self._incoming = self._database.over(f"{context.name}$new", schema)
        self._found = self._database.over(f"{context.name}$found", self._state.found_schema)
        self._located = self._database.compute(self._locate())
        bounded = self._located.run().schema
        self._bounds = self._database.over(f"{context.name}$bounds", bounded)
        self._changes = self._database.compute(self._emission())
        self._kept = self._database.compute(self._keeping(schema.names))
        self._late_rows = 0

    def _select(self, rows: str) -> str:
        """What is kept of the input's rows, not yet in a session."""
        node = self._node
        columns = [f"{quote(c)} AS {quote(k)}" for k, c in zip(node.key_names(), node.partition, strict=True)]
        judged = WATERMARK in self._hidden and not node.proctime
        watermark = quote(WATERMARK) if judged else f"CAST({MIN_WATERMARK} AS BIGINT)"
        nothing = "CAST(NULL AS BIGINT)"
        columns += [f"{key_of([quote(c) for c in node.partition])} AS {quote(KEY)}",
                    f"{local_us(quote(node.time), node.zone)} AS {quote(_TIME)}",
                    f"{closed_until_us(watermark, node.zone)} AS {quote(_UNTIL)}",
                    f"{nothing} AS {quote(_FROM)}", f"{nothing} AS {quote(_TO)}", f"{nothing} AS {quote(_GONE)}"]
        columns += [quote(c) for c in (*node.passed(), *self._hidden)]
        return f"SELECT {', '.join(columns)} FROM ({rows})"

    def _locate(self) -> str:
        """All open rows of the touched partitions with their bounds by gaps and islands.

        `$suspect` marks the partitions to be resolved, whose rows come in order of arrival."""
        node = self._node
        keys = [quote(k) for k in node.key_names()]
        both = (f"SELECT *, CAST(NULL AS BIGINT) AS {quote('$row')} FROM {quote(self._incoming.name)} "
                f"UNION ALL BY NAME FROM {quote(self._found.name)}")
        rows = f"(SELECT *, {quote(_TIME)} + {node.session.gap_us} AS {quote(_REACH)} FROM ({both}))"
        islands = node.session.islands(rows, node.key_names(), _TIME, _REACH)
        island = f"PARTITION BY {', '.join((*keys, quote('$island')))}"
        part = f"PARTITION BY {', '.join(keys)}" if keys else ""
        run = f"dense_rank() OVER (ORDER BY {', '.join(keys)})" if keys else "CAST(1 AS BIGINT)"
        order = ", ".join((quote(_RUN), *map(quote, self._arrival)))
        return (f"SELECT * EXCLUDE ({quote('$island')}), min({quote(_TIME)}) OVER ({island}) AS {quote(_NEW_FROM)}, "
                f"max({quote(_REACH)}) OVER ({island}) AS {quote(_NEW_TO)}, {run} AS {quote(_RUN)}, "
                f"bool_or({quote(_TIME)} <= {quote(_UNTIL)}) OVER ({part}) AS {quote(_SUSPECT)} "
                f"FROM ({islands}) ORDER BY {order}")

    def _changed(self) -> str:
        return (f"({quote(_FROM)} IS DISTINCT FROM {quote(_NEW_FROM)} "
                f"OR {quote(_TO)} IS DISTINCT FROM {quote(_NEW_TO)})")

    def _emission(self) -> str:
        """−old and +new of the rows whose bounds have changed."""
        node = self._node
        passed_on = [quote(c) for c in (*node.passed(), *(h for h in node.hidden if h != DIFF))]
        diff = quote(DIFF) if DIFF in self._hidden else "1"
        columns = ", ".join(quote(c) for c in (*node.schema.names, *node.hidden))

        def side(start: str, end: str, sign: int) -> str:
            picked = [*passed_on, f"CAST({sign} * {diff} AS INTEGER) AS {quote(DIFF)}", f"{sign} AS {quote('$side')}",
                      f"{quote(start)} AS {quote(_FROM)}", f"{quote(end)} AS {quote(_TO)}", quote(_TIME)]
            return (f"SELECT {', '.join(picked)} FROM {quote(self._bounds.name)} "
                    f"WHERE {self._changed()} AND {quote(start)} IS NOT NULL")

        rows = f"{side(_FROM, _TO, -1)} UNION ALL {side(_NEW_FROM, _NEW_TO, 1)}"
        order = ", ".join(quote(c) for c in ("$side", _TO, _FROM, _TIME, *self._arrival))
        bounded = f"SELECT *{node.bounds()} FROM ({rows})"
        return f"SELECT {columns} FROM ({bounded}) ORDER BY {order}"

    def _keeping(self, names: list[str]) -> str:
        """The rows to keep anew, and under `$row` what they replace. One in no session waits for its `$watermark`."""
        gone = f"coalesce({quote(_NEW_TO)}, {quote(_UNTIL)} + 1)"
        texts = {_FROM: quote(_NEW_FROM), _TO: quote(_NEW_TO), _GONE: gone}
        columns = ", ".join(f"{texts.get(name, quote(name))} AS {quote(name)}" for name in names)
        return (f"SELECT {columns}, {quote('$row')} FROM {quote(self._bounds.name)} "
                f"WHERE {quote('$row')} IS NULL OR {self._changed()}")

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        rows = self._keep.run()
        if not rows.num_rows:
            return None
        if rows.column(_TIME).null_count:
            raise DataError("rowtime is NULL")
        self._incoming.set(rows)
        self._found.set(self._state.find(rows.column(KEY)))
        self._bounds.set(self._resolved(self._located.run()))
        out, kept = self._changes.run(), self._kept.run()
        self._state.remove(kept.column("$row").drop_null())
        self._state.add(kept)
        return Batch(out, may_be_late=False) if out.num_rows else None

    def _resolved(self, rows: pa.Table) -> pa.Table:
        """`rows` with the bounds of suspect partitions as their rows' order of arrival makes them."""
        suspect = rows.column(_SUSPECT).to_pylist()
        if not any(suspect):
            return rows
        columns = (rows.column(name).to_pylist() for name in (_RUN, _TIME, _UNTIL, _NEW_FROM, _NEW_TO))
        fates: list[tuple[int, int] | None] = []
        for (_, judged), members in groupby(zip(suspect, *columns, strict=True), lambda r: (r[1], r[0])):
            of_run = list(members)
            if judged:
                fates += resolved([r[2] for r in of_run], [r[3] for r in of_run], self._node.session.gap_us)
            else:
                fates += [(r[4], r[5]) for r in of_run]
        for at, name in enumerate((_NEW_FROM, _NEW_TO)):
            bounds = pa.array([None if f is None else f[at] for f in fates], pa.int64())
            rows = rows.set_column(rows.schema.get_field_index(name), name, bounds)
        return rows

    def advance(self, watermark_us: int) -> Batch | None:
        if not self._node.proctime or watermark_us == MAX_WATERMARK:
            self._forget(watermark_us)
        return None

    def tick(self, now_us: int) -> Batch | None:
        if self._node.proctime:
            self._forget(passed(now_us))
        return None

    def _forget(self, watermark_us: int) -> None:
        """Sessions that close have had their last change; rows that came too late for any are reported."""
        if not len(self._state):
            return
        gone = self._state.pop(closed_until(self._database, watermark_us, self._node.zone), through=True)
        late = gone.filter(gone.column(_FROM).is_null())
        if late.num_rows:
            self._late_rows += late.num_rows
            if SEQ in self._hidden:
                self._side.late(late.column(SEQ).to_pylist(), "late for every session")

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._state), "late_rows": self._late_rows}

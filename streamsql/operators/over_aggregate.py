"""OverAggregate: aggregates over the rows before each row, in the order of a time attribute."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from streamsql.core.batch import DIFF, MIN_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Explain, Node, Operator
from streamsql.core.schema import quote
from streamsql.errors import DataError
from streamsql.operators._over_calls import SOURCE, Frame, OverCall
from streamsql.operators._ranked import NEW, TIME, Kept, numbered, ttl_of, with_arrival
from streamsql.state.table import KEY, ROW
from streamsql.windows.window import MILLISECOND_US

_FROM_END = "$end"
_DUE = "$due"
"""When a waiting row is given: at its time, or, behind the watermark that it came at, at the next one,
whichever batch it is in."""


@dataclass(frozen=True)
class OverAggregate(Node):
    """`f(x) OVER (PARTITION BY … ORDER BY time …)` of a stream that only adds rows.

    partition  DuckDB texts over the input
    time       its rowtime column; '' for processing time, the order of arrival
    frame      of all calls
    calls      name and call
    The schema is columns of the input, then the calls. Append-only.
    """

    partition: tuple[str, ...]
    time: str
    frame: Frame
    calls: tuple[tuple[str, OverCall], ...]

    def columns(self) -> list[str]:
        """The columns of the input that are read."""
        names = {name for name, _ in self.calls}
        return [c for c in self.inputs[0].schema.names if c not in names]

    def kept(self) -> Kept:
        return Kept(self.inputs[0], self.partition, (), self.columns(), self.time)

    def narrowed(self, needed: Collection[str]) -> OverAggregate:
        calls = tuple(c for c in self.calls if c[0] in needed)
        return replace(self, schema=self.schema.only(needed), calls=calls)

    def unique_keys(self) -> frozenset[frozenset[str]]:
        names = set(self.schema.names)
        return frozenset(k for k in self.inputs[0].unique_keys() if k <= names)

    def relation(self, inputs: Sequence[str]) -> str:
        time = quote(TIME)
        order = f"epoch_us({quote(self.time)})" if self.time else quote(ROW)
        rows = f"(SELECT *, {order} AS {time} FROM (SELECT *, row_number() OVER () AS {quote(ROW)} FROM {inputs[0]}))"
        keys = ", ".join(self.partition)
        values = values_of(self.calls, self.frame, keys, [time], [quote(ROW)])
        columns = ", ".join(quote(c) for c in self.schema.names)
        return f"SELECT {columns} FROM ({peers(self.calls, self.frame, keys, [time], [quote(ROW)], values, rows)})"

    def operator(self, context: Context) -> Operator:
        return OverStep(self, context)

    def holds_state(self) -> bool:
        return True

    def grows(self) -> bool:
        return bool(self.partition) and not (self.frame.kind == "RANGE" and self.frame.lower is not None)

    def explain(self) -> Explain:
        details = [("partition by", ", ".join(self.partition))] if self.partition else []
        details += [("order by", self.time or "processing time"), ("frame", self.frame.text())]
        details += [(name, call.text()) for name, call in self.calls]
        details.append(("emits", "a row when the watermark has passed it" if self.time else "each row at once"))
        return Explain("OverAggregate", tuple(details))


def window_of(frame: Frame, keys: str, order: Sequence[str], arrival: Sequence[str], *, framed: bool) -> str:
    """The inside of OVER. An unbounded RANGE is computed row by row: `peers` gives the last row's value to all."""
    bounded = frame.kind == "RANGE" and frame.lower is not None
    terms = order if bounded and framed else [*order, *arrival]
    lower = "UNBOUNDED" if frame.lower is None else str(frame.lower)
    bounds = f" {'RANGE' if bounded else 'ROWS'} BETWEEN {lower} PRECEDING AND CURRENT ROW" if framed else ""
    return f"{f'PARTITION BY {keys} ' if keys else ''}ORDER BY {', '.join(terms)}{bounds}"


def values_of(calls: Sequence[tuple[str, OverCall]], frame: Frame, keys: str, order: Sequence[str],
              arrival: Sequence[str]) -> list[str]:
    """Each call's value as a column of its name."""
    return [f"{call.value(window_of(frame, keys, order, arrival, framed=call.framed()))} AS {quote(name)}"
            for name, call in calls]


def peers(calls: Sequence[tuple[str, OverCall]], frame: Frame, keys: str, order: Sequence[str],
          arrival: Sequence[str], values: Sequence[str], rows: str) -> str:
    """The rows with their values; in an unbounded RANGE, rows of equal order have that of the last of them."""
    computed = f"SELECT *{''.join(', ' + v for v in values)} FROM {rows}"
    names = [quote(name) for name, call in calls if call.name != "ROW_NUMBER"]
    if frame.kind == "ROWS" or frame.lower is not None or not names:
        return computed
    window = (f"PARTITION BY {', '.join([*([keys] if keys else []), *order])} "
              f"ORDER BY {', '.join(arrival)} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING")
    last = ", ".join(f"last_value({n}) OVER ({window}) AS {n}" for n in names)
    return f"SELECT * REPLACE ({last}) FROM ({computed})"


class OverStep(Operator):
    """Keep rows until the watermark has passed them, then emit them with their values.

        Δout = over(I) restricted to the rows that the watermark has just passed

    Input:   append-only
    Output:  columns of the input and the values; append-only, ordered by time. `$watermark` is just
             before the row: never late for what follows
    State:   the rows ahead of the watermark; of each partition the rows that can still be in a frame
             (ROWS n: the last n; RANGE t: those of the last t), or what partial aggregates keep of
             all rows where the frame has no lower bound and they merge
    Cost:    one append a batch; at a watermark, a window over the rows it passes and the kept rows of
             their partitions
    Forgets: a row that no frame can hold any more; by `table.exec.state.ttl`
    Late:    a row at or behind its own `$watermark` is dropped and reported; with a bounded frame only
             if a row of its partition that is not older has been passed, as in Flink
    Source:  Flink's RowTimeUnboundedPrecedingOverFunctionV2, RowTimeRows- and
             RowTimeRangeBoundedPrecedingFunction, and their processing-time siblings
    """

    def __init__(self, node: OverAggregate, context: Context) -> None:
        self._node, self._context = node, context
        database, kept = context.database, node.kept()
        self._kept = kept
        self._input = database.over(f"{context.name}$in", kept.fused.source.batch_schema())
        self._take = database.compute(kept.select(quote(self._input.name)))
        shape = with_arrival(self._take.run(), 0)
        if not node.time:
            shape = _timed(shape, 0)
        self._ttl_ms = ttl_of(context)
        waiting = shape.schema.append(pa.field(_DUE, pa.int64()))
        self._pending = database.state(f"{context.name}$pending", waiting, time=_DUE)
        self._history = database.state(f"{context.name}$history", shape.schema, time=TIME, ttl_ms=self._ttl_ms)
        self._rows = database.over(f"{context.name}$rows", self._history.found_schema)
        self._old = database.over(f"{context.name}$old", self._history.found_schema)
        self._values = _Values(node, kept, context, quote(self._rows.name), quote(self._old.name))
        self._last = database.compute(self._kept_rows())
        self._late = database.compute(_late(node, kept, quote(self._rows.name), quote(self._old.name)))
        self._shape = node.batch_schema()
        self._watermark_us = MIN_WATERMARK
        self._late_rows = 0

    def watermark(self, port: int, watermark_us: int) -> None:
        self._watermark_us = watermark_us

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        rows = with_arrival(self._take.run(), self._watermark_us)
        if not self._node.time:
            return self._passed(numbered(_timed(rows, self._context.clock.now_us())))
        rows = numbered(rows)
        if rows.column(TIME).null_count:
            raise DataError("rowtime is NULL")
        suspect = rows.column(TIME).to_numpy() <= rows.column(WATERMARK).to_numpy()
        if suspect.any():
            rows = self._punctual(rows, suspect)
        time, mark = (rows.column(n).to_numpy() for n in (TIME, WATERMARK))
        due = np.where(time <= mark, mark + 1, time)
        self._pending.add(rows.append_column(pa.field(_DUE, pa.int64()), pa.array(due)))
        return None

    def _punctual(self, rows: pa.Table, suspect: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> pa.Table:
        """The rows that are not late; the others are reported."""
        late = suspect
        if self._node.frame.lower is not None:
            keys = np.asarray(rows.column(KEY))[suspect]
            known = [self._history.find(keys), self._pending.find(keys).drop_columns([_DUE])]
            self._old.set(pa.concat_tables(known))
            self._rows.set(rows)
            late = np.isin(np.asarray(rows.column(ROW)), np.asarray(self._late.run().column(0)))
        if late.any():
            self._late_rows += int(late.sum())
            self._context.side.late(rows.column(SEQ).to_numpy()[late].tolist(), "late for OVER")
        return rows.filter(pa.array(~late))

    def advance(self, watermark_us: int) -> Batch | None:
        out = self._passed(self._pending.pop(watermark_us, through=True).drop_columns([_DUE]))
        self._forget(watermark_us)
        return out

    def _forget(self, time_us: int) -> None:
        if self._node.frame.kind == "RANGE" and self._node.frame.lower is not None:
            self._history.pop(max(time_us - _remembered(self._node.frame), MIN_WATERMARK), through=True)

    def _passed(self, rows: pa.Table) -> Batch | None:
        if not rows.num_rows:
            return None
        self._rows.set(rows)
        self._old.set(self._history.find(rows.column(KEY)))
        out = self._values.run(rows)
        last = self._last.run()
        new, remains = last.column(NEW).to_numpy(), last.column(_FROM_END).to_numpy()
        now_ms = self._context.clock.now_us() // 1000 if self._ttl_ms else 0
        self._values.store(now_ms)
        self._history.remove(last.column(ROW).to_numpy()[~new & ~remains])
        self._history.add(last.filter(pa.array(new & remains)), now_ms=now_ms)
        return Batch(out.select(self._shape.names).cast(self._shape), False)

    def _kept_rows(self) -> str:
        """Passed and kept rows; `$end` is whether a frame of a row to come can hold the row."""
        node, names = self._node, ", ".join(quote(n) for n in self._history.found_schema.names)
        both = (f"(SELECT {names}, TRUE AS {quote(NEW)} FROM {quote(self._rows.name)} UNION ALL "
                f"SELECT {names}, FALSE FROM {quote(self._old.name)})")
        depth = _depth(node)
        order = ", ".join(f"{c} DESC" for c in (quote(TIME), quote(NEW), *map(quote, (WATERMARK, SEQ, ROW))))
        number = f"row_number() OVER ({self._kept.partitioned()}ORDER BY {order})"
        remains = "TRUE" if depth is None else f"{number} <= {depth}"
        where = " WHERE FALSE" if depth == 0 else ""
        return f"SELECT *, {remains} AS {quote(_FROM_END)} FROM {both}{where} ORDER BY {quote(NEW)}, {quote(ROW)}"

    def tick(self, now_us: int) -> Batch | None:
        if self._ttl_ms:
            self._history.forget(now_us // 1000)
            self._values.forget(now_us // 1000)
        if not self._node.time:
            self._forget(now_us)
        return None

    def statistics(self) -> Mapping[str, int]:
        rows = len(self._pending) + len(self._history) + len(self._values)
        return {"state_rows": rows, "late_rows": self._late_rows}


def _timed(rows: pa.Table, now_us: int) -> pa.Table:
    """`rows` at one processing time."""
    times = pa.array(np.full(rows.num_rows, now_us, dtype=np.int64))
    return rows.append_column(pa.field(TIME, pa.int64()), times)


def _remembered(frame: Frame) -> int:
    """How far behind the watermark a row of a bounded RANGE stays, in µs."""
    assert frame.lower is not None
    return frame.lower + frame.lower // 2 + MILLISECOND_US


def _depth(node: OverAggregate) -> int | None:
    """How many rows of a partition its later rows need; None for all (or, in a bounded RANGE, by time)."""
    calls = [c for _, c in node.calls]
    lags = [c.offset for c in calls if c.name == "LAG"]
    if node.frame.lower is None:
        if all(c.name == "LAG" or c.carried() for c in calls):
            return max(lags, default=0)
        return None
    return max([node.frame.lower, 1, *lags]) if node.frame.kind == "ROWS" else None


def _late(node: OverAggregate, kept: Kept, rows: str, old: str) -> str:
    """The `$row` of rows behind their watermark for which a row of their partition, not older, was passed."""
    time, mark, row = quote(TIME), quote(WATERMARK), quote(ROW)
    if node.frame.lower is None:
        return f"SELECT {row} FROM {rows} WHERE {time} <= {mark}"
    names = ", ".join([*kept.keys, time, mark, row])
    alive = ""
    if node.frame.kind == "RANGE":
        alive = f" AND p.{time} + {_remembered(node.frame)} > r.{mark}"
    passed = (f"SELECT 1 FROM (SELECT {names} FROM {rows} UNION ALL SELECT {names} FROM {old}) p "
              f"WHERE {kept.same('p', 'r')} AND p.{time} >= r.{time} AND p.{time} <= r.{mark} AND p.{row} < r.{row} "
              f"AND (p.{time} > p.{mark} OR p.{mark} < r.{mark}){alive}")
    return f"SELECT {row} FROM {rows} r WHERE {time} <= {mark} AND EXISTS ({passed})"


class _Values:
    """The values of passed rows: over kept rows, or carried on from partial aggregates."""

    def __init__(self, node: OverAggregate, kept: Kept, context: Context, rows: str, old: str) -> None:
        self._kept = kept
        self._carried = [(n, c) for n, c in node.calls if node.frame.lower is None and c.carried()]
        self._state = None
        self._computed = context.database.compute(self._select(node, rows, old))
        schema = self._computed.run().schema
        self._mid = context.database.over(f"{context.name}$mid", schema)
        names = self._partials()
        stored = [f for f in schema if f.name == KEY or f.name.startswith("$k") or f.name in names]
        self._state = context.database.state(f"{context.name}$carry", pa.schema(stored), ttl_ms=ttl_of(context))
        self._known = context.database.over(f"{context.name}$known", self._state.found_schema)
        self._merge = context.database.compute(self._merged(node))
        self._merged_in = context.database.over(f"{context.name}$merged", self._merge.run().schema)
        relation = quote(self._merged_in.name)
        self._finish = context.database.compute(self._final(node, relation))
        order = ", ".join(f"{quote(c)} DESC" for c in (TIME, WATERMARK, SEQ, ROW))
        newest = f"SELECT * FROM {relation} QUALIFY row_number() OVER ({kept.partitioned()}ORDER BY {order}) = 1"
        self._newest = context.database.compute(newest)
        same = f"SELECT 1 FROM {relation} m WHERE {kept.same('m', 'k')}"
        self._replaced = context.database.compute(
            f"SELECT k.{quote(ROW)} FROM {quote(self._known.name)} k WHERE EXISTS ({same})")

    def __len__(self) -> int:
        return len(self._state) if self._state is not None else 0

    def _partials(self) -> list[str]:
        return [f"$p{i}_{j}" for i, (_, c) in enumerate(self._carried) for j in range(len(c.partials("")))]

    def _select(self, node: OverAggregate, rows: str, old: str) -> str:
        """The passed rows with the values over kept rows, and the partials of carried calls."""
        kept, carried = self._kept, [n for n, _ in self._carried]
        names = ", ".join([*kept.stored[:1], *kept.values, quote(TIME), quote(WATERMARK), quote(SEQ), quote(ROW)])
        both = (f"(SELECT {names}, TRUE AS {quote(NEW)} FROM {rows} UNION ALL "
                f"SELECT {names}, FALSE FROM {old})")
        keys, order = ", ".join(kept.keys), [quote(TIME)]
        arrival = [quote(NEW), quote(WATERMARK), quote(SEQ), quote(ROW)] if node.time else [quote(NEW), quote(ROW)]
        others = [(n, c) for n, c in node.calls if n not in carried]
        values = values_of(others, node.frame, keys, order, arrival)
        now = ", ".join([*kept.keys, quote(NEW)])
        for i, (_, call) in enumerate(self._carried):
            window = window_of(Frame("ROWS"), now, order, arrival, framed=True)
            values += [f"{step} AS {quote(f'$p{i}_{j}')}" for j, (step, _) in enumerate(call.partials(window))]
        frame = node.frame if node.time else Frame("ROWS", node.frame.lower)
        if not node.time and node.frame.kind == "RANGE" and node.frame.lower is not None:
            frame = node.frame
        selected = peers(others, frame, keys, order, arrival, values, both)
        return f"SELECT * FROM ({selected}) WHERE {quote(NEW)}"

    def _merged(self, node: OverAggregate) -> str:
        """The partials of each row merged with those carried from the rows before."""
        mid, known, row = quote(self._mid.name), quote(self._known.name), quote(ROW)
        if not self._carried:
            return f"SELECT * FROM {mid}"
        merges = [m for _, c in self._carried for _, m in c.partials("")]
        names = [quote(n) for n in self._partials()]
        columns = ", ".join(names)
        both = (f"SELECT {row}, 1 AS {quote(SOURCE)}, {columns} FROM {mid} UNION ALL "
                f"SELECT m.{row}, 0, {', '.join('k.' + n for n in names)} FROM {mid} m JOIN {known} k "
                f"ON {self._kept.same('m', 'k')}")
        merged = ", ".join(f"{m.replace('{}', n)} AS {n}" for m, n in zip(merges, names, strict=True))
        grouped = f"SELECT {row}, {merged} FROM ({both}) GROUP BY {row}"
        replaced = ", ".join(f"g.{n} AS {n}" for n in names)
        return f"SELECT m.* REPLACE ({replaced}) FROM {mid} m JOIN ({grouped}) g ON g.{row} = m.{row}"

    def _final(self, node: OverAggregate, relation: str) -> str:
        """The output of passed rows, in order."""
        finals = []
        for i, (name, call) in enumerate(self._carried):
            names = [quote(f"$p{i}_{j}") for j in range(len(call.partials("")))]
            finals.append(f"{call.final(names)} AS {quote(name)}")
        frame = node.frame if node.time else Frame("ROWS")
        keys = ", ".join(self._kept.keys)
        arrival = [quote(h) for h in (WATERMARK, SEQ, ROW)]
        select = peers(self._carried, frame, keys, [quote(TIME)], arrival, finals, relation)
        columns = [quote(c) for c in node.schema.names]
        before = f"greatest({quote(TIME)} - {MILLISECOND_US}, {quote(WATERMARK)})" if node.time else quote(WATERMARK)
        hidden = {WATERMARK: f"{before} AS {quote(WATERMARK)}", SEQ: quote(SEQ)}
        columns += [hidden[h] for h in node.hidden if h != DIFF]
        order = ", ".join([quote(TIME), *(f"r.{quote(h)}" for h in (WATERMARK, SEQ, ROW))])
        if not node.time:
            order = f"r.{quote(ROW)}"
        return f"SELECT {', '.join(columns)} FROM ({select}) r ORDER BY {order}"

    def run(self, rows: pa.Table) -> pa.Table:
        assert self._state is not None
        self._mid.set(self._computed.run())
        self._known.set(self._state.find(rows.column(KEY)))
        self._merged_in.set(self._merge.run())
        return self._finish.run()

    def store(self, now_ms: int) -> None:
        """Carry on what the rows of the last `run` add."""
        assert self._state is not None
        if self._carried:
            newest = self._newest.run()
            self._state.remove(self._replaced.run().column(0))
            self._state.add(newest, now_ms=now_ms)

    def forget(self, now_ms: int) -> None:
        assert self._state is not None
        self._state.forget(now_ms)

"""IntervalJoin: rows of two streams whose times lie within an interval of each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streamsql.core.batch import DERIVED_SEQ, MAX_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Explain, Node, Operator, Statement
from streamsql.core.schema import quote
from streamsql.operators._join_input import (
    AT,
    NUMBER,
    Alone,
    JoinInput,
    behind,
    derived_seq,
    kept,
    numbered_rows,
    rowtime_us,
    selected,
    some,
)
from streamsql.operators._matching import Matching
from streamsql.operators._progress import Progress, origins
from streamsql.operators.join import JoinKind
from streamsql.state.table import KEY, ROW, key_of
from streamsql.windows.window import MILLISECOND_US, floored, shown

_UNTIL, _LOW, _HIGH, _KEYED, _MATCHED = "$until", "$low", "$high", "$keyed", "$matched"
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class IntervalJoin(Node):
    """`left [LEFT | RIGHT | FULL] JOIN right ON … AND right.time BETWEEN left.time + lower AND left.time + upper`.

    matching  when two rows match whose times do
    columns   name and DuckDB text over both sides' columns, in the order of the schema
    times     the rowtime column of the left and of the right
    lower_us, upper_us   right.time - left.time, both included; none fits where lower is above upper
    """

    kind: JoinKind
    matching: Matching
    columns: tuple[tuple[str, str], ...]
    times: tuple[str, str]
    lower_us: int
    upper_us: int

    def outer(self, port: int) -> bool:
        """Rows of this input that meet none come padded."""
        return self.kind in ("FULL", ("LEFT", "RIGHT")[port])

    def kept_us(self, port: int) -> int:
        """How long after its own time a row of this input may meet one of the other."""
        return -self.lower_us if port else self.upper_us

    def delay_us(self) -> int:
        """How far behind the watermark of the inputs a row may still come out."""
        return max(self.kept_us(0), self.kept_us(1), 0)

    def bounds(self, port: int) -> tuple[int, int]:
        """The time of a row of the other input, less that of a row of this one."""
        return (-self.upper_us, -self.lower_us) if port else (self.lower_us, self.upper_us)

    def relation(self, inputs: Sequence[str]) -> str:
        left, right = (rowtime_us(t) for t in self.times)
        between = f"{right} - {left} BETWEEN {self.lower_us} AND {self.upper_us}"
        return (f"SELECT {selected(self.columns)} FROM {inputs[0]} {self.kind} JOIN {inputs[1]} "
                f"ON {self.matching.on()} AND {between}")

    def narrowed(self, needed: Collection[str]) -> IntervalJoin:
        needed = some(self.columns, needed)
        return replace(self, columns=kept(self.columns, needed), schema=self.schema.only(needed))

    def operator(self, context: Context) -> Operator:
        return IntervalJoinStep(self, context)

    def holds_state(self) -> bool:
        return True

    def explain(self) -> Explain:
        left, right = self.times
        between = f"{right} - {left} from {shown(self.lower_us)} to {shown(self.upper_us)}"
        stay = [shown(max(self.kept_us(port), 0)) for port in (0, 1)]
        return Explain("IntervalJoin", (
            ("kind", self.kind.lower()), ("interval", between), ("on", self.matching.on()),
            ("keeps", f"left rows for {stay[0]}, right rows for {stay[1]}, by watermark")))


class IntervalJoinStep(Operator):
    """Join each row with what is kept of the other input, and keep it until the watermark has passed its partners.

        Δout = (ΔL ⋈ R) + (L ⋈ ΔR) + (ΔL ⋈ ΔR)   and, padded, the rows of an outer side that expire unmatched

    Input:   two append-only streams with a rowtime each
    Output:  columns of both; append-only. `$watermark` is held back by the longer of the two times that
             rows are kept, so that no window over either rowtime loses one
    State:   the rows of each input, by the hash of key and time bucket, so that a batch finds those of its
             keys in the time it asks for, and a hot key or none costs no more; and if each was matched
    Cost:    O(|Δin| log state + |Δout|), and twice the rows in the interval of a key
    Forgets: a row once the watermark is past the last time that a partner may have
    Late:    still meets what is kept. A row without partner whose partners' time has passed is padded at once
             by an outer join, and else reported
    Source:  Flink's TimeIntervalJoin. There an expired row goes with a timer that may come later, so that a late
             row may meet it yet; here it goes by its time alone, which does not depend on what else came
    """

    def __init__(self, node: IntervalJoin, context: Context) -> None:
        self._node = node
        self._side = context.side
        self._progress = Progress(node)
        self._shape = node.batch_schema()
        self._delay_us = node.delay_us()
        self._late_rows = 0
        sources = [origins(i) for i in node.inputs]
        self._mingled = bool(sources[0] & sources[1])
        database = context.database
        self._inputs = [JoinInput(node, port, context, self._progress, computed=_computed(node, port),
                                  required=_UNTIL) for port in (0, 1)]
        self._states = []
        for port in (0, 1):
            names = [*node.inputs[port].schema.names, KEY, _UNTIL, AT, SEQ]
            shape = pa.schema([*(self._inputs[port].schema.field(n) for n in names), pa.field(_MATCHED, pa.bool_())])
            self._states.append(database.state(f"{context.name}$kept{port}", shape, time=_UNTIL))
        numbered = [numbered_rows(i.schema.empty_table()).schema for i in self._inputs]
        self._rows = [database.over(f"{context.name}$rows{p}", numbered[p]) for p in (0, 1)]
        self._found = [database.over(f"{context.name}$found{p}", self._states[p].found_schema) for p in (0, 1)]
        self._alone = [Alone(node, port, context, node.columns) for port in (0, 1)]
        self._joins: list[Statement] = [database.compute(self._join_sql(port)) for port in (0, 1)]

    def _join_sql(self, port: int) -> str:
        """The rows of a batch on `port` with those found of the other input."""
        node, other = self._node, 1 - port
        rows, found = quote(self._rows[port].name), quote(self._found[other].name)
        sides = (node.inputs[port].schema.names, node.inputs[other].schema.names)
        own = ", ".join([*(quote(c) for c in sides[0]), f'"{NUMBER}", "{_UNTIL}", "{AT}", "{SEQ}"'])
        theirs = ", ".join([*(quote(c) for c in sides[1]), f'"{ROW}", "{KEY}"',
                            *(f'"{c}" AS "{c}2"' for c in (_UNTIL, AT, SEQ))])
        asked = (f'SELECT {own}, "{_LOW}" AS "$asked" FROM {rows} WHERE "{_KEYED}" UNION ALL '
                 f'SELECT {own}, "{_HIGH}" FROM {rows} WHERE "{_KEYED}" AND "{_HIGH}" <> "{_LOW}"')
        guard = node.matching.guards[other]
        able = f" WHERE ({guard}) IS TRUE" if guard else ""  # an outer side keeps its other rows too
        low, high = node.bounds(port)
        shift = node.kept_us(port) - node.kept_us(other)
        conditions = [f'"$asked" = "{KEY}" AND "{_UNTIL}2" - "{_UNTIL}" + {shift} BETWEEN {low} AND {high}']
        conditions += [node.matching.condition] if node.matching.condition else []
        at, seq = f'"{AT}"', f'"{SEQ}"'
        alive = f'"{_UNTIL}2" >= "{AT}"'
        if self._mingled:  # both have come of one source: of two rows either may be the later one
            later = f'("{AT}" > "{AT}2" OR ("{AT}" = "{AT}2" AND "{SEQ}" >= "{SEQ}2"))'
            at, seq = f'greatest("{AT}", "{AT}2")', f'CASE WHEN {later} THEN "{SEQ}" ELSE "{SEQ}2" END'
            alive = f'CASE WHEN {later} THEN {alive} ELSE "{_UNTIL}" > "{AT}" AND "{_UNTIL}" >= "{AT}2" END'
        conditions.append(alive)
        columns = [selected(node.columns)]
        columns += [f'{behind(at, self._delay_us)} AS "{WATERMARK}"', f'{derived_seq(seq)} AS "{SEQ}"']
        return (f'SELECT {", ".join(columns)}, "{NUMBER}", "{ROW}" FROM ({asked}) b '
                f'JOIN (SELECT {theirs} FROM {found}{able}) f ON {" AND ".join(conditions)} '
                f'ORDER BY "{NUMBER}", "{ROW}"')

    def watermark(self, port: int, watermark_us: int) -> None:
        self._progress.reach(port, watermark_us)

    def step(self, port: int, batch: Batch) -> Batch | None:
        rows = numbered_rows(self._inputs[port].rows(batch))
        other = 1 - port
        keyed = rows.filter(rows.column(_KEYED))
        found = self._states[other].find(np.concatenate([keyed.column(n).to_numpy() for n in (_LOW, _HIGH)]))
        self._rows[port].set(rows)
        self._found[other].set(found)
        joined = self._joins[port].run()
        matched = np.zeros(rows.num_rows, np.bool_)
        matched[joined.column(NUMBER).to_numpy()] = True
        if self._node.outer(other):
            self._mark(other, found, joined.column(ROW).to_numpy())
        alone = self._keep(port, rows, matched)
        out = joined.drop_columns([NUMBER, ROW]).cast(self._shape)
        if alone.num_rows:
            out = pa.concat_tables([out, self._padded(port, alone, AT, self._delay_us)])
        return Batch(out, batch.may_be_late) if out.num_rows else None

    def _mark(self, port: int, found: pa.Table, rows: npt.NDArray[np.int64]) -> None:
        """Rows of an outer side that have met one for the first time will not be padded."""
        first = np.isin(found.column(ROW).to_numpy(), rows) & ~found.column(_MATCHED).to_numpy()
        if first.any():
            changed = found.filter(pa.array(first))
            self._states[port].remove(changed.column(ROW))
            self._states[port].add(_flagged(changed.drop_columns([_MATCHED, ROW]), np.ones(len(changed), np.bool_)))

    def _keep(self, port: int, rows: pa.Table, matched: Bools) -> pa.Table:
        """Keep the rows that may meet others yet; those to be padded now."""
        until, at = (rows.column(n).to_numpy() for n in (_UNTIL, AT))
        stays = until > at
        outer = self._node.outer(port)
        wanted = stays if outer else stays & rows.column(_KEYED).to_numpy()
        self._states[port].add(_flagged(rows, matched).filter(pa.array(wanted)))
        lost = ~stays & ~matched
        if not lost.any():
            return rows.slice(0, 0)
        if not outer:
            late = lost & (until - self._node.kept_us(port) <= at)
            self._late_rows += int(late.sum())
            if late.any():
                self._side.late(rows.column(SEQ).to_numpy()[late].tolist(), "late for every row of the other side")
            return rows.slice(0, 0)
        return rows.filter(pa.array(lost))

    def _padded(self, port: int, rows: pa.Table, by: str, delay_us: int) -> pa.Table:
        """Rows without partner; `$watermark` is `by` less the delay."""
        seq = rows.column(SEQ).to_numpy()
        at = np.maximum(rows.column(by).to_numpy(), -MAX_WATERMARK + delay_us) - delay_us
        visible = rows.select([c for c in rows.column_names if c in self._node.inputs[port].schema])
        made = visible.append_column(WATERMARK, pa.array(at)).append_column(SEQ, pa.array(_derived(seq)))
        return self._alone[port].rows(made).cast(self._shape)

    def advance(self, watermark_us: int) -> Batch | None:
        out = []
        for port, state in enumerate(self._states):
            gone = state.pop(watermark_us)
            if self._node.outer(port) and gone.num_rows:
                alone = gone.filter(pa.array(~gone.column(_MATCHED).to_numpy()))
                out.append(self._padded(port, alone, _UNTIL, self._delay_us + MILLISECOND_US))
        table = pa.concat_tables(out) if out else None
        return Batch(table, may_be_late=False) if table is not None and table.num_rows else None

    def emitted(self, watermark_us: int) -> int:
        """A padded row comes when the watermark has passed its partners' time, a millisecond after the last one."""
        if watermark_us == MAX_WATERMARK:
            return watermark_us
        held_us = self._delay_us + (MILLISECOND_US if self._node.kind != "INNER" else 0)
        return max(watermark_us, -MAX_WATERMARK + held_us) - held_us

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": sum(len(s) for s in self._states), "late_rows": self._late_rows}


def _computed(node: IntervalJoin, port: int) -> list[tuple[str, str]]:
    """What a row is kept and found by: the end of its stay, and the hashes of key and time bucket, its own
    and those of the two buckets in which its partners lie."""
    keys = [pair[port] for pair in node.matching.keys]
    time, (low, high) = rowtime_us(node.times[port]), node.bounds(port)
    width = max(high - low, 1)

    def bucket(us: int) -> str:
        return key_of([*keys, floored(f"({time} + {us})", width, 0)])

    keyed = f"({node.matching.guards[port] or 'TRUE'}) IS TRUE"
    return [(_UNTIL, f"{time} + {node.kept_us(port)}"), (KEY, bucket(0)), (_LOW, bucket(low)), (_HIGH, bucket(high)),
            (_KEYED, keyed)]


def _flagged(rows: pa.Table, matched: Bools) -> pa.Table:
    return rows.append_column(_MATCHED, pa.array(matched))


def _derived(seq: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.where(seq < 0, seq, seq + DERIVED_SEQ)

"""WindowJoin: rows of two windowed streams that lie in one window, joined once, when it closes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from streamsql.core.batch import SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Explain, Node, Operator
from streamsql.core.schema import quote
from streamsql.operators._join_input import AT, JoinInput, kept, selected, some
from streamsql.operators._matching import Matching
from streamsql.operators._progress import Progress
from streamsql.operators.window_aggregate import numbered
from streamsql.state.table import KEY, ROW, key_of
from streamsql.windows.window import MILLISECOND_US, closing_us

_CLOSE = "$close"
Kind = Literal["INNER", "LEFT", "RIGHT", "FULL", "SEMI", "ANTI"]


@dataclass(frozen=True)
class WindowJoin(Node):
    """`left [kind] JOIN right ON left.window_start = right.window_start AND left.window_end = right.window_end AND …`.

    kind      SEMI and ANTI give the left's rows for which a match exists, or none
    matching  when two rows match; it includes that their windows are one
    columns   name and DuckDB text over both sides' columns (the left's for SEMI and ANTI)
    ends      the columns of either side that hold the end of its window
    zone      in which windows end: UTC for a TIMESTAMP rowtime
    """

    kind: Kind
    matching: Matching
    columns: tuple[tuple[str, str], ...]
    ends: tuple[str, str]
    zone: str = "UTC"

    def relation(self, inputs: Sequence[str]) -> str:
        return self.joined(f"{inputs[0]} l", f"{inputs[1]} r", selected(self.columns))

    def joined(self, left: str, right: str, columns: str) -> str:
        on = self.matching.on()
        if self.kind in ("SEMI", "ANTI"):
            word = "" if self.kind == "SEMI" else "NOT "
            return f"SELECT {columns} FROM {left} WHERE {word}EXISTS (SELECT 1 FROM {right} WHERE {on})"
        return f"SELECT {columns} FROM {left} {self.kind} JOIN {right} ON {on}"

    def narrowed(self, needed: Collection[str]) -> WindowJoin:
        needed = some(self.columns, needed)
        return replace(self, columns=kept(self.columns, needed), schema=self.schema.only(needed))

    def operator(self, context: Context) -> Operator:
        return WindowJoinStep(self, context)

    def holds_state(self) -> bool:
        return True

    def explain(self) -> Explain:
        return Explain("WindowJoin", (("kind", self.kind.lower()), ("on", self.matching.on()),
                                      ("emits", "once, when the window closes")))


class WindowJoinStep(Operator):
    """Keep the rows of open windows, and join those of a window when it closes.

        Δout = L ⋈ R restricted to the windows that the watermark has just closed

    Input:   two append-only streams of windowed rows, or of results of window aggregates
    Output:  append-only, by window end and then in order of arrival. `$watermark` is just before the
             closing instant
    State:   the rows of open windows
    Cost:    one append a batch; at a closing, the rows of the windows that close
    Forgets: a row once its window is closed
    Late:    a row whose window was closed at the watermark just before it is dropped and reported
    Source:  Flink's WindowJoinOperator
    """

    def __init__(self, node: WindowJoin, context: Context) -> None:
        database = context.database
        self._side = context.side
        self._progress = Progress(node)
        self._shape = node.batch_schema()
        self._late_rows = 0
        self._inputs = [JoinInput(node, port, context, self._progress, computed=(
            (_CLOSE, closing_us(f"epoch_us({quote(node.ends[port])})", node.zone)), (KEY, key_of(()))))
            for port in (0, 1)]
        self._states = []
        for port in (0, 1):
            schema = self._inputs[port].schema
            shape = pa.schema([f for f in schema if f.name not in (AT, SEQ)])
            self._states.append(database.state(f"{context.name}$open{port}", shape, time=_CLOSE))
        self._closed = [database.over(f"{context.name}$closed{p}", s.found_schema) for p, s in enumerate(self._states)]
        self._join = database.compute(self._join_sql(node))

    def _join_sql(self, node: WindowJoin) -> str:
        sides = []
        for port, closed in enumerate(self._closed):
            columns = ", ".join([*(quote(c) for c in node.inputs[port].schema.names),
                                 f"{quote(_CLOSE)} AS {quote(f'{_CLOSE}{port}')}",
                                 f"{quote(ROW)} AS {quote(f'{ROW}{port}')}"])
            sides.append(f"(SELECT {columns} FROM {quote(closed.name)}) {'lr'[port]}")
        one = node.kind in ("SEMI", "ANTI")
        close = quote(f"{_CLOSE}0") if one else f"coalesce({quote(f'{_CLOSE}0')}, {quote(f'{_CLOSE}1')})"
        order = ", ".join([quote(WATERMARK), *(f"{quote(f'{ROW}{p}')} NULLS LAST" for p in ((0,) if one else (0, 1)))])
        columns = f"{selected(node.columns)}, {close} - {MILLISECOND_US} AS {quote(WATERMARK)}"
        return f"{node.joined(sides[0], sides[1], columns)} ORDER BY {order}"

    def watermark(self, port: int, watermark_us: int) -> None:
        self._progress.reach(port, watermark_us)

    def step(self, port: int, batch: Batch) -> Batch | None:
        rows = self._inputs[port].rows(batch)
        late = rows.column(_CLOSE).to_numpy() <= rows.column(AT).to_numpy()
        if late.any():
            self._late_rows += int(late.sum())
            self._side.late(rows.column(SEQ).to_numpy()[late].tolist(), "late for its window")
            rows = rows.filter(pa.array(~late))
        self._states[port].add(rows)
        return None

    def advance(self, watermark_us: int) -> Batch | None:
        closed = [s.pop(watermark_us, through=True) for s in self._states]
        if not any(c.num_rows for c in closed):
            return None
        for taken, rows in zip(self._closed, closed, strict=True):
            taken.set(rows)
        rows = numbered(self._join.run()).cast(self._shape)
        return Batch(rows, may_be_late=False) if rows.num_rows else None

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": sum(len(s) for s in self._states), "late_rows": self._late_rows}


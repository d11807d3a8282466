"""WindowAssign: TUMBLE, HOP and CUMULATE as a function of tables; it only adds columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace

from streamsql.core.node import Context, Explain, Node, Operator
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.types import DataType, timestamp
from streamsql.operators.project import StatelessStep
from streamsql.windows.window import END, START, TIME, Window, is_utc, shown


@dataclass(frozen=True)
class WindowAssign(Node):
    """The rows of the input, once for each of their windows, with the window's bounds.

    Stateless: late rows pass, and all come out at once, as in Flink without an aggregation. A row
    whose rowtime is NULL is in no window. The schema may leave out columns that nobody reads.

    window    the description; its SQL name is the class's
    time      the rowtime column of the input
    zone      UTC for a TIMESTAMP rowtime, the session's for a TIMESTAMP_LTZ
    names     of the columns window_start, window_end, window_time
    proctime  `time` is processing time
    """

    window: Window
    time: str
    zone: str = "UTC"
    local_zoned: bool = False
    names: tuple[str, str, str] = (START, END, TIME)
    proctime: bool = False

    def _select(self, relation: str, hidden: Sequence[str]) -> str:
        rows = self.window.assign(relation, self.time, zone=self.zone, local_zoned=self.local_zoned,
                                  names=self.names)
        return f"SELECT {', '.join(quote(c) for c in (*self.schema.names, *hidden))} FROM ({rows})"

    def narrowed(self, needed: Collection[str]) -> WindowAssign:
        return replace(self, schema=self.schema.only(needed))

    def relation(self, inputs: Sequence[str]) -> str:
        return self._select(inputs[0], ())

    def stateless(self, relation: str) -> str | None:
        return self._select(relation, self.hidden)

    def operator(self, context: Context) -> Operator:
        return StatelessStep(self, context)

    def explain(self) -> Explain:
        return Explain("Window", described(self.window, self.time, self.zone, self.proctime))


def described(window: Window, time: str, zone: str, proctime: bool = False) -> tuple[tuple[str, str], ...]:
    """A window for EXPLAIN: its function, lengths and time."""
    lengths = [f"{f.name.removesuffix('_us')} {shown(getattr(window, f.name))}"
               for f in fields(window) if getattr(window, f.name)]
    function = f"{type(window).__name__.upper()}({', '.join(lengths)})"
    shown_zone = () if is_utc(zone) else (("zone", zone),)
    return (("function", function), ("proctime" if proctime else "rowtime", time), *shown_zone)


def window_columns(time: Column, names: tuple[str, str, str]) -> tuple[Column, ...]:
    """The three columns that a window function adds, by the type of its time column."""
    bound = timestamp(3).not_null()
    kind = DataType(time.type.root, False, 3)
    return (Column(names[0], bound), Column(names[1], bound), Column(names[2], kind, time.time or "rowtime"))


def window_assign(source: Node, window: Window, time: str, *, zone: str,
                  names: tuple[str, str, str] = (START, END, TIME)) -> WindowAssign:
    """The node of a window function over `source`. zone: that of the session, whatever the rowtime."""
    column = source.schema[time]
    local_zoned = column.type.root == "TIMESTAMP_LTZ"
    plain = (Column(c.name, c.type, c.time if c.time == "proctime" else "") for c in source.schema)
    schema = Schema((*plain, *window_columns(column, names)))
    return WindowAssign((source,), schema, source.append_only, source.hidden, window, time,
                        zone if local_zoned else "UTC", local_zoned, names, column.time == "proctime")

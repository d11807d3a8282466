"""How the rows of a window aggregate get their windows: by slices, or by columns that they carry.

A frame is SQL text only. `$end` is always the end in local µs of what a kept row belongs to: of
its slice (Sliced) or of its window (Attached).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from streamsql.core.batch import SEQ, WATERMARK
from streamsql.core.node import Fused, Node, fuse
from streamsql.core.schema import quote
from streamsql.operators.window import WindowAssign
from streamsql.windows.window import (
    ALWAYS_US,
    NEVER_US,
    Window,
    closed_until_us,
    floored,
    local_us,
)

END, START, AFTER = quote("$end"), quote("$start"), quote("$after")


@dataclass(frozen=True, slots=True)
class Closing:
    """What an advance of the watermark closes.

    rows        the closing windows over the state table `{}`: its columns, `$end` now a window's
    forget      the condition of state rows that no open window holds
    emitted_us  the end up to which all windows are emitted then
    """

    rows: str
    forget: str
    emitted_us: int


class Frame(ABC):
    """Where a row is counted.

    columns  of the state, beside keys and partials
    groups   of them, those that with the keys make a window's group
    several  a kept row may be in several windows, so that what was emitted must be remembered
    """

    columns: tuple[str, ...]
    groups: tuple[str, ...]
    several: bool = False

    def __init__(self, fused: Fused, zone: str) -> None:
        self.fused = fused
        self.zone = zone

    @abstractmethod
    def bounds(self, judged: bool) -> str:
        """The texts of `columns` over the input's rows; `judged` against each row's `$watermark`."""

    @abstractmethod
    def open(self) -> str:
        """The condition of a judged row that is in a window which was open at its `$watermark`."""

    @abstractmethod
    def start(self) -> str:
        """The start of the window that ends at `$end`, in local µs."""

    @abstractmethod
    def closing(self, until_us: int, emitted_us: int) -> Closing | None:
        """What closes when windows ending up to `until_us` do; None if that is known to be none."""

    def rows(self, relation: str, *, judged: bool = False) -> str:
        """The input's rows with their bounds; of judged ones those in open windows only."""
        select = self._bounded(relation, judged)
        return f"SELECT * FROM ({select}) WHERE {self.open()} OR {END} IS NULL" if judged else select

    def late(self, relation: str, named: bool) -> str:
        """The `$seq` of each row that is in no open window (or 1, where records are not named)."""
        seq = quote(SEQ) if named else "1"
        return f"SELECT {seq} FROM ({self._bounded(relation, True)}) WHERE NOT ({self.open()})"

    def _bounded(self, relation: str, judged: bool) -> str:
        return f"SELECT *, {self.bounds(judged)} FROM ({self.fused.select(relation)})"

    def _closed_until(self) -> str:
        return closed_until_us(quote(WATERMARK), self.zone)


class Sliced(Frame):
    """TUMBLE, HOP or CUMULATE directly below: each row is counted in one slice.

    `$after`, where windows share slices: the row counts in those that end after it. That is the
    slice's start, or the last window that was closed for the row.
    """

    def __init__(self, assign: WindowAssign) -> None:
        super().__init__(fuse(assign.inputs[0]), assign.zone)
        self.window: Window = assign.window
        self.time = assign.time
        self.several = not self.window.single
        self.columns = ("$end", "$after") if self.several else ("$end",)
        self.groups = ("$end",)

    def _bounded(self, relation: str, judged: bool) -> str:
        sliced = f"SELECT *, {self.window.slice(local_us(quote(self.time), self.zone))} AS {END}"
        rows = f"{sliced} FROM ({self.fused.select(relation)})"
        return f"SELECT *, {self.bounds(judged)} FROM ({rows})" if self.several else rows

    def bounds(self, judged: bool) -> str:
        unit = self.window.unit_us
        start = f"({END} - {unit})"
        if judged:
            late = f"greatest({start}, {self._closed_until()})"
            start = floored(late, unit, self.window.origin_us % unit)
        return f"{start} AS {AFTER}"

    def open(self) -> str:
        if not self.several:
            return f"{END} > {self._closed_until()}"
        return f"{self.window.last(END)} > {AFTER}"

    def start(self) -> str:
        return self.window.start(END)

    def closing(self, until_us: int, emitted_us: int) -> Closing | None:
        window = self.window
        until_us = window.closed_end(until_us)
        if until_us <= emitted_us:
            return None
        forget = f"{END} <= {window.expired(until_us)}"
        if not self.several:
            return Closing(f"SELECT * FROM {{}} WHERE {forget}", forget, until_us)
        ends = window.ends(END, f"greatest({AFTER}, {emitted_us})", until_us)
        rows = (f"SELECT * EXCLUDE ({END}, {AFTER}), unnest({ends}) AS {END} FROM {{}} "
                f"WHERE {END} > {window.expired(emitted_us)} AND {window.first(END)} <= {until_us}")
        return Closing(rows, forget, until_us)


class Attached(Frame):
    """The rows carry their window as columns: windows of windows, sessions, windows filtered before."""

    columns = ("$start", "$end")
    groups = ("$start", "$end")

    def __init__(self, source: Node, start: str, end: str, zone: str) -> None:
        super().__init__(fuse(source), zone)
        self.names = (start, end)

    def bounds(self, judged: bool) -> str:
        start, end = (f"epoch_us({quote(name)})" for name in self.names)
        return f"{start} AS {START}, {end} AS {END}"

    def open(self) -> str:
        return f"{END} > {self._closed_until()}"

    def late(self, relation: str, named: bool) -> str:
        if not named:
            return super().late(relation, named)
        seq = quote(SEQ)
        rows = self._bounded(relation, True)
        return f"SELECT {seq} FROM ({rows}) GROUP BY {seq} HAVING NOT bool_or({self.open()})"

    def start(self) -> str:
        return START

    def closing(self, until_us: int, emitted_us: int) -> Closing | None:
        until_us = max(min(until_us, ALWAYS_US), NEVER_US)
        closed = f"{END} <= {until_us}"
        return Closing(f"SELECT * FROM {{}} WHERE {closed}", closed, until_us)


def frame_of(source: Node, start: str, end: str, zone: str, texts: tuple[str, ...]) -> Frame:
    """The frame of an aggregation over `source`, whose window columns are `start` and `end`.

    Slices serve where a window function stands directly below and its columns are used as the
    window alone: `texts`, all SQL over the source, must not name them.
    """
    if isinstance(source, WindowAssign) and (start, end) == source.names[:2]:
        named = (quote(name) in text for name in source.names for text in texts)
        if not any(named):
            return Sliced(source)
    return Attached(source, start, end, zone)

"""What an OVER call is, and how its value is computed over the rows of a partition in order.

SQL text only. `CARRIED` calls go on from what is kept of all rows before; the others see the rows
that can still be in a frame again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from streamsql.aggregates import Aggregate
from streamsql.core.schema import quote
from streamsql.core.types import DataType

_EDGES = {"FIRST_VALUE": "arg_min", "LAST_VALUE": "arg_max"}
SOURCE = "$src"
"""0 in the row of what was kept, 1 in that of the rows now."""


@dataclass(frozen=True, slots=True)
class Frame:
    """From so many rows, or µs, before the current row to it; lower None is UNBOUNDED PRECEDING."""

    kind: Literal["ROWS", "RANGE"]
    lower: int | None = None

    def text(self) -> str:
        lower = "UNBOUNDED" if self.lower is None else f"{self.lower}{' µs' * (self.kind == 'RANGE')}"
        return f"{self.kind} BETWEEN {lower} PRECEDING AND CURRENT ROW"


@dataclass(frozen=True, slots=True)
class OverCall:
    """A call before OVER.

    name       upper case
    type       of its value
    aggregate  of an aggregate function
    arguments  of LAG: DuckDB texts of the value and its default
    offset     of LAG: how many rows before
    """

    name: str
    type: DataType
    aggregate: Aggregate | None = None
    arguments: tuple[str, ...] = ()
    offset: int = 1

    def value(self, window: str) -> str:
        """The value for each row over its window, `window` the inside of OVER."""
        if self.aggregate is not None:
            return self.aggregate.over(window)
        if self.name == "ROW_NUMBER":
            return f"row_number() OVER ({window})"
        lag = f"lag({self.arguments[0]}, {self.offset}) OVER ({window})"
        # Flink gives the default for a neighbour that is NULL too
        return f"coalesce({lag}, {self.arguments[1]})" if len(self.arguments) > 1 else lag

    def framed(self) -> bool:
        """Whether it takes the rows of the frame, so that `window` has one."""
        return self.aggregate is not None

    def carried(self) -> bool:
        """Whether an unbounded frame's value goes on from partials of all rows before."""
        if self.aggregate is None:
            return self.name == "ROW_NUMBER"
        if self.aggregate.distinct or (self.aggregate.listed and self.name not in _EDGES):
            return False
        return self.name in _EDGES or self.aggregate.partials() is not None

    def partials(self, window: str) -> list[tuple[str, str]]:
        """Of a carried call: the texts over the rows now, and how they merge with what was kept."""
        if self.aggregate is None:
            return [(f"row_number() OVER ({window})", "CAST(sum({}) AS BIGINT)")]
        if self.name in _EDGES:
            return [(self.aggregate.over(window), f"{_EDGES[self.name]}({{}}, {quote(SOURCE)})")]
        rows = self.aggregate.rows()
        steps = self.aggregate.function.partials(replace(rows, over=window))
        return [(s.step, p.merged) for s, p in zip(steps, self.aggregate.function.partials(rows), strict=True)]

    def final(self, columns: Sequence[str]) -> str:
        """The value from merged partials."""
        if self.aggregate is None or self.name in _EDGES:
            return columns[0]
        return self.aggregate.final(columns)

    def text(self) -> str:
        """For EXPLAIN."""
        if self.aggregate is not None:
            return self.aggregate.text()
        inside = ", ".join([*self.arguments[:1], *([str(self.offset)] if self.arguments else []), *self.arguments[1:]])
        return f"{self.name}({inside})"

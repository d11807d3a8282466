"""HOP: windows of one size that start at every slide, and so overlap."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from streamsql.windows.window import ArgumentError, Window, floored, positive, shown, small_offset

ARGUMENTS = ("slide", "size", "offset")


@dataclass(frozen=True, slots=True)
class Hop(Window):
    """`HOP(TABLE data, DESCRIPTOR(ts), slide, size [, offset])`: a row falls in size / slide windows.

    Output:  the columns of `data` once a window, then `window_start`, `window_end`, `window_time`
    Bounds:  start <= ts < end; end - start = size; starts at offset + k * slide, k any integer
    Raises:  ArgumentError at `slide` or `size` if not positive, at `offset` if not below `slide`;
             `check`, before an aggregation: at `size` if it is not a multiple of `slide`
    Source:  as Flink SQL; with a slide above the size (the older `HOP(ts, …)` only) rows fall out
    """

    slide_us: int
    size_us: int
    offset_us: int = 0

    def __post_init__(self) -> None:
        positive("HOP", "slide", self.slide_us)
        positive("HOP", "size", self.size_us)
        small_offset("HOP", self.offset_us, "slide", self.slide_us)

    def check(self) -> None:
        if self.size_us % self.slide_us:
            swapped = self.size_us < self.slide_us and self.slide_us % self.size_us == 0
            raise ArgumentError(
                "size", f'"size" of HOP ({shown(self.size_us)}) must be a multiple of its "slide" '
                f"({shown(self.slide_us)})", "The order is HOP(TABLE t, DESCRIPTOR(ts), slide, size): the "
                + ("two look swapped." if swapped else "slide comes first."))

    @property
    def unit_us(self) -> int:
        return math.gcd(self.slide_us, self.size_us)

    @property
    def stride_us(self) -> int:
        return self.slide_us

    @property
    def origin_us(self) -> int:
        return self.offset_us

    @property
    def end_origin_us(self) -> int:
        return self.offset_us + self.size_us

    def first(self, slice_end: str) -> str:
        if self.unit_us == self.slide_us:
            return slice_end
        before = floored(f"({slice_end} - 1)", self.slide_us, self.end_origin_us % self.slide_us)
        return f"({before} + {self.slide_us})"

    def last(self, slice_end: str) -> str:
        return f"({slice_end} + {self.size_us - self.unit_us})"

    def start(self, end: str) -> str:
        return f"({end} - {self.size_us})"

    def expired(self, end_us: int) -> int:
        return end_us - self.size_us + self.unit_us


def window(arguments: Mapping[str, int]) -> Hop:
    return Hop(arguments["slide"], arguments["size"], arguments.get("offset", 0))

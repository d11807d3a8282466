"""TUMBLE: windows of one size, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streamsql.windows.window import Window, positive, small_offset

ARGUMENTS = ("size", "offset")


@dataclass(frozen=True, slots=True)
class Tumble(Window):
    """`TUMBLE(TABLE data, DESCRIPTOR(ts), size [, offset])`: every row falls in exactly one window.

    Output:  the columns of `data`, then `window_start`, `window_end`, `window_time`
    Bounds:  start <= ts < end; end - start = size; starts at offset + k * size, k any integer
    Raises:  ArgumentError at `size` if it is not positive, at `offset` if it is not below `size`
    Source:  SQL:2016 polymorphic table functions, as in Flink SQL's windowing TVFs
    """

    size_us: int
    offset_us: int = 0

    def __post_init__(self) -> None:
        positive("TUMBLE", "size", self.size_us)
        small_offset("TUMBLE", self.offset_us, "size", self.size_us)

    @property
    def single(self) -> bool:
        return True

    @property
    def unit_us(self) -> int:
        return self.size_us

    @property
    def stride_us(self) -> int:
        return self.size_us

    @property
    def origin_us(self) -> int:
        return self.offset_us

    @property
    def end_origin_us(self) -> int:
        return self.offset_us

    def first(self, slice_end: str) -> str:
        return slice_end

    def last(self, slice_end: str) -> str:
        return slice_end

    def start(self, end: str) -> str:
        return f"({end} - {self.size_us})"

    def expired(self, end_us: int) -> int:
        return end_us

    def check(self) -> None:
        return


def window(arguments: Mapping[str, int]) -> Tumble:
    return Tumble(arguments["size"], arguments.get("offset", 0))

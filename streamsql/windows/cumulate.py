"""CUMULATE: windows that share a start and grow by a step up to a size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streamsql.windows.window import ArgumentError, Window, floored, positive, shown, small_offset

ARGUMENTS = ("step", "size", "offset")


@dataclass(frozen=True, slots=True)
class Cumulate(Window):
    """`CUMULATE(TABLE data, DESCRIPTOR(ts), step, size [, offset])`: a row falls in every later step.

    Output:  the columns of `data` once a window, then `window_start`, `window_end`, `window_time`
    Bounds:  start <= ts < end; starts at offset + k * size; ends at start + step, + 2 step, … size
    Raises:  ArgumentError at `step` or `size` if not positive, or if `size` is not a multiple of
             `step`; at `offset` if it is not below `step`
    Source:  as Flink SQL
    """

    step_us: int
    size_us: int
    offset_us: int = 0

    def __post_init__(self) -> None:
        positive("CUMULATE", "step", self.step_us)
        positive("CUMULATE", "size", self.size_us)
        if self.size_us % self.step_us:
            swapped = self.step_us % self.size_us == 0
            raise ArgumentError(
                "size", f'"size" of CUMULATE ({shown(self.size_us)}) must be a multiple of its "step" '
                f"({shown(self.step_us)})", "The order is CUMULATE(TABLE t, DESCRIPTOR(ts), step, size): the "
                + ("two look swapped." if swapped else "step comes first."))
        small_offset("CUMULATE", self.offset_us, "step", self.step_us)

    def check(self) -> None:
        return

    @property
    def unit_us(self) -> int:
        return self.step_us

    @property
    def stride_us(self) -> int:
        return self.step_us

    @property
    def origin_us(self) -> int:
        return self.offset_us

    @property
    def end_origin_us(self) -> int:
        return self.offset_us

    def first(self, slice_end: str) -> str:
        return slice_end

    def last(self, slice_end: str) -> str:
        return f"({self.start(slice_end)} + {self.size_us})"

    def start(self, end: str) -> str:
        return floored(f"({end} - 1)", self.size_us, self.offset_us % self.size_us)

    def expired(self, end_us: int) -> int:
        return end_us - (end_us - self.offset_us) % self.size_us


def window(arguments: Mapping[str, int]) -> Cumulate:
    return Cumulate(arguments["step"], arguments["size"], arguments.get("offset", 0))

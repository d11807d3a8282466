"""What all windows of fixed bounds share: a grid of slices, and the windows that hold each slice.

Bounds are integers: microseconds of *local* wall time, i.e. of the TIMESTAMP itself, or of a
TIMESTAMP_LTZ seen in the session's zone (`local_us`). Where an instant matters, to close a window
and to judge a row late, `closing_us` gives it. This module knows SQL text, not nodes and state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from streamsql.core.schema import quote, text_literal
from streamsql.errors import BindError, Span

MILLISECOND_US = 1000
HOUR_US = 3_600_000_000
NEVER_US = -(2**62)
"""Earlier than every bound; adding a window's size to it does not overflow."""
ALWAYS_US = 2**62
"""Later than every bound."""
_YEAR_1_US = -62_135_596_800_000_000
START, END, TIME = "window_start", "window_end", "window_time"


class ArgumentError(BindError):
    """A window function does not take this interval; `argument` names it, as `size`.

    The planner, which knows where the argument stands, gives the span.
    """

    def __init__(self, argument: str, message: str, hint: str | None = None) -> None:
        super().__init__(message, None, hint=hint)
        self.argument = argument

    def at(self, span: Span) -> ArgumentError:
        self.span = span
        return self


def microseconds(function: str, argument: str, months: int, us: int) -> int:
    """The length of an interval argument. Raises ArgumentError for one that holds months."""
    if months:
        raise ArgumentError(argument, f'"{argument}" of {function} is an interval of months or years',
                            "Their length varies; write days, hours, minutes or seconds.")
    return us


def positive(function: str, argument: str, us: int) -> None:
    if us <= 0:
        raise ArgumentError(argument, f'"{argument}" of {function} must be positive, not {shown(us)}',
                            "Write an interval such as INTERVAL '10' SECOND.")


def small_offset(function: str, offset_us: int, argument: str, limit_us: int) -> None:
    if abs(offset_us) >= limit_us:
        raise ArgumentError("offset", f'"offset" of {function} is {shown(offset_us)}, which is not less than '
                            f'its "{argument}" of {shown(limit_us)}', "An offset shifts the grid of windows "
                            f'by less than one "{argument}".')


def shown(us: int) -> str:
    """An interval for people: `90 s`, `1500 ms`."""
    for unit, length in (("day", 24 * HOUR_US), ("h", HOUR_US), ("min", 60_000_000), ("s", 1_000_000)):
        if us and us % length == 0:
            count = us // length
            return f"{count} {unit}" + ("s" if unit == "day" and abs(count) != 1 else "")
    return f"{us / 1000:g} ms"


def is_utc(zone: str) -> bool:
    return zone.upper() in ("", "UTC", "Z", "GMT", "ETC/UTC")


def local_us(time: str, zone: str) -> str:
    """Wall time in µs: of a TIMESTAMP (zone UTC), or of an instant seen in `zone`."""
    return f"epoch_us({time})" if is_utc(zone) else f"epoch_us(timezone({text_literal(zone)}, {time}))"


def closing_us(end: str, zone: str) -> str:
    """The instant at or after which the watermark closes a window, from its end in local µs.

    That is the instant of `end - 1 ms`. Of an hour that the clock repeats it is the later one, and
    in an hour that it skips the moment of the change, as Flink's TimeWindowUtil has it.
    """
    last = f"({end} - {MILLISECOND_US})"
    if is_utc(zone):
        return last
    at = _instant_us(last, zone)
    after = _instant_us(f"({last} + {HOUR_US})", zone)  # equal to `at` only in a skipped hour
    return f"CASE WHEN {at} = {after} THEN {at} - {at} % {HOUR_US} ELSE {at} END"


def closed_until_us(watermark: str, zone: str) -> str:
    """The latest end in local µs of a window that is closed at a watermark; both are SQL.

    `end <= closed_until_us(w)` says the same as `closing_us(end) <= w`. While the clock runs
    through an hour that it will repeat, nothing in that hour closes.
    """
    if is_utc(zone):
        return f"({watermark} + {MILLISECOND_US})"
    watermark = f"greatest({watermark}, {_YEAR_1_US})"  # zones have no earlier times
    local = local_us(f"make_timestamptz({watermark})", zone)
    until = f"({local} + {MILLISECOND_US})"
    repeated = f"{closing_us(until, zone)} > {watermark}"
    return f"CASE WHEN {repeated} THEN {floored(local, HOUR_US, 0)} ELSE {until} END"


def time_us(end: str, zone: str) -> str:
    """`window_time` as an instant: of a repeated hour the earlier one, as in Flink."""
    last = f"({end} - {MILLISECOND_US})"
    if is_utc(zone):
        return last
    at = _instant_us(last, zone)
    before = f"({at} - {HOUR_US})"
    again = local_us(f"make_timestamptz({before})", zone)
    return f"CASE WHEN {again} = {last} THEN {before} ELSE {at} END"


def _instant_us(local: str, zone: str) -> str:
    return f"epoch_us(timezone({text_literal(zone)}, make_timestamp({local})))"


def time_column(end: str, zone: str, local_zoned: bool) -> str:
    """`window_time`: a TIMESTAMP, or a TIMESTAMPTZ where the rowtime is TIMESTAMP_LTZ."""
    make = "make_timestamptz" if local_zoned else "make_timestamp"
    return f"{make}({time_us(end, zone)})"


def floored(value: str, step: int, origin: int) -> str:
    """The greatest `origin + k * step` at or before `value`; times before 1970 too."""
    shifted = f"({value} - {origin})" if origin else value
    return f"({value} - (({shifted} % {step}) + {step}) % {step})"


@dataclass(frozen=True, slots=True)
class Window(ABC):
    """Windows with fixed bounds, cut into slices so that each row is counted in one slice only.

    A slice is `[end - unit, end)` on the grid `offset + k * unit`; every window is a run of whole
    slices, and the windows that hold a slice end at `first`, `first + stride`, … `last`.
    """

    @property
    @abstractmethod
    def unit_us(self) -> int:
        """The width of a slice."""

    @property
    @abstractmethod
    def stride_us(self) -> int:
        """The distance from a window's end to the next."""

    @property
    @abstractmethod
    def origin_us(self) -> int:
        """A slice's end; the others are whole units away."""

    @property
    @abstractmethod
    def end_origin_us(self) -> int:
        """A window's end; the others are whole strides away."""

    @abstractmethod
    def first(self, slice_end: str) -> str:
        """The end of the first window that holds the slice, as SQL."""

    @abstractmethod
    def last(self, slice_end: str) -> str:
        """The end of the last window that holds the slice, as SQL; before `first` if none does."""

    @abstractmethod
    def start(self, end: str) -> str:
        """The start of the window that ends at `end`, as SQL."""

    @abstractmethod
    def expired(self, end_us: int) -> int:
        """The last slice that no window ending after `end_us` holds."""

    @property
    def single(self) -> bool:
        """Every slice is one window."""
        return False

    @abstractmethod
    def check(self) -> None:
        """Raises ArgumentError for lengths that an aggregation does not take."""

    def slice(self, time: str) -> str:
        """The end of the slice that holds the local time `time`, both in µs, as SQL."""
        return f"({floored(time, self.unit_us, self.origin_us % self.unit_us)} + {self.unit_us})"

    def closed_end(self, limit_us: int) -> int:
        """The last end of a window at or before `limit_us`."""
        if abs(limit_us) >= ALWAYS_US:
            return max(min(limit_us, ALWAYS_US), NEVER_US)
        return limit_us - (limit_us - self.end_origin_us) % self.stride_us

    def ends(self, slice_end: str, after: str | None = None, until_us: int | None = None) -> str:
        """A list of the ends of the windows that hold a slice, those in `(after, until_us]` only."""
        first, last = self.first(slice_end), self.last(slice_end)
        if after is not None:
            next_end = floored(after, self.stride_us, self.end_origin_us % self.stride_us)
            first = f"greatest({first}, {next_end} + {self.stride_us})"
        if until_us is not None:
            last = f"least({last}, {until_us})"
        return f"generate_series({first}, {last}, {self.stride_us})"

    def assign(self, relation: str, time: str, *, zone: str = "UTC", local_zoned: bool = False,
               names: tuple[str, str, str] = (START, END, TIME)) -> str:
        """The SELECT that adds the window columns to each row of `relation`, once a window.

        time         the name of the rowtime column
        zone         UTC for a TIMESTAMP, the session's zone for a TIMESTAMP_LTZ (local_zoned)
        A row whose rowtime is NULL is in no window and left out, as in Flink.
        """
        column = quote(time)
        held = self.slice(local_us(column, zone))
        end = held if self.single else f"unnest({self.ends(held)})"
        start, finish, instant = (quote(n) for n in names)
        e = quote("$end")
        return (f"SELECT * EXCLUDE ({e}), make_timestamp({self.start(e)}) AS {start}, "
                f"make_timestamp({e}) AS {finish}, {time_column(e, zone, local_zoned)} AS {instant} "
                f"FROM (SELECT *, {end} AS {e} FROM {relation} WHERE {column} IS NOT NULL)")

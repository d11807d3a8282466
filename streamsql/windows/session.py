"""SESSION: windows that the rows themselves make, ended by a gap without rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamsql.core.schema import quote
from streamsql.windows.window import positive

ARGUMENTS = ("gap",)


@dataclass(frozen=True, slots=True)
class Session:
    """`SESSION(TABLE data [PARTITION BY k], DESCRIPTOR(ts), gap)`: rows that follow within the gap.

    Output:  the columns of `data`, then `window_start`, `window_end`, `window_time`
    Bounds:  start = the first ts, end = the last ts + gap; windows that touch are one, so that a row
             exactly one gap after the last still belongs to it
    Raises:  ArgumentError at `gap` if it is not positive
    Source:  as Flink SQL
    """

    gap_us: int

    def __post_init__(self) -> None:
        positive("SESSION", "gap", self.gap_us)

    def islands(self, rows: str, keys: Sequence[str], start: str, end: str) -> str:
        """`rows` with `$island`, the number of the session within its key; none of them late.

        keys, start, end  column names; a row covers `[start, end]`, and sessions are unions of
        what overlaps or touches
        """
        by = f"PARTITION BY {', '.join(map(quote, keys))} " if keys else ""
        start, end = quote(start), quote(end)
        begins, order = quote("$begins"), f"{by}ORDER BY {start}, {end}"
        reached = f"max({end}) OVER ({order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
        begun = f"SELECT *, CASE WHEN {start} <= {reached} THEN 0 ELSE 1 END AS {begins} FROM {rows}"
        number = f"sum({begins}) OVER ({order} RANGE UNBOUNDED PRECEDING)"  # equal rows are together
        return f"SELECT * EXCLUDE ({begins}), {number} AS {quote('$island')} FROM ({begun})"


def window(arguments: Mapping[str, int]) -> Session:
    return Session(arguments["gap"])


@dataclass(slots=True)
class _Open:
    start: int
    end: int
    members: list[int]


def resolved(times: Sequence[int], closed: Sequence[int], gap_us: int) -> list[tuple[int, int] | None]:
    """The session of each row of one key, row by row in order of arrival; None for a late row.

    times   of the rows, local µs
    closed  for each row the latest end that was closed at its `$watermark`
    A session that was closed for a row cannot be joined by it any more. A row that joins none and
    whose own session would be closed is late. This is the plain path that `islands` must equal
    where no row is behind its watermark.
    """
    sessions: list[_Open] = []
    for row, (time, until) in enumerate(zip(times, closed, strict=True)):
        start, end = time, time + gap_us
        touching = [s for s in sessions if s.end > until and s.start <= end and start <= s.end]
        if not touching and end <= until:
            continue
        merged = _Open(min([start, *(s.start for s in touching)]), max([end, *(s.end for s in touching)]),
                       [row, *(m for s in touching for m in s.members)])
        sessions = [s for s in sessions if s not in touching] + [merged]
    found: list[tuple[int, int] | None] = [None] * len(times)
    for session in sessions:
        for member in session.members:
            found[member] = (session.start, session.end)
    return found

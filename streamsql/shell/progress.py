"""How a running job is seen: one live line on a terminal, log lines with fields elsewhere."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.live import Live
from rich.text import Text

from streamsql.core.batch import MAX_WATERMARK, MIN_WATERMARK
from streamsql.shell.render import Screen

if TYPE_CHECKING:
    from streamsql.session import Query, QueryStatistics

LOG = logging.getLogger("streamsql.progress")
LOG_INTERVAL_S = 2.0
REFRESHES_PER_SECOND = 4
RATE_WINDOW_S = 1.0
"""A rate is taken over at least this long, or it flickers."""


class Progress(ABC):
    """Shows how a query goes while a block of code drives it."""

    @abstractmethod
    def watch(self, query: Query) -> AbstractContextManager[None]:
        """Progress is shown inside the `with` block."""

    @abstractmethod
    def summary(self, statistics: QueryStatistics) -> None:
        """The query has ended: its totals."""


class LiveLine(Progress):
    """One line at the foot of a terminal, redrawn in place; results scroll above it."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    @contextmanager
    def watch(self, query: Query) -> Iterator[None]:
        rates = Rates()

        def line() -> Text:
            text = status_text(query.statistics(), rates)
            return Text(text, style="cyan", no_wrap=True, overflow="ellipsis")

        with Live(get_renderable=line, console=self._screen.console, transient=True,
                  refresh_per_second=REFRESHES_PER_SECOND, redirect_stdout=False, redirect_stderr=False):
            self._screen.live = True
            try:
                yield
            finally:
                self._screen.live = False

    def summary(self, statistics: QueryStatistics) -> None:
        self._screen.print(Text(summary_text(statistics), style="cyan"))


class LogLines(Progress):
    """A log record every two seconds, and one at the end."""

    def __init__(self, interval_s: float = LOG_INTERVAL_S) -> None:
        self._interval_s = interval_s

    @contextmanager
    def watch(self, query: Query) -> Iterator[None]:
        ended = threading.Event()

        def report() -> None:
            while not ended.wait(self._interval_s):
                LOG.info("progress", extra={"fields": statistics_fields(query.statistics())})

        thread = threading.Thread(target=report, name="streamsql-progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def summary(self, statistics: QueryStatistics) -> None:
        LOG.info("done", extra={"fields": statistics_fields(statistics)})


class Rates:
    """Rows a second in and out, from the counters as they grow."""

    def __init__(self) -> None:
        self._at_s = 0.0
        self._rows = (0, 0)
        self._per_s = (0.0, 0.0)

    def update(self, statistics: QueryStatistics) -> tuple[float, float]:
        """The rates now; those of the last window until a new one is full."""
        span_s = statistics.elapsed_s - self._at_s
        if span_s >= RATE_WINDOW_S or not any(self._per_s):
            rows = (statistics.rows_in, statistics.rows_out)
            if span_s > 0:
                self._per_s = ((rows[0] - self._rows[0]) / span_s, (rows[1] - self._rows[1]) / span_s)
            if span_s >= RATE_WINDOW_S:
                self._at_s, self._rows = statistics.elapsed_s, rows
        return self._per_s


def status_text(statistics: QueryStatistics, rates: Rates) -> str:
    """`12.4k rows/s in · 312 rows/s out · lag 0 · watermark 12:00:05 · late 0 · errors 0 · state 1.2k · 3 s`."""
    rate_in, rate_out = rates.update(statistics)
    lag = "–" if statistics.lag_rows is None else f"{statistics.lag_rows:,}"
    state = (f"state {short(statistics.state_rows)}",) if statistics.state_rows else ()
    parts = (f"{short(rate_in)} rows/s in", f"{short(rate_out)} rows/s out", f"lag {lag}",
             f"watermark {watermark_text(statistics.watermark_us)}", f"late {statistics.late:,}",
             f"errors {statistics.errors:,}", *state, f"{statistics.elapsed_s:.0f} s")
    return " · ".join(parts)


def summary_text(statistics: QueryStatistics) -> str:
    """`200,000 rows in, 40 out in 3.2 s; 2 late; 3 errors (undecodable 3)`."""
    text = (f"{statistics.rows_in:,} rows in, {statistics.rows_out:,} out "
            f"in {statistics.elapsed_s:.1f} s")
    if statistics.late:
        text += f"; {statistics.late:,} late"
    if statistics.expired:
        text += f"; {statistics.expired:,} expired"
    if statistics.skipped:
        text += f"; {statistics.skipped:,} skipped"
    if statistics.errors:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in
                            sorted(statistics.errors_by_reason.items()))
        text += f"; {statistics.errors:,} errors" + (f" ({reasons})" if reasons else "")
    return text


def statistics_fields(statistics: QueryStatistics) -> dict[str, object]:
    """The counters as fields of a log record."""
    elapsed_s = statistics.elapsed_s
    return {
        "rows_in": statistics.rows_in, "rows_out": statistics.rows_out,
        "rows_in_per_s": round(statistics.rows_in / elapsed_s) if elapsed_s > 0 else 0,
        "lag_rows": statistics.lag_rows, "watermark": watermark_text(statistics.watermark_us, full=True),
        "late": statistics.late, "errors": statistics.errors, "skipped": statistics.skipped,
        "state_rows": statistics.state_rows, "expired": statistics.expired, "epoch": statistics.epoch,
        "elapsed_s": round(elapsed_s, 1),
    }


def watermark_text(watermark_us: int | None, *, full: bool = False) -> str:
    """Event time as `12:00:05`, or with its date if `full`; `–` before any, `end` after all input."""
    if watermark_us is None or watermark_us == MIN_WATERMARK:
        return "none" if full else "–"
    if watermark_us == MAX_WATERMARK:
        return "end"
    moment = _moment(watermark_us)
    if moment is None:
        return str(watermark_us)
    return moment.isoformat(timespec="milliseconds") if full else moment.strftime("%H:%M:%S")


def short(rate: float) -> str:
    """A count in at most five characters: 312, 4.1k, 12k, 1.3M."""
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if rate >= limit:
            return f"{rate / limit:.1f}{unit}" if rate < 10 * limit else f"{rate / limit:.0f}{unit}"
    return f"{rate:.0f}"


def _moment(time_us: int) -> datetime | None:
    """The moment, or None outside the years that datetime knows."""
    try:
        return datetime.fromtimestamp(time_us // 1_000_000, UTC).replace(
            microsecond=time_us % 1_000_000, tzinfo=None)
    except (OverflowError, ValueError, OSError):
        return None

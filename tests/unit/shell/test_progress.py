"""How a running job is seen: the status line, the summary, log lines of fields."""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from typing import Any

import pytest

from streamsql.core.batch import MAX_WATERMARK, MIN_WATERMARK
from streamsql.shell.log import FieldFormatter, field_text
from streamsql.shell.progress import (
    LiveLine,
    LogLines,
    Rates,
    short,
    statistics_fields,
    status_text,
    summary_text,
    watermark_text,
)
from streamsql.shell.render import Screen
from tests.unit.shell.fakes import FakeQuery, FakeStatistics

NOON_US = 1_769_860_800_000_000


def at(elapsed_s: float, rows_in: int, rows_out: int = 0) -> Any:
    return FakeStatistics(rows_in=rows_in, rows_out=rows_out, elapsed_s=elapsed_s)


def test_the_status_line_has_every_number_of_a_job() -> None:
    statistics: Any = FakeStatistics(rows_in=24_800, rows_out=624, lag_rows=1200, late=3, errors=1,
                                     watermark_us=NOON_US + 5_000_000, elapsed_s=2.0)
    assert status_text(statistics, Rates()) == (
        "12k rows/s in · 312 rows/s out · lag 1,200 · watermark 12:00:05 · late 3 · errors 1 · 2 s")


def test_a_source_without_lag_shows_a_dash() -> None:
    statistics: Any = FakeStatistics(lag_rows=None, watermark_us=None)
    assert "lag – · watermark –" in status_text(statistics, Rates())


def test_rates_are_those_of_the_last_second_or_more() -> None:
    rates = Rates()
    assert rates.update(at(0.0, 0)) == (0.0, 0.0)
    assert rates.update(at(0.5, 50)) == (100.0, 0.0)
    assert rates.update(at(1.0, 100, 10)) == (100.0, 10.0)
    assert rates.update(at(2.0, 400, 30)) == (300.0, 20.0)
    assert rates.update(at(2.5, 400, 30)) == (300.0, 20.0)
    assert rates.update(at(3.0, 400, 30)) == (0.0, 0.0)


def test_the_summary_names_late_rows_and_errors_by_reason_when_there_are_any() -> None:
    plain: Any = FakeStatistics(rows_in=200_000, rows_out=40, elapsed_s=3.21)
    assert summary_text(plain) == "200,000 rows in, 40 out in 3.2 s"
    troubled = replace(plain, late=2, errors=3, errors_by_reason={"undecodable": 2, "future": 1})
    assert summary_text(troubled) == (
        "200,000 rows in, 40 out in 3.2 s; 2 late; 3 errors (future 1, undecodable 2)")


@pytest.mark.parametrize(("watermark_us", "text", "full"), [
    (None, "–", "none"), (MIN_WATERMARK, "–", "none"), (MAX_WATERMARK, "end", "end"),
    (NOON_US + 123_456, "12:00:00", "2026-01-31T12:00:00.123"), (-1, "23:59:59", "1969-12-31T23:59:59.999"),
    (10**18, str(10**18), str(10**18)),
])
def test_watermarks(watermark_us: int | None, text: str, full: str) -> None:
    assert watermark_text(watermark_us) == text
    assert watermark_text(watermark_us, full=True) == full


@pytest.mark.parametrize(("rate", "text"), [
    (0, "0"), (999, "999"), (1000, "1.0k"), (12_345, "12k"), (1_340_000, "1.3M"), (25_000_000, "25M")])
def test_short_counts(rate: float, text: str) -> None:
    assert short(rate) == text


def test_a_log_line_is_fields() -> None:
    record = logging.LogRecord("streamsql.progress", logging.INFO, "", 0, "done", None, None)
    record.created = 1_769_860_800.25
    record.fields = {"rows_in": 1, "lag_rows": None, "topic": "my topic", "why": 'a "b"'}
    assert FieldFormatter().format(record) == (
        "time=2026-01-31T12:00:00.250Z level=info logger=streamsql.progress event=done "
        'rows_in=1 lag_rows=- topic="my topic" why="a \\"b\\""')


@pytest.mark.parametrize(("value", "text"), [("", '""'), (1.5, "1.5"), ("a=b", '"a=b"'), ("a\nb", '"a\\nb"')])
def test_a_field_is_quoted_when_it_must_be(value: object, text: str) -> None:
    assert field_text(value) == text


def test_log_lines_come_while_a_job_runs_and_once_at_its_end() -> None:
    query: Any = FakeQuery([], endless=True)
    seen = LogHandler(query)
    logger = logging.getLogger("streamsql.progress")
    logger.addHandler(seen)
    before, logger.level = logger.level, logging.INFO
    try:
        progress = LogLines(interval_s=0.001)
        with progress.watch(query):
            query.wait()
        progress.summary(query.statistics())
    finally:
        logger.removeHandler(seen)
        logger.setLevel(before)
    assert seen.events[0] == "progress"
    assert seen.events[-1] == "done"


class LogHandler(logging.Handler):
    """Stops the query at its first log line."""

    def __init__(self, query: FakeQuery) -> None:
        super().__init__()
        self.events: list[str] = []
        self._query = query

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append(record.getMessage())
        self._query.stop()


def test_a_live_line_leaves_the_summary_behind() -> None:
    stream = io.StringIO()
    query: Any = FakeQuery([])
    line = LiveLine(Screen(stream, color=True))
    with line.watch(query):
        query.wait()
    line.summary(query.statistics())
    assert "rows/s in" in stream.getvalue()
    assert stream.getvalue().rstrip().endswith("10 rows in, 3 out in 2.0 s\x1b[0m")


def test_fields_of_a_job() -> None:
    statistics: Any = FakeStatistics(watermark_us=MAX_WATERMARK)
    assert statistics_fields(statistics) == {
        "rows_in": 10, "rows_out": 3, "rows_in_per_s": 5, "lag_rows": 0, "watermark": "end", "late": 0,
        "errors": 0, "skipped": 0, "state_rows": 0, "expired": 0, "epoch": 1, "elapsed_s": 2.0}

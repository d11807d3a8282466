"""The measured queries, in streamsql's SQL, run through its public API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import streamsql

BIDS = """
CREATE TABLE bids (
  auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, `dateTime` TIMESTAMP(3), extra STRING,
  WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '4' SECOND
) WITH (
  'connector'='kafka', 'properties.bootstrap.servers'='{bootstrap}', 'topic'='{bids}', 'format'='json',
  'scan.startup.mode'='earliest-offset', 'scan.bounded.mode'='latest-offset')"""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A query: its sink and its INSERT; `target` is the least ratio to the client's rate."""

    name: str
    target: float
    sink: str
    insert: str


COUNT = Benchmark("10 s tumbling COUNT per auction", 0.35, """
CREATE TABLE counts (auction BIGINT, window_end TIMESTAMP(3), n BIGINT) WITH ('connector'='blackhole')""", """
INSERT INTO counts
SELECT auction, window_end, COUNT(*)
FROM TABLE(TUMBLE(TABLE bids, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND))
GROUP BY auction, window_start, window_end""")

FILTER = Benchmark("filter one in eight, produce JSON", 0.20, """
CREATE TABLE cheap (auction BIGINT, bidder BIGINT, price BIGINT, `dateTime` TIMESTAMP(3)) WITH (
  'connector'='kafka', 'properties.bootstrap.servers'='{bootstrap}', 'topic'='{out}', 'format'='json')""", """
INSERT INTO cheap SELECT auction, bidder, price, `dateTime` FROM bids WHERE MOD(price, 8) = 0""")

ALL = (COUNT, FILTER)


def prepared(session: streamsql.Session, benchmark: Benchmark, topics: Mapping[str, str]) -> streamsql.Query:
    """The query, not yet started."""
    session.sql(BIDS.format_map(topics))
    session.sql(benchmark.sink.format_map(topics))
    return session.sql(benchmark.insert)


def run(benchmark: Benchmark, topics: Mapping[str, str], count: int) -> float:
    """Run to the end of the topic; seconds from start to end. Raises AssertionError when a record is missing."""
    with streamsql.connect() as session:
        query = prepared(session, benchmark, topics)
        started = time.perf_counter()
        query.wait()
        elapsed = time.perf_counter() - started
        statistics = query.statistics()
    assert statistics.rows_in == count, f"{statistics.rows_in} of {count} records read"
    assert not statistics.late, f"{statistics.late} late"
    assert not statistics.errors, f"errors {dict(statistics.errors_by_reason)}"
    return elapsed

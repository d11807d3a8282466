"""The benchmarks give right answers: what is fast has to be correct first."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest

import streamsql
from streamsql.connectors import kafka_mock
from tests.benchmarks import client, queries, report
from tests.benchmarks.nexmark import RATE, RUN, Bids
from tests.benchmarks.stages import STAGES, measured

SERVERS = "mock://benchmarks"
ROWS = 40_000
TOPICS = {"bootstrap": SERVERS, "bids": "bids", "out": "out"}


@pytest.fixture(scope="module")
def bids() -> Iterator[list[dict[str, object]]]:
    """The records of the topic, parsed; the topic is on a broker of this module."""
    records = list(Bids().chunks(ROWS, 10_000))
    broker = kafka_mock.broker(SERVERS)
    for topic in ("bids", "out"):
        broker.create_topic(topic, client.PARTITIONS)
    assert client.fill(broker.bootstrap, "bids", records, RUN) == ROWS
    yield [json.loads(record) for chunk in records for record in chunk]
    kafka_mock.close(SERVERS)


def test_bids_are_seeded_and_about_200_bytes() -> None:
    chunk = Bids().chunk(50_000, 1000)
    assert chunk == Bids().chunk(50_000, 1000)
    assert chunk != Bids(43).chunk(50_000, 1000)
    assert 195 <= sum(map(len, chunk)) / len(chunk) <= 210


def test_the_count_is_right(bids: list[dict[str, object]]) -> None:
    with streamsql.connect() as session:
        queries.prepared(session, queries.COUNT, TOPICS)
        rows = session.sql(queries.COUNT.insert.split("INSERT INTO counts")[1]).fetchall()
    assert len(bids) < 10 * RATE, "one window"
    assert {auction: n for auction, _, n in rows} == Counter(bid["auction"] for bid in bids)


def test_about_one_row_in_eight_is_produced(bids: list[dict[str, object]]) -> None:
    assert queries.run(queries.FILTER, TOPICS, ROWS) > 0
    with streamsql.connect() as session:
        session.sql(queries.FILTER.sink.replace("'format'", "'scan.startup.mode'='earliest-offset', "
                    "'scan.bounded.mode'='latest-offset', 'format'").format_map(TOPICS))
        rows = session.sql("SELECT auction, bidder, price FROM cheap").fetchall()
    expected = [(b["auction"], b["bidder"], b["price"]) for b in bids if int(str(b["price"])) % 8 == 0]
    assert sorted(rows) == sorted(expected)
    assert 0.1 < len(expected) / ROWS < 0.15


def test_stages_are_clocked_and_put_back(bids: list[dict[str, object]]) -> None:
    plain = [getattr(owner, name) for places in STAGES.values() for owner, name in places]
    with measured() as clocks:
        queries.run(queries.COUNT, TOPICS, ROWS)
    assert {"poll", "decode", "watermark", "operators", "commit"} <= set(clocks.seconds)
    assert [getattr(owner, name) for places in STAGES.values() for owner, name in places] == plain


def test_the_table_has_a_share_for_each_stage() -> None:
    line = report.Line("a query", 400_000.0, 0.4, 0.35, 2.0, dict.fromkeys(STAGES, 0.25))
    assert report.table([line]).splitlines()[2] == \
        "| a query | 400 k | 0.40 | 0.35 | 2.00 | 12 % | 12 % | 12 % | 12 % | 12 % | 12 % | 25 % |"

"""The events of the tests: as JSON records for streamsql, as tables for the oracle."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from streamsql import Session
from streamsql.connectors.nexmark_events import MODEL, Events, Settings
from tests.nexmark.runs import FOLDER, TOPIC, ddl

COUNT = 200_000
RATE = 1000
START_US = 1_704_153_540_000_000
"""2024-01-01 23:59:00, as generate.sql says: the events go over midnight."""


@dataclass(frozen=True)
class Given:
    """`records` of the topic; `oracle` has the tables person, auction and bid, each with `n`, the event's number."""

    records: pa.ChunkedArray
    oracle: duckdb.DuckDBPyConnection


def records(count: int) -> pa.ChunkedArray:
    """The topic after generate.sql."""
    with Session(threaded=False) as session:
        for _ in session.execute(ddl((FOLDER / "ddl.sql").read_text())):
            pass
        generate = (FOLDER / "generate.sql").read_text()
        query = list(session.execute(generate, variables={"events": str(count)}))[-1].query
        assert query is not None
        while query.turn():
            pass
        query.commit()
        return session.memory(TOPIC).rows()["value"]


def oracle(count: int) -> duckdb.DuckDBPyConnection:
    """The same events, never seen by streamsql's SQL."""
    settings = Settings(start_us=START_US, rate=RATE)
    events = Events(settings).table(np.arange(count, dtype=np.uint64), tuple(MODEL))
    database = duckdb.connect(config={"threads": 1})
    database.register("events", events.append_column("n", pa.array(range(count))))
    for kind in ("person", "auction", "bid"):
        database.execute(f"CREATE TABLE {kind} AS SELECT {kind}.*, n FROM events WHERE {kind} IS NOT NULL")
    database.unregister("events")
    return database

"""Rows of state that a time to live drops are counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamsql.core.clock import ManualClock
from streamsql.session import Session

QUERIES = {
    "SELECT k, COUNT(*), COUNT(DISTINCT v) FROM t GROUP BY k": 4,
    "SELECT a.v, b.v FROM t AS a JOIN t AS b ON a.k = b.k": 4,
    "SELECT v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v) AS n FROM t) WHERE n <= 2": 2,
}


@pytest.mark.parametrize("sql", QUERIES)
def test_what_a_time_to_live_drops_is_counted(sql: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "1.json").write_text('{"k": "a", "v": 1}\n{"k": "b", "v": 2}\n')
    clock = ManualClock(1_000_000)
    with Session(threaded=False, clock=clock) as session:
        list(session.execute(f"""SET 'table.exec.state.ttl' = '10 s'; CREATE TABLE t (k STRING, v INT) WITH (
            'connector' = 'filesystem', 'path' = '{source}', 'format' = 'json', 'source.monitor-interval' = '1 s')"""))
        query = session.sql(sql)
        while not query.turn():
            pass  # the reader has a thread of its own
        assert (query.statistics().expired, query.statistics().state_rows) == (0, QUERIES[sql])
        clock.advance_us(20_000_000)
        query.turn()
        query.commit()
        assert (query.statistics().expired, query.statistics().state_rows) == (QUERIES[sql], 0)
        query.close()

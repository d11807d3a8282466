"""Materialized tables through the Python API: consistent reads beside a running job, restarts, failures."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pytest

import streamsql

LEDGER = """
    CREATE TABLE moves (account STRING, amount BIGINT) WITH ('connector' = 'memory');
    CREATE MATERIALIZED TABLE balances AS SELECT account, SUM(amount) AS amount FROM moves GROUP BY account;
"""


def _moves(*amounts: int) -> pa.Table:
    """Money that goes from one account to another: all balances together are 0."""
    return pa.table({"account": ["a", "b"] * len(amounts), "amount": [v for a in amounts for v in (a, -a)]})


def _rows(session: streamsql.Session, text: str) -> list[tuple[object, ...]]:
    return session.sql(text).fetchall()


def test_a_reader_never_sees_half_an_epoch() -> None:
    with streamsql.connect({"execution.checkpointing.interval": "1 ms"}) as session:
        *_, result = session.execute(LEDGER)
        assert result.query is not None
        memory = session.memory("moves")
        written = threading.Event()

        def write() -> None:
            for amount in range(1, 200):
                memory.append(_moves(amount))
            memory.end()
            written.set()

        threading.Thread(target=write, daemon=True).start()
        while not written.is_set():
            rows = _rows(session, "SELECT account, amount FROM balances")
            assert sum(int(str(amount)) for _, amount in rows) == 0
            assert len(rows) in (0, 2)
        result.query.wait()
        assert sorted(_rows(session, "SELECT * FROM balances")) == [("a", 19900), ("b", -19900)]


def test_the_rows_are_there_after_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "in"
    data.mkdir()
    (data / "1.csv").write_text("a,1\nb,2\na,3\n")
    script = f"""
        CREATE TABLE t (k STRING, v INT) WITH ('connector' = 'filesystem', 'path' = '{data}', 'format' = 'csv');
        CREATE OR REPLACE MATERIALIZED TABLE m AS SELECT k, SUM(v) AS s FROM t GROUP BY k;
    """
    for _ in range(2):
        with streamsql.connect(state=tmp_path / "state") as session:
            *_, result = session.execute(script)
            assert result.query is not None
            result.query.wait()
            assert sorted(_rows(session, "SELECT * FROM m")) == [("a", 4), ("b", 2)]
            rows_in = result.query.statistics().rows_in
    assert rows_in == 0, "the second run goes on where the first one was"
    with streamsql.connect(state=tmp_path / "state") as session:
        *_, result = session.execute(script.replace("SUM(v)", "MAX(v)"))
        assert result.query is not None
        result.query.wait()
        assert sorted(_rows(session, "SELECT * FROM m")) == [("a", 3), ("b", 2)]
        list(session.execute("DROP MATERIALIZED TABLE m"))
        assert not list((tmp_path / "state").glob("materialized-m*"))


def test_a_query_that_failed_is_not_read() -> None:
    with streamsql.connect() as session:
        list(session.execute("CREATE TABLE t (v INT) WITH ('connector' = 'memory', 'error-handling.mode' = 'fail')"))
        query = session.sql("CREATE MATERIALIZED TABLE m AS SELECT CAST(CAST(v AS STRING) || 'x' AS INT) AS v FROM t")
        session.memory("t").append(pa.table({"v": pa.array([1], pa.int32())}))
        session.memory("t").end()
        with pytest.raises(streamsql.StreamSQLError, match="x"):
            query.wait()
        with pytest.raises(streamsql.StreamSQLError, match='the query of materialized table "m" has failed'):
            _rows(session, "SELECT * FROM m")
        query.stop()


def test_many_changes_are_summed_up() -> None:
    with streamsql.connect({"execution.checkpointing.interval": "1 ms"}) as session:
        *_, result = session.execute(LEDGER)
        assert result.query is not None
        memory = session.memory("moves")
        accounts = [str(n % 20_000) for n in range(40_000)]
        for _ in range(5):
            memory.append(pa.table({"account": accounts, "amount": [1] * len(accounts)}))
        memory.end()
        result.query.wait()
        assert _rows(session, "SELECT COUNT(*) AS n, SUM(amount) AS s FROM balances") == [(20_000, 200_000)]
        assert result.query.statistics().state_rows < 400_000

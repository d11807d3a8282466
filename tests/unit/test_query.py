"""Query: how its rows are read."""

from __future__ import annotations

import pytest

import streamsql
from streamsql.errors import UsageError


def test_rows_are_read_once() -> None:
    with streamsql.connect() as session:
        query = session.sql("SELECT * FROM (VALUES (1), (2)) AS t(n)")
        assert query.fetchall() == [(1,), (2,)]
        with pytest.raises(streamsql.UsageError, match="the rows of job-1 have been read"):
            query.fetchall()
        with pytest.raises(streamsql.UsageError, match="the rows of job-1 have been read"):
            list(query)


def test_a_year_that_python_lacks() -> None:
    with streamsql.connect() as session:
        year = "SELECT d + INTERVAL '1' DAY AS d FROM (VALUES (DATE '9999-12-31')) AS t(d)"
        with pytest.raises(streamsql.DataError, match='"d" holds a time that Python has no value for'):
            session.sql(year).fetchall()
        with pytest.raises(streamsql.DataError, match='"d" holds a time that Python has no value for'):
            list(session.sql(year))
        assert session.sql(f"SELECT CAST(d AS STRING) FROM ({year})").fetchall() == [("10000-01-01",)]


def test_a_loop_that_was_left_goes_on() -> None:
    with streamsql.connect() as session:
        query = session.sql("SELECT * FROM (VALUES (1), (2), (3)) AS t(n)")
        for change in query:
            assert change.row == (1,)
            break
        assert next(iter(query)).row == (2,)
        assert [change.row for change in query] == [(3,)]


def test_a_memory_table_is_asked_for_by_a_name_that_is_there() -> None:
    with streamsql.connect() as session:
        session.sql("CREATE TABLE t (a INT, b INT) WITH ('connector' = 'memory')")
        session.sql("CREATE TABLE p (a INT) WITH ('connector' = 'print')")
        with pytest.raises(UsageError, match='table "u" does not exist'):
            session.memory("u")
        with pytest.raises(UsageError, match='table "p" is of connector "print"'):
            session.memory("p")
        with pytest.raises(UsageError, match='rows for memory table "t" have no column "b"'):
            session.memory("t").append([{"a": 1}])
        with pytest.raises(UsageError, match="there is no statement in the text"):
            session.sql(" ; ")


def test_a_select_that_is_over_is_no_job() -> None:
    with streamsql.connect() as session:
        session.sql("CREATE TABLE t (a INT) WITH ('connector' = 'blackhole')")
        assert session.sql("SELECT 1").fetchall() == [(1,)]
        session.sql("INSERT INTO t VALUES (1)").wait()
        assert session.sql("SELECT 2").fetchall() == [(2,)]
        jobs = session.sql("SHOW JOBS").fetchall()
        assert [(status, text) for _, status, text in jobs] == [("ended", "INSERT INTO t VALUES (1)")]
        assert len(session.queries) <= 3

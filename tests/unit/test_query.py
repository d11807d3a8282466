"""Query: how its rows are read."""

from __future__ import annotations

import pytest

import streamsql


def test_rows_are_read_once() -> None:
    with streamsql.connect() as session:
        query = session.sql("SELECT * FROM (VALUES (1), (2)) AS t(n)")
        assert query.fetchall() == [(1,), (2,)]
        with pytest.raises(streamsql.UsageError, match="the rows of job-1 have been read"):
            query.fetchall()
        with pytest.raises(streamsql.UsageError, match="the rows of job-1 have been read"):
            list(query)


def test_a_loop_that_was_left_goes_on() -> None:
    with streamsql.connect() as session:
        query = session.sql("SELECT * FROM (VALUES (1), (2), (3)) AS t(n)")
        for change in query:
            assert change.row == (1,)
            break
        assert next(iter(query)).row == (2,)
        assert [change.row for change in query] == [(3,)]

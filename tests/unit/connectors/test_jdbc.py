"""The jdbc connector: read, looked up in and written, in SQLite and in DuckDB."""

from __future__ import annotations

import datetime as dt
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import streamsql
from streamsql.connectors import jdbc_database
from streamsql.core import database_file
from streamsql.core.batch import DIFF
from streamsql.errors import ConnectorError

ROWS = "INSERT INTO dim VALUES ('a', 'A'), ('b', 'B')"
CREATE = "CREATE TABLE dim (k VARCHAR PRIMARY KEY, name VARCHAR)"


def made(kind: str, folder: Path) -> str:
    path = str(folder / f"x.{kind}")
    if kind == "sqlite":
        connection = sqlite3.connect(path)
        connection.execute(CREATE)
        connection.execute(ROWS)
        connection.commit()
    else:
        connection = database_file.opened(path)  # type: ignore[assignment]
        connection.execute(CREATE)
        connection.execute(ROWS)
    connection.close()
    return f"jdbc:{kind}:{path}"


def answer(session: streamsql.Session, query: str) -> list[dict[str, object]]:
    running = next(r.query for r in session.execute(query) if r.query is not None)
    running.turn()
    while not running.finished:
        running.turn()
    return [row for batch in running.taken() for row in batch.to_pylist()]


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
@pytest.mark.parametrize("cache", ["NONE", "PARTIAL", "FULL"])
def test_rows_are_read_and_looked_up(kind: str, cache: str, tmp_path: Path) -> None:
    url = made(kind, tmp_path)
    with streamsql.Session({}, threaded=False) as session:
        list(session.execute(
            "CREATE TABLE o (id INT, k STRING, p AS PROCTIME()) WITH ('connector' = 'memory');"
            f"CREATE TABLE dim (k STRING, name STRING, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'jdbc', "
            f"'url' = '{url}', 'table-name' = 'dim', 'lookup.cache' = '{cache}')"))
        assert answer(session, "SELECT * FROM dim") == [{"k": "a", "name": "A"}, {"k": "b", "name": "B"}]
        session.memory("o").append(pa.table({"id": pa.array([1, 2, 3, 4], pa.int32()), "k": ["a", "x", None, "a"]}))
        session.memory("o").end()
        found = answer(session, "SELECT o.id, d.name FROM o LEFT JOIN dim FOR SYSTEM_TIME AS OF o.p AS d ON o.k = d.k")
        assert [tuple(row.values()) for row in found] == [(1, "A"), (2, None), (3, None), (4, "A")]


# Writing

WRITTEN = "CREATE TABLE out (k VARCHAR PRIMARY KEY, c BIGINT)"
COUNTS = """
CREATE TABLE e (k STRING, n INT) WITH ('connector' = 'memory', 'changelog-mode' = 'all');
CREATE TABLE sunk (k STRING, c BIGINT{key}) WITH ('connector' = 'jdbc', 'url' = '{url}', 'table-name' = 'out')
"""
KEY = ", PRIMARY KEY (k) NOT ENFORCED"


def empty(kind: str, folder: Path, create: str) -> str:
    url = f"jdbc:{kind}:{folder / f'out.{kind}'}"
    rows(url, create)
    return url


def rows(url: str, sql: str = "SELECT * FROM out ORDER BY 1, 2") -> list[tuple[Any, ...]]:
    connection = jdbc_database.connected(url)
    try:
        return connection.execute(sql)
    finally:
        connection.close()


def given(session: streamsql.Session, query: Any, *changes: tuple[str | None, int]) -> None:
    keys, diffs = zip(*changes, strict=True)
    ones = pa.array([1] * len(keys), pa.int32())
    session.memory("e").append(pa.table({
        "k": pa.array(keys, pa.string()), "n": ones, DIFF: pa.array(diffs, pa.int32())}))
    while query.turn():
        pass
    query.commit()


def inserting(session: streamsql.Session, url: str, key: str, select: str) -> Any:
    list(session.execute(COUNTS.format(url=url, key=key)))
    query = list(session.execute(f"INSERT INTO sunk {select}"))[-1].query
    assert query is not None
    query.turn()
    return query


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_rows_of_a_key_are_replaced_and_deleted(kind: str, tmp_path: Path) -> None:
    url = empty(kind, tmp_path, WRITTEN)
    with streamsql.Session({}, threaded=False) as session:
        query = inserting(session, url, KEY, "SELECT k, COUNT(*) FROM e GROUP BY k")
        given(session, query, ("a", 1), ("b", 1), ("a", 1))
        given(session, query, ("c", 1), ("a", 1), ("b", -1), ("d", 1), ("d", -1))
        query.close()
    assert rows(url) == [("a", 3), ("c", 1)]


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_a_job_goes_on_after_a_crash(kind: str, tmp_path: Path) -> None:
    """What was flushed and not committed comes again, and replaces what is there."""
    url = empty(kind, tmp_path, WRITTEN)
    for turn in range(3):
        with streamsql.Session({}, threaded=False, state=tmp_path / "state") as session:
            query = inserting(session, url, KEY, "SELECT k, COUNT(*) FROM e GROUP BY k")
            given(session, query, ("a", 1), (f"b{turn}", 1))
            query.close()
    assert rows(url)[0] == ("a", 3)
    assert len(rows(url)) == 4


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_values_of_each_type_come_back(kind: str, tmp_path: Path) -> None:
    types = {"b": "BOOLEAN", "i": "INT", "d": "DOUBLE", "m": "DECIMAL(10, 2)", "s": "VARCHAR", "x": "BLOB",
             "dd": "DATE", "tt": "TIME", "ts": "TIMESTAMP"}
    url = empty(kind, tmp_path, f"CREATE TABLE out ({', '.join(f'{k} {v}' for k, v in types.items())})")
    ours = types | {"s": "STRING", "x": "BYTES", "ts": "TIMESTAMP(6)"}
    columns = ", ".join(f"{k} {v}" for k, v in ours.items())
    with streamsql.Session({}, threaded=False) as session:
        list(session.execute(f"CREATE TABLE sunk ({columns}) WITH ('connector' = 'jdbc', 'url' = '{url}', "
                             "'table-name' = 'out')"))
        query = list(session.execute(
            "INSERT INTO sunk SELECT TRUE, 7, 0.5E0, 1.25, 'x', x'00ff', DATE '2024-05-01', TIME '10:11:12', "
            "TIMESTAMP '2024-05-01 10:11:12.345678' UNION ALL SELECT CAST(NULL AS BOOLEAN), CAST(NULL AS INT), "
            "CAST(NULL AS DOUBLE), CAST(NULL AS DECIMAL(10, 2)), CAST(NULL AS STRING), CAST(NULL AS BYTES), "
            "CAST(NULL AS DATE), CAST(NULL AS TIME), CAST(NULL AS TIMESTAMP(6))"))[-1].query
        assert query is not None
        while query.turn() or not query.finished:
            pass
        query.commit()
        query.close()
        found = [tuple(row.values()) for row in answer(session, "SELECT * FROM sunk")]
    whole = (True, 7, 0.5, Decimal("1.25"), "x", b"\x00\xff", dt.date(2024, 5, 1), dt.time(10, 11, 12),
             dt.datetime(2024, 5, 1, 10, 11, 12, 345678))
    assert sorted(found, key=str, reverse=True) == [whole, (None,) * 9]


def test_rows_without_a_key_are_only_added(tmp_path: Path) -> None:
    url = empty("sqlite", tmp_path, "CREATE TABLE out (k VARCHAR, c BIGINT)")
    with streamsql.Session({}, threaded=False) as session:
        list(session.execute(COUNTS.replace(", 'changelog-mode' = 'all'", "").format(url=url, key="")))
        query = list(session.execute("INSERT INTO sunk SELECT k, n FROM e"))[-1].query
        assert query is not None
        query.turn()
        given(session, query, ("a", 1), ("a", 1), (None, 1))
        query.close()
    assert rows(url) == [(None, 1), ("a", 1), ("a", 1)]


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_a_table_that_is_not_there_is_an_error(kind: str, tmp_path: Path) -> None:
    url = empty(kind, tmp_path, "CREATE TABLE another (k VARCHAR)")
    with (streamsql.Session({}, threaded=False) as session, pytest.raises(ConnectorError, match="out")):
        given(session, inserting(session, url, KEY, "SELECT k, COUNT(*) FROM e GROUP BY k"), ("a", 1))

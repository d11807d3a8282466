"""The jdbc connector: read, looked up in and written, in SQLite and in DuckDB."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pyarrow as pa
import pytest

import streamsql
from streamsql.core import database_file

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

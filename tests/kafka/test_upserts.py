"""Tables of upserts over topics: what is written, what is read of any history, and going on after a restart."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from streamsql import Query, Session
from tests.kafka.tables import Cluster

KEYED = "'key.format' = 'json', 'value.format' = 'json'"


def table(cluster: Cluster, name: str, rest: str) -> str:
    return f"""CREATE TABLE {name} {rest.replace("WITH (", f"WITH ('topic' = '{cluster.topic}', "
           f"'properties.bootstrap.servers' = '{cluster.servers}', ")};"""


def upserts(cluster: Cluster) -> str:
    return table(cluster, "u", "(k STRING, n BIGINT, PRIMARY KEY (k) NOT ENFORCED) "
                 f"WITH ('connector' = 'upsert-kafka', {KEYED}, 'scan.bounded.mode' = 'latest-offset')")


def started(session: Session, sql: str) -> Query:
    query = list(session.execute(sql))[-1].query
    assert query is not None
    return query


def drained(query: Query) -> list[tuple[object, ...]]:
    return sorted(query.fetchall(), key=repr)


def count(cluster: Cluster, session: Session, words: list[tuple[str, int]]) -> None:
    """Give words, each with a number, to the table that the query reads."""
    session.memory("w").append(pa.table({"k": [k for k, _ in words], "v": pa.array([v for _, v in words], pa.int32())}))


def test_a_changing_query_writes_upserts_and_tombstones(cluster: Cluster) -> None:
    cluster.create(partitions=2)
    with Session(threaded=False) as session:
        query = started(session, f"CREATE TABLE w (k STRING, v INT) WITH ('connector' = 'memory'); {upserts(cluster)} "
                        "INSERT INTO u SELECT k, SUM(v) FROM w GROUP BY k HAVING SUM(v) > 0")
        for words in ([("a", 1), ("b", 2), ("a", 3)], [("a", -9)], [("b", 1), ("c", 5)]):
            count(cluster, session, words)
            while query.turn():
                pass
            query.commit()
        query.close()
    values = [value for _, _, value in cluster.read()]
    assert sorted(values, key=repr) == sorted(
        [b'{"k":"a","n":4}', b'{"k":"b","n":2}', None, b'{"k":"b","n":3}', b'{"k":"c","n":5}'], key=repr)
    with Session() as session:
        assert drained(started(session, f"{upserts(cluster)} SELECT * FROM u")) == [("b", 3), ("c", 5)]
        assert drained(started(session, "SELECT COUNT(*), SUM(n) FROM u")) == [(2, 8)]


def test_debezium_goes_out_and_comes_in(cluster: Cluster) -> None:
    cluster.create(partitions=1)
    changes = table(cluster, "d", "(k STRING, n BIGINT) WITH ('connector' = 'kafka', 'format' = 'debezium-json', "
                    "'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset')")
    with Session(threaded=False) as session:
        query = started(session, f"CREATE TABLE w (k STRING, v INT) WITH ('connector' = 'memory'); {changes} "
                        "INSERT INTO d SELECT k, SUM(v) FROM w GROUP BY k")
        for words in ([("a", 1)], [("a", 2), ("b", 7)]):
            count(cluster, session, words)
            while query.turn():
                pass
            query.commit()
        query.close()
    assert next(v for _, _, v in cluster.read()) == b'{"before":null,"after":{"k":"a","n":1},"op":"c"}'
    with Session() as session:
        assert drained(started(session, f"{changes} SELECT * FROM d")) == [("a", 3), ("b", 7)]


def test_a_restart_goes_on_with_the_rows_it_knew(embedded: Cluster, tmp_path: Path) -> None:
    embedded.create(partitions=1)
    unbounded = upserts(embedded).replace(", 'scan.bounded.mode' = 'latest-offset'", "")
    script = (f"CREATE TABLE w (k STRING, v INT) WITH ('connector' = 'memory'); {unbounded} "
              "CREATE TABLE o (n BIGINT) WITH ('connector' = 'memory'); INSERT INTO o SELECT n FROM u")
    write = f"{upserts(embedded)} INSERT INTO u VALUES "
    found: list[tuple[int, int]] = []
    for rows in ("('a', CAST(1 AS BIGINT)), ('b', 2)", "('a', 5), ('c', 3)"):
        with Session() as writer:
            started(writer, write + rows).wait()
        with Session(threaded=False, state=str(tmp_path)) as session:
            query = started(session, script)
            for _ in range(200):
                query.turn()
                if query.statistics().rows_in >= 2:
                    break
            while query.turn():
                pass
            query.commit()
            for batch in session.memory("o").take():
                diffs = batch["$diff"].to_pylist()
                found += zip(diffs, batch["n"].to_pylist(), strict=True)
            query.close()
    assert sorted(found) == [(-1, 1), (1, 1), (1, 2), (1, 3), (1, 5)]

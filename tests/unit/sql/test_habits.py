"""What people write out of habit: each is refused with what to write here."""

from __future__ import annotations

import pytest

import streamsql
from streamsql.sql import habits
from streamsql.values.functions import names

TABLES = """
CREATE TABLE t (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'memory');
CREATE TABLE s (k STRING, n BIGINT) WITH ('connector' = 'memory');
"""
WRONG = [
    ("CREATE TABLE x (id INT, PRIMRAY KEY (id) NOT ENFORCED)", 25, 'Did you mean "PRIMARY"?'),
    ("CREATE TABLE x (id INT, ts TIMESTAMP(3), WATERMAK FOR ts AS ts)", 42, 'Did you mean "WATERMARK"?'),
    ("CREATE TABLE x (id INT, ts TIMESTAMP(3), WATERMARK ts AS ts)", 52,
     "Write WATERMARK FOR ts AS ts - INTERVAL '5' SECOND."),
    ("CREATE TABLE x (id INT, order INT)", 25, '"order" is a reserved word: write `order` to use it as a name.'),
    ("CREATE TABLE x (id INT,)", 24, 'Remove the comma before ")".'),
    ("CREATE TABLE x (id SERIAL)", 20, "Write INT; rows have no counter of their own."),
    ("CREATE TABLE x (id INT) WITH ('connector' 'print')", 43, "Write 'key' = 'value'."),
    ("DROP t;", 6, "Write DROP TABLE t."),
    ("LIST TABLES", 1, "Write SHOW TABLES."),
    ("SHOW QUERIES", 6, "Write SHOW JOBS."),
    ("SELECT TOP 5 * FROM t", 8, "Write LIMIT 5 at the end."),
    ("SELECT id INTO x FROM t", 11, "Write INSERT INTO t SELECT …."),
    ("SELECT * FROM t WHERE id == 1", 27, "One = compares: a = b."),
    ("SELECT k->>'a' FROM t", 9, "Write JSON_VALUE(json, '$.field'), or row.field."),
    ("SELECT DISTINT k FROM t", 8, 'Did you mean "DISTINCT"?'),
    ("SELECT t.* REPLACE (1 AS id) FROM t", 12, "List the columns."),
    ("SELECT NVL(k, 'x') FROM t", 8, "Write COALESCE(a, b)."),
    ("SELECT id AS n FROM t WHERE n > 1", 29,
     'SELECT gives "n" its name later: write its expression here, or SELECT … FROM (SELECT …) WHERE ….'),
    ("SELECT * FROM t WHERE k = ann", 27, "Columns: id, k, ts; a text is written 'ann'"),
    ("SELECT ROWTIME FROM t", 8, "Declare it in the table: ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp'."),
    ("SELECT COUNT(*) FROM TABLE(SLIDE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))", 28,
     "Window functions: TUMBLE, HOP, CUMULATE, SESSION."),
    ("SELECT id FROM (SELECT id FROM order_s;", 39, None),
    ("WITH x AS (SELECT k, 1 AS n FROM t) INSERT INTO s SELECT * FROM x", 37,
     "Write INSERT INTO t WITH x AS (…) SELECT …."),
    ("INSERT INTO s SELECT k, k FROM t", 25, "Write CAST(… AS BIGINT)."),
    ("SELECT ts - '5 seconds' FROM t", 8, "Write ts - INTERVAL '1' SECOND for a span of time."),
    ("SELECT COUNT(DISTINCT id, k) FROM t", 8, "Write COUNT(DISTINCT ROW(a, b))."),
    ("SELECT * FROM t WHERE k ILIKE 'a%'", 23, "Write LOWER(text) LIKE 'a%'."),
]


@pytest.mark.parametrize(("text", "column", "hint"), WRONG)
def test_what_is_written_out_of_habit_is_answered(text: str, column: int, hint: str | None) -> None:
    with streamsql.connect() as session:
        list(session.execute(TABLES))
        error = session.check(text)[0]
    assert isinstance(error, streamsql.SQLError)
    assert (error.column, error.hint) == (column, hint)


def test_only_functions_that_are_not_there_have_a_hint() -> None:
    assert not habits.FUNCTIONS.keys() & set(names())

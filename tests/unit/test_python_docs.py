"""The examples of docs/python.md: each is the body of a function here, so that mypy checks and pytest runs it."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

import streamsql

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def first_query() -> None:
    with streamsql.connect() as session:
        query = session.sql("SELECT id, UPPER(name) AS name FROM (VALUES (1, 'ann'), (2, 'bob')) AS t(id, name)")
        assert query.fetchall() == [(1, "ANN"), (2, "BOB")]


def changes() -> None:
    with streamsql.connect() as session:
        session.sql("CREATE TABLE words (word STRING) WITH ('connector' = 'memory')")
        counts = session.sql("SELECT word, COUNT(*) AS n FROM words GROUP BY word")
        assert not counts.append_only
        session.memory("words").append(pa.table({"word": ["to", "be", "to"]}))
        session.memory("words").end()
        final = {}
        for change in counts:
            word, n = change.row
            if change.kind == "+I":
                final[word] = n
            elif final.get(word) == n:
                del final[word]
        assert final == {"to": 2, "be": 1}


def arrow_in_and_out() -> None:
    with streamsql.connect() as session:
        session.sql("CREATE TABLE orders (id INT, price DOUBLE) WITH ('connector' = 'memory')")
        session.sql("CREATE TABLE dear (id INT) WITH ('connector' = 'memory')")
        session.memory("orders").append([{"id": 1, "price": 9.5}, {"id": 2, "price": 120.0}, {"id": 3, "price": 250.0}])
        session.memory("orders").end()
        session.sql("INSERT INTO dear SELECT id FROM orders WHERE price > 100").wait()
        assert session.memory("dear").rows().to_pydict() == {"id": [2, 3]}


def pandas_frames() -> None:
    with streamsql.connect() as session:
        session.sql("CREATE TABLE visits (page STRING, ms INT) WITH ('connector' = 'memory', 'bounded' = 'true')")
        frame = pd.DataFrame({"page": ["/", "/a", "/"], "ms": [12, 40, 18]})
        session.memory("visits").append(frame)
        slow = session.sql("SELECT page, ms FROM visits WHERE ms > 15").df()
        assert list(slow["page"]) == ["/a", "/"]


def batches_of_a_live_query() -> None:
    with streamsql.connect() as session:
        session.sql("CREATE TABLE events (n INT) WITH ('connector' = 'memory')")
        with session.sql("SELECT n * 2 AS n FROM events") as query:
            session.memory("events").append(pa.table({"n": [1, 2]}))
            batch = next(query.batches())
            assert batch["n"].to_pylist() == [2, 4]
        assert not query.statistics().running


def a_job_and_its_counters() -> None:
    with streamsql.connect() as session:
        session.sql(
            "CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'number-of-rows' = '1000',"
            " 'rows-per-second' = '100000')"
        )
        session.sql("CREATE TABLE nowhere (n BIGINT) WITH ('connector' = 'blackhole')")
        job = session.sql("INSERT INTO nowhere SELECT n FROM numbers").start()
        assert job.wait(timeout_s=30)
        counters = job.statistics()
        assert (counters.rows_in, counters.rows_out, counters.errors) == (1000, 1000, 0)


def a_script() -> None:
    script = """
        CREATE TABLE logins (name STRING) WITH ('connector' = 'memory', 'bounded' = 'true');
        INSERT INTO logins VALUES ('ann'), ('${who}');
        SELECT name FROM logins;
    """
    with streamsql.connect({"table.local-time-zone": "Europe/Paris"}) as session:
        for result in session.execute(script, origin="logins.sql", variables={"who": "bob"}):
            if result.kind == "job" and result.query is not None:
                result.query.wait()
            elif result.kind == "query" and result.query is not None:
                assert result.query.fetchall() == [("ann",), ("bob",)]
            else:
                assert result.message == 'table "logins" created'


def errors() -> None:
    with streamsql.connect() as session:
        problems = session.check("SELECT nmae FROM (VALUES ('ann')) AS t(name); SELECT 1")
        assert len(problems) == 1
        problem = problems[0]
        assert isinstance(problem, streamsql.BindError)
        assert (problem.line, problem.column) == (1, 8)
        assert problem.message == 'column "nmae" does not exist in "t"'
        assert problem.hint == 'Did you mean "name"? Columns: name'


EXAMPLES: tuple[Callable[[], None], ...] = (
    first_query, changes, arrow_in_and_out, pandas_frames, batches_of_a_live_query, a_job_and_its_counters,
    a_script, errors,
)


def body(example: Callable[[], None]) -> str:
    return textwrap.dedent(inspect.getsource(example).split("\n", 1)[1]).strip()


def test_the_page_shows_exactly_these_examples() -> None:
    shown = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert [text.strip() for text in shown] == [body(e) for e in EXAMPLES]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.__name__)
def test_example(example: Callable[[], None]) -> None:
    example()

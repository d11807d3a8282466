"""Statements: what each kind of text becomes."""

from __future__ import annotations

import pytest
import sqlglot

from streamsql.core import types
from streamsql.errors import ParseError, Source
from streamsql.sql import StreamSQL, canonical, exp, parse, span_of
from streamsql.sql.statements import (
    CreateFunction,
    CreateTable,
    CreateView,
    Describe,
    Drop,
    Explain,
    Insert,
    Reset,
    Select,
    Set,
    Show,
    Statement,
    StatementSet,
    StopJob,
)

TABLE = """CREATE TEMPORARY TABLE IF NOT EXISTS `my t` (
  id BIGINT NOT NULL COMMENT 'the key',
  r ROW<a INT, b ARRAY<STRING>>,
  ms BIGINT METADATA FROM 'timestamp' VIRTUAL,
  headers MAP<STRING, BYTES> METADATA,
  ts AS TO_TIMESTAMP_LTZ(ms, 3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND,
  CONSTRAINT pk PRIMARY KEY (id) NOT ENFORCED
) COMMENT 'clicks' PARTITIONED BY (id) WITH ('connector' = 'kafka', scan.startup.mode = 'earliest-offset')
LIKE base (INCLUDING ALL EXCLUDING OPTIONS)"""


def one(text: str) -> Statement:
    [statement] = parse(Source(text))
    return statement


def test_create_table_keeps_every_clause() -> None:
    table = one(TABLE)
    assert isinstance(table, CreateTable)
    assert (table.name.parts, table.temporary, table.if_not_exists, table.comment) == (
        ("my t",), True, True, "clicks")
    assert [(c.name, c.kind) for c in table.columns] == [
        ("id", "physical"), ("r", "physical"), ("ms", "metadata"), ("headers", "metadata"), ("ts", "computed")]
    key, row, ms, headers, _ = table.columns
    assert key.type == types.BIGINT.not_null()
    assert key.comment == "the key"
    assert row.type == types.row({"a": types.INT, "b": types.array(types.STRING)})
    assert (ms.metadata_key, ms.virtual, headers.metadata_key, headers.virtual) == ("timestamp", True, "", False)
    assert table.watermark is not None
    assert table.watermark.column == "ts"
    assert [n.last for n in table.primary_key] == [n.last for n in table.partitioned_by] == ["id"]
    assert [(o.key, o.value) for o in table.options] == [
        ("connector", "kafka"), ("scan.startup.mode", "earliest-offset")]
    assert table.like is not None
    assert table.like.choices == (("including", "all"), ("excluding", "options"))


def test_spans_point_into_the_whole_source() -> None:
    source = Source("SET 'a' = 'b';\n\nCREATE VIEW v AS SELECT k, SUM(v) AS s FROM t GROUP BY k")
    view = parse(source)[1]
    assert isinstance(view, CreateView)
    assert view.text == source.text[source.text.index("CREATE"):]
    item = span_of(view.query.expressions[1])
    assert item is not None
    assert source.text[item.start:item.end] == "SUM(v) AS s"


@pytest.mark.parametrize("text", [
    "SELECT a, 1, 'x', NULL, TRUE, t.*, CAST(a AS INT), -b[1].c FROM t AS u WHERE a IN (1)",
    "SELECT CASE WHEN a THEN 1 END, COUNT(*), EXTRACT(DAY FROM d), DATE '2024-01-01' FROM t",
    "SELECT TUMBLE_START(ts, INTERVAL '1' DAY) FROM t GROUP BY TUMBLE(ts, INTERVAL '1' DAY)",
])
def test_every_node_has_a_position(text: str) -> None:
    select = one(text)
    assert isinstance(select, Select)
    for node in select.query.walk():
        span = span_of(node)
        assert span is not None, repr(node)
        assert 0 <= span.start < span.end <= len(text), repr(node)


def test_statement_sets() -> None:
    for text in ("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT * FROM t; INSERT INTO b (x) VALUES (1); END",
                 "BEGIN STATEMENT SET; INSERT INTO a SELECT * FROM t; INSERT INTO b (x) VALUES (1); END;"):
        statement = one(text)
        assert isinstance(statement, StatementSet)
        assert [i.table.last for i in statement.inserts] == ["a", "b"]
        assert [n.last for n in statement.inserts[1].columns] == ["x"]


@pytest.mark.parametrize(("text", "emit", "every_ms"), [
    ("SELECT 1", "", 0),
    ("SELECT 1 EMIT FINAL", "final", 0),
    ("SELECT 1 EMIT ON WINDOW CLOSE", "final", 0),
    ("SELECT * FROM t EMIT CHANGES", "changes", 0),
    ("SELECT * FROM t EMIT EVERY INTERVAL '1.5' SECOND", "every", 1500),
    ("INSERT INTO s SELECT * FROM t EMIT EVERY INTERVAL '2' MINUTE", "every", 120_000),
])
def test_emit(text: str, emit: str, every_ms: int) -> None:
    statement = one(text)
    assert isinstance(statement, Select | Insert)
    assert (statement.emit, statement.every_ms) == (emit, every_ms)


@pytest.mark.parametrize(("text", "kind", "facts"), [
    ("SET 'a.b' = 'c'", Set, {"key": "a.b", "value": "c"}),
    ("set a.b-c = 5", Set, {"key": "a.b-c", "value": "5"}),
    ("SET", Set, {"key": None, "value": None}),
    ("RESET 'x'", Reset, {"key": "x"}),
    ("RESET", Reset, {"key": None}),
    ("SHOW TABLES LIKE 'a%'", Show, {"what": "TABLES", "like": "a%"}),
    ("SHOW USER FUNCTIONS", Show, {"what": "USER FUNCTIONS"}),
    ("SHOW CREATE VIEW v", Show, {"what": "CREATE VIEW"}),
    ("DESC EXTENDED t", Describe, {"kind": "TABLE", "extended": True}),
    ("DESCRIBE FUNCTION f", Describe, {"kind": "FUNCTION"}),
    ("DROP TEMPORARY VIEW IF EXISTS v", Drop, {"kind": "VIEW", "if_exists": True, "temporary": True}),
    ("STOP JOB 'x'", StopJob, {"job": "x"}),
    ("CREATE FUNCTION f AS 'm.f'", CreateFunction, {"target": "m.f", "body": "", "language": "PYTHON"}),
    ("CREATE FUNCTION f AS $$return ';'$$ LANGUAGE PYTHON", CreateFunction, {"body": "return ';'"}),
    ("EXPLAIN PLAN FOR SELECT 1", Explain, {"options": ("PLAN FOR",)}),
    ("EXPLAIN CHANGELOG_MODE, ESTIMATED_COST SELECT 1", Explain, {"options": ("CHANGELOG_MODE", "ESTIMATED_COST")}),
    ("INSERT OVERWRITE t SELECT 1", Insert, {"overwrite": True}),
])
def test_small_statements(text: str, kind: type[Statement], facts: dict[str, object]) -> None:
    statement = one(text)
    assert type(statement) is kind
    assert {name: getattr(statement, name) for name in facts} == facts


def test_sqlglot_knows_the_dialect() -> None:
    [query] = sqlglot.parse("SELECT `a b` FROM t", read="streamsql")
    assert isinstance(query, exp.Select)
    assert query.sql("streamsql") == "SELECT `a b` FROM t"
    [made] = sqlglot.parse("CREATE TABLE t (a INT)", read="streamsql")
    assert made is not None
    assert made.sql("streamsql") == "CREATE TABLE t (a INT)"
    assert sqlglot.parse_one("a + 1", read=StreamSQL, into=exp.Add).sql("streamsql") == "a + 1"
    with pytest.raises(ParseError):
        sqlglot.parse("SELECT 'a", read="streamsql")


def test_no_command_passes() -> None:
    for text in ("ALTER TABLE t ADD x INT", "ANALYZE TABLE t", "VACUUM", "LOAD MODULE x", "CALL f()", "PRAGMA x"):
        with pytest.raises(ParseError):
            parse(Source(text))


@pytest.mark.parametrize("text", [
    TABLE, "CREATE OR REPLACE VIEW v (a) COMMENT 'x' AS SELECT 1", "SHOW COLUMNS FROM t LIKE 'x'",
    "EXPLAIN STATEMENT SET BEGIN INSERT INTO a SELECT 1; END", "INSERT INTO t /*+ OPTIONS('a' = 'b') */ SELECT 1",
    "SELECT a FROM t EMIT EVERY INTERVAL '1.5' SECOND", "CREATE TABLE t WITH ('a' = 'b') AS SELECT 'it''s' AS x",
])
def test_canonical_text_is_a_fixed_point(text: str) -> None:
    written = canonical(one(text))
    assert canonical(one(written)) == written


def test_nested_too_deeply_is_an_error_not_a_crash() -> None:
    with pytest.raises(ParseError, match="nested too deeply"):
        parse(Source("SELECT " + "(" * 5000 + "1" + ")" * 5000))

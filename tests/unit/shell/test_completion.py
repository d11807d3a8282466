"""What completion offers. `|` in a text is the cursor."""

from __future__ import annotations

import pytest

from streamsql.shell.completion import Names, Suggestion, suggest

NAMES = Names(
    tables={
        "clicks": ["user_id", "url", "ts"],
        "orders": ["order_id", "user_id", "amount", "order"],
        "t$late": ["partition", "offset"],
    },
    functions=["ABS", "COUNT", "LEFT", "SUM", "UPPER"],
    settings=["execution.checkpointing.interval", "table.local-time-zone"],
    options={"kafka": ["topic", "scan.startup.mode", "properties.bootstrap.servers"],
             "datagen": ["number-of-rows"]},
)


def offered(marked: str) -> list[Suggestion]:
    return suggest(marked.replace("|", "", 1), marked.index("|"), NAMES)


def texts(marked: str, kind: str | None = None) -> list[str]:
    return [s.text for s in offered(marked) if kind in (None, s.kind)]


def test_a_pattern_variable_has_the_columns_of_the_input() -> None:
    marked = "SELECT * FROM clicks MATCH_RECOGNIZE (ORDER BY ts MEASURES LAST(A.|"
    assert texts(marked, "column") == texts("SELECT c.| FROM clicks c", "column")
    assert texts("STOP JOB |") == []


def test_an_empty_text_offers_statements() -> None:
    assert {"SELECT", "CREATE", "INSERT INTO", "SHOW", "SET", "quit"} <= set(texts("|"))
    assert {s.kind for s in offered("|")} == {"keyword"}


@pytest.mark.parametrize(("marked", "text"), [
    ("SEL|", "SELECT"), ("sel|", "select"), ("Sel|", "SELECT"), ("ex|", "explain"), ("CREATE TA|", "TABLE"),
    ("CREATE TEMPORARY V|", "VIEW"), ("SHOW T|", "TABLES"), ("DROP V|", "VIEW"), ("EXPLAIN PL|", "PLAN FOR"),
    ("INSERT |", "INTO"), ("STOP |", "JOB"), ("EXECUTE |", "STATEMENT SET"),
    ("DROP TABLE I|", "IF EXISTS"), ("CREATE TABLE I|", "IF NOT EXISTS"),
    ("SELECT url FR|", "FROM"), ("SELECT url FROM clicks WH|", "WHERE"), ("SELECT url FROM clicks GR|",
    "GROUP BY"),
    ("SELECT url FROM clicks GROUP |", "BY"), ("SELECT url FROM clicks WHERE url = 'a' AN|", "AND"),
    ("SELECT url FROM clicks WHERE url IS |", "NOT NULL"), ("SELECT url FROM clicks EM|", "EMIT"),
    ("SELECT url FROM clicks QUA|", "QUALIFY"), ("SELECT url FROM clicks MATCH|", "MATCH_RECOGNIZE"),
    ("CREATE MAT|", "MATERIALIZED TABLE"), ("SHOW MAT|", "MATERIALIZED TABLES"),
    ("SELECT url FROM clicks QUALIFY url = 'a' EM|", "EMIT"),
    ("SELECT url FROM clicks EMIT |", "FINAL"), ("SELECT url FROM clicks UNION |", "ALL"),
    ("SELECT * FR|", "FROM"), ("SELECT COUNT(*) FR|", "FROM"), ("SELECT CASE WHEN amount TH|", "THEN"),
    ("SELECT CA|", "CASE"), ("SELECT CAST(url AS ST|", "STRING"), ("SELECT INTERVAL '5' MIN|", "MINUTE"),
    ("SELECT url FROM clicks LEFT |", "JOIN"), ("INSERT INTO orders SEL|", "SELECT"),
    ("SELECT url FROM clicks GROUP BY CU|", "CUBE"),
    ("CREATE TABLE x (W|", "WATERMARK FOR"), ("CREATE TABLE x (a |", "BIGINT"), ("CREATE TABLE x (a DEC|",
    "DECIMAL"),
    ("CREATE TABLE x (a INT, b TIMESTAMP(3) META|", "METADATA"), ("CREATE TABLE x (a INT N|", "NOT NULL"),
    ("CREATE TABLE x (a INT) WI|", "WITH"), ("CREATE TABLE x (a INT, PRIMARY |", "KEY"),
    ("EXECUTE STATEMENT SET BEGIN INS|", "INSERT INTO"), ("SELECT 1; DES|", "DESCRIBE"),
    ("SELECT url FROM TABLE(TUM|", "TUMBLE("), ("SELECT url FROM TAB|", "TABLE("),
    ("SELECT * FROM clicks MATCH_RECOGNIZE (PART|", "PARTITION BY"),
    ("SELECT * FROM clicks MATCH_RECOGNIZE (ORDER BY ts MEAS|", "MEASURES"),
    ("SELECT * FROM clicks MATCH_RECOGNIZE (ORDER BY ts MEASURES LA|", "LAST("),
    ("SELECT * FROM clicks MATCH_RECOGNIZE (ORDER BY ts MEASURES A.url AS x AFTER |", "MATCH SKIP PAST LAST ROW"),
    ("SELECT * FROM clicks MATCH_RECOGNIZE (ORDER BY ts MEASURES A.url AS x PATTERN (A B) DEF|", "DEFINE"),
    ("SELECT * FROM clicks MATCH_RECOGNIZE (ORDER BY ts PATTERN (A B) DEFINE B AS TRUE) WH|", "WHERE"),
])
def test_keywords(marked: str, text: str) -> None:
    assert text in texts(marked, "keyword")


@pytest.mark.parametrize("marked", [
    "SELECT * FROM |", "SELECT * FROM clicks JOIN |", "SELECT * FROM clicks, |", "DESCRIBE |",
    "INSERT INTO |",
    "DROP TABLE |", "DROP TABLE IF EXISTS |", "SHOW CREATE TABLE |", "SHOW COLUMNS FROM |",
    "EXPLAIN SELECT * FROM |",
    "SELECT * FROM TABLE(TUMBLE(TABLE |", "CREATE TABLE x LIKE |", "SELECT 1; SELECT * FROM |",
    "SELECT (SELECT MAX(amount) FROM |", "select * from |",
])
def test_tables_where_a_table_is_due(marked: str) -> None:
    assert [*texts(marked, "table")] == ["`t$late`", "clicks", "orders"]


def test_a_table_begins_as_typed_or_contains_it() -> None:
    assert texts("SELECT * FROM cl|", "table") == ["clicks"]
    assert texts("SELECT * FROM CL|", "table") == ["clicks"]
    assert texts("SELECT * FROM late|", "table") == ["`t$late`"]
    assert texts("SELECT * FROM `t|", "table") == ["`t$late`", "`clicks`"][:1]


def test_a_name_that_is_not_plain_gets_backticks() -> None:
    assert "`order`" in texts("SELECT ord| FROM orders", "column")
    assert "order_id" in texts("SELECT ord| FROM orders", "column")


@pytest.mark.parametrize("marked", [
    "SELECT | FROM clicks", "SELECT url, | FROM clicks", "SELECT url FROM clicks WHERE |",
    "SELECT url FROM clicks WHERE url = |", "SELECT url FROM clicks WHERE url = 'a' AND |",
    "SELECT url FROM clicks GROUP BY |", "SELECT url FROM clicks GROUP BY url HAVING |",
    "SELECT UPPER(| FROM clicks",
    "SELECT CASE WHEN | FROM clicks", "SELECT url + | FROM clicks", "SELECT * FROM clicks ORDER BY |",
    "SELECT DISTINCT | FROM clicks", "select | from CLICKS", "SELECT url FROM clicks c WHERE |",
])
def test_columns_of_the_tables_in_scope(marked: str) -> None:
    columns = texts(marked, "column")
    assert {"user_id", "url", "ts"} <= set(columns)
    assert "amount" not in columns


def test_before_from_the_columns_of_every_table_are_offered() -> None:
    assert {"url", "amount"} <= set(texts("SELECT |", "column"))


def test_functions_open_their_parenthesis_and_stand_behind_columns() -> None:
    assert texts("SELECT u| FROM clicks") == ["url", "user_id", "UPPER("]
    assert texts("SELECT co|", "function") == ["COUNT("]


def test_a_qualifier_offers_the_columns_of_its_table_only() -> None:
    assert texts("SELECT c.| FROM clicks AS c JOIN orders o ON c.user_id = o.user_id") == [
        "ts", "url", "user_id"]
    assert texts("SELECT o.am| FROM clicks AS c JOIN orders o ON TRUE") == ["amount"]
    assert texts("SELECT orders.| FROM orders") == ["`order`", "amount", "order_id", "user_id"]
    assert texts("SELECT x.| FROM orders") == []


def test_with_two_tables_their_aliases_are_offered_too() -> None:
    assert {"c", "o"} <= set(texts("SELECT | FROM clicks c, orders o", "column"))


def test_a_cte_is_a_table() -> None:
    assert "busy" in texts("WITH busy AS (SELECT * FROM clicks) SELECT * FROM |", "table")


def test_a_window_adds_its_columns() -> None:
    marked = "SELECT win| FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE))"
    assert texts(marked, "column") == ["window_end", "window_start", "window_time"]


def test_inside_descriptor_only_columns() -> None:
    found = offered("SELECT * FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(|")
    assert {s.kind for s in found} == {"column"}
    assert "ts" in [s.text for s in found]


def test_settings_behind_set_and_reset() -> None:
    assert texts("SET |") == ["'execution.checkpointing.interval'", "'table.local-time-zone'"]
    assert texts("SET 'tab|") == ["'table.local-time-zone'"]
    assert texts("RESET 'zone|") == ["'table.local-time-zone'"]
    assert texts("SET 'a' = |") == []


def test_options_of_the_connector_in_with() -> None:
    assert texts("CREATE TABLE x (a INT) WITH ('conn|") == ["'connector'"]
    assert texts("CREATE TABLE x (a INT) WITH ('connector' = '|") == ["'kafka'", "'datagen'"]
    marked = "CREATE TABLE x (a INT) WITH ('connector' = 'kafka', 'topic' = 'a', '|"
    assert texts(marked) == ["'format'", "'scan.startup.mode'", "'properties.bootstrap.servers'"]


@pytest.mark.parametrize("marked", [
    "SELECT 'SEL|", "SELECT 'a' -- SEL|", "/* SEL|", "SELECT 1 /* FROM |", "SELECT $$ FROM |",
])
def test_nothing_inside_strings_and_comments(marked: str) -> None:
    assert offered(marked) == []


def test_what_stands_behind_another_statement_does_not_count() -> None:
    assert "amount" not in texts("SELECT * FROM orders; SELECT | FROM clicks", "column")
    assert "amount" not in texts("SELECT | FROM clicks; SELECT * FROM orders", "column")


def test_a_semicolon_in_a_string_ends_nothing() -> None:
    assert {"url"} <= set(texts("SELECT ';', | FROM clicks", "column"))


def test_the_word_typed_is_replaced_from_its_start() -> None:
    found = offered("SELECT * FROM cli|")
    assert found == [Suggestion("clicks", len("SELECT * FROM "), "table")]
    assert offered("SELECT `ur| FROM clicks")[0] == Suggestion("`url`", 7, "column")


@pytest.mark.parametrize("text", [
    "", ".", "(", ")", ";", "'", "`", "SELECT . FROM", "FROM FROM", ")))", "CREATE TABLE", "a.b.c.",
    "SELECT $$",
    "WITH", "INSERT INTO t (", "CREATE TABLE t (a ROW<b INT", "EXPLAIN", "SELECT * FROM TABLE(", "= '",
])
def test_no_text_is_too_broken(text: str) -> None:
    for cursor in range(len(text) + 1):
        suggest(text, cursor, NAMES)

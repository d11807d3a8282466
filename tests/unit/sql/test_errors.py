"""Parse errors: the whole text that a user sees."""

from __future__ import annotations

import pytest

from streamsql.errors import Source, Span, SQLError
from streamsql.sql import parse

ERRORS = [
    ("SELECT 'abc", "1:8: unterminated string", "A string ends with '; a quote inside it is written ''."),
    ("SELECT a /* b", "1:10: unterminated comment", 'End it with "*/".'),
    ("SELECT `a", "1:8: unterminated identifier", "A quoted name ends with `."),
    ("SELECT a b c FROM t", '1:12: expected ";" or the end of the statement but found "c"',
     'Is a comma missing before "c"?'),
    ("SELECT f(a b) FROM t", '1:12: expected ")" but found "b"', 'Is a comma missing before "b"?'),
    ("SELECT (1 + 2 FROM t", '1:15: expected ")" but found "FROM"', None),
    ("SELECT a, FROM t", '1:11: expected an expression but found "FROM"', 'Remove the comma before "FROM".'),
    ("SELEC a FROM t", '1:1: expected a statement but found "SELEC"', 'Did you mean "SELECT"?'),
    ('SELECT "a" FROM t', "1:8: double quotes mean nothing in Flink SQL", "Write 'a' for a string, or `a` for a name."),
    ("SELECT value FROM t", '1:8: expected an expression but found "value"',
     '"value" is a reserved word: write `value` to use it as a name.'),
    ("CREATE TABLE t (a INT b INT)", '1:23: expected ")" but found "b"', 'Is a comma missing before "b"?'),
    ("CREATE TABLE t (a INT, a INT)", '1:24: column "a" is declared twice', None),
    ("CREATE TABLE t (a INT) WITH ('k' = 'v', 'k' = 'w')", "1:41: option \"k\" is given twice", None),
    ("CREATE TABLE t (a INT, PRIMARY KEY (a))", "1:24: a primary key is not enforced",
     "Write PRIMARY KEY (…) NOT ENFORCED: the data is trusted to have distinct keys."),
    ("SELECT 1;\nALTER TABLE t ADD x INT", "2:1: ALTER is not supported",
     "Drop the table or view and create it again."),
    ("CREATE CATALOG c WITH ('a' = 'b')", "1:1: CREATE CATALOG is not supported",
     "Tables are created without a catalog."),
    ("SELECT * FROM t TABLESAMPLE (10)", "1:17: TABLESAMPLE is not supported", "Filter with WHERE."),
    ("SELECT /*+ STATE_TTL('a' = '1d') */ 1", "1:8: hints of a query are not supported",
     "Hints stand after a table: t /*+ OPTIONS('key' = 'value') */."),
    ("SELECT * FROM a JOIN b", '1:23: expected "ON" but found the end of the text',
     "A join without a condition is written CROSS JOIN."),
    ("SELECT a::INT FROM t", '1:9: "::" is not Flink SQL', "Write CAST(value AS type)."),
    ("SELECT a != b FROM t", '1:10: "!=" is not Flink SQL', 'Write "<>".'),
    ("SELECT 1 WHERE TRUE", '1:10: expected "FROM" but found "WHERE"',
     "WHERE needs a FROM; a SELECT without one is a row of constants."),
    ("SELECT SUM(x) OVER w FROM t", '1:20: window "w" does not exist',
     "Define it after HAVING: WINDOW name AS (PARTITION BY … ORDER BY …)."),
    ("WITH RECURSIVE x AS (SELECT 1) SELECT 1", "1:6: WITH RECURSIVE is not supported",
     "Write the query without recursion."),
    ("SELECT INTERVAL '5' FOO", '1:21: expected a unit of time but found "FOO"',
     "Units are YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, MINUTE, SECOND."),
    ("CREATE FUNCTION f AS 'a.b' LANGUAGE JAVA", "1:37: functions in JAVA are not supported", "Write LANGUAGE PYTHON."),
    ("USE CATALOG x", "1:1: USE is not supported",
     "There is one catalog and one database; write names without them."),
    ("CREATE VIEW v AS SELECT 1 EMIT FINAL", "1:27: EMIT is not part of a view", "Say it where the view is used."),
    ("SELECT X'zz'", "1:8: malformed literal", "X'…' takes hexadecimal digits."),
]


@pytest.mark.parametrize(("text", "head", "hint"), ERRORS, ids=[e[0].replace("\n", " ") for e in ERRORS])
def test_parse_errors(text: str, head: str, hint: str | None) -> None:
    with pytest.raises(SQLError) as error:
        parse(Source(text, "q.sql"))
    lines = str(error.value).split("\n")
    assert lines[0] == f"q.sql:{head}"
    assert lines[2].strip("^ ") == ""
    assert error.value.hint == hint


def test_of_a_long_line_the_part_around_the_caret_is_shown_and_wide_characters_take_two_places() -> None:
    text = f"SELECT '日本', '{'a' * 300}', wrong, '{'b' * 300}'"
    error = SQLError("no", Span(text.index("wrong"), text.index("wrong") + 5), source=Source(text))
    _, shown, caret = error.shown(60).split("\n")
    assert (shown[:6], shown[-4:], len(shown)) == ("  …aaa", "bbb…", 62)
    assert (shown[caret.index("^") : len(caret)], caret.strip()) == ("wrong", "^^^^^")
    error = SQLError("no", Span(13, 15), source=Source("SELECT '日本', xy"))
    assert str(error).split("\n")[2] == "  " + " " * 15 + "^^"

"""Where statements end, and the words of Flink."""

from __future__ import annotations

import pytest

from streamsql.errors import Source
from streamsql.sql import canonical, is_complete, parse, split


@pytest.mark.parametrize(("text", "complete"), [
    ("", True), ("  \n", True), ("SELECT 1", False), ("SELECT 1;", True), ("SELECT 1; -- done", True),
    ("SELECT ';", False), ("SELECT ';';", True), ("SELECT 1 -- ;", False), ("/* ; */", True), ("/* ;", False),
    ("SELECT `a;", False), ("SELECT 1; SELECT", False),
    ("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1;", False),
    ("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT CASE WHEN x THEN 1 END FROM t; END;", True),
    ("BEGIN STATEMENT SET; INSERT INTO a SELECT 1;", False),
    ("CREATE FUNCTION f AS $$ a; b", False), ("CREATE FUNCTION f AS $$ a; b $$;", True),
])
def test_is_complete(text: str, complete: bool) -> None:
    assert is_complete(text) is complete


def test_split() -> None:
    assert split("SELECT ';'; SET; -- x\n SELECT 2") == ["SELECT ';';", "SET;", "-- x\n SELECT 2"]
    assert split("  -- nothing\n") == []


@pytest.mark.parametrize(("text", "expected"), [
    ("select `a``b`, 'it''s' from T", "SELECT `a``b`, 'it''s' FROM T"),
    ("SELECT 1 -- x\n, 2 // y\n /* z */", "SELECT 1, 2"),
    ("SELECT U&'\\0041' || N'b' || _UTF8'c'", "SELECT 'A' || 'b' || 'c'"),
    ("SELECT t$x, `select`, first FROM t", "SELECT t$x, `select`, first FROM t"),
    ("SELECT .5, 1., 1e3, 2.5E-3", "SELECT .5, 1., 1e3, 2.5E-3"),
    ("SELECT 1e", "SELECT 1 AS e"),
])
def test_words(text: str, expected: str) -> None:
    [statement] = parse(Source(text))
    assert canonical(statement) == expected

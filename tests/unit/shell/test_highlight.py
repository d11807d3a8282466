"""Colours for SQL: the words of the dialect are keywords."""

from __future__ import annotations

from pygments.token import Keyword, Name, String

from streamsql.shell.highlight import Highlighter


def test_words_of_the_dialect_are_keywords_and_names_are_not() -> None:
    text = "SELECT url FROM TABLE(tumble(TABLE t, DESCRIPTOR(ts))) WHERE x = 'watermark'"
    kinds = {value: kind for kind, value in Highlighter().get_tokens(text)}
    assert all(kinds[word] in Keyword for word in ("SELECT", "TABLE", "tumble", "DESCRIPTOR"))
    assert kinds["url"] is Name
    assert all(kind in String for value, kind in kinds.items() if "watermark" in value)

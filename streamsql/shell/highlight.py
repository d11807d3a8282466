"""Colours for SQL while it is typed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pygments.lexers.sql import SqlLexer
from pygments.token import Keyword, Name, _TokenType

from streamsql.shell.words import WINDOW_FUNCTIONS
from streamsql.sql.keywords import RESERVED

_WORDS = RESERVED | {*WINDOW_FUNCTIONS, "DESCRIPTOR", "CHANGES", "EMIT", "ENFORCED", "FINAL", "METADATA", "VIRTUAL",
                     "JOBS"}


class Highlighter(SqlLexer):  # type: ignore[misc]  # pygments has no types
    """Pygments' SQL, with the words of our dialect as keywords."""

    name = "streamsql"

    def get_tokens_unprocessed(self, text: str, *arguments: Any) -> Iterator[tuple[int, _TokenType, str]]:
        for index, kind, value in super().get_tokens_unprocessed(text, *arguments):
            yield index, Keyword if kind is Name and value.upper() in _WORDS else kind, value

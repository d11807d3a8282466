"""The dialect: the one door to sqlglot."""

from __future__ import annotations

from sqlglot import exp

from streamsql.sql.lexer import is_complete, split
from streamsql.sql.spans import span_of
from streamsql.sql.tree import WindowTable

__all__ = ["WindowTable", "exp", "is_complete", "span_of", "split"]

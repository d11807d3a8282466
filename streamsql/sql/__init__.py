"""The dialect: scripts to statements, and the one door to sqlglot.

`functions.py` says what tree each expression becomes, `tree.py` and `statements.py` the rest.
"""

from __future__ import annotations

from sqlglot import exp

from streamsql.sql.canonical import canonical
from streamsql.sql.dialect import StreamSQL
from streamsql.sql.keywords import KEYWORDS
from streamsql.sql.lexer import is_complete, split
from streamsql.sql.literals import interval_type, interval_value
from streamsql.sql.script import parse
from streamsql.sql.spans import span_of
from streamsql.sql.sugar import PROCTIME_MEANT, QUALIFIED, ROWTIME_USED
from streamsql.sql.tree import GROUP_WINDOW, ChangelogTable, JoinedTables, MatchTable, WindowTable
from streamsql.sql.types import data_type, parse_type
from streamsql.sql.within import within_us

__all__ = [
    "GROUP_WINDOW", "KEYWORDS", "PROCTIME_MEANT", "QUALIFIED", "ROWTIME_USED", "ChangelogTable",
    "JoinedTables", "MatchTable",
    "StreamSQL", "WindowTable", "canonical", "data_type", "exp", "interval_type",
    "interval_value", "is_complete", "parse", "parse_type", "span_of", "split", "within_us",
]

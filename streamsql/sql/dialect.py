"""The dialect that sqlglot knows by the name "streamsql": `sqlglot.parse(sql, read="streamsql")`.

sqlglot gives the tokens, the trees and the generator. Its parser is not used: it skips what it does not
know and turns calls into other engines' functions, where streamsql promises that no clause is ignored.
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp
from sqlglot.dialects.dialect import NormalizationStrategy
from sqlglot.dialects.duckdb import DuckDB

from streamsql.errors import Source
from streamsql.sql.generator import FlinkGenerator
from streamsql.sql.lexer import Tokenizer
from streamsql.sql.script import ScriptRules, parse_trees


class StreamSQL(DuckDB):
    """Flink SQL over DuckDB's expressions. Errors are streamsql's ParseError and SQLTypeError."""

    NORMALIZATION_STRATEGY = NormalizationStrategy.CASE_SENSITIVE
    INDEX_OFFSET = 0

    class Tokenizer(Tokenizer):
        pass

    class Generator(FlinkGenerator):
        pass

    def parse(self, sql: str, **opts: Any) -> list[exp.Expr | None]:
        return [*parse_trees(Source(sql))]

    def parse_into(self, expression_type: exp.IntoType, sql: str, **opts: Any) -> list[exp.Expr | None]:
        """A type (`into=exp.DataType`), or else an expression."""
        rules = ScriptRules(Source(sql))
        tree: exp.Expr = rules.type_tree() if expression_type is exp.DataType else rules.expression()
        if rules.kind:
            rules.unexpected("the end of the text")
        return [tree]

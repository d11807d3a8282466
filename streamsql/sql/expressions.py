"""Expressions: from tokens to the trees that `functions.py` describes.

One method a level of precedence, weakest first, as in Calcite: OR · AND · NOT · IS · comparison ·
BETWEEN IN LIKE · `+ -` · `* / % ||` · unary sign · `.` `[]` · primary.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from streamsql.sql.calls import CallRules
from streamsql.sql.functions import NILADIC
from streamsql.sql.keywords import NOT_FUNCTIONS, RESERVED
from streamsql.sql.types import UNITS

_COMPARISONS: dict[str, type[exp.Expression]] = {
    "=": exp.EQ,
    "<>": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
}
_SUMS: dict[str, type[exp.Expression]] = {"+": exp.Add, "-": exp.Sub}
_PRODUCTS: dict[str, type[exp.Expression]] = {"*": exp.Mul, "/": exp.Div, "%": exp.Mod, "||": exp.DPipe}
_PATTERNS: dict[str, type[exp.Expression]] = {"LIKE": exp.Like, "ILIKE": exp.ILike, "SIMILAR": exp.SimilarTo}
QUERY_WORDS = ("SELECT", "WITH", "VALUES", "TABLE")
"""The words that a query begins with."""
AFTER_QUERY = ("UNION", "EXCEPT", "INTERSECT", "MINUS", "ORDER", "LIMIT", "OFFSET", "FETCH")


class ExpressionRules(CallRules):
    """The rules of expressions. `query` is the rule of whoever extends this."""

    def expression(self) -> exp.Expression:
        return self._left_to_right(self._and, {"OR": exp.Or})

    def _and(self) -> exp.Expression:
        return self._left_to_right(self._not, {"AND": exp.And})

    def _not(self) -> exp.Expression:
        start = self.index
        if self.take("NOT"):
            return self.put(exp.Not(this=self._not()), start)
        return self._is()

    def _left_to_right(
        self, operand: Callable[[], exp.Expression], operators: dict[str, type[exp.Expression]]
    ) -> exp.Expression:
        start = self.index
        left = operand()
        while word := self.take_any(*operators):
            left = self.put(operators[word](this=left, expression=operand()), start)
        return left

    def _negated(self, negated: bool, tree: exp.Expression, start: int) -> exp.Expression:
        tree = self.put(tree, start)
        return self.put(exp.Not(this=tree), start) if negated else tree

    def _is(self) -> exp.Expression:
        start = self.index
        left = self._comparison()
        while self.take("IS"):
            negated = self.take("NOT")
            if self.take("DISTINCT"):
                self.expect("FROM")
                node = exp.NullSafeEQ if negated else exp.NullSafeNEQ
                left = self.put(node(this=left, expression=self._predicate()), start)
            elif self.take("JSON"):
                kind = self.variable(self.take_any("VALUE", "SCALAR", "ARRAY", "OBJECT") or "VALUE")
                left = self._negated(negated, exp.Anonymous(this="IS_JSON", expressions=[left, kind]), start)
            else:
                left = self._negated(negated, exp.Is(this=left, expression=self._truth()), start)
        return left

    def _truth(self) -> exp.Expression:
        start = self.index
        if not self.at("NULL", "TRUE", "FALSE", "UNKNOWN", "DISTINCT", "JSON"):
            self.unexpected('"NULL", "TRUE", "FALSE", "UNKNOWN", "DISTINCT FROM" or "JSON"',
                            hint="compare a value with =")
        word = self.expect_any("NULL", "TRUE", "FALSE", "UNKNOWN", "DISTINCT", "JSON")
        if word == "UNKNOWN":
            return self.put(exp.Var(this="UNKNOWN"), start)
        return self.put(exp.Null() if word == "NULL" else exp.Boolean(this=word == "TRUE"), start)

    def _comparison(self) -> exp.Expression:
        start = self.index
        left = self._predicate()
        while self.at(*_COMPARISONS, "OVERLAPS"):
            if self.text(self.here()) == "!=":
                self.fail('"!=" is not Flink SQL', self.here(), hint='write "<>"')
            operator = self.expect_any(*_COMPARISONS, "OVERLAPS")
            if operator == "OVERLAPS":
                left = self.put(exp.Overlaps(this=left, expression=self._predicate()), start)
                continue
            right = self._quantified() or self._predicate()
            left = self.put(_COMPARISONS[operator](this=left, expression=right), start)
        return left

    def _quantified(self) -> exp.Expression | None:
        """`ANY (SELECT …)`, `SOME (…)`, `ALL (…)` after a comparison."""
        start = self.index
        word = self.take_any("ANY", "SOME", "ALL")
        if not word:
            return None
        subquery = self.subquery()
        return self.put(exp.All(this=subquery) if word == "ALL" else exp.Any(this=subquery), start)

    def subquery(self) -> exp.Subquery:
        """`(SELECT …)` as a tree without alias."""
        start = self.index
        self.expect("(")
        query = self.query()
        self.expect(")")
        return self.put(exp.Subquery(this=query), start)

    def _predicate(self) -> exp.Expression:
        start = self.index
        left = self._sum()
        while self.at("BETWEEN", "IN", *_PATTERNS) or (
            self.at("NOT") and self.ahead() in ("BETWEEN", "IN", *_PATTERNS)
        ):
            negated = self.take("NOT")
            word = self.expect_any("BETWEEN", "IN", *_PATTERNS)
            if word == "BETWEEN":
                left = self._negated(negated, self._between_and(left), start)
            elif word == "IN":
                left = self._negated(negated, self._in_list(left), start)
            else:
                left = self._pattern(word, left, negated, start)
        return left

    def _between_and(self, left: exp.Expression) -> exp.Expression:
        symmetric = self.take_any("SYMMETRIC", "ASYMMETRIC") == "SYMMETRIC"
        low = self._sum()
        self.expect("AND")
        tree = exp.Between(this=left, low=low, high=self._sum())
        if symmetric:
            tree.set("symmetric", True)
        return tree

    def _in_list(self, left: exp.Expression) -> exp.Expression:
        start = self.index
        if self.at("(") and self.ahead() in QUERY_WORDS:
            return exp.In(this=left, query=self.subquery())
        self.expect("(")
        items = [self.expression()]
        if self._query_goes_on(items[0]):
            self.index = start
            return exp.In(this=left, query=self.subquery())
        while self.take(","):
            items.append(self.expression())
        self.expect(")")
        return exp.In(this=left, expressions=items)

    def _pattern(self, word: str, left: exp.Expression, negated: bool, start: int) -> exp.Expression:
        if word == "SIMILAR":
            self.expect("TO")
        tree: exp.Expression = self.put(_PATTERNS[word](this=left, expression=self._sum()), start)
        if self.take("ESCAPE"):
            tree = exp.Escape(this=tree, expression=self._sum())
        return self._negated(negated, tree, start)

    def operand(self) -> exp.Expression:
        """An expression above the comparisons, as POSITION has before IN."""
        return self._sum()

    def _sum(self) -> exp.Expression:
        return self._left_to_right(self._product, _SUMS)

    def _product(self) -> exp.Expression:
        return self._left_to_right(self._signed, _PRODUCTS)

    def _signed(self) -> exp.Expression:
        start = self.index
        if self.take("-"):
            return self.put(exp.Neg(this=self._signed()), start)
        if self.take("+"):
            tree = self._signed()
            tree.meta["plus"] = True  # it is no longer a mere column: it does not name one
            return tree
        return self._postfix()

    def _postfix(self) -> exp.Expression:
        start = self.index
        tree = self.primary()
        while True:
            if self.take("["):
                item = self.expression()
                self.expect("]")
                tree = exp.Bracket(this=tree, expressions=[item])
            elif self.take("."):
                tree = exp.Dot(this=tree, expression=self.identifier("a field name"))
            elif self.at("::"):
                self.fail('"::" is not Flink SQL', self.here(), hint="write CAST(value AS type)")
            else:
                return tree
            tree = self.put(tree, start)

    def primary(self) -> exp.Expression:
        start = self.index
        literal = self._literal()
        if literal is not None:
            return self.put(literal, start)
        if self.at("("):
            return self._parenthesised()
        if self.at("CASE"):
            return self.put(self._case(), start)
        if self.take("EXISTS"):
            return self.put(exp.Exists(this=self.subquery().this), start)
        if self.at("["):
            return self.put(self.bracketed("ARRAY"), start)
        if self.kind in ("ARRAY", "MAP", "MULTISET") and self.ahead() == "[":
            word = self.expect_any("ARRAY", "MAP", "MULTISET")
            return self.put(self.bracketed(word), start)
        if self.kind in NILADIC and self.ahead() != "(":
            self.index += 1
            return self.put(exp.Anonymous(this=self.kinds[start], expressions=[]), start)
        callable_word = self.token.token_type == TokenType.VAR and self.kind not in NOT_FUNCTIONS
        if self.ahead() == "(" and (callable_word or self.at("`")):
            return self.call()
        if self.at_name():
            return self.column()
        return self._no_operand()

    def _no_operand(self) -> exp.Expression:
        if self.at("?", "@", ":", "$"):
            self.fail(
                "parameters are not supported", self.here(), hint='write the value, or "${name}" in a script'
            )
        if self.kind in RESERVED:
            self.identifier("an expression")
        self.unexpected("an expression")

    def _literal(self) -> exp.Expression | None:
        token, kind = self.token, self.kind
        if kind in ("'", "N'") or (kind == "_UTF8" and self.ahead() == "'"):
            self.index += 2 if kind == "_UTF8" else 1
            return exp.Literal.string(self.tokens[self.index - 1].text)
        if kind == "U&'":
            return self._unicode_string()
        if kind == "0":
            return self._number()
        if kind == "." and self.ahead() == "0" and self.tokens[self.index + 1].start == token.end + 1:
            self.index += 1
            number = self._number()
            return exp.Literal.number("." + number.name)
        if kind == "X'":
            self.index += 1
            if len(token.text) % 2:
                self.fail("a binary literal has an even number of digits", self.since(self.index - 1))
            return exp.HexString(this=token.text)
        if kind in ("TRUE", "FALSE", "NULL", "UNKNOWN"):
            self.index += 1
            return exp.Boolean(this=kind == "TRUE") if kind in ("TRUE", "FALSE") else exp.Null()
        if kind in ("DATE", "TIME", "TIMESTAMP") and self.ahead() == "'":
            self.index += 1
            keyword = self.put(exp.Var(this=kind), self.index - 1)
            return exp.Introducer(this=keyword, expression=self.text_literal())
        return self._interval() if kind == "INTERVAL" else None

    def _number(self) -> exp.Expression:
        token = self.token
        self.index += 1
        return exp.Literal.number(token.text)

    def _unicode_string(self) -> exp.Expression:
        """`U&'\\0041' [UESCAPE '!']`, decoded."""
        start = self.index
        self.index += 1
        text, mark = self.tokens[start].text, "\\"
        if self.take("UESCAPE"):
            mark = self.string("an escape character")
        pattern = re.escape(mark) + r"(?:([0-9a-fA-F]{4})|(" + re.escape(mark) + "))"
        left = re.sub(pattern, "", text)
        if mark in left:
            self.fail("a unicode escape is followed by four hexadecimal digits", self.since(start))
        decoded = re.sub(pattern, lambda m: chr(int(m[1], 16)) if m[1] else mark, text)
        return exp.Literal.string(decoded.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))

    def _interval(self) -> exp.Expression:
        start = self.index
        self.expect("INTERVAL")
        negative = self.take_any("-", "+") == "-"
        tree = self.interval_of(start)
        return exp.Neg(this=tree) if negative else tree

    def interval_of(self, start: int) -> exp.Interval:
        """The rest of an interval, `'1' DAY` or `1 DAY` (which Flink takes, too), as a literal."""
        value = self.index
        if self.at("0"):
            self.index += 1
        else:
            self.string("an interval as a string")
        text = self.tokens[value].text
        inside = re.fullmatch(r"\s*([\d.]+)\s+([a-zA-Z]+)\s*", text)
        if inside and self.kind.removesuffix("S") not in ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"):
            literal, unit_text = inside[1], inside[2].upper().removesuffix("S")
        else:
            literal, unit_text = text, self.interval_unit()
        this = self.put(exp.Literal.string(literal), value)
        unit = self.put(exp.Var(this=unit_text), value + 1 if self.index > value + 1 else value)
        return self.put(exp.Interval(this=this, unit=unit), start)

    def _case(self) -> exp.Expression:
        self.expect("CASE")
        subject = None if self.at("WHEN") else self.expression()
        branches: list[exp.Expression] = []
        while self.at("WHEN") or not branches:
            start = self.index
            self.expect("WHEN")
            conditions = [self.expression()]
            while subject is not None and self.take(","):
                conditions.append(self.expression())
            self.expect("THEN")
            value = self.expression()
            branches += [self.put(exp.If(this=c, true=value.copy()), start) for c in conditions]
        tree = exp.Case(this=subject, ifs=branches, default=self.expression() if self.take("ELSE") else None)
        self.expect("END")
        return tree

    def _parenthesised(self) -> exp.Expression:
        """A subquery, a row, or an expression in parentheses."""
        start = self.index
        if self.ahead() in QUERY_WORDS:
            return self.subquery()
        self.expect("(")
        items = [self.expression()]
        if self._query_goes_on(items[0]):
            self.index = start
            return self.subquery()
        while self.take(","):
            items.append(self.expression())
        self.expect(")")
        if len(items) > 1:
            return self.put(exp.Anonymous(this="ROW", expressions=items), start)
        return self._time_difference(self.put(exp.Paren(this=items[0]), start), start)

    def _query_goes_on(self, first: exp.Expression) -> bool:
        """Whether what was read as a value in parentheses is the first part of a longer query."""
        return isinstance(first, exp.Subquery) and self.at(*AFTER_QUERY)

    def _time_difference(self, tree: exp.Paren, start: int) -> exp.Expression:
        """`(a - b) DAY`: the interval between two times, in a unit."""
        if not isinstance(tree.this, exp.Sub) or self.kind not in UNITS or self.at_name():
            return tree
        at = self.index
        unit = self.put(exp.Var(this=self.interval_unit()), at)
        return self.put(exp.Interval(this=tree, unit=unit), start)

    def column(self) -> exp.Expression:
        """`a`, `t.a`, … to four parts, or `t.*`; the fields beyond are Dot."""
        start = self.index
        parts: list[exp.Expression] = [self.identifier("a column")]
        while len(parts) < 4 and self.at(".") and (self.ahead() != "*"):
            self.expect(".")
            parts.append(self.identifier("a column"))
        if self.at_all(".", "*"):
            self.index += 2
            parts.append(self.put(exp.Star(), self.index - 1))
        elif self.at("("):
            self.fail("functions have no qualifier", self.since(start), hint=f"write {parts[-1].name}(…)")
        keys = ("this", "table", "db", "catalog")
        return self.put(exp.Column(**dict(zip(keys, reversed(parts), strict=False))), start)

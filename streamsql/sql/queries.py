"""Queries: WITH, SELECT, VALUES, set operations, ORDER BY and LIMIT."""

from __future__ import annotations

from sqlglot import exp

from streamsql.errors import Span
from streamsql.sql import sugar
from streamsql.sql.expressions import QUERY_WORDS
from streamsql.sql.relations import RelationRules, derived

_SET_OPERATIONS: dict[str, type[exp.SetOperation]] = {
    "UNION": exp.Union,
    "EXCEPT": exp.Except,
    "INTERSECT": exp.Intersect,
}


class QueryRules(RelationRules):
    """The rules of queries."""

    def query(self) -> exp.Expression:
        start = self.index
        common = self._with()
        if common is not None and self.at("INSERT"):
            self.fail("WITH stands after INSERT INTO", self.here(), hint="write INSERT INTO t WITH x AS (…) SELECT …")
        query = self._modified(self._set_expression())
        if common is not None:
            if query.args.get("with_") or isinstance(query, exp.Values):
                query = self.put(
                    exp.Select(
                        expressions=[self.put(exp.Star(), start)],
                        from_=exp.From(this=derived(query)),
                    ),
                    start,
                )
            query.set("with_", common)
        return self.put(query, start)

    def _with(self) -> exp.With | None:
        start = self.index
        if not self.take("WITH"):
            return None
        if self.at("RECURSIVE"):
            self.fail(
                "WITH RECURSIVE is not supported", self.here(), hint="write the query without recursion"
            )
        tables = [self._common_table()]
        while self.take(","):
            tables.append(self._common_table())
        return self.put(exp.With(expressions=tables), start)

    def _common_table(self) -> exp.CTE:
        start = self.index
        alias = exp.TableAlias(this=self.identifier())
        how = f"write WITH {alias.this.name} AS (SELECT …)"
        if self.at("(") and self.ahead() not in QUERY_WORDS:
            self.expect("(")
            columns = [self.identifier("a column")]
            while self.take(","):
                columns.append(self.identifier("a column"))
            self.expect(")")
            alias.set("columns", columns)
        alias = self.put(alias, start)
        self.expect("AS", "(", hint=how)
        query = self.query()
        self.expect(")")
        return self.put(exp.CTE(this=query, alias=alias), start)

    def _set_expression(self) -> exp.Expression:
        """UNION and EXCEPT from left to right; INTERSECT binds tighter."""
        start = self.index
        left = self._intersection()
        while self.at("UNION", "EXCEPT"):
            left = self.put(self._set_operation(left, self._intersection), start)
        if self.at("MINUS"):
            self.fail("MINUS is not Flink SQL", self.here(), hint="write EXCEPT")
        return left

    def _intersection(self) -> exp.Expression:
        start = self.index
        left = self._term()
        while self.at("INTERSECT"):
            left = self.put(self._set_operation(left, self._term), start)
        return left

    def _set_operation(self, left: exp.Expression, operand: object) -> exp.SetOperation:
        node = _SET_OPERATIONS[self.expect_any(*_SET_OPERATIONS)]
        every = self.take_any("ALL", "DISTINCT") == "ALL"
        if self.at("BY", "CORRESPONDING"):
            self.fail(
                "a set operation matches columns by position",
                self.here(),
                hint="list the columns of both sides in one order",
            )
        assert callable(operand)
        right = operand()
        return node(this=left, expression=right, distinct=not every)

    def _term(self) -> exp.Expression:
        if self.take("("):
            query = self.query()
            self.expect(")")
            return query
        if self.at("VALUES"):
            return self._values()
        if self.at("TABLE"):
            return self._explicit_table()
        return self._select()

    def _explicit_table(self) -> exp.Expression:
        """`TABLE t`, which is SELECT * FROM t."""
        self.expect("TABLE")
        return self.star_from(self.index - 1)

    def star_from(self, start: int) -> exp.Expression:
        """SELECT * FROM the table whose name comes."""
        table = self._table()
        star = self.put(exp.Star(), start)
        source = self.put(exp.From(this=table), start)
        return self.put(exp.Select(expressions=[star], from_=source), start)

    def _values(self) -> exp.Values:
        start = self.index
        self.expect("VALUES")
        rows = [self._values_row()]
        while self.take(","):
            rows.append(self._values_row())
        return self.put(exp.Values(expressions=rows), start)

    def _values_row(self) -> exp.Tuple:
        start = self.index
        value = self.expression()
        if isinstance(value, exp.Anonymous) and value.this == "ROW":
            items = value.expressions
        elif isinstance(value, exp.Paren):
            items = [value.this]
        else:
            items = [value]
        return self.put(exp.Tuple(expressions=items), start)

    def _modified(self, query: exp.Expression) -> exp.Expression:
        """ORDER BY, LIMIT, OFFSET, FETCH. A query in parentheses that has its own becomes a subquery."""
        if not self.at("ORDER", "LIMIT", "OFFSET", "FETCH"):
            return query
        start = self.index
        if any(query.args.get(k) for k in ("order", "limit", "offset")):
            inner = exp.Subquery(this=query)
            query = self.put(exp.Select(expressions=[exp.Star()], from_=exp.From(this=inner)), start)
        if self.at("ORDER"):
            query.set("order", self.order_by())
        if self.take("LIMIT") and not self.take("ALL"):
            query.set("limit", self._limit(self.index - 1))
        if self.at("OFFSET"):
            query.set("offset", self._offset())
        if self.at("LIMIT") and query.args.get("limit") is None:
            self.expect("LIMIT")
            query.set("limit", self._limit(self.index - 1))
        first = self.index
        if self.take("FETCH"):
            self.expect_any("FIRST", "NEXT")
            count: exp.Expression = self.put(exp.Literal.number("1"), first)
            if not self.at("ROW", "ROWS"):
                count = self._count()
            self.expect_any("ROW", "ROWS")
            self.expect("ONLY")
            query.set("limit", self.put(exp.Limit(expression=count), first))
        return query

    def _limit(self, start: int) -> exp.Limit:
        count = self._count()
        if self.at(","):
            self.fail("LIMIT takes one number", self.here(), hint="write LIMIT count OFFSET start")
        return self.put(exp.Limit(expression=count), start)

    def _offset(self) -> exp.Offset:
        start = self.index
        self.expect("OFFSET")
        tree = exp.Offset(expression=self._count())
        self.take_any("ROW", "ROWS")
        return self.put(tree, start)

    def _count(self) -> exp.Expression:
        start = self.index
        return self.put(exp.Literal.number(str(self.integer())), start)

    def _select(self) -> exp.Expression:
        start = self.index
        self.expect("SELECT")
        if self.at("/*+"):
            self.fail(
                "hints of a query are not supported",
                self.here(),
                hint="hints stand after a table: t /*+ OPTIONS('key' = 'value') */",
            )
        if self.at("STREAM") and self.ahead() not in (",", "FROM"):
            self.fail(
                "SELECT STREAM is not Flink SQL", self.here(), hint="every query is a stream: write SELECT"
            )
        if self.at("TOP") and self.ahead() == "0":
            count = self.tokens[self.index + 1].text
            self.fail("TOP is not Flink SQL", self.here(), hint=f"write LIMIT {count} at the end")
        select = exp.Select()
        if self.at_all("DISTINCT", "ON"):
            self.fail("DISTINCT ON is not Flink SQL", self.here(),
                      hint="write QUALIFY ROW_NUMBER() OVER (PARTITION BY … ORDER BY …) = 1 at the end")
        if self.take_any("DISTINCT", "ALL") == "DISTINCT":
            select.set("distinct", self.put(exp.Distinct(), self.index - 1))
        items = [self._item()]
        while self.take(","):
            items.append(self._item())
        select.set("expressions", items)
        if self.at("FROM"):
            self.relation_list(select)
            self._clauses(select)
        elif self.at("WHERE", "GROUP", "HAVING", "WINDOW", "QUALIFY"):
            self.unexpected(
                '"FROM"', hint=f"{self.kind} needs a FROM; a SELECT without one is a row of constants"
            )
        return self._rewritten(self.put(select, start), start)

    def _item(self) -> exp.Expression:
        start = self.index
        value = self.put(exp.Star(), start) if self.take("*") else self.expression()
        if value.is_star and self._star_modifier():
            self.fail(f"* {self.kind} is not Flink SQL", self.here(), hint="list the columns")
        if isinstance(value, exp.Star):
            return value
        if self.take("AS") or (self.at_name() and not self.at_clause()):
            return self.put(exp.Alias(this=value, alias=self.identifier("an alias")), start)
        return value

    def _star_modifier(self) -> bool:
        """Whether `EXCEPT (column)` or its like follows `*`, and not a set operation."""
        if self.at("EXCEPT"):
            return self.ahead() == "(" and self.ahead(2) not in (*QUERY_WORDS, "(")
        return self.at("EXCLUDE", "REPLACE", "RENAME") and self.ahead() == "("

    def _clauses(self, select: exp.Select) -> None:
        start = self.index
        if self.take("WINDOW"):
            if self.at("TUMBLING", "HOPPING", "SESSION") and self.ahead() == "(":
                sugar.kafka_window(self, select, start)
            else:
                self.index = start
        start = self.index
        if self.take("WHERE"):
            select.set("where", self.put(exp.Where(this=self.expression()), start))
        if self.at("GROUP"):
            select.set("group", self._group())
        start = self.index
        if self.take("HAVING"):
            select.set("having", self.put(exp.Having(this=self.expression()), start))
        if self.at("WINDOW"):
            self._named_windows(select)
        self._no_window_left(select)
        start = self.index
        if self.take("QUALIFY"):
            select.set("qualify", self.put(exp.Qualify(this=self.expression()), start))

    def _rewritten(self, select: exp.Select, start: int) -> exp.Expression:
        sugar.kafka_group(self, select)
        select = sugar.group_window(self, select)
        return self.put(sugar.qualify(self, select), start)

    def _group(self) -> exp.Group:
        start = self.index
        self.expect("GROUP", "BY")
        if self.at("DISTINCT", "ALL"):
            self.fail(f"GROUP BY {self.kind} is not supported", self.here(), hint="list the keys")
        keys = self._group_key()
        while self.take(","):
            keys += self._group_key()
        return self.put(exp.Group(expressions=keys), start)

    def _group_key(self) -> list[exp.Expression]:
        start = self.index
        if self.at("GROUPING", "ROLLUP", "CUBE") and self.ahead() in ("(", "SETS"):
            return [self._grouping()]
        if self.at_all("(", ")"):
            self.index += 2
            return [
                self.put(exp.GroupingSets(expressions=[self.put(exp.Tuple(expressions=[]), start)]), start)
            ]
        value = self.expression()
        if isinstance(value, exp.Anonymous) and value.this == "ROW" and self.kinds[start] == "(":
            return list(value.expressions)
        return [value.this if isinstance(value, exp.Paren) else value]

    def _grouping(self) -> exp.Expression:
        """`GROUPING SETS (…)`, `ROLLUP (…)`, `CUBE (…)`, with what is nested in them."""
        start = self.index
        word = self.expect_any("GROUPING", "ROLLUP", "CUBE")
        if word == "GROUPING":
            self.expect("SETS")
        self.expect("(")
        entries = [self._grouping_entry(word)]
        while self.take(","):
            entries.append(self._grouping_entry(word))
        self.expect(")")
        node = {"GROUPING": exp.GroupingSets, "ROLLUP": exp.Rollup, "CUBE": exp.Cube}[word]
        return self.put(node(expressions=entries), start)

    def _grouping_entry(self, word: str) -> exp.Expression:
        start = self.index
        if self.at("ROLLUP", "CUBE") or self.at_all("GROUPING", "SETS"):
            return self._grouping()
        if self.take("(", ")"):
            return self.put(exp.Tuple(expressions=[]), start)
        value = self.expression()
        if isinstance(value, exp.Anonymous) and value.this == "ROW" and self.kinds[start] == "(":
            return self.put(exp.Tuple(expressions=list(value.expressions)), start)
        if isinstance(value, exp.Paren):
            value = value.this
        return self.put(exp.Tuple(expressions=[value]), start) if word == "GROUPING" else value

    def _named_windows(self, select: exp.Select) -> None:
        """`WINDOW w AS (…)`, put in place of `OVER w`."""
        self.expect("WINDOW")
        known: dict[str, exp.Window] = {}
        while not known or self.take(","):
            name = self.identifier("a window").name
            self.expect("AS", "(")
            window = self.window_spec(None)
            self.expect(")")
            self._inlined(window, known)
            known[name] = window
        used = {w.args["alias"].name for w in _own_windows(select) if w.args.get("alias") is not None}
        select.meta["unused_windows"] = [window for name, window in known.items() if name not in used]
        for window in _own_windows(select):
            self._inlined(window, known)

    def _inlined(self, window: exp.Window, known: dict[str, exp.Window]) -> None:
        alias = window.args.get("alias")
        if alias is None or alias.name not in known:
            return
        for key in ("partition_by", "order", "spec"):
            value = known[alias.name].args.get(key)
            if value and not window.args.get(key):
                window.set(key, [v.copy() for v in value] if isinstance(value, list) else value.copy())
        window.set("alias", None)

    def _no_window_left(self, select: exp.Select) -> None:
        for window in _own_windows(select):
            alias = window.args.get("alias")
            if alias is not None:
                start = alias.meta["start"]
                self.fail(
                    f'window "{alias.name}" does not exist',
                    Span(start, alias.meta["end"] + 1),
                    hint="define it after HAVING: WINDOW name AS (PARTITION BY … ORDER BY …)",
                )


def _own_windows(select: exp.Select) -> list[exp.Window]:
    """The OVER clauses of a SELECT, not those of its subqueries."""
    found: list[exp.Window] = []
    for item in select.expressions:
        nodes = item.walk(prune=lambda n: isinstance(n, exp.Query))
        found += [n for n in nodes if isinstance(n, exp.Window)]
    return found

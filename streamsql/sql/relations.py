"""What stands in FROM: tables, subqueries, window functions, joins."""

from __future__ import annotations

from sqlglot import exp

from streamsql.errors import did_you_mean
from streamsql.sql.changelog_tables import CHANGELOG_FUNCTIONS, changelog_table
from streamsql.sql.expressions import AFTER_QUERY, QUERY_WORDS
from streamsql.sql.match import MatchRules
from streamsql.sql.tree import JoinedTables, WindowTable
from streamsql.sql.within import join_within

WINDOW_FUNCTIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "TUMBLE": (("size",), ("size", "offset")),
    "HOP": (("slide", "size"), ("slide", "size", "offset")),
    "CUMULATE": (("step", "size"), ("step", "size", "offset")),
    "SESSION": (("gap",),),
}
"""The intervals of each window function after the time column, in order: the fewest, and the most."""


class RelationRules(MatchRules):
    """The rules of FROM."""

    def relation_list(self, select: exp.Select) -> None:
        """`FROM a [JOIN b …], c …`: the first is `from_`, the others are joins, a comma CROSS JOIN."""
        start = self.index
        self.expect("FROM")
        first, joins = self._joined()
        select.set("from_", self.put(exp.From(this=first), start))
        while self.at(","):
            comma = self.index
            self.expect(",")
            relation, more = self._joined()
            joins += [self.put(exp.Join(this=relation, kind="CROSS"), comma), *more]
        if joins:
            select.set("joins", joins)

    def _joined(self) -> tuple[exp.Expression, list[exp.Expression]]:
        """A relation and the joins after it. Parentheses around the first ones change nothing."""
        if self.at("(") and self._joins_inside():
            self.expect("(")
            first, joins = self._joined()
            self.expect(")")
        else:
            first, joins = self.relation(), []
        while (join := self._join()) is not None:
            joins.append(join)
        return first, joins

    def _joins_inside(self) -> bool:
        """Whether `(` opens a list of joins: a name comes, or a relation in parentheses that goes on."""
        if self.ahead() != "(":
            return self.ahead() not in QUERY_WORDS
        depth, at = 1, 2
        while depth and self.ahead(at):
            depth += (self.ahead(at) == "(") - (self.ahead(at) == ")")
            at += 1
        return self.ahead(at) not in (*AFTER_QUERY, ")")

    def _join(self) -> exp.Join | None:
        start = self.index
        natural = self.take("NATURAL")
        asof = not natural and self.take("ASOF")
        word = self.take_any("INNER", "LEFT", "RIGHT", "FULL", "CROSS")
        side, kind = (word, "") if word in ("LEFT", "RIGHT", "FULL") else ("", word)
        if side:
            self.take("OUTER")
        asof = asof or (bool(word) and self.take("ASOF"))
        if asof and word not in ("", "INNER", "LEFT"):
            self.fail(f"{word} ASOF JOIN is not supported", self.since(start),
                      hint="each row of the left takes one of the right: ASOF JOIN, or ASOF LEFT JOIN")
        if side and self.at("SEMI", "ANTI"):
            self.fail(
                f"{side} {self.kind} JOIN is not supported",
                self.here(),
                hint="write WHERE [NOT] EXISTS (SELECT …) or [NOT] IN",
            )
        if word or natural or asof:
            self.expect("JOIN")
        elif not self.take("JOIN"):
            return None
        join = exp.Join(
            this=self._right_side(),
            side=side or None,
            kind=kind or None,
            method="NATURAL" if natural else "ASOF" if asof else None,
        )
        match = self.expression() if asof and self.take("MATCH_CONDITION") else None
        within = join_within(self)
        if within:
            join.set("within", within)
        if match is None or self.at("ON", "USING"):
            self._condition(join, natural or kind == "CROSS")
        on = join.args.get("on")
        if match is not None:
            join.set("on", match if on is None else exp.And(this=on, expression=match))
        return self.put(join, start)

    def _right_side(self) -> exp.Expression:
        if not self.at("(") or not self._joins_inside():
            return self.relation()
        start = self.index
        self.expect("(")
        relation, joins = self._joined()
        self.expect(")")
        return self.put(JoinedTables(this=relation, joins=joins), start) if joins else relation

    def _condition(self, join: exp.Join, unconditional: bool) -> None:
        if unconditional:
            return
        if self.take("USING"):
            self.expect("(")
            columns = [self.identifier("a column")]
            while self.take(","):
                columns.append(self.identifier("a column"))
            self.expect(")")
            join.set("using", columns)
            return
        self.expect("ON", hint="a join without a condition is written CROSS JOIN")
        join.set("on", self.expression())

    def relation(self) -> exp.Expression:
        """One relation with its alias."""
        start = self.index
        relation = self._relation()
        relation = self.match_recognize(relation)
        if relation.args.get("alias") is None:
            self.alias(relation)
        if isinstance(relation, exp.Table) and relation.args.get("version") is None and self.at("FOR"):
            relation.set("version", self._version())
        if self.at("TABLESAMPLE", "PIVOT", "UNPIVOT"):
            self.fail(f"{self.kind} is not supported", self.here(), hint="filter with WHERE")
        return self.put(relation, start)

    def _relation(self) -> exp.Expression:
        if self.at("("):
            return self._derived()
        lateral = self.take("LATERAL")
        if self.at_all("TABLE", "("):
            self.index += 2
            tree = self._table_function()
            self.expect(")")
            return tree
        if lateral:
            return exp.Lateral(this=self.subquery())
        if self.take("UNNEST", "("):
            items = [self.expression()]
            while self.take(","):
                items.append(self.expression())
            self.expect(")")
            return exp.Unnest(expressions=items, offset=self.take("WITH", "ORDINALITY") or None)
        if self.at_name() and self.ahead() == "(":
            return self._table_function()
        return self._table()

    def _derived(self) -> exp.Expression:
        """`(SELECT …)` or `(VALUES …)`; a pair of parentheses around a relation means nothing."""
        start = self.index
        if self.ahead() == "(":
            # Either a query that begins with a parenthesis, or a relation in two pairs of them.
            depth = 1
            while self.ahead(depth) == "(":
                depth += 1
            if self.ahead(depth) not in QUERY_WORDS:
                self.expect("(")
                tree = self.relation()
                self.expect(")")
                return tree
        self.expect("(")
        query = self.query()
        self.expect(")")
        return self.put(derived(query), start)

    def _table(self) -> exp.Table:
        start = self.index
        parts = [self.identifier("a table")]
        while self.take("."):
            parts.append(self.identifier("a table"))
        if len(parts) > 3:
            self.fail("a table has a name of at most three parts", self.since(start))
        table = exp.Table(**dict(zip(("this", "db", "catalog"), reversed(parts), strict=False)))
        if self.at("/*+"):
            table.set("hints", [self.options_hint()])
        if self.at("FOR"):
            table.set("version", self._version())
        return self.put(table, start)

    def _version(self) -> exp.Version:
        start = self.index
        self.expect("FOR", "SYSTEM_TIME", "AS", "OF")
        return self.put(exp.Version(this="SYSTEM_TIME", kind="AS OF", expression=self.operand()), start)

    def options_hint(self) -> exp.Anonymous:
        """`/*+ OPTIONS('k' = 'v', …) */`. Any other hint is an error."""
        start, span = self.index, self.here()
        inside = type(self)(self.source, self.hint_tokens())
        inside.expect("OPTIONS", "(", hint="the only hint is OPTIONS('key' = 'value'), after a table")
        options: list[exp.Expression] = []
        while not options or inside.take(","):
            first = inside.index
            key = inside.text_literal()
            inside.expect("=")
            options.append(inside.put(exp.PropertyEQ(this=key, expression=inside.text_literal()), first))
        inside.expect(")")
        if inside.kind:
            inside.unexpected("the end of the hint")
        self.index += 1
        assert span.start < span.end
        return self.put(exp.Anonymous(this="OPTIONS", expressions=options), start)

    def alias(self, relation: exp.Expression) -> None:
        """`[AS] name [(columns)]`, if it comes."""
        start = self.index
        if self.at_all("MATCH_CONDITION", "("):
            return  # of ASOF JOIN
        if not self.take("AS") and not (self.at_name() and not self.at_clause()):
            return
        alias = exp.TableAlias(this=self.identifier("an alias"))
        if self.take("("):
            columns = [self.identifier("a column")]
            while self.take(","):
                columns.append(self.identifier("a column"))
            self.expect(")")
            alias.set("columns", columns)
        relation.set("alias", self.put(alias, start))

    def at_clause(self) -> bool:
        """Whether a word that is not reserved begins a clause here, so that it is no alias."""
        return self.at("EMIT") and self.ahead() in ("FINAL", "ON", "CHANGES", "EVERY", "WITHOUT", "AFTER")

    # Table functions.

    def _table_function(self) -> exp.Expression:
        """`TUMBLE(…)` and its like, or another function that returns rows."""
        start = self.index
        name = self.token.text.upper()
        if name in CHANGELOG_FUNCTIONS and not self.at("`"):
            return self.put(changelog_table(self, name), start)
        if name not in WINDOW_FUNCTIONS and self.ahead(2) == "TABLE" and self.ahead(4) == ",":
            self.fail(f'window function "{name}" does not exist', self.here(),
                      hint=did_you_mean(name, WINDOW_FUNCTIONS, "Window functions"))
        if name not in WINDOW_FUNCTIONS or self.at("`"):
            return self.put(exp.Lateral(this=self.call()), start)
        self.index += 1
        self.expect("(")
        tree = WindowTable(function=name)
        named = self.at_name() and self.ahead() == "=>"
        if named:
            self._named_arguments(tree, name, start)
        else:
            self._positional_arguments(tree, name)
        self.expect(")")
        return self.put(tree, start)

    def _positional_arguments(self, tree: WindowTable, name: str) -> None:
        self._window_input(tree)
        self.expect(",")
        tree.set("time", self._time_column())
        shapes = WINDOW_FUNCTIONS[name]
        for count, key in enumerate(shapes[-1]):
            if count >= len(shapes[0]) and not self.at(","):
                break
            self.expect(",", hint=f"{name} takes {_shape(name)}")
            tree.set(key, self.expression())

    def _named_arguments(self, tree: WindowTable, name: str, start: int) -> None:
        keys = {"DATA", "TIMECOL", *(k.upper() for k in WINDOW_FUNCTIONS[name][-1])}
        seen: set[str] = set()
        while not seen or self.take(","):
            key = self.token.text.upper()
            if not (self.at(*keys) or self.at("`")) or key not in keys or key in seen:
                self.unexpected(f"an argument of {name}", hint=f"its arguments are {', '.join(sorted(keys))}")
            seen.add(key)
            self.index += 1
            self.expect("=>")
            if key == "DATA":
                self._window_input(tree)
            elif key == "TIMECOL":
                tree.set("time", self._time_column())
            else:
                tree.set(key.lower(), self.expression())
        missing = {"DATA", "TIMECOL", *(k.upper() for k in WINDOW_FUNCTIONS[name][0])} - seen
        if missing:
            self.fail(
                f"{name} lacks {', '.join(sorted(missing))}",
                self.since(start),
                hint=f"its arguments are {', '.join(sorted(keys))}",
            )

    def _window_input(self, tree: WindowTable) -> None:
        """The input and, for SESSION, its PARTITION BY."""
        tree.set("this", self.input_relation())
        if not self.at("PARTITION"):
            return
        if tree.args["function"] != "SESSION":
            self.fail(
                f"{tree.args['function']} has no PARTITION BY",
                self.here(),
                hint="group by the key beside window_start and window_end",
            )
        self.expect("PARTITION", "BY")
        bracket = self.take("(")
        keys = [self.column()]
        # A comma followed by a column and no `(`: DESCRIPTOR(…) or the time column ends the list.
        while self.at(",") and self._another_key(bracket):
            self.expect(",")
            keys.append(self.column())
        if bracket:
            self.expect(")")
        tree.set("partition", keys)

    def input_relation(self) -> exp.Expression:
        """`TABLE t`, `(SELECT …)`, `t`, or another function that gives rows."""
        start = self.index
        if self.at("("):
            relation = self._derived()
        elif self.at_all("TABLE", "("):
            self.index += 2
            relation = self._table_function() if self.ahead() == "(" else self.relation()
            self.expect(")")
        elif self.at_name() and self.ahead() == "(":
            relation = self._table_function()
        else:
            self.take("TABLE")
            relation = self._table()
        return self.put(relation, start)

    def _another_key(self, bracket: bool) -> bool:
        if bracket:
            return True
        return self.ahead(2) == "," and self.ahead(3) not in ("INTERVAL",)

    def _time_column(self) -> exp.Expression:
        if self.take("DESCRIPTOR"):
            self.expect("(")
            column = self.column()
            self.expect(")")
            return column
        return self.column()


def derived(query: exp.Expression) -> exp.Expression:
    """A query as a relation: VALUES without clauses of its own as it is, any other in a Subquery."""
    plain = not any(query.args.get(k) for k in ("order", "limit", "offset"))
    return query if isinstance(query, exp.Values) and plain else exp.Subquery(this=query)


def _shape(name: str) -> str:
    return " or ".join(f"(data, time, {', '.join(shape)})" for shape in WINDOW_FUNCTIONS[name])

"""Calls: a function's name, its arguments, and what may follow them; see `special_calls` for a syntax of their own."""

from __future__ import annotations

from sqlglot import exp

from streamsql.sql.special_calls import SPECIAL, SpecialCalls


class CallRules(SpecialCalls):
    """The rules of calls."""

    def call(self) -> exp.Expression:
        """A call with its suffixes: IGNORE NULLS, WITHIN GROUP, FILTER, OVER."""
        start = self.index
        name = self.token.text.upper()
        special = SPECIAL.get(name)
        self.index += 1
        self.expect("(")
        if special is not None:
            tree = special(self)
        else:
            tree = exp.Anonymous(this=name, expressions=self._arguments(name))
        self.expect(")")
        return self._suffixes(self.put(tree, start), start)

    def _arguments(self, name: str) -> list[exp.Expression]:
        if self.at(")"):
            return []
        if name == "COUNT" and self.at_all("*", ")"):
            self.index += 1
            return [self.put(exp.Star(), self.index - 1)]
        start = self.index
        distinct = self.take_any("DISTINCT", "ALL") == "DISTINCT"
        items = [self.argument()]
        while self.take(","):
            items.append(self.argument())
        if self.at("ORDER"):
            items[-1] = self.order_by(items[-1])
        return [self.put(exp.Distinct(expressions=items), start)] if distinct else items

    def argument(self) -> exp.Expression:
        """One argument: a value, `name => value` or a lambda."""
        start = self.index
        if self.ahead() == "=>" and self.at_name():
            name = self.put(exp.Var(this=self.identifier().name), start)
            self.expect("=>")
            return self.put(exp.Kwarg(this=name, expression=self.expression()), start)
        parameters = self._parameters()
        if parameters:
            return self.put(exp.Lambda(this=self.expression(), expressions=parameters), start)
        return self.expression()

    def _parameters(self) -> list[exp.Expression]:
        """The names before `->`; none if no lambda comes."""
        if self.at_name() and self.ahead() == "->":
            names: list[exp.Expression] = [self.identifier()]
            self.expect("->")
            return names
        count = 1
        while self.at("(") and self.ahead(count) and self.ahead(count + 1) == ",":
            count += 2
        if not (self.at("(") and self.ahead(count + 1) == ")" and self.ahead(count + 2) == "->"):
            return []
        self.expect("(")
        names = [self.identifier()]
        while self.take(","):
            names.append(self.identifier())
        self.expect(")", "->")
        return names

    def bracketed(self, name: str) -> exp.Expression:
        """`[a, b]` after ARRAY, MAP or MULTISET."""
        self.expect("[")
        items: list[exp.Expression] = []
        while not self.at("]"):
            if items:
                self.expect(",")
            items.append(self.expression())
        self.expect("]")
        return exp.Anonymous(this=name, expressions=items)

    # What follows a call.

    def _suffixes(self, tree: exp.Expression, start: int) -> exp.Expression:
        if self.ahead() == "NULLS" and self.at("IGNORE", "RESPECT"):
            node = exp.IgnoreNulls if self.at("IGNORE") else exp.RespectNulls
            self.index += 2
            tree = self.put(node(this=tree), start)
        if self.take("WITHIN", "GROUP", "("):
            tree = exp.WithinGroup(this=tree, expression=self.order_by())
            self.expect(")")
            tree = self.put(tree, start)
        if self.at_all("FILTER", "("):
            inside = self.index + 2
            self.expect("FILTER", "(", "WHERE")
            where = self.put(exp.Where(this=self.expression()), inside)
            self.expect(")")
            tree = self.put(exp.Filter(this=tree, expression=where), start)
        if self.take("OVER"):
            tree = self._over(tree, start)
        return tree

    def _over(self, tree: exp.Expression, start: int) -> exp.Expression:
        if self.take("("):
            window = self.window_spec(tree)
            self.expect(")")
        else:
            window = exp.Window(this=tree, alias=self.identifier("a window"))
        return self.put(window, start)

    def window_spec(self, tree: exp.Expression | None) -> exp.Window:
        """The inside of `OVER (…)`. A name in front means a window of the WINDOW clause."""
        window = exp.Window(this=tree)
        if self.at_name():
            window.set("alias", self.identifier())
        if self.take("PARTITION", "BY"):
            keys = [self.expression()]
            while self.take(","):
                keys.append(self.expression())
            window.set("partition_by", keys)
        if self.at("ORDER"):
            window.set("order", self.order_by())
        if self.at("ROWS", "RANGE"):
            window.set("spec", self._frame())
        return window

    def _frame(self) -> exp.WindowSpec:
        start = self.index
        spec = exp.WindowSpec(kind=self.expect_any("ROWS", "RANGE"))
        between = self.take("BETWEEN")
        self._bound(spec, "start")
        if between:
            self.expect("AND")
            self._bound(spec, "end")
        else:
            spec.set("end", "CURRENT ROW")
        return self.put(spec, start)

    def _bound(self, spec: exp.WindowSpec, side: str) -> None:
        if self.take("CURRENT", "ROW"):
            spec.set(side, "CURRENT ROW")
            return
        spec.set(side, "UNBOUNDED" if self.take("UNBOUNDED") else self.expression())
        spec.set(f"{side}_side", self.expect_any("PRECEDING", "FOLLOWING"))

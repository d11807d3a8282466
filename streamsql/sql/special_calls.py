"""Functions whose arguments have a syntax of their own: CAST, EXTRACT, TRIM, the JSON functions …"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from sqlglot import exp

from streamsql.sql.functions import TIME_UNITS
from streamsql.sql.types import TypeRules

_USES = {"SUBSTRING": "SUBSTRING(text, start, length)", "OVERLAY": "OVERLAY(text PLACING other FROM start)"}


class SpecialCalls(TypeRules):
    """The rules of their arguments, `_name` for each: at the first argument when called, before `)` after."""

    @abstractmethod
    def expression(self) -> exp.Expression: ...

    @abstractmethod
    def query(self) -> exp.Expression: ...

    @abstractmethod
    def column(self) -> exp.Expression: ...

    def variable(self, text: str) -> exp.Var:
        """A word of the token read last as a tree."""
        return self.put(exp.Var(this=text), self.index - 1)

    def text_literal(self) -> exp.Literal:
        start = self.index
        return self.put(exp.Literal.string(self.string()), start)

    def order_by(self, this: exp.Expression | None = None) -> exp.Order:
        """`ORDER BY a [ASC|DESC] [NULLS FIRST|LAST], …`."""
        start = self.index
        self.expect("ORDER", "BY")
        terms = [self._ordered()]
        while self.take(","):
            terms.append(self._ordered())
        return self.put(exp.Order(this=this, expressions=terms), start)

    def _ordered(self) -> exp.Ordered:
        start = self.index
        tree = exp.Ordered(this=self.expression())
        word = self.take_any("ASC", "DESC")
        if word:
            tree.set("desc", word == "DESC")
        if self.take("NULLS"):
            tree.set("nulls_first", self.expect_any("FIRST", "LAST") == "FIRST")
        return self.put(tree, start)

    def _cast(self) -> exp.Expression:
        this, to = self._value_as_type()
        return exp.Cast(this=this, to=to)

    def _try_cast(self) -> exp.Expression:
        this, to = self._value_as_type()
        return exp.TryCast(this=this, to=to)

    def _value_as_type(self) -> tuple[exp.Expression, exp.DataType]:
        value = self.expression()
        self.expect("AS")
        return value, self.type_tree()

    def time_unit(self) -> exp.Var:
        """A unit of EXTRACT and its like; `SQL_TSI_DAY` is DAY."""
        unit = self.kind.removeprefix("SQL_TSI_")
        if unit not in TIME_UNITS:
            one = unit.removesuffix("S")
            near = f'did you mean "{one}"? ' if one in TIME_UNITS else ""
            self.unexpected("a unit of time", hint=f"{near}Units are {', '.join(sorted(TIME_UNITS))}")
        self.index += 1
        return self.variable(unit)

    def _extract(self) -> exp.Expression:
        unit = self.time_unit()
        self.expect("FROM")
        return exp.Anonymous(this="EXTRACT", expressions=[unit, self.expression()])

    def _floor(self) -> exp.Expression:
        return self._rounded("FLOOR")

    def _ceil(self) -> exp.Expression:
        return self._rounded("CEIL")

    def _rounded(self, name: str) -> exp.Expression:
        items = [self.expression()]
        if self.take("TO"):
            items.append(self.time_unit())
        while self.take(","):
            items.append(self.expression())
        return exp.Anonymous(this=name, expressions=items)

    def _timestampadd(self) -> exp.Expression:
        return self._with_unit("TIMESTAMPADD")

    def _timestampdiff(self) -> exp.Expression:
        return self._with_unit("TIMESTAMPDIFF")

    def _with_unit(self, name: str) -> exp.Expression:
        items: list[exp.Expression] = [self.time_unit()]
        for _ in range(2):
            self.expect(",")
            items.append(self.expression())
        return exp.Anonymous(this=name, expressions=items)

    def _trim(self) -> exp.Expression:
        start = self.index
        word = self.take_any("BOTH", "LEADING", "TRAILING")
        side = self.put(exp.Var(this=word or "BOTH"), start)
        space: exp.Expression = self.put(exp.Literal.string(" "), start)
        if word and self.take("FROM"):
            return exp.Anonymous(this="TRIM", expressions=[side, space, self.expression()])
        value = self.expression()
        if not word and self.at(")"):
            return exp.Anonymous(this="TRIM", expressions=[side, space, value])
        self.expect("FROM")
        return exp.Anonymous(this="TRIM", expressions=[side, value, self.expression()])

    def _overlay(self) -> exp.Expression:
        return self._worded("OVERLAY", ("PLACING", "FROM", "FOR"), required=3)

    def _position(self) -> exp.Expression:
        # The needle is read below the level of IN, which separates it from the haystack.
        items = [self.operand()]
        self.expect("IN")
        items.append(self.expression())
        if self.take("FROM"):
            items.append(self.expression())
        return exp.Anonymous(this="POSITION", expressions=items)

    @abstractmethod
    def operand(self) -> exp.Expression: ...

    def _substring(self) -> exp.Expression:
        return self._worded("SUBSTRING", ("FROM", "FOR"), required=2)

    def _worded(self, name: str, words: tuple[str, ...], required: int) -> exp.Expression:
        """`f(a WORD b WORD c)`, or the same with commas."""
        items = [self.expression()]
        commas = self.at(",")
        for count, word in enumerate(words, start=2):
            if count > required and self.at(")"):
                break
            if count <= required and not commas and not self.at(word):
                self.unexpected(f'"," or "{word}"', hint=f"write {_USES[name]}")
            self.expect("," if commas else word)
            items.append(self.expression())
        return exp.Anonymous(this=name, expressions=items)

    def _row_call(self) -> exp.Expression:
        items = [self.expression()]
        while self.take(","):
            items.append(self.expression())
        return exp.Anonymous(this="ROW", expressions=items)

    def _option(self, name: str, value: exp.Expression, start: int) -> exp.Expression:
        return self.put(exp.Kwarg(this=self.put(exp.Var(this=name), start), expression=value), start)

    def _json_exists(self) -> exp.Expression:
        items = self._json_path()
        start = self.index
        word = self.take_any("TRUE", "FALSE", "UNKNOWN", "ERROR")
        if word:
            value = self.variable(word)
            self.expect("ON", "ERROR")
            items.append(self._option("ON_ERROR", value, start))
        return exp.Anonymous(this="JSON_EXISTS", expressions=items)

    def _json_path(self) -> list[exp.Expression]:
        value = self.expression()
        self.expect(",")
        return [value, self.expression()]

    def _json_returning(self, items: list[exp.Expression]) -> None:
        start = self.index
        if self.take("RETURNING"):
            items.append(self._option("RETURNING", self.type_tree(), start))

    def _json_value(self) -> exp.Expression:
        items = self._json_path()
        self._json_returning(items)
        self._json_behaviours(items, self._json_value_behaviour)
        return exp.Anonymous(this="JSON_VALUE", expressions=items)

    def _json_behaviours(
        self, items: list[exp.Expression], behaviour: Callable[[], exp.Expression | None]
    ) -> None:
        """`b ON EMPTY` and `b ON ERROR`, in this order."""
        allowed = ["EMPTY", "ERROR"]
        while allowed:
            start = self.index
            value = behaviour()
            if value is None:
                return
            self.expect("ON")
            word = self.expect_any(*allowed)
            allowed = allowed[allowed.index(word) + 1 :]
            items.append(self._option(f"ON_{word}", value, start))

    def _json_value_behaviour(self) -> exp.Expression | None:
        if self.take("DEFAULT"):
            return self.expression()
        word = self.take_any("NULL", "ERROR")
        return self.variable(word) if word else None

    def _json_query_behaviour(self) -> exp.Expression | None:
        start = self.index
        word = self.take_any("NULL", "ERROR", "EMPTY")
        if word == "EMPTY":
            word = f"EMPTY {self.take_any('OBJECT') or self.expect_any('ARRAY', 'OBJECT')}"
        return self.put(exp.Var(this=word), start) if word else None

    def _json_query(self) -> exp.Expression:
        items = self._json_path()
        self._json_returning(items)
        start = self.index
        word = self.take_any("WITH", "WITHOUT")
        if word:
            how = "WITHOUT"
            if word == "WITH":
                how = self.take_any("CONDITIONAL", "UNCONDITIONAL") or "UNCONDITIONAL"
            self.take("ARRAY")
            self.expect("WRAPPER")
            items.append(self._option("WRAPPER", self.put(exp.Var(this=how), start), start))
        self._json_behaviours(items, self._json_query_behaviour)
        return exp.Anonymous(this="JSON_QUERY", expressions=items)

    def _json_null_clause(self, items: list[exp.Expression]) -> None:
        start = self.index
        if self.at("NULL", "ABSENT") and self.ahead() == "ON":
            value = self.variable_of("NULL", "ABSENT")
            self.expect("ON", "NULL")
            items.append(self._option("ON_NULL", value, start))

    def variable_of(self, *words: str) -> exp.Var:
        word = self.expect_any(*words)
        return self.variable(word)

    def _json_pair(self) -> list[exp.Expression]:
        if self.at("KEY") and self.ahead() not in ("VALUE", ":", "."):
            self.expect("KEY")
        key = self.expression()
        if not self.take(":"):
            self.expect("VALUE")
        return [key, self.expression()]

    def _json_object(self) -> exp.Expression:
        items: list[exp.Expression] = []
        if not self.at(")") and not self.at_all("NULL", "ON") and not self.at_all("ABSENT", "ON"):
            items += self._json_pair()
            while self.take(","):
                items += self._json_pair()
        self._json_null_clause(items)
        return exp.Anonymous(this="JSON_OBJECT", expressions=items)

    def _json_objectagg(self) -> exp.Expression:
        items = self._json_pair()
        self._json_null_clause(items)
        return exp.Anonymous(this="JSON_OBJECTAGG", expressions=items)

    def _json_array(self) -> exp.Expression:
        items: list[exp.Expression] = []
        while not self.at(")") and not self.at_all("NULL", "ON") and not self.at_all("ABSENT", "ON"):
            if items:
                self.expect(",")
            items.append(self.expression())
        self._json_null_clause(items)
        return exp.Anonymous(this="JSON_ARRAY", expressions=items)

    def _json_arrayagg(self) -> exp.Expression:
        items = [self.expression()]
        if self.at("ORDER"):
            items = [self.order_by(items[0])]
        self._json_null_clause(items)
        return exp.Anonymous(this="JSON_ARRAYAGG", expressions=items)

    def _descriptor(self) -> exp.Expression:
        items = [self.column()]
        while self.take(","):
            items.append(self.column())
        return exp.Anonymous(this="DESCRIPTOR", expressions=items)


SPECIAL: dict[str, Callable[[SpecialCalls], exp.Expression]] = {
    name.upper(): getattr(SpecialCalls, f"_{name}")
    for name in (
        "cast",
        "try_cast",
        "extract",
        "floor",
        "ceil",
        "timestampadd",
        "timestampdiff",
        "trim",
        "overlay",
        "position",
        "substring",
        "json_exists",
        "json_value",
        "json_query",
        "json_object",
        "json_objectagg",
        "json_array",
        "json_arrayagg",
        "descriptor",
    )
}
SPECIAL |= {"CEILING": SpecialCalls._ceil, "ROW": SpecialCalls._row_call}

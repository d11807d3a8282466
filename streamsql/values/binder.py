"""Binder: an expression tree becomes DuckDB text with Flink's meaning, and its Flink type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Protocol

from streamsql.core.schema import text_literal
from streamsql.core.typed import Typed
from streamsql.core.types import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    INT,
    NULL,
    STRING,
    DataType,
    array,
    char,
    decimal,
    row,
)
from streamsql.errors import BindError, SQLTypeError, did_you_mean
from streamsql.sql import data_type, exp, interval_type, interval_value, span_of
from streamsql.values.casts import cast
from streamsql.values.functions import lookup, names
from streamsql.values.promotion import common_type, decimal_product, decimal_quotient, decimal_sum
from streamsql.values.signature import apply

__all__ = ["Binder", "Scope", "cast", "common_type"]

_COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
}
_ARITHMETIC: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
}


class Scope(Protocol):
    """What names mean where the expression stands."""

    def column(self, tree: exp.Expr) -> Typed: ...

    def call(self, tree: exp.Expr) -> Typed | None: ...


class Binder:
    """Binds trees of one scope. Raises BindError and SQLTypeError with spans."""

    def __init__(self, scope: Scope, settings: Mapping[str, str]) -> None:
        self._scope = scope
        self._zone = text_literal(settings.get("table.local-time-zone", "UTC"))
        self._rules: dict[type[exp.Expr], Callable[[exp.Expr], Typed]] = {
            exp.Column: scope.column,
            exp.Literal: self._literal,
            exp.Paren: lambda t: self.bind(t.this),
            exp.Null: lambda t: Typed("NULL", NULL, is_literal=True),
            exp.Boolean: self._boolean,
            exp.Interval: self._interval,
            exp.Introducer: self._introducer,
            exp.Neg: self._negated,
            exp.Not: self._not,
            exp.And: self._logical,
            exp.Or: self._logical,
            exp.Is: self._is,
            exp.Between: self._between,
            exp.In: self._in,
            exp.Case: self._case,
            exp.Cast: self._cast,
            exp.TryCast: self._cast,
            exp.Anonymous: self._call,
            exp.Like: self._like,
            exp.DPipe: self._concat,
            exp.Bracket: self._bracket,
            **dict.fromkeys(_COMPARISONS, self._compare),
            **dict.fromkeys(_ARITHMETIC, self._arithmetic),
        }

    def bind(self, tree: exp.Expr) -> Typed:
        """The bound expression of `tree`."""
        found = self._scope.call(tree)
        if found is not None:
            return found
        rule = self._rules.get(type(tree))
        if rule is None:
            raise SQLTypeError(f"{type(tree).__name__} is not built", span_of(tree))
        return rule(tree)

    def _literal(self, tree: exp.Expr) -> Typed:
        text = tree.name
        if tree.is_string:
            return Typed(text_literal(text), char(len(text)).not_null(), text, True)
        if "e" in text.lower():
            return Typed(f"CAST({text} AS DOUBLE)", DOUBLE.not_null(), float(text), True)
        if "." in text:
            _, digits, exponent = Decimal(text).as_tuple()
            scale = -int(exponent)
            kind = decimal(max(len(digits), scale), scale)
            return Typed(f"CAST({text} AS {kind.duck_type()})", kind.not_null(), Decimal(text), True)
        value = int(text)
        kind = INT if value < 2**31 else BIGINT if value < 2**63 else decimal(len(text), 0)
        return Typed(f"CAST({text} AS {kind.duck_type()})", kind.not_null(), value, True)

    def _boolean(self, tree: exp.Expr) -> Typed:
        return Typed("TRUE" if tree.this else "FALSE", BOOLEAN.not_null(), bool(tree.this), True)

    def _interval(self, tree: exp.Expr) -> Typed:
        assert isinstance(tree, exp.Interval)
        kind, value = interval_type(tree), interval_value(tree)
        sql = f"to_months({value})" if "MONTH" in kind.root else f"to_microseconds({value})"
        return Typed(sql, kind.not_null(), value, True)

    def _introducer(self, tree: exp.Expr) -> Typed:
        word, text = tree.this.name.upper(), tree.expression.name
        digits = len(text.split(".")[1]) if "." in text else 0
        kind = DataType(word, False, 0 if word == "DATE" else digits)
        return Typed(f"CAST({text_literal(text)} AS {kind.duck_type()})", kind, text, True)

    def _negated(self, tree: exp.Expr) -> Typed:
        value = self.bind(tree.this)
        return Typed(f"(-{value.sql})", value.type)

    def _truth(self, tree: exp.Expr) -> Typed:
        value = self.bind(tree)
        if value.type.root not in ("BOOLEAN", "NULL"):
            raise SQLTypeError(f"a BOOLEAN is needed, this is {value.type}", span_of(tree))
        return value

    def _not(self, tree: exp.Expr) -> Typed:
        value = self._truth(tree.this)
        return Typed(f"(NOT {value.sql})", value.type)

    def _logical(self, tree: exp.Expr) -> Typed:
        a, b = self._truth(tree.this), self._truth(tree.expression)
        word = "AND" if isinstance(tree, exp.And) else "OR"
        return Typed(f"({a.sql} {word} {b.sql})", BOOLEAN.as_nullable(a.type.nullable or b.type.nullable))

    def _is(self, tree: exp.Expr) -> Typed:
        value, what = self.bind(tree.this), tree.expression
        word = (
            "NULL" if isinstance(what, exp.Null) or what.name == "UNKNOWN" else str(bool(what.this)).upper()
        )
        if word == "NULL":
            return Typed(f"({value.sql} IS NULL)", BOOLEAN.not_null())
        return Typed(f"({value.sql} IS NOT DISTINCT FROM {word})", BOOLEAN.not_null())

    def _pair(self, tree: exp.Expr, a: Typed, b: Typed) -> tuple[Typed, Typed]:
        kind = common_type([a.type, b.type])
        if kind is None and a.type.is_timestamp and b.type.is_character:
            kind = a.type
        if kind is None and b.type.is_timestamp and a.type.is_character:
            kind = b.type
        if kind is None or "NULL" in (a.type.root, b.type.root):
            raise SQLTypeError(
                f"{a.type} and {b.type} cannot be compared", span_of(tree), hint="CAST one side."
            )
        return cast(a, kind, implicit=True), cast(b, kind, implicit=True)

    def _compare(self, tree: exp.Expr) -> Typed:
        a, b = self._pair(tree, self.bind(tree.this), self.bind(tree.expression))
        safe = isinstance(tree, exp.NullSafeEQ | exp.NullSafeNEQ)
        nullable = not safe and (a.type.nullable or b.type.nullable)
        return Typed(f"({a.sql} {_COMPARISONS[type(tree)]} {b.sql})", BOOLEAN.as_nullable(nullable))

    def _between(self, tree: exp.Expr) -> Typed:
        value, low, high = self.bind(tree.this), self.bind(tree.args["low"]), self.bind(tree.args["high"])
        a, b = self._pair(tree, value, low)
        c, d = self._pair(tree, value, high)
        return Typed(f"({a.sql} >= {b.sql} AND {c.sql} <= {d.sql})", BOOLEAN)

    def _in(self, tree: exp.Expr) -> Typed:
        value = self.bind(tree.this)
        parts = []
        for item in tree.expressions:
            a, b = self._pair(tree, value, self.bind(item))
            parts.append(f"{a.sql} = {b.sql}")
        return Typed(f"({' OR '.join(parts)})", BOOLEAN)

    def _case(self, tree: exp.Expr) -> Typed:
        subject = tree.this
        whens, results = [], []
        for branch in tree.args["ifs"]:
            test = exp.EQ(this=subject, expression=branch.this) if subject is not None else branch.this
            whens.append(self._truth(test).sql)
            results.append(self.bind(branch.args["true"]))
        default = tree.args.get("default")
        results.append(self.bind(default) if default is not None else Typed("NULL", NULL))
        kind = common_type([r.type for r in results if r.type.root != "NULL"])
        if kind is None:
            raise SQLTypeError("the results of CASE have no common type", span_of(tree), hint="CAST them.")
        kind = kind.as_nullable(any(r.type.nullable for r in results))
        texts = [cast(r, kind, implicit=True).sql for r in results]
        cases = " ".join(f"WHEN {w} THEN {t}" for w, t in zip(whens, texts[:-1], strict=True))
        return Typed(f"(CASE {cases} ELSE {texts[-1]} END)", kind)

    def _cast(self, tree: exp.Expr) -> Typed:
        return cast(
            self.bind(tree.this),
            data_type(tree.args["to"]),
            safe=isinstance(tree, exp.TryCast),
            span=span_of(tree),
        )

    def _like(self, tree: exp.Expr) -> Typed:
        a, b = self.bind(tree.this), self.bind(tree.expression)
        return Typed(f"({a.sql} LIKE {b.sql})", BOOLEAN.as_nullable(a.type.nullable or b.type.nullable))

    def _concat(self, tree: exp.Expr) -> Typed:
        a, b = (cast(self.bind(t), STRING, implicit=True) for t in (tree.this, tree.expression))
        return Typed(f"({a.sql} || {b.sql})", STRING.as_nullable(a.type.nullable or b.type.nullable))

    def _bracket(self, tree: exp.Expr) -> Typed:
        value, at = self.bind(tree.this), self.bind(tree.expressions[0])
        kind = value.type.children[-1] if value.type.children else NULL
        return Typed(f"({value.sql}[{at.sql}])", kind.as_nullable())

    def _arithmetic(self, tree: exp.Expr) -> Typed:
        a, b, sign = self.bind(tree.this), self.bind(tree.expression), _ARITHMETIC[type(tree)]
        nullable = a.type.nullable or b.type.nullable
        if a.type.is_timestamp and b.type.is_interval:
            return Typed(f"({a.sql} {sign} {b.sql})", a.type.as_nullable(nullable))
        if b.type.is_timestamp and a.type.is_interval and sign == "+":
            return Typed(f"({a.sql} + {b.sql})", b.type.as_nullable(nullable))
        if not (a.type.is_numeric and b.type.is_numeric):
            raise SQLTypeError(
                f'"{sign}" does not take {a.type} and {b.type}', span_of(tree), hint="CAST one side."
            )
        kind = common_type([a.type, b.type])
        assert kind is not None
        if kind.root == "DECIMAL":
            x, y = (t.type if t.type.root == "DECIMAL" else decimal(19, 0) for t in (a, b))
            kind = {"*": decimal_product, "/": decimal_quotient}.get(sign, decimal_sum)(x, y)
        kind = kind.as_nullable(nullable)
        if (sign == "/" and kind.is_integer) or sign == "%":
            word = "//" if sign == "/" else "%"
            guard = f"CASE WHEN {b.sql} = 0 THEN error('division by zero') ELSE {a.sql} {word} {b.sql} END"
            return Typed(f"CAST({guard} AS {kind.duck_type()})", kind)
        return Typed(f"CAST({a.sql} {sign} {b.sql} AS {kind.duck_type()})", kind)

    def _call(self, tree: exp.Expr) -> Typed:
        name = tree.name.upper()
        arguments = [self.bind(a) for a in tree.expressions]
        if name == "ROW":
            fields = {f"EXPR${i}": a.type for i, a in enumerate(arguments)}
            packed = ", ".join(f'"EXPR${i}" := {a.sql}' for i, a in enumerate(arguments))
            return Typed(f"struct_pack({packed})", row(fields).not_null())
        if name == "ARRAY":
            kind = common_type([a.type for a in arguments]) or NULL
            return Typed(
                f"[{', '.join(cast(a, kind, implicit=True).sql for a in arguments)}]", array(kind).not_null()
            )
        function = lookup(name)
        if function is None:
            raise BindError(
                f'function "{name}" does not exist',
                span_of(tree),
                hint=did_you_mean(name, names(), "Functions"),
            )
        return apply(function, arguments, span_of(tree), [span_of(a) for a in tree.expressions], self._zone)

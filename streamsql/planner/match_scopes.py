"""The scopes of MATCH_RECOGNIZE: which rows `A.x`, `LAST(A.x, 1)`, `SUM(A.x)` mean, and what is computed of each.

The largest parts of an expression that read one row become operands, computed for every row at once;
what joins several rows is left as a formula over them. See `operators._match_values`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from streamsql import aggregates
from streamsql.core.schema import quote
from streamsql.core.typed import Typed
from streamsql.core.types import DataType, timestamp
from streamsql.errors import BindError, PlanError, SQLTypeError, did_you_mean
from streamsql.operators import _match_values as values
from streamsql.operators._match_values import (
    CURRENT,
    PLAIN_AGGREGATES,
    Aggregation,
    Formula,
    Plain,
    Reference,
    operand_name,
    reference_name,
)
from streamsql.operators._nfa import ALL
from streamsql.planner.scope import Field
from streamsql.planner.selects import SelectScope, Subqueries, aggregate_name, bind_aggregate
from streamsql.sql import exp, span_of

_LOGICAL, _PHYSICAL = ("FIRST", "LAST"), ("PREV", "NEXT")
_COMPARED: dict[type[exp.Expr], str] = {
    exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
_COMPUTED: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}
_COMPARABLE = ("DATE", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ", "BOOLEAN")
_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64}

Place = tuple[int, bool, int]
"""Which row: a variable, from its first row or its last, how many rows on."""


@dataclass(slots=True)
class Operands:
    """What is computed of every row, shared by all expressions of the clause."""

    found: list[tuple[str, DataType]] = field(default_factory=list)

    def index(self, value: Typed) -> int:
        item = (value.sql, value.type.as_nullable())
        if item not in self.found:
            self.found.append(item)
        return self.found.index(item)


class RowScope(SelectScope):
    """Columns of one row, whichever variable they are written with."""

    def __init__(self, fields: Iterable[Field], planner: Subqueries, variables: Iterable[str]) -> None:
        super().__init__([replace(f, type=f.type.as_nullable(), qualifier="", time="") for f in fields], planner)
        self.variables = tuple(variables)

    def column(self, tree: exp.Expr) -> Typed:
        parts = [part.name for part in tree.parts] if isinstance(tree, exp.Column) else [tree.name]
        if len(parts) > 1 and parts[0] in self.variables:
            parts = parts[1:]
        elif len(parts) > 1 and all(f.name != parts[0] for f in self.fields):
            raise BindError(f'"{parts[0]}" is no pattern variable', span_of(tree),
                            hint=did_you_mean(parts[0], self.variables, "Pattern variables"))
        found = self._resolve(parts, tree)
        if found is None:
            raise BindError(f'column "{parts[0]}" does not exist in the input of MATCH_RECOGNIZE', span_of(tree),
                            hint=did_you_mean(parts[0], [f.name for f in self.fields], "Columns"))
        return found

    def call(self, tree: exp.Expr) -> Typed | None:
        if isinstance(tree, exp.Anonymous) and navigation(tree):
            return self.binder.bind(tree.expressions[0])  # which row it is, is known already
        if isinstance(tree, exp.Subquery | exp.Exists | exp.Any | exp.All) or tree.args.get("query"):
            raise PlanError("a subquery may not stand in MATCH_RECOGNIZE", span_of(tree),
                            hint="Join it to the input, in a view.")
        return super().call(tree)


class _ArgumentScope(RowScope):
    """Inside an aggregate: each argument is an operand of every row of the variable."""

    def __init__(self, rows: RowScope, operands: Operands) -> None:
        super().__init__(rows.fields, rows.planner, rows.variables)
        self._rows, self._operands = rows, operands
        self.used: list[int] = []

    def column(self, tree: exp.Expr) -> Typed:
        return self._operand(tree)

    def call(self, tree: exp.Expr) -> Typed | None:
        return self._operand(tree) if any(isinstance(n, exp.Column) for n in tree.walk()) else super().call(tree)

    def _operand(self, tree: exp.Expr) -> Typed:
        value = self._rows.binder.bind(tree)
        index = self._operands.index(value)
        self.used.append(index)
        return Typed(quote(operand_name(index)), value.type.as_nullable())


class FormulaScope(SelectScope):
    """One expression of DEFINE (own: the number of its variable) or MEASURES (own is None)."""

    def __init__(self, rows: RowScope, operands: Operands, own: int | None = None) -> None:
        super().__init__((), rows.planner)
        self.rows, self.operands, self.own = rows, operands, own
        self.references: list[Reference] = []
        self.aggregations: list[Aggregation] = []

    def formula(self, *columns: tuple[str, str]) -> Formula:
        return Formula(columns, tuple(self.references), tuple(self.aggregations))

    def column(self, tree: exp.Expr) -> Typed:
        return self._operand(tree, *self._places(tree))

    def call(self, tree: exp.Expr) -> Typed | None:
        if aggregate_called(tree) is not None:
            return self._aggregate(tree)
        if any(aggregate_called(n) for n in tree.walk()):
            return None
        places = set(self._places(tree))
        if len(places) == 1:
            return self._operand(tree, places.pop())
        return None if places else self.rows.call(tree)

    def _operand(self, tree: exp.Expr, place: Place) -> Typed:
        """The value of an expression over the row at one place."""
        value = self.rows.binder.bind(tree)
        reference = Reference(place[0], self.operands.index(value), place[1], place[2])
        if reference not in self.references:
            self.references.append(reference)
        name = reference_name(self.references.index(reference))
        return Typed(quote(name), value.type.as_nullable(), deterministic=value.deterministic)

    def _places(self, tree: exp.Expr) -> Iterator[Place]:
        """Of which rows an expression reads columns."""
        if isinstance(tree, exp.Anonymous) and navigation(tree):
            yield self._navigated(tree)
        elif isinstance(tree, exp.Column):
            yield self._place(self._variable(tree), False, 0)
        else:
            for child in tree.iter_expressions():
                yield from self._places(child)

    def _place(self, variable: int, first: bool, offset: int) -> Place:
        """The last row of the variable of a condition, or of all, is the row that the condition is about."""
        if self.own is not None and variable in (ALL, self.own) and not first and not offset:
            return (CURRENT, False, 0)
        return (variable, first, offset)

    def _variable(self, tree: exp.Column) -> int:
        parts = tree.parts
        names = self.rows.variables
        return names.index(parts[0].name) if len(parts) > 1 and parts[0].name in names else ALL

    def _navigated(self, tree: exp.Anonymous) -> Place:
        name = tree.name.upper()
        inside = tree.expressions[0]
        variable = self._one_variable(tree, [inside])
        for node in inside.walk():
            if (isinstance(node, exp.Anonymous) and navigation(node)) or aggregate_called(node):
                raise PlanError(f"{name} takes columns of one variable, no {node.name.upper()} in it", span_of(node),
                                hint=f"Write {name}(A.x + 1, n).")
        offset = 1 if name in _PHYSICAL else 0
        if len(tree.expressions) == 2:
            given = tree.expressions[1]
            if not (isinstance(given, exp.Literal) and given.is_int):
                raise SQLTypeError(f"how many rows {name} goes is a whole number", span_of(given))
            offset = int(given.name)
        if name in _LOGICAL:
            return self._place(variable, name == "FIRST", offset)
        if self.own is not None and name == "PREV" and variable not in (ALL, self.own):
            return self._place(variable, False, offset)  # of another variable it is LAST, as in Flink
        if offset:
            raise PlanError(f"{name} counts rows that the pattern may not have taken, which is not supported",
                            span_of(tree), hint="LAST(A.x, 1) is the row before the last that A has taken.")
        return self._place(variable, False, 0)

    def _one_variable(self, tree: exp.Anonymous, inside: Iterable[exp.Expr]) -> int:
        """The variable whose columns a call takes. Raises PlanError if there are several, or none."""
        found = {self._variable(c): c for part in inside for c in part.find_all(exp.Column)}
        name = tree.name.upper()
        if len(found) > 1:
            raise PlanError(f"{name} takes columns of one pattern variable, not of several",
                            span_of(list(found.values())[1]))
        if not found:
            raise PlanError(f"{name} takes a column of a pattern variable", span_of(tree), hint=f"Write {name}(A.x).")
        return next(iter(found))

    def _aggregate(self, tree: exp.Expr) -> Typed:
        name = aggregate_called(tree) or ""
        if not isinstance(tree, exp.Anonymous) or any(isinstance(a, exp.Distinct) for a in tree.expressions):
            raise PlanError(f"{name} in MATCH_RECOGNIZE takes no DISTINCT and no FILTER", span_of(tree))
        for node in tree.walk():
            if node is not tree and isinstance(node, exp.Anonymous) and (navigation(node) or aggregate_called(node)):
                raise PlanError(f"{node.name.upper()} may not stand in an aggregate", span_of(node))
        variable, call = self._counted(tree)
        if variable is None:
            variable = self._one_variable(tree, tree.expressions)
        scope = _ArgumentScope(self.rows, self.operands)
        bound = bind_aggregate(call, scope, grouped=False)
        sql = f"CAST({bound.whole(arrival=True)} AS {bound.type.duck_type()})"
        plain = self._plain_aggregate(bound, scope)
        aggregation = Aggregation(variable, sql, tuple(dict.fromkeys(scope.used)), bound.type, plain,
                                  _BITS.get(bound.type.root, 64))
        if aggregation not in self.aggregations:
            self.aggregations.append(aggregation)
        return Typed(quote(values.aggregate_name(self.aggregations.index(aggregation))), bound.type)

    def _counted(self, tree: exp.Anonymous) -> tuple[int | None, exp.Anonymous]:
        """`COUNT(*)` is of all rows, `COUNT(A.*)` of those of A."""
        only = tree.expressions[0] if len(tree.expressions) == 1 else None
        if isinstance(only, exp.Star):
            return ALL, tree
        if isinstance(only, exp.Column) and isinstance(only.this, exp.Star):
            if only.table not in self.rows.variables:
                raise BindError(f'"{only.table}" is no pattern variable', span_of(only),
                                hint=did_you_mean(only.table, self.rows.variables, "Pattern variables"))
            if self.binder.strict:
                raise PlanError(f"COUNT({only.table}.*) is not in Flink", span_of(only),
                                hint="Count a column that is never NULL.")
            call = exp.Anonymous(this=tree.this, expressions=[exp.Star()])
            call.meta.update(tree.meta)
            return self.rows.variables.index(only.table), call
        return None, tree

    def _plain_aggregate(self, bound: aggregates.Aggregate, scope: _ArgumentScope) -> str:
        """The name under which Python computes it, or ''."""
        if bound.name not in PLAIN_AGGREGATES or bound.order:
            return ""
        if not bound.arguments:
            return "ROWS" if bound.name == "COUNT" else ""
        if len(bound.arguments) != 1 or bound.arguments[0] != quote(operand_name(scope.used[0])):
            return ""
        kind = bound.types[0]
        exact = kind.is_integer or (bound.name in ("MIN", "MAX") and (kind.root in ("DECIMAL", "DATE", "TIMESTAMP")
                                                                      or kind.is_character))
        return bound.name if exact or bound.name == "COUNT" else ""

    # In Python

    def plain(self, tree: exp.Expr) -> Plain | None:
        """A condition as a plain expression, if it is one; see `operators._match_values`."""
        while isinstance(tree, exp.Paren):
            tree = tree.this
        if not self._is_single(tree) and isinstance(tree, exp.And | exp.Or | exp.Not):
            parts = [self.plain(t) for t in (tree.this, tree.args.get("expression")) if t is not None]
            return None if None in parts else (tree.key, *parts)
        if isinstance(tree, exp.Boolean):
            return ("value", bool(tree.this))
        if self._is_single(tree):
            value = self._value(tree)
            return value[0] if value and value[1].root == "BOOLEAN" else None
        if isinstance(tree, exp.Between) and not tree.args.get("symmetric"):
            low = self._comparison(">=", tree.this, tree.args["low"])
            high = self._comparison("<=", tree.this, tree.args["high"])
            return ("and", low, high) if low and high else None
        if isinstance(tree, exp.Is) and isinstance(tree.expression, exp.Null):
            value = self._value(tree.this)
            return ("is", value[0], None) if value else None
        sign = _COMPARED.get(type(tree))
        if sign is not None:
            return self._comparison(sign, tree.this, tree.expression)
        found = self._value(tree)
        return found[0] if found and found[1].root == "BOOLEAN" else None

    def _is_single(self, tree: exp.Expr) -> bool:
        return not any(aggregate_called(n) for n in tree.walk()) and len(set(self._places(tree))) == 1

    def _comparison(self, sign: str, left: exp.Expr, right: exp.Expr) -> Plain | None:
        a, b = self._value(left), self._value(right)
        if a is None or b is None:
            return None
        kinds = (a[1], b[1])
        if all(k.is_numeric for k in kinds):
            if any(k.root in ("FLOAT", "DOUBLE") for k in kinds):
                return (sign, ("float", a[0]), ("float", b[0]))
            return (sign, a[0], b[0])
        same = all(k.is_character for k in kinds) or (
            kinds[0].root == kinds[1].root and kinds[0].root in _COMPARABLE
            and kinds[0].arrow_type() == kinds[1].arrow_type())
        return (sign, a[0], b[0]) if same else None

    def _value(self, tree: exp.Expr) -> tuple[Plain, DataType] | None:
        """A value as a plain expression with its type."""
        while isinstance(tree, exp.Paren):
            tree = tree.this
        value = self.binder.bind(tree)
        for index in range(len(self.references)):
            if value.sql == quote(reference_name(index)):
                return ("ref", index), value.type
        for index, call in enumerate(self.aggregations):
            if value.sql == quote(values.aggregate_name(index)):
                return (("agg", index), value.type) if call.plain else None
        if value.is_literal and isinstance(value.literal, int | str | float | Decimal):
            return ("value", value.literal), value.type
        if not any(isinstance(n, exp.Column | exp.Anonymous) for n in tree.walk()):
            name = self._operand(tree, (CURRENT, False, 0)).sql
            index = next(i for i in range(len(self.references)) if quote(reference_name(i)) == name)
            return ("ref", index), value.type
        sign = _COMPUTED.get(type(tree))
        sides = [self._value(t) for t in (tree.this, tree.expression)] if sign else []
        if len(sides) == 2 and sides[0] and sides[1]:
            bits = _BITS.get(value.type.root)
            if bits and all(s is not None and s[1].is_integer for s in sides):
                return (sign, sides[0][0], sides[1][0], bits), value.type
            if value.type.root == "DOUBLE" and all(s is not None and s[1].is_numeric for s in sides):
                return (sign, ("float", sides[0][0]), ("float", sides[1][0]), None), value.type
        return None


def navigation(tree: exp.Anonymous) -> bool:
    """Whether a call says which row of a variable is meant."""
    return tree.name.upper() in (*_LOGICAL, *_PHYSICAL) and 1 <= len(tree.expressions) <= 2


def aggregate_called(tree: exp.Expr) -> str | None:
    """The name of an aggregate call; FIRST and LAST, which DuckDB aggregates with, are none here."""
    return None if isinstance(tree, exp.Anonymous) and navigation(tree) else aggregate_name(tree)


class MeasureScope(FormulaScope):
    """MEASURES: what DEFINE has, of the whole match, and when it was.

    rowtime   the time column's type; None when rows are ordered by processing time
    names     of columns that are rowtime attributes
    """

    def __init__(self, rows: RowScope, operands: Operands, time: Field) -> None:
        super().__init__(rows, operands)
        self._time = time

    def call(self, tree: exp.Expr) -> Typed | None:
        name = tree.name.upper() if isinstance(tree, exp.Anonymous) else ""
        if name in ("FINAL", "RUNNING") and isinstance(tree, exp.Anonymous):
            raise PlanError(f"{name} is not supported", span_of(tree), hint="Leave it out.")
        if name == "MATCH_ROWTIME" and isinstance(tree, exp.Anonymous):
            return self._rowtime(tree)
        if name == "MATCH_PROCTIME" and isinstance(tree, exp.Anonymous):
            if tree.expressions:
                raise SQLTypeError("MATCH_PROCTIME takes no argument", span_of(tree))
            now = self.binder.bind(exp.Anonymous(this="PROCTIME", expressions=[]))
            return replace(now, time="proctime")
        return super().call(tree)

    def _rowtime(self, tree: exp.Anonymous) -> Typed:
        local = self._time.type.root == "TIMESTAMP_LTZ"
        hint = f"Write MATCH_ROWTIME({self._time.name})."
        if self._time.time != "rowtime":
            raise SQLTypeError("MATCH_ROWTIME needs ORDER BY a rowtime, these rows are ordered by processing time",
                               span_of(tree), hint="Write MATCH_PROCTIME().")
        if len(tree.expressions) > 1:
            raise SQLTypeError("MATCH_ROWTIME takes one rowtime column, or none", span_of(tree), hint=hint)
        if tree.expressions:
            given = tree.expressions[0]
            if not (isinstance(given, exp.Column) and given.parts[-1].name == self._time.name):
                raise SQLTypeError("the argument of MATCH_ROWTIME must be a rowtime column", span_of(given), hint=hint)
        elif local:
            raise SQLTypeError("MATCH_ROWTIME needs the rowtime column as its argument: it is a TIMESTAMP_LTZ",
                               span_of(tree), hint=hint)
        sql = 'make_timestamp("$time")'
        if local:
            return Typed(f"({sql} AT TIME ZONE 'UTC')", DataType("TIMESTAMP_LTZ", False, 3), time="rowtime")
        return Typed(sql, timestamp(3).not_null(), time="rowtime")


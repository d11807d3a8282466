"""The scopes of a SELECT: plain, with subqueries, and above GROUP BY."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from streamsql import aggregates
from streamsql.core.schema import quote, text_literal
from streamsql.core.typed import Typed
from streamsql.core.types import BIGINT, BOOLEAN, STRING
from streamsql.errors import BindError, PlanError, SQLTypeError
from streamsql.planner import overs, user_functions
from streamsql.planner.catalog import Catalog
from streamsql.planner.scope import Field, Relation, Scope
from streamsql.sql import PROCTIME_MEANT, exp, span_of
from streamsql.values.binder import Binder, cast

if TYPE_CHECKING:
    from streamsql.planner.correlation import Attached
    from streamsql.planner.sources import Sources


class Subqueries(Protocol):
    """What a scope needs of the query planner."""

    catalog: Catalog
    settings: Mapping[str, str]
    sources: Sources

    def plan(self, tree: exp.Expr, outer: Scope | None = None) -> Relation: ...

    def distinct(self, result: Relation) -> Relation: ...


class SelectScope(Scope):
    """Columns of FROM, and subqueries in expressions; in the SELECT list OVER windows, which `overs` collects.

    attached  the subqueries over streams whose values were asked for, as columns that `subqueries.attach` adds
    attaches  whether who made the scope does so
    relation  the rows that it is the scope of, or more of them, where that is known
    """

    def __init__(self, fields: Iterable[Field], planner: Subqueries, outer: Scope | None = None) -> None:
        super().__init__(fields, outer)
        self.planner = planner
        self.binder = Binder(self, planner.settings, (*aggregates.FUNCTIONS, *planner.catalog.functions))
        self.overs: dict[str, overs.Over] = {}
        self.attached: list[Attached] = []
        self.attaches = False
        self.relation: Relation | None = None
        self.in_list = False

    def call(self, tree: exp.Expr) -> Typed | None:
        if isinstance(tree, exp.Subquery | exp.Exists | exp.In | exp.Binary):
            from streamsql.planner import subqueries  # the one cycle: a subquery is a query again

            inner = subqueries.value(tree, self)
            if inner is not None:
                return inner
        if isinstance(tree, exp.Window):
            return self._over(tree)
        found = self._misplaced(tree) or user_functions.scalar(tree, self.planner.catalog.functions, self.binder)
        if found is None and isinstance(tree, exp.Anonymous) and overs.needs_window(tree.name):
            raise BindError(
                f"{tree.name.upper()} needs a window", span_of(tree), hint=f"{tree.name.upper()}(…) OVER (ORDER BY …)"
            )
        return found

    def _over(self, tree: exp.Window) -> Typed:
        if not self.in_list:
            raise BindError("an OVER window may not stand here", span_of(tree),
                            hint="Compute it in a subquery: SELECT … FROM (SELECT …, f(x) OVER (…) AS y FROM t).")
        self.in_list = False
        try:
            over = overs.bound(tree, self)
        finally:
            self.in_list = True
        name = next((n for n, o in self.overs.items() if o.value.sql == over.value.sql), f"$over{len(self.overs)}")
        self.overs[name] = over
        return replace(over.value, sql=quote(name))

    def _misplaced(self, tree: exp.Expr) -> Typed | None:
        name = aggregate_name(tree)
        if name is None:
            return None
        filters = tree.find_ancestor(exp.Where, exp.Select) is not None and isinstance(
            tree.find_ancestor(exp.Where, exp.Select), exp.Where)
        raise BindError(
            f"aggregate function {name} may not stand here",
            span_of(tree),
            hint="WHERE filters rows before they are grouped: write HAVING after GROUP BY." if filters
            else "Aggregates may stand in SELECT, HAVING and ORDER BY; not in WHERE, ON or GROUP BY.",
        )


STRICT = "streamsql.strict"


@dataclass(frozen=True, slots=True)
class Key:
    """A GROUP BY expression: its output column, and what it is over the input."""

    name: str
    value: Typed


class AggregateScope(SelectScope):
    """What may stand above GROUP BY: keys, aggregates of the input, and expressions of both."""

    grouping_type = BIGINT.not_null()

    def __init__(self, source: SelectScope, keys: tuple[Key, ...], *, grouped: bool = True) -> None:
        fields = [Field(k.name, k.name, k.value.type, k.value.time) for k in keys]
        super().__init__(fields, source.planner, source.outer)
        self.source = source
        self.keys = keys
        self.grouped = grouped
        self.calls: dict[str, aggregates.Aggregate] = {}
        self.groupings: dict[str, tuple[int, ...]] = {}

    def column(self, tree: exp.Expr) -> Typed:
        key = self._key(tree)
        if key is not None and tree.meta.get(PROCTIME_MEANT) and key.time != "proctime":
            return replace(self.binder.bind(exp.Anonymous(this="PROCTIME", expressions=[])), time="proctime")
        if key is not None:
            return key
        value = self.source.column(tree)
        if self.source.outer is not None and self.source.correlated:
            return value
        raise BindError(
            f'column "{tree.name}" is neither grouped nor aggregated',
            span_of(tree),
            hint="Add it to GROUP BY, or put it in an aggregate such as MAX(…).",
        )

    def call(self, tree: exp.Expr) -> Typed | None:
        name = aggregate_name(tree)
        if name in ("GROUPING", "GROUPING_ID"):
            return self._grouping(tree)
        if name is not None:
            return self._aggregate(tree)
        if not isinstance(tree, exp.Literal | exp.Column):
            key = self._key(tree)
            if key is not None:
                return key
        return super().call(tree) if not isinstance(tree, exp.Column) else None

    def _key(self, tree: exp.Expr) -> Typed | None:
        if any(aggregate_name(n) for n in tree.walk()) or not any(isinstance(n, exp.Column) for n in tree.walk()):
            return None
        if tree.find(exp.Query) is not None:
            return None  # a subquery is joined above the groups
        try:
            sql = self.source.binder.bind(tree).sql
        except (BindError, SQLTypeError):
            return None
        for key in self.keys:
            if key.value.sql == sql:
                return Typed(quote(key.name), key.value.type, time=key.value.time)
        return None

    def _aggregate(self, tree: exp.Expr) -> Typed:
        bound = bind_aggregate(tree, self.source, grouped=self.grouped)
        name = next((n for n, known in self.calls.items() if known == bound), f"$agg{len(self.calls)}")
        self.calls[name] = bound
        return Typed(quote(name), bound.type, aggregate=True)

    def _grouping(self, tree: exp.Expr) -> Typed:
        indexes = []
        for argument in tree.expressions:
            sql = self.source.binder.bind(argument).sql
            index = next((i for i, k in enumerate(self.keys) if k.value.sql == sql), None)
            if index is None:
                raise BindError("the argument of GROUPING is not a grouping column", span_of(argument))
            indexes.append(index)
        name = f"$grouping{'_'.join(map(str, indexes))}"
        self.groupings[name] = tuple(indexes)
        return Typed(quote(name), self.grouping_type)


def aggregate_name(tree: exp.Expr) -> str | None:
    """The upper-case name if `tree` is an aggregate call (FILTER or WITHIN GROUP around it too)."""
    if isinstance(tree, exp.Filter | exp.WithinGroup):
        return aggregate_name(tree.this)
    if isinstance(tree, exp.Anonymous) and not isinstance(tree.parent, exp.Window):
        name, form = tree.name.upper(), user_functions.form_of(tree)
        if form is not None:
            return name if form == "aggregate" else None
        if name in ("GROUPING", "GROUPING_ID") or aggregates.is_aggregate(name):
            return name
    return None


def bind_aggregate(tree: exp.Expr, scope: SelectScope, *, grouped: bool) -> aggregates.Aggregate:
    """An aggregate call over the input of GROUP BY, its arguments bound there."""
    condition: Typed | None = None
    call = tree
    while not isinstance(call, exp.Anonymous):
        if isinstance(call, exp.WithinGroup):
            raise BindError(f"{aggregate_name(call)} does not take WITHIN GROUP", span_of(call),
                            hint=f"Order the values inside the call: {aggregate_name(call)}(x ORDER BY y).")
        if isinstance(call, exp.Filter):
            where = call.expression
            condition = boolean(
                scope.binder.bind(where.this if isinstance(where, exp.Where) else where), where, "FILTER"
            )
        call = call.this
    arguments = list(call.expressions)
    distinct = bool(arguments) and isinstance(arguments[0], exp.Distinct)
    if distinct:
        arguments = list(arguments[0].expressions)
    order: list[tuple[Typed, bool]] = []
    if arguments and isinstance(arguments[-1], exp.Order):
        ordered = arguments.pop()
        arguments.append(ordered.this)
        order = [(scope.binder.bind(o.this), bool(o.args.get("desc"))) for o in ordered.expressions]
    star = len(arguments) == 1 and isinstance(arguments[0], exp.Star)
    if not arguments and call.name.upper() == "COUNT":
        raise SQLTypeError("COUNT takes a value, or *", span_of(tree), hint="Write COUNT(*) for the number of rows.")
    bound = [] if star else [_argument(a, scope) for a in arguments]
    own, function = scope.planner.catalog.functions.get(call.name.lower()), None
    if own is not None:
        function = user_functions.aggregate(own, len(bound))
        values = user_functions.fitted(own, bound, call, scope.binder)
        bound = [user_functions.aggregate_row(own, values, condition)]
    try:
        bound_call = aggregates.bind(
            call.name.upper(),
            bound,
            distinct=distinct,
            filter=condition,
            order=order,
            grouped=grouped,
            function=function,
        )
    except SQLTypeError as error:
        error.span = error.span or span_of(tree)
        raise
    if bound_call.local_only and scope.planner.settings.get(STRICT, "false").lower() == "true":
        raise PlanError(
            f"aggregate {call.name.upper()} is not in Flink",
            span_of(tree),
            hint=f"SET '{STRICT}' = 'false' allows what only runs here.",
        )
    return bound_call


def _argument(tree: exp.Expr, scope: SelectScope) -> Typed:
    """An argument of an aggregate: a value, or the word of a clause such as `ABSENT ON NULL`."""
    if isinstance(tree, exp.Kwarg) and isinstance(tree.expression, exp.Var):
        word = tree.expression.name
        return Typed(text_literal(word), STRING.not_null(), literal=word, is_literal=True)
    return scope.binder.bind(tree)


def boolean(value: Typed, tree: exp.Expr, clause: str) -> Typed:
    """`value` if it is BOOLEAN, or NULL; SQLTypeError naming the clause otherwise."""
    if value.type.root == "NULL" and clause != "FILTER":
        return cast(value, BOOLEAN)
    if value.type.root != "BOOLEAN":
        raise SQLTypeError(
            f"{clause} needs a BOOLEAN, this is {value.type}",
            span_of(tree),
            hint="Compare it: … = …, … IS NOT NULL.",
        )
    return value

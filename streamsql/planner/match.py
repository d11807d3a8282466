"""MATCH_RECOGNIZE in FROM: its clauses checked, names and types resolved, the node made.

What Flink's grammar has and Flink refuses (alternatives, groups that repeat, ALL ROWS PER MATCH, a
greedy quantifier at the end of a pattern) is refused here, at its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn, cast

from streamsql.core.batch import SEQ, WATERMARK
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.typed import Typed
from streamsql.errors import BindError, PlanError, SQLTypeError, did_you_mean
from streamsql.operators._match_values import Formula
from streamsql.operators._nfa import ALL, Element, Skip
from streamsql.operators.match_recognize import Condition, MatchRecognize
from streamsql.planner.match_scopes import FormulaScope, MeasureScope, Operands, RowScope
from streamsql.planner.relational import constant
from streamsql.planner.scope import Field, Relation, Scope
from streamsql.planner.selects import boolean
from streamsql.sql import MatchTable, exp, interval_type, interval_value, span_of
from streamsql.sql.tree import Pattern, Quantified

if TYPE_CHECKING:
    from streamsql.planner.sources import Sources

_KINDS = {"choice": "alternatives (A | B) are not supported in a pattern",
          "permutation": "PERMUTE is not supported in a pattern",
          "exclusion": "an exclusion {- … -} is not supported in a pattern"}


def match_table(sources: Sources, tree: MatchTable, outer: Scope | None) -> Relation:
    """`relation MATCH_RECOGNIZE (…)`: a row per match."""
    source = sources.item(tree.this, outer)
    if constant(source.node):
        raise PlanError("MATCH_RECOGNIZE over constants is not supported", span_of(tree.this),
                        hint="Read the rows from a table, with 'connector' = 'filesystem' or 'memory'.")
    if not source.node.append_only:
        raise PlanError("MATCH_RECOGNIZE takes no input whose rows change", span_of(tree.this),
                        hint="Match the rows before they are aggregated, deduplicated or joined.")
    elements = list(_elements(tree.args["pattern"]))
    variables = _variables(tree, [e for e, _ in elements])
    pattern = _checked(elements, variables)
    rows = RowScope(source.fields, sources.planner, variables)
    time, order = _order(tree, rows, source)
    if tree.args.get("rows") is not None and tree.args["rows"].name.startswith("ALL"):
        raise PlanError("ALL ROWS PER MATCH is not supported", span_of(tree.args["rows"]),
                        hint="Write ONE ROW PER MATCH.")
    partition = [(c, _field(c, rows, source)) for c in tree.args.get("partition_by") or ()]
    operands = Operands()
    conditions = _conditions(tree, rows, operands, variables)
    schema, fields, measures = _measures(tree, MeasureScope(rows, operands, time), partition)
    skip, target = _skip(tree, variables, pattern)
    node = MatchRecognize(
        (source.node,), schema, True, (WATERMARK, SEQ), tree.args["pattern"].sql("streamsql"), pattern,
        variables, tuple(f.column for _, f in partition), time.column, time.time == "proctime", order,
        tuple(operands.found), conditions, measures, skip, target, _within(tree))
    return Relation(node, tuple(fields))


# The pattern

def _elements(tree: exp.Expr) -> Iterator[tuple[exp.Expr, Quantified | None]]:
    """The variables of a pattern in their order, each with its quantifier."""
    if isinstance(tree, Quantified):
        inner = tree.this
        while isinstance(inner, Pattern) and inner.args["kind"] == "group":
            inner = inner.expressions[0]
        if isinstance(inner, Pattern):
            _refuse(inner) if inner.args["kind"] in _KINDS else _refuse_group(tree)
        yield inner, tree
    elif isinstance(tree, Pattern):
        if tree.args["kind"] in _KINDS:
            _refuse(tree)
        for part in tree.expressions:
            yield from _elements(part)
    else:
        yield tree, None


def _refuse(tree: Pattern) -> NoReturn:
    raise PlanError(_KINDS[tree.args["kind"]], span_of(tree),
                    hint="A pattern is a sequence of variables with quantifiers; a condition may say OR.")


def _refuse_group(tree: Quantified) -> NoReturn:
    raise PlanError("a group of variables has no quantifier", span_of(tree),
                    hint="Give each variable its own: A+ B+; or match one and count in a query above.")


def _variables(tree: MatchTable, found: Sequence[exp.Expr]) -> tuple[str, ...]:
    """The names of the pattern's variables, then of those that only DEFINE has."""
    names: list[str] = []
    for variable in found:
        if variable.name in names:
            raise PlanError(f'pattern variable "{variable.name}" is in the pattern twice', span_of(variable),
                            hint="Give the second one another name, with the same condition in DEFINE.")
        names.append(variable.name)
    defined: set[str] = set()
    for definition in tree.args["define"]:
        if definition.alias in defined:
            raise BindError(f'pattern variable "{definition.alias}" is defined twice', span_of(definition))
        defined.add(definition.alias)
    return (*names, *(d.alias for d in tree.args["define"] if d.alias not in names))


def _checked(found: Sequence[tuple[exp.Expr, Quantified | None]], variables: Sequence[str]) -> tuple[Element, ...]:
    """The elements of the pattern, quantifiers as Flink takes them."""
    elements = []
    for variable, given in found:
        number = variables.index(variable.name)
        if given is None:
            elements.append(Element(number))
            continue
        low, high, reluctant = given.args["low"], given.args.get("high"), bool(given.args.get("reluctant"))
        if high is not None and (high == 0 or high < low):
            raise PlanError(f"a quantifier of {low} to {high} rows has no meaning", span_of(given),
                            hint="Write {n,m} with n at most m, and m at least 1.")
        if low == 0 and high is not None and high > 1:
            raise PlanError(f"a quantifier of 0 to {high} rows is not supported", span_of(given),
                            hint=f"Write {{1,{high}}}, or * for any number.")
        if reluctant and (low, high) == (0, 1):
            raise PlanError("a reluctant optional variable (??) is not supported", span_of(given),
                            hint=f"Write {variable.name}?, which also leaves the row to what follows.")
        if low == 0 and elements and elements[-1].chooses:
            raise PlanError(f"an optional variable ({_shown((variable, given))}) does not follow a greedy one",
                            span_of(given), hint="Make the one before reluctant, as in A+?, or this one not optional.")
        elements.append(Element(number, low, high, not reluctant))
    if all(e.low == 0 for e in elements):
        raise PlanError("the pattern may match no row at all", span_of(found[0][0]),
                        hint="At least one variable must take a row: write A+ for A*.")
    last = elements[-1]
    if last.chooses:
        raise PlanError("a pattern does not end with a greedy quantifier: it would wait for ever",
                        span_of(found[-1][1] or found[-1][0]),
                        hint=f"Make it reluctant, {_shown(found[-1])}?, or let a variable follow.")
    return tuple(elements)


def _shown(element: tuple[exp.Expr, Quantified | None]) -> str:
    return (element[1] or element[0]).sql("streamsql")


# The clauses

def _field(tree: exp.Expr, rows: RowScope, source: Relation) -> Field:
    """The column that a key names."""
    value = rows.column(tree) if isinstance(tree, exp.Column) else None
    found = next((f for f in source.fields if value is not None and quote(f.column) == value.sql), None)
    if found is None:
        raise PlanError("a key of MATCH_RECOGNIZE is a column of its input", span_of(tree),
                        hint="Compute it in a subquery: FROM (SELECT …) MATCH_RECOGNIZE (…).")
    return found


def _order(tree: MatchTable, rows: RowScope, source: Relation) -> tuple[Field, tuple[tuple[str, str], ...]]:
    """The time column, and the further keys: text and direction."""
    order = tree.args.get("order")
    if order is None:
        raise PlanError("MATCH_RECOGNIZE needs ORDER BY a time attribute", span_of(tree.args["pattern"]),
                        hint="Write ORDER BY the column with a WATERMARK, before MEASURES.")
    first, *others = order.expressions
    time = _field(first.this, rows, source)
    if not time.time:
        raise PlanError(f'the first key of ORDER BY is a time attribute, "{time.name}" is none', span_of(first),
                        hint=_times_hint(source))
    if first.args.get("desc"):
        raise PlanError("MATCH_RECOGNIZE goes forward in time: the first key of ORDER BY is ascending", span_of(first),
                        hint="Leave DESC out.")
    keys = []
    for ordered in others:
        down, nulls = bool(ordered.args.get("desc")), ordered.args.get("nulls_first")
        last = down if nulls is None else not nulls
        field = _field(ordered.this, rows, source)
        keys.append((quote(field.column), f"{'DESC' if down else 'ASC'} NULLS {'LAST' if last else 'FIRST'}"))
    return time, tuple(keys)


def _times_hint(source: Relation) -> str:
    times = [f'"{f.name}"' for f in source.fields if f.time]
    return (f"Order by {' or '.join(times)} first." if times
            else "Declare WATERMARK FOR ts AS ts - INTERVAL '5' SECOND in the table.")


def _within(tree: MatchTable) -> int:
    """The length of WITHIN in µs, whole milliseconds; 0 if there is none."""
    given = tree.args.get("within")
    if given is None:
        return 0
    bare = given
    while isinstance(bare, exp.Paren | exp.Neg):
        bare = bare.this
    if not isinstance(bare, exp.Interval) or "MONTH" in interval_type(bare).root:
        raise PlanError("WITHIN takes a constant interval of days or less", span_of(given),
                        hint="Write WITHIN INTERVAL '1' HOUR.")
    length_us = interval_value(given)
    if length_us < 0:
        raise PlanError("the interval of WITHIN is negative", span_of(given))
    return length_us // 1000 * 1000


def _skip(tree: MatchTable, variables: Sequence[str], pattern: Sequence[Element]) -> tuple[Skip, int]:
    """Where matching goes on. Without the clause it is the next row, as in Flink."""
    after, target = tree.args.get("after"), tree.args.get("target")
    if after is None:
        return "TO NEXT ROW", ALL
    if target is None:
        return cast(Skip, after.name), ALL
    known = [variables[e.variable] for e in pattern]
    if target.name not in known:
        raise BindError(f'"{target.name}" of AFTER MATCH SKIP is not in the pattern', span_of(target),
                        hint=did_you_mean(target.name, known, "Pattern variables"))
    return cast(Skip, after.name), variables.index(target.name)


def _conditions(tree: MatchTable, rows: RowScope, operands: Operands,
                variables: Sequence[str]) -> tuple[Condition, ...]:
    found = []
    for definition in tree.args["define"]:
        number = variables.index(definition.alias)
        scope = FormulaScope(rows, operands, number)
        value = boolean(scope.binder.bind(definition.this), definition.this, "DEFINE")
        plain = scope.plain(definition.this)
        found.append(Condition(number, scope.formula(("holds", value.sql)), plain))
    return tuple(found)


def _measures(tree: MatchTable, scope: MeasureScope, partition: Sequence[tuple[exp.Expr, Field]]
              ) -> tuple[Schema, list[Field], Formula]:
    """The columns of the output, their names, and what they are: the partition's, then the measures."""
    columns: list[Column] = []
    texts: list[tuple[str, str]] = []
    fields: list[Field] = []

    def add(name: str, value: Typed) -> None:
        column, n = name, 0
        while any(c.name.lower() == column.lower() for c in columns):  # DuckDB does not tell `a` from `A`
            column, n = f"{name}{n}", n + 1
        columns.append(Column(column, value.type, value.time))
        texts.append((column, value.sql))
        fields.append(Field(name, column, value.type, value.time))

    for key, column in partition:
        add(column.name, replace(scope.column(key), type=column.type))
    for measure in tree.args.get("measures") or ():
        if any(f.name == measure.alias for f in fields):
            raise BindError(f'MATCH_RECOGNIZE gives two columns "{measure.alias}"', span_of(measure),
                            hint="The columns of PARTITION BY are in its output; give the measure another name.")
        value = scope.binder.bind(measure.this)
        if value.type.root == "NULL":
            raise SQLTypeError("a column needs a type, NULL has none", span_of(measure.this),
                               hint="Write CAST(NULL AS type).")
        add(measure.alias, value)
    if not columns:
        raise PlanError("MATCH_RECOGNIZE gives no column", span_of(tree.args["pattern"]),
                        hint="Say in MEASURES what a match is made of: MEASURES A.x AS x.")
    return Schema(tuple(columns)), fields, scope.formula(*texts)

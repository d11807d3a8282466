"""Ranks and OVER over a stream: which node an OVER window is, and how a bound makes a rank a Top-N.

A ROW_NUMBER, RANK or DENSE_RANK that stands alone is a `Ranked` until it is known whether a WHERE above bounds it:
`bounded` then puts a Top-N, a deduplication or their windowed kin in its place. Without a bound
it is an OVER aggregate where Flink has one, else an error. Flink has RANK and DENSE_RANK over no
stream: strict mode refuses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from streamsql.core.batch import DIFF, SEQ, WATERMARK
from streamsql.core.node import Node, fuse
from streamsql.core.schema import Column, Schema, TimeAttribute, quote
from streamsql.errors import PlanError
from streamsql.operators._over_calls import Frame
from streamsql.operators._ranked import DENSE_RANK, RANKED, ROW_NUMBER, SortKey
from streamsql.operators.deduplicate import Deduplicate
from streamsql.operators.over_aggregate import OverAggregate
from streamsql.operators.over_changes import OverChanges
from streamsql.operators.project import Project
from streamsql.operators.top_n import TopN
from streamsql.operators.window_rank import WindowRank
from streamsql.planner.relational import TableLeaf, Whole
from streamsql.planner.scope import Relation, Window
from streamsql.sql import exp, span_of

if TYPE_CHECKING:
    from streamsql.planner.overs import Over
    from streamsql.planner.selects import SelectScope

_ZONE = "table.local-time-zone"
_CURRENT = 2
_ADDED = (WATERMARK, SEQ)


@dataclass(frozen=True)
class Ranked(Whole):
    """A rank whose bound is not known yet.

    rank       its column, after those of the input
    function   ROW_NUMBER, RANK or DENSE_RANK
    partition, order, times, window, zone: of its OVER
    otherwise  the node that it is without a bound; None if a stream has none
    strict     what Flink lacks is refused
    """

    rank: str = ""
    function: str = ROW_NUMBER
    partition: tuple[str, ...] = ()
    order: tuple[SortKey, ...] = ()
    times: tuple[TimeAttribute, ...] = ()
    window: Window | None = field(default=None, compare=False)
    zone: str = "UTC"
    otherwise: Node | None = None
    strict: bool = False

    def resolved(self) -> Node:
        """What it is when no bound was found. Raises PlanError."""
        if self.otherwise is None:
            raise self.refusal()
        return self.otherwise


def stream_overs(source: Relation, overs: Mapping[str, Over], settings: Mapping[str, str]) -> Relation:
    """`source`, a stream, with a column for each OVER call. Raises PlanError for what Flink refuses."""
    if len(overs) == 1:
        ((name, over),) = overs.items()
        if over.call.name in (ROW_NUMBER, RANKED, DENSE_RANK):
            return _ranked(source, name, over, settings)
    return replace(source, node=_over_node(source, overs))


def _ranked(source: Relation, name: str, over: Over, settings: Mapping[str, str]) -> Relation:
    if not over.window.order or all(over.window.constants):
        raise PlanError(f"{over.call.name} over a stream needs ORDER BY a column in its OVER window", over.span,
                        hint="Say which rows come first: OVER (PARTITION BY … ORDER BY …).")
    otherwise: Node | None = None
    strict = settings.get("streamsql.strict", "false").lower() == "true"
    message = "a rank over a stream needs a bound"
    hint = f"Ask for the first rows: SELECT … FROM (SELECT …, {over.call.name}() OVER (…) AS rn …) WHERE rn <= 10."
    if over.call.name != ROW_NUMBER:
        if strict:
            message, hint = f"{over.call.name} over a stream is not supported", "Use ROW_NUMBER()."
    else:
        try:
            otherwise = _over_node(source, {name: over})
        except PlanError as error:
            message = f"{message}: {error.message}"
    schema = Schema((*source.node.schema, Column(name, over.value.type)))
    append_only = otherwise.append_only if otherwise is not None else False
    hidden = otherwise.hidden if otherwise is not None else (DIFF,)
    text, columns = over.value.sql, ", ".join(quote(c) for c in source.node.schema.names)
    node = Ranked((source.node,), schema, append_only, hidden,
                  lambda names: f"SELECT {columns}{', ' if columns else ''}{text} AS {quote(name)} FROM {names[0]}",
                  "Rank", message, hint, over.span, name, over.call.name, over.window.partition, over.window.order,
                  over.window.times, source.window, settings.get(_ZONE, "UTC"), otherwise, strict)
    return replace(source, node=node)


# OVER aggregates


def _over_node(source: Relation, overs: Mapping[str, Over]) -> Node:
    first = next(iter(overs.values()))
    frames = {_frame(over) for over in overs.values()}
    windows = {(over.window.partition, over.window.order) for over in overs.values()}
    if len(windows) > 1 or len(frames) > 1:
        other = next(o for o in overs.values() if (o.window.partition, o.window.order, _frame(o)) !=
                     (first.window.partition, first.window.order, _frame(first)))
        raise PlanError("all OVER windows of one SELECT over a stream must be the same", other.span,
                        hint="Compute the others in a view above: SELECT *, f(x) OVER (…) FROM (SELECT …).")
    window, frame = first.window, frames.pop()
    _require_order(first)
    calls = tuple((name, over.call) for name, over in overs.items())
    schema = Schema((*source.node.schema, *(Column(name, o.value.type) for name, o in overs.items())))
    time, changing = window.times[0], not source.node.append_only
    if changing and time and _from_table(source.node):
        raise PlanError("an OVER window by time does not take rows that change", first.span,
                        hint="ORDER BY a column that is no time attribute, or aggregate with GROUP BY.")
    if time and not changing:
        column = window.order[0].sql[1:-1].replace('""', '"') if time == "rowtime" else ""
        hidden = tuple(h for h in _ADDED if time == "rowtime" or h in source.node.hidden)
        return OverAggregate((source.node,), schema, True, hidden, window.partition, column, frame, calls)
    if frame.lower is not None and (not changing or _from_table(source.node) or frame.kind == "RANGE"):
        raise PlanError("a bounded frame over a stream needs a time attribute in ORDER BY", first.span,
                        hint="ORDER BY the rowtime column, or begin the frame at UNBOUNDED PRECEDING.")
    return OverChanges((source.node,), schema, False, (DIFF,), window.partition, window.order, frame, calls)


def _frame(over: Over) -> Frame:
    """The frame of a call over a stream. Raises PlanError."""
    call, frame = over.call, over.window.frame
    if call.name == ROW_NUMBER:
        return Frame("ROWS")
    if call.aggregate is None and (call.name != "LAG" or call.offset < 0):
        hint = "LAG(…) looks back." if call.name == "LEAD" else "ROW_NUMBER() is."
        what = f"{call.name} over a stream is not supported" if call.name != "LAG" else "LAG takes a literal offset"
        raise PlanError(what, over.span, hint=hint)
    if frame is None:
        return Frame("RANGE")
    if frame.upper != _CURRENT:
        raise PlanError("a frame over a stream ends at CURRENT ROW: rows that follow are not there yet", frame.span,
                        hint="Write ROWS or RANGE BETWEEN … PRECEDING AND CURRENT ROW.")
    if frame.lower == 0:
        return Frame(frame.kind)
    size = 0 if frame.lower == _CURRENT else frame.size
    if size < 0:
        raise PlanError("a bound of RANGE over a stream is an interval", frame.span,
                        hint="Write RANGE BETWEEN INTERVAL '10' SECOND PRECEDING AND CURRENT ROW.")
    return Frame(frame.kind, size)


def _require_order(over: Over) -> None:
    window = over.window
    if not window.order:
        raise PlanError("an OVER window over a stream needs ORDER BY", over.span,
                        hint="ORDER BY a rowtime column, or aggregate with GROUP BY.")
    if len(window.order) > 1:
        raise PlanError("an OVER window over a stream is ordered by one column", window.span)
    if window.order[0].descending:
        raise PlanError("an OVER window over a stream is ordered ascending", window.span,
                        hint="Leave DESC out; a ROW_NUMBER may be descending where it is bounded.")


def _from_table(node: Node) -> bool:
    """The changes of `node` are those of a table, with nothing but projections between."""
    return isinstance(fuse(node).source, TableLeaf)


# Bounds


@dataclass(slots=True)
class _Range:
    start: int = 1
    end: int | None = None


def bounded(source: Relation, condition: exp.Expr, scope: SelectScope) -> tuple[Relation, exp.Expr | None]:
    """`source` with a rank that `condition` bounds made a Top-N, and what is left of the condition."""
    columns = {f.column: found for f in source.fields if (found := _rank_of(source.node, f.column)) is not None}
    if not columns:
        return source, condition
    ranges: dict[str, _Range] = {}
    left = []
    for part in _conjuncts(condition):
        limit = _limit(part, scope, set(columns))
        if limit is None:
            left.append(part)
            limit = _implied(part, scope, set(columns))
            if limit is None or _appends(columns[limit[0]]):
                continue
        column, low, high = limit
        known = ranges.setdefault(column, _Range())
        known.start = max(known.start, low)
        known.end = high if known.end is None or (high is not None and high < known.end) else known.end
    node = source.node
    for column, bounds in ranges.items():
        ranked = columns[column]
        if bounds.end is None and ranked.strict and not any(_reads(part, scope, column) for part in left):
            raise PlanError("the end of a rank is not given: strict mode takes the first rows only, as Flink does",
                            span_of(condition), hint="Add the last rank: rn <= 10.")
        if bounds.end is not None:
            node = _replaced(node, ranked, _top(ranked, bounds.start, bounds.end))
    if node is source.node:
        return source, condition
    rest = None
    for part in left:
        rest = part if rest is None else exp.And(this=rest, expression=part)
    return replace(source, node=node), rest


def _reads(tree: exp.Expr, scope: SelectScope, column: str) -> bool:
    return any(_column(c, scope, {column}) for c in tree.find_all(exp.Column) if scope.has(c))


def _conjuncts(tree: exp.Expr) -> list[exp.Expr]:
    if isinstance(tree, exp.Paren):
        return _conjuncts(tree.this)
    if isinstance(tree, exp.And):
        return [*_conjuncts(tree.this), *_conjuncts(tree.expression)]
    return [tree]


def _rank_of(node: Node, column: str) -> Ranked | None:
    """The rank that a column is, through projections."""
    while isinstance(node, Project):
        text = dict(node.columns).get(column)
        inside = next((c for c in node.inputs[0].schema.names if quote(c) == text), None)
        if inside is None:
            return None
        node, column = node.inputs[0], inside
    return node if isinstance(node, Ranked) and node.rank == column else None


def _appends(ranked: Ranked) -> bool:
    """Without a bound it is an OVER by time, whose rows never change: only a bound that stands alone makes a Top-N."""
    return ranked.otherwise is not None and ranked.otherwise.append_only


_Limit = tuple[str, int, int | None]


def _implied(tree: exp.Expr, scope: SelectScope, columns: set[str]) -> _Limit | None:
    """The bounds within which a rank must be where a condition holds, which is tested above all the same."""
    if isinstance(tree, exp.Paren):
        return _implied(tree.this, scope, columns)
    if isinstance(tree, exp.In) and not tree.args.get("query"):
        column, numbers = _column(tree.this, scope, columns), [_number(e, scope) for e in tree.expressions]
        known = [n for n in numbers if n is not None]
        if column is None or len(known) < len(numbers) or not known:
            return None
        return column, _whole(min(known), up=True), _whole(max(known))
    if isinstance(tree, exp.Or):
        return _joined(_implied(tree.this, scope, columns), _implied(tree.expression, scope, columns))
    if isinstance(tree, exp.And):
        sides = [_implied(part, scope, columns) for part in (tree.this, tree.expression)]
        found = next((side for side in sides if side is not None and side[2] is not None), None)
        return found or next((side for side in sides if side is not None), None)
    return _limit(tree, scope, columns)


def _joined(left: _Limit | None, right: _Limit | None) -> _Limit | None:
    """Bounds of either: none where one side has none."""
    if left is None or right is None or left[0] != right[0]:
        return None
    ends = (left[2], right[2])
    return left[0], min(left[1], right[1]), None if None in ends else max(e for e in ends if e is not None)


_SIDES: dict[type[exp.Expr], str] = {exp.EQ: "=", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
_FLIPPED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _limit(tree: exp.Expr, scope: SelectScope, columns: set[str]) -> _Limit | None:
    """The rank column that a conjunct bounds, and its bounds; None if it bounds none."""
    if isinstance(tree, exp.Between):
        column, low, high = _column(tree.this, scope, columns), _number(tree.args["low"], scope), _number(
            tree.args["high"], scope)
        if column is None or low is None or high is None:
            return None
        return column, _whole(low, up=True), _whole(high)
    word = _SIDES.get(type(tree))
    if word is None:
        return None
    column, number = _column(tree.this, scope, columns), _number(tree.expression, scope)
    if column is None:
        column, number, word = _column(tree.expression, scope, columns), _number(tree.this, scope), _FLIPPED[word]
    if column is None or number is None:
        return None
    floor, ceiling = _whole(number), _whole(number, up=True)
    if word == "=":
        return column, ceiling, floor
    if word in ("<", "<="):
        return column, 1, ceiling - 1 if word == "<" else floor
    return column, floor + 1 if word == ">" else ceiling, None


def _whole(number: Decimal, *, up: bool = False) -> int:
    return int(number.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR))


def _column(tree: exp.Expr, scope: SelectScope, columns: set[str]) -> str | None:
    while isinstance(tree, exp.Paren):
        tree = tree.this
    if not isinstance(tree, exp.Column):
        return None
    text = scope.binder.bind(tree).sql
    return next((c for c in columns if quote(c) == text), None)


def _number(tree: exp.Expr, scope: SelectScope) -> Decimal | None:
    """A constant number: a literal, or an arithmetic of literals."""
    if isinstance(tree, exp.Paren):
        return _number(tree.this, scope)
    if isinstance(tree, exp.Neg):
        inside = _number(tree.this, scope)
        return -inside if inside is not None else None
    if isinstance(tree, exp.Cast):
        inside = _number(tree.this, scope)
        kind = scope.binder.bind(tree).type
        if inside is None or not (kind.is_integer or inside == inside.to_integral_value()):
            return inside if inside is None else None
        return Decimal(int(inside))
    if isinstance(tree, exp.Add | exp.Sub | exp.Mul):
        left, right = _number(tree.this, scope), _number(tree.expression, scope)
        if left is None or right is None:
            return None
        if isinstance(tree, exp.Mul):
            return left * right
        return left + right if isinstance(tree, exp.Add) else left - right
    if isinstance(tree, exp.Literal) and not tree.is_string:
        value = scope.binder.bind(tree)
        return Decimal(str(value.literal)) if isinstance(value.literal, int | Decimal | float) else Decimal(tree.name)
    return None


def _top(ranked: Ranked, start: int, end: int) -> Node:
    """The node of a rank between two bounds."""
    numbers = ranked.function == ROW_NUMBER
    if not numbers and ranked.strict:
        raise PlanError(f"{ranked.function} over a stream is not supported in strict mode, nor by Flink", ranked.span,
                        hint="ROW_NUMBER() is; rows that tie are numbered as they came.")
    (source,), window = ranked.inputs, ranked.window
    only = numbers and start == end == 1 and len(ranked.order) == 1
    if window is not None and {quote(window.start), quote(window.end)} <= set(ranked.partition):
        return _window_top(ranked, window, start, end, only)
    time = ranked.times[0]
    if only and time and source.append_only:
        last = ranked.order[0].descending
        column = ranked.order[0].sql[1:-1].replace('""', '"') if time == "rowtime" else ""
        hidden = tuple(h for h in _ADDED if h in source.hidden or (column and not last))
        return Deduplicate((source,), ranked.schema, not last, (DIFF, *hidden) if last else hidden, ranked.partition,
                           column, "last" if last else "first", ranked.rank)
    return TopN((source,), ranked.schema, False, (DIFF,), ranked.partition, ranked.order, start, end, ranked.rank,
                ranked.function)


def _window_top(ranked: Ranked, window: Window, start: int, end: int, only: bool) -> Node:
    (source,) = ranked.inputs
    if not source.append_only:
        raise PlanError("a window Top-N does not take rows that change", ranked.span,
                        hint="Leave EMIT out below, so that each window gives its rows once.")
    if window.proctime:
        raise PlanError("a window Top-N over processing time is not supported, nor by Flink", ranked.span,
                        hint="PARTITION BY window_end alone for a Top-N of changes, or use a rowtime column.")
    bounds = {quote(window.start), quote(window.end), *([quote(window.time)] if window.time else [])}
    partition = tuple(p for p in ranked.partition if p not in bounds)
    later = only and ranked.order[0].descending and _is_time(source, ranked.order[0].sql, ranked.times[0])
    return WindowRank((source,), ranked.schema, True, _ADDED, partition, ranked.order, start, end,
                      (window.start, window.end), ranked.zone if window.local else "UTC", later, ranked.rank,
                      ranked.function)


def _is_time(node: Node, text: str, time: TimeAttribute) -> bool:
    """The order is by the time of the rows: a time attribute, or the column that the windows were made of."""
    while isinstance(node, Project):
        columns = {quote(name): sql for name, sql in node.columns}
        text, node = columns.get(text, ""), node.inputs[0]
    assigned = getattr(node, "time", "")
    return bool(time) or (bool(assigned) and isinstance(assigned, str) and quote(assigned) == text)


def _replaced(node: Node, old: Node, new: Node) -> Node:
    """The projections over `old` over `new`."""
    if node is old:
        return new
    (below,) = node.inputs
    inside = _replaced(below, old, new)
    return replace(node, inputs=(inside,), append_only=inside.append_only, hidden=inside.hidden)


def limited(source: Node, order: tuple[SortKey, ...], start: int, end: int) -> Node:
    """ORDER BY … LIMIT as a Top-N of all rows."""
    return TopN((source,), source.schema, False, (DIFF,), (), order, start, end)

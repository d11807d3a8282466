"""EMIT: when the results of a query are given, said after its end.

It concerns the aggregates of the outermost query: those that are reached from its result through
projections, filters and UNION ALL alone, whether written in place, in a view or in a subquery.

    FINAL    (ON WINDOW CLOSE) a window's row comes once, when it closes; which a window aggregate does anyway
    CHANGES  rows of open windows come after each batch and are corrected; any other aggregate does that anyway
    EVERY    the same at intervals of processing time, and of a window when it closes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from streamsql.core.batch import DIFF
from streamsql.core.node import Node, fuse
from streamsql.core.schema import Column, Schema, quote
from streamsql.errors import PlanError, Span
from streamsql.operators.early import early_aggregate
from streamsql.operators.early_session import EarlySession, early_session
from streamsql.operators.project import Project
from streamsql.operators.session import SessionAssign
from streamsql.operators.throttle import Throttle
from streamsql.operators.union import Union
from streamsql.operators.window_aggregate import WindowAggregate
from streamsql.planner.windowing import require_aggregated

Policy = Literal["", "final", "changes", "every"]


def emitting(node: Node, policy: Policy, every_ms: int, span: Span) -> Node:
    """The root of a query with its EMIT clause. Raises PlanError where the clause cannot be kept."""
    require_aggregated(node, span)
    if policy == "final" and not node.append_only:
        raise PlanError("EMIT FINAL needs a window: this query changes rows that it has given", span,
                        hint="GROUP BY window_start, window_end of a window function, or leave EMIT FINAL out.")
    if policy not in ("changes", "every"):
        return node
    word = f"EMIT {policy.upper()}"
    found = _early(node, every_ms)
    if found is not node:
        return found
    hidden = _hidden_window(node)
    if hidden is not None and node.append_only:
        raise PlanError(f"{word} does not reach the window aggregate: {hidden.explain().title} stands above it", span,
                        hint="EMIT is for aggregates at the top of a query, with projections, filters and UNION "
                        "ALL above.")
    if policy == "changes":
        return node  # rows come as they become known, whatever they are
    if node.append_only:
        raise PlanError("EMIT EVERY needs an aggregate: a row of this query never changes", span,
                        hint="Leave EMIT EVERY out: each row comes once.")
    return _throttled(node, every_ms)


def _early(node: Node, every_ms: int) -> Node:
    """`node` with early results of the window aggregates at its top; itself where there are none."""
    if isinstance(node, WindowAggregate):
        return _per_set(replace(node, inputs=(_sessions_early(node.inputs[0]),)), every_ms)
    if not isinstance(node, Project | Union):
        return node
    inputs = tuple(_early(i, every_ms) for i in node.inputs)
    if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
        return node
    hidden = inputs[0].hidden if len(inputs) == 1 else _hidden(inputs)
    return replace(node, inputs=inputs, schema=_timeless(node.schema), append_only=False, hidden=hidden)


def _hidden(inputs: Sequence[Node]) -> tuple[str, ...]:
    """What a Union of these carries."""
    others = ("$watermark", "$seq")
    return (DIFF, *(h for h in others if any(h in i.hidden for i in inputs)))


def _timeless(schema: Schema) -> Schema:
    """Rows that change have no time attribute."""
    return Schema(tuple(Column(c.name, c.type) for c in schema), schema.primary_key)


def _sessions_early(node: Node) -> Node:
    """`node`, the input of a window aggregate, with the rows of its sessions given before they close."""
    if isinstance(node, SessionAssign):
        return early_session(node)
    if not isinstance(node, Project):
        return node
    below = _sessions_early(node.inputs[0])
    if below is node.inputs[0]:
        return node
    return replace(node, inputs=(below,), schema=_timeless(node.schema), append_only=False, hidden=below.hidden)


def _per_set(node: WindowAggregate, every_ms: int) -> Node:
    """The early aggregate; of grouping sets the union of one a set."""
    if not node.sets:
        return _every(node, every_ms)
    parts = tuple(_of_set(node, members, every_ms) for members in node.sets)
    if len(parts) == 1:
        return parts[0]
    return Union(parts, parts[0].schema, False, (DIFF,))


def _of_set(node: WindowAggregate, members: tuple[int, ...], every_ms: int) -> Node:
    left_out = {node.keys[i][0] for i in range(len(node.keys)) if i not in members}
    masks = {name: sum((i not in members) << (len(of) - 1 - at) for at, i in enumerate(of))
             for name, of in node.groupings}
    kept = Schema(tuple(c for c in node.schema if c.name not in left_out and c.name not in masks))
    one = replace(node, schema=kept, keys=tuple(node.keys[i] for i in sorted(members)), sets=(), groupings=())
    below = _every(one, every_ms)

    def text(column: Column) -> str:
        if column.name in masks:
            return f"CAST({masks[column.name]} AS BIGINT)"
        return f"CAST(NULL AS {column.type.duck_type()})" if column.name in left_out else quote(column.name)

    columns = tuple((c.name, text(c)) for c in node.schema)
    return Project((below,), _timeless(node.schema), False, below.hidden, columns)


def _every(node: WindowAggregate, every_ms: int) -> Node:
    early = early_aggregate(node)
    if not every_ms:
        return early
    end = next(name for name, bound in node.windows if bound == "end")
    return Throttle((early,), early.schema, False, (DIFF,), every_ms, end, node.zone, node.proctime,
                    moving=isinstance(fuse(node.inputs[0]).source, EarlySession))


def _throttled(node: Node, every_ms: int) -> Node:
    """The changes at the top of the query, below projections that other nodes inline."""
    return Throttle((node,), node.schema, False, (DIFF,), every_ms)


def _hidden_window(node: Node) -> Node | None:
    """The node that keeps EMIT from a window aggregate below it; None where there is none below."""
    if isinstance(node, Project | Union):
        return next((found for i in node.inputs if (found := _hidden_window(i)) is not None), None)
    return node if any(_holds_window(i) for i in node.inputs) else None


def _holds_window(node: Node) -> bool:
    return isinstance(node, WindowAggregate) or any(_holds_window(i) for i in node.inputs)

"""EMIT: when the results of a query are given, said after its end.

It concerns the aggregates of the outermost query: those that are reached from its result through
projections, filters and UNION ALL alone, whether written in place, in a view or in a subquery.
"""

from __future__ import annotations

from typing import Literal

from streamsql.core.node import Node
from streamsql.errors import PlanError, Span
from streamsql.planner.windowing import require_aggregated

Policy = Literal["", "final", "changes", "every"]


def emitting(node: Node, policy: Policy, every_ms: int, span: Span) -> Node:
    """The root of a query with its EMIT clause. Raises PlanError where the clause cannot be kept."""
    require_aggregated(node, span)
    if policy in ("changes", "every"):
        raise PlanError(f"EMIT {policy.upper()} is not built", span,
                        hint="A window aggregate emits once, when its window closes: EMIT FINAL.")
    if policy == "final" and not node.append_only:
        raise PlanError("EMIT FINAL needs a window: this query changes rows that it has given", span,
                        hint="GROUP BY window_start, window_end of a window function, or leave EMIT FINAL out.")
    return node

"""`l ASOF JOIN r ON l.k = r.k AND l.ts >= r.ts`: each row of the left with the last one of the right until its time.

It is a temporal join whose versions replace each other by what ON compares, so that rows that only come need no
PRIMARY KEY. DuckDB's and Snowflake's words; Flink has none for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamsql.errors import PlanError
from streamsql.planner.intervals import Bound, bounds
from streamsql.planner.scope import Relation
from streamsql.planner.selects import STRICT, SelectScope
from streamsql.planner.versions import keys_of_versions, named, temporal
from streamsql.sql import span_of, within_us

if TYPE_CHECKING:
    from streamsql.planner.joins import JoinClause


def asof(clause: JoinClause) -> Relation:
    """The join that the clause is. Raises PlanError for a condition of which no last row could be found."""
    span = span_of(clause.tree)
    if clause.sources.planner.settings.get(STRICT, "false").lower() == "true":
        raise PlanError("ASOF JOIN is not in Flink", span, hint=f"SET '{STRICT}' = 'false' allows what only runs here.")
    if clause.version is not None or within_us(clause.tree) is not None:
        raise PlanError("an ASOF JOIN has no FOR SYSTEM_TIME AS OF and no WITHIN", span,
                        hint="Say how old the row may be in ON: l.ts < r.ts + INTERVAL '5' MINUTE.")
    times, latest_us = _times(clause)
    if clause.right.node.append_only:
        keys = tuple(dict.fromkeys(p.equal.keys for p in clause.predicates if p.equal is not None))
    else:
        keys = tuple(keys_of_versions(clause.right, clause.predicates, span))
    return temporal(clause, keys, times, -latest_us)


def _times(clause: JoinClause) -> tuple[tuple[str, str], int]:
    """The rowtimes that ON compares, and how much later than that of the left the right's may be."""
    scope = SelectScope((*clause.left.fields, *clause.right.fields), clause.sources.planner, clause.outer)
    said = [(p, bounds(p, scope.binder, clause.left, clause.right)) for p in clause.predicates]
    found: list[Bound] = [b for _, b in said if b is not None]
    last = [b for b in found if b.lower_us is None and b.upper_us is not None]
    if not last or len({b.times for b in found}) > 1:
        raise _no_time(clause)
    for one, bound in said:
        if bound is None and one.equal is None and one.reads == {"left", "right"}:
            raise PlanError("the condition of an ASOF JOIN compares the sides by =, and their rowtimes by >= or >",
                            span_of(one.tree), hint="What WHERE says is asked of the row that was found.")
    latest_us = min(b.upper_us for b in found if b.upper_us is not None)
    if latest_us > 0:
        raise PlanError("the rows of the right of an ASOF JOIN are not later than that of the left",
                        span_of(clause.tree), hint="Bound both sides of their difference: that is an interval join.")
    return last[0].times, latest_us


def _no_time(clause: JoinClause) -> PlanError:
    """ON has no comparison of two rowtimes that asks for the last one."""
    for relation in (clause.left, clause.right):
        if not any(f.time == "rowtime" for f in relation.fields):
            return PlanError(f"ASOF JOIN goes by rowtimes, {named(relation)} has none", span_of(clause.tree),
                             hint="Declare a WATERMARK: WATERMARK FOR ts AS ts - INTERVAL '5' SECOND.")
    left, right = (next(f for f in r.fields if f.time == "rowtime") for r in (clause.left, clause.right))
    if left.type.root != right.type.root:
        return PlanError(f'ASOF JOIN compares "{left.name}", {left.type}, with "{right.name}", {right.type}',
                         span_of(clause.tree), hint="Both need one type of timestamp.")
    ours, theirs = (f"{f.qualifier}.{f.name}" if f.qualifier else f.name for f in (left, right))
    return PlanError("ASOF JOIN needs one comparison that says how late a row of the right may be",
                     span_of(clause.tree), hint=f"Add to ON: {ours} >= {theirs}.")

"""`JOIN t FOR SYSTEM_TIME AS OF o.proc`: the rows of an outside table as it is when a row comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamsql.errors import PlanError
from streamsql.planner.scope import Relation
from streamsql.sql import exp, span_of

if TYPE_CHECKING:
    from streamsql.planner.joins import JoinClause


def lookup(clause: JoinClause, version: exp.Expr) -> Relation:
    """The lookup join that `clause` is."""
    raise PlanError("a join FOR SYSTEM_TIME AS OF a processing time is not built", span_of(version),
                    hint="Join a versioned table by a rowtime.")

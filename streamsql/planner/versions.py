"""`JOIN t FOR SYSTEM_TIME AS OF …`: the version of a row that was valid at the time of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamsql.errors import PlanError
from streamsql.planner.scope import Relation
from streamsql.sql import span_of

if TYPE_CHECKING:
    from streamsql.planner.joins import JoinClause


def versioned(clause: JoinClause) -> Relation:
    """The temporal or lookup join that `clause` is."""
    assert clause.version is not None
    raise PlanError("FOR SYSTEM_TIME AS OF is not built", span_of(clause.version), hint="Join after aggregating.")

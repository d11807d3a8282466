"""Joins by time: interval, window, temporal and lookup joins, recognised before a regular join is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamsql.planner.scope import Relation

if TYPE_CHECKING:
    from streamsql.planner.joins import JoinClause


def recognised(clause: JoinClause) -> Relation | None:
    """The join by time that `clause` is; None for a regular join."""
    return None

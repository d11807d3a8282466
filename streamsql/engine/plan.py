"""What a planner hands to the engine: the roots of a job and how to open its outside."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from streamsql.core.connector import Source
from streamsql.core.node import Node


@dataclass(frozen=True, slots=True)
class JobPlan:
    """A job: one or more queries that run together.

    roots      Insert nodes, or the query itself for a SELECT
    text       the stable text plan; a changed one does not meet existing state
    settings   the session's settings at the time
    """

    roots: tuple[Node, ...]
    text: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


OpenSource = Callable[[Node], Source]

"""EXPLAIN: a plan as stable text. The same SQL gives the same text, whatever ran before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from streamsql.core.node import Node, fuse

INPUT = '"input"'
_NOT_NULL = re.compile(r'("(?:[^"]|"")*") IS NOT NULL AND ')
_SPAN = re.compile(r"to_microseconds\((\d+)\)")
_UNITS_US = {"DAY": 86_400_000_000, "HOUR": 3_600_000_000, "MINUTE": 60_000_000, "SECOND": 1_000_000}
_OF_SCAN = ("columns", "sql", "watermark")
"""What a table says of itself that is shown otherwise, or with its SQL alone."""


def explained(roots: Iterable[Node], *, sql: bool = False, changes: bool = False) -> str:
    """Each root as a tree, inputs indented below; a node shown before is named, not repeated.

    A projection that changes nothing is left out: it runs as a part of what reads it, if at all.
    sql      with the DuckDB SQL into which a step that runs and the stateless ones below it are fused: the
             text that a job's state belongs to
    changes  EXPLAIN CHANGELOG_MODE: how the rows of each step change, and nothing else
    """
    return "\n".join(_Text(sql, changes).lines(roots))


def numbered(roots: Iterable[Node]) -> dict[Node, int]:
    """The numbers that EXPLAIN gives to nodes."""
    text = _Text(False, True)
    list(text.lines(roots))
    return text.seen


class _Text:
    def __init__(self, sql: bool, changes: bool) -> None:
        self.sql = sql
        self.changes = changes
        self.seen: dict[Node, int] = {}

    def lines(self, roots: Iterable[Node]) -> Iterator[str]:
        for root in roots:
            yield from self._node(root, 0)
            fused = fuse(root)
            if fused.chain and self.sql:
                yield f"fused sql: {fused.select(INPUT)}"

    def _node(self, node: Node, depth: int) -> Iterator[str]:
        while not self.sql and _changes_nothing(node):
            node = node.inputs[0]
        pad = "  " * depth
        title = node.explain().title
        if node in self.seen:
            yield f"{pad}{title}  (see {self.seen[node]})"
            return
        self.seen[node] = len(self.seen) + 1
        yield f"{pad}[{self.seen[node]}] {title}"
        for key, value in self._facts(node):
            yield f"{pad}    {key}: {value}"
        for i in node.inputs:
            yield from self._node(i, depth + 1)

    def _facts(self, node: Node) -> Iterator[tuple[str, str]]:
        changes = "append-only" if node.append_only else "insert and delete"
        if self.changes:
            yield "changes", changes
            return
        yield "schema", ", ".join(f"{c.name} {c.type}{_time(c.time)}" for c in node.schema) or "-"
        yield "changes", changes
        details = node.explain().details
        watermark = _watermark(node, dict(details) if not node.inputs else {})
        if watermark:
            yield "watermark", watermark if self.sql else _SPAN.sub(_interval, watermark)
        if node.holds_state():
            yield "state", "grows with its input" if node.grows() else "bounded"
        for key, value in details:
            if node.inputs or key not in _OF_SCAN or (self.sql and key != "watermark"):
                yield key, value if self.sql or key != "on" else _NOT_NULL.sub(_needed, value)
        if self.sql:
            yield from _fused(node)


def _changes_nothing(node: Node) -> bool:
    """Its rows are those of its input: the same columns in the same order, none computed, none left out."""
    return (len(node.inputs) == 1 and node.stateless(INPUT) is not None and not node.explain().details
            and node.schema == node.inputs[0].schema and node.explain().title == "Project")


def _needed(found: re.Match[str]) -> str:
    """Nothing for a test that the equality of the same column implies: the planner added it."""
    equal = f"{found[1]} = " in found.string or f" = {found[1]}" in found.string
    return "" if equal else found[0]


def _interval(found: re.Match[str]) -> str:
    """A span of time as SQL has it."""
    unit, length = next(((u, us) for u, us in _UNITS_US.items() if int(found[1]) % us == 0), ("", 0))
    return f"INTERVAL '{int(found[1]) // length}' {unit}" if unit else f"INTERVAL '{int(found[1]) / 1e6}' SECOND"


def _fused(node: Node) -> Iterator[tuple[str, str]]:
    for port, i in enumerate(node.inputs):
        fused = fuse(i)
        if node.stateless(INPUT) is None and fused.chain:
            yield "fused sql" if len(node.inputs) == 1 else f"fused sql of input {port + 1}", fused.select(INPUT)


def _time(time: str) -> str:
    return f" *{time}*" if time else ""


def _watermark(node: Node, details: dict[str, str]) -> str:
    """Where it is not simply that of the one input."""
    if node.inputs:
        return "" if len(node.inputs) == 1 else "the least of its inputs"
    return f"{details['watermark']}, the least of its partitions" if "watermark" in details else ""

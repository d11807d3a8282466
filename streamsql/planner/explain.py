"""EXPLAIN: a plan as stable text. The same SQL gives the same text, whatever ran before."""

from __future__ import annotations

from collections.abc import Iterable

from streamsql.core.node import Node, fuse

INPUT = '"input"'


def explained(roots: Iterable[Node]) -> str:
    """Each root as a tree, inputs indented below; a node shown before is named, not repeated.

    A step that runs shows the DuckDB SQL into which it and the stateless steps below it are fused.
    """
    lines: list[str] = []
    seen: dict[Node, int] = {}
    for root in roots:
        _lines(root, 0, lines, seen)
        fused = fuse(root)
        if fused.chain:
            lines.append(f"fused sql: {fused.select(INPUT)}")
    return "\n".join(lines)


def _lines(node: Node, depth: int, lines: list[str], seen: dict[Node, int]) -> None:
    pad = "  " * depth
    title = node.explain().title
    if node in seen:
        lines.append(f"{pad}{title}  (see {seen[node]})")
        return
    seen[node] = len(seen) + 1
    lines.append(f"{pad}[{seen[node]}] {title}")
    pad += "    "
    lines.append(f"{pad}schema: {', '.join(f'{c.name} {c.type}' + _time(c.time) for c in node.schema) or '-'}")
    lines.append(f"{pad}changes: {'append-only' if node.append_only else 'insert and delete'}")
    lines.append(f"{pad}watermark: {_watermark(node)}")
    lines.append(f"{pad}state: {'yes' if node.holds_state() else 'none'}")
    for key, value in node.explain().details:
        lines.append(f"{pad}{key}: {value}")
    for port, i in enumerate(node.inputs):
        fused = fuse(i)
        if node.stateless(INPUT) is None and fused.chain and not any(k == "sql" for k, _ in node.explain().details):
            label = "fused sql" if len(node.inputs) == 1 else f"fused sql of input {port + 1}"
            lines.append(f"{pad}{label}: {fused.select(INPUT)}")
    for i in node.inputs:
        _lines(i, depth + 1, lines, seen)


def _time(time: str) -> str:
    return f" *{time}*" if time else ""


def _watermark(node: Node) -> str:
    if not node.inputs:
        rowtime = getattr(node, "rowtime", None)
        return f"of {rowtime.column}, the least of its partitions" if rowtime else "none"
    return "that of its input" if len(node.inputs) == 1 else "the least of its inputs"

"""State that grows for ever: which steps of a plan have it, and what can be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from streamsql.core.node import Node
from streamsql.core.options import duration_ms
from streamsql.errors import Source, Span
from streamsql.operators.scan import Scan
from streamsql.planner import modules
from streamsql.planner.explain import numbered

TTL = "table.exec.state.ttl"
HINT = (f"SET '{TTL}' = '1 d' drops rows that were not used for so long; a window or a bound on time drops those "
        "that cannot matter any more.")


def placed(node: Node, source: Source, span: Span | None) -> Node:
    """The tree with the place of its query in every node that has none yet."""
    if not node.inputs or node.place or span is None:
        return node
    line, column = span.position(source.text)
    place = f"{source.origin}:{line}:{column}"

    def visit(n: Node) -> Node:
        if not n.inputs or n.place:
            return n
        return replace(n, place=place, inputs=tuple(visit(i) for i in n.inputs))

    return visit(node)


def ttl_ms(settings: Mapping[str, str]) -> int:
    return duration_ms(settings.get(TTL, "") or "0")


def warning(roots: Sequence[Node], settings: Mapping[str, str]) -> str:
    """A line for each step whose state grows as long as its input does, and a hint; '' with a time to live, and for
    input that ends."""
    if ttl_ms(settings):
        return ""
    numbers = numbered(roots)
    found = dict.fromkeys(n for root in roots for n in _growing(root))
    lines = [f"warning: the state of [{numbers[n]}] {n.explain().title}{f' ({n.place})' if n.place else ''} grows with "
             f"its input for ever" for n in found]
    return "\n".join([*lines, f"  hint: {HINT}"]) if lines else ""


def _growing(node: Node) -> Iterator[Node]:
    if node.grows() and not _ends(node):
        yield node
    for i in node.inputs:
        yield from _growing(i)


def _ends(node: Node) -> bool:
    """All of its input ends by itself."""
    if isinstance(node, Scan):
        return bool(modules.connector(node.table.raw["connector"]).source(node.table).bounded)
    return all(_ends(i) for i in node.inputs)


def note(roots: Sequence[Node], settings: Mapping[str, str]) -> str:
    """What EXPLAIN says below a plan whose state has a time to live."""
    if not ttl_ms(settings) or not any(n.grows() for root in roots for n in _nodes(root)):
        return ""
    return f"note: state that grows is dropped when it was not used for {settings[TTL]} ('{TTL}')"


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for i in node.inputs:
        yield from _nodes(i)

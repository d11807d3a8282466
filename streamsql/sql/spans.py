"""Where a tree stands in its source text.

The parser gives every node the range of the tokens it was made from, in sqlglot's own keys (`meta["start"]`,
and `meta["end"]`, which is inclusive); trees keep it through `copy`.
"""

from __future__ import annotations

from typing import TypeVar

from sqlglot import exp

from streamsql.errors import Span

Tree = TypeVar("Tree", bound=exp.Expr)


def span_of(node: exp.Expr) -> Span | None:
    """The range of `node`: its own, or that of all its descendants; None if none has one."""
    own = _own(node)
    if own is not None:
        return own
    spans = [s for s in (_own(d) for d in node.walk()) if s is not None]
    return Span(min(s.start for s in spans), max(s.end for s in spans)) if spans else None


def place(node: Tree, span: Span) -> Tree:
    """Give `node` the range `span` and return it."""
    node.meta["start"], node.meta["end"] = span.start, span.end - 1
    return node


def place_all(node: Tree, span: Span) -> Tree:
    """Give `span` to `node` and each descendant without a range: for what sugar is rewritten to."""
    for descendant in node.walk():
        if _own(descendant) is None:
            place(descendant, span)
    return node


def _own(node: exp.Expr) -> Span | None:
    meta = node.meta
    return Span(meta["start"], meta["end"] + 1) if "start" in meta else None

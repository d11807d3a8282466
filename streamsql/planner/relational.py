"""Nodes that only the planner knows: the leaf of a table, a constant, and what only runs once.

A query over constants (VALUES, no FROM) is one DuckDB statement: every node says what it means
over all input (`relation`), so a tree whose leaves are constants is composed and run as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from streamsql.core.batch import SEQ, WATERMARK
from streamsql.core.node import Context, Explain, Node, Operator
from streamsql.core.schema import quote
from streamsql.errors import InternalError, PlanError, Span
from streamsql.planner.catalog import Table


@dataclass(frozen=True)
class TableLeaf(Node):
    """A table before it is known which of its columns are read; `planner.scans` replaces it.

    side: '' for the table itself, `$late` or `$errors` for what it set aside.
    """

    table: Table
    side: str = ""
    span: Span | None = field(default=None, compare=False)

    def relation(self, inputs: Sequence[str]) -> str:
        return f"SELECT * FROM {quote(self.table.name + self.side)}"

    def narrowed(self, needed: Collection[str]) -> TableLeaf:
        return replace(self, schema=self.schema.only(needed))

    def unique_keys(self) -> frozenset[frozenset[str]]:
        key = frozenset(self.schema.primary_key)
        return frozenset([key]) if key and not self.append_only else frozenset()

    def operator(self, context: Context) -> Operator:
        raise InternalError(f'table "{self.table.name}" was not turned into a scan')

    def explain(self) -> Explain:
        return Explain(f"Table({self.table.name}{self.side})")


@dataclass(frozen=True)
class Constant(Node):
    """Rows that the SQL itself says: VALUES, or a query over nothing else. Emitted once.

    kept: the materialized tables that it reads, as they are when the job begins: `kept_log(name)` in its SQL
    """

    sql: str
    kept: tuple[str, ...] = ()

    def relation(self, inputs: Sequence[str]) -> str:
        return self.sql

    def operator(self, context: Context) -> Operator:
        raise InternalError("a constant is read by the engine, it has no operator")

    def explain(self) -> Explain:
        title = f"Kept({', '.join(self.kept)})" if self.kept else "Values"
        return Explain(title, (("sql", self.sql),))


@dataclass(frozen=True)
class Whole(Node):
    """A relational step that runs over constants only; over a stream it is an error at `span`.

    template  DuckDB SELECT with `{0}`, `{1}` for the inputs' names
    what      how EXPLAIN calls it
    message   of the error that a stream gets
    hint      what to write instead
    """

    template: Callable[[Sequence[str]], str] = field(compare=False)
    what: str
    message: str
    hint: str
    span: Span | None = field(default=None, compare=False)

    def relation(self, inputs: Sequence[str]) -> str:
        return self.template(inputs)

    def operator(self, context: Context) -> Operator:
        raise self.refusal()

    def resolved(self) -> Node:
        """The node that it is over a stream, if it is one. Raises PlanError."""
        raise self.refusal()

    def refusal(self) -> PlanError:
        return PlanError(self.message, self.span, hint=self.hint)

    def explain(self) -> Explain:
        return Explain(self.what)


def kept_log(name: str) -> str:
    """How SQL calls the changes of a materialized table."""
    return quote(f"{name}$kept")


def leaves(node: Node) -> list[Node]:
    """The nodes without inputs below `node`, each once."""
    found: dict[int, Node] = {}

    def visit(n: Node) -> None:
        if not n.inputs:
            found[id(n)] = n
        for i in n.inputs:
            visit(i)

    visit(node)
    return list(found.values())


def expressible(node: Node) -> bool:
    """DuckDB can say what the whole tree means, so that `compose` has a text."""
    return node.expressible() and all(expressible(i) for i in node.inputs)


def constant(node: Node) -> bool:
    return all(isinstance(leaf, Constant) for leaf in leaves(node))


def compose(node: Node) -> str:
    """The whole tree as one SELECT: what it means over all input (the oracle of law 3).

    Leaves that are tables appear under their own names.
    """
    if not node.inputs:
        return node.relation(())
    names = [quote(f"$in{n}") for n in range(len(node.inputs))]
    named = ", ".join(f"{name} AS ({compose(i)})" for name, i in zip(names, node.inputs, strict=True))
    return f"WITH {named} SELECT * FROM ({node.relation(names)})"


def folded(node: Node) -> Node:
    """The tree with every constant part made one Constant. Raises PlanError for a Whole left over."""
    if isinstance(node, Constant | TableLeaf):
        return node
    if constant(node):
        kept = dict.fromkeys(name for leaf in leaves(node) if isinstance(leaf, Constant) for name in leaf.kept)
        return Constant((), node.schema, True, (WATERMARK, SEQ), compose(node), tuple(kept))
    if isinstance(node, Whole):
        return folded(node.resolved())
    inputs = tuple(folded(i) for i in node.inputs)
    if inputs == node.inputs:
        return node
    return replace(node, inputs=inputs)

"""`JOIN t FOR SYSTEM_TIME AS OF o.proc`: the rows of an outside table as it is when a row comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamsql.core.node import Node
from streamsql.core.schema import Column, Schema, quote
from streamsql.errors import PlanError
from streamsql.operators.lookup_join import LookupJoin
from streamsql.operators.project import Project
from streamsql.planner import modules
from streamsql.planner.relational import TableLeaf, constant
from streamsql.planner.scope import Relation
from streamsql.planner.versions import left_times, named
from streamsql.sql import exp, span_of

if TYPE_CHECKING:
    from streamsql.planner.joins import JoinClause


def lookup(clause: JoinClause, version: exp.Expr) -> Relation:
    """The lookup join that `clause` is."""
    from streamsql.planner.joins import matching

    right, span = clause.right, span_of(version)
    leaf = _table(right.node)
    if leaf is None:
        raise PlanError(f"{named(right)} is no table of a connector, so there is nothing to look up", span,
                        hint="As of a processing time only tables are joined; a view with a rowtime is, as of one.")
    module = modules.connector(leaf.table.options["connector"])
    if not hasattr(module, "lookup") and not getattr(module, "READ_WHOLE", False):
        raise PlanError(f'connector "{leaf.table.options["connector"]}" of {named(right)} cannot be looked up in', span,
                        hint="jdbc, filesystem and memory can; a topic is joined as of a rowtime.")
    keys = []
    for one in clause.predicates:
        if one.equal is None or one.equal.null_safe:
            continue
        field = next((f for f in right.fields if quote(f.column) == one.equal.right.sql), None)
        base = _base(right.node, field.column) if field is not None else None
        if field is not None and base is not None and leaf.table[base].kind == "physical":
            keys.append((f"TRY_CAST({one.equal.keys[0]} AS {field.type.duck_type()})", field.column, base))
    if not keys:
        raise PlanError(f"the join has no equality with a column of {named(right)}, which it could look up by", span,
                        hint="Add one to ON: o.key = t.key.")
    if constant(clause.left.node):
        raise PlanError("a lookup join takes a stream on its left, this is constant", span,
                        hint=f"Join {named(right)} without FOR SYSTEM_TIME AS OF.")
    columns, left = left_times(clause), clause.left.node
    schema = Schema(tuple(Column(f.column, f.type, f.time) for f, _ in columns))
    node = LookupJoin((left,), schema, left.append_only, left.hidden, clause.kind == "LEFT", tuple(keys),
                      matching(clause.predicates), tuple((f.column, sql) for f, sql in columns), right.node)
    return Relation(node, tuple(f for f, _ in columns))


def _table(node: Node) -> TableLeaf | None:
    while isinstance(node, Project):
        node = node.inputs[0]
    return node if isinstance(node, TableLeaf) and not node.side else None


def _base(node: Node, column: str) -> str | None:
    """The column of the table that `column` is as it is."""
    while isinstance(node, Project):
        sql = dict(node.columns)[column]
        found = next((c for c in node.inputs[0].schema.names if quote(c) == sql), None)
        if found is None:
            return None
        column, node = found, node.inputs[0]
    return column

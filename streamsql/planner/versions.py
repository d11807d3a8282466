"""`JOIN t FOR SYSTEM_TIME AS OF …`: the version of a row that was valid at the time of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from streamsql.core.node import Node
from streamsql.core.schema import Column, Schema, quote
from streamsql.errors import PlanError, Span
from streamsql.operators.deduplicate import Deduplicate
from streamsql.operators.project import Project
from streamsql.operators.temporal_join import TemporalJoin
from streamsql.planner.predicates import Predicate, steady
from streamsql.planner.relational import TableLeaf
from streamsql.planner.scope import Field, Relation
from streamsql.planner.selects import SelectScope
from streamsql.sql import exp, span_of

if TYPE_CHECKING:
    from streamsql.planner.joins import JoinClause

_VIEW = "SELECT … FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY key ORDER BY ts DESC) AS n FROM t) WHERE n = 1"


def versioned(clause: JoinClause) -> Relation:
    """The temporal or lookup join that `clause` is."""
    version = clause.version
    assert version is not None
    if clause.kind not in ("INNER", "LEFT"):
        raise PlanError(f"a join FOR SYSTEM_TIME AS OF is inner or left, not {clause.kind.lower()}",
                        span_of(clause.tree) or span_of(version),
                        hint="The versions are looked up for each row of the left: put it on the left.")
    time = _time(clause, version)
    if time.time == "proctime":
        from streamsql.planner.lookups import lookup

        return lookup(clause, version)
    right = clause.right
    rowtime = next((f for f in right.fields if f.time == "rowtime"), None)
    if rowtime is None:
        raise PlanError(f"{named(right)} has no rowtime, so its rows are no versions", span_of(version),
                        hint=f"Declare a WATERMARK in it; or join a processing time: {_proctime(clause)}.")
    if rowtime.type.root != time.type.root:
        raise PlanError(f'"{time.name}" is {time.type}, the rowtime "{rowtime.name}" of {named(right)} is '
                        f"{rowtime.type}", span_of(version), hint="Both need one type of timestamp.")
    keys = keys_of_versions(right, clause.predicates, span_of(version))
    return temporal(clause, keys, (time.column, rowtime.column))


def temporal(clause: JoinClause, keys: Sequence[tuple[str, str]], times: tuple[str, str],
             after_us: int = 0) -> Relation:
    """The join of the left with the versions of the right."""
    from streamsql.planner.joins import matching

    for one in clause.predicates:
        steady(one.value, one.tree, clause.left.node)
    columns = left_times(clause)
    left, right = clause.left.node, each_change(clause.right.node)
    schema = Schema(tuple(Column(f.column, f.type, f.time) for f, _ in columns))
    node = TemporalJoin((left, right), schema, left.append_only, left.hidden, clause.kind == "LEFT", tuple(keys),
                        matching(clause.predicates), tuple((f.column, sql) for f, sql in columns), times, after_us)
    return Relation(node, tuple(f for f, _ in columns))


def left_times(clause: JoinClause) -> list[tuple[Field, str]]:
    """The columns of the result; the left's time attributes stay."""
    times = {quote(f.column): f.time for f in clause.left.fields}
    return [(replace(f, time=times.get(sql, "")), sql) for f, sql in clause.columns]


def _time(clause: JoinClause, version: exp.Expr) -> Field:
    """The time attribute of the left by which versions are chosen."""
    scope = SelectScope(clause.left.fields, clause.sources.planner, clause.outer)
    value = scope.binder.bind(version.args["expression"])
    found = next((f for f in clause.left.fields if f.typed().sql == value.sql and value.time), None)
    if found is None:
        raise PlanError("FOR SYSTEM_TIME AS OF takes a time attribute of the left side", span_of(version),
                        hint="A rowtime (a column with a WATERMARK), or a processing time (AS PROCTIME()).")
    return found


def named(relation: Relation) -> str:
    names = {f.qualifier for f in relation.fields if f.qualifier}
    return f'"{min(names)}"' if len(names) == 1 else "the right side"


def _proctime(clause: JoinClause) -> str:
    found = next((f for f in clause.left.fields if f.time == "proctime"), None)
    return f"FOR SYSTEM_TIME AS OF {found.name}" if found else "proc AS PROCTIME()"


def keys_of_versions(right: Relation, predicates: Sequence[Predicate], span: Span | None) -> list[tuple[str, str]]:
    """The equalities with the key of the versions."""
    known = version_keys(right.node)
    if not known:
        raise PlanError(f"{named(right)} has no primary key, by which its rows would replace each other", span,
                        hint=f"Declare PRIMARY KEY (…) NOT ENFORCED, or use a view that keeps the last row: {_VIEW}.")
    equal = {p.equal.right.sql: p.equal.keys for p in predicates if p.equal is not None and not p.equal.null_safe}
    for key in sorted(known, key=sorted):
        if all(quote(c) in equal for c in key):
            return [equal[quote(c)] for c in sorted(key)]
    names = {f.column: f.name for f in right.fields}
    wanted = ", ".join(names.get(c, c) for c in sorted(min(known, key=sorted)))
    raise PlanError(f"the join does not compare the whole primary key ({wanted}) of {named(right)}", span,
                    hint=f"Add to ON an equality for each column of it: {wanted}.")


def version_keys(node: Node) -> frozenset[frozenset[str]]:
    """The keys by which rows replace each other; an append-only table's PRIMARY KEY is one."""
    if isinstance(node, TableLeaf):
        key = frozenset(node.table.primary_key)
        return frozenset([key]) if key and key <= set(node.schema.names) else frozenset()
    if isinstance(node, Project):
        names = {sql: name for name, sql in reversed(node.columns)}
        below = version_keys(node.inputs[0])
        whole = [key for key in below if all(quote(c) in names for c in key)]
        return frozenset(frozenset(names[quote(c)] for c in key) for key in whole)
    return node.unique_keys()


def each_change(node: Node) -> Node:
    """`node`, such that a version that the same batch replaces is given too."""
    if isinstance(node, Project):
        return replace(node, inputs=(each_change(node.inputs[0]),))
    return replace(node, every_change=True) if isinstance(node, Deduplicate) else node

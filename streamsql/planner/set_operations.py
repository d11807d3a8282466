"""UNION, INTERSECT and EXCEPT: both sides made alike, then one node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from streamsql.core.batch import DIFF, SEQ, WATERMARK
from streamsql.core.node import Node
from streamsql.core.schema import Column, Schema, TimeAttribute
from streamsql.core.typed import Typed
from streamsql.core.types import DataType
from streamsql.errors import BindError, SQLTypeError
from streamsql.operators.set_operation import SetOperation
from streamsql.operators.union import Union
from streamsql.planner.relational import constant
from streamsql.planner.scope import Field, Relation
from streamsql.sql import exp, span_of
from streamsql.values.binder import cast, common_type, session_zone

Item = tuple[str, Typed]


def is_distinct(tree: exp.SetOperation) -> bool:
    return tree.args.get("distinct", True) is not False


def aligned(tree: exp.SetOperation, left: Relation, right: Relation,
            settings: Mapping[str, str]) -> tuple[list[Item], list[Item]]:
    """What to select of each side, so that both have the same column names and types."""
    word = type(tree).__name__.upper()
    name = word if is_distinct(tree) else f"{word} ALL"
    if len(left.fields) != len(right.fields):
        raise BindError(
            f"{name}: {len(left.fields)} columns on the left, {len(right.fields)} on the right",
            span_of(tree.expression),
            hint="Select as many columns on both sides.",
        )
    items: tuple[list[Item], list[Item]] = ([], [])
    for i, (a, b) in enumerate(zip(left.fields, right.fields, strict=True)):
        kind = common_type([a.type, b.type])
        if kind is None or "NULL" in (a.type.root, b.type.root):
            raise SQLTypeError(
                f"{name}: column {i + 1} is {a.type} on the left and {b.type} on the right",
                span_of(tree.expression),
                hint="CAST one side.",
            )
        keep: TimeAttribute = a.time if a.time == b.time else ""
        items[0].append((a.name, _coerced(a, kind, keep, settings)))
        items[1].append((a.name, _coerced(b, kind, keep, settings)))
    return items


def _coerced(field: Field, kind: DataType, keep: TimeAttribute, settings: Mapping[str, str]) -> Typed:
    value = field.typed()
    if value.type.as_nullable() == kind.as_nullable():
        return replace(value, type=kind, time=keep)
    return replace(cast(value, kind, implicit=True, zone=session_zone(settings)), type=kind)


def combined(tree: exp.SetOperation, left: Relation, right: Relation) -> Relation:
    """The relation of two sides that are aligned; UNION still with its duplicates."""
    pairs = list(zip(left.node.schema, right.node.schema, strict=True))
    if isinstance(tree, exp.Union):
        schema = Schema(tuple(Column(a.name, a.type, a.time if a.time == b.time else "") for a, b in pairs))
        node = union_of(left.node, right.node, schema)
    else:
        schema = Schema(tuple(Column(a.name, a.type) for a, _ in pairs))
        once = constant(left.node) and constant(right.node)
        node = SetOperation((left.node, right.node), schema, once, (WATERMARK, SEQ) if once else (DIFF,),
                            type(tree).__name__.upper(), not is_distinct(tree))
    fields = zip(left.fields, schema, strict=True)
    return Relation(node, tuple(Field(f.name, c.name, c.type, c.time) for f, c in fields))


def union_of(left: Node, right: Node, schema: Schema) -> Node:
    """UNION ALL; a chain of them is one node."""
    inputs = (*(left.inputs if isinstance(left, Union) else (left,)), right)
    hidden = tuple(
        h
        for h in (DIFF, WATERMARK, SEQ)
        if (h == DIFF and any(not i.append_only for i in inputs))
        or (h != DIFF and any(h in i.hidden for i in inputs))
    )
    return Union(inputs, schema, all(i.append_only for i in inputs), hidden)

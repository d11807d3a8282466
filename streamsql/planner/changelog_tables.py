"""TO_CHANGELOG and FROM_CHANGELOG in FROM: Flink's built-in functions over the changes of a table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streamsql.core.batch import DIFF, WATERMARK
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.types import STRING
from streamsql.errors import BindError, PlanError, SQLTypeError, did_you_mean
from streamsql.operators.changelog import KINDS, FromChangelog, ToChangelog, paired
from streamsql.planner.scope import Field, Relation, Scope
from streamsql.sql import ChangelogTable, exp, span_of

if TYPE_CHECKING:
    from streamsql.planner.sources import Sources

_OP = "op"


def changelog_table(sources: Sources, tree: ChangelogTable, outer: Scope | None) -> Relation:
    """What the function gives of its input."""
    given = sources.item(tree.this, outer)
    source = replace(given, fields=tuple(replace(f, qualifier="") for f in given.fields))
    return _to(source, tree) if tree.args["function"] == "TO_CHANGELOG" else _from(source, tree)


def _op_name(tree: ChangelogTable) -> str:
    op = tree.args.get("op")
    return op.name if op is not None else _OP


def _to(source: Relation, tree: ChangelogTable) -> Relation:
    node, name = source.node, _op_name(tree)
    if any(f.name == name for f in source.fields):
        raise BindError(f'TO_CHANGELOG gives two columns "{name}"', span_of(tree.args.get("op") or tree),
                        hint="Name the op column otherwise: op => DESCRIPTOR(change).")
    column = name
    while column.upper() in {c.upper() for c in node.schema.names}:
        column += "$"
    timed = node.append_only or WATERMARK in node.hidden
    kept = {f.column for f in source.fields}
    passed = tuple(c if timed else Column(c.name, c.type) for c in node.schema if c.name in kept)
    schema = Schema((Column(column, STRING.not_null()), *passed))
    codes = tuple((kind, kind) for kind in KINDS)
    if tree.args.get("mapping") is not None:
        codes = tuple((kind, code) for kinds, code in _pairs(tree) for kind in _kinds(tree, kinds))
        _distinct(tree, [kind for kind, _ in codes])
    changes = ToChangelog((node,), schema, True, tuple(h for h in node.hidden if h != DIFF), column,
                          tuple(quote(c.name) for c in passed), codes, paired(node))
    fields = tuple(f if timed else replace(f, time="") for f in source.fields)
    return Relation(changes, (Field(name, column, STRING.not_null()), *fields))


def _from(source: Relation, tree: ChangelogTable) -> Relation:
    node, name = source.node, _op_name(tree)
    op = next((f for f in source.fields if f.name == name), None)
    span = span_of(tree.args.get("op") or tree)
    if op is None:
        names = [f.name for f in source.fields]
        raise BindError(f'the op column "{name}" of FROM_CHANGELOG does not exist', span,
                        hint=f"{did_you_mean(name, names, 'Columns')}; say which it is: op => DESCRIPTOR(c).")
    if op.type.root not in ("STRING", "VARCHAR", "CHAR"):
        raise SQLTypeError(f'the op column "{name}" of FROM_CHANGELOG is {op.type}, not a STRING', span,
                           hint=f"CAST({name} AS STRING) in a subquery.")
    if not node.append_only:
        raise PlanError("FROM_CHANGELOG takes rows that come, not changes", span_of(tree.this),
                        hint="Its input is a table of changes: one row for each.")
    codes = tuple((kind, kind) for kind in KINDS)
    if tree.args.get("mapping") is not None:
        pairs = [(code, kind) for code, kinds in _pairs(tree) for kind in _kinds(tree, kinds, one=True)]
        _distinct(tree, [kind for _, kind in pairs])
        codes = tuple((code.strip(), kind) for text, kind in pairs for code in text.split(","))
        if any(k == "UPDATE_AFTER" for _, k in codes) and all(k != "UPDATE_BEFORE" for _, k in codes):
            raise PlanError("op_mapping has UPDATE_AFTER without UPDATE_BEFORE", span_of(tree.args["mapping"]),
                            hint="Without what a row was, nothing says what goes: use an upsert source.")
    fields = tuple(f for f in source.fields if f is not op)
    kept = {f.column for f in fields}
    schema = Schema(tuple(c for c in node.schema if c.name in kept))
    table = FromChangelog((node,), schema, False, (DIFF, *node.hidden), op.column, codes)
    return Relation(table, fields)


def _pairs(tree: ChangelogTable) -> list[tuple[str, str]]:
    mapping = tree.args["mapping"]
    items = mapping.expressions if isinstance(mapping, exp.Anonymous) and mapping.name.upper() == "MAP" else []
    texts = [item.name for item in items if isinstance(item, exp.Literal) and item.is_string]
    if not items or len(texts) < len(items) or len(items) % 2:
        raise PlanError("op_mapping is a MAP of texts", span_of(mapping), hint="MAP['INSERT', 'I', 'DELETE', 'D']")
    return list(zip(texts[::2], texts[1::2], strict=True))


def _kinds(tree: ChangelogTable, text: str, *, one: bool = False) -> list[str]:
    kinds = [text.strip()] if one else [part.strip() for part in text.split(",")]
    for kind in kinds:
        if kind not in KINDS:
            raise PlanError(f'op_mapping names no change "{kind}"', span_of(tree.args["mapping"]),
                            hint=f"Changes are {', '.join(KINDS)}.")
    return kinds


def _distinct(tree: ChangelogTable, kinds: list[str]) -> None:
    twice = next((kind for n, kind in enumerate(kinds) if kind in kinds[:n]), None)
    if twice is not None:
        raise PlanError(f'op_mapping names "{twice}" twice', span_of(tree.args["mapping"]),
                        hint="Several codes of FROM_CHANGELOG are one key: MAP['c, r', 'INSERT'].")

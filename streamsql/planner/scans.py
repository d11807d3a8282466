"""From a planned tree to one that runs: constants folded, unused columns dropped, tables made Scans.

A column is used if its quoted name occurs in the SQL of the node above. That may keep a column of
a ROW with a field of the same name too many, and never one too few.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

from streamsql.core.connector import MetadataColumn, TableSpec
from streamsql.core.node import Node
from streamsql.core.schema import Column, Schema, quote
from streamsql.errors import PlanError
from streamsql.operators.lookup_join import LookupJoin
from streamsql.operators.normalize import Normalize
from streamsql.operators.project import Project
from streamsql.operators.scan import Decoded, ErrorMode, Rowtime, Scan
from streamsql.operators.side import SideScan
from streamsql.operators.union import Union
from streamsql.planner import modules
from streamsql.planner.catalog import ERRORS, Table, TableColumn
from streamsql.planner.changelogs import VALUE_PREFIX, changes_of, is_formats, key_columns
from streamsql.planner.options import FormatUse, TableOptions, table_options
from streamsql.planner.relational import Constant, TableLeaf, folded, leaves

Extra = Mapping[str, Mapping[str, str]]
"""Options that the session adds to every table of a connector, by the connector's name."""


def given_options(table: Table, extra: Extra) -> dict[str, str]:
    """The table's options, and what the session adds."""
    return {**table.options, **extra.get(table.options.get("connector", ""), {})}


def finished(node: Node, extra: Extra) -> Node:
    """The tree that the engine runs.

    Raises PlanError for what only runs over constants.
    """
    return scanned([pruned(node)], extra)[0]


def pruned(node: Node) -> Node:
    """Constants folded and unused columns dropped; the tables are still leaves."""
    node = folded(node)
    return _pruned(node, set(node.schema.names))


def scanned(roots: Sequence[Node], extra: Extra) -> list[Node]:
    """The tables of a job made Scans: one a table, which reads what any part of the job needs."""
    read: dict[Hashable, dict[str, Column]] = {}
    for root in roots:
        for leaf in leaves(root):
            if isinstance(leaf, TableLeaf):
                read.setdefault(_identity(leaf), {}).update({c.name: c for c in leaf.schema})
    return [_scanned(root, extra, read) for root in roots]


def _identity(leaf: TableLeaf) -> Hashable:
    return leaf.table.name, leaf.side, tuple(sorted(leaf.table.options.items()))


def _texts(value: Any) -> Iterable[str]:
    """Every string in a node's own fields: all of its SQL is among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list | frozenset):
        for item in value:
            yield from _texts(item)
    elif is_dataclass(value) and not isinstance(value, Node | type):
        for item in fields(value):
            yield from _texts(getattr(value, item.name))


def _pruned(node: Node, needed: set[str]) -> Node:
    """`node` with only the columns in `needed`, where it can do without the others."""
    if isinstance(node, Constant):
        return node
    if isinstance(node, Union):
        union = replace(node, inputs=tuple(_pruned(i, needed) for i in node.inputs), schema=node.schema.only(needed))
        return replace(union, inputs=tuple(_ordered(i, union.schema) for i in union.inputs))
    node = node.narrowed(needed)
    text = "\n".join(
        t for f in fields(node) if f.name not in ("inputs", "schema") for t in _texts(getattr(node, f.name))
    )
    passes = set() if isinstance(node, Project) else set(node.schema.names)

    def below(i: Node) -> Node:
        return _pruned(i, {c for c in i.schema.names
                           if quote(c) in text or c in passes or f"\n{c}\n" in f"\n{text}\n"})

    if isinstance(node, LookupJoin):
        node = replace(node, dimension=below(node.dimension))
    return replace(node, inputs=tuple(below(i) for i in node.inputs))


def _ordered(node: Node, schema: Schema) -> Node:
    """`node` with exactly the columns of `schema`, in its order."""
    if node.schema.names == schema.names:
        return node
    columns = tuple((c, quote(c)) for c in schema.names)
    kept = Schema(tuple(node.schema[c] for c in schema.names))
    return Project((node,), kept, node.append_only, node.hidden, columns, None)


def _scanned(node: Node, extra: Extra, read: Mapping[Hashable, Mapping[str, Column]]) -> Node:
    if isinstance(node, TableLeaf):
        columns = read.get(_identity(node), {})
        if node.side or len(columns) <= len(node.schema):
            return _leaf(node, extra)
        all_read = Schema(tuple(columns[c.name] for c in node.table.columns if c.name in columns),
                          node.table.primary_key if set(node.table.primary_key) <= set(columns) else ())
        return _ordered(_leaf(replace(node, schema=all_read), extra), node.schema)
    if not node.inputs:
        return node
    if isinstance(node, LookupJoin):
        node = replace(node, dimension=_scanned(node.dimension, extra, {}))
    return replace(node, inputs=tuple(_scanned(i, extra, read) for i in node.inputs))


def _leaf(leaf: TableLeaf, extra: Extra) -> Node:
    if not leaf.side:
        made = scan(leaf.table, _with_key(leaf), extra)
        _require_distinct(leaf.table, [*made.table.schema.names, *(m.name for m in made.metadata)])
        if not made.upsert:
            return made
        return Normalize((made,), leaf.schema, False, made.hidden, leaf.table.name, leaf.table.primary_key)
    whole = (
        scan(
            leaf.table,
            Schema(tuple(Column(c.name, c.type) for c in leaf.table.columns if c.kind != "computed")),
            extra,
        )
        if leaf.side == ERRORS
        else None
    )
    return SideScan((), leaf.schema, True, leaf.hidden, leaf.table.name, leaf.side, whole)


def _with_key(leaf: TableLeaf) -> Schema:
    """The columns that are read of a table; of one of upserts its key too, which they are told apart by."""
    read, table = leaf.schema, leaf.table
    if changes_of(table, write=False) != "upsert":
        return read
    return Schema((*read, *(Column(k, table[k].type) for k in table.primary_key if k not in read)), table.primary_key)


def scan(table: Table, schema: Schema, extra: Extra) -> Scan:
    """The Scan of `table` that gives the columns of `schema`."""
    given = given_options(table, extra)
    options = table_options(given)
    computed = tuple(
        c
        for c in table.columns
        if c.kind == "computed"
        and (
            c.name in schema
            or (table.watermark and quote(c.name) in table.watermark.sql + quote(table.watermark.column))
        )
    )
    text = "\n".join(c.sql for c in computed) + (
        table.watermark.sql + quote(table.watermark.column) if table.watermark else ""
    )
    used = [c for c in table.columns if c.kind != "computed" and (c.name in schema or quote(c.name) in text)]
    if not used and options.value is None:
        used = list(table.physical[:1])  # a typed chunk without columns could not say how many rows it has
    physical = [c for c in used if c.kind == "physical"]
    described = [c for c in used if c.kind == "metadata" and is_formats(given, c.metadata_key)]
    metadata = tuple(
        MetadataColumn(c.name, c.metadata_key, c.type, c.virtual)
        for c in used
        if c.kind == "metadata" and c not in described
    )
    mode = changes_of(table, write=False)
    spec = TableSpec(
        table.name,
        _physical(physical),
        options.own,
        metadata,
        table.primary_key,
        options.value is not None,
        given,
        declared=_physical(table.physical),
        changes=mode,
    )
    value, key = _decoders(table, physical, described, options)
    rowtime = Rowtime(table.watermark.column, table.watermark.sql) if table.watermark else None
    append_only = mode == "append"
    hidden = ("$watermark", "$seq") if append_only else ("$diff", "$watermark", "$seq")
    return Scan(
        (),
        schema,
        append_only,
        hidden,
        spec,
        table.name,
        value,
        key,
        metadata,
        tuple((c.name, c.sql) for c in computed),
        rowtime,
        cast(ErrorMode, options.engine.text("error-handling.mode")),
        options.engine.integer("scan.watermark.idle-timeout"),
        options.engine.integer("scan.watermark.max-future"),
        mode == "upsert",
    )


def sink_spec(table: Table, extra: Extra, *, append_only: bool = True) -> TableSpec:
    """What a connector is told of a table that is written."""
    given = given_options(table, extra)
    options = table_options(given)
    metadata = tuple(MetadataColumn(c.name, c.metadata_key, c.type) for c in table.persisted if c.kind == "metadata")
    physical = _physical(table.physical)
    return TableSpec(
        table.name,
        physical,
        options.own,
        metadata,
        table.primary_key,
        options.value is not None,
        given,
        append_only,
        declared=physical,
        changes=changes_of(table, write=True),
    )


def _require_distinct(table: Table, names: list[str]) -> None:
    """DuckDB does not tell `name` from `Name`, so one query cannot read both."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise PlanError(
                f'columns "{other}" and "{name}" of "{table.name}" differ only by case and are read together',
                hint="Read one of them, or rename one in the table.",
            )


def _physical(columns: Iterable[TableColumn]) -> Schema:
    return Schema(tuple(Column(c.name, c.type) for c in columns))


def _decoders(
    table: Table, physical: list[TableColumn], described: list[TableColumn], options: TableOptions
) -> tuple[Decoded | None, Decoded | None]:
    """How the columns that are read come from the value and the key of a record; `described` are the
    metadata columns that the value's format reads."""
    if options.value is None:
        return None, None
    in_key = set(key_columns(table, options.key_fields)) if options.key else set()
    prefix = options.engine.text("key.fields-prefix")
    key = None
    if options.key and any(c.name in in_key for c in physical):
        read = [c for c in physical if c.name in in_key]
        key = _decoded(options.key, read, [c for c in table.physical if c.name in in_key], prefix)
    except_key = options.engine.text("value.fields-include") == "except_key"
    held = [c for c in table.physical if not (except_key and c.name in in_key)]
    return _decoded(options.value, [c for c in physical if c.name not in in_key], held, "", described), key


def _decoded(
    use: FormatUse, read: list[TableColumn], held: list[TableColumn], prefix: str, described: Sequence[TableColumn] = ()
) -> Decoded:
    """Columns that come from one part of the record, which holds more; there they lack the prefix."""
    module = modules.format_module(use.name, "format")
    schemas = [Schema(tuple(Column(c.name.removeprefix(prefix), c.type) for c in columns)) for columns in (read, held)]
    names = tuple(c.name for c in (*read, *described))
    if not described:
        return Decoded(module.decoder(schemas[0], use.options, schemas[1]), names)
    keys = tuple(c.metadata_key.removeprefix(VALUE_PREFIX) for c in described)
    made = module.decoder(schemas[0], use.options, schemas[1], metadata=keys)
    given = zip(made.columns[len(read) :], described, strict=True)
    casts = tuple(f"CAST({sql} AS {c.type.duck_type()})" for sql, c in given)
    return Decoded(replace(made, columns=(*made.columns[: len(read)], *casts)), names)

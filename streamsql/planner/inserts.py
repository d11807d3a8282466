"""INSERT INTO: the query's columns are matched with the sink's by position, cast as Flink does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from streamsql.core.node import Node
from streamsql.core.options import OptionError
from streamsql.core.schema import Column, Schema
from streamsql.core.typed import Typed
from streamsql.core.types import DataType
from streamsql.errors import BindError, PlanError, Span, SQLTypeError, did_you_mean
from streamsql.operators.insert import Encoded, Insert, NotNull
from streamsql.planner import modules
from streamsql.planner.catalog import Catalog, Materialized, Table, TableColumn
from streamsql.planner.changelogs import changes_of, key_columns, metadata_of
from streamsql.planner.emission import emitting
from streamsql.planner.options import FormatUse, TableOptions, table_options
from streamsql.planner.query import QueryPlanner
from streamsql.planner.scans import Extra, given_options, pruned, sink_spec
from streamsql.planner.scope import Field
from streamsql.planner.selects import STRICT
from streamsql.planner.sinks import keyed, keys_of, require_key, require_taken
from streamsql.sql import exp, span_of
from streamsql.sql import statements as sql
from streamsql.values.binder import cast, implicitly_castable

ENFORCER = "table.exec.sink.not-null-enforcer"


def plan_insert(statement: sql.Insert, catalog: Catalog, settings: Mapping[str, str], extra: Extra) -> Node:
    """The root of `INSERT INTO t [(columns)] query`, its tables still leaves. Raises SQLError."""
    if statement.overwrite:
        raise PlanError("INSERT OVERWRITE is not built", statement.span, hint="A stream is only added to.")
    table = catalog.find(statement.table)
    if not isinstance(table, Table):
        kind = "materialized table" if isinstance(table, Materialized) else "view"
        raise BindError(f'"{table.name}" is a {kind}', statement.table.span, hint="INSERT INTO takes a table.")
    if statement.options:
        table = replace(table, options={**table.options, **{o.key: o.value for o in statement.options}})
    targets = _targets(statement, table)
    strict = settings.get(STRICT, "false").lower() == "true"
    relation = QueryPlanner(catalog, settings, statement.source, nulls=not strict).plan(statement.query)
    if len(relation.fields) != len(targets):
        raise SQLTypeError(
            f'"{table.name}" takes {len(targets)} columns, the query gives {len(relation.fields)}',
            span_of(statement.query),
            detail="Sink: " + _listed(targets),
            hint="Select as many columns, or name the sink's: INSERT INTO t (a, b) SELECT ….",
        )
    if strict and sum(f.time == "rowtime" for f in relation.fields) > 1:
        raise PlanError("a table is given at most one rowtime in strict mode", span_of(statement.query),
                        hint="CAST the others AS TIMESTAMP(3).")
    places = _places(statement.query, len(targets))
    given = {t.name: _cast(f, t, place) for t, f, place in zip(targets, relation.fields, places, strict=True)}
    columns = []
    for column in table.persisted:
        value = given.get(column.name)
        if value is None:
            if not column.type.nullable:
                raise SQLTypeError(
                    f'column "{column.name}" of "{table.name}" is NOT NULL and is not given',
                    statement.table.span,
                    hint="Add it to the column list.",
                )
            value = Typed(f"CAST(NULL AS {column.type.duck_type()})", column.type)
        columns.append((column.name, value.sql))
    node = emitting(relation.node, statement.emit, statement.every_ms, statement.span)
    keys = keys_of(node, tuple(columns), table)
    if strict and not statement.conflict:
        require_key(keys, table, settings, span_of(statement.query))
    return _insert(statement, table, pruned(node), tuple(columns), keys, settings, extra)


def _targets(statement: sql.Insert, table: Table) -> list[TableColumn]:
    if not statement.columns:
        return list(table.persisted)
    by_name = {c.name: c for c in table.persisted}
    targets = []
    for name in statement.columns:
        if name.last not in by_name:
            raise BindError(
                f'column "{name}" does not exist in "{table.name}"',
                name.span,
                hint=did_you_mean(name.last, by_name, "Columns"),
            )
        if by_name[name.last] in targets:
            raise BindError(f'column "{name}" is named twice', name.span)
        targets.append(by_name[name.last])
    return targets


def _listed(columns: list[TableColumn]) -> str:
    return ", ".join(f"{c.name} {c.type}" for c in columns)


def _places(query: exp.Expr, columns: int) -> list[Span | None]:
    """Where each column of the query is written; a `*` or several queries are one place for all."""
    items = query.expressions if isinstance(query, exp.Select) else []
    if isinstance(query, exp.Values) and len(query.expressions) == 1:
        items = query.expressions[0].expressions
    if len(items) != columns or any(item.is_star for item in items):
        return [span_of(query)] * columns
    return [span_of(item) or span_of(query) for item in items]


def _cast(field: Field, target: TableColumn, place: Span | None) -> Typed:
    """The value as the column takes it, cut to its length, which coercion elsewhere does not do."""
    given, taken = field.type, target.type.as_nullable()
    fixed = taken.root in ("CHAR", "BINARY")
    if not implicitly_castable(given, taken) or (fixed and given.root not in (taken.root, "NULL")):
        raise SQLTypeError(
            f'column "{target.name}" is {target.type}, the query gives {field.type}',
            place,
            hint=f"Write CAST(… AS {_plain(target.type)}).",
        )
    lengths = given.root != "NULL" and (taken.is_character or taken.is_binary)
    fits = given.precision == taken.precision or (not fixed and given.precision < taken.precision)
    return cast(field.typed(), taken, implicit=not lengths or fits)


def _plain(type_: DataType) -> str:
    return str(type_.as_nullable())


def _insert(
    statement: sql.Insert,
    table: Table,
    node: Node,
    columns: tuple[tuple[str, str], ...],
    keys: frozenset[frozenset[str]],
    settings: Mapping[str, str],
    extra: Extra,
) -> Node:
    given = given_options(table, extra)
    options = table_options(given)
    module = modules.connector(options.connector)
    if not hasattr(module, "sink"):
        raise PlanError(
            f'connector "{options.connector}" of "{table.name}" cannot be written',
            statement.table.span,
            hint="It is a source only.",
        )
    require_taken(node, table, span_of(statement.query))
    metadata = metadata_of(given)
    for column in (c for c in table.persisted if c.kind == "metadata"):
        if not metadata[column.metadata_key].writable:
            raise PlanError(
                f'metadata "{column.metadata_key}" of connector "{options.connector}" cannot be written',
                statement.table.span,
                hint=f'Declare column "{column.name}" … METADATA VIRTUAL.',
            )
    node, columns = keyed(node, columns, keys, table, settings)
    spec = replace(sink_spec(table, extra, append_only=node.append_only), update_key=_update_key(table, keys))
    try:
        module.sink(spec)  # what it refuses is known before anything runs; nothing is opened
    except OptionError as error:
        raise PlanError(error.message, statement.table.span, hint=error.hint) from error
    schema = Schema(tuple(Column(c.name, c.type) for c in table.persisted))
    value, key = _encoders(table, options)
    upsert = changes_of(table, write=True) == "upsert"
    return Insert(
        (node,), schema, node.append_only, (), spec, table.name, columns, value, key, _enforcer(settings), upsert
    )


def _update_key(table: Table, keys: frozenset[frozenset[str]]) -> tuple[str, ...] | None:
    """By which columns the two rows of an update are told from others: the table's key, or one of the query's."""
    if table.primary_key:
        return table.primary_key
    return min((tuple(sorted(key)) for key in keys), key=lambda key: (len(key), key), default=None)


def _enforcer(settings: Mapping[str, str]) -> NotNull:
    return "drop" if settings.get(ENFORCER, "error").lower() == "drop" else "error"


def _encoders(table: Table, options: TableOptions) -> tuple[Encoded | None, Encoded | None]:
    if options.value is None:
        return None, None
    names = [c.name for c in table.physical]
    fields = key_columns(table, options.key_fields)
    in_key = [n for n in names if n in fields] if options.key else []
    except_key = options.engine.text("value.fields-include") == "except_key"
    in_value = [n for n in names if not (except_key and n in in_key)]
    key = (
        _encoded(options.key, table, in_key, options.engine.text("key.fields-prefix"))
        if options.key and in_key
        else None
    )
    return _encoded(options.value, table, in_value, ""), key


def _encoded(use: FormatUse, table: Table, names: list[str], prefix: str) -> Encoded:
    module = modules.format_module(use.name, "format")
    pairs = tuple((n.removeprefix(prefix), n) for n in names)
    schema = Schema(tuple(Column(inner, table[outer].type) for inner, outer in pairs))
    return Encoded(module.encoder(schema, use.options), pairs, getattr(module, "CHANGES", False))

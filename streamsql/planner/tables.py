"""CREATE TABLE: a statement becomes a Table, every name, type and option in it checked at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NoReturn

from streamsql.core.options import OptionError
from streamsql.core.schema import Column, Schema
from streamsql.core.typed import Typed
from streamsql.core.types import DataType
from streamsql.errors import BindError, PlanError, Span, SQLError, SQLTypeError, did_you_mean
from streamsql.planner import modules
from streamsql.planner.catalog import Catalog, Table, TableColumn, Watermark
from streamsql.planner.changelogs import changes_of, check_changes, metadata_of
from streamsql.planner.options import TableOptions, table_options
from streamsql.planner.scans import Extra, scan, sink_spec
from streamsql.planner.scope import Field, Scope
from streamsql.planner.user_functions import Functions, scalar
from streamsql.sql import exp, span_of
from streamsql.sql.statements import ColumnDef, CreateTable, OptionDef
from streamsql.values.binder import Binder

_INHERITED = ("constraints", "generated", "metadata", "options", "partitions", "watermarks")


def define_table(statement: CreateTable, catalog: Catalog, settings: Mapping[str, str], extra: Extra) -> Table:
    """The table that `statement` declares, LIKE resolved.

    Raises SQLError, located in the statement's source.
    """
    try:
        if statement.partitioned_by:
            raise PlanError(
                "PARTITIONED BY is not built",
                statement.partitioned_by[0].span,
                hint="Leave it out; one table writes one folder.",
            )
        base = _base(statement, catalog)
        table = _merged(statement, base, settings, catalog.functions)
        _check_options(statement, table)
        _check_connector(statement, table, extra)
        return table
    except SQLError as error:
        raise error.located(statement.source) from error.__cause__


def _base(statement: CreateTable, catalog: Catalog) -> Table | None:
    if statement.like is None:
        return None
    found = catalog.find(statement.like.table)
    if not isinstance(found, Table):
        raise BindError(
            f'"{statement.like.table}" is a view',
            statement.like.table.span,
            hint="LIKE takes a table: its columns and options are copied.",
        )
    return found


class _ColumnScope(Scope):
    """What the expression of a column may name: the columns of its table, and scalar user functions."""

    def __init__(self, columns: list[TableColumn], settings: Mapping[str, str], functions: Functions) -> None:
        super().__init__([Field(c.name, c.name, c.type) for c in columns])
        self.functions = functions
        self.binder = Binder(self, settings, functions)

    def call(self, tree: exp.Expr) -> Typed | None:
        return scalar(tree, self.functions, self.binder)


def _merged(
    statement: CreateTable, base: Table | None, settings: Mapping[str, str], functions: Functions
) -> Table:
    modes = _modes(statement)
    columns: list[TableColumn] = []
    if base is not None:
        columns = [
            c
            for c in base.columns
            if c.kind == "physical" or modes["metadata" if c.kind == "metadata" else "generated"] != "excluding"
        ]
    own = {c.name for c in columns}
    for column in statement.columns:
        if column.name in own:
            if (
                base is not None
                and column.kind != "physical"
                and modes["metadata" if column.kind == "metadata" else "generated"] == "overwriting"
            ):
                columns = [c for c in columns if c.name != column.name]
            else:
                raise BindError(f'column "{column.name}" is declared twice', column.span)
        own.add(column.name)
        columns.append(_column(column))
    bound = _bind_computed(columns, settings, functions)
    options = dict(base.options) if base and modes["options"] != "excluding" else {}
    for option in statement.options:
        if option.key in options and base is not None and modes["options"] == "including":
            raise BindError(
                f'option "{option.key}" is inherited from "{base.name}" and given again',
                option.key_span,
                hint="Write LIKE … (OVERWRITING OPTIONS).",
            )
        options[option.key] = option.value
    watermark = _watermark(statement, bound, settings, functions)
    if watermark is None and base and modes["watermarks"] != "excluding":
        watermark = base.watermark
    elif watermark and base and base.watermark and modes["watermarks"] == "including":
        raise BindError(
            f'the watermark is inherited from "{base.name}" and given again',
            watermark.definition.span,
            hint="Write LIKE … (OVERWRITING WATERMARKS) or (EXCLUDING WATERMARKS).",
        )
    key = _primary_key(statement, bound)
    if not key and base and modes["constraints"] != "excluding":
        key = base.primary_key
    bound = [replace(c, type=c.type.not_null()) if c.name in key else c for c in bound]
    return Table(statement.name.last, tuple(bound), options, watermark, key, statement.comment, statement)


def _modes(statement: CreateTable) -> dict[str, str]:
    """What LIKE says of each kind of property: Flink's defaults, `ALL`, then the single choices."""
    modes = dict.fromkeys(_INHERITED, "including")
    modes["options"] = "overwriting"
    for mode, kind in statement.like.choices if statement.like else ():
        if kind == "all":
            modes = dict.fromkeys(modes, mode)
    for mode, kind in statement.like.choices if statement.like else ():
        if kind != "all":
            if kind not in modes:
                raise BindError(f'LIKE has no "{kind}"', statement.span, hint=did_you_mean(kind, modes, "Choices"))
            modes[kind] = mode
    return modes


def _column(column: ColumnDef) -> TableColumn:
    if column.type is None and column.kind != "computed":
        raise BindError(f'column "{column.name}" has no type', column.span)
    kind = column.type or DataType("NULL")
    return TableColumn(
        column.name,
        column.kind,
        kind,
        expression=column.expression,
        metadata_key=column.metadata_key or (column.name if column.kind == "metadata" else ""),
        virtual=column.virtual,
    )


def _bind_computed(
    columns: list[TableColumn], settings: Mapping[str, str], functions: Functions
) -> list[TableColumn]:
    """Computed columns see physical and metadata columns, not each other (Flink's rule)."""
    scope = _ColumnScope([c for c in columns if c.kind != "computed"], settings, functions)
    bound = []
    for column in columns:
        if column.kind != "computed" or column.expression is None:
            bound.append(column)
            continue
        value = scope.binder.bind(column.expression)
        proctime = column.expression.name.upper() == "PROCTIME"
        bound.append(replace(column, type=value.type, sql=value.sql, proctime=proctime))
    return bound


def _watermark(
    statement: CreateTable, columns: list[TableColumn], settings: Mapping[str, str], functions: Functions
) -> Watermark | None:
    definition = statement.watermark
    if definition is None:
        return None
    column = next((c for c in columns if c.name == definition.column), None)
    if column is None:
        raise BindError(
            f'column "{definition.column}" of the watermark does not exist',
            definition.span,
            hint=did_you_mean(definition.column, [c.name for c in columns], "Columns"),
        )
    if not column.type.is_timestamp or column.type.precision > 3:
        raise SQLTypeError(
            f'the watermark column "{column.name}" is {column.type}',
            definition.span,
            hint="A rowtime is TIMESTAMP(p) or TIMESTAMP_LTZ(p) with p from 0 to 3; "
            "compute one with TO_TIMESTAMP(…) or CAST(… AS TIMESTAMP(3)).",
        )
    value = _ColumnScope(columns, settings, functions).binder.bind(definition.expression)
    if not value.type.is_timestamp:
        raise SQLTypeError(
            f"the watermark is {value.type}, not a timestamp",
            span_of(definition.expression),
            hint=f"Write {column.name} - INTERVAL '5' SECOND.",
        )
    return Watermark(column.name, value.sql, definition)


def _primary_key(statement: CreateTable, columns: list[TableColumn]) -> tuple[str, ...]:
    names = [c.name for c in columns]
    for part in statement.primary_key:
        if part.last not in names:
            raise BindError(
                f'column "{part.last}" of the primary key does not exist',
                part.span,
                hint=did_you_mean(part.last, names, "Columns"),
            )
    return tuple(part.last for part in statement.primary_key)


def _check_options(statement: CreateTable, table: Table) -> None:
    """Options, metadata keys and key fields, each error at its place in the statement."""
    try:
        options = table_options(table.options)
        metadata = metadata_of(table.options)
        check_changes(table)
    except OptionError as error:
        raise BindError(
            error.message, _place(statement.options, error.option) or statement.name.span, hint=error.hint
        ) from error
    for column in table.columns:
        if column.kind == "metadata" and column.metadata_key not in metadata:
            at = next((c.span for c in statement.columns if c.name == column.name), statement.name.span)
            keys = list(metadata)
            raise BindError(
                f'connector "{options.connector}" has no metadata "{column.metadata_key}"',
                at,
                hint=did_you_mean(column.metadata_key, keys, "Keys") if keys else "It has none.",
            )
    if changes_of(table, write=False) != "upsert":
        _check_key(statement, options)
    physical = [c.name for c in table.physical]
    for field in options.key_fields:
        if field not in physical:
            raise BindError(
                f'key field "{field}" is no column of "{table.name}"',
                _place(statement.options, "key.fields"),
                hint=did_you_mean(field, physical, "Columns"),
            )


def _check_key(statement: CreateTable, options: TableOptions) -> None:
    """The options of the key say something only together, as in Flink."""

    def refuse(key: str, message: str, hint: str) -> NoReturn:
        raise BindError(message, _place(statement.options, key) or statement.name.span, hint=hint)

    if options.key and not options.key_fields:
        refuse("key.format", '"key.format" needs "key.fields"', "Add 'key.fields'='…', the columns in the key.")
    if options.key_fields and not options.key:
        refuse("key.fields", '"key.fields" needs "key.format"', "Add 'key.format'='…', the format of the key.")
    prefix = options.engine.text("key.fields-prefix")
    other = next((f for f in options.key_fields if not f.startswith(prefix)), None)
    if other:
        refuse("key.fields", f'key field "{other}" does not begin with "{prefix}"', "See 'key.fields-prefix'.")
    if prefix and options.engine.text("value.fields-include") != "except_key":
        refuse("key.fields-prefix", '"key.fields-prefix" is only for columns that the value does not have',
               "Add 'value.fields-include'='EXCEPT_KEY'.")


def _check_connector(statement: CreateTable, table: Table, extra: Extra) -> None:
    """The connector and the format accept the table as a whole; nothing is opened."""
    module = modules.connector(table.options["connector"])
    columns = tuple(Column(c.name, c.type) for c in table.columns)
    try:
        if hasattr(module, "source"):
            module.source(scan(table, Schema(columns), extra).table)
        else:
            module.sink(sink_spec(table, extra))
    except OptionError as error:
        at = _place(statement.options, error.option) or statement.name.span
        raise BindError(error.message, at, detail=error.detail, hint=error.hint) from error
    except SQLTypeError as error:
        error.span = error.span or statement.name.span
        raise


def _place(options: tuple[OptionDef, ...], key: str | None) -> Span | None:
    return next((o.key_span for o in options if o.key == key), None)

"""CREATE TABLE … AS SELECT: the table that a query's columns make, and the INSERT that fills it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from streamsql.errors import BindError
from streamsql.planner.catalog import Catalog
from streamsql.planner.query import QueryPlanner
from streamsql.sql.statements import ColumnDef, CreateTable, Insert, Name


def table_and_insert(
    statement: CreateTable, catalog: Catalog, settings: Mapping[str, str]
) -> tuple[CreateTable, Insert]:
    """The two statements that it stands for.

    Columns that it declares come first, as in Flink; one of the query's by the same name has the declared
    type. Raises SQLError of the query.
    """
    assert statement.query is not None
    span = statement.name.span
    relation = QueryPlanner(catalog, settings, statement.source).plan(statement.query)
    declared = {c.name: c for c in statement.columns}
    for field in relation.fields:
        column = declared.get(field.name)
        if column is not None and (column.kind == "computed" or column.virtual):
            raise BindError(f'column "{field.name}" is computed by the table and selected by its query', column.span,
                            hint="Give one of them another name.")
    own = tuple(ColumnDef(f.name, span, "physical", f.type) for f in relation.fields if f.name not in declared)
    table = replace(statement, columns=(*statement.columns, *own), query=None)
    names = tuple(Name((f.name,), span) for f in relation.fields)
    return table, Insert(statement.source, statement.span, statement.name, names, statement.query)

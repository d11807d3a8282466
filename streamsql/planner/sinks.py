"""Sinks and changes: whether a table takes what a query changes, and by which key.

The key of the query's rows (`Node.unique_keys`) and the primary key of the table decide: where the
first is in the second, an update is one upsert, and its old row is left out. Where it is not, rows of
other keys of the query may have the same key of the table, and all of them are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streamsql.core.batch import DIFF
from streamsql.core.node import Node
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.types import DataType
from streamsql.errors import PlanError, Span
from streamsql.operators.project import Project
from streamsql.operators.upsert import Upsert
from streamsql.planner.catalog import Table
from streamsql.planner.changelogs import changes_of

MATERIALIZE = "table.exec.sink.upsert-materialize"
REQUIRE = "table.exec.sink.require-on-conflict"

Columns = tuple[tuple[str, str], ...]
"""(column of the table, DuckDB text over the query's columns), in the order of the table."""


def keys_of(node: Node, columns: Columns, table: Table) -> frozenset[frozenset[str]]:
    """The keys of the query's rows, as columns of the table. Of a column that is cast only where rows that
    differ still do."""
    named: dict[str, str] = {}
    for name, sql in columns:
        for c in node.schema:
            cast = quote(c.name) in sql and sql.count('"') == 2 and _tells(c.type, table[name].type)
            if sql == quote(c.name) or cast:
                named.setdefault(c.name, name)
    keys = node.unique_keys()
    return frozenset(frozenset(named[c] for c in key) for key in keys if all(c in named for c in key))


def _tells(given: DataType, taken: DataType) -> bool:
    """A cast makes two values equal only if they were."""
    integers = ("TINYINT", "SMALLINT", "INT", "BIGINT")
    if given.root in integers and taken.root in integers:
        return integers.index(given.root) <= integers.index(taken.root)
    alike = given.root == taken.root or (given.is_character and taken.is_character)
    return alike and given.precision <= taken.precision


def keyed(node: Node, columns: Columns, keys: Iterable[frozenset[str]], table: Table,
          settings: Mapping[str, str]) -> tuple[Node, Columns]:
    """The query as a table with upserts takes it; as it is where no row is ever changed."""
    how = settings.get(MATERIALIZE, "AUTO").upper()
    if changes_of(table, write=True) != "upsert" or (node.append_only and how != "FORCE"):
        return node, columns
    agrees = any(key <= set(table.primary_key) for key in keys)
    materialized = how == "FORCE" or (how != "NONE" and not agrees)
    schema = Schema(tuple(Column(c.name, c.type) for c in table.persisted))
    rows = Project((node,), schema, node.append_only, node.hidden, columns, None)
    upsert = Upsert((rows,), schema, False, (DIFF,), table.primary_key, materialized)
    return upsert, tuple((c.name, quote(c.name)) for c in table.persisted)


def require_key(keys: Iterable[frozenset[str]], table: Table, settings: Mapping[str, str], span: Span | None) -> None:
    """Raises PlanError, as Flink does, where rows of different keys of the query may have one key of a table with
    upserts, and the statement does not say what then."""
    wanted = settings.get(REQUIRE, "true").lower() == "true" and settings.get(MATERIALIZE, "AUTO").upper() == "AUTO"
    if not wanted or changes_of(table, write=True) != "upsert" or any(key <= set(table.primary_key) for key in keys):
        return
    raise PlanError(f'rows of the query may have the same key ({", ".join(table.primary_key)}) of "{table.name}"', span,
                    hint="Say that the last one counts: INSERT INTO … SELECT … ON CONFLICT DO DEDUPLICATE.")


def require_taken(node: Node, table: Table, span: Span | None) -> None:
    """Raises PlanError where the table only takes new rows and the query changes rows it has given."""
    if node.append_only or changes_of(table, write=True) != "append":
        return
    cause = _cause(node)
    said = cause.explain()
    facts = ", ".join(f"{key}: {value}" for key, value in said.details
                      if key in ("keys", "key", "groups", "kind", "on") and value not in ("", "-"))
    raise PlanError(
        f'"{table.name}" only takes new rows, the query also changes rows it has given',
        span,
        detail=f"{said.title}{f' ({facts})' if facts else ''} changes its rows.",
        hint=_hint(table),
    )


def _hint(table: Table) -> str:
    once = "Aggregate in a window, which emits once; or write to a sink that takes changes"
    match table.options["connector"]:
        case "kafka":
            return f"{once}: 'connector' = 'upsert-kafka' with a PRIMARY KEY, or 'format' = 'debezium-json'."
        case "memory":
            return f"{once}: 'changelog-mode' = 'all'."
        case _ if "format" in table.options and table.options["format"] != "parquet":
            return f"{once}: 'format' = 'debezium-json'."
        case _:
            return f"{once}."


def _cause(node: Node) -> Node:
    """The lowest node, leftmost first, that changes its rows though what it reads does not change."""
    below = next((i for i in node.inputs if not i.append_only), None)
    return node if below is None else _cause(below)

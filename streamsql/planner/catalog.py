"""Catalog: the tables, views and functions a session knows, and the errors for those it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamsql.core.schema import Schema
from streamsql.core.types import DataType
from streamsql.errors import BindError, Source, Span, did_you_mean
from streamsql.sql import exp
from streamsql.sql.statements import CreateTable, Name, WatermarkDef
from streamsql.values.user import UserFunction

CATALOG, DATABASE = "default_catalog", "default_database"
"""The one catalog and database, by Flink's names."""
LATE = "$late"
ERRORS = "$errors"


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table after its types are known. `sql` is the DuckDB text of a computed one."""

    name: str
    kind: str
    type: DataType
    sql: str = ""
    expression: exp.Expr | None = field(default=None, compare=False)
    metadata_key: str = ""
    virtual: bool = False
    proctime: bool = False


@dataclass(frozen=True, slots=True)
class Watermark:
    """The rowtime column, and the DuckDB text that gives the watermark of a row."""

    column: str
    sql: str
    definition: WatermarkDef = field(compare=False)


@dataclass(frozen=True, slots=True)
class Table:
    """A table as declared: columns in order, options as written."""

    name: str
    columns: tuple[TableColumn, ...]
    options: Mapping[str, str] = field(hash=False)
    watermark: Watermark | None = None
    primary_key: tuple[str, ...] = ()
    comment: str = ""
    definition: CreateTable | None = field(default=None, compare=False)

    @property
    def physical(self) -> tuple[TableColumn, ...]:
        return tuple(c for c in self.columns if c.kind == "physical")

    @property
    def persisted(self) -> tuple[TableColumn, ...]:
        """What INSERT writes: physical columns, and metadata that is not VIRTUAL."""
        return tuple(c for c in self.columns if c.kind == "physical" or (c.kind == "metadata" and not c.virtual))

    def __getitem__(self, name: str) -> TableColumn:
        return next(c for c in self.columns if c.name == name)


@dataclass(frozen=True, slots=True)
class View:
    """A named query. It was planned when it was created, so its errors are known there.

    source, text   the whole text in which it was created; the statement that did it
    """

    name: str
    query: exp.Expr
    source: Source
    columns: tuple[str, ...] = ()
    schema: Schema | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Materialized(View):
    """A named query whose rows are kept.

    append_only  none of its rows goes
    """

    append_only: bool = False


def require_database(name: Name) -> None:
    """Raises BindError when `name` is in another database than the one there is."""
    if name.parts[:-1] not in ((), (DATABASE,), (CATALOG, DATABASE)):
        raise BindError(
            f'database "{".".join(name.parts[:-1])}" does not exist',
            name.span,
            hint=f"There is one: {CATALOG}.{DATABASE}. Write {name.last} alone.",
        )


class Catalog:
    """What names mean. Names are case-sensitive, as in Flink; those of functions are kept in lower case."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.views: dict[str, View] = {}
        self.materialized: dict[str, Materialized] = {}
        self.functions: dict[str, UserFunction] = {}

    def copy(self) -> Catalog:
        """The same names, to try statements on."""
        other = Catalog()
        other.tables, other.views, other.functions = dict(self.tables), dict(self.views), dict(self.functions)
        other.materialized = dict(self.materialized)
        return other

    def names(self) -> list[str]:
        return sorted([*self.tables, *self.views, *self.materialized])

    def find(self, name: Name) -> Table | View:
        """The table or view called `name`. Raises BindError with the nearest names."""
        require_database(name)
        found = self.tables.get(name.last) or self.views.get(name.last) or self.materialized.get(name.last)
        if found is None:
            raise self.unknown("table or view", name.last, name.span)
        return found

    def unknown(self, kind: str, name: str, span: Span | None) -> BindError:
        what = "function" if kind == "function" else "table"
        names = sorted(self.functions) if what == "function" else self.names()
        none = f"There are no {what}s yet: CREATE {what.upper()} first."
        hint = did_you_mean(name, names, f"{what.capitalize()}s") if names else none
        return BindError(f'{kind} "{name}" does not exist', span, hint=hint)

    def require_free(self, name: Name) -> None:
        """Raises BindError when `name` is taken."""
        kinds: dict[str, Mapping[str, object]] = {
            "table": self.tables, "view": self.views, "materialized table": self.materialized}
        kind = next((kind for kind, names in kinds.items() if name.last in names), None)
        if kind:
            raise BindError(
                f'{kind} "{name.last}" exists already',
                name.span,
                hint=f"Use CREATE {kind.upper()} IF NOT EXISTS, or DROP {kind.upper()} first.",
            )

"""Statements: what a script consists of, after parsing and before any name is looked up.

Each is a frozen dataclass; queries and expressions inside stay sqlglot trees of our dialect, in
canonical form. Every part that an error may point at has a span, or is a tree that `span_of` reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from streamsql.core.types import DataType
from streamsql.errors import Source, Span


@dataclass(frozen=True, slots=True)
class Name:
    """A possibly qualified name: `t`, `` `t$late` ``, `catalog.db.t`."""

    parts: tuple[str, ...]
    span: Span

    @property
    def last(self) -> str:
        return self.parts[-1]

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Statement:
    """The base: where the statement stands in its source."""

    source: Source
    span: Span

    @property
    def text(self) -> str:
        return self.source.text[self.span.start:self.span.end]


@dataclass(frozen=True, slots=True)
class ColumnDef:
    """A column of CREATE TABLE.

    physical: `name type`; metadata: `name type METADATA [FROM 'key'] [VIRTUAL]`;
    computed: `name AS expression` (type is None until bound).
    """

    name: str
    span: Span
    kind: Literal["physical", "metadata", "computed"]
    type: DataType | None = None
    expression: exp.Expression | None = None
    metadata_key: str = ""
    virtual: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class WatermarkDef:
    column: str
    expression: exp.Expression
    span: Span


@dataclass(frozen=True, slots=True)
class OptionDef:
    key: str
    value: str
    key_span: Span
    value_span: Span


@dataclass(frozen=True, slots=True)
class LikeClause:
    """`LIKE source (INCLUDING|EXCLUDING|OVERWRITING what, …)`; what is lower case, e.g. `all`,
    `constraints`, `generated`, `metadata`, `options`, `partitions`, `watermarks`."""

    table: Name
    choices: tuple[tuple[Literal["including", "excluding", "overwriting"], str], ...] = ()


@dataclass(frozen=True, slots=True)
class CreateTable(Statement):
    name: Name
    columns: tuple[ColumnDef, ...]
    options: tuple[OptionDef, ...]
    watermark: WatermarkDef | None = None
    primary_key: tuple[Name, ...] = ()
    partitioned_by: tuple[Name, ...] = ()
    like: LikeClause | None = None
    query: exp.Expression | None = None
    temporary: bool = False
    if_not_exists: bool = False
    or_replace: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class CreateView(Statement):
    name: Name
    columns: tuple[Name, ...]
    query: exp.Expression
    temporary: bool = False
    if_not_exists: bool = False
    or_replace: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class CreateMaterialized(Statement):
    """`CREATE MATERIALIZED TABLE|VIEW m AS query [EMIT …]`; emit as in Select.

    freshness_ms  of `FRESHNESS = INTERVAL …`, 0 where it is not given
    """

    name: Name
    columns: tuple[Name, ...]
    query: exp.Expression
    kind: Literal["TABLE", "VIEW"] = "TABLE"
    emit: Literal["", "final", "changes", "every"] = ""
    every_ms: int = 0
    freshness_ms: int = 0
    if_not_exists: bool = False
    or_replace: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class CreateFunction(Statement):
    """`AS 'module.f' LANGUAGE PYTHON` has target; an `AS $$ … $$` body has body."""

    name: Name
    target: str = ""
    body: str = ""
    language: str = "PYTHON"
    temporary: bool = False
    if_not_exists: bool = False
    or_replace: bool = False


@dataclass(frozen=True, slots=True)
class Drop(Statement):
    kind: Literal["TABLE", "VIEW", "FUNCTION", "MATERIALIZED TABLE", "MATERIALIZED VIEW"]
    name: Name
    if_exists: bool = False
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class Insert(Statement):
    """`INSERT INTO|OVERWRITE t [/*+ OPTIONS(…) */] [(columns)] query [EMIT …] [ON CONFLICT DO …]`; emit as in
    Select. `conflict`: what to do with rows of different keys of the query that have one key of the table."""

    table: Name
    columns: tuple[Name, ...]
    query: exp.Expression
    overwrite: bool = False
    options: tuple[OptionDef, ...] = ()
    emit: Literal["", "final", "changes", "every"] = ""
    every_ms: int = 0
    conflict: Literal["", "deduplicate"] = ""


@dataclass(frozen=True, slots=True)
class StatementSet(Statement):
    inserts: tuple[Insert, ...]


@dataclass(frozen=True, slots=True)
class Select(Statement):
    """A query at the top level. `emit`: '' as the plan says, 'final', 'changes', 'every'."""

    query: exp.Expression
    emit: Literal["", "final", "changes", "every"] = ""
    every_ms: int = 0


@dataclass(frozen=True, slots=True)
class Set(Statement):
    """`SET 'k' = 'v'`; both None for a bare SET, which lists the settings."""

    key: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Reset(Statement):
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Show(Statement):
    """what: TABLES VIEWS FUNCTIONS `USER FUNCTIONS` JOBS COLUMNS `CREATE TABLE` `CREATE VIEW` …; `name` where one
    follows."""

    what: str
    name: Name | None = None
    like: str | None = None


@dataclass(frozen=True, slots=True)
class Describe(Statement):
    """`DESCRIBE [EXTENDED] t`, `DESCRIBE FUNCTION f`."""

    kind: Literal["TABLE", "FUNCTION"]
    name: Name
    extended: bool = False


@dataclass(frozen=True, slots=True)
class Explain(Statement):
    """`EXPLAIN [PLAN FOR | CHANGELOG_MODE, …| ANALYZE] statement`; options in upper case."""

    statement: Statement
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StopJob(Statement):
    job: str

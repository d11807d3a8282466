"""Statements as text: `canonical` writes what Flink reads, all sugar rewritten."""

from __future__ import annotations

from sqlglot import exp

from streamsql.sql.dialect import StreamSQL
from streamsql.sql.generator import name_sql
from streamsql.sql.statements import (
    ColumnDef,
    CreateFunction,
    CreateMaterialized,
    CreateTable,
    CreateView,
    Describe,
    Drop,
    Explain,
    Insert,
    LikeClause,
    Name,
    OptionDef,
    Reset,
    Select,
    Set,
    Show,
    Statement,
    StatementSet,
    StopJob,
)

_EMIT = {"": "", "final": " EMIT FINAL", "changes": " EMIT CHANGES"}


def canonical(statement: Statement) -> str:
    """The statement in canonical SQL, on one line and without `;`. It parses back to an equal statement.

    EMIT, which Flink lacks, stays as written: dropping it would change the answer.
    """
    match statement:
        case Select():
            return _sql(statement.query) + _emit(statement)
        case Insert():
            return _insert(statement)
        case StatementSet():
            return (
                f"EXECUTE STATEMENT SET BEGIN {' '.join(canonical(i) + ';' for i in statement.inserts)} END"
            )
        case CreateTable():
            return _table(statement)
        case CreateView():
            columns = f" ({_names(statement.columns)})" if statement.columns else ""
            comment = f" COMMENT {_text(statement.comment)}" if statement.comment else ""
            return f"{_create(statement, 'VIEW')}{columns}{comment} AS {_sql(statement.query)}"
        case CreateMaterialized():
            return _materialized(statement)
        case CreateFunction():
            body = f"$${statement.body}$$" if statement.body else _text(statement.target)
            return f"{_create(statement, 'FUNCTION')} AS {body} LANGUAGE {statement.language}"
        case Explain():
            return (
                f"EXPLAIN {', '.join(statement.options)}{' ' if statement.options else ''}{_inner(statement)}"
            )
        case _:
            return _command(statement)


def _command(statement: Statement) -> str:
    match statement:
        case Drop():
            words = ["DROP", *["TEMPORARY"] * statement.temporary, statement.kind]
            return " ".join([*words, *["IF EXISTS"] * statement.if_exists, _name(statement.name)])
        case Set():
            return (
                "SET"
                if statement.key is None
                else f"SET {_text(statement.key)} = {_text(statement.value or '')}"
            )
        case Reset():
            return "RESET" if statement.key is None else f"RESET {_text(statement.key)}"
        case Show():
            name = (
                f"{' FROM' if statement.what == 'COLUMNS' else ''} {_name(statement.name)}"
                if statement.name
                else ""
            )
            like = f" LIKE {_text(statement.like)}" if statement.like is not None else ""
            return f"SHOW {statement.what}{name}{like}"
        case Describe():
            function = "FUNCTION " if statement.kind == "FUNCTION" else ""
            return f"DESCRIBE {function}{'EXTENDED ' if statement.extended else ''}{_name(statement.name)}"
        case StopJob():
            return f"STOP JOB {_text(statement.job)}"
        case _:
            return statement.text


def _inner(statement: Explain) -> str:
    text = canonical(statement.statement)
    return text.removeprefix("EXECUTE ") if isinstance(statement.statement, StatementSet) else text


def _materialized(statement: CreateMaterialized) -> str:
    columns = f" ({_names(statement.columns)})" if statement.columns else ""
    comment = f" COMMENT {_text(statement.comment)}" if statement.comment else ""
    fresh = f" FRESHNESS = {_seconds(statement.freshness_ms)}" if statement.freshness_ms else ""
    made = _create(statement, f"MATERIALIZED {statement.kind}")
    return f"{made}{columns}{comment}{fresh} AS {_sql(statement.query)}{_emit(statement)}"


def _emit(statement: Select | Insert | CreateMaterialized) -> str:
    if statement.emit != "every":
        return _EMIT[statement.emit]
    return f" EMIT EVERY {_seconds(statement.every_ms)}"


def _seconds(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    return f"INTERVAL '{seconds}{f'.{rest:03d}' if rest else ''}' SECOND"


def _insert(statement: Insert) -> str:
    how = "OVERWRITE" if statement.overwrite else "INTO"
    hint = f" /*+ OPTIONS({_options(statement.options)}) */" if statement.options else ""
    columns = f" ({_names(statement.columns)})" if statement.columns else ""
    conflict = f" ON CONFLICT DO {statement.conflict.upper()}" if statement.conflict else ""
    return f"INSERT {how} {_name(statement.table)}{hint}{columns} {_sql(statement.query)}{_emit(statement)}{conflict}"


def _create(statement: CreateTable | CreateView | CreateFunction | CreateMaterialized, kind: str) -> str:
    temporary = not isinstance(statement, CreateMaterialized) and statement.temporary
    words = ["CREATE", *["OR REPLACE"] * statement.or_replace, *["TEMPORARY"] * temporary, kind]
    return " ".join([*words, *["IF NOT EXISTS"] * statement.if_not_exists, _name(statement.name)])


def _table(table: CreateTable) -> str:
    parts = [_column(c) for c in table.columns]
    if table.watermark is not None:
        parts.append(
            f"WATERMARK FOR {name_sql(table.watermark.column)} AS {_sql(table.watermark.expression)}"
        )
    if table.primary_key:
        parts.append(f"PRIMARY KEY ({_names(table.primary_key)}) NOT ENFORCED")
    text = _create(table, "TABLE") + (f" ({', '.join(parts)})" if parts else "")
    if table.comment:
        text += f" COMMENT {_text(table.comment)}"
    if table.partitioned_by:
        text += f" PARTITIONED BY ({_names(table.partitioned_by)})"
    if table.options:
        text += f" WITH ({_options(table.options)})"
    if table.like is not None:
        text += f" LIKE {_like(table.like)}"
    return text + (f" AS {_sql(table.query)}" if table.query is not None else "")


def _column(column: ColumnDef) -> str:
    comment = f" COMMENT {_text(column.comment)}" if column.comment else ""
    if column.expression is not None:
        return f"{name_sql(column.name)} AS {_sql(column.expression)}{comment}"
    text = f"{name_sql(column.name)} {column.type}"
    if column.kind == "metadata":
        source = f" FROM {_text(column.metadata_key)}" if column.metadata_key else ""
        text += f" METADATA{source}{' VIRTUAL' if column.virtual else ''}"
    return text + comment


def _like(like: LikeClause) -> str:
    choices = " ".join(f"{how.upper()} {what.upper()}" for how, what in like.choices)
    return _name(like.table) + (f" ({choices})" if choices else "")


def _options(options: tuple[OptionDef, ...]) -> str:
    return ", ".join(f"{_text(o.key)} = {_text(o.value)}" for o in options)


def _names(names: tuple[Name, ...]) -> str:
    return ", ".join(_name(n) for n in names)


def _name(name: Name) -> str:
    return ".".join(name_sql(p) for p in name.parts)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _sql(tree: exp.Expr) -> str:
    return StreamSQL().generate(tree, copy=True)

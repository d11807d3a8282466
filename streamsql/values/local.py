"""DuckDB's own scalar functions, which Flink lacks: a call asks DuckDB what type it gives.

They work here alone, and strict mode refuses them. What may be called is a rule over `duckdb_functions()`:
scalar, deterministic, nothing that reads the catalog, a setting, the clock or a file.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from streamsql.core.schema import quote
from streamsql.core.types import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    FLOAT,
    INT,
    SMALLINT,
    STRING,
    TINYINT,
    DataType,
    array,
    decimal,
    map_of,
    row,
    time,
    timestamp,
    timestamp_ltz,
)
from streamsql.errors import DataError, InternalError, SQLTypeError
from streamsql.sql import exp
from streamsql.state.database import Database
from streamsql.values.typed import Function, Typed

GROUP = "duckdb"

_LISTED = """
    SELECT function_name AS name, any_value(description) AS doc, list(parameters) AS names,
           list(parameter_types) AS types, any_value(varargs) AS rest
    FROM duckdb_functions()
    WHERE database_name = 'system' AND regexp_full_match(function_name, '[A-Za-z][A-Za-z0-9_]*')
      AND (function_type = 'scalar' AND stability = 'CONSISTENT'
           OR function_type = 'macro' AND regexp_full_match(function_name, '{macros}'))
      AND NOT regexp_full_match(function_name, '{refused}')
      AND NOT list_contains(coalesce(parameter_types, []), 'LAMBDA')
    GROUP BY ALL ORDER BY name"""
_MACROS = "(list|array)_.*|map_contains_.*|split_part|fdiv|fmod|days_in_month|md5_number_(lower|upper)|json"
"""Macros of which the definition is an expression over the arguments; others read the catalog."""
_REFUSED = "|".join((
    # what reads the catalog, the clock or a plan
    "current_.*", "version", "json_(de)?serialize_.*", "parse_duckdb_.*", "age",
    # what takes lambdas, collations, types and states, which SQL here cannot write
    "(list_|array_)?(apply|transform|filter|reduce|aggr|aggregate)", "invoke", "(icu_)?collate_.*", "cast_to_type",
    "can_cast_implicitly", "(make|get|replace)_type", "combine", "finalize", ".*aggregate_state", "struct_pack",
    "struct_insert", "struct_update", "remap_struct", "map", "row",
    # what gives a type that Flink has not
    "st_.*", "union_.*", "enum_.*", "variant_.*", "vertex_extract", "unpivot_list", "(list|array)_zip",
    "to_(centur|decad|millenn|quarter|week|year|month|day|hour|minute|second|millisecond|microsecond).*s",
    "to_(centuries|millennia)", "normalized_interval",
    # what DuckDB calls for itself
    ".*sort_key", "index_key", ".*_comparable", "alias", "constant_or_null", "hive_.*", "is_histogram.*",
    ".*string_agg", "array_to_string_comma_default", "to_json", "row_to_json",
))
"""What is left out: what looks outside, takes what SQL here cannot write, or gives a type that Flink has not."""


@functools.cache
def functions() -> Mapping[str, Function]:
    """The functions by upper-case name. Opens a database once."""
    listed = _asked(_LISTED.format(macros=_MACROS, refused=_REFUSED))
    return {str(r["name"]).upper(): _row(r) for r in listed}


def lookup(name: str) -> Function | None:
    return functions().get(name.upper())


def _row(listed: Mapping[str, Any]) -> Function:
    name, doc = str(listed["name"]), " ".join((listed["doc"] or "").split()).split(". ")[0].rstrip(".")
    forms = list(dict.fromkeys(_form(name, names, listed["rest"]) for names in listed["names"]))
    return Function(
        name.upper(), " or ".join(forms[:3]), ("any?",), lambda args: _type(name, tuple(args)),
        lambda args: _call(name, tuple(args)), f"{doc or 'A function of DuckDB'}.", optional=1, variadic=True,
        nulls="always", local_only=True, group=GROUP)


def _form(name: str, parameters: Sequence[str], rest: str | None) -> str:
    return f"{name.upper()}({', '.join([*parameters, *(['…'] if rest else [])])})"


def _asked(sql: str) -> list[dict[str, Any]]:
    """The answer of an empty DuckDB; a kept one could not be shared by threads."""
    database = Database()
    try:
        return list(database.query(sql).to_pylist())
    finally:
        database.close()


# ------------------------------------------------------------------------------------------------- calls


def _call(name: str, args: tuple[Typed, ...]) -> str:
    call, type_ = f"{name}({', '.join(a.sql for a in args)})", _type(name, args).duck_type()
    return call if _given(name, args) == type_ else f"CAST({call} AS {type_})"


def _type(name: str, args: tuple[Typed, ...]) -> DataType:
    """Our type for what DuckDB gives; raises SQLTypeError where there is none, or for arguments it refuses."""
    given = _given(name, args)
    try:
        return data_type(exp.DataType.build(given, dialect="duckdb"))
    except (KeyError, ValueError):
        raise SQLTypeError(f'function "{name.upper()}" of DuckDB gives {given}, which no type here can hold') from None


def _given(name: str, args: tuple[Typed, ...]) -> str:
    """The DuckDB type of a call: constants as they are, for everything else a column of the type."""
    inner, columns = [], []
    for n, argument in enumerate(args):
        if argument.is_literal or argument.type.root == "NULL":
            inner.append(argument.sql)
        else:
            columns.append(f"CAST(NULL AS {argument.type.duck_type()}) AS {quote(f'c{n}')}")
            inner.append(quote(f"c{n}"))
    kinds = ", ".join(str(a.type.as_nullable()) for a in args)
    try:
        return _described(f"{name}({', '.join(inner)})", ", ".join(columns) or "1")
    except (InternalError, DataError) as error:
        words = error.message.removeprefix("DuckDB refused generated SQL: ").split("\n")[0]
        function = lookup(name)
        raise SQLTypeError(f'function "{name.upper()}" of DuckDB does not take ({kinds})',
                           detail=None if "No function matches" in words else words,
                           hint=function.signature if function else None) from None


@functools.lru_cache(maxsize=1024)
def _described(call: str, columns: str) -> str:
    return str(_asked(f"DESCRIBE SELECT {call} AS v FROM (SELECT {columns})")[0]["column_type"])


# ------------------------------------------------------------------------------------------------- types

_KIND = exp.DataType.Type
_TYPES = {
    _KIND.BOOLEAN: BOOLEAN, _KIND.TINYINT: TINYINT, _KIND.SMALLINT: SMALLINT, _KIND.INT: INT, _KIND.BIGINT: BIGINT,
    _KIND.UTINYINT: SMALLINT, _KIND.USMALLINT: INT, _KIND.UINT: BIGINT, _KIND.UBIGINT: decimal(20, 0),
    _KIND.INT128: decimal(38, 0), _KIND.UINT128: decimal(38, 0), _KIND.FLOAT: FLOAT, _KIND.DOUBLE: DOUBLE,
    _KIND.TEXT: STRING, _KIND.VARCHAR: STRING, _KIND.JSON: STRING, _KIND.UUID: STRING, _KIND.BIT: STRING,
    _KIND.VARBINARY: BYTES, _KIND.DATE: DATE, _KIND.TIME: time(6), _KIND.TIMESTAMP: timestamp(6),
    _KIND.TIMESTAMPNTZ: timestamp(6),
    _KIND.TIMESTAMP_S: timestamp(0), _KIND.TIMESTAMP_MS: timestamp(3), _KIND.TIMESTAMP_NS: timestamp(9),
    _KIND.TIMESTAMPTZ: timestamp_ltz(6),
}


def data_type(tree: exp.DataType) -> DataType:
    """The type of ours that holds a type of DuckDB's; KeyError if none does."""
    inner = tree.expressions
    match tree.this:
        case _KIND.DECIMAL:
            return decimal(*(int(p.name) for p in inner)) if inner else decimal(18, 3)
        case _KIND.ARRAY | _KIND.LIST:
            return array(data_type(inner[0]))
        case _KIND.MAP:
            return map_of(data_type(inner[0]).not_null(), data_type(inner[1]))
        case _KIND.STRUCT:
            return row({field.name: data_type(field.args["kind"]) for field in inner})
    return _TYPES[tree.this]

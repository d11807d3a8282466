"""Functions that choose among their arguments."""

from __future__ import annotations

from collections.abc import Sequence

from streamsql.core.schema import text_literal
from streamsql.core.types import STRING, DataType
from streamsql.errors import SQLTypeError
from streamsql.values.casts import cast
from streamsql.values.comparison import compare
from streamsql.values.let import let
from streamsql.values.promotion import common_type, merged_type
from streamsql.values.signature import COMPARABLE_ROOTS, ZONE
from streamsql.values.typed import Function, Typed

Arguments = Sequence[Typed]


def _coalesced_type(args: Arguments) -> DataType:
    """Nullable if all are."""
    return args[0].type.as_nullable(all(a.type.nullable for a in args))


def _coalesced(args: Arguments) -> str:
    return f"COALESCE({', '.join(a.sql for a in args)})"


def _if_type(args: Arguments) -> DataType:
    """Of numbers or strings the common type; of others, which must be of one kind, the first's."""
    _, yes, no = args
    common = common_type([yes.type, no.type])
    kinds = (_if_kind(yes.type), _if_kind(no.type))
    if common is None or kinds[0] != kinds[1] or common.is_interval:
        raise SQLTypeError(f"IF takes results of one type, not {yes.type.as_nullable()} and {no.type.as_nullable()}")
    found = yes.type if yes.type.is_timestamp else common
    return found.as_nullable(any(a.type.nullable for a in args))


def _if_kind(type_: DataType) -> object:
    for belongs, kind in (("is_numeric", "number"), ("is_character", "string"), ("is_binary", "binary"),
                          ("is_timestamp", "timestamp")):
        if getattr(type_, belongs):
            return kind
    return type_.as_nullable()


def _if(args: Arguments) -> str:
    type_ = _if_type(args)
    yes, no = (cast(a, type_, implicit=True, zone=ZONE).sql for a in args[1:])
    return f"CASE WHEN {args[0].sql} THEN {yes} ELSE {no} END"


def _if_null_type(args: Arguments) -> DataType:
    """The common type; but the first's, if that is never NULL and no number."""
    first, second = (a.type for a in args)
    common = merged_type([first, second])
    if common is None:
        raise SQLTypeError(f"IFNULL cannot combine {first.as_nullable()} and {second.as_nullable()}")
    if not first.nullable and not first.is_numeric:
        return first
    return common.as_nullable(first.nullable and second.nullable)


def _if_null(args: Arguments) -> str:
    """Both are evaluated, so that an error in the second shows."""
    type_ = _if_null_type(args)
    first, second = (cast(a, type_, implicit=True, zone=ZONE).sql for a in args)
    return let(second, lambda s: f"COALESCE({first}, {s})", "otherwise")


def _null_if(args: Arguments) -> str:
    first, second = args
    return let(first.sql, lambda x: "CASE WHEN "
               f"{compare('=', Typed(x, first.type), second, zone=ZONE).sql} THEN NULL ELSE {x} END", "nullif")


def _null_if_type(args: Arguments) -> DataType:
    if args[0].type.root == "NULL":
        raise SQLTypeError("NULLIF needs a type for its first argument", hint="write CAST(NULL AS type)")
    return args[0].type.as_nullable()


def _extreme_type(args: Arguments) -> DataType:
    if args[0].type.root not in COMPARABLE_ROOTS:
        raise SQLTypeError(f"{args[0].type.as_nullable()} has no order")
    return args[0].type


def _extreme(name: str, doc: str, example: str) -> Function:
    """NULL if any argument is, whereas DuckDB passes over NULLs."""
    def body(args: Arguments) -> str:
        listed = [a.sql for a in args]
        nulls = [a.sql for a in args if a.type.nullable]
        found = f"{name.lower()}({', '.join(listed)})" if len(listed) > 1 else listed[0]
        if not nulls or len(listed) == 1:
            return found
        return f"CASE WHEN {' AND '.join(f'{n} IS NOT NULL' for n in nulls)} THEN {found} END"

    return Function(name, f"{name}(value, …)", ("any@T",), _extreme_type, body, doc, example, variadic=True)


FUNCTIONS = (
    Function("COALESCE", "COALESCE(value, …)", ("any@T?",), _coalesced_type, _coalesced,
             "The first value that is not NULL.", "COALESCE(NULL, 1) = 1", variadic=True, nulls="rule"),
    Function("IF", "IF(condition, yes, no)", ("boolean", "any", "any"), _if_type, _if,
             "One of two values, by a condition.", "IF(TRUE, 1, 2) = 1", nulls="rule"),
    Function("IFNULL", "IFNULL(value, otherwise)", ("any?", "any?"), _if_null_type, _if_null,
             "A value, or another where it is NULL.", "IFNULL(1, 2) = 1", nulls="rule"),
    Function("NULLIF", "NULLIF(value, other)", ("any?", "any?"), _null_if_type, _null_if,
             "NULL where the two are equal, else the first.", "NULLIF(1, 2) = 1", nulls="always"),
    _extreme("GREATEST", "The largest of the values, NULL if any is NULL.", "GREATEST(1, 3, 2) = 3"),
    _extreme("LEAST", "The smallest of the values, NULL if any is NULL.", "LEAST(1, 3, 2) = 1"),
    Function("TYPEOF", "TYPEOF(value [, serializable])", ("any?", "boolean"), STRING,
             lambda args: text_literal(str(args[0].type)), "The type of a value, as text.",
             "TYPEOF(1) = 'INT NOT NULL'", optional=1, nulls="always"),
)

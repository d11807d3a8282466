"""Functions of JSON text. Paths are Jayway's in SQL's lax and strict modes, strict unless the path says `lax`.

A constant path of members and indexes runs in DuckDB for documents that it reads as Jackson does; everything else in
the vectorised functions `f_json_…` of `udfs`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamsql.core.schema import text_literal
from streamsql.core.types import BOOLEAN, STRING, DataType
from streamsql.errors import SQLTypeError
from streamsql.values import json_path
from streamsql.values.json_text import RAW, is_raw, serialised
from streamsql.values.let import let, let_all
from streamsql.values.typed import Function, Typed

Arguments = Sequence[Typed]
VARIANT = DataType("VARIANT")


def _clauses(args: Arguments) -> dict[str, Typed]:
    return {a.keyword: a for a in args if a.keyword}


def _operands(args: Arguments) -> list[Typed]:
    return [a for a in args if not a.keyword]


class _Lookup:
    """One call that looks a constant or computed path up in a document."""

    def __init__(self, args: Arguments) -> None:
        self.document, self.path = args[:2]
        constant = self.path.literal if self.path.is_literal and isinstance(self.path.literal, str) else None
        self.lax, bare = json_path.split_mode(constant) if constant is not None else (False, "")
        self.native = json_path.definite_path(bare) if constant is not None else None

    @property
    def quick(self) -> bool:
        """DuckDB may look it up. A constant document is left to the exact engine, which also takes the last of
        two members of one name and refuses a comma before a bracket."""
        return self.native is not None and not self.document.is_literal

    def tried(self, function: str, document: str) -> str:
        """What a function of DuckDB's finds: NULL if nothing, or if the document is malformed."""
        assert self.native is not None
        return f"TRY({function}({document}, {text_literal(self.native[0])}))"


_FRACTION = "[0-9][.eE]"
_REAL = r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?"


# --------------------------------------------------------------------------------------------- JSON_VALUE

_RETURNING = {"VARCHAR", "CHAR", "BOOLEAN", "INT", "DOUBLE"}


def _value_type(args: Arguments) -> DataType:
    clause = _clauses(args).get("RETURNING")
    type_ = clause.literal if clause else STRING
    assert isinstance(type_, DataType)
    if type_.root not in _RETURNING:
        raise SQLTypeError(f"JSON_VALUE cannot return {type_.as_nullable()}",
                           hint="RETURNING takes STRING, BOOLEAN, INT and DOUBLE; CAST the result to others")
    return type_.as_nullable()


def _behaviour(args: Arguments, keyword: str, type_: DataType, message: str) -> str:
    """What ON EMPTY or ON ERROR gives: NULL unless said, an error, or the default."""
    clause = _clauses(args).get(keyword)
    if clause is None or (not clause.sql and clause.literal == "NULL"):
        return f"CAST(NULL AS {type_.duck_type()})"
    if not clause.sql and clause.literal == "ERROR":
        return f"CAST(error({message}) AS {type_.duck_type()})"
    return f"CAST({clause.sql} AS {type_.duck_type()})"


def _typed_text(text: str, type_: DataType) -> str:
    """The scalar's text in the type that RETURNING says; NULL if it is none of that type."""
    if type_.is_character:
        return text
    if type_.root == "BOOLEAN":
        return f"CASE {text} WHEN 'true' THEN true WHEN 'false' THEN false END"
    return f"TRY_CAST({text} AS {type_.duck_type()})"


def _json_value(args: Arguments) -> str:
    lookup, type_ = _Lookup(args), _value_type(args)
    empty = _behaviour(args, "ON_EMPTY", type_, "'JSON_VALUE found nothing, and ERROR ON EMPTY forbids it'")

    def error(message: str) -> str:
        return _behaviour(args, "ON_ERROR", type_, message)

    def converted(text: str) -> str:
        if type_.is_character:
            return text
        other = error("'JSON_VALUE found another type than RETURNING says'")
        return let(text, lambda t: f"COALESCE({_typed_text(t, type_)}, {other})", "raw")

    def slow(document: str) -> str:
        def outcome(r: str) -> str:
            return (f"CASE {r}[1] WHEN 'value' THEN {converted(f'{r}[2]')} WHEN 'empty' THEN {empty} "
                    f"WHEN 'error' THEN {error(f'{r}[2]')} END")
        return let(f"f_json_value({document}, {lookup.path.sql})", outcome, "result")

    def fast(document: str) -> str:
        nothing = empty if lookup.lax else error("'JSON_VALUE found nothing at the path'")

        def outcome(text: str) -> str:
            # a text may be a tree's, or a number whose digits DuckDB has changed: look again; not at small letters
            return (f"CASE WHEN unicode({text}) BETWEEN 92 AND 122 THEN {converted(text)} "
                    f"WHEN {text} IS NULL THEN CASE WHEN {document} IS NULL THEN NULL "
                    f"WHEN json_valid({document}) THEN {nothing} ELSE {slow(document)} END "
                    f"WHEN {text} >= '{{' OR ({text} >= '[' AND {text} < '\\') "
                    f"OR ({text} >= '-' AND {text} < ':' AND (contains({text}, '.') OR contains({text}, 'e') "
                    f"OR contains({text}, 'E')) AND regexp_full_match({text}, '{_REAL}')) "
                    f"THEN {slow(document)} ELSE {converted(text)} END")
        return let(lookup.tried("json_extract_string", document), outcome, "found")

    return let(lookup.document.sql, fast if lookup.quick else slow, "document")


# --------------------------------------------------------------------------------------------- JSON_QUERY

def _query_type(args: Arguments) -> DataType:
    clause = _clauses(args).get("RETURNING")
    type_ = clause.literal if clause else STRING
    assert isinstance(type_, DataType)
    strings = type_.root == "ARRAY" and type_.children[0].is_character
    if not (type_.is_character or strings):
        raise SQLTypeError(f"JSON_QUERY cannot return {type_.as_nullable()}",
                           hint="RETURNING takes STRING and ARRAY<STRING>")
    return type_.as_nullable()


def _query_behaviour(args: Arguments, keyword: str, type_: DataType, message: str) -> str:
    clause = _clauses(args).get(keyword)
    word = str(clause.literal) if clause else "NULL"
    if word in ("EMPTY ARRAY", "EMPTY OBJECT"):
        if type_.root == "ARRAY":
            if word == "EMPTY OBJECT":
                raise SQLTypeError("an array cannot be EMPTY OBJECT", hint="write EMPTY ARRAY")
            return "CAST([] AS VARCHAR[])"
        return "'[]'" if word == "EMPTY ARRAY" else "'{}'"
    return _behaviour(args, keyword, type_, message)


def _json_query(args: Arguments) -> str:
    lookup, type_ = _Lookup(args), _query_type(args)
    clause = _clauses(args).get("WRAPPER")
    wrapper = str(clause.literal) if clause else "WITHOUT"
    empty = _query_behaviour(args, "ON_EMPTY", type_, "'JSON_QUERY found nothing, and ERROR ON EMPTY forbids it'")
    array_wanted = type_.root == "ARRAY"

    def error(message: str) -> str:
        return _query_behaviour(args, "ON_ERROR", type_, message)

    def slow(document: str) -> str:
        name = "f_json_elements" if array_wanted else "f_json_query"

        def outcome(r: str) -> str:
            return (f"CASE {r}[1] WHEN 'tree' THEN {f'{r}[3:]' if array_wanted else f'{r}[2]'} "
                    f"WHEN 'empty' THEN {empty} WHEN 'error' THEN {error(f'{r}[2]')} END")
        return let(f"{name}({document}, {lookup.path.sql}, '{wrapper}')", outcome, "result")

    def fast(document: str) -> str:
        nothing = empty if lookup.lax else error("'JSON_QUERY found no array and no object at the path'")

        def outcome(raw: str) -> str:
            # of arrays of scalars and of flat objects with their keys in order, DuckDB's text is Jackson's
            real = " OR ".join(f"contains({raw}, '{c}')" for c in ".eE")
            exact = f"NOT regexp_matches({raw}, '{_FRACTION}')"
            flat = f"strpos({raw}[2:], '{{') = 0 AND json_keys({raw}) = list_sort(json_keys({raw}))"
            again = slow(document)
            return (f"CASE WHEN unicode({raw}) = {ord('[')} THEN CASE WHEN contains({raw}, '{{') THEN {again} "
                    f"WHEN {real} THEN CASE WHEN {exact} THEN {raw} ELSE {again} END ELSE {raw} END "
                    f"WHEN unicode({raw}) = {ord('{')} THEN CASE WHEN {flat} AND {exact} THEN {raw} ELSE {again} END "
                    f"WHEN {document} IS NULL THEN NULL WHEN {raw} IS NOT NULL OR json_valid({document}) "
                    f"THEN {nothing} ELSE {again} END")
        return let(f"CAST({lookup.tried('json_extract', document)} AS VARCHAR)", outcome, "found")

    quick = lookup.quick and not array_wanted and wrapper == "WITHOUT"
    return let(lookup.document.sql, fast if quick else slow, "document")


# -------------------------------------------------------------------------------------- JSON_EXISTS, IS JSON

def _json_exists(args: Arguments) -> str:
    lookup = _Lookup(args)
    clause = _clauses(args).get("ON_ERROR")
    word = str(clause.literal).upper() if clause else "FALSE"

    def error(document: str) -> str:
        if word == "ERROR":
            return f"CAST(error(f_json_message({document}, {lookup.path.sql})) AS BOOLEAN)"
        return {"TRUE": "true", "FALSE": "false", "UNKNOWN": "CAST(NULL AS BOOLEAN)"}[word]

    def slow(document: str) -> str:
        return let(f"f_json_exists({document}, {lookup.path.sql})", lambda r: (
            f"CASE {r} WHEN 1 THEN true WHEN 0 THEN false WHEN -1 THEN {error(document)} END"), "result")

    def fast(document: str) -> str:
        nothing = "false" if lookup.lax else error(document)
        return (f"COALESCE({lookup.tried('json_type', document)} <> 'NULL', CASE WHEN {document} IS NULL THEN NULL "
                f"WHEN json_valid({document}) THEN {nothing} ELSE {slow(document)} END)")

    return let(lookup.document.sql, fast if lookup.quick else slow, "document")


_ODD = "(^|[^A-Za-z\"])(?i:nan|inf)|,\\s*[}\\]]"


def _is_json(args: Arguments) -> str:
    wanted = str(args[1].literal).upper() if len(args) > 1 else "VALUE"

    def body(document: str) -> str:
        first = f"left(ltrim({document}, E' \\t\\r\\n'), 1)"
        kind = (f"CASE WHEN json_valid({document}) AND NOT regexp_matches({document}, {text_literal(_ODD)}) "
                f"THEN CASE {first} WHEN '{{' THEN 'object' WHEN '[' THEN 'array' ELSE 'scalar' END "
                f"ELSE f_json_kind({document}) END")
        if wanted == "VALUE":
            return f"COALESCE({kind} IS NOT NULL, false)"
        return f"COALESCE({kind} = '{wanted.lower()}', false)"

    return let(args[0].sql, body, "document")


# --------------------------------------------------------------------------------------- making JSON

def _json_string(args: Arguments) -> str:
    return let(args[0].sql, lambda v: f"CASE WHEN {v} IS NOT NULL THEN {serialised(v, args[0].type)} END", "made")


def _member(value: Typed) -> str:
    """The JSON of an argument: that of a nested JSON function as it is, NULL for NULL."""
    return value.sql if is_raw(value.sql) else let(value.sql, lambda v: serialised(v, value.type), "made")


def _absent(args: Arguments, default: str) -> bool:
    clause = _clauses(args).get("ON_NULL")
    return (str(clause.literal).upper() if clause else default) == "ABSENT"


def _json_object(args: Arguments) -> str:
    operands, absent = _operands(args), _absent(args, "NULL")
    pairs = list(zip(operands[::2], operands[1::2], strict=True))
    for key, _ in pairs:
        if not key.type.is_character:
            raise SQLTypeError(f"a key of JSON_OBJECT is a string, not {key.type}")
    if all(k.is_literal for k, _ in pairs):
        last = {str(k.literal): v for k, v in pairs}
        ordered = sorted(last.items(), key=lambda kv: kv[0].encode("utf-16-be"))
        members = [(text_literal(json_path.serialise(k) + ":"), v) for k, v in ordered]
        inner = _joined([f"{k} || {{}}".format(_or_null(v, absent)) for k, v in members], absent)
        return f"{RAW}('{{' || {inner} || '}}')"
    members = [(f"to_json({k.sql}) || ':'", v) for k, v in pairs]
    inner = _joined([f"{k} || {_or_null(v, absent)}" for k, v in members], absent)
    return f"{RAW}(f_json_sorted('{{' || {inner} || '}}'))"


def _or_null(value: Typed, absent: bool) -> str:
    member = _member(value)
    return f"({member})" if absent or not value.type.nullable else f"COALESCE({member}, 'null')"


def _joined(members: list[str], absent: bool) -> str:
    if not members:
        return "''"
    if absent:
        return f"concat_ws(',', {', '.join(members)})"
    return " || ',' || ".join(members)


def _json_array(args: Arguments) -> str:
    absent = _absent(args, "ABSENT")
    inner = _joined([_or_null(v, absent) for v in _operands(args)], absent)
    return f"{RAW}('[' || {inner} || ']')"


def _object_type(args: Arguments) -> DataType:
    if len(_operands(args)) % 2:
        raise SQLTypeError("JSON_OBJECT takes keys and values in pairs", hint="JSON_OBJECT('key' VALUE value, ...)")
    return STRING


def _unquote(args: Arguments) -> str:
    return let(args[0].sql, lambda x: (
        f"CASE WHEN strlen({x}) > 1 AND starts_with({x}, '\"') AND ends_with({x}, '\"') "
        f"THEN COALESCE(TRY(json_extract_string({x}, '$')), {x}) ELSE {x} END"), "text")


def _quote(args: Arguments) -> str:
    return let(args[0].sql, lambda x: (
        f"CASE WHEN strlen({x}) = length({x}) THEN f_json_quoted({x}) ELSE f_json_quote({x}) END"), "text")


def _once(text: str) -> Callable[[Arguments], str]:
    return lambda args: let_all([a.sql for a in args], lambda names: text.format(*names))


_CLAUSES = ("symbol",) * 4

FUNCTIONS = (
    Function("IS_JSON", "string IS [NOT] JSON [VALUE | SCALAR | ARRAY | OBJECT]", ("string", "symbol"), BOOLEAN,
             _is_json, "Whether the string is JSON, of a kind if it is said.", "('[1]' IS JSON ARRAY) = TRUE",
             nulls="never"),
    Function("JSON", "JSON(string)", ("string",), STRING,
             lambda args: f"{RAW}(f_json_sorted(NULLIF(trim({args[0].sql}), '')))",
             "JSON text as a value of JSON_OBJECT and JSON_ARRAY, not as a string.",
             "JSON_ARRAY(JSON('{\"a\":1}')) = '[{\"a\":1}]'", nulls="always"),
    Function("JSON_ARRAY", "JSON_ARRAY(value, ... [NULL | ABSENT ON NULL])", ("any",), STRING, _json_array,
             "An array; NULLs are left out unless NULL ON NULL.", "JSON_ARRAY(1, 'a') = '[1,\"a\"]'", optional=1,
             variadic=True, nulls="never"),
    Function("JSON_EXISTS", "JSON_EXISTS(json, path [TRUE | FALSE | UNKNOWN | ERROR ON ERROR])",
             ("string", "string", "symbol"), BOOLEAN, _json_exists, "Whether the path leads to a value.",
             "JSON_EXISTS('{\"a\":1}', '$.a') = TRUE", optional=1, nulls="always"),
    Function("JSON_OBJECT", "JSON_OBJECT([KEY] key VALUE value, ... [NULL | ABSENT ON NULL])", ("any",),
             _object_type, _json_object, "An object, its keys in order; NULLs stay unless ABSENT ON NULL.",
             "JSON_OBJECT('a' VALUE 1) = '{\"a\":1}'", optional=1, variadic=True, nulls="never"),
    Function("JSON_QUERY", "JSON_QUERY(json, path [RETURNING type] [WITHOUT | WITH [UN]CONDITIONAL WRAPPER] "
             "[... ON EMPTY] [... ON ERROR])", ("string", "string", *_CLAUSES), _query_type, _json_query,
             "The array or object at the path, as JSON.", "JSON_QUERY('{\"a\":[1,2]}', '$.a') = '[1,2]'",
             optional=4, nulls="always"),
    Function("JSON_QUOTE", "JSON_QUOTE(string)", ("string?",), STRING, _quote,
             "The text as a JSON string, in ASCII.", "JSON_QUOTE('a\"b') = '\"a\\\"b\"'"),
    Function("JSON_STRING", "JSON_STRING(value)", ("any",), STRING, _json_string, "Any value as JSON.",
             "JSON_STRING(ARRAY[1, 2]) = '[1,2]'"),
    Function("JSON_UNQUOTE", "JSON_UNQUOTE(string)", ("string?",), STRING, _unquote,
             "The text of a JSON string; anything else as it is.", "JSON_UNQUOTE('\"abc\"') = 'abc'"),
    Function("JSON_VALUE", "JSON_VALUE(json, path [RETURNING type] [NULL | ERROR | DEFAULT value ON EMPTY] "
             "[NULL | ERROR | DEFAULT value ON ERROR])", ("string", "string", *_CLAUSES), _value_type, _json_value,
             "The scalar at the path.", "JSON_VALUE('{\"a\":1}', '$.a') = '1'", optional=4, nulls="always"),
    Function("PARSE_JSON", "PARSE_JSON(string [, allow_duplicate_keys])", ("string?", "boolean"), VARIANT,
             _once("f_json_sorted({0})"), "JSON text as a VARIANT; an error if it is none.",
             "PARSE_JSON('1') IS NOT NULL", optional=1),
    Function("TRY_PARSE_JSON", "TRY_PARSE_JSON(string [, allow_duplicate_keys])", ("string", "boolean"), VARIANT,
             _once("f_json_tried({0})"), "JSON text as a VARIANT; NULL if it is none.",
             "TRY_PARSE_JSON('bad') IS NULL", optional=1, nulls="always"),
)

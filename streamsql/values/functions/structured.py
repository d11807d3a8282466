"""Structured types: a ROW with the name of a class, whose fields are set by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from streamsql.core.schema import quote, text_literal
from streamsql.core.types import DataType
from streamsql.errors import SQLTypeError, did_you_mean
from streamsql.values.let import let
from streamsql.values.typed import Function, Typed

Arguments = Sequence[Typed]

_CLASS = r"[^\W\d][\w$]*(\.[^\W\d][\w$]*)*"


def _object_type(args: Arguments) -> DataType:
    name = args[0].literal
    if not isinstance(name, str) or not args[0].is_literal:
        raise SQLTypeError("the class of OBJECT_OF is not a constant", hint="write OBJECT_OF('Name', 'field', value)")
    if not re.fullmatch(_CLASS, name):
        raise SQLTypeError(f"'{name}' is not the name of a class", hint="write one as 'org.example.Name'")
    fields = _pairs("OBJECT_OF", args)
    if not fields:
        raise SQLTypeError("OBJECT_OF without fields is not supported", hint="write OBJECT_OF('Name', 'field', value)")
    return DataType("ROW", names=tuple(fields), children=tuple(v.type for v in fields.values()), class_name=name)


def _pairs(function: str, args: Arguments) -> dict[str, Typed]:
    """The values by the names of their fields."""
    found: dict[str, Typed] = {}
    if len(args) % 2 == 0:
        raise SQLTypeError(f"{function} takes names and values in turn", hint=f"write {function}(…, 'field', value)")
    for key, value in zip(args[1::2], args[2::2]):
        if not isinstance(key.literal, str) or not key.is_literal:
            raise SQLTypeError(f"the name of a field in {function} is not a constant", hint="write it as 'field'")
        if key.literal in found:
            raise SQLTypeError(f'field "{key.literal}" is in {function} twice')
        found[key.literal] = value
    return found


def _object(args: Arguments) -> str:
    fields = _pairs("OBJECT_OF", args)
    return "{" + ", ".join(f"{quote(n)}: {v.sql}" for n, v in fields.items()) + "}"


def _updated_type(args: Arguments) -> DataType:
    kind = args[0].type
    if not kind.class_name:
        raise SQLTypeError(f"OBJECT_UPDATE takes a structured type, not {kind.as_nullable()}",
                           hint="make one by OBJECT_OF('Name', 'field', value)")
    given = _pairs("OBJECT_UPDATE", args)
    for name in given:
        if name not in kind.names:
            raise SQLTypeError(f'field "{name}" does not exist', hint=did_you_mean(name, kind.names, "Fields"))
    children = tuple(given[n].type if n in given else t for n, t in zip(kind.names, kind.children))
    return replace(kind, children=children)


def _updated(args: Arguments) -> str:
    given = _pairs("OBJECT_UPDATE", args)

    def body(old: str) -> str:
        fields = (given[n].sql if n in given else f"struct_extract({old}, {text_literal(n)})"
                  for n in args[0].type.names)
        made = ", ".join(f"{quote(n)}: {f}" for n, f in zip(args[0].type.names, fields))
        return f"CASE WHEN {old} IS NOT NULL THEN {{{made}}} END"

    return let(args[0].sql, body, "object")


FUNCTIONS = (
    Function("OBJECT_OF", "OBJECT_OF(class, name, value, ...)", ("string", "any"), _object_type, _object,
             "A structured value: a row with the name of a class, and its fields by name.",
             "OBJECT_OF('User', 'name', 'Bob', 'age', 42).age = 42", variadic=True, nulls="always"),
    Function("OBJECT_UPDATE", "OBJECT_UPDATE(object, name, value, ...)", ("any",), _updated_type, _updated,
             "The structured value with other values of some fields.",
             "OBJECT_UPDATE(OBJECT_OF('User', 'age', 42), 'age', 43).age = 43", variadic=True, nulls="always"),
)

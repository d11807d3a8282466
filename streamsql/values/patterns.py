"""LIKE and SIMILAR TO."""

from __future__ import annotations

import re

from streamsql.core.schema import text_literal
from streamsql.core.types import BOOLEAN
from streamsql.errors import Span, SQLTypeError
from streamsql.values.casts import cast
from streamsql.values.let import let
from streamsql.values.typed import Typed


def like(value: Typed, pattern: Typed, escape: Typed | None = None, span: Span | None = None) -> Typed:
    """`value LIKE pattern [ESCAPE escape]`. Raises SQLTypeError at other types than strings."""
    value, pattern = _strings("LIKE", value, pattern, span)
    if escape is not None and escape.is_literal and isinstance(escape.literal, str):
        _check_escapes(pattern, escape.literal, span)
    clause = f"{pattern.sql} ESCAPE {escape.sql}" if escape is not None else pattern.sql
    if not (pattern.is_literal and isinstance(pattern.literal, str) and "_" in pattern.literal):
        return _boolean(f"({value.sql} LIKE {clause})", value, pattern)
    written = str(escape.literal) if escape is not None else ""
    exact = text_literal(_like_expression(pattern.literal, written))

    def body(text: str) -> str:
        several = " OR ".join(f"contains({text}, {text_literal(end)})" for end in _LINE_ENDS)
        return (f"CASE WHEN {text} LIKE {clause} THEN CASE WHEN {several} THEN regexp_full_match({text}, {exact}) "
                f"ELSE true END WHEN {text} IS NOT NULL THEN false END")

    return _boolean(f"({let(value.sql, body, 'like')})", value, pattern)


_LINE_ENDS = "\n\r\x85\u2028\u2029"
"""What `_` does not stand for in Flink, whose LIKE is a regular expression of Java's; `%` stands for all."""


def _like_expression(pattern: str, escape: str) -> str:
    """A pattern of LIKE as RE2 writes it, exactly as Flink takes it."""
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        letter = pattern[position]
        if escape and letter == escape and position + 1 < len(pattern):
            position += 1
            parts.append(re.escape(pattern[position]))
        else:
            parts.append({"%": "(?s:.*)", "_": r"[^\n\r\x{85}\x{2028}\x{2029}]"}.get(letter, re.escape(letter)))
        position += 1
    return "".join(parts)


def similar(value: Typed, pattern: Typed, escape: Typed | None = None, span: Span | None = None) -> Typed:
    """`value SIMILAR TO pattern [ESCAPE escape]`: SQL's regular expressions, of the whole text."""
    value, pattern = _strings("SIMILAR TO", value, pattern, span)
    if pattern.is_literal and isinstance(pattern.literal, str):
        written = str(escape.literal) if escape is not None else ""
        expression = text_literal(regular_expression(pattern.literal, written))
    else:
        expression = f"replace(replace({pattern.sql}, '%', '(?s:.*)'), '_', '.')"
    return _boolean(f"regexp_full_match({value.sql}, {expression})", value, pattern)


def regular_expression(pattern: str, escape: str = "") -> str:
    """A pattern of SIMILAR TO as RE2 writes it."""
    parts: list[str] = []
    position, bracketed = 0, False
    while position < len(pattern):
        letter = pattern[position]
        if escape and letter == escape and position + 1 < len(pattern):
            position += 1
            parts.append(re.escape(pattern[position]))
        elif bracketed or letter == "[":
            bracketed = letter != "]"
            parts.append(letter)
        else:
            parts.append(_SIMILAR.get(letter, letter))
        position += 1
    return "".join(parts)


_SIMILAR = {"%": "(?s:.*)", "_": ".", ".": "\\.", "^": "\\^", "$": "\\$", "\\": "\\\\"}


def _strings(name: str, value: Typed, pattern: Typed, span: Span | None) -> tuple[Typed, Typed]:
    for operand in (value, pattern):
        if not operand.type.is_character and operand.type.root != "NULL":
            raise SQLTypeError(f"{name} takes strings, not {operand.type}", span, hint="write CAST(… AS STRING)")
    if value.type.root == "NULL":
        value = cast(value, pattern.type)
    if pattern.type.root == "NULL":
        pattern = cast(pattern, value.type)
    return value, pattern


def _check_escapes(pattern: Typed, escape: str, span: Span | None) -> None:
    """The escape character stands before `%`, `_` or itself, nowhere else."""
    if len(escape) != 1:
        raise SQLTypeError(f"the escape '{escape}' is not one character", span)
    text = pattern.literal if pattern.is_literal and isinstance(pattern.literal, str) else ""
    for found in re.finditer(re.escape(escape) + "(.?)", text, re.DOTALL):
        if found[1] not in ("%", "_", escape) or not found[1]:
            raise SQLTypeError(f"invalid escape '{found[0]}' in the pattern '{text}'", span,
                               hint=f"'{escape}' stands before %, _ or itself")


def _boolean(sql: str, *of: Typed) -> Typed:
    return Typed(sql, BOOLEAN.as_nullable(any(v.type.nullable for v in of)),
                 deterministic=all(v.deterministic for v in of), aggregate=any(v.aggregate for v in of))

"""Functions of regular expressions, which are Java's.

A constant pattern that RE2 can say runs in DuckDB; any other, and texts for which the two engines differ, in the
vectorised functions `f_java_…` of `udfs`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamsql.core.schema import text_literal
from streamsql.core.types import BOOLEAN, INT, STRING, array
from streamsql.values.java_regex import Regex, analyse
from streamsql.values.let import let
from streamsql.values.macros_text import utf16_length
from streamsql.values.typed import Function, Typed

Native = Callable[[str, Regex, str], str | None]
"""A body from the text, the pattern and its RE2 literal; None where only the exact engine will do."""


def _pattern(argument: Typed) -> Regex | None:
    return analyse(argument.literal) if argument.is_literal and isinstance(argument.literal, str) else None


def _chosen(text: str, pattern: Typed, exact: Callable[[str], str], native: Native, invalid: str) -> str:
    """DuckDB's own engine where it is right, else `exact`; `invalid` for a pattern that Java refuses."""
    found = _pattern(pattern)
    if found is None or not isinstance(pattern.literal, str):
        return exact(text)
    if not found.valid:
        return invalid.format(text)
    if found.native is None or native("", found, "''") is None:
        return exact(text)
    literal, guard = text_literal(found.native), found.guard(text)
    if not guard:
        return str(native(text, found, literal))

    def guarded(name: str) -> str:
        return (f"CASE WHEN {found.guard(name)} THEN {native(name, found, literal)} "
                f"ELSE {exact(name)} END")
    return let(text, guarded, "rx")


def _matches(args: Sequence[Typed]) -> str:
    text, pattern = args[0].sql, args[1]
    if pattern.literal == "":
        return f"CASE WHEN {text} IS NOT NULL THEN false END"
    return _chosen(text, pattern, lambda x: f"f_java_matches({x}, {pattern.sql})",
                   lambda x, _, p: f"regexp_matches({x}, {p})", "CASE WHEN {0} IS NOT NULL THEN false END")


def _group(args: Sequence[Typed], default: int) -> int | None:
    """The group number if it is a constant that DuckDB can take."""
    if len(args) < 3:
        return default
    number = args[2].literal
    return int(number) if args[2].is_literal and isinstance(number, int) and 0 <= number <= 9 else None


def _extract(args: Sequence[Typed]) -> str:
    group = _group(args, 0)
    number = args[2].sql if len(args) > 2 else "0"

    def exact(text: str) -> str:
        return f"f_java_extract({text}, {args[1].sql}, CAST({number} AS BIGINT))"

    def native(text: str, pattern: Regex, literal: str) -> str | None:
        if group is None:
            return None
        if group > pattern.groups:
            return "CAST(NULL AS VARCHAR)"
        taken = "''" if group == 0 or group in pattern.certain else exact(text)
        return (f"COALESCE(NULLIF(regexp_extract({text}, {literal}, {group}), ''), "
                f"CASE WHEN regexp_matches({text}, {literal}) THEN {taken} END)")

    return let(args[0].sql, lambda x: _chosen(x, args[1], exact, native, "CAST(NULL AS VARCHAR)"), "rx")


def _extract_all(args: Sequence[Typed]) -> str:
    group = _group(args, 1)
    number = args[2].sql if len(args) > 2 else "1"

    def exact(text: str) -> str:
        return f"f_java_extract_all({text}, {args[1].sql}, CAST({number} AS BIGINT))"

    def native(text: str, pattern: Regex, literal: str) -> str | None:
        if group is None or pattern.empty or (group and group not in pattern.certain):
            return None if group is None or group <= pattern.groups else "CAST(NULL AS VARCHAR[])"
        return f"regexp_extract_all({text}, {literal}, {group})"

    return _chosen(args[0].sql, args[1], exact, native, "CAST(NULL AS VARCHAR[])")


def _replace(args: Sequence[Typed]) -> str:
    text, pattern, replacement = args[0].sql, args[1], args[2]
    escaped = f"replace({replacement.sql}, '\\', '\\\\')"
    if replacement.is_literal and isinstance(replacement.literal, str):
        escaped = text_literal(replacement.literal.replace("\\", "\\\\"))

    def native(x: str, found: Regex, literal: str) -> str | None:
        return None if found.empty else f"regexp_replace({x}, {literal}, {escaped}, 'g')"

    return _chosen(text, pattern, lambda x: f"f_java_replace({x}, {pattern.sql}, {replacement.sql})", native,
                   "CAST(NULL AS VARCHAR)")


def _count(args: Sequence[Typed]) -> str:
    pattern = args[1]

    def native(x: str, found: Regex, literal: str) -> str | None:
        return None if found.empty else f"CAST(len(regexp_extract_all({x}, {literal})) AS INTEGER)"

    return _chosen(args[0].sql, pattern, lambda x: f"f_java_count({x}, {pattern.sql})", native,
                   "CAST(NULL AS INTEGER)")


def _instr(args: Sequence[Typed]) -> str:
    pattern = args[1]

    def native(x: str, found: Regex, literal: str) -> str:
        before = f"regexp_extract({x}, {text_literal('^((?s:.*?))(?:' + str(found.native) + ')')}, 1)"
        return (f"CASE WHEN regexp_matches({x}, {literal}) THEN {utf16_length(before)} + 1 "
                f"WHEN {x} IS NOT NULL THEN 0 END")

    return let(args[0].sql, lambda x: _chosen(x, pattern, lambda t: f"f_java_find({t}, {pattern.sql})", native,
                                              "CAST(NULL AS INTEGER)"), "rx")


FUNCTIONS = (
    Function("REGEXP", "REGEXP(string, regex)", ("string", "string"), BOOLEAN, _matches,
             "Whether a part of the string matches; false for an empty or invalid pattern.",
             "REGEXP('abc', '[bx]') = TRUE"),
    Function("REGEXP_COUNT", "REGEXP_COUNT(string, regex)", ("string?", "string?"), INT, _count,
             "How many times the pattern matches.", "REGEXP_COUNT('aaaa', 'aa') = 2", nulls="always"),
    Function("REGEXP_EXTRACT", "REGEXP_EXTRACT(string, regex [, group])", ("string", "string", "integer"), STRING,
             _extract, "The first match, or one of its groups; NULL without a match.",
             "REGEXP_EXTRACT('foothebar', 'foo(.*?)(bar)', 2) = 'bar'", optional=1, nulls="always"),
    Function("REGEXP_EXTRACT_ALL", "REGEXP_EXTRACT_ALL(string, regex [, group])", ("string?", "string?", "integer?"),
             array(STRING), _extract_all, "A group, the first unless said, of every match.",
             "REGEXP_EXTRACT_ALL('1-2,3-4', '(\\d)-(\\d)', 2) = ARRAY['2', '4']", optional=1, nulls="always"),
    Function("REGEXP_INSTR", "REGEXP_INSTR(string, regex)", ("string?", "string?"), INT, _instr,
             "Where the first match begins, from 1; 0 without a match.", "REGEXP_INSTR('hello', 'l+') = 3",
             nulls="always"),
    Function("REGEXP_REPLACE", "REGEXP_REPLACE(string, regex, replacement)", ("string", "string", "string"),
             STRING, _replace, "Every match replaced by the text, which has no references to groups.",
             "REGEXP_REPLACE('foobar', 'oo|ar', '') = 'fb'"),
    Function("REGEXP_SUBSTR", "REGEXP_SUBSTR(string, regex)", ("string?", "string?"), STRING, _extract,
             "The first match; NULL without one.", "REGEXP_SUBSTR('hello', 'l+') = 'll'", nulls="always"),
)

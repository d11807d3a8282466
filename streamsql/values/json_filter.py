"""Filters of Jayway paths: `?(@.price < 10 && @.tag =~ /a.*/)` as a test of one element."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Reader = Callable[[Any, str], Any]
Test = Callable[[Any, Any, Reader], bool]
"""(element, document, how to read a path) → whether the element is kept."""

_LEXEME = re.compile(
    r"\s*(?:(?P<path>[@$][\w.\[\]'\"*@$-]*)|(?P<op>===|==|!=|<=|>=|=~|<|>|&&|\|\||!|\(|\)|\bin\b|\bnin\b)"
    r"|(?P<string>'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"|(?P<word>true|false|null)|(?P<regex>/(?:\\.|[^/\\])*/i?)|(?P<list>\[[^\]]*\]))", re.IGNORECASE)


@functools.lru_cache(maxsize=256)
def predicate(text: str) -> Test:
    """The filter of a text `(…)`; raises ValueError if it is none."""
    lexemes: list[tuple[str, str]] = []
    at = 0
    while at < len(text.rstrip()):
        found = _LEXEME.match(text, at)
        if not found:
            raise ValueError(f"the filter cannot be read at {at + 1}: {text}")
        lexemes.append((str(found.lastgroup), str(found[str(found.lastgroup)])))
        at = found.end()
    test, rest = _either(lexemes)
    if rest:
        raise ValueError(f"the filter goes on where it should end: {text}")
    return test


def _either(lexemes: list[tuple[str, str]]) -> tuple[Test, list[tuple[str, str]]]:
    left, rest = _both(lexemes)
    while rest and rest[0] == ("op", "||"):
        right, rest = _both(rest[1:])
        left = _combined(any, left, right)
    return left, rest


def _both(lexemes: list[tuple[str, str]]) -> tuple[Test, list[tuple[str, str]]]:
    left, rest = _single(lexemes)
    while rest and rest[0] == ("op", "&&"):
        right, rest = _single(rest[1:])
        left = _combined(all, left, right)
    return left, rest


def _combined(how: Callable[[list[bool]], bool], a: Test, b: Test) -> Test:
    return lambda e, d, r: how([a(e, d, r), b(e, d, r)])


def _single(lexemes: list[tuple[str, str]]) -> tuple[Test, list[tuple[str, str]]]:
    if not lexemes:
        raise ValueError("the filter is incomplete")
    if lexemes[0] == ("op", "!"):
        inner, rest = _single(lexemes[1:])
        return (lambda e, d, r: not inner(e, d, r)), rest
    if lexemes[0] == ("op", "("):
        inner, rest = _either(lexemes[1:])
        if not rest or rest[0] != ("op", ")"):
            raise ValueError("a parenthesis of the filter is not closed")
        return inner, rest[1:]
    left = _operand(lexemes[0])
    rest = lexemes[1:]
    if not rest or rest[0][0] != "op" or rest[0][1] in ("&&", "||", ")"):
        return (lambda e, d, r: left(e, d, r) is not _MISSING), rest
    if len(rest) < 2:
        raise ValueError("the filter is incomplete")
    compare, right = _OPERATORS[rest[0][1].lower()], _operand(rest[1])
    return (lambda e, d, r: compare(left(e, d, r), right(e, d, r))), rest[2:]


_MISSING = object()
Operand = Callable[[Any, Any, Reader], Any]


def _operand(lexeme: tuple[str, str]) -> Operand:
    kind, text = lexeme
    if kind == "path":
        def follow(element: Any, document: Any, read: Reader) -> Any:
            try:
                return read(element if text[0] == "@" else document, "$" + text[1:])
            except ValueError:
                return _MISSING
        return follow
    constants: dict[str, Callable[[str], Any]] = {
        "string": lambda t: re.sub(r"\\(.)", r"\1", t[1:-1]), "number": Decimal,
        "word": lambda t: {"true": True, "false": False, "null": None}[t.lower()],
        "regex": lambda t: re.compile(t[1:t.rindex("/")], re.IGNORECASE if t.endswith("i") else 0),
        "list": lambda t: [_constant(part.strip()) for part in t[1:-1].split(",") if part.strip()],
    }
    if kind not in constants:
        raise ValueError(f'the filter cannot use "{text}" here')
    value = constants[kind](text)
    return lambda _e, _d, _r: value


def _constant(text: str) -> Any:
    if text[0] in "'\"":
        return text[1:-1]
    words = {"true": True, "false": False, "null": None}
    return words[text] if text in words else Decimal(text)


def _same(a: Any, b: Any) -> bool:
    if a is _MISSING or b is _MISSING or isinstance(a, bool) != isinstance(b, bool):
        return False
    return bool(a == b)


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(a: Any, b: Any) -> bool:
        numbers = all(isinstance(x, (int, Decimal)) and not isinstance(x, bool) for x in (a, b))
        return (numbers or (isinstance(a, str) and isinstance(b, str))) and test(a, b)
    return compare


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": _same, "===": _same, "!=": lambda a, b: not _same(a, b),
    "<": _ordered(lambda a, b: a < b), "<=": _ordered(lambda a, b: a <= b),
    ">": _ordered(lambda a, b: a > b), ">=": _ordered(lambda a, b: a >= b),
    "=~": lambda a, b: isinstance(a, str) and b.fullmatch(a) is not None,
    "in": lambda a, b: any(_same(a, x) for x in b), "nin": lambda a, b: not any(_same(a, x) for x in b),
}

"""Java's date patterns: `yyyy-MM-dd HH:mm:ss` taken apart, and written as DuckDB text.

Flink formats with two classes of Java, which differ in letters and in strictness: `DateTimeFormatter` (DATE_FORMAT
of a timestamp, TO_TIMESTAMP, TO_TIMESTAMP_LTZ) and `SimpleDateFormat` (FROM_UNIXTIME, UNIX_TIMESTAMP, CONVERT_TZ,
TO_DATE, DATE_FORMAT of a string). `simple` chooses the second. The language is English, as in a JVM with a US
locale: weeks begin on Sunday and the week of 1 January is week 1. Reading text is in `java_parse`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from streamsql.core.schema import text_literal

FORMATTER_LETTERS = frozenset("GuyDMLdQqYwWEecFaBhKkHmsSAnNVvzOXxZp")
SIMPLE_LETTERS = frozenset("GyYMLwWDdFEuaHkKhmsSzZX")
_UNZONED = frozenset("VvzOXxZB")
"""Letters of DateTimeFormatter that a TIMESTAMP has no value for."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of one pattern letter, or literal text (`letter` is '' then; '[' and ']' bound an optional part)."""

    letter: str
    count: int = 1
    text: str = ""


@functools.lru_cache(maxsize=512)
def pieces(pattern: str, simple: bool) -> tuple[Piece, ...]:
    """A pattern taken apart; raises ValueError in Java's words for one that Java refuses."""
    found: list[Piece] = []
    letters = SIMPLE_LETTERS if simple else FORMATTER_LETTERS
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "'":
            text, at = _quoted(pattern, at)
            found.append(Piece("", text=text))
        elif char.isascii() and char.isalpha():
            end = at
            while end < len(pattern) and pattern[end] == char:
                end += 1
            if char not in letters:
                raise ValueError(f"illegal pattern character '{char}'" if simple
                                 else f"unknown pattern letter: {char}")
            found.append(Piece(char, end - at))
            at = end
        elif char in "[]" and not simple:
            found.append(Piece(char))
            at += 1
        elif char in "{}#" and not simple:
            raise ValueError(f"pattern includes reserved character: '{char}'")
        else:
            found.append(Piece("", text=char))
            at += 1
    return _joined(found)


def _quoted(pattern: str, start: int) -> tuple[str, int]:
    """The text in quotes from `start`, two quotes being one, and where it ends."""
    if pattern.startswith("''", start):
        return "'", start + 2
    text, at = "", start + 1
    while at < len(pattern):
        if pattern.startswith("''", at):
            text, at = text + "'", at + 2
        elif pattern[at] == "'":
            return text, at + 1
        else:
            text, at = text + pattern[at], at + 1
    raise ValueError("unterminated quote")


def _joined(found: list[Piece]) -> tuple[Piece, ...]:
    """Neighbouring texts made one."""
    result: list[Piece] = []
    for piece in found:
        if not piece.letter and result and not result[-1].letter:
            result[-1] = Piece("", text=result[-1].text + piece.text)
        else:
            result.append(piece)
    return tuple(result)


_STRFTIME = {
    ("y", 4): "%Y", ("u", 4): "%Y", ("y", 2): "%y", ("M", 1): "%-m", ("M", 2): "%m", ("M", 3): "%b",
    ("M", 4): "%B", ("L", 1): "%-m", ("L", 2): "%m", ("d", 1): "%-d", ("d", 2): "%d", ("H", 1): "%-H",
    ("H", 2): "%H", ("h", 1): "%-I", ("h", 2): "%I", ("m", 1): "%-M", ("m", 2): "%M", ("s", 1): "%-S",
    ("s", 2): "%S", ("S", 3): "%g", ("D", 3): "%j", ("D", 1): "%-j", ("E", 1): "%a", ("E", 2): "%a",
    ("E", 3): "%a", ("E", 4): "%A", ("a", 1): "%p",
}
"""What strftime says exactly as Java does (years 0 to 9999)."""

_WEEK_YEAR = "year({0} + to_days(6 - dayofweek({0})::INT))"
_WEEK = (f"CASE WHEN {_WEEK_YEAR} > year({{0}}) THEN 1 "
         "ELSE (dayofyear({0}) - 1 + dayofweek(date_trunc('year', {0}))) // 7 + 1 END")
_NUMBERS = {
    "u": "year({0})", "y": "year({0})", "Y": _WEEK_YEAR, "w": _WEEK,
    "W": "(day({0}) - 1 + dayofweek(date_trunc('month', {0}))) // 7 + 1", "F": "(day({0}) - 1) // 7 + 1",
    "M": "month({0})", "L": "month({0})", "d": "day({0})", "D": "dayofyear({0})", "Q": "quarter({0})",
    "q": "quarter({0})", "e": "dayofweek({0}) + 1", "c": "dayofweek({0}) + 1", "H": "hour({0})",
    "k": "CASE hour({0}) WHEN 0 THEN 24 ELSE hour({0}) END", "K": "hour({0}) % 12",
    "h": "(hour({0}) + 11) % 12 + 1", "m": "minute({0})", "s": "second({0})",
    "A": "epoch_ms({0}::TIME)", "N": "epoch_ns({0}::TIME)",
}
"""Fields that are numbers, as DuckDB text of the timestamp."""

_ERA = "CASE WHEN year({0}) > 0 THEN '%s' ELSE '%s' END"


def format_sql(value: str, pattern: str, *, simple: bool = False, offset_s: str = "0", zone_name: str = "''",
               ) -> str:
    """DuckDB text that formats `value`, a TIMESTAMP used several times; raises ValueError as `pieces` does.

    offset_s, zone_name  what the letters Z X x O and z V show: seconds east of UTC, and a text
    """
    parts: list[str] = []
    run = ""
    for piece in pieces(pattern, simple):
        token = _token(piece, simple)
        if token is not None:
            run += token
            continue
        if run:
            parts.append(_run(value, run))
            run = ""
        parts.append(_field(piece, simple, offset_s, zone_name).replace("{0}", value))
    if run or not parts:
        parts.append(_run(value, run))
    return parts[0] if len(parts) == 1 else f"({' || '.join(parts)})"


def _run(value: str, tokens: str) -> str:
    if not tokens:
        return f"CASE WHEN {value} IS NOT NULL THEN '' END"
    return f"strftime({value}, {text_literal(tokens)})"


def _token(piece: Piece, simple: bool) -> str | None:
    """The strftime text of a piece, or None where only an expression can say it."""
    if piece.letter in ("[", "]"):
        return ""
    if not piece.letter:
        return piece.text.replace("%", "%%")
    if simple and piece.letter in "yu" and (piece.letter, piece.count) not in (("y", 4), ("y", 2)):
        return None
    if simple and piece.letter == "a":
        return "%p"
    return _STRFTIME.get((piece.letter, piece.count))


def _field(piece: Piece, simple: bool, offset_s: str, zone_name: str) -> str:
    """A piece as DuckDB text of `{0}`."""
    letter, count = piece.letter, piece.count
    if letter == "p" or (not simple and letter in _UNZONED):
        raise ValueError(f"pattern letter '{letter}' needs a time zone, which a TIMESTAMP has not")
    special = _SIMPLE_FIELDS if simple else _FORMATTER_FIELDS
    rule = special.get(letter)
    found = rule(count) if rule else None
    if found is None:
        found = padded(_NUMBERS[letter], count)
    return found.replace("{offset}", offset_s).replace("{zone}", zone_name)


def padded(number: str, count: int) -> str:
    """Digits of a number, with zeros in front to `count`; a longer number keeps all of its digits."""
    if count == 1:
        return f"({number})::VARCHAR"
    return f"printf('%0{count}d', {number})"


def _text(form: str) -> str:
    return f"strftime({{0}}, '{form}')"


def _month(count: int) -> str | None:
    if count < 3:
        return None
    return {3: _text("%b"), 4: _text("%B")}.get(count, f"left({_text('%B')}, 1)")


def _weekday(count: int) -> str | None:
    return {4: _text("%A"), 5: f"left({_text('%A')}, 1)"}.get(count, _text("%a"))


def _quarter(count: int) -> str | None:
    ordinal = "CASE quarter({0}) WHEN 1 THEN '1st' WHEN 2 THEN '2nd' WHEN 3 THEN '3rd' ELSE '4th' END"
    return {3: "('Q' || quarter({0}))", 4: f"({ordinal} || ' quarter')",
            5: "quarter({0})::VARCHAR"}.get(count)


def _fraction(count: int) -> str:
    digits = "lpad((epoch_ns({0}) - epoch_ns(date_trunc('second', {0})))::VARCHAR, 9, '0')"
    return digits if count >= 9 else f"left({digits}, {count})"


def _offset(count: int) -> str:
    """`X`: Z, or ±hh, ±hhmm, ±hh:mm."""
    minutes = {1: "", 2: " || printf('%02d', abs({offset}) // 60 % 60)"}.get(
        count, " || ':' || printf('%02d', abs({offset}) // 60 % 60)")
    sign = "CASE WHEN {offset} < 0 THEN '-' ELSE '+' END || printf('%02d', abs({offset}) // 3600)"
    return f"CASE WHEN {{offset}} = 0 THEN 'Z' ELSE {sign}{minutes} END"


_RFC822 = ("(CASE WHEN {offset} < 0 THEN '-' ELSE '+' END || printf('%02d%02d', abs({offset}) // 3600, "
           "abs({offset}) // 60 % 60))")

_Rule = Callable[[int], str | None]
_COMMON: dict[str, _Rule] = {
    "M": _month, "L": _month, "E": _weekday,
    "y": lambda n: "printf('%02d', year({0}) % 100)" if n == 2 else None,
    "Y": lambda n: f"printf('%02d', {_WEEK_YEAR} % 100)" if n == 2 else None,
    "a": lambda n: _text("%p"),
}
_FORMATTER_FIELDS: dict[str, _Rule] = _COMMON | {
    "u": lambda n: "printf('%02d', year({0}) % 100)" if n == 2 else None,
    "G": lambda n: _ERA % {4: ("Anno Domini", "Before Christ"), 5: ("A", "B")}.get(n, ("AD", "BC")),
    "e": lambda n: _weekday(n) if n > 2 else None, "c": lambda n: _weekday(n) if n > 2 else None,
    "Q": _quarter, "q": _quarter, "S": _fraction,
    "n": lambda n: padded("epoch_ns({0}) - epoch_ns(date_trunc('second', {0}))", n),
}
_SIMPLE_FIELDS: dict[str, _Rule] = _COMMON | {
    "u": lambda n: padded("isodow({0})", n), "G": lambda n: _ERA % ("AD", "BC"),
    "E": lambda n: _text("%A") if n > 3 else _text("%a"),
    "M": lambda n: None if n < 3 else _text("%b") if n == 3 else _text("%B"),
    "L": lambda n: None if n < 3 else _text("%b") if n == 3 else _text("%B"),
    "S": lambda n: padded("millisecond({0}) % 1000", n), "X": _offset, "Z": lambda n: _RFC822,
    "z": lambda n: "{zone}",
}

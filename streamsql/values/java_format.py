"""Formatting a time by a pattern that is known only at run time; constant patterns become SQL in `java_time`."""

from __future__ import annotations

import datetime

from streamsql.values.java_time import Piece, pieces

_EPOCH = datetime.datetime(1970, 1, 1)


def format_formatter(local_us: int, pattern: str) -> str:
    """DATE_FORMAT of a timestamp, in microseconds since 1970."""
    return _formatted(local_us, pattern, simple=False, offset_s=0, zone="")


def format_simple(local_us: int, offset_s: int, zone: str, pattern: str) -> str:
    """FROM_UNIXTIME: a local time with its zone's offset and name."""
    return _formatted(local_us, pattern, simple=True, offset_s=offset_s, zone=zone)


def _formatted(local_us: int, pattern: str, *, simple: bool, offset_s: int, zone: str) -> str:
    at = _EPOCH + datetime.timedelta(microseconds=local_us)
    zoned = {"z": zone, "Z": _offset(offset_s, ""), "X": ""} if simple else {}
    out = ""
    for piece in pieces(pattern, simple):
        if piece.letter in zoned:
            out += _x(offset_s, piece.count) if piece.letter == "X" else zoned[piece.letter]
        elif piece.letter not in ("", "[", "]"):
            out += _field(at, piece, simple)
        else:
            out += piece.text
    return out


def _offset(seconds: int, colon: str) -> str:
    sign, minutes = "-" if seconds < 0 else "+", abs(seconds) // 60
    return f"{sign}{minutes // 60:02d}{colon}{minutes % 60:02d}"


def _x(seconds: int, count: int) -> str:
    if not seconds:
        return "Z"
    return _offset(seconds, "")[:3] if count == 1 else _offset(seconds, ":" if count > 2 else "")


def _field(at: datetime.datetime, piece: Piece, simple: bool) -> str:
    letter, count = piece.letter, piece.count
    text = _text(at, letter, count, simple)
    if text is not None:
        return text
    if letter == "S" and not simple:
        return f"{at.microsecond * 1000:09d}"[:count]
    numbers = _numbers(at, simple)
    if letter not in numbers:
        raise ValueError(f"pattern letter '{letter}' needs a time zone, which a TIMESTAMP has not")
    number = numbers[letter]
    if letter in "yuY" and count == 2 and not (simple and letter == "u"):
        return f"{number % 100:02d}"
    return f"{number:0{count}d}"


def _text(at: datetime.datetime, letter: str, count: int, simple: bool) -> str | None:
    if letter in "ML" and count > 2:
        name = at.strftime("%B")
        return name[:3] if count == 3 else name if count == 4 or simple else name[:1]
    if letter == "E" or (letter in "ec" and count > 2):
        name = at.strftime("%A")
        return name[:3] if count < 4 else name if count == 4 or simple else name[:1]
    if letter in "Qq" and count > 2:
        quarter = (at.month + 2) // 3
        ordinal = ("1st", "2nd", "3rd", "4th")[quarter - 1] + " quarter"
        return f"Q{quarter}" if count == 3 else ordinal if count == 4 else str(quarter)
    if letter == "a":
        return "AM" if at.hour < 12 else "PM"
    if letter == "G":
        return "Anno Domini" if count == 4 and not simple else "A" if count > 4 and not simple else "AD"
    return None


def _numbers(at: datetime.datetime, simple: bool) -> dict[str, int]:
    """Every field that is a number, by letter; weeks begin on Sunday."""
    weekday = at.isoweekday() % 7
    day_of_year = at.timetuple().tm_yday
    saturday = at + datetime.timedelta(days=6 - weekday)
    first = datetime.datetime(at.year, 1, 1).isoweekday() % 7
    week = 1 if saturday.year > at.year else (day_of_year - 1 + first) // 7 + 1
    month_first = at.replace(day=1).isoweekday() % 7
    second_of_day = (at.hour * 60 + at.minute) * 60 + at.second
    milliseconds = at.microsecond // 1000
    return {
        "y": at.year, "u": at.isoweekday() if simple else at.year, "Y": saturday.year, "w": week,
        "W": (at.day - 1 + month_first) // 7 + 1, "F": (at.day - 1) // 7 + 1, "M": at.month, "L": at.month,
        "d": at.day, "D": day_of_year, "Q": (at.month + 2) // 3, "q": (at.month + 2) // 3, "e": weekday + 1,
        "c": weekday + 1, "H": at.hour, "k": at.hour or 24, "K": at.hour % 12, "h": (at.hour + 11) % 12 + 1,
        "m": at.minute, "s": at.second, "S": milliseconds, "A": second_of_day * 1000 + milliseconds,
        "n": at.microsecond * 1000, "N": second_of_day * 10 ** 9 + at.microsecond * 1000,
    }

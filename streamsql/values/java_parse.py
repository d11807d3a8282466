"""Reading dates by Java's patterns, exactly: what the fast native path of `temporal` leaves over.

`DateTimeFormatter` takes the whole text, each field with the digits its letters say, resolved "smart" (31 April is
30 April); Flink then tries `java.sql.Timestamp.valueOf`. `SimpleDateFormat` takes a prefix, and is lenient: month 14
is February of the next year. Called by the vectorised functions of `udfs` for the rows that DuckDB's `strptime`
does not read the same way; not on the hot path.
"""

from __future__ import annotations

import calendar
import datetime
import functools
import re
from collections.abc import Callable

from streamsql.values.java_time import Piece, pieces

MONTHS = calendar.month_name[1:]
WEEKDAYS = calendar.day_name[:]
_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
US_PER_DAY = 86_400_000_000
CENTURY_START = 1946
"""Two digits of a year mean the hundred years from here: Java takes 80 years before it was started."""

Fields = dict[str, int]


def epoch_us(year: int, month: int, day: int, us_of_day: int = 0) -> int | None:
    """Microseconds since 1970 of a local time; month and day may overflow. None outside years 1 to 9999."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    if not 1 <= year <= 9999:
        return None
    return (datetime.date(year, month, 1).toordinal() - _EPOCH_DAY + day - 1) * US_PER_DAY + us_of_day


# ------------------------------------------------------------------------------------ DateTimeFormatter

def _names(*lists: list[str] | tuple[str, ...]) -> str:
    return "|".join(name for names in lists for name in names)


_SHORT_MONTHS = [m[:3] for m in MONTHS]
_SHORT_DAYS = [d[:3] for d in WEEKDAYS]


def _formatter_regex(piece: Piece, index: int) -> str:
    """The text that a piece takes, in a group named by letter and position."""
    letter, count = piece.letter, piece.count
    if not letter:
        return re.escape(piece.text)
    if letter in "[]":
        return "(?:" if letter == "[" else ")?"
    return f"(?P<{letter}{index}>{_formatter_form(letter, count)})"


def _formatter_form(letter: str, count: int) -> str:
    if letter in "MLEec" and count > 2:
        names = (MONTHS, _SHORT_MONTHS) if letter in "ML" else (WEEKDAYS, _SHORT_DAYS)
        return _names(names[0] if count == 4 else names[1])
    if letter in "yuY":
        if count == 2:
            return r"\d{2}"
        more = rf"\+\d{{{count + 1},19}}|-?\d{{{count}}}"
        return more if count > 3 else rf"-?\d{{{count},19}}"
    texts = {"a": "AM|PM", "G": "AD|BC", "X": r"Z|[+-]\d{2}(?::?\d{2})?", "x": r"[+-]\d{2}(?::?\d{2})?",
             "Z": r"[+-]\d{4}", "z": r"[A-Za-z]+(?:/\w+)*", "V": r"[A-Za-z]+(?:/\w+)*", "O": r"GMT(?:[+-]\d{1,2})?"}
    if letter in texts:
        return texts[letter]
    return rf"\d{{{count}}}" if letter == "S" or count > 1 else r"-?\d{1,19}"


@functools.lru_cache(maxsize=512)
def _formatter(pattern: str) -> re.Pattern[str]:
    parts = [_formatter_regex(p, i) for i, p in enumerate(pieces(pattern, False))]
    return re.compile("".join(parts), re.ASCII)


def parse_formatter(text: str, pattern: str) -> int | None:
    """TO_TIMESTAMP(text, pattern): local microseconds, or None where Flink gives NULL."""
    found = _formatter(pattern).fullmatch(text)
    resolved = _resolve(_fields(found, pattern)) if found else None
    return resolved if resolved is not None else _sql_timestamp(text)


def _fields(found: re.Match[str], pattern: str) -> Fields | None:
    """The values of a match by letter; None if one letter has two."""
    fields: Fields = {}
    counts = {i: p.count for i, p in enumerate(pieces(pattern, False))}
    for group, text in found.groupdict().items():
        if text is None:
            continue
        letter, count = group[0], counts[int(group[1:])]
        value = _value(letter, count, text)
        letter = {"L": "M", "u": "y"}.get(letter, letter)
        if fields.setdefault(letter, value) != value:
            return None
    return fields


def _value(letter: str, count: int, text: str) -> int:
    if letter in "ML" and count > 2:
        return _SHORT_MONTHS.index(text[:3]) + 1
    if letter in "Eec" and count > 2:
        return _SHORT_DAYS.index(text[:3]) + 1
    if letter in "yu" and count == 2:
        return 2000 + int(text)
    if letter == "S":
        return int(text[:9].ljust(9, "0"))
    if letter in "aG":
        return int(text in ("PM", "BC"))
    return 0 if letter in "XxZzVO" else int(text)


_RANGES = {"M": (1, 12), "d": (1, 31), "H": (0, 24), "h": (1, 12), "k": (1, 24), "K": (0, 11), "m": (0, 59),
           "s": (0, 59), "D": (1, 366)}


def _resolve(fields: Fields | None) -> int | None:
    """Java's smart resolution of fields to a local time; None if they are no time."""
    if fields is None or any(not low <= fields.get(letter, low) <= high
                             for letter, (low, high) in _RANGES.items()):
        return None
    year = fields.get("y", 1970)
    if fields.get("G"):
        return None
    month, day = fields.get("M", 1), fields.get("d", 1)
    weekday = fields.get("e", fields.get("c", fields["E"] % 7 + 1 if "E" in fields else 0))
    if "y" in fields and "D" in fields and "d" not in fields:
        start = epoch_us(year, 1, fields["D"])
        leap = fields["D"] <= 365 or calendar.isleap(year)
        date = start if leap else None
    elif "Y" in fields and "w" in fields and weekday:
        first = epoch_us(fields["Y"], 1, 1)
        sunday = None if first is None else (first // US_PER_DAY + 4) % 7
        date = None if sunday is None else epoch_us(fields["Y"], 1, fields["w"] * 7 + weekday - 7 - sunday)
    else:
        if not 1 <= year <= 9999:
            return None
        date = epoch_us(year, month, min(day, calendar.monthrange(year, month)[1]))
    time = _time_us(fields)
    if date is None or time is None:
        return None
    if "E" in fields and "d" in fields and (date // US_PER_DAY + 3) % 7 + 1 != fields["E"]:
        return None
    return date + time


def _time_us(fields: Fields) -> int | None:
    hour = fields.get("H", fields.get("k", 0) % 24)
    if "a" in fields and ("h" in fields or "K" in fields):
        hour = fields.get("K", fields.get("h", 0) % 12) + 12 * fields["a"]
    minute, second, nanos = fields.get("m", 0), fields.get("s", 0), fields.get("S", fields.get("n", 0))
    if "A" in fields:
        return fields["A"] * 1000
    if hour == 24 and (minute or second or nanos):
        return None
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + nanos // 1000


_SQL_TIMESTAMP = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2}) ([+-]?\d+):([+-]?\d+):([+-]?\d+)(?:\.(\d{1,9}))?", re.ASCII)
_SQL_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})", re.ASCII)


def _sql_timestamp(text: str) -> int | None:
    """`java.sql.Timestamp.valueOf`, or `Date.valueOf` of a text without a space: what Flink tries next."""
    text = text.strip()
    found = (_SQL_TIMESTAMP if " " in text else _SQL_DATE).fullmatch(text)
    if not found:
        return None
    year, month, day = (int(g) for g in found.groups()[:3])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    hour, minute, second = (int(g) for g in found.groups()[3:6]) if " " in text else (0, 0, 0)
    micros = int((found.group(7) or "0").ljust(9, "0")) // 1000 if " " in text else 0
    return epoch_us(year, month, day, ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)


_DEFAULT = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?: (\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{0,9}))?)?", re.ASCII)


def parse_default(text: str) -> int | None:
    """TO_TIMESTAMP(text): `yyyy-MM-dd[ HH:mm:ss[.fraction]]` with one or two digits a field."""
    found = _DEFAULT.fullmatch(text)
    if not found:
        return None
    names = ("y", "M", "d", "H", "m", "s")
    fields = {n: int(g) for n, g in zip(names, found.groups(), strict=False) if g is not None}
    fields["S"] = int((found.group(7) or "").ljust(9, "0"))
    return _resolve(fields)


# ------------------------------------------------------------------------------------- SimpleDateFormat

_NUMERIC = frozenset("yYMLwWDdFuHkKhmsS")
_ZONE = re.compile(r"(?P<z>Z)|(?:GMT|UTC)?(?P<sign>[+-])(?P<h>\d{1,2}):?(?P<m>\d{2})?|(?P<name>[A-Z]{2,5})")
ABBREVIATIONS = {"UTC": 0, "GMT": 0, "UT": 0, "EST": -18000, "EDT": -14400, "CST": -21600, "CDT": -18000,
                 "MST": -25200, "MDT": -21600, "PST": -28800, "PDT": -25200, "CET": 3600, "CEST": 7200,
                 "JST": 32400}
"""Names of zones that a text may hold, in seconds east of UTC."""


def parse_simple(text: str, pattern: str) -> tuple[int, int | None] | None:
    """UNIX_TIMESTAMP(text, pattern) and its like: local microseconds, and the offset in seconds if the
    text says one. None where Java throws ParseException."""
    parts = pieces(pattern, True)
    fields: Fields = {}
    at = 0
    for index, piece in enumerate(parts):
        if not piece.letter:
            if not text.startswith(piece.text, at):
                return None
            at += len(piece.text)
            continue
        following = parts[index + 1].letter if index + 1 < len(parts) else ""
        end = _simple_field(text, at, piece, following in _NUMERIC and following != "", fields)
        if end is None:
            return None
        at = end
    return _lenient(fields)


def _simple_field(text: str, at: int, piece: Piece, abuts: bool, fields: Fields) -> int | None:
    """Read one field into `fields`; gives where the text goes on, or None."""
    while at < len(text) and text[at] in " \t":
        at += 1
    if at >= len(text):
        return None
    letter = piece.letter
    reader = _SIMPLE_TEXTS.get(letter)
    if reader and (letter not in "ML" or piece.count > 2):
        found = reader(text[at:])
        if found is None:
            return None
        fields["M" if letter == "L" else letter] = found[0]
        return at + found[1]
    number = re.compile(rf"-?\d{{1,{piece.count if abuts else 18}}}", re.ASCII).match(text, at)
    if not number:
        return None
    value = int(number.group())
    if letter in "yY" and piece.count <= 2 and len(number.group()) == 2:
        value += CENTURY_START - CENTURY_START % 100
        value += 100 if value < CENTURY_START else 0
    fields["M" if letter == "L" else letter] = value
    return number.end()


def _name_reader(names: list[str]) -> Callable[[str], tuple[int, int] | None]:
    def read(text: str) -> tuple[int, int] | None:
        lower = text.lower()
        return max(((i + 1, len(form)) for i, name in enumerate(names) for form in (name, name[:3])
                    if lower.startswith(form.lower())), key=lambda pair: pair[1], default=None)
    return read


def _half(text: str) -> tuple[int, int] | None:
    half = text[:2].upper()
    return (int(half == "PM"), 2) if half in ("AM", "PM") else None


def _era(text: str) -> tuple[int, int] | None:
    era = text[:2].upper()
    return (int(era == "BC"), 2) if era in ("AD", "BC") else None


def _zone(text: str) -> tuple[int, int] | None:
    found = _ZONE.match(text)
    if not found:
        return None
    if found["name"]:
        offset = ABBREVIATIONS.get(found["name"])
        return None if offset is None else (offset, found.end())
    if found["z"]:
        return 0, 1
    seconds = int(found["h"]) * 3600 + int(found["m"] or 0) * 60
    return (-seconds if found["sign"] == "-" else seconds), found.end()


_SIMPLE_TEXTS: dict[str, Callable[[str], tuple[int, int] | None]] = {
    "M": _name_reader(MONTHS), "L": _name_reader(MONTHS), "E": _name_reader(WEEKDAYS), "a": _half, "G": _era,
    "z": _zone, "Z": _zone, "X": _zone,
}


def _lenient(fields: Fields) -> tuple[int, int | None] | None:
    """A lenient calendar: fields that overflow carry over."""
    hour = fields.get("H", fields.get("k", 0) % 24 if "k" in fields else 0)
    if "h" in fields or "K" in fields:
        hour = fields.get("K", fields.get("h", 0) % 12) + 12 * fields.get("a", 0)
    micros = ((hour * 60 + fields.get("m", 0)) * 60 + fields.get("s", 0)) * 1_000_000 + fields.get("S", 0) * 1000
    year = fields.get("y", 1970)
    if fields.get("G"):
        year = 1 - year
    if "D" in fields and "d" not in fields and "M" not in fields:
        local = epoch_us(year, 1, fields["D"], micros)
    else:
        local = epoch_us(year, fields.get("M", 1), fields.get("d", 1), micros)
    if local is None:
        return None
    offsets = [fields[z] for z in "zZX" if z in fields]
    return local, offsets[0] if offsets else None


_NATIVE = {("y", 4): ("%Y", 4), ("M", 2): ("%m", 2), ("d", 2): ("%d", 2), ("H", 2): ("%H", 2), ("m", 2): ("%M", 2),
           ("s", 2): ("%S", 2), ("S", 3): ("%g", 3)}


def native_form(pattern: str, simple: bool) -> tuple[str, int] | None:
    """The strptime text and the bytes of a pattern whose fields all have fixed digits, else None.

    A text of that many bytes that is plain (`f_is_plain`) and that strptime reads means the same to Java.
    """
    form, length, seen = "", 0, set()
    for piece in pieces(pattern, simple):
        if not piece.letter:
            form, length = form + piece.text.replace("%", "%%"), length + len(piece.text.encode())
            continue
        token = _NATIVE.get((piece.letter, piece.count))
        if token is None or piece.letter in seen:
            return None
        seen.add(piece.letter)
        form, length = form + token[0], length + token[1]
    begins = pieces(pattern, simple)[:1]
    if not {"y", "M", "d"} <= seen or not begins or not begins[0].letter:
        return None
    return form, length

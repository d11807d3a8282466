"""Cells: how a `.stream` file writes a value, read and printed by the SQL type of its column.

A row is cells between `|`. NULL is null. A cell in double quotes is a JSON string, for text that is
empty, is `NULL`, or holds ` | `, ` # ` or blanks at its ends. A timestamp may leave out its date, which
is then `DEFAULT_DATE`; a TIMESTAMP_LTZ is UTC and ends in Z. BYTES that are not plain text are
`0x…`. ARRAY, MAP and ROW are JSON.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from streamsql.core.types import DataType

DEFAULT_DATE = dt.date(2026, 1, 1)
"""The day of a time that is written without a date."""

_EPOCH = dt.datetime(1970, 1, 1)
_PIECE = re.compile(r"""(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<comment>(?:^|\s)\#(?=\s|$).*)|(?P<bar>\|)|(?P<other>.)""",
                    re.VERBOSE)
_MOMENT = re.compile(r"(?:(?P<date>-?\d{4,}-\d\d-\d\d)[T ]?)?(?P<time>\d\d:\d\d(?::\d\d(?P<fraction>\.\d{1,9})?)?)?Z?")


def split(line: str) -> list[str]:
    """The cells of a row, comment and blanks taken off; a quoted cell keeps its quotes."""
    cells = [""]
    for piece in _PIECE.finditer(line):
        if piece.lastgroup == "comment":
            break
        if piece.lastgroup == "bar":
            cells.append("")
        else:
            cells[-1] += piece.group()
    return [cell.strip() for cell in cells]


def without_comment(line: str) -> str:
    return re.split(r"(?:^|\s)#(?=\s|$)", line, maxsplit=1)[0].rstrip()


def parse(cell: str, type_: DataType) -> Any:
    """The value of a cell as Arrow takes it for the type. Raises ValueError saying what is wrong."""
    if cell == "NULL":
        return None
    if type_.root in ("ARRAY", "MAP", "MULTISET", "ROW"):
        try:
            return _from_json(json.loads(cell), type_)
        except json.JSONDecodeError as error:
            raise ValueError(f"{cell} is not JSON, as {type_.root} needs") from error
    if cell.startswith('"') and cell.endswith('"') and len(cell) > 1:
        cell = json.loads(cell)
    try:
        return _scalar(cell, type_)
    except (ValueError, ArithmeticError) as error:
        raise ValueError(f'"{cell}" is no {type_.as_nullable()}') from error


def _scalar(cell: str, type_: DataType) -> Any:
    match type_.root:
        case "BOOLEAN":
            return {"true": True, "false": False}.get(cell) if cell in ("true", "false") else _refuse(cell)
        case "TINYINT" | "SMALLINT" | "INT" | "BIGINT":
            return int(cell)
        case "FLOAT" | "DOUBLE":
            return float(cell)
        case "DECIMAL":
            return Decimal(cell)
        case "DATE":
            return dt.date.fromisoformat(cell)
        case "TIME":
            return dt.time.fromisoformat(cell)
        case "TIMESTAMP" | "TIMESTAMP_LTZ":
            return moment(cell) if type_.precision > 6 else moment(cell) // 1000
        case "BINARY" | "VARBINARY":
            return bytes.fromhex(cell[2:]) if cell.startswith("0x") else cell.encode()
    return cell


def _refuse(cell: str) -> Any:
    raise ValueError(cell)


def moment(text: str) -> int:
    """Nanoseconds since 1970 of `[date ]time[Z]` or `date`. Raises ValueError."""
    found = _MOMENT.fullmatch(text)
    if found is None or not (found["date"] or found["time"]):
        raise ValueError(f'"{text}" is no point in time')
    day = dt.date.fromisoformat(found["date"]) if found["date"] else DEFAULT_DATE
    clock = dt.time.fromisoformat((found["time"] or "00:00").split(".")[0])
    since = dt.datetime.combine(day, clock) - _EPOCH
    fraction = (found["fraction"] or ".0")[1:].ljust(9, "0")
    return (since.days * 86400 + since.seconds) * 1_000_000_000 + int(fraction)


def shown_moment(ns: int, zone: str = "") -> str:
    """A point in time as `moment` reads it; the default date is left out."""
    seconds, fraction = divmod(ns, 1_000_000_000)
    try:
        at = _EPOCH + dt.timedelta(seconds=seconds)
    except OverflowError:
        return f"{ns} ns"
    date = "" if at.date() == DEFAULT_DATE else f"{at.date().isoformat()} "
    digits = f"{fraction:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{date}{at.time().isoformat()}{'.' + digits if digits else ''}{zone}"


def _from_json(given: Any, type_: DataType) -> Any:
    if given is None:
        return None
    match type_.root:
        case "ARRAY":
            return [_from_json(v, type_.children[0]) for v in given]
        case "MAP" | "MULTISET":
            pairs = given.items() if isinstance(given, dict) else given
            value = type_.children[1] if type_.root == "MAP" else DataType("INT")
            return [(_from_json(k, type_.children[0]), _from_json(v, value)) for k, v in pairs]
        case "ROW":
            fields = [given.get(n) for n in type_.names] if isinstance(given, dict) else given
            return {n: _from_json(v, t) for n, v, t in zip(type_.names, fields, type_.children, strict=True)}
        case _:
            return _scalar(given if isinstance(given, str) else json.dumps(given), type_)


def column(cells: Sequence[str], type_: DataType) -> pa.Array:
    """The cells of a column as Arrow. Raises ValueError."""
    return pa.array([parse(cell, type_) for cell in cells], type_.arrow_type())


def shown_column(given: pa.ChunkedArray, type_: DataType) -> list[str]:
    """Every value of a column as a cell. Timestamps are read as numbers, so that no digit is lost."""
    if type_.is_timestamp:
        given = given.cast(type_.arrow_type()).cast(pa.int64())
    return [show(value, type_) for value in given.to_pylist()]


def show(value: Any, type_: DataType) -> str:
    """A value as a cell; `parse` gives it back."""
    if value is None:
        return "NULL"
    if type_.root in ("ARRAY", "MAP", "MULTISET", "ROW"):
        return json.dumps(_to_json(value, type_), ensure_ascii=False)
    text = _shown(value, type_)
    plain = text not in ("", "NULL") and not text.startswith('"') and "\n" not in text and split(text) == [text]
    return text if plain else json.dumps(text, ensure_ascii=False)


def _shown(value: Any, type_: DataType) -> str:
    match type_.root:
        case "BOOLEAN":
            return "true" if value else "false"
        case "DECIMAL":
            return f"{value:f}"
        case "TIMESTAMP" | "TIMESTAMP_LTZ":
            ns = value if isinstance(value, int) else _nanoseconds(value)
            ns = ns * 1000 if isinstance(value, int) and type_.precision <= 6 else ns
            return shown_moment(ns, "Z" if type_.root == "TIMESTAMP_LTZ" else "")
        case "DATE" | "TIME":
            text: str = value.isoformat()
            return text
        case "BINARY" | "VARBINARY":
            return _shown_bytes(value)
        case "FLOAT" | "DOUBLE":
            return repr(value)
    return str(value)


def _nanoseconds(value: dt.datetime) -> int:
    since = (value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value) - _EPOCH
    return ((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def _shown_bytes(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "0x" + value.hex()
    return text if text.isprintable() and not text.startswith("0x") else "0x" + value.hex()


def _to_json(value: Any, type_: DataType) -> Any:
    if value is None:
        return None
    match type_.root:
        case "ARRAY":
            return [_to_json(v, type_.children[0]) for v in value]
        case "MAP" | "MULTISET":
            kind = type_.children[1] if type_.root == "MAP" else DataType("INT")
            pairs = [(_to_json(k, type_.children[0]), _to_json(v, kind)) for k, v in value]
            pairs.sort(key=lambda pair: json.dumps(pair))
            return dict(pairs) if all(isinstance(k, str) for k, _ in pairs) else [list(p) for p in pairs]
        case "ROW":
            return {n: _to_json(v, t) for (n, v), t in zip(value.items(), type_.children, strict=True)}
        case "TINYINT" | "SMALLINT" | "INT" | "BIGINT" | "FLOAT" | "DOUBLE" | "BOOLEAN":
            return value
        case _:
            return _shown(value, type_)

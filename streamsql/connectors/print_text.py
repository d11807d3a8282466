"""Rows as Flink's `print` writes them: the text of Java's `Row.toString`, made column by column.

    +I[a, 1.0, 2024-01-01T12:00, [1, 2], {k=v}, +I[nested, null]]

Only what Java writes in no pattern (a double in scientific notation, an interval) is made value by
value.
"""

from __future__ import annotations

import decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamsql.core.types import DataType

NULL = "null"


def rows_text(columns: list[pa.Array], types: list[DataType], kind: pa.Array | str) -> pa.Array:
    """One text a row: `+I[…]`; `kind` is `+I`, `-U`, `+U` or `-D`, one for all or one a row."""
    if not columns:
        return pc.binary_join_element_wise(kind, pa.array(["[]"] * len(kind)), "")
    parts = [text(column, t) for column, t in zip(columns, types, strict=True)]
    inside = pc.binary_join_element_wise(*parts, ", ")
    return pc.binary_join_element_wise(kind, "[", inside, "]", "")


def text(values: pa.Array, kind: DataType) -> pa.Array:
    """The text of each value, `null` for NULL."""
    return pc.fill_null(_text(values, kind), NULL)


def _text(values: pa.Array, kind: DataType) -> pa.Array:
    match kind.root:
        case "CHAR" | "VARCHAR" | "VARIANT":
            return values
        case "FLOAT" | "DOUBLE":
            return _approximate(values)
        case "TIMESTAMP":
            return _short_time(pc.strftime(values, "%Y-%m-%dT%H:%M:%S"), "T")
        case "TIMESTAMP_LTZ":
            moments = _short_fraction(pc.strftime(values, "%Y-%m-%dT%H:%M:%S"))
            return pc.binary_join_element_wise(moments, "Z", "")
        case "TIME":
            return _short_time(values.cast(pa.string()), "^")
        case "BINARY" | "VARBINARY":
            return _list(_signed_bytes(values), DataType("TINYINT"))
        case "ARRAY":
            return _list(values, kind.children[0])
        case "MAP" | "MULTISET":
            return _map(values, kind)
        case "ROW":
            return _row(values, kind)
        case "INTERVAL YEAR TO MONTH" | "INTERVAL DAY TO SECOND":
            return pa.array([None if v is None else _interval(*v) for v in values.to_pylist()], pa.string())
        case _:
            return values.cast(pa.string())


def _approximate(values: pa.Array) -> pa.Array:
    """Java's `Double.toString`: at least one digit after the point, `1.0E10` from 10⁷ and below 10⁻³."""
    size = pc.abs(values)
    plain = pc.or_kleene(pc.equal(size, 0), pc.and_kleene(pc.greater_equal(size, 1e-3), pc.less(size, 1e7)))
    shown = values.cast(pa.string())
    shown = pc.if_else(pc.match_substring(shown, "."), shown, pc.binary_join_element_wise(shown, ".0", ""))
    odd = pc.and_(pc.is_valid(values), pc.invert(pc.fill_null(plain, True)))
    if not pc.any(odd).as_py():
        return shown
    written = values.filter(odd).cast(pa.string()).to_pylist()
    return pc.replace_with_mask(shown, odd, pa.array([_scientific(text) for text in written], pa.string()))


def _scientific(written: str) -> str:
    number = decimal.Decimal(written)
    if number.is_nan():
        return "NaN"
    if number.is_infinite():
        return "-Infinity" if number < 0 else "Infinity"
    digits = "".join(map(str, number.as_tuple().digits)).rstrip("0") or "0"
    return f"{'-' if number < 0 else ''}{digits[0]}.{digits[1:] or '0'}E{number.adjusted()}"


def _short_fraction(times: pa.Array) -> pa.Array:
    """A fraction in groups of three digits, none if it is zero, as java.time writes it."""
    times = pc.replace_substring_regex(times, r"\.0+$", "")
    times = pc.replace_substring_regex(times, r"(\.\d{3})0{3}(0{3})?$", r"\1")
    return pc.replace_substring_regex(times, r"(\.\d{6})0{3}$", r"\1")


def _short_time(times: pa.Array, before: str) -> pa.Array:
    """Seconds left out where they and the fraction are zero."""
    return pc.replace_substring_regex(_short_fraction(times), rf"({before}\d\d:\d\d):00$", r"\1")


def _signed_bytes(values: pa.Array) -> pa.Array:
    data = values.buffers()[2]
    octets = pa.array(np.frombuffer(data, np.int8) if data else np.array([], np.int8))
    ends = np.frombuffer(values.buffers()[1], np.int32)[values.offset:values.offset + len(values) + 1]
    offsets = pa.array(ends)
    mask = pc.is_null(values) if values.null_count else None
    return pa.ListArray.from_arrays(offsets, octets, mask=mask)


def _list(values: pa.Array, element: DataType) -> pa.Array:
    offsets, mask = _offsets(values)
    inside = pa.ListArray.from_arrays(offsets, text(values.flatten(), element), mask=mask)
    return pc.binary_join_element_wise("[", pc.binary_join(inside, ", "), "]", "")


def _map(values: pa.Array, kind: DataType) -> pa.Array:
    of_value = kind.children[1] if kind.root == "MAP" else DataType("INT")
    offsets, mask = _offsets(values)
    entries = values.cast(pa.list_(pa.struct([("k", values.type.key_type), ("v", values.type.item_type)])))
    keys, items = entries.flatten().flatten()
    pairs = pc.binary_join_element_wise(text(keys, kind.children[0]), text(items, of_value), "=")
    inside = pa.ListArray.from_arrays(offsets, pairs, mask=mask)
    return pc.binary_join_element_wise("{", pc.binary_join(inside, ", "), "}", "")


def _offsets(values: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """Offsets into the flattened values, in which NULL lists have no entries."""
    entries = values.cast(pa.list_(pa.struct([("k", values.type.key_type), ("v", values.type.item_type)]))) \
        if pa.types.is_map(values.type) else values
    lengths = pc.fill_null(pc.list_value_length(entries), 0).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.array(offsets), pc.is_null(values) if values.null_count else None


def _row(values: pa.Array, kind: DataType) -> pa.Array:
    shown = rows_text(values.flatten(), list(kind.children), pa.array(["+I"] * len(values)))
    return pc.if_else(pc.is_valid(values), shown, None)


def _interval(months: int, days: int, nanoseconds: int) -> str:
    """`java.time.Period` for months, `java.time.Duration` for days and below."""
    if months:
        years, rest = (abs(months) // 12, abs(months) % 12)
        sign = "-" if months < 0 else ""
        return "P" + "".join(f"{sign}{n}{unit}" for n, unit in ((years, "Y"), (rest, "M")) if n)
    total = days * 86_400_000_000_000 + nanoseconds
    if not total:
        return "PT0S"
    sign, total = ("-", -total) if total < 0 else ("", total)
    seconds, fraction = divmod(total, 1_000_000_000)
    shown = f"{seconds % 60}" + (f".{fraction:09d}".rstrip("0") if fraction else "")
    parts = ((f"{seconds // 3600}", "H"), (f"{seconds // 60 % 60}", "M"), (shown, "S"))
    return "PT" + "".join(f"{sign}{n}{unit}" for n, unit in parts if n != "0")

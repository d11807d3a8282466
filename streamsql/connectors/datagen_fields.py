"""The fields of datagen: which options a type has, and what makes its values.

One `Field` makes one column, or one element, key or member of a nested one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from streamsql.connectors import datagen_random as rnd
from streamsql.connectors.datagen_random import Moments, Numbers
from streamsql.core.options import Option, OptionError, Value
from streamsql.core.schema import Schema
from streamsql.core.types import APPROXIMATE, INTEGERS, INTERVALS, MAX_LENGTH, DataType

WHERE = 'connector "datagen"'
TEXT_LENGTH = 100
"""Default length of STRING and BYTES, as in Flink."""
COLLECTION_LENGTH = 3
_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64}
_WIDTH = {8: np.int8, 16: np.int16, 32: np.int32, 64: np.int64}
_SEQUENCES = (*INTEGERS, *APPROXIMATE, "DECIMAL", "CHAR", "VARCHAR")
_COLLECTIONS = ("ARRAY", "MAP", "MULTISET")
_LARGEST = {"FLOAT": float(np.finfo(np.float32).max), "DOUBLE": float(np.finfo(np.float64).max)}
_DAY_US = 86_400_000_000
_EXACT = Context(prec=80)
_INTERVAL = np.dtype([("months", np.int32), ("days", np.int32), ("nanoseconds", np.int64)])


class Values(Protocol):
    """Makes the values of the rows with these numbers, at these moments (UTC µs)."""

    def __call__(self, numbers: Numbers, moments: Moments, /) -> pa.Array: ...


@dataclass(frozen=True, slots=True)
class Field:
    """Values, some of them NULL. `rows` is how many there are, None without end."""

    values: Values
    width_bytes: int
    null_rate: float = 0.0
    null_stream: int = 0
    rows: int | None = None

    def array(self, numbers: Numbers, moments: Moments) -> pa.Array:
        made = self.values(numbers, moments)
        if not self.null_rate:
            return made
        absent = rnd.fractions(self.null_stream, numbers) < self.null_rate
        return made.take(pa.array(np.arange(len(numbers)), mask=absent))


def options(schema: Schema) -> tuple[Option, ...]:
    """Every `fields.…` option that columns of these types have."""
    return tuple(option for c in schema for option in _options(f"fields.{c.name}", c.type, top=True))


def _options(path: str, kind: DataType, top: bool = False) -> Iterator[Option]:
    yield Option(f"{path}.kind", choices=("random", "sequence"))
    yield Option(f"{path}.null-rate", "float")
    root = kind.root
    if kind.is_numeric:
        bound = "int" if kind.is_integer else "float" if root in APPROXIMATE else "string"
        yield Option(f"{path}.min", bound)  # type: ignore[arg-type]
        yield Option(f"{path}.max", bound)  # type: ignore[arg-type]
    if top and root in _SEQUENCES:
        yield Option(f"{path}.start", "int")
        yield Option(f"{path}.end", "int")
    if kind.is_timestamp:
        yield Option(f"{path}.max-past", "duration")
    if kind.is_character or kind.is_binary:
        yield Option(f"{path}.var-len", "bool")
    if kind.is_character or kind.is_binary or root in _COLLECTIONS:
        yield Option(f"{path}.length", "int")
    for name, child in _children(kind):
        yield from _options(f"{path}.{name}", child)


def _children(kind: DataType) -> list[tuple[str, DataType]]:
    parts = {"ARRAY": ("element",), "MULTISET": ("element",), "MAP": ("key", "value")}
    return list(zip(parts.get(kind.root, kind.names), kind.children, strict=True))


@dataclass(frozen=True, slots=True)
class Fields:
    """Makes Fields from the options given in WITH, already parsed and known to exist."""

    given: Mapping[str, Value]
    seed: int

    def field(self, path: str, kind: DataType) -> Field:
        """Raises OptionError for an option that has no meaning here, and for a value out of range."""
        rate = self._number(f"{path}.null-rate", 0.0)
        if not 0 <= rate <= 1:
            raise self._refused(f"{path}.null-rate", "Write a number from 0 to 1.")
        if rate and not kind.nullable:
            raise self._refused(f"{path}.null-rate", "Remove it, or NOT NULL from the column.")
        sequence = self.given.get(f"{path}.kind") == "sequence"
        self._meaningless(path, ("min", "max", "length", "var-len") if sequence else ("start", "end"),
                          "sequence" if sequence else "random")
        null_stream = rnd.stream(self.seed, f"{path}?")
        if sequence:
            values, rows = self._sequence(path, kind)
            return Field(values, 32, rate, null_stream, rows)
        values, width = self._random(path, kind)
        return Field(values, width, rate, null_stream)

    def _refused(self, key: str, hint: str) -> OptionError:
        return OptionError(f'option "{key}" of {WHERE} is "{self.given[key]}"', key, hint)

    def _meaningless(self, path: str, names: tuple[str, ...], kind: str) -> None:
        for key in (f"{path}.{name}" for name in names):
            if key in self.given:
                other = "random" if kind == "sequence" else "sequence"
                raise OptionError(f'option "{key}" has no meaning with \'{path}.kind\'=\'{kind}\'', key,
                                  f"Remove it, or write '{path}.kind'='{other}'.")

    def _number(self, key: str, default: float) -> float:
        value = self.given.get(key)
        return default if value is None else float(value)  # type: ignore[arg-type]

    def _integer(self, key: str, default: int) -> int:
        value = self.given.get(key)
        return default if value is None else int(value)  # type: ignore[arg-type]

    def _sequence(self, path: str, kind: DataType) -> tuple[Values, int]:
        if kind.root not in _SEQUENCES or path.count(".") != 1:
            raise OptionError(f'{WHERE} makes no sequence of {kind.root} for "{path}"', f"{path}.kind",
                              f"Sequences are for columns of the types {', '.join(_SEQUENCES)}.")
        for key in (f"{path}.start", f"{path}.end"):
            if key not in self.given:
                raise OptionError(f'{WHERE} needs the option "{key}"', f"{path}.kind",
                                  "A sequence counts from start to end, both included.")
        start, end = self._integer(f"{path}.start", 0), self._integer(f"{path}.end", 0)
        if end < start:
            raise self._refused(f"{path}.end", f"Write a number that is not below the start, {start}.")
        least, most = _range(kind) if kind.is_integer else (-(2**63), 2**63 - 1)
        for key, number in ((f"{path}.start", start), (f"{path}.end", end)):
            if not least <= number <= most:
                raise self._refused(key, f"Write a number from {least} to {most}.")

        def values(numbers: Numbers, _: Moments) -> pa.Array:
            counted = pa.array(numbers.astype(np.int64) + start)
            return counted.cast(pa.decimal128(38, 0)).cast(kind.arrow_type()) if kind.root == "DECIMAL" \
                else counted.cast(kind.arrow_type())
        return values, end - start + 1

    def _random(self, path: str, kind: DataType) -> tuple[Values, int]:
        """What makes values of a type, and about how many bytes one takes."""
        stream = rnd.stream(self.seed, path)
        match kind.root:
            case "BOOLEAN":
                return (lambda numbers, _: pa.array(rnd.below(stream, numbers, 2) == 1)), 1
            case root if root in _BITS or root == "DECIMAL":
                return self._whole(path, kind, stream), 16
            case "FLOAT" | "DOUBLE":
                return self._approximate(path, kind, stream), 8
            case "CHAR" | "VARCHAR" | "BINARY" | "VARBINARY":
                return self._text(path, kind, stream)
            case "TIMESTAMP" | "TIMESTAMP_LTZ" | "DATE" | "TIME":
                return self._moment(path, kind, stream), 8
            case root if root in INTERVALS:
                return _interval(kind, stream), 16
            case "ARRAY" | "MAP" | "MULTISET":
                return self._collection(path, kind)
            case "ROW":
                return self._row(path, kind)
            case _:
                raise OptionError(f'{WHERE} cannot make values of type {kind} for "{path}"', None,
                                  "Leave the column out, or compute it from others.")

    def _whole(self, path: str, kind: DataType, stream: int) -> Values:
        least, most = _range(kind)
        low, high = (self._scaled(f"{path}.{name}", kind, default, (least, most))
                     for name, default in (("min", 0 if kind.root == "DECIMAL" else least), ("max", most)))
        self._ordered(path, low, high)
        bits = _BITS.get(kind.root)

        def values(numbers: Numbers, _: Moments) -> pa.Array:
            found = rnd.between(stream, numbers, low, high)
            if bits:
                return pa.array(found[:, 0].astype(np.int64).astype(_WIDTH[bits]))
            return pa.Array.from_buffers(kind.arrow_type(), len(numbers), [None, pa.py_buffer(found)])
        return values

    def _scaled(self, key: str, kind: DataType, default: int, bounds: tuple[int, int]) -> int:
        if key not in self.given:
            return default
        try:
            number = Decimal(str(self.given[key])).scaleb(kind.scale, _EXACT)
            unscaled = int(number.to_integral_value(context=_EXACT))
        except (InvalidOperation, ValueError, OverflowError):
            raise self._refused(key, "Write a number.") from None
        if not bounds[0] <= unscaled <= bounds[1]:
            raise self._refused(key, f"Write a number that fits {kind.as_nullable()}.")
        return unscaled

    def _ordered(self, path: str, low: float, high: float) -> None:
        if low > high:
            key = f"{path}.max" if f"{path}.max" in self.given else f"{path}.min"
            raise self._refused(key, f'"{path}.min" must not be above "{path}.max".')

    def _approximate(self, path: str, kind: DataType, stream: int) -> Values:
        largest = _LARGEST[kind.root]
        low, high = self._number(f"{path}.min", 0.0), self._number(f"{path}.max", largest)
        for key, number in ((f"{path}.min", low), (f"{path}.max", high)):
            if not math.isfinite(number) or abs(number) > largest:
                raise self._refused(key, f"Write a number that fits {kind.as_nullable()}.")
        self._ordered(path, low, high)

        def values(numbers: Numbers, _: Moments) -> pa.Array:
            part = rnd.fractions(stream, numbers)
            found = np.clip(low * (1 - part) + high * part, low, high)
            return pa.array(found.astype(np.float32 if kind.root == "FLOAT" else np.float64))
        return values

    def _text(self, path: str, kind: DataType, stream: int) -> tuple[Values, int]:
        fixed, key = kind.root in ("CHAR", "BINARY"), f"{path}.length"
        for name in ("length", "var-len"):
            if fixed and f"{path}.{name}" in self.given:
                raise OptionError(f'option "{path}.{name}" has no meaning for {kind.as_nullable()}',
                                  f"{path}.{name}", "The length is the declared one.")
        length = self._integer(key, TEXT_LENGTH if kind.precision == MAX_LENGTH else kind.precision)
        if not 0 < length <= min(kind.precision, 1 << 20):
            if key in self.given:
                raise self._refused(key, f"Write a number from 1 to {min(kind.precision, 1 << 20)}.")
            raise OptionError(f'{WHERE} needs the option "{key}" for {kind.as_nullable()}', None,
                              f"It is at most {1 << 20}.")
        varies = self.given.get(f"{path}.var-len") is True
        make = rnd.hex_digits if kind.is_character else rnd.octets
        lengths_stream = rnd.stream(self.seed, f"{path}#")

        def values(numbers: Numbers, _: Moments) -> pa.Array:
            lengths = rnd.below(lengths_stream, numbers, length) + 1 if varies else None
            return rnd.variable(make(stream, numbers, length), lengths, kind.arrow_type())
        return values, length + 16

    def _moment(self, path: str, kind: DataType, stream: int) -> Values:
        past_us = self._integer(f"{path}.max-past", 0) * 1000
        unit_us = 10 ** (6 - min(kind.precision, 6))

        def values(numbers: Numbers, moments: Moments) -> pa.Array:
            at = moments - rnd.below(stream, numbers, past_us + 1) if past_us else moments
            if kind.root == "DATE":
                return pa.array((at // _DAY_US).astype(np.int32)).cast(pa.date32())
            at = at // unit_us * unit_us
            if kind.root == "TIME":
                return pa.array(at % _DAY_US).cast(pa.time64("us"))
            return pa.array(at * (1000 if kind.precision > 6 and kind.root == "TIMESTAMP" else 1)).cast(
                kind.arrow_type())
        return values

    def _collection(self, path: str, kind: DataType) -> tuple[Values, int]:
        length = self._integer(f"{path}.length", COLLECTION_LENGTH)
        if not 0 <= length <= 1 << 16:
            raise self._refused(f"{path}.length", f"Write a number from 0 to {1 << 16}.")
        parts = [self.field(f"{path}.{name}", child) for name, child in _children(kind)]
        if kind.root != "ARRAY" and (kind.children[0].children or parts[0].null_rate):
            raise OptionError(f'{WHERE} cannot make keys of type {kind.children[0]} for "{path}"',
                              None, "Keys are not nested and never NULL.")
        if kind.root == "MULTISET":
            count = rnd.stream(self.seed, f"{path}*")
            parts.append(Field(lambda numbers, _: pa.array(
                (rnd.below(count, numbers, 10) + 1).astype(np.int32)), 4))

        def values(numbers: Numbers, moments: Moments) -> pa.Array:
            each: Any = (numbers[:, None] * np.uint64(length) + np.arange(length, dtype=np.uint64)).reshape(-1)
            made = [part.array(each, np.repeat(moments, length)) for part in parts]
            offsets = np.arange(len(numbers) + 1, dtype=np.int32) * np.int32(length)
            if kind.root == "ARRAY":
                return pa.ListArray.from_arrays(pa.array(offsets), made[0])
            return _distinct(offsets, made[0], made[1]).cast(kind.arrow_type())
        return values, 16 + length * sum(part.width_bytes for part in parts)

    def _row(self, path: str, kind: DataType) -> tuple[Values, int]:
        parts = [self.field(f"{path}.{name}", child) for name, child in _children(kind)]

        def values(numbers: Numbers, moments: Moments) -> pa.Array:
            return pa.StructArray.from_arrays([part.array(numbers, moments) for part in parts],
                                              fields=list(kind.arrow_type()))
        return values, sum(part.width_bytes for part in parts)


def _range(kind: DataType) -> tuple[int, int]:
    """The least and the largest value, a DECIMAL without its point."""
    if kind.root == "DECIMAL":
        return 1 - 10**kind.precision, 10**kind.precision - 1
    half: int = 2 ** (_BITS[kind.root] - 1)
    return -half, half - 1


def _interval(kind: DataType, stream: int) -> Callable[[Numbers, Moments], pa.Array]:
    """Below 100 years, or below 100 days with milliseconds."""
    def values(numbers: Numbers, _: Moments) -> pa.Array:
        found = np.zeros(len(numbers), _INTERVAL)
        if kind.root == "INTERVAL YEAR TO MONTH":
            found["months"] = rnd.below(stream, numbers, 1200)
        else:
            found["nanoseconds"] = rnd.below(stream, numbers, 8_640_000_000) * 1_000_000
        return pa.Array.from_buffers(pa.month_day_nano_interval(), len(numbers), [None, pa.py_buffer(found)])
    return values


def _distinct(
    offsets: np.ndarray[tuple[int], np.dtype[np.int32]], keys: pa.Array, items: pa.Array
) -> pa.Array:
    """Maps of these entries; of equal keys in one map the first stays."""
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    encoded = keys.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    _, kept = np.unique(owner * max(1, len(encoded.dictionary)) + codes, return_index=True)
    kept.sort()
    ends = np.zeros(len(offsets), np.int32)
    np.cumsum(np.bincount(owner[kept], minlength=len(offsets) - 1), out=ends[1:])
    return pa.MapArray.from_arrays(pa.array(ends), keys.take(pa.array(kept)), items.take(pa.array(kept)))

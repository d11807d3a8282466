"""Random numbers that are a pure function of (seed, number): what makes datagen repeatable.

A counter is hashed instead of a state being advanced (SplitMix64: Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", 2014), so that a row is the same however the rows are
cut into batches and wherever a run resumes.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

Numbers = np.ndarray[tuple[int], np.dtype[np.uint64]]
"""The number of each value in its stream: of a row, or of an element of all rows' elements."""

Moments = np.ndarray[tuple[int], np.dtype[np.int64]]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_LOW = np.uint64(0xFFFFFFFF)
_HEX = np.frombuffer(b"".join(b"%02x" % n for n in range(256)), np.uint16)


def stream(seed: int, name: str) -> int:
    """The start of the stream of that name, 64 bits."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "little")


def words(start: int, numbers: Numbers) -> Numbers:
    """64 random bits for each number."""
    bits = (numbers + np.uint64(1)) * _GOLDEN + np.uint64(start)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def below(start: int, numbers: Numbers, count: int | Moments) -> Moments:
    """Whole numbers in [0, count); the count may be another for each."""
    return (words(start, numbers) % np.asarray(count).astype(np.uint64)).astype(np.int64)


def fractions(start: int, numbers: Numbers) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Numbers in [0, 1), of 53 bits."""
    return (words(start, numbers) >> np.uint64(11)).astype(np.float64) * np.float64(2.0**-53)


def _product(a: Numbers, b: int) -> tuple[Numbers, Numbers]:
    """The low and high halves of the 128-bit product."""
    a0, a1 = a & _LOW, a >> np.uint64(32)
    b0, b1 = np.uint64(b & 0xFFFFFFFF), np.uint64(b >> 32)
    middle = (a0 * b0 >> np.uint64(32)) + (a0 * b1 & _LOW) + (a1 * b0 & _LOW)
    low = (a0 * b0 & _LOW) | (middle << np.uint64(32))
    return low, a1 * b1 + (a0 * b1 >> np.uint64(32)) + (a1 * b0 >> np.uint64(32)) + (middle >> np.uint64(32))


def between(start: int, numbers: Numbers, least: int, most: int) -> np.ndarray[
        tuple[int, int], np.dtype[np.uint64]]:
    """Whole numbers in [least, most] as 128-bit two's complement, low half first.

    It is `least + (random * size >> 64)` with a size of up to 128 bits.
    """
    size, random = most - least + 1, words(start, numbers)
    low, high = _product(random, size >> 64)
    carried = low + _product(random, size & (2**64 - 1))[1]
    high = high + (carried < low)
    first = least % 2**128
    total = np.empty((len(numbers), 2), np.uint64)
    total[:, 0] = carried + np.uint64(first & (2**64 - 1))
    total[:, 1] = high + np.uint64(first >> 64) + (total[:, 0] < carried)
    return total


def octets(start: int, numbers: Numbers, length: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """`length` random bytes for each number."""
    count = -(-length // 8) or 1
    each: Any = numbers[:, None] * np.uint64(count) + np.arange(count, dtype=np.uint64)
    return words(start, each.reshape(-1)).view(np.uint8).reshape(len(numbers), 8 * count)[:, :length]


def hex_digits(start: int, numbers: Numbers, length: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """`length` hexadecimal digits for each number, as ASCII."""
    pairs = _HEX[octets(start, numbers, (length + 1) // 2)]
    return pairs.view(np.uint8).reshape(len(numbers), -1)[:, :length]


def variable(cells: np.ndarray[tuple[int, int], np.dtype[np.uint8]], lengths: Moments | None,
             kind: pa.DataType) -> pa.Array:
    """Rows of bytes as strings or binaries; of each row only its length."""
    count, width = cells.shape
    offsets = np.zeros(count + 1, np.int32)
    if lengths is None:
        offsets[1:] = np.arange(1, count + 1) * width
        data = np.ascontiguousarray(cells)
    else:
        np.cumsum(lengths, out=offsets[1:])
        data = cells[np.arange(width) < lengths[:, None]]
    return pa.Array.from_buffers(kind, count, [None, pa.py_buffer(offsets), pa.py_buffer(data)])

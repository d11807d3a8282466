"""The portable format of RoaringBitmap, in which BITMAP_TO_BYTES and BITMAP_FROM_BYTES speak to other systems."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence

_NO_RUNS, _RUNS = 12346, 12347
_ARRAY_SIZE = 4096
"""A container of more members is a bit set."""
_NO_OFFSETS = 4
"""With run containers, fewer containers than this have no table of offsets."""


def to_bytes(members: Sequence[int]) -> bytes:
    """The bytes of members in order, 0 to 2**32 - 1."""
    containers = [(key, [m & 0xFFFF for m in group])
                  for key, group in itertools.groupby(members, lambda m: m >> 16)]
    bodies = [_body(low) for _, low in containers]
    head = struct.pack("<II", _NO_RUNS, len(containers))
    head += b"".join(struct.pack("<HH", key, len(low) - 1) for key, low in containers)
    start = len(head) + 4 * len(containers)
    offsets = itertools.accumulate((len(b) for b in bodies[:-1]), initial=start) if bodies else ()
    return head + b"".join(struct.pack("<I", o) for o in offsets) + b"".join(bodies)


def _body(low: Sequence[int]) -> bytes:
    if len(low) <= _ARRAY_SIZE:
        return struct.pack(f"<{len(low)}H", *low)
    bits = bytearray(8192)
    for member in low:
        bits[member >> 3] |= 1 << (member & 7)
    return bytes(bits)


def from_bytes(data: bytes) -> list[int]:
    """The members that the bytes hold; raises ValueError if they are no bitmap."""
    try:
        return _members(data)
    except (struct.error, IndexError) as error:
        raise ValueError("the bytes are not a bitmap") from error


def _members(data: bytes) -> list[int]:
    cookie, at = struct.unpack_from("<I", data)[0], 4
    runs = b""
    if cookie & 0xFFFF == _RUNS:
        count = (cookie >> 16) + 1
        runs = data[at:at + (count + 7) // 8]
        at += len(runs)
    elif cookie == _NO_RUNS:
        count, at = struct.unpack_from("<I", data, at)[0], 8
    else:
        raise ValueError("the bytes are not a bitmap")
    heads = list(struct.iter_unpack("<HH", data[at:at + 4 * count]))
    if len(heads) != count:
        raise ValueError("the bytes are not a bitmap")
    at += 4 * count + (4 * count if not runs or count >= _NO_OFFSETS else 0)
    members: list[int] = []
    for index, (key, size) in enumerate(heads):
        run = bool(runs) and bool(runs[index >> 3] >> (index & 7) & 1)
        low, at = _container(data, at, size + 1, run)
        members.extend((key << 16) + m for m in low)
    return members


def _container(data: bytes, at: int, size: int, run: bool) -> tuple[Sequence[int], int]:
    """The members of a container, and where the next begins."""
    if run:
        count = struct.unpack_from("<H", data, at)[0]
        pairs = struct.iter_unpack("<HH", data[at + 2:at + 2 + 4 * count])
        return [m for first, more in pairs for m in range(first, first + more + 1)], at + 2 + 4 * count
    if size <= _ARRAY_SIZE:
        return struct.unpack_from(f"<{size}H", data, at), at + 2 * size
    bits = data[at:at + 8192]
    return [i * 8 + b for i, byte in enumerate(bits) for b in range(8) if byte >> b & 1], at + 8192

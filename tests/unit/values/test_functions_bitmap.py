"""Functions of bitmaps, and RoaringBitmap's format."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest

from streamsql.errors import DataError, SQLTypeError
from streamsql.state.database import Database
from streamsql.values import roaring
from streamsql.values.typed import Typed
from tests.unit.values import calls
from tests.unit.values.calls import Value


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with calls.database() as opened:
        yield opened


def bitmap(*members: int) -> Typed:
    return calls.bound("BITMAP_BUILD", [calls.constant(list(members))])


@pytest.mark.parametrize(("name", "args", "expected"), [
    ("BITMAP_AND", [bitmap(1, 2), bitmap(2, 3)], [2]), ("BITMAP_OR", [bitmap(3), bitmap(1, 3)], [1, 3]),
    ("BITMAP_XOR", [bitmap(1, 2), bitmap(2, 3)], [1, 3]), ("BITMAP_ANDNOT", [bitmap(1, 2), bitmap(2)], [1]),
    ("BITMAP_CARDINALITY", [bitmap(1, 1, 2)], 2), ("BITMAP_TO_STRING", [bitmap(3, 1, -1)], "{1,3,4294967295}"),
    ("BITMAP_TO_ARRAY", [bitmap(3, -1, 1)], [1, 3, -1]),
    ("BITMAP_TO_BYTES", [bitmap(1)], bytes.fromhex("3a300000010000000000000010000000" + "0100")),
])
def test_value(database: Database, name: str, args: Sequence[Value], expected: Value) -> None:
    assert calls.on_constants(database, name, *args) == expected


def test_a_bitmap_is_built_from_a_column(database: Database) -> None:
    calls.check(database, "BITMAP_BUILD", [[3, None, 1, 3]], [1, 3])


def test_the_format_gives_back_what_it_was_given() -> None:
    chosen = random.Random(1)
    for size in (0, 1, 100, 5000, 20000):
        members = [*sorted(chosen.sample(range(200_000), size)), 2**32 - 1]
        assert roaring.from_bytes(roaring.to_bytes(members)) == members


def test_runs_are_read() -> None:
    """One container of key 0 with the run 5 to 7, as RoaringBitmap writes it after runOptimize."""
    assert roaring.from_bytes(bytes.fromhex("3b300000" + "01" + "00000200" + "0100" + "05000200")) == [5, 6, 7]


def test_other_bytes_are_refused(database: Database) -> None:
    with pytest.raises(DataError, match="not a bitmap"):
        calls.on_constants(database, "BITMAP_FROM_BYTES", b"\1\2")


def test_other_arrays_are_refused() -> None:
    with pytest.raises(SQLTypeError, match="array of INT"):
        calls.bound("BITMAP_BUILD", [calls.constant(["a"])])

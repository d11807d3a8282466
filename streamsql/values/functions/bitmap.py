"""Functions of bitmaps: sets of 32-bit numbers, ordered as unsigned."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamsql.core.types import BIGINT, BYTES, INT, STRING, DataType, array
from streamsql.errors import SQLTypeError
from streamsql.values.let import let, let_all
from streamsql.values.typed import Function, Typed

BITMAP = DataType("BITMAP")
Arguments = Sequence[Typed]


def _of_integers(args: Arguments) -> DataType:
    if args[0].type.children[0].root not in ("TINYINT", "SMALLINT", "INT"):
        raise SQLTypeError(f'function "BITMAP_BUILD" takes an array of INT, not {args[0].type}')
    return BITMAP


def _build(args: Arguments) -> str:
    unsigned = f"list_transform({args[0].sql}, lambda e: CAST(e AS BIGINT) & 4294967295)"
    return f"list_sort(list_filter(list_distinct({unsigned}), lambda e: e IS NOT NULL))"


def _combined(text: str) -> Callable[[Arguments], str]:
    """A list of the members of two bitmaps, brought into order."""
    return lambda args: let_all([a.sql for a in args], lambda n: (
        f"CASE WHEN {n[0]} IS NOT NULL AND {n[1]} IS NOT NULL THEN list_sort({text.format(*n)}) END"))


_LEFT = "list_filter({0}, lambda e: NOT list_contains({1}, e))"
_RIGHT = "list_filter({1}, lambda e: NOT list_contains({0}, e))"
_TWO = ("bitmap", "bitmap")

FUNCTIONS = (
    Function("BITMAP_AND", "BITMAP_AND(bitmap, other)", _TWO, BITMAP,
             _combined("list_filter({0}, lambda e: list_contains({1}, e))"), "The members of both.",
             "BITMAP_TO_STRING(BITMAP_AND(BITMAP_BUILD(ARRAY[1, 2]), BITMAP_BUILD(ARRAY[2, 3]))) = '{2}'"),
    Function("BITMAP_ANDNOT", "BITMAP_ANDNOT(bitmap, other)", _TWO, BITMAP, _combined(_LEFT),
             "The members that the other has not.",
             "BITMAP_TO_STRING(BITMAP_ANDNOT(BITMAP_BUILD(ARRAY[1, 2]), BITMAP_BUILD(ARRAY[2]))) = '{1}'"),
    Function("BITMAP_BUILD", "BITMAP_BUILD(array)", ("array",), _of_integers, _build, "A bitmap of an array of INT.",
             "BITMAP_TO_STRING(BITMAP_BUILD(ARRAY[3, 1])) = '{1,3}'"),
    Function("BITMAP_CARDINALITY", "BITMAP_CARDINALITY(bitmap)", ("bitmap",), BIGINT, "len({0})",
             "How many members.", "BITMAP_CARDINALITY(BITMAP_BUILD(ARRAY[1, 1, 2])) = 2"),
    Function("BITMAP_FROM_BYTES", "BITMAP_FROM_BYTES(bytes)", ("binary",), BITMAP, "f_bitmap_from_bytes({0})",
             "The bitmap that bytes in RoaringBitmap's format hold.",
             "BITMAP_TO_STRING(BITMAP_FROM_BYTES(BITMAP_TO_BYTES(BITMAP_BUILD(ARRAY[7])))) = '{7}'"),
    Function("BITMAP_OR", "BITMAP_OR(bitmap, other)", _TWO, BITMAP, _combined(f"list_concat({{0}}, {_RIGHT})"),
             "The members of either.",
             "BITMAP_TO_STRING(BITMAP_OR(BITMAP_BUILD(ARRAY[2]), BITMAP_BUILD(ARRAY[1]))) = '{1,2}'"),
    Function("BITMAP_TO_ARRAY", "BITMAP_TO_ARRAY(bitmap)", ("bitmap",), array(INT),
             lambda args: let(args[0].sql, lambda b: f"list_transform({b}, lambda e: CAST(CASE WHEN e > 2147483647 "
                                                     "THEN e - 4294967296 ELSE e END AS INTEGER))", "bitmap"),
             "The members, in order as unsigned numbers.", "BITMAP_TO_ARRAY(BITMAP_BUILD(ARRAY[3, 1])) = ARRAY[1, 3]"),
    Function("BITMAP_TO_BYTES", "BITMAP_TO_BYTES(bitmap)", ("bitmap",), BYTES, "f_bitmap_to_bytes({0})",
             "The bitmap in RoaringBitmap's format.",
             "BITMAP_CARDINALITY(BITMAP_FROM_BYTES(BITMAP_TO_BYTES(BITMAP_BUILD(ARRAY[7])))) = 1"),
    Function("BITMAP_TO_STRING", "BITMAP_TO_STRING(bitmap)", ("bitmap",), STRING,
             "'{{' || array_to_string({0}, ',') || '}}'", "The members as text.",
             "BITMAP_TO_STRING(BITMAP_BUILD(ARRAY[1, 2])) = '{1,2}'"),
    Function("BITMAP_XOR", "BITMAP_XOR(bitmap, other)", _TWO, BITMAP, _combined(f"list_concat({_LEFT}, {_RIGHT})"),
             "The members of one alone.",
             "BITMAP_TO_STRING(BITMAP_XOR(BITMAP_BUILD(ARRAY[1, 2]), BITMAP_BUILD(ARRAY[2, 3]))) = '{1,3}'"),
)

"""Flink's aggregates of bitmaps: a bitmap is the list of its members, in order as unsigned numbers.

BITMAP_BUILD_AGG of no values is NULL; the others are NULL where there is no bitmap, and else may be empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamsql.aggregates.aggregate import Final, Function, Partial, Partials, Rows, only
from streamsql.core.typed import Typed
from streamsql.core.types import BIGINT, DataType

_BITMAP = DataType("BITMAP")
_ONE = "CASE WHEN {{a}} IS NULL THEN {{b}} WHEN {{b}} IS NULL THEN {{a}} ELSE {} END"


def _joined(lists: str) -> str:
    return f"list_sort(list_distinct(flatten({lists})))"


def _common(lists: str) -> str:
    return f"list_sort(list_reduce({lists}, lambda a, b: list_intersect(a, b)))"


def _odd(lists: str) -> str:
    """The members of an odd number of the bitmaps."""
    counts = f"map_entries(list_histogram(flatten({lists})))"
    members = f"list_transform(list_filter({counts}, lambda e: e.value % 2 = 1), lambda e: e.key)"
    return f"CASE WHEN {lists} IS NOT NULL THEN coalesce(list_sort({members}), []) END"


def _merged(of: Callable[[str], str], step: str) -> Partial:
    return Partial(step, of("list({}) FILTER (WHERE {} IS NOT NULL)"), _ONE.format(of("[{a}, {b}]")))


def _built(rows: Rows) -> tuple[Partial, ...]:
    value = rows.args[0]
    members = f"list(CAST({value} AS BIGINT) & 4294967295){rows.where(f'{value} IS NOT NULL')}"
    return (_merged(_joined, f"list_sort(list_distinct({members}))"),)


def _of_bitmaps(of: Callable[[str], str]) -> Partials:
    def partials(rows: Rows) -> tuple[Partial, ...]:
        value = rows.args[0]
        return (_merged(of, of(rows.apply("list", value, more=f"{value} IS NOT NULL"))),)
    return partials


def _size(columns: Sequence[str], _types: Sequence[DataType], _kind: DataType) -> str:
    return f"len({columns[0]})"


def _result(kind: DataType) -> Callable[[Sequence[Typed]], DataType]:
    return lambda _args: kind


def _pair(name: str, takes: str, partials: Partials, doc: str, *, examples: tuple[str, str],
          family: str = "bitmap", idempotent: bool = True) -> tuple[Function, Function]:
    """The aggregate that gives a bitmap, and the one that gives the number of its members."""
    def row(called: str, kind: DataType, final: Final, says: str, example: str) -> Function:
        return Function(called, f"{called}({takes})", (family,), _result(kind), partials, says, final,
                        idempotent=idempotent, example=example)
    return (row(f"{name}_AGG", _BITMAP, only, f"Bitmap of {doc}.", examples[0]),
            row(f"{name}_CARDINALITY_AGG", BIGINT, _size, f"How many members the bitmap of {doc} has.", examples[1]))


BITMAPS = (
    *_pair("BITMAP_AND", "bitmap", _of_bitmaps(_common), "the members of all bitmaps",
           examples=("BITMAP_TO_STRING(BITMAP_AND_AGG(BITMAP_BUILD(ARRAY[v, 7]))) = '{7}'",
                     "BITMAP_AND_CARDINALITY_AGG(BITMAP_BUILD(ARRAY[v, 7])) = 1")),
    *_pair("BITMAP_BUILD", "value", _built, "the INT values", family="int",
           examples=("BITMAP_TO_STRING(BITMAP_BUILD_AGG(v)) = '{1,2,4,9}'",
                     "BITMAP_BUILD_CARDINALITY_AGG(v) = 4")),
    *_pair("BITMAP_OR", "bitmap", _of_bitmaps(_joined), "the members of any bitmap",
           examples=("BITMAP_TO_STRING(BITMAP_OR_AGG(BITMAP_BUILD(ARRAY[v, 7]))) = '{1,2,4,7,9}'",
                     "BITMAP_OR_CARDINALITY_AGG(BITMAP_BUILD(ARRAY[v, 7])) = 5")),
    *_pair("BITMAP_XOR", "bitmap", _of_bitmaps(_odd), "the members of an odd number of bitmaps", idempotent=False,
           examples=("BITMAP_TO_STRING(BITMAP_XOR_AGG(BITMAP_BUILD(ARRAY[v, 7]))) = '{1,2,4,7,9}'",
                     "BITMAP_XOR_CARDINALITY_AGG(BITMAP_BUILD(ARRAY[v, 2])) = 4")),
)

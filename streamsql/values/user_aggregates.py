"""How DuckDB calls a user's aggregate function: what generated SQL names, and the accumulators behind it.

    $row       (arguments)       the row's arguments as a STRUCT; tries `accumulate` on an instance of its own, so
                                 that a row that it refuses is known while its record is
    (none)     (list of STRUCTs)           the value of these rows, by an instance that is not kept
    $added     (accumulator, changes)      the accumulator with what a batch brings, and its value: GROUP BY
    $begun     (list of STRUCTs)           the accumulator of these rows: a slice of a window
    $merged    (list of accumulators)      one of all
    $finished  (accumulator)               its value

An accumulator is a BLOB (`values.accumulators`). A change is {'d': +1 or −1, 'r': STRUCT}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streamsql.state.database import refusal
from streamsql.values.accumulators import Accumulators
from streamsql.values.user import Parameter, UserFunction, called_type
from streamsql.values.user_rows import Columns, Over, arguments_of, attempted, combined, no_value, skipped_by, written

Call = tuple[Over, list[str], str]
"""A function, and DuckDB's types of its arguments and its result."""


def calls(f: UserFunction, count: int, arguments: Sequence[str]) -> dict[str, Call]:
    """What DuckDB calls for `f` with `count` arguments of these types, by the part of its name."""
    row, value = f.row_type(count), called_type(f.result.type)
    found: dict[str, Call] = {"$row": (_tried(f, count), list(arguments), row),
                              "": (_aggregated(f, count), [f"{row}[]"], value)}
    if f.accumulates:
        kept = _Kept(f, count)
        found["$added"] = (kept.added, ["BLOB", f"{f.change_type(count)}[]"], f.added_type(count))
        found["$begun"] = (kept.begun, [f"{row}[]"], "BLOB")
        found["$finished"] = (kept.finished, ["BLOB"], value)
    if f.merges:
        found["$merged"] = (kept.merged, ["BLOB[]"], "BLOB")
    return found


def _tried(f: UserFunction, count: int) -> Over:
    """The STRUCT of each row's arguments; NULL for a row with a NULL that `accumulate` does not take."""
    parameters = f.of_arity(count)
    skipped, call = skipped_by(parameters), attempted(f, lambda *row: f.call().accumulate(*row))

    def over(columns: Columns) -> pa.Array:
        kept = []
        for row in arguments_of(columns, parameters):
            kept.append(not skipped(row))
            if kept[-1]:
                call(*row)
        names = [f"a{i}" for i in range(len(columns))]
        return pa.StructArray.from_arrays([combined(c) for c in columns], names,
                                          mask=pa.array([not k for k in kept], pa.bool_()))

    return over


def _aggregated(f: UserFunction, count: int) -> Over:
    parameters = f.of_arity(count)
    made = attempted(f, f.call)

    def accumulated(rows: Iterable[tuple[Any, ...]]) -> Any:
        group = made()
        take = attempted(f, group.accumulate)
        for row in rows:
            take(*row)
        return group

    return lambda columns: _values(f, [accumulated(rows) for rows in _lists(columns[0], parameters)])


def _values(f: UserFunction, groups: Iterable[Any]) -> pa.Array:
    """What `finish` gives of each accumulator. One that fails is the fault of no single record."""
    def value(group: Any) -> Any:
        found = attempted(f, group.finish, whole=True)()
        if found is None and not f.result.type.nullable:
            raise no_value(f, whole=True)
        return found

    return written(f, [value(group) for group in groups], whole=True)


def _lists(column: pa.Array | pa.ChunkedArray, parameters: Sequence[Parameter]) -> Iterator[list[tuple[Any, ...]]]:
    """The arguments of each list's rows, without those that are NULL."""
    for lengths, rows in _flat(column):
        there = rows.is_valid().to_pylist()
        flat = [row if kept else None for row, kept in
                zip(arguments_of(rows.flatten(), parameters), there, strict=True)]
        at = 0
        for length in lengths:
            yield [row for row in flat[at:at + length] if row is not None]
            at += length


def _flat(column: pa.Array | pa.ChunkedArray) -> Iterator[tuple[list[int], pa.StructArray]]:
    """The lengths of a column's lists, 0 where there is none, and their elements one after the other."""
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        yield pc.list_value_length(chunk).fill_null(0).to_pylist(), chunk.flatten()


class _Kept:
    """The evaluation of a function whose accumulators are kept."""

    def __init__(self, f: UserFunction, count: int) -> None:
        self._f, self._parameters = f, f.of_arity(count)
        self._made: Callable[[], Any] = attempted(f, f.call)
        self._accumulators = Accumulators(f.call)
        self._changes = pa.list_(f.change_arrow_type(count))

    def added(self, columns: Columns) -> pa.Array:
        olds = columns[0].to_pylist()
        groups = [self._changed(old, changes) for old, changes in
                  zip(olds, _changes(columns[1], self._parameters), strict=True)]
        parts = [self._dumped(groups), _values(self._f, groups), pa.nulls(len(groups), self._changes)]
        return pa.StructArray.from_arrays(parts, ["kept", "value", "rows"])

    def _changed(self, old: bytes | None, changes: Iterable[tuple[int, tuple[Any, ...]]]) -> Any:
        group = self._made() if old is None else self._loaded(old)
        accumulate = attempted(self._f, group.accumulate)
        retract = attempted(self._f, group.retract) if self._f.retracts else None
        for diff, row in changes:
            if diff > 0:
                accumulate(*row)
            else:
                assert retract is not None
                retract(*row)
        return group

    def begun(self, columns: Columns) -> pa.Array:
        def group(rows: Iterable[tuple[Any, ...]]) -> Any:
            return self._changed(None, ((1, row) for row in rows))

        return self._dumped([group(rows) for rows in _lists(columns[0], self._parameters)])

    def merged(self, columns: Columns) -> pa.Array:
        return self._dumped([self._merged(olds) for olds in columns[0].to_pylist()])

    def _merged(self, olds: Sequence[bytes | None] | None) -> Any:
        groups = [self._loaded(old) for old in olds or () if old is not None]
        first = groups[0] if groups else self._made()
        merge = attempted(self._f, first.merge, whole=True)
        for other in groups[1:]:
            merge(other)
        return first

    def finished(self, columns: Columns) -> pa.Array:
        return _values(self._f, [self._made() if old is None else self._loaded(old) for old in columns[0].to_pylist()])

    def _dumped(self, groups: Sequence[Any]) -> pa.Array:
        try:
            return pa.array([self._accumulators.dumps(group) for group in groups], pa.binary())
        except Exception as error:  # noqa: BLE001 - pickling runs the user's code
            raise refusal(f'the accumulator of function "{self._f.name}" cannot be kept: {error}',
                          "What retracts or merges is kept pickled.", whole=True) from None

    def _loaded(self, data: bytes) -> Any:
        try:
            return self._accumulators.loads(data)
        except Exception as error:  # noqa: BLE001 - as above
            raise refusal(f'an accumulator of function "{self._f.name}" cannot be read: {error}',
                          "It was kept by another version of the function; start from an empty state, or write "
                          "__setstate__.", whole=True) from None


def _changes(column: pa.Array | pa.ChunkedArray,
             parameters: Sequence[Parameter]) -> Iterator[list[tuple[int, tuple[Any, ...]]]]:
    """What comes and goes of each list: +1 or −1, and the arguments."""
    for lengths, changes in _flat(column):
        diffs, rows = (combined(c) for c in changes.flatten())
        flat = list(zip(diffs.to_pylist(), arguments_of(rows.flatten(), parameters), strict=True))
        at = 0
        for length in lengths:
            yield flat[at:at + length]
            at += length

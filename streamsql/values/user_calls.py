"""How DuckDB calls user functions: Arrow columns in, Arrow columns out, and what they raise as DataError.

A function that takes values is called once a row, in Python: about 1 µs a row and argument beside its
own work. One that takes Arrow arrays is called once for each 2048 rows or fewer.

Of an aggregate, generated SQL keeps each row's arguments as a STRUCT, made by `f$row`, which tries
`accumulate` on an instance of its own: so a row that it refuses is known while its record is. The
value is made from the list of a group's STRUCTs.
"""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from streamsql.state.database import refusal
from streamsql.values.annotations import REFUSED, Kind, arrow_of
from streamsql.values.user import UNNAMED, Parameter, UserFunction

Columns = Sequence[pa.ChunkedArray]

_CALLED = re.compile(r'"u_([^"/]+)/(\d+)(?:\$row)?"')


class Registry(Protocol):
    """A Database, as far as functions are concerned."""

    def function(self, name: str, call: Callable[..., Any], arguments: list[str], result: str, *,
                 vectorised: bool = True, volatile: bool = False) -> None: ...


def load(database: Registry, functions: Mapping[str, UserFunction], text: str) -> None:
    """Register on `database` the functions that the SQL in `text` calls, before anything is prepared."""
    for name, count in sorted(set(_CALLED.findall(text))):
        if name in functions:
            _register(database, functions[name], int(count))


def _register(database: Registry, f: UserFunction, count: int) -> None:
    arguments = [p.kind.type.duck_type() for p in f.of_arity(count)] or [t.duck_type() for t in UNNAMED]
    name, result = f.sql_name(count)[1:-1], f.result.type.duck_type()

    def register(name: str, over: Callable[..., pa.Array], arguments: list[str], result: str) -> None:
        call = _of_arity(over, len(arguments))
        database.function(name, call, arguments, result, volatile=not f.deterministic)

    if f.form == "aggregate":
        row = f.row_type(count)
        register(f.sql_name(count, "$row")[1:-1], _tried(f, count), arguments, row)
        register(name, _aggregated(f, count), [f"{row}[]"], result)
    elif f.form == "table":
        register(name, _generated(f, count), arguments, f"{result}[]")
    else:
        register(name, _vectorised(f, count) if f.arrays else _rowwise(f, count), arguments, result)


def _of_arity(over: Callable[..., Any], count: int) -> Callable[..., Any]:
    """`over` with a signature of `count` parameters: DuckDB counts them."""
    def call(*columns: pa.ChunkedArray) -> pa.Array:
        return over(columns)

    kind = inspect.Parameter.POSITIONAL_ONLY
    call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(f"a{i}", kind) for i in range(count)])
    return call


# ------------------------------------------------------------------------------------------------ what fails


def _attempted(f: UserFunction, call: Callable[..., Any], *, whole: bool = False) -> Callable[..., Any]:
    """`call`, whose errors DuckDB is given in words that keep the traceback; `whole` as in DataError."""
    def attempt(*arguments: Any) -> Any:
        try:
            return call(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises is an error of its record
            what = traceback.format_exception_only(error)[-1].strip()
            raise refusal(f'function "{f.name}" failed: {what}', _traceback(error), whole=whole) from None

    return attempt


def _traceback(error: Exception) -> str:
    """As Python prints it, without our own frames and without the marks below the lines."""
    frames = [s for s in traceback.extract_tb(error.__traceback__) if s.filename != __file__]
    plain = traceback.StackSummary.from_list([(s.filename, s.lineno or 0, s.name, s.line) for s in frames])
    return "".join(["Traceback (most recent call last):\n", *plain.format(),
                    *traceback.format_exception_only(error)]).strip()


def _written(f: UserFunction, values: list[Any], *, whole: bool = False) -> pa.Array:
    kind = f.result
    try:
        return arrow_of(kind, values)
    except REFUSED:
        raise _refused(f, kind, values, whole=whole) from None


def _refused(f: UserFunction, kind: Kind, values: list[Any], *, whole: bool = False) -> Exception:
    """The error of the first value that is not of the declared type."""
    for value in values:
        try:
            arrow_of(kind, [value])
        except REFUSED as error:
            return refusal(f'function "{f.name}" gave {value!r}, its result is {kind.type}', str(error), whole=whole)
    return refusal(f'function "{f.name}" gave values that are not {kind.type}', None, whole=whole)


def _null(f: UserFunction, what: str = "its result", *, whole: bool = False) -> Exception:
    return refusal(f'function "{f.name}" gave None, {what} is NOT NULL',
                   "annotate it with `| None` if there may be none", whole=whole)


# ------------------------------------------------------------------------------------------------ scalar


def _arguments(columns: Columns, parameters: Sequence[Parameter]) -> Sequence[tuple[Any, ...]]:
    """The arguments of each row; without parameters the dummy column tells how many rows there are."""
    if not parameters:
        return [()] * len(columns[0])
    read = [p.kind.reading(c.to_pylist()) for c, p in zip(columns, parameters, strict=True)]
    return list(zip(*read, strict=True))


def _skipped(parameters: Sequence[Parameter]) -> Callable[[tuple[Any, ...]], bool]:
    """Whether a row has NULL for a parameter that takes none."""
    strict = [i for i, p in enumerate(parameters) if p.strict]
    return lambda row: any(row[i] is None for i in strict)


def _rowwise(f: UserFunction, count: int) -> Callable[[Columns], pa.Array]:
    parameters, call, nullable = f.of_arity(count), _attempted(f, f.call), f.result.type.nullable
    skipped = _skipped(parameters)

    def one(row: tuple[Any, ...]) -> Any:
        if skipped(row):
            return None
        value = call(*row)
        if value is None and not nullable:
            raise _null(f)
        return value

    return lambda columns: _written(f, [one(row) for row in _arguments(columns, parameters)])


def _vectorised(f: UserFunction, count: int) -> Callable[[Columns], pa.Array]:
    parameters, type_ = f.of_arity(count), f.result.type.arrow_type()
    chunked, call = f.arrays == "ChunkedArray", _attempted(f, f.call)

    def called(columns: Columns) -> pa.Array:
        result = call(*(c if chunked else _combined(c) for c in columns))
        if not isinstance(result, pa.Array | pa.ChunkedArray) or len(result) != len(columns[0]):
            what = f"{len(result)} rows" if isinstance(result, pa.Array | pa.ChunkedArray) else repr(type(result))
            raise refusal(f'function "{f.name}" gave {what} for an array of {len(columns[0])} rows', None)
        if result.null_count and not f.result.type.nullable:
            raise _null(f)
        try:
            return _combined(result.cast(type_))
        except pa.ArrowException as error:
            raise refusal(f'function "{f.name}" gave {result.type}, its result is {f.result.type}',
                          str(error)) from None

    def over(columns: Columns) -> pa.Array:
        valid = None
        for column, parameter in zip(columns, parameters, strict=True):
            if parameter.strict and column.null_count:
                there = column.is_valid()
                valid = there if valid is None else pc.and_(valid, there)
        if valid is None:
            return called(columns)
        given = [column.filter(valid) for column in columns]
        if not len(given[0]):
            return pa.nulls(len(columns[0]), type_)
        return pc.replace_with_mask(pa.nulls(len(columns[0]), type_), _combined(valid), called(given))

    return over


def _combined(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


# ------------------------------------------------------------------------------------------------ table


def _generated(f: UserFunction, count: int) -> Callable[[Columns], pa.Array]:
    """The rows of each call as a list; NULL for none, so that a LEFT JOIN can tell."""
    parameters, type_ = f.of_arity(count), f.result.type
    skipped, call = _skipped(parameters), _attempted(f, lambda *row: list(f.call(*row) or ()))
    required = [name for name, t in zip(type_.names, type_.children, strict=True) if not t.nullable]

    def rows(row: tuple[Any, ...]) -> list[Any] | None:
        if skipped(row):
            return None
        found = call(*row)
        try:
            written = f.result.writing(found)
        except REFUSED:
            raise _refused(f, f.result, found) from None
        for name in required:
            if any(w is None or w[name] is None for w in written):
                raise _null(f, f'its column "{name}"')
        return written or None

    def over(columns: Columns) -> pa.Array:
        lists = [rows(row) for row in _arguments(columns, parameters)]
        try:
            return pa.array(lists, pa.list_(type_.arrow_type()))
        except REFUSED:
            raise _refused(f, Kind(type_), [row for one in lists if one for row in one]) from None

    return over


# ------------------------------------------------------------------------------------------------ aggregate


def _tried(f: UserFunction, count: int) -> Callable[[Columns], pa.Array]:
    """The STRUCT of each row's arguments; NULL for a row with a NULL that `accumulate` does not take."""
    parameters = f.of_arity(count)
    skipped, call = _skipped(parameters), _attempted(f, lambda *row: f.call().accumulate(*row))

    def over(columns: Columns) -> pa.Array:
        kept = []
        for row in _arguments(columns, parameters):
            kept.append(not skipped(row))
            if kept[-1]:
                call(*row)
        names = [f"a{i}" for i in range(len(columns))]
        return pa.StructArray.from_arrays([_combined(c) for c in columns], names,
                                          mask=pa.array([not k for k in kept], pa.bool_()))

    return over


def _aggregated(f: UserFunction, count: int) -> Callable[[Columns], pa.Array]:
    parameters = f.of_arity(count)

    def total(rows: Iterable[tuple[Any, ...]]) -> Any:
        group = f.call()
        for arguments in rows:
            group.accumulate(*arguments)
        return group.finish()

    call = _attempted(f, total, whole=True)

    def value(rows: list[dict[str, Any] | None] | None) -> Any:
        present = [tuple(r.values()) for r in rows or () if r is not None]
        read = [p.kind.reading([r[i] for r in present]) for i, p in enumerate(parameters)]
        found = call(zip(*read, strict=True) if read else [()] * len(present))
        if found is None and not f.result.type.nullable:
            raise _null(f, whole=True)
        return found

    return lambda columns: _written(f, [value(rows) for rows in columns[0].to_pylist()], whole=True)

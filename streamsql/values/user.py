"""User functions: what a Python function or class is in SQL, said by its annotations.

A function is a scalar one; a generator a table function; a class with `accumulate` and `finish` an
aggregate. `described` reads one, `streamsql.function` declares what annotations do not say.
`values.user_calls` runs them.
"""

from __future__ import annotations

import collections.abc
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints, overload

import pyarrow as pa

from streamsql.core.schema import quote
from streamsql.core.typed import Typed
from streamsql.core.types import INT, STRING, DataType
from streamsql.errors import Span, SQLTypeError
from streamsql.values.accumulators import Accumulators
from streamsql.values.annotations import HINT, Kind, fields_of, kind_of, row_kind, shown
from streamsql.values.casts import cast, implicitly_castable

F = TypeVar("F", bound=Callable[..., Any])
Form = Literal["scalar", "table", "aggregate"]

_DECLARED = "__streamsql__"
_ROWS = (collections.abc.Iterator, collections.abc.Iterable, collections.abc.Generator)
_ARRAYS = (pa.Array, pa.ChunkedArray)

UNNAMED: tuple[DataType, ...] = (INT,)
"""What DuckDB is given by a call without arguments: it learns the number of rows from a column."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What `streamsql.function` was told."""

    types: tuple[str, ...] = ()
    returns: str | None = None
    name: str = ""
    deterministic: bool = True


@overload
def function(f: F, /) -> F: ...


@overload
def function(*types: str, returns: str | None = None, name: str = "",
             deterministic: bool = True) -> Callable[[F], F]: ...


def function(*types: Any, returns: str | None = None, name: str = "", deterministic: bool = True) -> Any:
    """Declare SQL types of a Python function, or that it is not deterministic.

    types          one SQL type an argument, as `'INT NOT NULL'`; none: the annotations say them
    returns        the SQL type of the result; of a table function its row, as `'ROW<word STRING, n INT>'`
    name           the name in SQL, if it is not Python's
    deterministic  False: it may give another result for the same arguments
    """
    if len(types) == 1 and not isinstance(types[0], str):
        return function()(types[0])

    def declare(f: F) -> F:
        setattr(f, _DECLARED, Declaration(types, returns, name, deterministic))
        return f

    return declare


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument. A NOT NULL one is never called with NULL: the result is NULL then."""

    name: str
    kind: Kind = field(compare=False)
    optional: bool = False

    @property
    def strict(self) -> bool:
        return not self.kind.type.nullable


@dataclass(frozen=True, slots=True)
class UserFunction:
    """A function of the user.

    name        in SQL, lower case: it is called in any case
    variadic    the last parameter repeats
    result      of a scalar and an aggregate its value; of a table function its row, a ROW
    arrays      it takes and gives Arrow arrays: `Array`, `ChunkedArray`; '' for values row by row
    definition  the text of CREATE FUNCTION behind AS, or Python's name
    retracts    an aggregate that takes a row back
    merges      an aggregate that takes up another accumulator
    """

    name: str
    form: Form
    parameters: tuple[Parameter, ...]
    result: Kind = field(compare=False)
    call: Callable[..., Any] = field(compare=False)
    variadic: bool = False
    arrays: str = ""
    deterministic: bool = True
    definition: str = ""
    doc: str = ""
    retracts: bool = False
    merges: bool = False

    @property
    def accumulates(self) -> bool:
        """Its accumulator may be kept instead of rows: what retracts or merges does not ask for their order."""
        return self.retracts or self.merges

    @property
    def signature(self) -> str:
        """`f(x BIGINT NOT NULL, [y STRING]) → DOUBLE`."""
        texts = [f"{p.name} {p.kind.type}" for p in self.parameters]
        texts = [f"[{t}]" if p.optional else t for t, p in zip(texts, self.parameters, strict=True)]
        if self.variadic:
            texts[-1] += " …"
        arrow = "→ TABLE" if self.form == "table" else "→"
        return f"{self.name}({', '.join(texts)}) {arrow} {self.result.type}"

    def of_arity(self, count: int) -> tuple[Parameter, ...]:
        """The parameter of each of `count` arguments."""
        return tuple(self.parameters[min(i, len(self.parameters) - 1)] for i in range(count))

    def sql_name(self, count: int, part: str = "") -> str:
        """How generated SQL calls it with `count` arguments; `part` is that of an aggregate's evaluation, as `$row`
        (see `values.user_aggregates`)."""
        return quote(f"u_{self.name}/{count}{part}")

    def argument_types(self, count: int) -> list[str]:
        """The DuckDB types of `count` arguments."""
        return [called_type(p.kind.type) for p in self.of_arity(count)] or [called_type(t) for t in UNNAMED]

    def row_type(self, count: int) -> str:
        """The DuckDB type in which an aggregate keeps the arguments of one row."""
        return f"STRUCT({', '.join(f'a{i} {k}' for i, k in enumerate(self.argument_types(count)))})"

    def change_type(self, count: int) -> str:
        """The DuckDB type of a row that comes or goes."""
        return f"STRUCT(d INTEGER, r {self.row_type(count)})"

    def change_arrow_type(self, count: int) -> pa.DataType:
        kinds = [p.kind.type for p in self.of_arity(count)] or list(UNNAMED)
        row = pa.struct([(f"a{i}", k.arrow_type()) for i, k in enumerate(kinds)])
        return pa.struct([("d", pa.int32()), ("r", row)])

    def added_type(self, count: int) -> str:
        """The DuckDB type of what GROUP BY keeps of a group: the accumulator and its value, or a batch's rows."""
        return f"STRUCT(kept BLOB, value {called_type(self.result.type)}, rows {self.change_type(count)}[])"

    def arguments(self, given: Sequence[Typed], span: Span | None = None,
                  spans: Sequence[Span | None] = (), zone: str = "'UTC'") -> list[Typed]:
        """The arguments as the parameters' types. Raises SQLTypeError at what does not fit."""
        least = sum(not p.optional for p in self.parameters)
        if len(given) < least or (len(given) > len(self.parameters) and not self.variadic):
            most = len(self.parameters)
            wanted = f"at least {least}" if self.variadic else f"{least} to {most}" if least < most else str(most)
            raise SQLTypeError(
                f'function "{self.name}" takes {wanted} argument{"" if wanted == "1" else "s"}, not {len(given)}',
                span, hint=self.signature)
        fitted = []
        for i, (value, parameter) in enumerate(zip(given, self.of_arity(len(given)), strict=True)):
            wanted_type = parameter.kind.type
            at = spans[i] if i < len(spans) and spans[i] else span
            if not implicitly_castable(value.type, wanted_type):
                raise SQLTypeError(
                    f'function "{self.name}" takes {wanted_type.as_nullable()} as argument {i + 1}, '
                    f"not {value.type.as_nullable()}", at, hint=self.signature)
            fitted.append(cast(value, wanted_type, implicit=True, span=at, zone=zone))
        return fitted

    def skips(self, arguments: Sequence[Typed]) -> bool:
        """Some argument may be a NULL for which the function is not called."""
        return any(p.strict and a.type.nullable
                   for p, a in zip(self.of_arity(len(arguments)), arguments, strict=True))

    def apply(self, arguments: Sequence[Typed]) -> Typed:
        """The call of a scalar function, its arguments fitted already."""
        nullable = self.result.type.nullable or self.skips(arguments)
        return Typed(self.text(arguments), self.result.type.as_nullable(nullable),
                     deterministic=self.deterministic and all(a.deterministic for a in arguments),
                     aggregate=any(a.aggregate for a in arguments))

    def text(self, arguments: Sequence[Typed], part: str = "") -> str:
        kinds = self.argument_types(len(arguments))
        texts = [f"CAST({a.sql} AS {k})" for a, k in zip(arguments, kinds, strict=False)]
        called, result = f"{self.sql_name(len(arguments), part)}({', '.join(texts) or '0'})", self.result.type
        if part or called_type(result) == result.duck_type():
            return called
        return f"CAST({called} AS {result.duck_type()}{'[]' if self.form == 'table' else ''})"


def called_type(kind: DataType) -> str:
    """The DuckDB type in which a function is given and gives a value: of a VARIANT its text, which Arrow has."""
    def plain(kind: DataType) -> DataType:
        return STRING if kind.root == "VARIANT" else replace(kind, children=tuple(map(plain, kind.children)))

    return plain(kind).duck_type()


# ------------------------------------------------------------------------------------------------ reading


def described(target: Any, name: str = "", definition: str = "", *,
              declared: Declaration | None = None) -> UserFunction:
    """What `target` is in SQL; `declared` goes before what a decorator of its own says.

    Raises SQLTypeError, without a span, for one that says too little.
    """
    own = getattr(target, _DECLARED, None) or Declaration()
    if declared is not None:
        own = Declaration(declared.types or own.types, declared.returns or own.returns, declared.name or own.name,
                          declared.deterministic and own.deterministic)
    name = (name or own.name or getattr(target, "__name__", "")).lower()
    if not callable(target):
        raise SQLTypeError(f'"{name}" is no function but {type(target).__name__}')
    if name == "<lambda>":
        raise SQLTypeError("a lambda has no name", hint="Give one: name='…'.")
    if inspect.isclass(target):
        found = _aggregate(target, name, own)
    else:
        found = _plain(target, name, own)
    doc = (inspect.getdoc(target) or "").split("\n")[0]
    where = f"{getattr(target, '__module__', '')}.{getattr(target, '__qualname__', name)}"
    return replace(found, deterministic=own.deterministic, doc=doc, definition=definition or where)


def _plain(target: Any, name: str, own: Declaration) -> UserFunction:
    hints = _hints(target, name)
    parameters, variadic, arrays = _parameters(_signature(target, name), hints, name, own)
    returned = hints.get("return")
    generates = inspect.isgeneratorfunction(target) or get_origin(returned) in _ROWS
    if generates:
        if arrays:
            raise SQLTypeError(f'table function "{name}" takes values, not Arrow arrays')
        result = _rows(name, own.returns, get_args(returned)[0] if get_args(returned) else None)
    else:
        result = _result(name, own, returned)
    return UserFunction(name, "table" if generates else "scalar", parameters, result, target, variadic, arrays)


def _aggregate(target: type, name: str, own: Declaration) -> UserFunction:
    missing = [m for m in ("accumulate", "finish") if not callable(getattr(target, m, None))]
    if missing:
        raise SQLTypeError(
            f'class "{name}" has no method {missing[0]}',
            hint="An aggregate function has accumulate(self, …), which takes a row, and finish(self), which gives "
                 "the value.")
    accumulate = target.accumulate  # type: ignore[attr-defined]
    hints = _hints(accumulate, name)
    signature = _signature(accumulate, name)
    signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    parameters, variadic, arrays = _parameters(signature, hints, name, own)
    if arrays:
        raise SQLTypeError(f'aggregate function "{name}" takes values, not Arrow arrays')
    returned = _hints(target.finish, name).get("return")  # type: ignore[attr-defined]
    retracts, merges = (callable(getattr(target, m, None)) for m in ("retract", "merge"))
    _check_takes(target, name, "retract", len(signature.parameters), "takes what accumulate takes")
    _check_takes(target, name, "merge", 1, "takes another instance: merge(self, other)")
    if retracts or merges:
        _check_kept(target, name)
    return UserFunction(name, "aggregate", parameters, _result(name, own, returned), target, variadic,
                        retracts=retracts, merges=merges)


def _check_takes(target: type, name: str, method: str, count: int, what: str) -> None:
    """Raises SQLTypeError if a method cannot be called with `count` arguments beside `self`."""
    if not callable(getattr(target, method, None)):
        return
    try:
        _signature(getattr(target, method), name).bind(*range(count + 1))
    except TypeError as error:
        raise SQLTypeError(f'{method} of aggregate function "{name}" {what}', hint=f"Python says: {error}.") from None


def _check_kept(target: type, name: str) -> None:
    """Raises SQLTypeError if a new accumulator cannot be written into the state."""
    try:
        Accumulators(target).dumps(target())
    except Exception as error:  # noqa: BLE001 - pickling runs the user's code
        raise SQLTypeError(
            f'the accumulator of aggregate function "{name}" cannot be kept: {error}',
            hint="What retracts or merges is kept pickled: keep plain values, or write __getstate__ and __setstate__.",
        ) from None


def _hints(target: Any, name: str) -> dict[str, Any]:
    plain = target if inspect.isroutine(target) else getattr(target, "func", None) or type(target).__call__
    try:
        return get_type_hints(plain, include_extras=True)
    except Exception as error:
        raise SQLTypeError(f'the annotations of function "{name}" cannot be read: {error}') from error


def _signature(target: Any, name: str) -> inspect.Signature:
    try:
        return inspect.signature(target)
    except (TypeError, ValueError) as error:
        raise SQLTypeError(f'the parameters of function "{name}" are not known to Python',
                           hint="Wrap it in a function with annotations.") from error


def _parameters(signature: inspect.Signature, hints: dict[str, Any], name: str,
                own: Declaration) -> tuple[tuple[Parameter, ...], bool, str]:
    found: list[Parameter] = []
    arrays: set[str] = set()
    variadic = False
    taken = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD
             and not (p.kind is inspect.Parameter.KEYWORD_ONLY and p.default is not inspect.Parameter.empty)]
    if own.types and len(own.types) != len(taken):
        raise SQLTypeError(f'function "{name}" has {len(taken)} parameters, {len(own.types)} types are declared')
    for i, parameter in enumerate(taken):
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            raise SQLTypeError(f'parameter "{parameter.name}" of function "{name}" is given by name only',
                               hint="Give it a default, or drop the * before it.")
        variadic = variadic or parameter.kind is inspect.Parameter.VAR_POSITIONAL
        hint = hints.get(parameter.name)
        arrays.add(next((a.__name__ for a in _ARRAYS if a in (hint, *get_args(hint)[:1])), ""))
        optional = parameter.default is not inspect.Parameter.empty or variadic
        kind = _declared(own.types[i] if own.types else hint, f'parameter "{parameter.name}" of function "{name}"')
        found.append(Parameter(parameter.name, kind, optional))
    if len(arrays) > 1:
        raise SQLTypeError(f'function "{name}" takes Arrow arrays and values',
                           hint="Annotate all its parameters as pa.Array, or none.")
    return tuple(found), variadic, arrays.pop() if arrays else ""


def _declared(hint: object, what: str) -> Kind:
    if hint is None:
        raise SQLTypeError(f"{what} has no type", hint="Annotate it: x: int. " + HINT)
    if hint in _ARRAYS:
        raise SQLTypeError(f"{what} is an Arrow array without a SQL type",
                           hint="Declare it: @streamsql.function('BIGINT', returns='BIGINT').")
    try:
        return kind_of(hint)
    except SQLTypeError as error:
        raise SQLTypeError(f"{what}: {error.message}", hint=error.hint) from None


def _result(name: str, own: Declaration, returned: object) -> Kind:
    if own.returns is None and returned in (None, type(None)):
        raise SQLTypeError(f'the result of function "{name}" has no type', hint="Annotate it: def f(x: int) -> int.")
    return _declared(own.returns or returned, f'the result of function "{name}"')


def _rows(name: str, returns: str | None, item: object) -> Kind:
    """The ROW that a table function gives: its fields, or `f0`, `f1`, … as in Flink."""
    what = f'the rows of table function "{name}"'
    if returns is not None:
        kind = _declared(returns, what)
        return kind if kind.type.root == "ROW" else _single(kind)
    if item is None:
        raise SQLTypeError(f"{what} have no type", hint="Annotate it: def f(x: str) -> Iterator[tuple[str, int]].")
    fields = fields_of(item)
    if fields is None and get_origin(item) is tuple:
        if Ellipsis in get_args(item):
            raise SQLTypeError(f"{what} are {shown(item)}", hint="Say each column: tuple[str, int].")
        fields = {f"f{i}": part for i, part in enumerate(get_args(item))}
    if fields is None:
        return _single(_declared(item, what))
    return row_kind({column: _declared(hint, f'column "{column}" of {what}') for column, hint in fields.items()})


def _single(kind: Kind) -> Kind:
    row = row_kind({"f0": kind})
    write = row.write
    assert write is not None
    return Kind(row.type, row.read, lambda value: write((value,)))

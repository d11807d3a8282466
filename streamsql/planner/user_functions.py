"""User functions in SQL: CREATE FUNCTION finds the Python behind a name, calls of the name are bound.

Names are kept in lower case and called in any, as in Flink. A name of Flink's own functions cannot be
taken; one of DuckDB's functions, which only run here, can.
"""

from __future__ import annotations

import functools
import importlib
import linecache
import sys
import textwrap
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from streamsql import aggregates
from streamsql.aggregates.aggregate import Function, Partial, Rows
from streamsql.aggregates.flink import listing
from streamsql.core import types
from streamsql.core.typed import Typed
from streamsql.core.types import DataType
from streamsql.errors import BindError, SQLTypeError, did_you_mean
from streamsql.sql import exp, span_of
from streamsql.sql.statements import CreateFunction
from streamsql.values.binder import Binder
from streamsql.values.functions import lookup
from streamsql.values.user import UserFunction, described

Functions = Mapping[str, UserFunction]

_MARK = "user_function"

# ------------------------------------------------------------------------------------------------ definition


def defined(statement: CreateFunction) -> UserFunction:
    """The function of a CREATE FUNCTION. Raises BindError, SQLTypeError at the statement's name."""
    name, span = statement.name.last.lower(), statement.name.span
    require_own(name, statement)
    try:
        if statement.body:
            return described(_of_body(name, statement), name, textwrap.dedent(statement.body).strip())
        return described(_of_module(name, statement), name, statement.target)
    except SQLTypeError as error:
        error.span = error.span or span
        raise


def require_own(name: str, statement: CreateFunction | None = None) -> None:
    """Raises BindError for a name of Flink's own functions."""
    found, aggregate = lookup(name), aggregates.FUNCTIONS.get(name.upper())
    if any(f is not None and not f.local_only for f in (found, aggregate)):
        raise BindError(f'function "{name}" is built in', statement.name.span if statement else None,
                        hint="Give yours another name.")


def _of_module(name: str, statement: CreateFunction) -> Any:
    module_name, _, attribute = statement.target.rpartition(".")
    span = statement.name.span
    if not module_name:
        raise BindError(f'"{statement.target}" names no module', span, hint="Write AS 'module.function'.")
    try:
        with _beside(statement.source.origin):
            module = importlib.import_module(module_name)
    except Exception as error:
        raise BindError(f'module "{module_name}" of function "{name}" cannot be imported: {_words(error)}', span,
                        hint="It is looked up on Python's path, beside the SQL file and in the working directory.",
                        ) from error
    if not hasattr(module, attribute):
        known = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
        raise BindError(f'module "{module_name}" has no function "{attribute}"', span,
                        hint=did_you_mean(attribute, known, "Functions") if known else "It has none.")
    return getattr(module, attribute)


@contextmanager
def _beside(origin: str) -> Iterator[None]:
    """Python's path with the folder of the SQL file and the working directory at its end."""
    before, file = list(sys.path), Path(origin)
    sys.path += [str(folder) for folder in (file.parent if file.is_file() else None, Path.cwd()) if folder]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def _of_body(name: str, statement: CreateFunction) -> Any:
    """What a `$$ … $$` body defines: its one function or class, or among several that of the SQL name."""
    text, file = textwrap.dedent(statement.body).strip("\n") + "\n", f"<function {name}>"
    module = ModuleType(f"streamsql.function.{name}")
    module.__file__ = file
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)  # a traceback shows its lines
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module  # dataclasses look up their annotations there
    try:
        exec(compile(text, file, "exec"), vars(module))
    except Exception as error:
        if before is not None:
            sys.modules[module.__name__] = before
        raise BindError(f'the body of function "{name}" does not run: {_words(error)}', statement.name.span,
                        detail=_line(error, file)) from error
    own = {n: v for n, v in vars(module).items()
           if callable(v) and not n.startswith("_") and getattr(v, "__module__", "") == module.__name__}
    found = next((v for n, v in own.items() if n.lower() == name), None)
    if found is None and len(own) == 1:
        found = next(iter(own.values()))
    if found is None:
        raise BindError(f'the body of function "{name}" defines no "{name}"', statement.name.span,
                        hint=f"It defines: {', '.join(own)}." if own else f"Write def {name}(x: int) -> int: …")
    return found


def _words(error: Exception) -> str:
    return " ".join(traceback.format_exception_only(error)[-1].split())


def _line(error: Exception, file: str) -> str | None:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {(error.text or '').strip()}"
    frames = [s for s in traceback.extract_tb(error.__traceback__) if s.filename == file]
    return f"line {frames[-1].lineno}: {frames[-1].line}" if frames else None


# ------------------------------------------------------------------------------------------------ calls


def mark(tree: exp.Expr, known: Functions) -> None:
    """Note on each call below `tree` whether it is of a user function, and of which form."""
    for node in tree.find_all(exp.Anonymous):
        found = known.get(node.name.lower())
        if found is not None:
            node.meta[_MARK] = found.form
        else:
            node.meta.pop(_MARK, None)


def form_of(tree: exp.Expr) -> str | None:
    """The form that `mark` noted; None for other functions."""
    found = tree.meta.get(_MARK)
    return str(found) if found else None


def scalar(tree: exp.Expr, known: Functions, binder: Binder) -> Typed | None:
    """The value of a call of a scalar user function; None for any other tree."""
    found = known.get(tree.name.lower()) if isinstance(tree, exp.Anonymous) else None
    if found is None:
        return None
    if found.form != "scalar":
        where = "in FROM" if found.form == "table" else "where aggregates may"
        raise BindError(f'{found.form} function "{found.name}" stands {where}', span_of(tree),
                        hint=f"FROM t, LATERAL TABLE({found.name}(…)) AS a(…)" if found.form == "table" else None)
    return found.apply(arguments(found, tree, binder))


def arguments(function: UserFunction, tree: exp.Expr, binder: Binder) -> list[Typed]:
    """The bound arguments of a call, as its parameters' types."""
    return fitted(function, [_bound(function, a, binder) for a in tree.expressions], tree, binder)


def fitted(function: UserFunction, values: Sequence[Typed], tree: exp.Expr, binder: Binder) -> list[Typed]:
    return function.arguments(values, span_of(tree), [span_of(a) for a in tree.expressions], binder.zone)


def _bound(function: UserFunction, tree: exp.Expr, binder: Binder) -> Typed:
    if isinstance(tree, exp.Kwarg | exp.Star | exp.Distinct | exp.Order | exp.Lambda):
        raise SQLTypeError(f'function "{function.name}" takes its arguments by position', span_of(tree),
                           hint=function.signature)
    return binder.bind(tree)


# ------------------------------------------------------------------------------------------------ aggregates


def aggregate_row(function: UserFunction, values: Sequence[Typed], filter: Typed | None) -> Typed:
    """The arguments of one row, as an aggregate keeps them; those that the FILTER drops are not tried."""
    sql = function.text(values, "$row")
    if filter is not None:
        sql = f"CASE WHEN {filter.sql} THEN {sql} END"
    kinds = [p.kind.type.as_nullable() for p in function.of_arity(len(values))]
    return Typed(sql, types.row({f"a{i}": kind for i, kind in enumerate(kinds)}))


@functools.cache
def aggregate(function: UserFunction, count: int) -> Function:
    """The row of the table of aggregates for calls of `function` with `count` arguments."""
    def named(part: str, *arguments: str) -> str:
        return f"{function.sql_name(count, part)}({', '.join(arguments)})"

    def final(columns: Sequence[str], _types: Sequence[DataType], _type: DataType) -> str:
        return named("$finished" if function.merges else "", columns[0])

    def begun(rows: Rows) -> tuple[Partial, ...]:
        """An accumulator of the rows; of two slices of a window one is merged."""
        step = named("$begun", *(p.step for p in listing("list", nulls=True)(rows)))
        if rows.distinct or rows.order or rows.over is not None:
            return (Partial(step, None),)
        return (Partial(step, named("$merged", "list({})"), named("$merged", "[{a}, {b}]")),)

    def changes(rows: Rows) -> tuple[Partial, ...]:
        """What a batch brings, in its order; it goes to the accumulator of the rows before."""
        row, diff = rows.args[0], rows.weight if rows.weighted else "1"
        kind = function.added_type(count)
        listed = f"list({{'d': CAST({diff} AS INTEGER), 'r': {row}}}){rows.where(f'{row} IS NOT NULL')}"
        step = f"CAST({{'kept': NULL, 'value': NULL, 'rows': {listed}}} AS {kind})"
        return (Partial(step, None, named("$added", "({a}).kept", "({b}).rows")),)

    def value(columns: Sequence[str], _types: Sequence[DataType], _type: DataType) -> str:
        return f"({columns[0]}).value"

    plain = Function(function.name.upper(), function.signature, ("any",), lambda _: function.result.type,
                     begun if function.merges else listing("list", nulls=True), function.doc, final,
                     listed=not function.accumulates, never_null=True)
    if not function.accumulates:
        return plain
    return replace(plain, added=replace(plain, partials=changes, final=value, retracts=function.retracts))

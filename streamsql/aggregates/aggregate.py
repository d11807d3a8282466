"""What an aggregate function is (a row of the table) and what a call of it is (Aggregate)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from streamsql.core.batch import ARRIVAL, DIFF
from streamsql.core.schema import quote
from streamsql.core.typed import Typed
from streamsql.core.types import DataType


@dataclass(frozen=True, slots=True)
class Partial:
    """One column of what is kept of a batch's rows.

    step    the DuckDB aggregate over the rows
    merge   the DuckDB aggregate over partials, `{}` for the column; None if only all rows
            together give the value, so that the rows must be kept
    plus    two partials as one, `{a}` the older and `{b}`, either of them NULL for none: the same as
            `merge` of the two, as an expression; given where `merge` is. Without `merge`, `{a}` is what
            all batches before gave and `{b}` the partial of one
    """

    step: str
    merge: str | None
    plus: str = ""

    @property
    def merged(self) -> str:
        assert self.merge is not None
        return self.merge

    def added(self, older: str, newer: str) -> str:
        """`plus` of two columns."""
        assert self.plus
        return self.plus.replace("{a}", older).replace("{b}", newer)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows an aggregate is computed over, as SQL: what a rule makes its text of.

    args       the arguments, each an expression or a column
    types      their types
    condition  the FILTER, or None
    distinct   equal values of the argument count once
    order      the ORDER BY inside the call, or None
    weighted   each row has a weight, +1 or -1
    arrival    the hidden columns that order rows by arrival are there
    over       the inside of an OVER clause that every aggregate of the text gets, or None
    weight     the column of the weight
    """

    args: tuple[str, ...]
    types: tuple[DataType, ...]
    condition: str | None = None
    distinct: bool = False
    order: str | None = None
    weighted: bool = False
    arrival: bool = False
    over: str | None = None
    weight: str = quote(DIFF)

    def where(self, more: str = "") -> str:
        """What follows a call: the FILTER clause, with `more` as a further condition, and OVER."""
        both = [c for c in (self.condition, more) if c]
        clause = f" FILTER (WHERE {' AND '.join(f'({c})' for c in both)})" if both else ""
        return clause if self.over is None else f"{clause} OVER ({self.over})"

    def apply(self, function: str, *arguments: str, more: str = "", order: str | None = None) -> str:
        """A call of a DuckDB aggregate over these rows."""
        inside = ", ".join(arguments)
        distinct = "DISTINCT " if self.distinct else ""
        ordered = f" ORDER BY {order}" if order else ""
        return f"{function}({distinct}{inside}{ordered}){self.where(more)}"

    def count(self, more: str = "") -> str:
        """How many rows there are, net of those taken back; a BIGINT."""
        if self.weighted:
            return f"CAST(coalesce(sum({self.weight}){self.where(more)}, 0) AS BIGINT)"
        return f"count(*){self.where(more)}"

    def sum(self, value: str, kind: str) -> str:
        """The sum of a numeric expression as `kind`, net of rows taken back."""
        if self.weighted:
            return f"CAST(sum(CAST({value} AS {kind}) * {self.weight}){self.where()} AS {kind})"
        return f"CAST({self.apply('sum', value)} AS {kind})"

    def by_arrival(self) -> str | None:
        """The ORDER BY of values that are listed: the call's own, else their arrival."""
        return self.order or (ARRIVAL if self.arrival else None)


Result = Callable[[Sequence[Typed]], DataType]
Partials = Callable[[Rows], tuple[Partial, ...]]
Final = Callable[[Sequence[str], Sequence[DataType], DataType], str]


def only(columns: Sequence[str], _types: Sequence[DataType], _type: DataType) -> str:
    """The final value is the one partial."""
    return columns[0]


@dataclass(frozen=True, slots=True)
class Function:
    """One row of the table of aggregate functions: all that binder and docs know of it.

    arguments    accepted families a position (see `binding`); the last `optional` may be left out
    result       type from the bound arguments, of a group that has rows
    partials     what is kept of a batch
    final        the value (SQL) from the partial columns, the argument types and the result type
    retracts     the partials are sums, so that a row taken back is a sum with -1
    listed       the value depends on the order of arrival
    never_null   the value over no rows is not NULL
    distinct     it may be called with DISTINCT
    idempotent   a value that comes again changes nothing, so that DISTINCT has no meaning
    extreme      `min` or `max`: the value is that one of all
    over_distinct  partials over distinct values, where DISTINCT is part of its own meaning
    local_only   a function of DuckDB that Flink lacks
    added        the function as GROUP BY evaluates it batch by batch, where that differs
    example      an expression that is TRUE over the rows of `aggregates.sample`, run as a test
    """

    name: str
    signature: str
    arguments: tuple[str, ...]
    result: Result
    partials: Partials
    doc: str
    final: Final = only
    optional: int = 0
    aliases: tuple[str, ...] = ()
    retracts: bool = False
    listed: bool = False
    never_null: bool = False
    distinct: bool = True
    idempotent: bool = False
    extreme: str = ""
    over_distinct: Partials | None = None
    local_only: bool = False
    added: Function | None = None
    example: str = ""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A bound aggregate call.

    name       upper case, as called
    type       of its value
    arguments  DuckDB text over the input's columns
    filter     the FILTER condition, DuckDB text, or None
    distinct   `f(DISTINCT x)`
    order      ORDER BY inside the call: expression, and whether descending
    """

    name: str
    type: DataType
    arguments: tuple[str, ...]
    types: tuple[DataType, ...]
    filter: str | None
    distinct: bool
    order: tuple[tuple[str, bool], ...]
    function: Function = field(repr=False)

    @property
    def local_only(self) -> bool:
        return self.function.local_only

    @property
    def listed(self) -> bool:
        """The value depends on the order in which rows arrived."""
        return self.function.listed and not self.order

    def rows(self, *, weighted: bool = False, arrival: bool = False) -> Rows:
        """The input's rows, as the call itself sees them."""
        return self._rows(self.arguments, self.filter, [sql for sql, _ in self.order], weighted, arrival)

    def _rows(self, args: tuple[str, ...], condition: str | None, order: Sequence[str], weighted: bool,
              arrival: bool) -> Rows:
        ordered = ", ".join(f"{sql} {'DESC NULLS LAST' if down else 'ASC NULLS FIRST'}"
                            for sql, (_, down) in zip(order, self.order, strict=True))
        return Rows(args, self.types, condition, self.distinct, ordered or None, weighted, arrival)

    def partials(self, *, weighted: bool = False, arrival: bool = False) -> tuple[Partial, ...] | None:
        """What may be kept of a batch instead of its rows; None if the rows must be kept."""
        if weighted and (not self.function.retracts or self.distinct):
            return None
        if self.listed and not arrival:
            return None
        kept = self.function.partials(self.rows(weighted=weighted, arrival=arrival))
        return None if self.distinct or any(p.merge is None and not p.plus for p in kept) else kept

    def batchwise(self, *, weighted: bool) -> Aggregate:
        """The call as GROUP BY evaluates it: without a DISTINCT that has no meaning, its accumulators kept."""
        added = self.function.added
        if added is None or self.distinct or self.order or (weighted and not added.retracts):
            return self.simplified()
        return replace(self, function=added)

    def simplified(self) -> Aggregate:
        """The call without a DISTINCT that has no meaning."""
        return replace(self, distinct=False) if self.function.idempotent else self

    def of_values(self, value: str, weight: str, *, weighted: bool) -> tuple[Partial, ...] | None:
        """What may be kept of distinct values as they come (weight 1) and go (-1) instead of all of them.

        None if this is no call over distinct values of one argument, or if they must be kept. NULLs are
        not among the values.
        """
        over = self.function.over_distinct
        if len(self.arguments) != 1 or self.order or (over is None and not (self.distinct and self.function.distinct)):
            return None
        if self.function.listed or (weighted and over is None and not self.function.retracts):
            return None
        signed = over is not None or self.function.retracts
        rows = Rows((value,), self.types, f"{weight} <> 0", weighted=signed, weight=weight)
        kept = (over or self.function.partials)(rows)
        return None if any(p.merge is None for p in kept) else kept

    def final(self, columns: Sequence[str]) -> str:
        """The value, from the partial columns (quoted names or aggregate expressions)."""
        value = self.function.final(columns, self.types, self.type)
        return f"CAST({value} AS {self.type.duck_type()})"

    def whole(self, *, arrival: bool = False) -> str:
        """The value as one aggregate expression over the input's rows, none of them taken back."""
        return self.final([p.step for p in self.function.partials(self.rows(arrival=arrival))])

    def over(self, window: str) -> str:
        """The value for each row, over the rows of its OVER window."""
        rows = replace(self.rows(), over=window)
        return self.final([p.step for p in self.function.partials(rows)])

    def _texts(self) -> list[str]:
        return [*self.arguments, *(sql for sql, _ in self.order), *([self.filter] if self.filter else [])]

    def kept(self, prefix: str) -> tuple[tuple[str, str], ...]:
        """The columns to keep of each input row where rows must be kept: name and expression.

        What names no column is left out: DuckDB takes a separator or a fraction only as a constant.
        """
        return tuple((f"{prefix}_{n}", text) for n, text in enumerate(self._texts()) if '"' in text)

    def over_kept(self, prefix: str, *, arrival: bool = False) -> str:
        """`whole`, over the columns of `kept`."""
        names = [quote(f"{prefix}_{i}") if '"' in text else text for i, text in enumerate(self._texts())]
        n, m = len(self.arguments), len(self.order)
        condition = names[n + m] if self.filter else None
        rows = self._rows(tuple(names[:n]), condition, names[n:n + m], False, arrival)
        return self.final([p.step for p in self.function.partials(rows)])

    def text(self) -> str:
        """For EXPLAIN: `SUM(DISTINCT "v") FILTER (WHERE …)`."""
        inside = ("DISTINCT " if self.distinct else "") + (", ".join(self.arguments) or "*")
        order = ", ".join(sql + (" DESC" if down else "") for sql, down in self.order)
        where = f" FILTER (WHERE {self.filter})" if self.filter else ""
        return f"{self.name}({inside}{' ORDER BY ' + order if order else ''}){where}"

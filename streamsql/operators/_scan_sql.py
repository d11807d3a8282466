"""The statements of a scan: records → columns, and for those in doubt, why not.

They are layers of SELECT, from the inside: the guard (only when a record cannot be looked into),
what is computed once a record, the physical and metadata columns, the computed columns, time.
The raw columns are called `$value` and `$key` in them, which no column of a table can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from streamsql.core.batch import DIFF
from streamsql.core.format import Decoding, over
from streamsql.core.schema import quote, text_literal

if TYPE_CHECKING:
    from streamsql.operators.scan import Decoded, Scan

ROWTIME = "$rowtime"
WATERMARK_OF_ROW = "$watermark_of_row"
SUSPECT = "$suspect"
SKIP = "$skip"
RAISED = "$raised"
AT = "$at"
"""Columns of the statements beside those of the table: event time and watermark in µs, whether the
record is in doubt, is to be dropped, which column's expression raised, and, where a record may be
several rows, the number of the record."""


_VALUE = "$value"


class ScanSQL:
    """Composes the statements of one Scan over the raw table `source` (an identifier)."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._parts: list[tuple[str, Decoded]] = [
            (raw, part) for raw, part in ((_VALUE, scan.value), ("$key", scan.key)) if part]

    def fast(self, source: str) -> str:
        """For chunks in which every record can be looked into and every expression computed."""
        return self._rows(quote(source), guarded=False, careful=False)

    def guarded(self, source: str) -> str:
        """A record that cannot be looked into is suspect; it does not raise."""
        return self._rows(quote(source), guarded=True, careful=False)

    def careful(self, source: str) -> str:
        """Besides, an expression that raises names its column in `$raised`."""
        return self._rows(quote(source), guarded=True, careful=True)

    def reasons(self, source: str) -> str:
        """Why each record is bad, in order; NULL for those that are not.

        Where `fast` reads a text `$value`, this also needs its bytes, as `$value$bytes`.
        """
        given = [over(part.decoding.reason, raw) for raw, part in self._parts]
        refused = {n: text_literal(f'column "{n}" is NOT NULL and got NULL') for n in self._required()}
        null = [f"CASE WHEN {self._is_null(n)} THEN {text} END" for n, text in refused.items()]
        at = (quote(AT),) if self._scan.expands else ()
        extra = (f"coalesce({', '.join(given)}) AS \"$reason\"",) if given else ()
        inner = self._columns(quote(source), guarded=True, extra=(*extra, *at))
        first = [*(('"$reason"',) if given else ()), *null, "NULL"]
        reason = f"coalesce({', '.join(first)})::VARCHAR AS reason"
        return f"SELECT {', '.join([reason, *at])} FROM ({inner})"

    def _is_null(self, name: str) -> str:
        """Whether a NOT NULL column is NULL; what is no key of a delete by key may be."""
        scan = self._scan
        of_row = f" AND {quote(DIFF)} > 0" if scan.upsert and name not in scan.table.primary_key else ""
        return f"({quote(name)} IS NULL{of_row})"

    def _rows(self, source: str, *, guarded: bool, careful: bool) -> str:
        inner = self._columns(source, guarded=guarded, extra=self._doubts(guarded))
        if careful:
            inner = self._tried(inner)
        elif self._scan.computed:
            made = ", ".join(f"{sql} AS {quote(name)}" for name, sql in self._scan.computed)
            inner = f"SELECT *, {made} FROM ({inner})"
        names = [quote(n) for n in self._scan.schema.names]
        hidden = [quote(DIFF)] if not self._scan.append_only else []
        hidden += [quote(AT)] if self._scan.expands else []
        null = "".join(f" OR {self._is_null(n)}" for n in self._required())
        suspect = f"CASE WHEN {quote(SKIP)} THEN false ELSE coalesce({quote(SUSPECT)}, false){null} END"
        if guarded:
            suspect = f"CASE WHEN \"$invalid\" THEN true ELSE {suspect} END"
        listed = [*names, *hidden, *self._times(careful), f"{suspect} AS {quote(SUSPECT)}", quote(SKIP)]
        return f"SELECT {', '.join(listed)} FROM ({inner})"

    def _times(self, careful: bool) -> list[str]:
        rowtime = self._scan.rowtime
        times = [quote(RAISED)] if careful else []
        if rowtime is not None:
            us = quote(WATERMARK_OF_ROW) if careful else f"epoch_us({rowtime.watermark})"
            times += [f"epoch_us({quote(rowtime.column)}) AS {quote(ROWTIME)}",
                      f"{us} AS {quote(WATERMARK_OF_ROW)}"]
        return times

    def _tried(self, inner: str) -> str:
        """The computed columns, each in a SELECT of its own: DuckDB takes what two expressions of
        one SELECT have in common out of them, and so out of TRY. A list tells a NULL from a failure."""
        scan = self._scan
        steps = list(scan.computed)
        if scan.rowtime is not None:
            steps.append((scan.rowtime.column, f"epoch_us({scan.rowtime.watermark})"))
        flags = []
        for n, (name, sql) in enumerate(steps):
            tried = quote(f"$tried{n}")
            target = name if n < len(scan.computed) else WATERMARK_OF_ROW
            inner = f"SELECT *, {_try_list(sql)} AS {tried} FROM ({inner})"
            inner = f"SELECT *, {tried}[1] AS {quote(target)} FROM ({inner})"
            flags.append(f"WHEN {tried} IS NULL THEN {text_literal(name)}")
        raised = f"CASE {' '.join(flags)} END" if flags else "NULL::VARCHAR"
        return f"SELECT *, {raised} AS {quote(RAISED)} FROM ({inner})"

    def _required(self) -> list[str]:
        scan = self._scan
        return [c.name for c in scan.table.schema if not c.type.nullable] + \
               [m.name for m in scan.metadata if not m.type.nullable]

    def _doubts(self, guarded: bool) -> tuple[str, ...]:
        """Whether a record is suspect, or skipped."""
        suspects = [self._of_row(over(p.decoding.suspect, raw), raw, guarded)
                    for raw, p in self._parts if p.decoding.suspect]
        skips = [self._of_row(over(p.decoding.skip, raw), raw, guarded) for raw, p in self._parts if p.decoding.skip]
        return (_any(suspects) + f" AS {quote(SUSPECT)}", f"coalesce({_any(skips)}, false) AS {quote(SKIP)}",
                *(('"$invalid"',) if guarded else ()), *((quote(AT),) if self._scan.expands else ()))

    def _of_row(self, test: str, raw: str, guarded: bool) -> str:
        """A test of a value that a delete by key does not have."""
        if not self._scan.upsert or raw != _VALUE:
            return test
        return f"CASE WHEN {self._deletes(guarded)} THEN false ELSE {test} END"

    def _deletes(self, guarded: bool) -> str:
        """Whether a record has no value; one that cannot be looked into has."""
        value = quote(_VALUE)
        valid = f" AND {quote(_VALUE + '$valid')}" if guarded and self._tests().get(_VALUE) else ""
        return f"({value} IS NULL{valid})"

    def _diff(self, guarded: bool) -> str:
        if self._scan.upsert and self._scan.table.encoded:
            return f"CASE WHEN {self._deletes(guarded)} THEN -1 ELSE 1 END AS {quote(DIFF)}"
        return quote(DIFF)

    def _columns(self, source: str, *, guarded: bool, extra: Sequence[str]) -> str:
        """The physical and metadata columns, then `extra` over the raw columns and what is shared."""
        scan = self._scan
        known = {name: over(sql, raw) for raw, part in self._parts
                 for name, sql in zip(part.columns, part.decoding.columns, strict=True)}
        columns = [f"{known.pop(c.name, quote(c.name))} AS {quote(c.name)}" for c in scan.table.schema]
        columns += [f"{sql} AS {quote(name)}" for name, sql in known.items()]
        columns += [f"CAST({quote(f'$meta.{m.key}')} AS {m.type.duck_type()}) AS {quote(m.name)}"
                    for m in scan.metadata]
        if not scan.append_only:
            columns.append(self._diff(guarded))
        inner = self._guard(source) if guarded else source
        for raw, part in self._parts:
            inner = _expanded(inner, raw, part.decoding)
        return f"SELECT {', '.join([*columns, *extra]) or '1'} FROM {inner}"

    def _tests(self) -> dict[str, str]:
        return {raw: over(p.decoding.valid, raw) for raw, p in self._parts if p.decoding.valid}

    def _guard(self, source: str) -> str:
        """The raw table with NULL for what cannot be looked into, and `$invalid`."""
        tests = self._tests()
        if not tests:
            return f"(SELECT *, false AS \"$invalid\" FROM {source})"
        flags = ", ".join(f"coalesce({test}, true) AS {quote(raw + '$valid')}" for raw, test in tests.items())
        swaps = ", ".join(f"CASE WHEN {quote(raw + '$valid')} THEN {quote(raw)} END AS {quote(raw)}"
                          for raw in tests)
        invalid = " OR ".join(f"NOT {quote(raw + '$valid')}" for raw in tests)
        inner = f"SELECT *, {flags} FROM {source}"
        return f"(SELECT * REPLACE ({swaps}), {invalid} AS \"$invalid\" FROM ({inner}))"


def _expanded(inner: str, raw: str, decoding: Decoding) -> str:
    """What is computed once a record; its rows; what is computed once a row."""
    for name, sql in decoding.shared:
        inner = f"(SELECT *, {over(sql, raw)} AS {quote(over(name, raw))} FROM {inner})"
    if decoding.diffs is not None:
        changes = f"unnest({over(decoding.diffs, raw)}) AS {quote(DIFF)}"
        if decoding.rows is not None:
            name, rows = (over(part, raw) for part in decoding.rows)
            changes += f", unnest({rows}) AS {quote(name)}"
        inner = f"(SELECT *, {changes} FROM {inner})"
    for name, sql in decoding.part:
        inner = f"(SELECT *, {over(sql, raw)} AS {quote(over(name, raw))} FROM {inner})"
    return inner


def _try_list(sql: str) -> str:
    """[value], NULL if it raises. DuckDB takes no subquery inside TRY (the clock is one), and nothing
    volatile (`error`, which every CAST may call): what is left outside is isolated by halves."""
    volatile = any(word in sql for word in ("(SELECT ", "f_", "error("))
    return f"[{sql}]" if volatile else f"TRY([{sql}])"


def _any(tests: Sequence[str]) -> str:
    return " OR ".join(f"({t})" for t in tests) or "false"

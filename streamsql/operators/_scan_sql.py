"""The statements of a scan: records → columns, and for those in doubt, why not.

They are layers of SELECT, from the inside: the guard (only when a record cannot be looked into),
what is computed once a record, the physical and metadata columns, the computed columns, time.
The raw columns are called `$value` and `$key` in them, which no column of a table can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from streamsql.core.batch import DIFF
from streamsql.core.format import over
from streamsql.core.schema import quote, text_literal

if TYPE_CHECKING:
    from streamsql.operators.scan import Decoded, Scan

ROWTIME = "$rowtime"
WATERMARK_OF_ROW = "$watermark_of_row"
SUSPECT = "$suspect"
SKIP = "$skip"
RAISED = "$raised"
"""Columns of the statements beside those of the table: event time and watermark in µs, whether the
record is in doubt, is to be dropped, and which column's expression raised."""


class ScanSQL:
    """Composes the statements of one Scan over the raw table `source` (an identifier)."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._parts: list[tuple[str, Decoded]] = [
            (f"${name}", part) for name, part in (("value", scan.value), ("key", scan.key)) if part]

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
        null = [f"CASE WHEN {quote(n)} IS NULL THEN {text} END" for n, text in refused.items()]
        extra = (f"coalesce({', '.join(given)}) AS \"$reason\"",) if given else ()
        inner = self._columns(quote(source), guarded=True, extra=extra)
        first = [*(('"$reason"',) if given else ()), *null, "NULL"]
        return f"SELECT coalesce({', '.join(first)})::VARCHAR AS reason FROM ({inner})"

    def _rows(self, source: str, *, guarded: bool, careful: bool) -> str:
        inner = self._columns(source, guarded=guarded, extra=self._doubts(guarded))
        raised = ""
        if self._scan.computed:
            made = ", ".join(f"{_tried(sql, careful)} AS {quote(name)}" for name, sql in self._scan.computed)
            raised = self._raised(self._scan.computed) if careful else ""
            inner = f"SELECT *, {made}{raised} FROM ({inner})"
        elif careful:
            inner = f"SELECT *, NULL::VARCHAR AS {quote(RAISED)} FROM ({inner})"
        names = [quote(n) for n in self._scan.schema.names]
        hidden = [quote(DIFF)] if not self._scan.append_only else []
        null = "".join(f" OR {quote(n)} IS NULL" for n in self._required())
        suspect = f"CASE WHEN {quote(SKIP)} THEN false ELSE coalesce({quote(SUSPECT)}, false){null} END"
        if guarded:
            suspect = f"CASE WHEN \"$invalid\" THEN true ELSE {suspect} END"
        listed = [*names, *hidden, *self._times(careful), f"{suspect} AS {quote(SUSPECT)}", quote(SKIP)]
        return f"SELECT {', '.join(listed)} FROM ({inner})"

    def _times(self, careful: bool) -> list[str]:
        rowtime = self._scan.rowtime
        raised = quote(RAISED)
        if rowtime is None:
            return [raised] if careful else []
        us = f"epoch_us({rowtime.watermark})"
        times = [f"epoch_us({quote(rowtime.column)}) AS {quote(ROWTIME)}",
                 f"{_tried(us, careful)} AS {quote(WATERMARK_OF_ROW)}"]
        if careful:
            name = text_literal(rowtime.column)
            times.append(f"coalesce({raised}, CASE WHEN {_raises(us)} THEN {name} END) AS {raised}")
        return times

    @staticmethod
    def _raised(computed: Sequence[tuple[str, str]]) -> str:
        cases = " ".join(f"WHEN {_raises(sql)} THEN {text_literal(name)}" for name, sql in computed)
        return f", CASE {cases} END AS {quote(RAISED)}"

    def _required(self) -> list[str]:
        scan = self._scan
        return [c.name for c in scan.table.schema if not c.type.nullable] + \
               [m.name for m in scan.metadata if not m.type.nullable]

    def _doubts(self, guarded: bool) -> tuple[str, ...]:
        """Whether a record is suspect, or skipped."""
        suspects = [over(p.decoding.suspect, raw) for raw, p in self._parts if p.decoding.suspect]
        skips = [over(p.decoding.skip, raw) for raw, p in self._parts if p.decoding.skip]
        return (_any(suspects) + f" AS {quote(SUSPECT)}", f"coalesce({_any(skips)}, false) AS {quote(SKIP)}",
                *(('"$invalid"',) if guarded else ()))

    def _columns(self, source: str, *, guarded: bool, extra: Sequence[str]) -> str:
        """The physical and metadata columns, then `extra` over the raw columns and what is shared."""
        scan = self._scan
        known = {name: over(sql, raw) for raw, part in self._parts
                 for name, sql in zip(part.columns, part.decoding.columns, strict=True)}
        columns = [f"{known.get(c.name, quote(c.name))} AS {quote(c.name)}" for c in scan.table.schema]
        columns += [f"CAST({quote(f'$meta.{m.key}')} AS {m.type.duck_type()}) AS {quote(m.name)}"
                    for m in scan.metadata]
        if not scan.append_only:
            columns.append(quote(DIFF))
        inner = self._guard(source) if guarded else source
        for raw, part in self._parts:
            for name, sql in part.decoding.shared:
                inner = f"(SELECT *, {over(sql, raw)} AS {quote(over(name, raw))} FROM {inner})"
        return f"SELECT {', '.join([*columns, *extra]) or '1'} FROM {inner}"

    def _guard(self, source: str) -> str:
        """The raw table with NULL for what cannot be looked into, and `$invalid`."""
        tests = {raw: over(p.decoding.valid, raw) for raw, p in self._parts if p.decoding.valid}
        if not tests:
            return f"(SELECT *, false AS \"$invalid\" FROM {source})"
        flags = ", ".join(f"coalesce({test}, true) AS {quote(raw + '$valid')}" for raw, test in tests.items())
        swaps = ", ".join(f"CASE WHEN {quote(raw + '$valid')} THEN {quote(raw)} END AS {quote(raw)}"
                          for raw in tests)
        invalid = " OR ".join(f"NOT {quote(raw + '$valid')}" for raw in tests)
        inner = f"SELECT *, {flags} FROM {source}"
        return f"(SELECT * REPLACE ({swaps}), {invalid} AS \"$invalid\" FROM ({inner}))"


def _tried(sql: str, careful: bool) -> str:
    return f"TRY({sql})" if careful and _can_try(sql) else sql


def _raises(sql: str) -> str:
    return f"TRY(({sql}) IS NULL) IS NULL" if _can_try(sql) else "false"


def _can_try(sql: str) -> bool:
    """DuckDB takes no subquery inside TRY (the clock is one)."""
    return "(SELECT " not in sql.upper()


def _any(tests: Sequence[str]) -> str:
    return " OR ".join(f"({t})" for t in tests) or "false"

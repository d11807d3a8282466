"""What ranks, deduplication, sorting and OVER share: rows with their keys computed, as kept in state.

A kept row has `$key`, the parts of its partition `$k0` …, what it is sorted by `$o0` …, the columns of
the input that are needed, and the hidden columns that say when it arrived. SQL text only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from streamsql.core.batch import DERIVED_SEQ, DIFF, SEQ, WATERMARK
from streamsql.core.node import Context, Node, fuse
from streamsql.core.options import duration_ms
from streamsql.core.schema import quote
from streamsql.state.table import KEY, ROW, key_of

NEW, DEAD, RANK, OLD_RANK = "$new", "$dead", "$rn", "$orn"
ROW_NUMBER, RANKED, DENSE_RANK = "ROW_NUMBER", "RANK", "DENSE_RANK"
"""The functions: ties in the order of arrival; equal, with a gap after them; equal, without one."""
TIME = "$time"
"""The rowtime in µs, or the processing time of a row."""
_FIRST_NEW = 2**62
"""`$row` of the first row of a batch: after every row of a state table."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """One term of ORDER BY: DuckDB text over the input; NULLs are the smallest unless it says otherwise."""

    sql: str
    descending: bool = False
    nulls_first: bool = True

    def of(self, value: str) -> str:
        return f"{value} {'DESC' if self.descending else 'ASC'} NULLS {'FIRST' if self.nulls_first else 'LAST'}"

    def text(self) -> str:
        """For EXPLAIN."""
        usual = self.nulls_first is not self.descending
        nulls = "" if usual else f" NULLS {'FIRST' if self.nulls_first else 'LAST'}"
        return f"{self.sql}{' DESC' if self.descending else ''}{nulls}"


def sorted_by(order: Sequence[SortKey], *more: str) -> str:
    """An ORDER BY clause over the input's columns; '' for none."""
    terms = [*(k.of(k.sql) for k in order), *more]
    return f"ORDER BY {', '.join(terms)}" if terms else ""


class Kept:
    """The columns of kept rows, and the SELECT that makes them of a batch.

    columns   visible columns of the input to keep
    time      the rowtime column, kept as `$time` in µs too; '' for none
    """

    def __init__(self, source: Node, partition: Sequence[str], order: Sequence[SortKey], columns: Sequence[str],
                 time: str = "") -> None:
        self.fused = fuse(source)
        self.partition, self.order, self.time = tuple(partition), tuple(order), time
        self.keys = [quote(f"$k{i}") for i in range(len(partition))]
        self.sorts = [quote(f"$o{i}") for i in range(len(order))]
        self.columns = [quote(c) for c in columns]
        self.hidden = [quote(h) for h in (WATERMARK, SEQ) if h in source.hidden]
        self.changing = DIFF in source.hidden

    @property
    def values(self) -> list[str]:
        """What says that two rows are the same row."""
        return [*self.keys, *self.sorts, *self.columns]

    @property
    def stored(self) -> list[str]:
        return [quote(KEY), *self.values, *([quote(TIME)] if self.time else []), *self.hidden]

    @property
    def arrival(self) -> list[str]:
        """The order in which rows came: deterministic where records say it, else as they were read."""
        return [*self.hidden, quote(ROW)]

    def select(self, relation: str) -> str:
        """The kept columns of a batch, `$diff` last where it has one."""
        texts = [f"{key_of(self.partition)} AS {quote(KEY)}"]
        texts += [f"{sql} AS {name}" for sql, name in zip(self.partition, self.keys, strict=True)]
        texts += [f"{k.sql} AS {name}" for k, name in zip(self.order, self.sorts, strict=True)]
        texts += self.columns
        texts += [f"epoch_us({quote(self.time)}) AS {quote(TIME)}"] if self.time else []
        texts += [*self.hidden, *([quote(DIFF)] if self.changing else [])]
        return f"SELECT {', '.join(texts)} FROM ({self.fused.select(relation)})"

    def partitioned(self, *more: str) -> str:
        """PARTITION BY the keys; '' for one partition."""
        keys = [*self.keys, *more]
        return f"PARTITION BY {', '.join(keys)} " if keys else ""

    def sorting(self) -> list[str]:
        """The terms of ORDER BY over kept rows, arrival last."""
        return [*(k.of(name) for k, name in zip(self.order, self.sorts, strict=True)), *self.arrival]

    def rank(self, function: str, arrival: Sequence[str], alive: str = "") -> str:
        """The rank of each kept row among those that are `alive`, of which it is one; '' for all."""
        sorts = [k.of(name) for k, name in zip(self.order, self.sorts, strict=True)]
        if not alive:
            terms = [*sorts, *(arrival if function == ROW_NUMBER else [])]
            return f"{function}() OVER ({self.partitioned()}ORDER BY {', '.join(terms)})"
        counted = f"FILTER (WHERE {alive}) OVER ({self.partitioned()}ORDER BY"
        if function == ROW_NUMBER:
            return f"count(*) {counted} {', '.join([*sorts, *arrival])} ROWS UNBOUNDED PRECEDING)"
        before = f"{counted} {', '.join(sorts)} RANGE UNBOUNDED PRECEDING)"
        if function == DENSE_RANK:
            return f"count(DISTINCT row({', '.join(self.sorts)})) {before}"
        ties = f"count(*) FILTER (WHERE {alive}) OVER ({self.partitioned(*self.sorts)})"
        return f"count(*) {before} - {ties} + 1"

    def same(self, a: str, b: str, names: Sequence[str] | None = None) -> str:
        """Two relations agree in the keys, or in `names`."""
        names = self.keys if names is None else names
        return " AND ".join(f"{a}.{n} IS NOT DISTINCT FROM {b}.{n}" for n in names) or "TRUE"


def numbered(rows: pa.Table) -> pa.Table:
    """The rows of a batch with their `$row`, which is after those of all rows that were kept before."""
    positions = np.arange(_FIRST_NEW, _FIRST_NEW + rows.num_rows, dtype=np.int64)
    return rows.append_column(pa.field(ROW, pa.int64()), pa.array(positions))


def with_arrival(rows: pa.Table, watermark_us: int) -> pa.Table:
    """`rows` with the hidden columns that a node's batches have none of: judged against one watermark."""
    for name, value in ((WATERMARK, watermark_us), (SEQ, DERIVED_SEQ)):
        if name not in rows.column_names:
            constant = np.full(rows.num_rows, value, dtype=np.int64)
            rows = rows.append_column(pa.field(name, pa.int64()), pa.array(constant))
    return rows


def ttl_of(context: Context) -> int:
    """`table.exec.state.ttl` in ms, 0 for none."""
    return duration_ms(context.settings.get("table.exec.state.ttl") or "0")


def marked(kept: Kept, old: str, new: str) -> str:
    """Kept and new rows with `$new` and `$dead`: of equal rows those that came first are taken back."""
    columns = ", ".join([*kept.stored, quote(ROW)])
    row, fresh, dead, diff = (quote(n) for n in (ROW, NEW, DEAD, DIFF))
    if not kept.changing:
        return (f"SELECT {columns}, FALSE AS {fresh}, FALSE AS {dead} FROM {old} "
                f"UNION ALL SELECT {columns}, TRUE, FALSE FROM {new} ORDER BY {row}")
    plus = (f"SELECT {columns}, FALSE AS {fresh} FROM {old} "
            f"UNION ALL SELECT {columns}, TRUE FROM {new} WHERE {diff} > 0")
    values = ", ".join(kept.values)
    minus = f"SELECT {values or '1'}, count(*) AS \"$n\" FROM {new} WHERE {diff} < 0{' GROUP BY ALL' if values else ''}"
    equal = f"PARTITION BY {', '.join('plus.' + v for v in kept.values)} " if values else ""
    order = ", ".join(f"plus.{a}" for a in kept.arrival)
    counted = (f"SELECT plus.{row}, minus.\"$n\", row_number() OVER ({equal}ORDER BY {order}) AS \"$i\" "
               f"FROM plus JOIN minus ON {kept.same('plus', 'minus', kept.values)}")
    return (f"WITH plus AS ({plus}), minus AS ({minus}), "
            f"dead AS (SELECT {row} FROM ({counted}) WHERE \"$i\" <= \"$n\") "
            f"SELECT plus.*, dead.{row} IS NOT NULL AS {dead} FROM plus LEFT JOIN dead ON dead.{row} = plus.{row} "
            f"ORDER BY plus.{row}")

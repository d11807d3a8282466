"""ASOF JOIN against DuckDB's own, over random rows that come out of order, cut at random into batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from streamsql.core.schema import quote
from streamsql.state.database import Database
from tests.property.generator import Change, Table, coming
from tests.property.test_queries import Bench

LEFT, RIGHT = (Table(name, ("INT", "STRING"), append_only=True, timed=True) for name in "lr")
QUERIES = tuple(
    f"SELECT l.c0 AS a, l.c1 AS b, l.ts AS c, r.c0 AS d, r.c1 AS e, r.ts AS f "
    f"FROM l ASOF {side}JOIN r ON {keys}l.ts {sign} r.ts"
    for side in ("", "LEFT ") for keys in ("", "l.c0 = r.c0 AND ", "l.c1 = r.c1 AND l.c0 = r.c0 AND ")
    for sign in (">=", ">"))

Rows = Mapping[Table, Sequence[Change]]


@pytest.mark.parametrize("number", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 20))])
def test_asof_joins_give_what_those_of_duckdb_give(number: int) -> None:
    random, bench, oracle = Random(number), Bench(), Database()
    try:
        for index, sql in enumerate(random.sample(QUERIES, 3)):
            rows = {made: _drawn(random, made) for made in (LEFT, RIGHT)}
            assert _ours(bench, random, index, sql, rows) == _theirs(oracle, index, sql, rows), sql
    finally:
        bench.close()
        oracle.close()


def _drawn(random: Random, made: Table) -> Sequence[Change]:
    """Rows, of the right no two at one time: which of them is the last DuckDB does not say."""
    rows = list(islice(coming(random, made), 24))
    return list({row[-1]: (diff, row) for diff, row in rows}.values()) if made is RIGHT else rows


def _ours(bench: Bench, random: Random, index: int, sql: str, rows: Rows) -> Counter[tuple[Any, ...]]:
    run, left = bench.run(bench.plan((LEFT, RIGHT), sql), f"a{index}"), dict(rows)
    while any(left.values()):
        made = random.choice([m for m in left if left[m]])
        size = random.randint(1, 8)
        run.push(made, left[made][:size])
        left[made] = left[made][size:]
    run.end()
    return run.rows()


def _theirs(oracle: Database, index: int, sql: str, rows: Rows) -> Counter[tuple[Any, ...]]:
    names = {}
    for made, changes in rows.items():
        shape = pa.schema(zip(made.all_columns, (pa.int32(), pa.string(), pa.timestamp("us")), strict=True))
        relation = oracle.over(f"{made.name}{index}", shape)
        columns = zip(*(row for _, row in changes), strict=True)
        relation.set(pa.table([pa.array(c, f.type) for c, f in zip(columns, shape, strict=True)], schema=shape))
        names[made] = f"{quote(relation.name)} AS {made.name}"
    text = sql.replace("FROM l ", f"FROM {names[LEFT]} ").replace("JOIN r ", f"JOIN {names[RIGHT]} ")
    return Counter(zip(*(c.to_pylist() for c in oracle.compute(text).run().columns), strict=True))

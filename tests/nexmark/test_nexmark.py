"""Nexmark: each query of `examples/nexmark`, over 200 000 events, answers what DuckDB answers over all at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from streamsql import Session
from streamsql.core.batch import DIFF
from tests.nexmark.events import COUNT, Given, oracle, records
from tests.nexmark.oracles import ORACLES
from tests.nexmark.runs import CUTS, FOLDER, Runs


@pytest.fixture(scope="session")
def given() -> Given:
    return Given(records(COUNT), oracle(COUNT))


@pytest.mark.parametrize("name", ORACLES)
def test_query(name: str, given: Given, tmp_path: Path) -> None:
    runs = Runs(name, given.records, tmp_path)
    if name == "q13":
        _write_side_input(runs)
    database = given.oracle.cursor()
    if name != "q12":
        database.execute(f"CREATE TEMP TABLE expected AS {ORACLES[name]}")
    for cut in CUTS:
        run = runs.run(cut)
        if name == "q12":  # what it counts is when the rows were read
            first, until, read_at = zip(*run.batches)
            database.register("batches", pa.table({
                "first": first, "until": until, "read_at": pa.array(read_at, pa.timestamp("us"))}))
            database.execute(f"CREATE OR REPLACE TEMP TABLE expected AS {ORACLES[name]}")
        changes = _files(tmp_path / "output", database) if name == "q10" else pa.concat_tables(run.changes)
        database.register("changes", changes)
        columns = ", ".join(f'"{c}"' for c in changes.column_names if c != DIFF)
        different = database.execute(f"""
            SELECT {columns}, sum("{DIFF}") AS surplus FROM (
              SELECT {columns}, "{DIFF}" FROM changes UNION ALL SELECT *, -1 FROM expected)
            GROUP BY ALL HAVING surplus <> 0 ORDER BY ALL""").fetchall()
        assert not different, f"{cut}: {len(different)} rows differ, as {different[:4]}"


def _files(folder: Path, database: duckdb.DuckDBPyConnection) -> pa.Table:
    """The rows of the files that q10 wrote, which go."""
    names = [f"{path}" for path in sorted(folder.glob("part-*.csv"))]
    rows = database.execute(f"""
        SELECT CAST(column0 AS BIGINT) AS auction, CAST(column1 AS BIGINT) AS bidder, CAST(column2 AS BIGINT) AS price,
          CAST(column3 AS TIMESTAMP) AS "dateTime", column4 AS extra, column5 AS dt, column6 AS hm, 1 AS "{DIFF}"
        FROM read_csv(?, header = false, all_varchar = true)""", [names]).to_arrow_table()
    shutil.rmtree(folder)
    return rows


def _write_side_input(runs: Runs) -> None:
    with Session() as session:
        for result in session.execute((FOLDER / "side_input.sql").read_text(), variables=runs.variables):
            if result.query is not None:
                result.query.wait()

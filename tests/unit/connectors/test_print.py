"""The print and blackhole connectors: Flink's text, whole lines."""

from __future__ import annotations

import datetime as dt
import decimal

import pyarrow as pa
import pytest

from streamsql.connectors import blackhole, print
from streamsql.connectors.print_text import text
from streamsql.core import types as t
from tests.unit.connectors import contract

ROWS = pa.table({"name": ["ann", None], "n": [1, 2]})
COLUMNS = {"name": t.STRING, "n": t.BIGINT}


def changes(names: list[str], numbers: list[int], diff: list[int]) -> pa.Table:
    return pa.table({"name": names, "n": numbers, "$diff": pa.array(diff, pa.int32())})


def test_rows_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    sink = contract.written(print.sink(contract.spec(print, COLUMNS)), [ROWS, ROWS.slice(0, 0)])
    sink.commit(1)
    sink.close()
    assert capsys.readouterr() == ("+I[ann, 1]\n+I[null, 2]\n", "")
    assert sink.statistics().rows == 2


def test_identifier_and_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    options = {"print-identifier": "out", "standard-error": "true"}
    contract.written(print.sink(contract.spec(print, COLUMNS, options)), [ROWS])
    assert capsys.readouterr() == ("", "out> +I[ann, 1]\nout> +I[null, 2]\n")


def test_a_changelog_without_key_comes_and_goes(capsys: pytest.CaptureFixture[str]) -> None:
    contract.written(print.sink(contract.spec(print, COLUMNS)), [changes(["ann", "ann"], [1, 2], [-1, 1])])
    assert capsys.readouterr().out == "-D[ann, 1]\n+I[ann, 2]\n"


def test_a_replaced_key_is_an_update(capsys: pytest.CaptureFixture[str]) -> None:
    table = contract.spec(print, COLUMNS, primary_key=("name",))
    contract.written(print.sink(table), [changes(["ann", "bob", "ann", "eve"], [1, 5, 2, 9], [-1, -1, 1, 1])])
    assert capsys.readouterr().out == "-U[ann, 1]\n-D[bob, 5]\n+U[ann, 2]\n+I[eve, 9]\n"


MONTHS, SECONDS = t.DataType("INTERVAL YEAR TO MONTH"), t.DataType("INTERVAL DAY TO SECOND")


@pytest.mark.parametrize(("kind", "values", "expected"), [
    (t.DOUBLE, [1.0, 1e7, 1.5e-7, 0.001, float("nan"), float("-inf"), -0.0, -1.25e300],
     ["1.0", "1.0E7", "1.5E-7", "0.001", "NaN", "-Infinity", "-0.0", "-1.25E300"]),
    (t.FLOAT, [0.1, 16777216.0], ["0.1", "1.6777216E7"]),
    (t.decimal(10, 2), [decimal.Decimal("1.50")], ["1.50"]),
    (t.BOOLEAN, [True, False], ["true", "false"]),
    (t.DATE, [dt.date(2024, 1, 31)], ["2024-01-31"]),
    (t.time(3), [dt.time(1, 2), dt.time(1, 2, 3), dt.time(1, 2, 3, 4000)],
     ["01:02", "01:02:03", "01:02:03.004"]),
    (t.timestamp(6),
     [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, 0, 0, 5), dt.datetime(1900, 1, 1, 1, 2, 3, 4)],
     ["2024-01-01T00:00", "2024-01-01T00:00:05", "1900-01-01T01:02:03.000004"]),
    (t.timestamp_ltz(3), [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, 1, 2, 3, 40_000)],
     ["2024-01-01T00:00:00Z", "2024-01-01T01:02:03.040Z"]),
    (t.BYTES, [b"ab\xff", b""], ["[97, 98, -1]", "[]"]),
    (t.array(t.array(t.STRING)), [[["a", None], None], []], ["[[a, null], null]", "[]"]),
    (t.map_of(t.STRING, t.INT), [[("a", 1), ("b", None)], []], ["{a=1, b=null}", "{}"]),
    (t.multiset(t.STRING), [[("a", 2)]], ["{a=2}"]),
    (t.row({"x": t.INT, "y": t.STRING}), [{"x": 1, "y": None}], ["+I[1, null]"]),
    (MONTHS, [(14, 0, 0), (-2, 0, 0)], ["P1Y2M", "P-2M"]),
    (SECONDS, [(0, 1, 500_000_000), (0, 0, -60_000_000_000)], ["PT24H0.5S", "PT-1M"]),
])
def test_values(kind: t.DataType, values: list[object], expected: list[str]) -> None:
    array = pa.array([*values, None], kind.arrow_type())
    assert text(array, kind).to_pylist() == [*expected, "null"]
    assert text(array[1:], kind).to_pylist() == [*expected[1:], "null"]


def test_blackhole_counts() -> None:
    sink = contract.written(blackhole.sink(contract.spec(blackhole, COLUMNS)), [ROWS, ROWS])
    sink.commit(1)
    sink.close()
    assert sink.statistics().rows == 4


def test_unknown_options_are_refused() -> None:
    assert contract.option_error(print, {"identifier": "x"}) == (
        'connector "print" has no option "identifier"\n'
        '  hint: Did you mean "print-identifier"? Options: print-identifier, standard-error')
    assert contract.option_error(blackhole, {"x": "1"}).startswith('connector "blackhole" has no option "x"')

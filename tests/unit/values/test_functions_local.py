"""DuckDB's own functions: which may be called, the types they get, and what is refused."""

from __future__ import annotations

import pytest

from streamsql.errors import BindError, PlanError, Source, SQLTypeError
from streamsql.sql import parse
from streamsql.sql.statements import Select
from streamsql.state.database import Database
from streamsql.values import local
from streamsql.values.binder import Binder
from streamsql.values.functions import local_functions, lookup
from tests.unit.values.expressions import Columns, bind, type_of, values_of

OUTSIDE = ("getenv", "read_csv", "read_text", "current_setting", "current_database", "now", "random", "nextval",
           "version", "query", "duckdb_tables", "write_log", "sleep_ms", "pg_sleep", "getvariable", "error",
           "current_localtime", "today", "in_search_path", "gen_random_uuid", "has_table_privilege")


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_looks_outside_is_no_function(name: str) -> None:
    assert local.lookup(name) is None


@pytest.mark.parametrize(("text", "wanted"), [
    ("levenshtein(s, 'x')", "BIGINT"), ("hash(s)", "DECIMAL(20, 0)"), ("list_sum(l)", "DECIMAL(38, 0)"),
    ("regexp_matches(s, 'a+')", "BOOLEAN"), ("json_extract(s, '$.a')", "STRING"), ("list_sort(l)", "ARRAY<INT>"),
    ("time_bucket(INTERVAL '1' DAY, ts)", "TIMESTAMP(6)"), ("monthname(d)", "STRING"), ("cbrt(i)", "DOUBLE"),
    ("list_histogram(l)", "MAP<INT NOT NULL, DECIMAL(20, 0)>"), ("parse_path(s)", "ARRAY<STRING>"),
    ("to_hex(i)", "STRING"), ("list_distinct(l)", "ARRAY<INT>"),
])
def test_its_result_has_a_type_of_ours(text: str, wanted: str) -> None:
    assert type_of(text, s="STRING", l="ARRAY<INT>", ts="TIMESTAMP(6)", d="DATE", i="INT") == wanted


def test_a_result_of_a_type_that_flink_lacks_is_cast(opened: Database) -> None:
    columns = {"s": ("STRING", ["duck", None])}
    assert values_of(opened, "levenshtein(s, 'dock') + 1", columns) == [2, None]
    assert [type(v) for v in values_of(opened, "json_extract(s, '$')", {"s": ("STRING", ["1"])})] == [str]


@pytest.mark.parametrize(("text", "message", "detail"), [
    ("gcd(s, s)", 'function "GCD" of DuckDB does not take (STRING, STRING)', None),
    ("regexp_matches(s, '(')", 'function "REGEXP_MATCHES" of DuckDB does not take (STRING, CHAR(1))',
     "missing ): ("),
])
def test_arguments_it_does_not_take_are_an_error(text: str, message: str, detail: str | None) -> None:
    with pytest.raises(SQLTypeError) as raised:
        type_of(text, s="STRING")
    assert (raised.value.message, raised.value.detail) == (message, detail)
    assert raised.value.hint


def test_an_unknown_name_is_an_error_with_the_nearest() -> None:
    with pytest.raises(BindError) as raised:
        bind("levenshtien('a', 'b')")
    assert (raised.value.hint or "").startswith('Did you mean "LEVENSHTEIN"?')


def test_strict_mode_refuses_them() -> None:
    (statement,) = parse(Source("SELECT levenshtein('a', 'b')"))
    assert isinstance(statement, Select)
    with pytest.raises(PlanError, match='function "LEVENSHTEIN" is not in Flink'):
        Binder(Columns({}), {"streamsql.strict": "true"}).bind(statement.query.expressions[0])


def test_a_name_of_flink_s_keeps_its_meaning() -> None:
    found = lookup("to_timestamp")
    assert found is not None
    assert not found.local_only
    assert all(f.local_only and f.doc.endswith(".") and f.signature for f in local_functions())
    assert not {f.name for f in local_functions()} & {"TO_TIMESTAMP", "ROUND", "SUBSTR"}

"""docs/functions.md is written from the tables of functions.

`python -m tests.unit.values.test_functions_docs` writes the page anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import streamsql
from streamsql.aggregates.sample import ROWS as ROWS_OF_SAMPLE
from streamsql.aggregates.sample import TYPES
from streamsql.session.reference import Entry, described
from streamsql.values.binder import Binder
from streamsql.values.functions import functions
from streamsql.values.library import called
from streamsql.values.udfs import ROWS, Row
from tests.unit.values.examples import example_of
from tests.unit.values.expressions import Columns

PAGE = Path(__file__).parents[3] / "docs" / "functions.md"
HEAD = """# Functions

Written from the code by `python -m tests.unit.values.test_functions_docs`. `DESCRIBE FUNCTION f` shows the same, and
`SHOW FUNCTIONS` every name. Each example is true, over constants and over columns beside NULLs: they run as tests.
Your own functions: [functions-python.md](functions-python.md); the operators: [sql.md](sql.md); where a value may
differ from Flink's: [flink-differences.md](flink-differences.md).

Besides these, every scalar function of DuckDB may be called that is deterministic and reads nothing outside
(`levenshtein`, `list_sum`, `time_bucket`, `regexp_matches` …), unless Flink has one of its name. Its result has the
nearest type of Flink's; a TIMESTAMP_LTZ is in UTC to it. Flink lacks them, and the aggregates marked *local*:
`SHOW FUNCTIONS` says so in its column `local`, and after `SET 'streamsql.strict' = 'true'` they are errors.
"""
TITLES = {
    "bitmap": "Bitmaps", "collection": "Arrays and maps", "conditional": "Conditions", "hash": "Hashes", "json": "JSON",
    "math": "Numbers", "regexp": "Regular expressions", "string": "Strings",
    "structured": "Structured types", "temporal": "Dates and times",
    "aggregate": "Aggregates", "form": "Ranks, groupings and windows",
}
PYTHON = """## What runs in Python

These are all that run row by row in Python, since DuckDB has nothing that gives Flink's answer. Most are called for the
rows alone that DuckDB's own functions leave over. The cost is that of a row with a short value, on one core; a row that
DuckDB does alone costs 0.01 to 0.3 µs. What your own functions cost: [functions-python.md](functions-python.md).

| Called by | For | µs a row |
|---|---|---|
"""
_MORE = {
    "f_java_split_to_map": ("STR_TO_MAP",), "f_parse_time": ("TO_TIMESTAMP", "TO_TIMESTAMP_LTZ"),
    "f_parse_formatter": ("TO_TIMESTAMP_LTZ",), "f_parse_simple": ("DATE_FORMAT",),
    "f_format_simple": ("DATE_FORMAT", "FROM_UNIXTIME"),
    "f_zone_name": ("FROM_UNIXTIME",), "f_known_zone": ("TO_TIMESTAMP_LTZ",), "f_json_elements": ("JSON_QUERY",),
    "f_json_message": ("JSON_EXISTS",),
}
"""Callers by a form of theirs that the example has not."""
_OPERATORS = {
    "f_java_double": "CAST of a text to FLOAT or DOUBLE", "f_decode": "CAST of bytes to a text",
    "f_decimal_sum": "`+` and `-`", "f_decimal_product": "`*`", "f_decimal_quotient": "`/`",
    "f_decimal_remainder": "`MOD` and `%`",
}
"""What calls them beside functions."""


def _row(entry: Entry) -> str:
    notes = [*(f"Also `{a}`." for a in entry.aliases), *(["Not deterministic."] if not entry.deterministic else []),
             *(["*Local.*"] if entry.local else [])]
    example = f"`{entry.example}`" if entry.example else ""
    cells = (f"`{entry.signature}`", " ".join([entry.doc, *notes]), example)
    return f"| {' | '.join(c.replace('|', chr(92) + '|') for c in cells)} |"


def _group(title: str, entries: Iterable[Entry]) -> str:
    head = [f"## {title}", "", *(_sample() if title == TITLES["aggregate"] else ())]
    return "\n".join([*head, "| Function | Meaning | Example |", "|---|---|---|", *map(_row, entries)])


def _sample() -> list[str]:
    """The rows that the examples of aggregates are true for."""
    lines = [f"| {' | '.join(cells)} |" for cells in (TYPES, ["---"] * len(TYPES), *ROWS_OF_SAMPLE)]
    lines[-1] = f"| {' | '.join(['NULL'] * len(TYPES))} |"
    return ["The examples are true for these rows, in this order; DESCRIBE FUNCTION shows each as a whole query.", "",
            *lines, ""]


def _callers() -> Mapping[str, list[str]]:
    """By the function of Python those of SQL that may call it, by their examples over constants and columns."""
    found = {row.name: [*_MORE.get(row.name, ())] for row in ROWS}
    for function in functions():
        if function.example:
            example = example_of(function)
            constant = Binder(Columns({}), {}).bind(example.literal)
            for name in called(f"{example.bound.sql} {constant.sql}") & set(found):
                found[name].append(function.name)
    return found


def _python() -> str:
    callers = _callers()

    def line(row: Row) -> str:
        others = [_OPERATORS[row.name]] if row.name in _OPERATORS else []
        names = ", ".join([*(f"`{n}`" for n in sorted(set(callers[row.name]))), *others])
        return f"| {names} | {row.reason} | {row.cost_us} |"

    return PYTHON + "\n".join(map(line, ROWS))


def page() -> str:
    groups = [_group(title, [e for e in described() if e.group == group]) for group, title in TITLES.items()]
    return "\n\n".join([HEAD.strip(), *groups, _python()]) + "\n"


def test_the_page_shows_the_functions_that_there_are() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.unit.values.test_functions_docs"


def test_every_function_of_python_is_said_to_be_called_by_something() -> None:
    callers = _callers()
    assert [row.name for row in ROWS if not callers[row.name] and row.name not in _OPERATORS] == []


def test_functions_of_python_are_made_known_in_two_places() -> None:
    """So that the table of the page is all there are: it is written from the one, the other is for the user's own."""
    package = Path(streamsql.__file__).parent
    found = {str(p.relative_to(package)) for p in package.rglob("*.py") if "database.function(" in p.read_text()}
    assert found == {"values/udfs.py", "values/user_calls.py"}


def test_every_group_has_a_title() -> None:
    assert {e.group for e in described()} == set(TITLES)


if __name__ == "__main__":
    PAGE.write_text(page())

"""What Flink accepted, parses; what its parser refused, does not. The statements are those of `tests/truth`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from streamsql.errors import Source, SQLError
from streamsql.sql import canonical, parse
from streamsql.sql.statements import Select

TRUTH = Path(__file__).parents[2] / "truth"

# Sampling makes an answer that no test can hold.
REFUSED_HERE = {"SELECT COUNT(*) FROM (VALUES (1), (2)) AS t(x) TABLESAMPLE BERNOULLI (100)"}
# Refused by Flink's grammar for what streamsql's planner knows: which functions there are, what a join lacks.
BOUND_HERE = {"SELECT STRING_AGG(x, ',') FROM (VALUES ('a')) AS t(x)",
              "SELECT DATE_DIFF('day', DATE '2024-02-29', DATE '2024-02-01')",
              "SELECT x FROM (VALUES (1)) AS t(x) ASOF JOIN (VALUES (1)) AS u(y) ON x = y"}


def statements() -> Iterator[tuple[str, str]]:
    """Each text, and the message with which Flink refused its case, or ''."""
    for path in sorted((TRUTH / "streams").glob("*/*.json")):
        case = json.loads(path.read_text())
        message = (case["error"] or {}).get("message", "")
        for text in [*case["ddl"], *([case["query"]] if case.get("query") else []), *(case.get("inserts") or [])]:
            yield text, message
    for path in sorted((TRUTH / "values").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            vector = json.loads(line)
            yield vector["sql"], (vector["error"] or {}).get("message") or ""


def test_what_flink_accepts_parses_and_is_written_back() -> None:
    failed: list[str] = []
    for text, message in statements():
        if message or text in REFUSED_HERE:
            continue
        try:
            [before] = parse(Source(text))
            [after] = parse(Source(canonical(before)))
        except SQLError as error:
            failed.append(str(error))
            continue
        if isinstance(before, Select) and isinstance(after, Select) and before.query != after.query:
            failed.append(f"{text}\n  is written back as {canonical(before)}")
    assert not failed, "\n".join(failed)


def test_what_flinks_parser_refuses_does_not_parse() -> None:
    accepted: list[str] = []
    for text, message in statements():
        if "SQL parse failed" not in message or text in BOUND_HERE:
            continue
        try:
            parse(Source(text))
        except SQLError:
            continue
        accepted.append(text)
    assert not accepted, "\n".join(accepted)

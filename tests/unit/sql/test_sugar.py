"""Sugar and its canonical form, which Flink reads."""

from __future__ import annotations

import pytest

from streamsql.errors import ParseError, Source
from streamsql.sql import canonical, parse

M = "INTERVAL '1' MINUTE"
TUMBLE = f"TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), {M}))"
BY = "GROUP BY window_start, window_end"

CASES = {
    "bare window function": (f"SELECT * FROM TUMBLE(t, ts, {M}) w", f"SELECT * FROM {TUMBLE} AS w"),
    "named arguments": (f"SELECT * FROM TABLE(TUMBLE(DATA => TABLE t, TIMECOL => DESCRIPTOR(ts), SIZE => {M}))",
                        f"SELECT * FROM {TUMBLE}"),
    "window in GROUP BY": (f"SELECT TUMBLE_START(ts, {M}) AS s, COUNT(*) FROM t GROUP BY TUMBLE(ts, {M})",
                           f"SELECT window_start AS s, COUNT(*) FROM {TUMBLE} AS t {BY}"),
    "rowtime of the window": (f"SELECT TUMBLE_ROWTIME(ts, {M}) AS s FROM t x WHERE v > 1 GROUP BY k, TUMBLE(x.ts, {M})",
                              f"SELECT window_time AS s FROM {TUMBLE} AS x WHERE v > 1 "
                              "GROUP BY k, window_start, window_end, window_time"),
    "session in GROUP BY": (f"SELECT k, SESSION_END(ts, {M}) AS e FROM t WHERE v > 1 GROUP BY k, SESSION(ts, {M})",
                            "SELECT k, window_end AS e FROM TABLE(SESSION((SELECT * FROM t WHERE v > 1) "
                            f"PARTITION BY k, DESCRIPTOR(ts), {M})) AS t GROUP BY k, window_start, window_end"),
    "unnamed column keeps its name": (f"SELECT TUMBLE_END(ts, {M}) FROM t GROUP BY TUMBLE(ts, {M})",
                                      f"SELECT window_end AS EXPR$0 FROM {TUMBLE} AS t {BY}"),
    "ksqlDB window": ("SELECT k, WINDOWSTART, COUNT(*) FROM t WINDOW HOPPING (SIZE 1 MINUTE, ADVANCE BY 5 SECONDS) "
                      "GROUP BY k EMIT CHANGES",
                      "SELECT k, window_start, COUNT(*) FROM TABLE(HOP(TABLE t, DESCRIPTOR(ROWTIME), "
                      f"INTERVAL '5' SECOND, {M})) AS t GROUP BY k, window_start, window_end EMIT CHANGES"),
    "QUALIFY": ("SELECT k, v FROM t QUALIFY ROW_NUMBER() OVER (PARTITION BY k ORDER BY v) = 1",
                "SELECT k, v FROM (SELECT k, v, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v) AS `$qualify0` FROM t) "
                "WHERE `$qualify0` = 1"),
    "QUALIFY by alias": ("SELECT *, ROW_NUMBER() OVER (ORDER BY v) AS rn FROM t QUALIFY rn <= 2",
                         "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY v) AS rn FROM t) WHERE rn <= 2"),
    "comma join": ("SELECT * FROM a, b", "SELECT * FROM a CROSS JOIN b"),
    "version after alias": ("SELECT * FROM a JOIN r AS x FOR SYSTEM_TIME AS OF a.ts ON a.k = x.k",
                            "SELECT * FROM a JOIN r FOR SYSTEM_TIME AS OF a.ts AS x ON a.k = x.k"),
    "ksqlDB stream": ("CREATE STREAM s (id INT, ts TIMESTAMP(3)) "
                      "WITH (kafka_topic='x', value_format='JSON', timestamp='ts')",
                      "CREATE TABLE s (id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) "
                      "WITH ('connector' = 'kafka', 'topic' = 'x', 'value.format' = 'json')"),
    "RisingWave source": ("CREATE SOURCE s (id INT) WITH (connector='kafka', properties.bootstrap.server='h:1', "
                          "scan.startup.mode='earliest') FORMAT PLAIN ENCODE JSON",
                          "CREATE TABLE s (id INT) WITH ('connector' = 'kafka', "
                          "'properties.bootstrap.servers' = 'h:1', "
                          "'scan.startup.mode' = 'earliest-offset', 'format' = 'json')"),
}


@pytest.mark.parametrize(("written", "expected"), CASES.values(), ids=CASES.keys())
def test_sugar(written: str, expected: str) -> None:
    [statement] = parse(Source(written))
    assert canonical(statement) == expected
    assert canonical(parse(Source(expected))[0]) == expected


@pytest.mark.parametrize(("text", "message"), [
    (f"SELECT TUMBLE_START(ts, {M}) FROM t", "TUMBLE_START without TUMBLE in GROUP BY"),
    (f"SELECT TUMBLE_START(ts, INTERVAL '2' MINUTE) FROM t GROUP BY TUMBLE(ts, {M})",
     "TUMBLE_START and TUMBLE in GROUP BY have different arguments"),
    (f"SELECT 1 FROM a JOIN b ON TRUE GROUP BY TUMBLE(ts, {M})", "a window in GROUP BY takes one table in FROM"),
    (f"SELECT 1 FROM t GROUP BY UPPER(k), SESSION(ts, {M})", "beside SESSION, GROUP BY takes columns"),
    (f"SELECT 1 FROM t GROUP BY HOP(ts, {M})", "HOP in GROUP BY takes a time and 2 intervals"),
    ("SELECT 1 FROM t WINDOW TUMBLING (SIZE 1 MINUTE, GRACE PERIOD 1 MINUTE) GROUP BY k",
     "a window has no GRACE PERIOD"),
    ("SELECT * FROM a JOIN b WITHIN 5 MINUTES GRACE PERIOD 1 MINUTE ON a.k = b.k", "a join has no GRACE PERIOD"),
    ("SELECT * FROM a FULL ASOF JOIN b ON a.k = b.k", "FULL ASOF JOIN is not supported"),
    (f"SELECT * FROM TABLE(HOP(TABLE t, DESCRIPTOR(ts), {M}))", 'expected "," but found ")"'),
    (f"SELECT * FROM TABLE(TUMBLE(DATA => TABLE t, SIZE => {M}))", "TUMBLE lacks TIMECOL"),
])
def test_what_cannot_be_rewritten_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ParseError) as error:
        parse(Source(text))
    assert error.value.message == message
    assert error.value.hint

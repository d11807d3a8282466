"""Macros of time."""

from __future__ import annotations

_MACROS: tuple[tuple[str, str], ...] = (
    # months from the first to the second: as many as can be added without passing it
    ("f_months_up(a, b)", "(year(b) - year(a)) * 12 + month(b) - month(a) - CASE WHEN CAST(a AS DATE) + "
                          "to_months(CAST((year(b) - year(a)) * 12 + month(b) - month(a) AS INTEGER)) "
                          "> CAST(b AS DATE) THEN 1 ELSE 0 END"),
    ("f_days_months(a, b)", "CASE WHEN CAST(b AS DATE) >= CAST(a AS DATE) THEN f_months_up(a, b) "
                            "ELSE -f_months_up(b, a) END"),
    ("f_months_between(a, b)",
     "f_days_months(a, b) - CASE WHEN CAST(CAST(a AS DATE) + to_months(CAST(f_days_months(a, b) AS INTEGER)) AS DATE) "
     "= CAST(b AS DATE) AND CAST(b AS TIME) < CAST(a AS TIME) THEN 1 ELSE 0 END"),
    ("f_starts_plain(x)", "x >= '0' AND x < ':'"),
    ("f_sql_timestamp(x)",
     "COALESCE(CASE WHEN f_starts_plain(x) THEN CASE strlen(x) "
     "WHEN 19 THEN try_strptime(x, '%Y-%m-%d %H:%M:%S') WHEN 23 THEN try_strptime(x, '%Y-%m-%d %H:%M:%S.%g') "
     "WHEN 10 THEN try_strptime(x, '%Y-%m-%d') END END, f_floor_ms(make_timestamp(f_parse_time(x))))"),
    ("f_floor_ms(t)", "date_trunc('millisecond', t)"),
    ("f_epoch_of(q, z)", "CASE WHEN q IS NULL THEN CAST('-9223372036854775808' AS BIGINT) "
                         "WHEN q.zone IS NULL THEN epoch_ms(timezone(z, make_timestamp(q.local))) // 1000 "
                         "ELSE (q.local // 1000 - q.zone * 1000) // 1000 END"),
    ("f_moment(n)", "CASE WHEN n BETWEEN -62167219200000000 AND 253402300799999999 "
                    "THEN timezone('UTC', make_timestamp(CAST(n AS BIGINT))) END"),
)


def _ordered() -> list[tuple[str, str]]:
    """Macros after those that they call."""
    order = ["f_months_up", "f_days_months", "f_months_between", "f_starts_plain", "f_floor_ms", "f_sql_timestamp",
             "f_epoch_of", "f_moment"]
    return sorted(_MACROS, key=lambda m: order.index(m[0].split("(")[0]))


SETUP: tuple[str, ...] = tuple(
    f"CREATE OR REPLACE TEMP MACRO {head} AS ({body})" for head, body in _ordered())

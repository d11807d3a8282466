"""Macros of time."""

from __future__ import annotations

_MACROS: tuple[tuple[str, str], ...] = (
    # months between, towards the first; backwards the time of day counts on the last day, as in Flink
    ("f_months_between(a, b)",
     "CASE WHEN b >= a THEN datesub('month', a, b) ELSE datesub('month', CAST(a AS DATE), CAST(b AS DATE)) - "
     "CASE WHEN CAST(b AS TIME) < CAST(a AS TIME) AND CAST(CAST(a AS DATE) + to_months(CAST("
     "datesub('month', CAST(a AS DATE), CAST(b AS DATE)) AS INTEGER)) AS DATE) = CAST(b AS DATE) "
     "THEN 1 ELSE 0 END END"),
    # strptime skips blanks, Java does not
    ("f_is_plain(x)", "x >= '0' AND x < ':' AND NOT ends_with(x, ' ') AND NOT contains(x, '  ')"),
    ("f_sql_timestamp(x)",
     "CASE WHEN x IS NOT NULL THEN COALESCE(CASE WHEN x >= '0' AND NOT ends_with(x, ' ') AND NOT contains(x, '  ') "
     "THEN CASE strlen(x) WHEN 19 THEN try_strptime(x, '%Y-%m-%d %H:%M:%S') "
     "WHEN 23 THEN try_strptime(x, '%Y-%m-%d %H:%M:%S.%g') WHEN 10 THEN try_strptime(x, '%Y-%m-%d') END END, "
     "f_floor_ms(make_timestamp(f_parse_time(x)))) END"),
    ("f_floor_ms(t)", "date_trunc('millisecond', t)"),
    ("f_epoch_of(q, z)", "CASE WHEN q IS NULL THEN CAST('-9223372036854775808' AS BIGINT) "
                         "WHEN q.zone IS NULL THEN f_epoch_ms(make_timestamp(q.local), z) // 1000 "
                         "ELSE (q.local // 1000 - q.zone * 1000) // 1000 END"),
    ("f_moment(n)", "CASE WHEN n BETWEEN -62167219200000000 AND 253402300799999999 "
                    "THEN make_timestamptz(CAST(n AS BIGINT)) END"),
    # conversions through ICU cost 200 ns a row, and a zone is a constant: UTC goes without
    ("f_is_utc(z)", "z IN ('UTC', 'GMT', 'Etc/UTC', 'Zulu')"),
    ("f_local(i, z)", "CASE WHEN f_is_utc(z) THEN make_timestamp(epoch_us(i)) ELSE timezone(z, i) END"),
    ("f_epoch_ms(t, z)", "CASE WHEN f_is_utc(z) THEN epoch_ms(t) ELSE epoch_ms(timezone(z, t)) END"),

)


def _ordered() -> list[tuple[str, str]]:
    """Macros after those that they call."""
    order = ["f_is_utc", "f_is_plain", "f_floor_ms", "f_epoch_ms"]
    return sorted(_MACROS, key=lambda m: [*order, m[0].split("(")[0]].index(m[0].split("(")[0]))


SETUP: tuple[str, ...] = tuple(
    f"CREATE OR REPLACE TEMP MACRO {head} AS ({body})" for head, body in _ordered())

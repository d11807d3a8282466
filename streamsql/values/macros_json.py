"""Macros of JSON."""

from __future__ import annotations

_MACROS: tuple[tuple[str, str], ...] = (
    ("f_raw_json(t)", "t"),
    # a double by way of Java's BigDecimal: plain from 1e-6 to 1e7, else d.dE±n
    ("f_json_digits(t)", "regexp_replace(t, 'E([0-9])', 'E+\\1')"),
    ("f_json_small(t)",
     "regexp_extract(t, '^-?') || '0.' || repeat('0', CAST(regexp_extract(t, 'E-([0-9]+)$', 1) AS INTEGER) - 1) || "
     "replace(regexp_extract(t, '^-?([0-9.]+)E', 1), '.', '')"),
    ("f_json_double(x)",
     "CASE WHEN isnan(x) THEN '\"NaN\"' WHEN isinf(x) THEN CASE WHEN x > 0 THEN '\"Infinity\"' "
     "ELSE '\"-Infinity\"' END WHEN x = 0 THEN '0.0' "
     "WHEN abs(x) >= 1e-3 AND abs(x) < 1e7 THEN f_double_text(x) "
     "WHEN abs(x) >= 1e-6 AND abs(x) < 1e-3 THEN f_json_small(f_double_text(x)) "
     "ELSE f_json_digits(f_double_text(x)) END"),
    ("f_json_time(t)",
     "'\"' || strftime(t, '%Y-%m-%dT%H:%M:%S') || regexp_replace(CASE WHEN epoch_ns(t) % 1000000000 = 0 THEN '' "
     "ELSE '.' || lpad(CAST((epoch_ns(t) % 1000000000 + 1000000000) % 1000000000 AS VARCHAR), 9, '0') END, "
     "'0+$', '') || '\"'"),
)

SETUP: tuple[str, ...] = tuple(f"CREATE OR REPLACE TEMP MACRO {head} AS ({body})" for head, body in _MACROS)

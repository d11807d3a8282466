"""Macros: the longer DuckDB compositions that bound expressions call, `f_NAME(…)`.

DuckDB substitutes a macro's arguments as text, so `call` binds an argument that is used more than
once to a lambda variable first, unless it is as cheap as a column. `SETUP` defines them all when a
`Database` opens; they are temporary, so that a state file never keeps an older version.

In each body the names of the parameters are single letters; a body never uses them otherwise.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Protocol

from streamsql.core.types import INTEGERS
from streamsql.values import macros_json, macros_text, macros_time
from streamsql.values.let import let

_BITS = dict(zip(INTEGERS, (8, 16, 32, 64)))


INFINITY = "CAST('Infinity' AS DOUBLE)"
"""The largest number; DuckDB puts NaN above it."""


def _wrap(root: str) -> str:
    """A whole number `v` of more bits, cut to the low bits as Java does."""
    bits, wide = _BITS[root], "HUGEINT" if root == "BIGINT" else "BIGINT"
    half, mask = f"CAST('{2 ** (bits - 1)}' AS {wide})", f"CAST('{2 ** bits - 1}' AS {wide})"
    name = "INTEGER" if root == "INT" else root
    return f"CAST((((v & {mask}) + {half}) & {mask}) - {half} AS {name})"  # v itself may be the greatest of its type


def _text_to_integer(root: str, refused: str = "NULL") -> str:
    """Text `t` to an integer, `refused` if it is none: trimmed, a fraction cut off, digits only.

    What DuckDB reads and writes back alike needs no further look; it also reads `1_000`, `1e2`, `0x1F`.
    """
    name = "INTEGER" if root == "INT" else root
    slow = ("TRY_CAST(CASE WHEN regexp_full_match(t, '\\s*[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)\\s*') "
            f"THEN regexp_replace(regexp_replace(t, '\\..*', ''), '^\\s*([+-]?)$', '\\10') END AS {name})")
    return (f"CASE WHEN CAST(TRY_CAST(t AS {name}) AS VARCHAR) = t THEN TRY_CAST(t AS {name}) "
            f"WHEN t IS NOT NULL THEN COALESCE({slow}, {refused}) END")


def _text_to_float(name: str) -> str:
    """Text `t` to a float as `Double.parseDouble` reads it; NULL if it cannot.

    DuckDB reads the same from what begins with a digit and has no `_`; it would take `inf` and `nan` too.
    """
    return ("COALESCE(CASE WHEN (t >= '.' AND t < ':' OR t >= '-.' AND t < '-:') AND NOT contains(t, '_') "
            f"THEN TRY_CAST(t AS {name}) END, CASE WHEN t IS NULL THEN NULL "
            "WHEN regexp_full_match(t, '\\s*[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?[dDfF]?\\s*') "
            f"THEN TRY_CAST(rtrim(trim(t), 'dDfF') AS {name}) "
            "WHEN regexp_full_match(t, '\\s*[+-]?(NaN|Infinity)\\s*') THEN "
            f"CAST(trim(t) AS {name}) "
            f"WHEN contains(lower(t), '0x') THEN CAST(f_java_double(trim(t)) AS {name}) END)")


_FLOAT_TEXT = (
    "CASE WHEN abs(x) >= 1e-3 AND abs(x) < 1e7 OR x = 0 THEN CAST(x AS VARCHAR) "
    "WHEN isnan(x) THEN 'NaN' WHEN isinf(x) THEN CASE WHEN x > 0 THEN 'Infinity' ELSE '-Infinity' END "
    "ELSE f_scientific(CAST(x AS VARCHAR)) END")
"""Java's `Double.toString`: plain from 0.001 to 10 million, else `d.dE±n`."""

_SCIENTIFIC = (
    "CASE WHEN contains(t, 'e') THEN regexp_replace(regexp_replace(regexp_replace("
    "t, '^(-?[0-9])e', '\\1.0e'), 'e\\+?(-?)0*', 'E\\1'), '^(-?[0-9.]+)$', '\\1') "
    "WHEN regexp_matches(t, '^-?0\\.') THEN "
    "regexp_replace(regexp_extract(t, '^(-?)0\\.0*([0-9]+)$', ['s', 'd'])['s'] || "
    "f_pointed(regexp_extract(t, '^-?0\\.0*([0-9]+)$', 1)), '$', "
    "'E-' || (length(regexp_extract(t, '^-?0\\.(0*)', 1)) + 1)) "
    "ELSE regexp_extract(t, '^-?') || f_pointed(replace(ltrim(t, '-'), '.', '')) "
    "|| 'E' || (length(regexp_extract(t, '^-?([0-9]+)', 1)) - 1) END")

_POINTED = ("d[1] || '.' || CASE WHEN rtrim(d[2:], '0') = '' THEN '0' ELSE rtrim(d[2:], '0') END")

_RATIO = (
    "(n // d) + CASE WHEN 2 * abs(n % d) >= abs(d) THEN CASE WHEN (n < 0) = (d < 0) THEN 1 ELSE -1 END "
    "ELSE 0 END")
"""Whole `n` by whole `d`, rounded half away from zero."""

_MACROS: dict[str, tuple[str, str]] = {
    **{f"f_wrap_{root.lower()}": ("v", _wrap(root)) for root in INTEGERS},
    **{f"f_to_{root.lower()}": ("t", _text_to_integer(root)) for root in INTEGERS},
    **{f"f_cast_{root.lower()}": ("t", _text_to_integer(root, f"f_refuse(t, '{root}')")) for root in INTEGERS},
    "f_to_double": ("t", _text_to_float("DOUBLE")),
    "f_to_float": ("t", _text_to_float("FLOAT")),
    "f_pointed": ("d", _POINTED),
    "f_scientific": ("t", _SCIENTIFIC),
    "f_double_text": ("x", _FLOAT_TEXT),
    "f_refuse": ("t, k", "CASE WHEN t IS NOT NULL THEN error('cannot cast \"' || t || '\" to ' || k) END"),
    **{f"f_neg_{root.lower()}": ("x", f"CASE WHEN x = {-2 ** (bits - 1)} THEN x ELSE -x END")
       for root, bits in _BITS.items()},
    **{f"f_div_{root.lower()}": ("a, b", "CASE WHEN b = 0 AND a IS NOT NULL THEN error('division by zero') "
                                 f"WHEN b = -1 THEN f_neg_{root.lower()}(a) ELSE a // b END")
       for root in INTEGERS},
    "f_mod": ("a, b", "CASE WHEN b = 0 AND a IS NOT NULL THEN error('division by zero') "
              "WHEN b = -1 THEN a * 0 ELSE a % b END"),
    "f_ratio": ("n, d", "CASE WHEN d = 0 AND n IS NOT NULL THEN error('division by zero') ELSE " + _RATIO + " END"),
    "f_divisor": ("n, d", "CASE WHEN d = 0 AND n IS NOT NULL THEN error('division by zero') ELSE d END"),
    "f_guess": ("n, d", "CAST(CAST(n AS DOUBLE) / CAST(d AS DOUBLE) AS HUGEINT)"),
    "f_settled": ("n, d, q", "(q + CASE WHEN 2 * (n - q * d) >= d THEN 1 "
                  "WHEN 2 * (n - q * d) < -d THEN -1 ELSE 0 END)"),
    # DuckDB holds NaN equal to itself and above all; Java's operators hold it in no order
    "f_eq": ("a, b", f"(a = b) AND a <= {INFINITY}"),
    "f_neq": ("a, b", f"(a <> b) OR (a > {INFINITY} AND b IS NOT NULL)"),
    "f_gt": ("a, b", f"(a > b) AND (b IS NULL OR a <= {INFINITY})"),
    "f_gte": ("a, b", f"(a >= b) AND (b IS NULL OR a <= {INFINITY})"),
    "f_lt": ("a, b", f"(a < b) AND (a IS NULL OR b <= {INFINITY})"),
    "f_lte": ("a, b", f"(a <= b) AND (a IS NULL OR b <= {INFINITY})"),
    "f_float_to_int": ("x", "CASE WHEN isnan(x) THEN 0 WHEN x >= 2147483647 THEN 2147483647 "
                       "WHEN x <= -2147483648 THEN -2147483648 ELSE CAST(trunc(x) AS INTEGER) END"),
    "f_float_to_bigint": ("x", "CASE WHEN isnan(x) THEN 0 WHEN x >= 9223372036854775807 THEN 9223372036854775807 "
                          "WHEN x <= -9223372036854775808 THEN CAST('-9223372036854775808' AS BIGINT) "
                          "ELSE CAST(trunc(x) AS BIGINT) END"),
    "f_cut_units": ("n, d", "(n // d) * d"),
    "f_round_units": ("n, d", "f_ratio(n, d) * d"),
    "f_finite": ("x", "CASE WHEN isnan(x) OR isinf(x) THEN error('cannot round ' || x) ELSE x END"),
    "f_double_to_float": ("x", "CASE WHEN abs(x) > 3.4028235677973366e38 AND NOT isnan(x) THEN "
                          "CASE WHEN x > 0 THEN CAST('Infinity' AS FLOAT) ELSE CAST('-Infinity' AS FLOAT) END "
                          "ELSE CAST(x AS FLOAT) END"),
    "f_rand": ("s", "CASE WHEN s IS NOT NULL THEN (hash(s) % 1000003) / CAST(1000003 AS DOUBLE) END"),
    "f_index": ("i", "CASE WHEN i >= 1 THEN i END"),
    "f_counts": ("k", "map_from_entries(list_transform(list_distinct(k), lambda e: "
                 "{'key': e, 'value': CAST(len(list_filter(k, lambda o: o = e)) AS INTEGER)}))"),
    "f_bytes": ("b, n", "unhex(left(hex(b), n * 2))"),
    "f_boolean": ("t", "CASE WHEN lower(t) IN ('true', 't', 'yes', 'y', '1') THEN true "
                  "WHEN lower(t) IN ('false', 'f', 'no', 'n', '0') THEN false END"),
    "f_to_date": ("t", "CASE WHEN t IS NULL THEN NULL ELSE COALESCE(CASE WHEN strlen(t) = 10 AND t >= '0' AND t < ':' "
                  "THEN CAST(try_strptime(t, '%Y-%m-%d') AS DATE) END, TRY_CAST(f_day(regexp_extract(t, "
                  "'^\\s*([0-9]{1,4}(-[0-9]{1,2}){0,2})(\\s.*)?$', 1)) "
                  "AS DATE)) END"),
    "f_day": ("t", "NULLIF(CASE WHEN t = '' THEN '' ELSE lpad(split_part(t, '-', 1), 4, '0') || '-' || "
              "f_two(split_part(t, '-', 2)) || '-' || f_two(split_part(t, '-', 3)) END, '')"),
    "f_two": ("t", "CASE WHEN t = '' THEN '01' ELSE lpad(t, 2, '0') END"),
    "f_to_time": ("t", "f_clock_time(CASE WHEN contains(t, ' ') THEN "
                  "regexp_replace(t, '\\s*(^|$|:)\\s*', '\\1', 'g') ELSE t END)"),
    "f_clock_time": ("t", "TRY_CAST(CASE WHEN regexp_full_match(t, "
                  "'([01]?[0-9]|2[0-3])(:[0-5]?[0-9](:[0-5]?[0-9](\\.[0-9]{1,9})?)?)?') THEN "
                  "lpad(split_part(t, ':', 1), 2, '0') || ':' || lpad(split_part(t, ':', 2), 2, '0') || ':' || "
                  "CASE WHEN split_part(t, ':', 3) = '' THEN '00' "
                  "WHEN length(split_part(split_part(t, ':', 3), '.', 1)) = 1 THEN '0' || split_part(t, ':', 3) "
                  "ELSE split_part(t, ':', 3) END END AS TIME)"),
    # Flink resolves 30 February to the last day of the month, and takes nothing but these two forms
    "f_to_timestamp": ("t", "CASE WHEN regexp_full_match(t, "
                       "'[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?)?') THEN "
                       "COALESCE(TRY_CAST(t AS TIMESTAMP_NS), CAST(TRY_CAST(t AS TIMESTAMP) AS TIMESTAMP_NS), "
                       "TRY_CAST(f_last_day(t) || t[11:] AS TIMESTAMP_NS)) END"),
    "f_to_timestamp_us": ("t", "CASE WHEN t IS NULL THEN NULL ELSE COALESCE("
                          "CASE WHEN t >= '0' AND t < ':' THEN CASE strlen(t) "
                          "WHEN 19 THEN try_strptime(t, '%Y-%m-%d %H:%M:%S') "
                          "WHEN 23 THEN try_strptime(t, '%Y-%m-%d %H:%M:%S.%g') "
                          "WHEN 26 THEN try_strptime(t, '%Y-%m-%d %H:%M:%S.%f') "
                          "WHEN 10 THEN try_strptime(t, '%Y-%m-%d') END END, f_read_timestamp(t)) END"),
    "f_read_timestamp": ("t", "CASE WHEN regexp_full_match(t, "
                          "'[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?)?') THEN "
                          "COALESCE(TRY_CAST(t[:26] AS TIMESTAMP), "
                          "TRY_CAST(f_last_day(t) || t[11:26] AS TIMESTAMP)) END"),
    "f_last_day": ("t", "CASE WHEN t[9:10] BETWEEN '29' AND '31' THEN "
                   "CAST(last_day(TRY_CAST(t[:7] || '-01' AS DATE)) AS VARCHAR) END"),
    "f_instant": ("t, z", "CASE WHEN timezone(z, timezone(z, t) - to_microseconds(3600000000)) = t "
                  "THEN timezone(z, t) - to_microseconds(3600000000) ELSE timezone(z, t) END"),
    "f_floor_us": ("t, u", "make_timestamp(epoch_us(t) - (((epoch_us(t) % u) + u) % u))"),
    "f_floor_ns": ("t, u", "make_timestamp_ns(epoch_ns(t) - (((epoch_ns(t) % u) + u) % u))"),
    "f_ns_to_us": ("t", "make_timestamp((epoch_ns(t) - (((epoch_ns(t) % 1000) + 1000) % 1000)) // 1000)"),
    "f_days_text": ("i", "CASE WHEN epoch_ms(i) < 0 THEN '-' ELSE '+' END || abs(epoch_ms(i)) // 86400000 || ' ' "
                    "|| strftime(make_timestamp(abs(epoch_ms(i)) % 86400000 * 1000), '%H:%M:%S.%g')"),
    "f_months": ("i", "datepart('year', i) * 12 + datepart('month', i)"),
    "f_months_text": ("m", "CASE WHEN m < 0 THEN '-' ELSE '+' END || abs(m) // 12 || '-' || "
                      "lpad(CAST(abs(m) % 12 AS VARCHAR), 2, '0')"),
    # a key that is NULL stays, and DuckDB, whose maps have none, refuses it
    "f_map": ("k, w", "map(list_filter(k, lambda e, i: e IS NULL OR NOT list_contains(k[i + 1:], e)), "
              "list_filter(w, lambda e, i: k[i] IS NULL OR NOT list_contains(k[i + 1:], k[i])))"),
}


def _ordered(macros: dict[str, tuple[str, str]]) -> list[str]:
    """Names with those that a body calls before it."""
    done: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        for other in re.findall(r"\bf_\w+", macros[name][1]):
            if other in macros:
                visit(other)
        done.append(name)

    for name in macros:
        visit(name)
    return done


CLOCK = "f_clock"
SETUP: tuple[str, ...] = (
    *macros_text.SETUP,
    *macros_time.SETUP,
    f"CREATE OR REPLACE TEMP TABLE {CLOCK} AS SELECT CAST('1970-01-01 00:00:00+00' AS TIMESTAMPTZ) AS \"now\"",
    *(f"CREATE OR REPLACE TEMP MACRO {name}({_MACROS[name][0]}) AS ({_MACROS[name][1]})"
      for name in _ordered(_MACROS)),
    *macros_json.SETUP,
)
"""What runs on a Database before its first statement and after `udfs.register`, which some macros call: the
macros, and the one-row table that holds the batch's time."""


class Execute(Protocol):
    def __call__(self, sql: str, *params: object) -> None: ...


def set_clock(execute: Execute, now_us: int) -> None:
    """Bind the time that CURRENT_TIMESTAMP and the like give; the engine calls it before a batch.

    execute: runs a statement wherever expressions run (`Database.everywhere`).
    """
    moment = datetime.datetime.fromtimestamp(0, datetime.UTC) + datetime.timedelta(microseconds=now_us)
    execute(f'UPDATE {CLOCK} SET "now" = ?', moment)


def call(name: str, *arguments: str) -> str:
    """A call of a macro, whose arguments are evaluated once each."""
    parameters, body = _MACROS[name]
    names = [p.strip() for p in parameters.split(",")]
    repeated = {n for n in names if len(re.findall(rf"(?<![\w'\\]){n}(?![\w'(])", body)) > 1}
    free = _free_names(arguments)

    def bound(index: int, given: tuple[str, ...]) -> str:
        if index == len(arguments):
            return f"{name}({', '.join(given)})"
        if names[index] not in repeated:
            return bound(index + 1, (*given, arguments[index]))
        return let(arguments[index], lambda v: bound(index + 1, (*given, v)), next(free))

    return bound(0, ())


def _free_names(texts: tuple[str, ...]) -> _Names:
    return _Names(lambda name: any(re.search(rf"\b{name}\b", t) for t in texts))


class _Names:
    """Lambda variables that no text uses."""

    def __init__(self, used: Callable[[str], bool]) -> None:
        self._used, self._last = used, -1

    def __next__(self) -> str:
        self._last += 1
        while self._used(f"m{self._last}"):
            self._last += 1
        return f"m{self._last}"

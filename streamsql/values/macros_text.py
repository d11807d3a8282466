"""Macros of text: code points against Java's 16-bit units, and methods of Java strings.

A macro's argument is substituted as text, so callers give a column, a constant or a variable of `let`.
"""

from __future__ import annotations

from streamsql.values.let import let

_ASTRAL = r"[^\x{10000}-\x{10FFFF}]+"

_URL = (r"^(?i:(https?|ftp|file|jar|mailto)):(?://((?:([^/?#@]*)@)?(\[[^\]]*\]|[^/?#:@]*)(?::([0-9]*))?))?"
        r"([^?#]*)(\?[^#]*)?(#.*)?$")
_URL_PARTS = "['protocol', 'authority', 'user', 'host', 'port', 'path', 'query', 'ref']"

_MACROS: tuple[tuple[str, str], ...] = (
    # characters beyond the basic plane, each of which is two units to Java
    ("f_astral(x)", f"CASE WHEN strlen(x) = length(x) THEN 0 ELSE length(regexp_replace(x, '{_ASTRAL}', '', 'g')) END"),
    ("f_units(x)", "CAST(length(x) + f_astral(x) AS INTEGER)"),
    ("f_first_units(x, n)", "CASE WHEN f_astral(left(x, n)) = 0 THEN left(x, n) ELSE array_to_string(list_filter("
                            "f_characters(left(x, n)), lambda c, i: i + f_astral(left(x, i)) <= n), '') END"),
    ("f_characters(x)", "regexp_extract_all(x, '(?s:.)')"),
    ("f_reverse(x)", "CASE WHEN strlen(x) = length(x) THEN reverse(x) "
                     "ELSE array_to_string(list_reverse(f_characters(x)), '') END"),
    ("f_sub(x, p)", "CASE WHEN p > 0 THEN CASE WHEN p > 2147483647 THEN NULL ELSE substring(x, p) END "
                    "WHEN p = 0 THEN x WHEN length(x) + p < 0 THEN '' ELSE substring(x, p) END"),
    ("f_sub_for(x, p, n)", "CASE WHEN n < 0 OR p > 2147483647 OR n > 2147483647 THEN NULL "
                           "WHEN p > 0 THEN substring(x, p, n) WHEN p = 0 THEN substring(x, 1, n) "
                           "WHEN length(x) + p < 0 THEN '' ELSE substring(x, p, n) END"),
    ("f_left(x, n)", "CASE WHEN n <= 0 THEN CASE WHEN x IS NOT NULL THEN '' END ELSE left(x, n) END"),
    ("f_right(x, n)", "CASE WHEN n <= 0 THEN CASE WHEN x IS NOT NULL THEN '' END ELSE right(x, n) END"),
    ("f_lpad(x, n, p)", "CASE WHEN n < 0 OR p = '' OR p IS NULL THEN NULL WHEN n < f_units(x) THEN f_first_units(x, n) "
                        "ELSE lpad(x, CAST(n - f_astral(x) AS INTEGER), p) END"),
    ("f_rpad(x, n, p)", "CASE WHEN n < 0 OR p = '' OR p IS NULL THEN NULL WHEN n < f_units(x) THEN f_first_units(x, n) "
                        "ELSE rpad(x, CAST(n - f_astral(x) AS INTEGER), p) END"),
    ("f_replace(x, f, t)", "CASE WHEN f = '' THEN t || array_to_string(list_transform(f_characters(x), "
                           "lambda c: c || t), '') ELSE replace(x, f, t) END"),
    ("f_overlay(x, y, p, n)", "CASE WHEN y IS NULL OR n IS NULL THEN NULL "
                              "WHEN p <= 0 OR p > f_units(x) THEN x ELSE left(x, p - 1) || y || "
                              "CASE WHEN p + n <= f_units(x) AND n > 0 THEN substring(x, p + n) ELSE '' END END"),
    ("f_locate(s, x, p)", "CASE WHEN s = '' THEN CASE WHEN x IS NULL OR p IS NULL THEN NULL ELSE 1 END "
                          "WHEN p <= 1 THEN instr(x, s) "
                          "ELSE CASE instr(substring(x, p), s) WHEN 0 THEN 0 "
                          "ELSE instr(substring(x, p), s) + p - 1 END END"),
    ("f_places(x, s)", "list_filter(range(1, length(x) + 2 - length(s)), "
                       "lambda i: substring(x, i, length(s)) = s)"),
    ("f_instr(x, s, p, n)",
     "CASE WHEN x IS NULL OR s IS NULL OR p IS NULL OR n IS NULL THEN NULL "
     "WHEN n <= 0 THEN error('the occurrence of INSTR must be positive') WHEN p = 0 THEN 0 "
     "WHEN s = '' AND p > 0 THEN 1 "
     "WHEN p > 0 THEN COALESCE(list_filter(f_places(x, s), lambda i: i >= p)[n], 0) "
     "ELSE COALESCE(list_reverse(list_filter(f_places(x, s), "
     "lambda i: i + length(s) - 1 <= length(x) + 1 + p))[n], 0) END"),
    ("f_initcap(x)", "array_to_string(list_transform(regexp_extract_all(x, '[A-Za-z0-9]+|[^A-Za-z0-9]+'), lambda w: "
                     "CASE WHEN regexp_matches(w, '^[A-Za-z0-9]') THEN upper(w[1]) || lower(w[2:]) ELSE w END), '')"),
    ("f_split_at(x, s, i)", "CASE WHEN i < 0 THEN NULL WHEN s = '' THEN "
                            "string_split_regex(NULLIF(x, ''), '[ \\t-\\r\\x1c-\\x1f]')[i + 1] "
                            "ELSE string_split(NULLIF(x, ''), s)[i + 1] END"),
    ("f_split(x, s)", "CASE WHEN x IS NULL OR s IS NULL THEN NULL WHEN x = '' THEN [] "
                      "WHEN s = '' THEN f_characters(x) ELSE string_split(x, s) END"),
    ("f_ascii_of(c)", "CASE WHEN c < 128 THEN c WHEN c < 2048 THEN (c >> 6) - 64 "
                      "WHEN c < 65536 THEN (c >> 12) - 32 ELSE (c >> 18) - 16 END"),
    ("f_chr(n)", "CASE WHEN n < 0 THEN '' ELSE chr(CAST(n & 255 AS INTEGER)) END"),
    ("f_url_encode(x)", "replace(replace(replace(url_encode(x), '%20', '+'), '~', '%7E'), '%2A', '*')"),
    ("f_url_decoded(x)", "CASE WHEN NOT contains(x, '%') THEN replace(x, '+', ' ') "
                         "WHEN regexp_matches(x, '%(?:$|.$|[^0-9A-Fa-f]|.[^0-9A-Fa-f])') THEN NULL "
                         "ELSE COALESCE(TRY(url_decode(replace(x, '+', ' '))), f_url_decode(x)) END"),
    ("f_url(x)", f"regexp_extract(x, '{_URL}', {_URL_PARTS})"),
    ("f_url_ok(x)", f"regexp_matches(x, '{_URL}')"),
    ("f_url_query(x)", f"NULLIF(regexp_extract(x, '{_URL}', 7), '')[2:]"),
    ("f_url_part(x, p)",
     "CASE WHEN NOT f_url_ok(x) THEN NULL ELSE CASE p WHEN 'HOST' THEN f_url(x).host "
     "WHEN 'PATH' THEN f_url(x).path WHEN 'QUERY' THEN f_url_query(x) WHEN 'REF' THEN NULLIF(f_url(x).ref, '')[2:] "
     "WHEN 'PROTOCOL' THEN lower(f_url(x).protocol) WHEN 'FILE' THEN f_url(x).path || f_url(x).query "
     "WHEN 'AUTHORITY' THEN NULLIF(f_url(x).authority, '') "
     "WHEN 'USERINFO' THEN CASE WHEN contains(f_url(x).authority, '@') THEN f_url(x).user END END END"),
    ("f_url_parameter(x, p, k)",
     "CASE WHEN p = 'QUERY' AND f_url_ok(x) AND regexp_matches('&' || f_url_query(x), '&' || regexp_escape(k) || '=') "
     "THEN regexp_extract('&' || f_url_query(x), '&' || regexp_escape(k) || '=([^&]*)', 1) END"),
    ("f_unhex(x)", "CASE WHEN NOT regexp_full_match(x, '[0-9A-Fa-f]*') THEN NULL WHEN length(x) % 2 = 0 THEN unhex(x) "
                   "ELSE unhex('00' || x[2:]) END"),
    ("f_inet_parts(x)", "list_transform(string_split(x, '.'), lambda q: TRY_CAST(q AS HUGEINT))"),
    ("f_inet_aton(x)",
     "CASE WHEN NOT regexp_full_match(x, '[0-9]{1,20}(\\.[0-9]{1,20}){0,3}') THEN NULL ELSE "
     "CASE WHEN NOT contains(x, '.') THEN CASE WHEN TRY_CAST(x AS HUGEINT) < 4294967296 THEN TRY_CAST(x AS BIGINT) END "
     "WHEN list_max(f_inet_parts(x)) > 255 THEN NULL ELSE CAST(list_sum(list_transform(f_inet_parts(x), "
     "lambda q, i: q * CASE WHEN i = len(string_split(x, '.')) THEN 1 ELSE "
     "CASE i WHEN 1 THEN 16777216 WHEN 2 THEN 65536 ELSE 256 END END)) AS BIGINT) END END"),
    ("f_inet_ntoa(n)", "CASE WHEN n BETWEEN 0 AND 4294967295 THEN (n >> 24) || '.' || (n >> 16 & 255) || '.' || "
                       "(n >> 8 & 255) || '.' || (n & 255) END"),
    # the last value of a key wins
    ("f_pairs(e)", "map_from_entries(list_filter(e, lambda p, i: NOT list_contains("
                   "list_transform(e[i + 1:], lambda q: q.k), p.k)))"),
    ("f_texts_to_map(x, s, k)",
     "f_pairs(list_transform(f_trimmed(f_split(x, s)), lambda p: {'k': split_part(p, k, 1), "
     "'v': CASE WHEN contains(p, k) THEN p[strlen('') + length(split_part(p, k, 1)) + length(k) + 1:] END}))"),
    ("f_trimmed(l)", "l[:COALESCE(list_max(list_transform(l, lambda e, i: CASE WHEN e <> '' THEN i END)), 0)]"),
    ("f_json_quoted(x)", "'\"' || replace(replace(replace(replace(replace(regexp_replace(x, '([\"\\\\/])', '\\\\\\1', "
                         "'g'), chr(10), '\\n'), chr(13), '\\r'), chr(9), '\\t'), chr(8), '\\b'), chr(12), '\\f') "
                         "|| '\"'"),
)


def _ordered() -> list[tuple[str, str]]:
    """Macros after those that they call."""
    done: dict[str, str] = {}
    waiting = list(_MACROS)
    names = {head.split("(")[0] for head, _ in _MACROS}
    while waiting:
        for head, body in waiting:
            known = {h.split("(")[0] for h in done}
            if not [n for n in names - known if f"{n}(" in body]:
                done[head] = body
        waiting = [(h, b) for h, b in waiting if h not in done]
    return list(done.items())


SETUP: tuple[str, ...] = tuple(
    f"CREATE OR REPLACE TEMP MACRO {head} AS ({body})" for head, body in _ordered())


def utf16_length(text: str) -> str:
    """The length of a text as Java counts it."""
    return let(text, lambda x: f"f_units({x})", "units")

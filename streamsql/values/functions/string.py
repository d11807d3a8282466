"""Functions of strings: positions count from 1 in characters, and what Java counts in 16-bit units it still does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from streamsql.core.schema import text_literal
from streamsql.core.types import BIGINT, BOOLEAN, BYTES, INT, INTERVALS, MAX_LENGTH, STRING, DataType, map_of, varchar
from streamsql.errors import SQLTypeError
from streamsql.values.let import let, let_all
from streamsql.values.signature import by_arity, same
from streamsql.values.typed import Function, Typed

Arguments = Sequence[Typed]


def _varying(args: Arguments) -> DataType:
    """VARCHAR of the first string's length."""
    text = next(a.type for a in args if a.type.is_character)
    return varchar(text.precision)


def _trimmed_type(args: Arguments) -> DataType:
    return varchar(args[2].type.precision)


def _overlay_type(args: Arguments) -> DataType:
    return varchar(min(args[0].type.precision + args[1].type.precision, MAX_LENGTH))


def _fitted(body: str) -> Callable[[Arguments], str]:
    """A constant of a bounded type is computed while planning, and cut to its type."""
    def rule(args: Arguments) -> str:
        sql = let(args[0].sql, lambda x: body.format(x), "text")
        bounded = args[0].is_literal and args[0].type.precision < MAX_LENGTH
        return f"left({sql}, {args[0].type.precision})" if bounded else sql
    return rule


_UPPER_SPECIAL = "[ßŉǰΐΰևẖ-ẞὐὒὔὖᾀ-ᾯᾲ-ᾴᾶ-ᾷᾼῂ-ῄῆ-ῇῌῒΐῖῗῢΰῤῦῧῲ-ῴῶῷῼﬀ-ﬆﬓ-ﬗ]"
_UPPER = (f"CASE WHEN strlen({{0}}) = length({{0}}) THEN upper({{0}}) "
          f"WHEN regexp_matches({{0}}, '{_UPPER_SPECIAL}') THEN f_upper({{0}}) ELSE upper({{0}}) END")
_LOWER = ("CASE WHEN strlen({0}) = length({0}) THEN lower({0}) "
          "WHEN regexp_matches({0}, '[ΣİϴΩKÅ]') THEN f_lower({0}) ELSE lower({0}) END")


def _number(argument: Typed) -> int | None:
    """A constant whole number, else None."""
    value = argument.literal
    return value if argument.is_literal and isinstance(value, int) and not isinstance(value, bool) else None


def _substring(args: Arguments) -> str:
    start, length = _number(args[1]), _number(args[2]) if len(args) > 2 else None
    constant = len(args) == 2 or (length is not None and 0 <= length < 2 ** 31)
    if start is not None and 0 <= start < 2 ** 31 and constant:
        return f"substring({args[0].sql}, {max(start, 1)}{f', {length}' if len(args) > 2 else ''})"
    name = "f_sub" if len(args) == 2 else "f_sub_for"
    return let_all([a.sql for a in args], lambda names: f"{name}({', '.join(names)})")


def _once(name: str) -> Callable[[Arguments], str]:
    """A macro, its arguments evaluated once each."""
    return lambda args: let_all([a.sql for a in args], lambda names: f"{name}({', '.join(names)})")


def _trim(args: Arguments) -> str:
    how = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(args[0].literal).upper(), "trim")
    return f"{how}({args[2].sql}, {args[1].sql})"


def _overlay(args: Arguments) -> str:
    def body(names: list[str]) -> str:
        length = names[3] if len(names) > 3 else f"f_units({names[1]})"
        return f"f_overlay({names[0]}, {names[1]}, {names[2]}, {length})"
    return let_all([a.sql for a in args], body)


def _locate(args: Arguments) -> str:
    """(what, where [, from]), as LOCATE and POSITION have it."""
    start = args[2].sql if len(args) > 2 else "1"
    if len(args) < 3:
        return f"instr({args[1].sql}, {args[0].sql})"
    return let_all([args[0].sql, args[1].sql, start], lambda n: f"f_locate({', '.join(n)})")


def _instr(args: Arguments) -> str:
    if len(args) == 2:
        return f"instr({args[0].sql}, {args[1].sql})"
    if len(args) == 3:
        return let_all([a.sql for a in args], lambda n: f"f_instr({', '.join(n)}, 1)")
    return _once("f_instr")(args)


def _int(body: Callable[[Arguments], str]) -> Callable[[Arguments], str]:
    return lambda args: f"CAST({body(args)} AS INTEGER)"


def _replace(args: Arguments) -> str:
    needle = args[1].literal
    if args[1].is_literal and isinstance(needle, str) and needle:
        return f"replace({args[0].sql}, {args[1].sql}, {args[2].sql})"
    return _once("f_replace")(args)


def _split_index(args: Arguments) -> str:
    text, separator, index = args
    if separator.type.is_integer:
        def by_code(names: list[str]) -> str:
            x, code, i = names
            return (f"CASE WHEN {code} BETWEEN 1 AND 255 AND {i} >= 0 "
                    f"THEN string_split(NULLIF({x}, ''), chr(CAST({code} AS INTEGER)))[{i} + 1] END")
        return let_all([a.sql for a in args], by_code)
    number = _number(index)
    if separator.is_literal and separator.literal and number is not None and number >= 0:
        return f"string_split(NULLIF({text.sql}, ''), {separator.sql})[{number + 1}]"
    return _once("f_split_at")(args)


_META = set("\\^$.|?*+()[]{}")


def _str_to_map(args: Arguments) -> str:
    """Delimiters are regular expressions: those of plain characters are left to DuckDB."""
    if len(args) == 2:
        raise SQLTypeError("STR_TO_MAP takes 1 or 3 arguments, not 2", hint="name both delimiters")
    given: list[tuple[str, object]] = [(a.sql, a.literal if a.is_literal else None) for a in args[1:]]
    default: list[tuple[str, object]] = [("','", ","), ("'='", "=")]
    pairs, pair = (given or default)[0]
    keys, key = (given if len(given) > 1 else default)[1]
    if all(isinstance(text, str) and text and not set(text) & _META for text in (pair, key)):
        return let(args[0].sql, lambda x: f"f_texts_to_map({x}, {pairs}, {keys})", "text")
    return f"f_java_split_to_map({args[0].sql}, {pairs}, {keys})"


def _translate(args: Arguments) -> str:
    """NULL for `from` changes nothing, NULL for `to` removes."""
    text, old, new = (a.sql for a in args)
    old = f"COALESCE({old}, '')" if args[1].type.nullable else old
    new = f"COALESCE({new}, '')" if args[2].type.nullable else new
    return f"translate({text}, {old}, {new})"


def _elt_type(args: Arguments) -> DataType:
    number = _number(args[0])
    if number is not None and number < 0:
        raise SQLTypeError(f"the index of ELT is {number}, it counts from 1")
    return args[1].type


def _elt(args: Arguments) -> str:
    def body(index: str) -> str:
        cases = " ".join(f"WHEN {i} THEN {a.sql}" for i, a in enumerate(args[1:], 1))
        return f"CASE {index} {cases} END"
    return let(args[0].sql, body, "index")


def _affix(name: str) -> Callable[[Arguments], str]:
    def body(args: Arguments) -> str:
        a, b = (f"hex({x.sql})" if x.type.is_binary else x.sql for x in args)
        return f"{name}({a}, {b})"
    return body


def _charset(argument: Typed) -> str | None:
    return argument.literal.upper() if argument.is_literal and isinstance(argument.literal, str) else None


def _encode(args: Arguments) -> str:
    if _charset(args[1]) in ("UTF-8", "UTF8"):
        return f"encode({args[0].sql})"
    return f"f_encode({args[0].sql}, {args[1].sql})"


def _decode(args: Arguments) -> str:
    if _charset(args[1]) in ("UTF-8", "UTF8"):
        return let(args[0].sql, lambda b: f"COALESCE(TRY(decode({b})), f_decode({b}, 'UTF-8'))", "bytes")
    return f"f_decode({args[0].sql}, {args[1].sql})"


def _to_base64(args: Arguments) -> str:
    data = args[0].sql if args[0].type.is_binary else f"encode({args[0].sql})"
    return f"to_base64({data})"


_KINDS = {"DECIMAL": "decimal", "FLOAT": "double", "DOUBLE": "double", "BOOLEAN": "boolean",
          "TINYINT": "integer:8", "SMALLINT": "integer:16", "INT": "integer:32", "BIGINT": "integer:64",
          "DATE": "integer:32", "TIME": "integer:32", INTERVALS[0]: "integer:32", INTERVALS[1]: "integer:64"}


_PRINTED = {"FLOAT": "f_double_text(CAST({} AS DOUBLE))", "DOUBLE": "f_double_text({})",
            "DATE": "CAST({} - CAST('1970-01-01' AS DATE) AS VARCHAR)",
            "TIME": "CAST(epoch_ms({}) AS VARCHAR)", INTERVALS[0]: "CAST(f_months({}) AS VARCHAR)",
            INTERVALS[1]: "CAST(epoch_ms({}) AS VARCHAR)"}
"""How a value is handed over: dates and times as the whole numbers that they are within Flink."""


def _printf(args: Arguments) -> str:
    kinds = [_KINDS.get(a.type.root, "string") for a in args[1:]]
    texts = [_PRINTED.get(a.type.root, "CAST({} AS VARCHAR)").format(a.sql) for a in args[1:]]
    listed = ", ".join(text_literal(k) for k in kinds)
    return (f"f_printf({args[0].sql}, CAST([{listed}] AS VARCHAR[]), "
            f"CAST([{', '.join(texts)}] AS VARCHAR[]))")


def _all_letters(pattern: str) -> str:
    return f"COALESCE(regexp_full_match({{0}}, '{pattern}'), false)"


_DECIMAL_TEXT = (r"\s*[+-]?(NaN|Infinity|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[fFdD]?"
                 r"|0[xX]([0-9a-fA-F]+\.?|[0-9a-fA-F]*\.[0-9a-fA-F]+)[pP][+-]?[0-9]+[fFdD]?)\s*")

FUNCTIONS = (
    Function("ASCII", "ASCII(string)", ("string",), INT,
             lambda args: let(args[0].sql, lambda x: f"CAST(f_ascii_of(ascii({x})) AS INTEGER)", "text"),
             "The first byte, negative beyond ASCII; 0 for an empty string.", "ASCII('abc') = 97"),
    Function("BTRIM", "BTRIM(string [, characters])", ("string?", "string?"), STRING,
             by_arity("trim({0}, ' ')", "trim({0}, {1})"), "Without the characters at both ends, blanks unless said.",
             "BTRIM('xyayx', 'xy') = 'a'", optional=1),
    Function("CHAR_LENGTH", "CHAR_LENGTH(string)", ("string",), INT, "CAST(length({0}) AS INTEGER)",
             "How many characters.", "CHAR_LENGTH('hello') = 5", aliases=("CHARACTER_LENGTH",)),
    Function("CHR", "CHR(integer)", ("bigint",), STRING, _once("f_chr"),
             "The character of a code below 256; greater codes keep their last byte.", "CHR(97) = 'a'",
             nulls="always"),
    Function("CONCAT", "CONCAT(string, ...)", ("string",), STRING,
             lambda args: " || ".join(f"CAST({a.sql} AS VARCHAR)" for a in args),
             "All strings in a row; NULL if one is.", "CONCAT('a', 'b', 'c') = 'abc'", variadic=True),
    Function("CONCAT_WS", "CONCAT_WS(separator, string, ...)", ("string", "string"), STRING,
             "concat_ws({all})", "The strings with a separator between them, NULLs left out.",
             "CONCAT_WS('~', 'a', CAST(NULL AS STRING), 'b') = 'a~b'", variadic=True),
    Function("CURRENT_DATABASE", "CURRENT_DATABASE()", (), STRING, "'default_database'",
             "The name of the database, of which there is one.", "CURRENT_DATABASE() = 'default_database'",
             nulls="never"),
    Function("DECODE", "DECODE(binary, charset)", ("binary", "string"), STRING, _decode,
             "The text of bytes in a character set.", "DECODE(X'616263', 'UTF-8') = 'abc'"),
    Function("ELT", "ELT(index, value, ...)", ("integer", "string|binary@T"), _elt_type, _elt,
             "The value of that number; NULL if there is none.", "ELT(2, 'a', 'b') = 'b'", variadic=True,
             nulls="always"),
    Function("ENCODE", "ENCODE(string, charset)", ("string", "string"), BYTES, _encode,
             "The bytes of a text in a character set.", "ENCODE('abc', 'UTF-8') = X'616263'"),
    Function("ENDSWITH", "ENDSWITH(value, end)", ("string|binary@T?", "string|binary@T?"), BOOLEAN, _affix("ends_with"),
             "Whether it ends so.", "ENDSWITH('hello', 'lo') = TRUE"),
    Function("FROM_BASE64", "FROM_BASE64(string)", ("string",), STRING,
             lambda args: let(args[0].sql, lambda x: f"COALESCE(TRY(decode(from_base64({x}))), f_from_base64({x}))",
                              "text"),
             "The text of base64; an error if it is none.", "FROM_BASE64('aGVsbG8=') = 'hello'"),
    Function("INET_ATON", "INET_ATON(string)", ("string?",), BIGINT, _once("f_inet_aton"),
             "The number of an IPv4 address; NULL if it is none.", "INET_ATON('1.2.3.4') = 16909060",
             nulls="always"),
    Function("INET_NTOA", "INET_NTOA(integer)", ("bigint?",), STRING, _once("f_inet_ntoa"),
             "The IPv4 address of a number; NULL if there is none.", "INET_NTOA(16909060) = '1.2.3.4'",
             nulls="always"),
    Function("INITCAP", "INITCAP(string)", ("string",), same(), _once("f_initcap"),
             "Each word of ASCII letters and digits with a capital.", "INITCAP('HELLO wORLD') = 'Hello World'"),
    Function("INSTR", "INSTR(string, part [, start [, occurrence]])", ("string", "string", "bigint", "bigint"), INT,
             _int(_instr), "Where the part is; 0 if nowhere. A negative start counts from the end.",
             "INSTR('hello', 'l', 1, 2) = 4", optional=2),
    Function("IS_ALPHA", "IS_ALPHA(string)", ("any",), BOOLEAN,
             lambda args: _all_letters(r"\pL+").format(args[0].sql) if args[0].type.is_character else "false",
             "Whether all characters are letters.", "IS_ALPHA('abc') = TRUE", nulls="never"),
    Function("IS_DECIMAL", "IS_DECIMAL(string)", ("any",), BOOLEAN,
             lambda args: "{1} IS NOT NULL".replace("{1}", args[0].sql) if args[0].type.is_numeric
             else f"COALESCE(regexp_full_match(CAST({args[0].sql} AS VARCHAR), {text_literal(_DECIMAL_TEXT)}), false)",
             "Whether the string is a number.", "IS_DECIMAL('1.5') = TRUE", nulls="never"),
    Function("IS_DIGIT", "IS_DIGIT(string)", ("any",), BOOLEAN,
             lambda args: f"{args[0].sql} IS NOT NULL" if args[0].type.is_integer
             else f"COALESCE(regexp_full_match(CAST({args[0].sql} AS VARCHAR), '\\p{{Nd}}+'), false)",
             "Whether all characters are digits.", "IS_DIGIT('12') = TRUE", nulls="never"),
    Function("LEFT", "LEFT(string, length)", ("string", "bigint"), _varying, _once("f_left"),
             "The first characters.", "LEFT('hello', 2) = 'he'", nulls="always"),
    Function("LOCATE", "LOCATE(part, string [, start])", ("string", "string", "bigint"), INT, _int(_locate),
             "Where the part is, from a start on; 0 if nowhere.", "LOCATE('l', 'hello', 4) = 4", optional=1),
    Function("LOWER", "LOWER(string)", ("string",), same(), _fitted(_LOWER), "In small letters.",
             "LOWER('Hello') = 'hello'"),
    Function("LPAD", "LPAD(string, length, padding)", ("string", "bigint", "string"), STRING, _once("f_lpad"),
             "Filled from the left to a length, or cut to it; NULL if it cannot be filled.",
             "LPAD('hi', 4, '?') = '??hi'"),
    Function("LTRIM", "LTRIM(string [, characters])", ("string", "string"), _varying,
             by_arity("ltrim({0}, ' ')", "ltrim({0}, {1})"), "Without the characters at the left.",
             "LTRIM('  a') = 'a'", optional=1),
    Function("OVERLAY", "OVERLAY(string PLACING other FROM start [FOR length])",
             ("string", "string", "bigint", "bigint"), _overlay_type, _overlay,
             "With a part replaced by another string.", "OVERLAY('xxxxxtest' PLACING 'xxxx' FROM 6) = 'xxxxxxxxx'",
             optional=1),
    Function("PARSE_URL", "PARSE_URL(url, part [, key])", ("string", "string", "string"), STRING,
             lambda args: _once("f_url_part" if len(args) == 2 else "f_url_parameter")(args),
             "HOST, PATH, QUERY, REF, PROTOCOL, AUTHORITY, FILE or USERINFO of a URL, or a parameter of its QUERY.",
             "PARSE_URL('http://e.org/p?k=v', 'QUERY', 'k') = 'v'", optional=1, nulls="always"),
    Function("POSITION", "POSITION(part IN string)", ("string", "string", "bigint"), INT, _int(_locate),
             "Where the part is; 0 if nowhere.", "POSITION('l' IN 'hello') = 3", optional=1),
    Function("PRINTF", "PRINTF(format, value, ...)", ("string?", "any?"), STRING, _printf,
             "Formatted as by Java's String.format; NULL for what it refuses.", "PRINTF('%05d', 42) = '00042'",
             optional=1, variadic=True, nulls="always"),
    Function("REPEAT", "REPEAT(string, times)", ("string", "bigint"), STRING, "repeat({0}, {1})",
             "The string several times.", "REPEAT('ab', 2) = 'abab'"),
    Function("REPLACE", "REPLACE(string, part, other)", ("string", "string", "string"), STRING, _replace,
             "Every part replaced by another.", "REPLACE('ababab', 'abab', 'z') = 'zab'"),
    Function("REVERSE", "REVERSE(string)", ("string",), STRING, _once("f_reverse"), "Backwards.",
             "REVERSE('abc') = 'cba'", nulls="always"),
    Function("RIGHT", "RIGHT(string, length)", ("string", "bigint"), _varying, _once("f_right"),
             "The last characters.", "RIGHT('hello', 2) = 'lo'", nulls="always"),
    Function("RPAD", "RPAD(string, length, padding)", ("string", "bigint", "string"), STRING, _once("f_rpad"),
             "Filled from the right to a length, or cut to it; NULL if it cannot be filled.",
             "RPAD('hi', 4, '?') = 'hi??'"),
    Function("RTRIM", "RTRIM(string [, characters])", ("string", "string"), _varying,
             by_arity("rtrim({0}, ' ')", "rtrim({0}, {1})"), "Without the characters at the right.",
             "RTRIM('a  ') = 'a'", optional=1),
    Function("SPLIT", "SPLIT(string, delimiter)", ("string?", "string?"), replace(
             DataType("ARRAY", children=(STRING,))), _once("f_split"),
             "The parts between delimiters; of an empty delimiter, the characters.",
             "SPLIT('a,b', ',') = ARRAY['a', 'b']"),
    Function("SPLIT_INDEX", "SPLIT_INDEX(string, delimiter, index)", ("string", "string|integer", "integer"), STRING,
             _split_index, "The part of that number, from 0; NULL if there is none.",
             "SPLIT_INDEX('a,b', ',', 1) = 'b'", nulls="always"),
    Function("STARTSWITH", "STARTSWITH(value, start)", ("string|binary@T?", "string|binary@T?"), BOOLEAN,
             _affix("starts_with"), "Whether it begins so.", "STARTSWITH('hello', 'he') = TRUE"),
    Function("STR_TO_MAP", "STR_TO_MAP(string [, pair_delimiter, key_delimiter])", ("string", "string", "string"),
             map_of(STRING, STRING), _str_to_map,
             "A map of `k1=v1,k2=v2`; the delimiters are regular expressions.",
             "STR_TO_MAP('a=1,b=2')['b'] = '2'", optional=2, nulls="always"),
    Function("SUBSTRING", "SUBSTRING(string FROM start [FOR length])", ("string", "integer", "integer"), _varying,
             _substring, "From a position on, up to a length; a negative one counts from the end.",
             "SUBSTRING('hello', 2, 3) = 'ell'", aliases=("SUBSTR",), optional=1, nulls="always"),
    Function("TO_BASE64", "TO_BASE64(value)", ("string|binary",), STRING, _to_base64, "In base64.",
             "TO_BASE64('hello') = 'aGVsbG8='"),
    Function("TRANSLATE", "TRANSLATE(string, from, to)", ("string", "string", "string"),
             lambda args: STRING.as_nullable(args[0].type.nullable), _translate,
             "Each character of `from` replaced by the one at its place in `to`.",
             "TRANSLATE('hello', 'el', 'ip') = 'hippo'", nulls="rule"),
    Function("TRIM", "TRIM([BOTH | LEADING | TRAILING] [characters FROM] string)", ("symbol", "string", "string"),
             _trimmed_type, _trim, "Without the characters at its ends, blanks unless said.",
             "TRIM(BOTH 'x' FROM 'xax') = 'a'"),
    Function("UNHEX", "UNHEX(string)", ("string?",), BYTES, _once("f_unhex"),
             "The bytes of hexadecimal digits; NULL if they are none.", "UNHEX('616263') = X'616263'",
             nulls="always"),
    Function("UPPER", "UPPER(string)", ("string",), same(), _fitted(_UPPER), "In capitals.",
             "UPPER('Hello') = 'HELLO'"),
    Function("URL_DECODE", "URL_DECODE(string)", ("string?",), STRING, _once("f_url_decoded"),
             "From application/x-www-form-urlencoded; NULL if malformed.", "URL_DECODE('a+b%26c') = 'a b&c'",
             nulls="always"),
    Function("URL_ENCODE", "URL_ENCODE(string)", ("string?",), STRING, _once("f_url_encode"),
             "Into application/x-www-form-urlencoded.", "URL_ENCODE('a b') = 'a+b'", nulls="always"),
)

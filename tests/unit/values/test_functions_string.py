"""Functions of strings, regular expressions and digests: on constants, and on columns with NULLs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pytest

from streamsql.core.types import BYTES, INT, STRING
from streamsql.errors import DataError, SQLTypeError
from streamsql.state.database import Database
from streamsql.values.typed import Typed
from tests.unit.values import calls
from tests.unit.values.calls import Value, Word


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with calls.database() as opened:
        yield opened


STRINGS: list[tuple[str, Sequence[Value], Value]] = [
    ("ASCII", ["abc"], 97), ("ASCII", [""], 0), ("ASCII", ["é"], -61), ("ASCII", ["日"], -26),
    ("BTRIM", ["xyayx", "xy"], "a"), ("BTRIM", ["  a  "], "a"), ("BTRIM", ["abc", ""], "abc"),
    ("CHAR_LENGTH", ["日本語"], 3), ("CHARACTER_LENGTH", ["😀"], 1),
    ("CHR", [97], "a"), ("CHR", [353], "a"), ("CHR", [-1], ""), ("CHR", [256], "\0"), ("CHR", [233], "é"),
    ("CONCAT", ["a", "b", "c"], "abc"), ("CONCAT_WS", ["~", "a", "", "c"], "a~~c"),
    ("DECODE", [b"abc", "UTF-8"], "abc"), ("DECODE", [b"\xff", "UTF-8"], "\ufffd"),
    ("DECODE", [b"\xe9", "ISO-8859-1"], "é"), ("DECODE", [b"\xfe\xff\0a", "UTF-16"], "a"),
    ("ELT", [2, "a", "b"], "b"), ("ELT", [3, "a", "b"], None), ("ELT", [0, "a"], None),
    ("ELT", [1, b"\1", b"\2"], b"\1"),
    ("ENCODE", ["é", "US-ASCII"], b"?"), ("ENCODE", ["abc", "UTF-16"], b"\xfe\xff\0a\0b\0c"),
    ("ENCODE", ["é", "UTF-8"], "é".encode()),
    ("ENDSWITH", ["hello", "lo"], True), ("ENDSWITH", [b"\1\2", b"\2"], True), ("ENDSWITH", ["a", "aa"], False),
    ("FROM_BASE64", ["aGVsbG8="], "hello"), ("FROM_BASE64", ["aGVsbG8"], "hello"), ("FROM_BASE64", [""], ""),
    ("INET_ATON", ["1.2.3.4"], 16909060), ("INET_ATON", ["1.2"], 16777218), ("INET_ATON", ["1.2.3"], 16908291),
    ("INET_ATON", ["4294967295"], 4294967295), ("INET_ATON", ["256.0.0.1"], None), ("INET_ATON", ["1..2"], None),
    ("INET_NTOA", [16909060], "1.2.3.4"), ("INET_NTOA", [-1], None), ("INET_NTOA", [4294967296], None),
    ("INITCAP", ["a-b_c1d e.f"], "A-B_C1d E.F"), ("INITCAP", ["éa ñb"], "éA ñB"), ("INITCAP", [""], ""),
    ("INSTR", ["hello", "l"], 3), ("INSTR", ["hello", "l", 1, 2], 4), ("INSTR", ["hello", "l", -1], 4),
    ("INSTR", ["hello", "l", -1, 2], 3), ("INSTR", ["aaa", "aa", 1, 2], 2), ("INSTR", ["hello", "l", 0], 0),
    ("IS_ALPHA", ["abcé"], True), ("IS_ALPHA", ["a1"], False), ("IS_DECIMAL", ["1.5e3"], True),
    ("IS_DECIMAL", ["x"], False), ("IS_DIGIT", ["12"], True), ("IS_DIGIT", ["1.2"], False),
    ("LEFT", ["hello", 2], "he"), ("LEFT", ["hello", -1], ""), ("LEFT", ["日本語", 2], "日本"),
    ("LOCATE", ["l", "hello", 4], 4), ("LOCATE", ["l", "hello", 5], 0), ("LOCATE", ["h", "hello", -1], 1),
    ("LOCATE", ["", "hello"], 1), ("LOCATE", ["l", "hello"], 3),
    ("LOWER", ["HELLO"], "hello"), ("LOWER", ["ΑΣ"], "ας"),
    ("LPAD", ["hi", 4, "?"], "??hi"), ("LPAD", ["hi", 1, "?"], "h"), ("LPAD", ["a", -1, "x"], None),
    ("LPAD", ["a", 3, ""], None), ("LPAD", ["ï😀", 7, "*"], "****ï😀"), ("LPAD", ["a", 0, "x"], ""),
    ("LTRIM", ["xxa", "x"], "a"), ("LTRIM", ["  a "], "a "),
    ("OVERLAY", ["hello", "XX", 2], "hXXlo"), ("OVERLAY", ["hello", "XX", 2, 1], "hXXllo"),
    ("OVERLAY", ["hello", "XX", 2, 0], "hXX"), ("OVERLAY", ["hello", "XX", 0], "hello"),
    ("PARSE_URL", ["http://u:p@e.org:80/a/b?x=1&y=2#r", "HOST"], "e.org"),
    ("PARSE_URL", ["http://u:p@e.org:80/a/b?x=1&y=2#r", "USERINFO"], "u:p"),
    ("PARSE_URL", ["http://u:p@e.org:80/a/b?x=1&y=2#r", "AUTHORITY"], "u:p@e.org:80"),
    ("PARSE_URL", ["http://u:p@e.org:80/a/b?x=1&y=2#r", "FILE"], "/a/b?x=1&y=2"),
    ("PARSE_URL", ["http://u:p@e.org:80/a/b?x=1&y=2#r", "REF"], "r"),
    ("PARSE_URL", ["http://u:p@e.org:80/a/b?x=1&y=2#r", "PROTOCOL"], "http"),
    ("PARSE_URL", ["http://u:p@e.org:80/a/b?x=1&y=2#r", "QUERY", "y"], "2"),
    ("PARSE_URL", ["http://e.org/?a.b=1", "QUERY", "a.b"], "1"), ("PARSE_URL", ["http://e.org", "QUERY"], None),
    ("PARSE_URL", ["http://e.org", "USERINFO"], None), ("PARSE_URL", ["no url", "HOST"], None),
    ("POSITION", ["本", "日本語"], 2), ("POSITION", ["z", "hello"], 0),
    ("PRINTF", ["%05d|%s", 42, "a"], "00042|a"), ("PRINTF", ["%,d", 1234567], "1,234,567"),
    ("LPAD", ["Ünï😀", 2, "l"], "Ün"), ("RPAD", ["😀ab", 2, "l"], "😀"), ("INSTR", ["hello", "", 2, 2], 1),
    ("MD5", [b"\x01\x02"], "0cb988d042a7f28dd5fe2b55b3f5ac7a"),
    ("PRINTF", ["%.2f %e", 1.005, 12345.678], "1.01 1.234568e+04"), ("PRINTF", ["%x%%", 255], "ff%"),
    ("REPEAT", ["ab", 3], "ababab"), ("REPEAT", ["ab", -1], ""),
    ("REPLACE", ["ababab", "abab", "z"], "zab"), ("REPLACE", ["hello", "", "x"], "xhxexlxlxox"),
    ("REVERSE", ["a😀"], "😀a"), ("REVERSE", ["e\u0301a"], "a\u0301e"), ("REVERSE", [""], ""),
    ("RIGHT", ["hello", 2], "lo"), ("RIGHT", ["hello", 0], ""),
    ("RPAD", ["a", 5, "xy"], "axyxy"), ("RPAD", ["abc", 2, "x"], "ab"), ("RTRIM", ["axyx", "yx"], "a"),
    ("SPLIT", ["a,,c", ","], ["a", "", "c"]), ("SPLIT", ["", ","], []), ("SPLIT", ["a😀", ""], ["a", "😀"]),
    ("SPLIT_INDEX", ["a,b,c", ",", 2], "c"), ("SPLIT_INDEX", ["a,b", ",", 2], None),
    ("SPLIT_INDEX", ["a,b", ",", -1], None), ("SPLIT_INDEX", ["a,b", 44, 1], "b"), ("SPLIT_INDEX", ["", ",", 0], None),
    ("SPLIT_INDEX", ["a b", "", 1], "b"),
    ("STARTSWITH", ["hello", ""], True), ("STARTSWITH", [b"\1\2", b"\1"], True),
    ("STR_TO_MAP", ["a=1,b=2"], {"a": "1", "b": "2"}), ("STR_TO_MAP", ["a:1;b:2", ";", ":"], {"a": "1", "b": "2"}),
    ("STR_TO_MAP", ["a1b2", "(?<=\\d)", "(?=\\d)"], {"a": "1", "b": "2"}), ("STR_TO_MAP", ["a=1=2,a=3"], {"a": "3"}),
    ("STR_TO_MAP", ["a,b=2,,"], {"a": None, "b": "2"}),
    ("SUBSTRING", ["hello", 2, 3], "ell"), ("SUBSTRING", ["hello", -3, 2], "ll"), ("SUBSTRING", ["hello", 0, 2], "he"),
    ("SUBSTRING", ["hello", -10, 7], ""), ("SUBSTRING", ["hello", 2, -1], None), ("SUBSTR", ["a😀b", 2, 1], "😀"),
    ("TO_BASE64", ["é"], "w6k="), ("TO_BASE64", [b"\0\xff"], "AP8="),
    ("TRANSLATE", ["hello", "el", "i"], "hio"), ("TRANSLATE", ["hello", "ll", "xy"], "hexxo"),
    ("TRIM", [Word("BOTH"), " ", "  a "], "a"), ("TRIM", [Word("LEADING"), "x", "xxaxx"], "axx"),
    ("TRIM", [Word("TRAILING"), "xy", "ayx"], "a"),
    ("UNHEX", ["616263"], b"abc"), ("UNHEX", ["6"], b"\0"), ("UNHEX", ["zz"], None), ("UNHEX", ["a61"], b"\0a"),
    ("UPPER", ["hello"], "HELLO"), ("UPPER", ["é"], "É"),
    ("URL_DECODE", ["a+b%26c"], "a b&c"), ("URL_DECODE", ["%E9%"], None), ("URL_DECODE", ["%E9"], "\ufffd"),
    ("URL_ENCODE", ["~*-._ é"], "%7E*-._+%C3%A9"),
    ("MD5", ["hello"], "5d41402abc4b2a76b9719d911017c592"),
    ("SHA1", ["hello"], "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"),
    ("SHA224", ["hello"], "ea09ae9cc6768c50fcee903ed054556e5bfc8347907f12598aa24193"),
    ("SHA2", ["hello", 224], "ea09ae9cc6768c50fcee903ed054556e5bfc8347907f12598aa24193"),
    ("SHA256", ["é"], "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"),
    ("SHA2", ["é", 256], "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"),
]

REGEXPS: list[tuple[str, Sequence[Value], Value]] = [
    ("REGEXP", ["a1b", "\\d"], True), ("REGEXP", ["abc", ""], False), ("REGEXP", ["abc", "("], False),
    ("REGEXP", ["abc", "a(?=b)"], True), ("REGEXP", ["É", "(?i)é"], False), ("REGEXP", ["b\n", "b$"], True),
    ("REGEXP", ["aXa", "(.)X\\1"], True), ("REGEXP", ["a\u2028b", "a.b"], False),
    ("REGEXP_EXTRACT", ["foothebar", "foo(.*?)(bar)", 2], "bar"), ("REGEXP_EXTRACT", ["foothebar", "zzz"], None),
    ("REGEXP_EXTRACT", ["abc", "(x)?b", 1], None), ("REGEXP_EXTRACT", ["abc", "(x?)b", 1], ""),
    ("REGEXP_EXTRACT", ["abc", "b", 3], None), ("REGEXP_EXTRACT", ["ab", "(?<=a)b"], "b"),
    ("REGEXP_EXTRACT_ALL", ["1-2,3-4", "(\\d)-(\\d)", 2], ["2", "4"]), ("REGEXP_EXTRACT_ALL", ["abc", "b"], None),
    ("REGEXP_EXTRACT_ALL", ["abc", "[a-c]", 0], ["a", "b", "c"]), ("REGEXP_EXTRACT_ALL", ["abc", "x", 0], []),
    ("REGEXP_EXTRACT_ALL", ["ab", "(x)?.", 1], [None, None]),
    ("REGEXP_REPLACE", ["foobar", "oo|ar", ""], "fb"), ("REGEXP_REPLACE", ["hello", "(l+)", "<\\1>"], "he<\\1>o"),
    ("REGEXP_REPLACE", ["hello", "(l+)", "<$1>"], "he<$1>o"), ("REGEXP_REPLACE", ["baac", "a*", "-"], "-b--c-"),
    ("REGEXP_REPLACE", ["a", "(", "b"], None),
    ("REGEXP_COUNT", ["aaaa", "aa"], 2), ("REGEXP_COUNT", ["hello", ""], 6), ("REGEXP_COUNT", ["a", "("], None),
    ("REGEXP_INSTR", ["hello", "l+o"], 3), ("REGEXP_INSTR", ["😀b", "b"], 3), ("REGEXP_INSTR", ["hello", "z"], 0),
    ("REGEXP_INSTR", ["hello", ""], 1), ("REGEXP_SUBSTR", ["hello", "l+"], "ll"), ("REGEXP_SUBSTR", ["a", "z"], None),
]


@pytest.mark.parametrize(("name", "args", "expected"), STRINGS + REGEXPS)
def test_value(database: Database, name: str, args: Sequence[Value], expected: Value) -> None:
    calls.check(database, name, args, expected)


@pytest.mark.parametrize(("name", "args", "expected"), REGEXPS)
def test_a_constant_pattern_over_a_column(database: Database, name: str, args: Sequence[Value],
                                          expected: Value) -> None:
    """The native path of RE2, whose argument is a column and whose pattern is not."""
    column = pa.table({"x": pa.array([args[0], None, args[0]])})
    database.over("texts", column.schema).set(column)
    call = calls.bound(name, [Typed('"x"', STRING), *(calls.constant(a) for a in args[1:])])
    rows = database.query(f"SELECT {call.sql} AS v FROM texts").column("v").to_pylist()
    assert rows == [expected, None, expected]


@pytest.mark.parametrize(("name", "args", "expected"), [
    ("CONCAT", ["a", calls.null(STRING)], None), ("CONCAT_WS", [",", "a", calls.null(STRING), "b"], "a,b"),
    ("CONCAT_WS", [calls.null(STRING), "a"], None), ("TRANSLATE", ["hello", calls.null(STRING), "x"], "hello"),
    ("TRANSLATE", ["hello", "l", calls.null(STRING)], "heo"), ("PRINTF", ["%s", calls.null(STRING)], "null"),
    ("PRINTF", ["%d", "a"], None), ("LPAD", ["hi", 1, calls.null(STRING)], None),
    ("OVERLAY", ["hi", "x", 1, calls.null(INT)], None), ("INET_ATON", [calls.null(STRING)], None),
    ("ELT", [calls.null(INT), "a"], None), ("ENCODE", [calls.null(STRING), "UTF-8"], None),
    ("DECODE", [calls.null(BYTES), "UTF-8"], None), ("SPLIT", ["a", calls.null(STRING)], None),
])
def test_nulls(database: Database, name: str, args: Sequence[Value], expected: Value) -> None:
    assert calls.on_constants(database, name, *args) == expected


@pytest.mark.parametrize(("name", "args", "message"), [
    ("FROM_BASE64", ["!!!"], "illegal base64 character 21"), ("DECODE", [b"a", "nope"], '"nope" is not known'),
    ("SHA2", ["a", 1], "not 1"), ("INSTR", ["a", "a", 1, 0], "must be positive"),
])
def test_a_value_is_refused(database: Database, name: str, args: Sequence[Value], message: str) -> None:
    with pytest.raises(DataError, match=message):
        calls.on_constants(database, name, *args)


@pytest.mark.parametrize(("name", "args"), [
    ("UPPER", [1]), ("LPAD", ["a", 3]), ("CHR", [calls.constant("a")]), ("SPLIT_INDEX", ["a", ","]), ("CONCAT", []),
    ("STARTSWITH", ["a", b"a"]),
])
def test_a_call_is_refused(name: str, args: Sequence[Value]) -> None:
    with pytest.raises(SQLTypeError):
        calls.bound(name, [calls.constant(a) for a in args])


@pytest.mark.parametrize(("name", "args", "type_"), [
    ("UPPER", ["abc"], "CHAR(3) NOT NULL"), ("SUBSTRING", ["abc", 1], "VARCHAR(3)"),
    ("TRIM", [Word("BOTH"), " ", "abc"],
     "VARCHAR(3) NOT NULL"), ("OVERLAY", ["hello", "XX", 2], "VARCHAR(7) NOT NULL"),
     ("MD5", ["a"], "CHAR(32) NOT NULL"),
    ("SPLIT", ["a", ","], "ARRAY<STRING> NOT NULL"), ("CONCAT", ["a"], "STRING NOT NULL"),
    ("CONCAT", [calls.null(STRING)], "STRING"), ("REGEXP_EXTRACT", ["a", "b"], "STRING"),
    ("UUID", [], "CHAR(36) NOT NULL"),
    ("STR_TO_MAP", ["a"], "MAP<STRING, STRING>"), ("SHA2", ["a", 256], "VARCHAR(128) NOT NULL"),
])
def test_type(name: str, args: Sequence[Value], type_: str) -> None:
    assert str(calls.bound(name, [calls.constant(a) for a in args]).type) == type_


def test_a_uuid_is_new_for_every_row(database: Database) -> None:
    sql = calls.bound("UUID", []).sql
    rows = database.query(f"SELECT {sql} AS v FROM range(100)").column("v").to_pylist()
    assert len(set(rows)) == 100

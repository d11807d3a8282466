"""What Flink refuses when it validates is refused here, at its place."""

from __future__ import annotations

import pytest

from streamsql.errors import BindError, SQLError, SQLTypeError
from tests.unit.values.expressions import bind


@pytest.mark.parametrize(("text", "message", "start"), [
    ("1 + TRUE", "cannot apply + to INT and BOOLEAN", 7),
    ("'555' * 2.0", "cannot apply * to CHAR(3) and DECIMAL(2, 1)", 7),
    ("1 = '1'", "cannot compare INT with CHAR(1)", 7),
    ("'1' < INTERVAL '1' DAY", "cannot compare CHAR(1) with INTERVAL SECOND(3)", 7),
    ("'1' IN (INTERVAL '1' DAY)", "cannot compare CHAR(1) with INTERVAL SECOND(3)", 7),
    ("ARRAY[1] < ARRAY[2]", "cannot compare ARRAY<INT NOT NULL> with ARRAY<INT NOT NULL>", 7),
    ("TRUE AND 1", "AND takes booleans, not INT", 16),
    ("TRUE AND NULL", "AND takes booleans, not NULL", 16),
    ("NOT 'x'", "NOT takes a boolean, not CHAR(1)", 11),
    ("1 / 0", "division by zero", 7),
    ("12345678901234567890", "number 12345678901234567890 is out of range", 7),
    ("DATE '2024-13-01'", "'2024-13-01' is no DATE", 7),
    ("ARRAY[1, 2][0]", "an array is counted from 1, not 0", 7),
    ("ARRAY[1, 'a']", "ARRAY takes elements of one type, not INT, CHAR(1)", 7),
    ("MAP['a', 1, 'b']", "MAP takes keys and values in turn", 7),
    ("CASE WHEN 1 THEN 2 END", "WHEN takes a boolean, not INT", 17),
    ("CASE WHEN TRUE THEN 'a' ELSE 1 END", "CASE takes results of one type, not CHAR(1), INT", 7),
    ("SIN('1')", 'function "SIN" takes a number as argument 1, not CHAR(1) NOT NULL', 11),
    ("POWER(1)", 'function "POWER" takes 2 arguments, not 1', 7),
    ("12 LIKE '1%'", "LIKE takes strings, not INT NOT NULL", 7),
    ("'abc' LIKE 'a!bc' ESCAPE '!'", "invalid escape '!b' in the pattern 'a!bc'", 7),
    ("3 IN ('ab', 3)", "IN takes values of one type, not CHAR(2), INT", 7),
    ("MAP['a', 1, 'b', NULL]", "a NULL among the values of MAP needs a type", 7),
    ("CAST(1 AS INTERVAL HOUR TO SECOND)", "cannot cast INT to INTERVAL HOUR TO SECOND", 7),
    ("TIMESTAMPDIFF(DAY, TO_TIMESTAMP_LTZ(0, 3), DATE '2024-01-01')",
     "the difference of TIMESTAMP_LTZ(3) and DATE is not defined", 7),
    ("INTERVAL '1' DAY + TO_TIMESTAMP_LTZ(0, 3)", "cannot apply + to INTERVAL SECOND(3) and TIMESTAMP_LTZ(3)", 7),
    ("EXTRACT(WEEK FROM INTERVAL '1' DAY)", 'unit "WEEK" cannot be taken of INTERVAL SECOND(3)', 7),
    ("ATAN2(1.5, 5)", "ATAN2 of DECIMAL(2, 1) and INT is not supported", 7),
    ("STR_TO_MAP('a', 'b')", "STR_TO_MAP takes 1 or 3 arguments, not 2", 7),
    ("1 || 'a'", "cannot apply || to INT and CHAR(1)", 7),
])
def test_types(text: str, message: str, start: int) -> None:
    _refused(text, SQLTypeError, message, start)


@pytest.mark.parametrize(("text", "message", "hint"), [
    ("nmae", 'column "nmae" does not exist', None),
    ("ABBS(1)", 'function "ABBS" does not exist', 'Did you mean "ABS"?'),
    ("ROW(1).x", 'field "x" does not exist', "Fields: EXPR$0"),
])
def test_names(text: str, message: str, hint: str | None) -> None:
    error = _refused(text, BindError, message, None)
    assert hint is None or hint in (error.hint or "")


def _refused(text: str, kind: type[SQLError], message: str, start: int | None) -> SQLError:
    with pytest.raises(kind) as refused:
        bind(text)
    assert refused.value.message == message
    assert refused.value.span is not None
    assert start is None or refused.value.span.start == start
    return refused.value


@pytest.mark.parametrize("text", [
    "CASE WHEN FALSE THEN 1 / 0 ELSE 2 END", "TRUE OR 1 / 0 = 1", "IF(TRUE, 1, 1 / 0)", "NULL = NULL",
    "CASE NULL WHEN NULL THEN 1 ELSE 2 END", "1 < '2'", "TRUE = 'x'", "ARRAY[1] = ARRAY['a']",
])
def test_what_flink_accepts(text: str) -> None:
    bind(text)

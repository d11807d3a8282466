"""Math functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamsql.core.types import DOUBLE, INT, STRING, DataType, decimal
from streamsql.errors import SQLTypeError
from streamsql.values import macros
from streamsql.values.arithmetic import arithmetic, negated
from streamsql.values.let import let
from streamsql.values.signature import by_arity, same
from streamsql.values.typed import Function, Typed

Arguments = Sequence[Typed]


def _double(name: str, doc: str, example: str = "", body: str = "") -> Function:
    return Function(name, f"{name}(number)", ("double",), DOUBLE, body or f"{name.lower()}({{0}})", doc, example)


def _abs(args: Arguments) -> str:
    value = args[0]
    if not value.type.is_integer:
        return f"abs({value.sql})"
    def body(x: str) -> str:
        minus = negated(Typed(x, value.type))
        assert minus is not None
        return f"CASE WHEN {x} < 0 THEN {minus.sql} ELSE {x} END"
    return let(value.sql, body, "absolute")


def _sign(args: Arguments) -> str:
    kind = args[0].type
    if kind.root in ("FLOAT", "DOUBLE"):
        return let(args[0].sql, lambda x: f"CASE WHEN isnan({x}) THEN {x} ELSE "
                   f"CAST(sign({x}) AS {kind.root}) END", "signed")
    return f"CAST(sign({args[0].sql}) AS {kind.duck_type()})"


def _angle(args: Arguments) -> DataType:
    """A decimal goes with another decimal only."""
    if (args[0].type.root == "DECIMAL") != (args[1].type.root == "DECIMAL"):
        raise SQLTypeError(f"ATAN2 of {args[0].type.as_nullable()} and {args[1].type.as_nullable()} is not supported",
                           hint="CAST the DECIMAL to DOUBLE")
    return DOUBLE


def _digits(args: Arguments) -> int | None:
    """The number of digits that are asked for; None if it is not constant."""
    if len(args) == 1:
        return 0
    literal = args[1].literal
    return literal if isinstance(literal, int) else None


def _rounded_type(args: Arguments) -> DataType:
    """A decimal keeps the digits asked for, and one more before the point where rounding may carry."""
    kind, digits = args[0].type, _digits(args)
    if kind.root != "DECIMAL" or digits is None or digits >= kind.scale:
        return kind
    whole = kind.precision - kind.scale + 1
    kept = max(digits, 0)
    return decimal(min(whole + kept, 38), kept)


def _rounded(*, cut: bool) -> Callable[[Arguments], str]:
    """ROUND half away from zero, or TRUNCATE; digits left of the point for a negative count."""
    def body(args: Arguments) -> str:
        value, kind = args[0].sql, args[0].type
        count = args[1].sql if len(args) == 2 else "0"
        if kind.is_integer:
            return _rounded_integer(args, cut)
        if kind.root == "DECIMAL":
            return _rounded_decimal(args, cut)
        return _rounded_float(value, kind, _digits(args), count, cut)
    return body


def _rounded_integer(args: Arguments, cut: bool) -> str:
    value, kind, digits = args[0].sql, args[0].type, _digits(args)
    if digits is not None and digits >= 0:
        return value
    unit = f"CAST('{10 ** min(-digits, 20)}' AS HUGEINT)" if digits is not None else (
        f"CAST(power(10, greatest(0, least(20, -{args[1].sql}))) AS HUGEINT)")
    units = macros.call("f_cut_units" if cut else "f_round_units", f"CAST({value} AS HUGEINT)", unit)
    wide = units if kind.root == "BIGINT" else f"CAST({macros.call('f_wrap_bigint', units)} AS BIGINT)"
    found = macros.call(f"f_wrap_{kind.root.lower()}", wide)
    if digits is None:
        return f"CASE WHEN {args[1].sql} IS NOT NULL THEN {found} END"
    return found


def _rounded_decimal(args: Arguments, cut: bool) -> str:
    value, digits, type_ = args[0].sql, _digits(args), _rounded_type(args)
    if digits is None:
        rounded = f"f_decimal_round(CAST({value} AS VARCHAR), CAST({args[1].sql} AS INTEGER), {str(cut).lower()})"
        return f"TRY_CAST({rounded} AS {type_.duck_type()})"
    if digits >= args[0].type.scale:
        return value
    if digits >= 0 and not cut:
        return f"CAST({value} AS {type_.duck_type()})"
    unit = f"CAST('{10 ** min(max(-digits, 0), 38)}' AS HUGEINT)"
    if digits >= 0:
        text = f"CAST({value} AS VARCHAR)"
        shorter = args[0].type.scale - digits + (1 if digits == 0 else 0)
        return f"CAST(left({text}, -{shorter}) AS {type_.duck_type()})"
    units = macros.call("f_cut_units" if cut else "f_round_units", f"CAST(trunc({value}) AS HUGEINT)", unit)
    return f"TRY_CAST({units} AS {type_.duck_type()})"


def _rounded_float(value: str, kind: DataType, digits: int | None, count: str, cut: bool) -> str:
    """By the digits that are shown, as Java's BigDecimal does: 1.005 to two digits is 1.01."""
    def exact(x: str) -> str:
        return f"CAST(f_decimal_round(CAST({x} AS VARCHAR), CAST({count} AS INTEGER), {str(cut).lower()}) AS DOUBLE)"

    def body(x: str) -> str:
        slow = let(macros.call("f_finite", x), exact, "finite")
        if digits is None or cut or not 0 <= digits <= 15:
            return slow
        # off the middle between two results, arithmetic gives the nearest double too
        moved = f"abs({x}) * 1e{digits}"
        plain = f"{moved} < 1e15 AND abs({moved} - floor({moved}) - 0.5) > 1e-3"
        return f"CASE WHEN {plain} THEN round({x} * 1e{digits}) / 1e{digits} ELSE {slow} END"

    return f"CAST({let(value, body, 'rounded')} + 0 AS {kind.root})"  # a BigDecimal knows no -0


def _modulo_type(args: Arguments) -> DataType:
    found = arithmetic("%", *args)
    return found.type if found else INT


def _modulo(args: Arguments) -> str:
    found = arithmetic("%", *args)
    assert found is not None
    return found.sql


FUNCTIONS = (
    Function("ABS", "ABS(number)", ("numeric",), same(), _abs, "Without its sign.", "ABS(-5) = 5"),
    _double("ACOS", "The arc cosine.", "ACOS(1) = 0.0"),
    _double("ASIN", "The arc sine.", "ASIN(0) = 0.0"),
    _double("ATAN", "The arc tangent.", "ATAN(0) = 0.0"),
    Function("ATAN2", "ATAN2(y, x)", ("numeric", "numeric"), _angle, "atan2(CAST({0} AS DOUBLE), CAST({1} AS DOUBLE))",
             "The angle of a point.", "ATAN2(0, 1) = 0.0"),
    Function("BIN", "BIN(integer)", ("bigint",), STRING, "bin({0})", "In binary digits.", "BIN(4) = '100'"),
    _double("COS", "The cosine of an angle in radians.", "COS(0) = 1.0"),
    _double("COSH", "The hyperbolic cosine.", "COSH(0) = 1.0"),
    _double("COT", "The cotangent of an angle in radians.", "COT(1) < 1e0"),
    _double("DEGREES", "Radians in degrees.", "DEGREES(0) = 0.0"),
    Function("E", "E()", (), DOUBLE, "exp(CAST(1 AS DOUBLE))", "Euler's number.", "E() > 2.718e0", nulls="never"),
    _double("EXP", "e to a power.", "EXP(0) = 1.0"),
    Function("HEX", "HEX(integer_or_string)", ("bigint|string",), STRING,
             lambda args: f"hex({args[0].sql})", "In upper-case hexadecimal digits.", "HEX(255) = 'FF'"),
    _double("LN", "The natural logarithm.", "LN(1) = 0.0"),
    Function("LOG", "LOG([base,] number)", ("double", "double"), DOUBLE, by_arity("ln({0})", "(ln({1}) / ln({0}))"),
             "The logarithm to a base, or the natural one.", "LOG(2, 8) = 3.0", optional=1),
    _double("LOG10", "The logarithm to base 10.", "LOG10(100) = 2.0"),
    _double("LOG2", "The logarithm to base 2.", "LOG2(8) = 3.0"),
    Function("MOD", "MOD(number, divisor)", ("exact", "exact"), _modulo_type, _modulo,
             "The rest of a division, with the sign of the number.", "MOD(-7, 3) = -1"),
    Function("PI", "PI", (), DOUBLE, "pi()", "The number π.", "PI > 3.14e0", nulls="never"),
    Function("POWER", "POWER(number, exponent)", ("double", "double"), DOUBLE, "power({0}, {1})",
             "A number to a power.", "POWER(2, 3) = 8.0"),
    _double("RADIANS", "Degrees in radians.", "RADIANS(0) = 0.0"),
    Function("RAND", "RAND([seed])", ("int",), lambda args: DOUBLE.as_nullable(any(a.type.nullable for a in args)),
             by_arity("random()", "f_rand({0})"), "A random number from 0 to 1.", "RAND() < 1e0", optional=1,
             deterministic=False, nulls="rule"),
    Function("RAND_INTEGER", "RAND_INTEGER([seed,] bound)", ("int", "int"), INT,
             by_arity("CAST(floor(random() * {0}) AS INTEGER)", "CAST(floor(f_rand({0}) * {1}) AS INTEGER)"),
             "A random integer from 0 to a bound.", "RAND_INTEGER(1) = 0", optional=1, deterministic=False),
    Function("ROUND", "ROUND(number [, digits])", ("numeric", "int"), _rounded_type, _rounded(cut=False),
             "Rounded half away from zero to a number of digits.", "ROUND(1.235, 2) = 1.24", optional=1),
    Function("SIGN", "SIGN(number)", ("numeric",), same(), _sign, "-1, 0 or 1, in the type of the number.",
             "SIGN(-5) = -1"),
    _double("SIN", "The sine of an angle in radians.", "SIN(0) = 0.0"),
    _double("SINH", "The hyperbolic sine.", "SINH(0) = 0.0"),
    _double("SQRT", "The square root.", "SQRT(4) = 2.0", "power({0}, 0.5e0)"),
    _double("TAN", "The tangent of an angle in radians.", "TAN(0) = 0.0"),
    _double("TANH", "The hyperbolic tangent.", "TANH(0) = 0.0"),
    Function("TRUNCATE", "TRUNCATE(number [, digits])", ("numeric", "int"), _rounded_type, _rounded(cut=True),
             "Cut off after a number of digits.", "TRUNCATE(1.999, 2) = 1.99", optional=1),
)

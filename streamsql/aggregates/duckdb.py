"""DuckDB's aggregate functions that Flink lacks: they work here, and strict mode refuses them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from streamsql.aggregates.aggregate import Function, Partial, Partials, Result, Rows
from streamsql.aggregates.arithmetic import COUNTS
from streamsql.aggregates.flink import always, first_type, json_array, json_object, listing
from streamsql.core.typed import Typed
from streamsql.core.types import BIGINT, BOOLEAN, DOUBLE, STRING, DataType, array, map_of


def _plain(function: str) -> Partials:
    """A function that needs all rows at once."""
    def partials(rows: Rows) -> tuple[Partial, ...]:
        return (Partial(rows.apply(function, *rows.args, order=rows.order), None),)
    return partials


def _ordered(function: str) -> Partials:
    """One whose value depends on the order of the rows."""
    def partials(rows: Rows) -> tuple[Partial, ...]:
        if rows.distinct:
            return (Partial(rows.apply(function, *rows.args), None),)
        return (Partial(rows.apply(function, *rows.args, order=rows.by_arrival()), None),)
    return partials


def _itself(function: str, both: str) -> Partials:
    """One that merges with itself: bit_and of bit_ands."""
    def partials(rows: Rows) -> tuple[Partial, ...]:
        return (Partial(rows.apply(function, rows.args[0]), f"{function}({{}})",
                        f"coalesce({both}, {{a}}, {{b}})"),)
    return partials


def _truths(function: str) -> Partials:
    """How many values are FALSE, and how many TRUE: what can be taken back."""
    def partials(rows: Rows) -> tuple[Partial, ...]:
        value = rows.args[0]
        if rows.over is not None or rows.distinct:
            return (Partial(f"{function}({value}){rows.where()}", None),)
        return tuple(Partial(rows.count(text), "CAST(sum({}) AS BIGINT)", COUNTS) for text in (f"NOT {value}", value))
    return partials


def _all_true(columns: Sequence[str], _types: Sequence[DataType], _kind: DataType) -> str:
    if len(columns) == 1:
        return columns[0]
    return f"CASE WHEN {columns[0]} > 0 THEN FALSE WHEN {columns[1]} > 0 THEN TRUE END"


def _any_true(columns: Sequence[str], _types: Sequence[DataType], _kind: DataType) -> str:
    if len(columns) == 1:
        return columns[0]
    return f"CASE WHEN {columns[1]} > 0 THEN TRUE WHEN {columns[0]} > 0 THEN FALSE END"


def _count_if(rows: Rows) -> tuple[Partial, ...]:
    return (Partial(rows.count(rows.args[0]), "CAST(sum({}) AS BIGINT)", COUNTS),)


def _at(function: str) -> Partials:
    """arg_min and arg_max: the first to arrive wins a tie."""
    def partials(rows: Rows) -> tuple[Partial, ...]:
        return (Partial(rows.apply(function, *rows.args, order=rows.by_arrival()), None),)
    return partials


def _weighted_average(rows: Rows) -> tuple[Partial, ...]:
    value, weight = (f"CAST({a} AS DOUBLE)" for a in rows.args)
    where = rows.where(f"{value} IS NOT NULL")
    return (Partial(f"sum({value} * {weight}){where} / sum({weight}){where}", None),)


def _geometric_mean(rows: Rows) -> tuple[Partial, ...]:
    return (Partial(f"exp({rows.apply('avg', f'ln({rows.args[0]})')})", None),)


def _json_array(rows: Rows) -> tuple[Partial, ...]:
    return json_array(replace(rows, args=(*rows.args, "'NULL'")))


def _quantile_type(args: Sequence[Typed]) -> DataType:
    one = DOUBLE if args[0].type.is_numeric else args[0].type
    return array(one) if len(args) > 1 and args[1].type.root == "ARRAY" else one


def _pick_type(args: Sequence[Typed]) -> DataType:
    one = args[0].type
    return array(one) if len(args) > 1 and args[1].type.root == "ARRAY" else one


def _local(name: str, arguments: tuple[str, ...], result: Result, partials: Partials, doc: str,
           **more: object) -> Function:
    names = ", ".join(f"{family if family != 'any' else 'value'}" for family in arguments)
    return Function(name, f"{name}({names})", arguments, result, partials, doc, local_only=True,
                    **more)  # type: ignore[arg-type]


_REAL = always(DOUBLE)
_PAIRS = {
    "CORR": ("Correlation.", "ROUND(CORR(w, v), 6) = 1"),
    "COVAR_POP": ("Covariance of the population.", "ROUND(COVAR_POP(w, v), 6) = 19"),
    "COVAR_SAMP": ("Covariance of a sample.", "ROUND(COVAR_SAMP(w, v), 2) = 25.33"),
    "REGR_AVGX": ("Average of x.", "REGR_AVGX(w, v) = 4"),
    "REGR_AVGY": ("Average of y.", "REGR_AVGY(w, v) = 9"),
    "REGR_INTERCEPT": ("Where the regression line meets y.", "ROUND(REGR_INTERCEPT(w, v), 6) = 1"),
    "REGR_R2": ("How well the regression line fits.", "ROUND(REGR_R2(w, v), 6) = 1"),
    "REGR_SLOPE": ("Slope of the regression line.", "ROUND(REGR_SLOPE(w, v), 6) = 2"),
    "REGR_SXX": ("Spread of x.", "ROUND(REGR_SXX(w, v), 6) = 38"),
    "REGR_SXY": ("Spread of x and y.", "ROUND(REGR_SXY(w, v), 6) = 76"),
    "REGR_SYY": ("Spread of y.", "ROUND(REGR_SYY(w, v), 6) = 152"),
}
_SINGLE = {
    "KURTOSIS": ("Excess kurtosis of a sample.", "ROUND(KURTOSIS(v), 2) = 1.5"),
    "KURTOSIS_POP": ("Excess kurtosis of the population.", "ROUND(KURTOSIS_POP(v), 2) = -1"),
    "SKEWNESS": ("Skewness.", "ROUND(SKEWNESS(v), 2) = 1.33"),
    "SEM": ("Standard error of the mean.", "ROUND(SEM(v), 2) = 1.54"),
    "PRODUCT": ("Product of the values.", "PRODUCT(v) = 72"),
    "FAVG": ("Average by a more exact sum.", "FAVG(v) = 4.0"),
    "FSUM": ("A more exact sum.", "FSUM(v) = 16.0"),
}

DUCKDB = (
    _local("ANY_VALUE", ("any",), first_type, _ordered("any_value"), "The first value that is not NULL.",
           listed=True, aliases=("ARBITRARY",),
           example="ANY_VALUE(v) = 1"),
    _local("FIRST", ("any",), first_type, _ordered("first"), "The value that arrived first, NULL too.",
           listed=True,
           example="FIRST(v) = 1"),
    _local("LAST", ("any",), first_type, _ordered("last"), "The value that arrived last, NULL too.",
           listed=True,
           example="LAST(v) IS NULL"),
    _local("ARG_MAX", ("any", "compared"), first_type, _at("arg_max"),
           "The value where the other is greatest.", listed=True, aliases=("MAX_BY", "ARGMAX"),
           example="ARG_MAX(s, v) = 'c'"),
    _local("ARG_MIN", ("any", "compared"), first_type, _at("arg_min"),
           "The value where the other is least.", listed=True, aliases=("MIN_BY", "ARGMIN"),
           example="ARG_MIN(s, v) = 'a'"),
    _local("LIST", ("any",), lambda a: array(a[0].type), listing("list", nulls=True),
           "ARRAY of the values in order of arrival, NULLs kept.", listed=True,
           example="CARDINALITY(LIST(v)) = 5"),
    _local("STRING_AGG", ("character", "literal"), first_type, _ordered("string_agg"),
           "The texts in order of arrival, joined by the separator.", optional=1, listed=True,
           aliases=("GROUP_CONCAT",),
           example="STRING_AGG(s, '-') = 'a-b-b-c'"),
    _local("HISTOGRAM", ("compared",), lambda a: map_of(a[0].type, BIGINT), _plain("histogram"),
           "MAP of each value to how often it came.",
           example="HISTOGRAM(s)['b'] = 2"),
    _local("MEDIAN", ("compared",), _quantile_type, _plain("median"), "The middle value, interpolated.",
           example="MEDIAN(v) = 3"),
    _local("QUANTILE_CONT", ("compared", "numbers"), _quantile_type, _plain("quantile_cont"),
           "Quantile, interpolated.",
           example="QUANTILE_CONT(v, 0.5) = 3"),
    _local("QUANTILE_DISC", ("compared", "numbers"), _pick_type, _plain("quantile_disc"),
           "Quantile that is one of the values.", aliases=("QUANTILE",),
           example="QUANTILE_DISC(v, 0.5) = 2"),
    _local("APPROX_QUANTILE", ("numeric", "numbers"), _pick_type, _plain("approx_quantile"),
           "Approximate quantile (t-digest).",
           example="APPROX_QUANTILE(v, 0.5) = 3"),
    _local("APPROX_TOP_K", ("any", "integer"), lambda a: array(a[0].type), _plain("approx_top_k"),
           "The most frequent values, approximately.",
           example="APPROX_TOP_K(s, 1) = ARRAY['b']"),
    _local("MODE", ("any",), first_type, _ordered("mode"), "The most frequent value.", listed=True,
           example="MODE(s) = 'b'"),
    _local("MAD", ("numeric",), _REAL, _plain("mad"), "Median absolute deviation.",
           example="MAD(v) = 1.5"),
    _local("ENTROPY", ("any",), _REAL, _plain("entropy"), "Entropy in bits of how often values came.",
           example="ENTROPY(s) = 1.5"),
    _local("BOOL_AND", ("boolean",), always(BOOLEAN), _truths("bool_and"), "TRUE if all values are.",
           final=_all_true, aliases=("EVERY",), retracts=True, idempotent=True,
           example="BOOL_AND(b) = FALSE"),
    _local("BOOL_OR", ("boolean",), always(BOOLEAN), _truths("bool_or"), "TRUE if any value is.",
           final=_any_true, retracts=True, idempotent=True,
           example="BOOL_OR(b) = TRUE"),
    _local("BIT_AND", ("integer",), first_type, _itself("bit_and", "{a} & {b}"), "Bitwise AND of the values.",
           idempotent=True,
           example="BIT_AND(v) = 0"),
    _local("BIT_OR", ("integer",), first_type, _itself("bit_or", "{a} | {b}"), "Bitwise OR of the values.",
           idempotent=True,
           example="BIT_OR(v) = 15"),
    _local("BIT_XOR", ("integer",), first_type, _itself("bit_xor", "xor({a}, {b})"), "Bitwise XOR of the values.",
           example="BIT_XOR(v) = 14"),
    _local("COUNT_IF", ("boolean",), always(BIGINT.not_null()), _count_if, "Number of rows where it is TRUE.",
           aliases=("COUNTIF",), retracts=True, never_null=True, distinct=False,
           example="COUNT_IF(v > 1) = 3"),
    _local("REGR_COUNT", ("numeric", "numeric"), always(BIGINT.not_null()), _plain("regr_count"),
           "Number of rows where both are not NULL.", never_null=True,
           example="REGR_COUNT(w, v) = 4"),
    _local("WEIGHTED_AVG", ("numeric", "numeric"), _REAL, _weighted_average,
           "Average of values with weights.", aliases=("WAVG",), distinct=False,
           example="ROUND(WEIGHTED_AVG(v, w), 2) = 6.11"),
    _local("GEOMEAN", ("numeric",), _REAL, _geometric_mean, "Geometric mean.",
           example="ROUND(GEOMEAN(v), 2) = 2.91"),
    _local("MEAN", ("numeric",), _REAL, _plain("avg"), "Average as DOUBLE; AVG keeps the type.",
           example="MEAN(v) = 4.0"),
    _local("JSON_GROUP_ARRAY", ("any",), always(STRING), _json_array,
           "JSON array of the values, NULLs kept.", listed=True, never_null=True, distinct=False,
           example="JSON_GROUP_ARRAY(v) = '[1,2,4,9,null]'"),
    _local("JSON_GROUP_OBJECT", ("character", "any"), always(STRING), json_object,
           "JSON object of keys and values.", listed=True, never_null=True, distinct=False,
           example="JSON_GROUP_OBJECT(COALESCE(s, '-'), v) = '{\"a\":1,\"b\":2,\"b\":4,\"c\":9,\"-\":null}'"),
    *(_local(name, ("numeric", "numeric"), _REAL, _plain(name.lower()), doc, example=example)
      for name, (doc, example) in _PAIRS.items()),
    *(_local(name, ("numeric",), _REAL, _plain(name.lower()), doc, example=example)
      for name, (doc, example) in _SINGLE.items()),
)


"""Flink's aggregate functions, with its result types and its arithmetic.

Variances are real numbers, and only their result is cut to the argument's type: `VAR_POP` of the
integers 0 and 3 is 2. Flink runs Welford's algorithm in DOUBLE; of integers we sum exactly instead,
since a value such as 2 may come out as 1.9999 in some order of addition, and would then be cut to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamsql.aggregates.aggregate import Final, Function, Partial, Partials, Result, Rows
from streamsql.aggregates.arithmetic import (
    BITS,
    COUNTS,
    HUGE_SUMS,
    LARGE,
    average_type,
    divided,
    joined,
    scaled,
    unscaled,
    wrapped,
)
from streamsql.core.typed import Typed
from streamsql.core.types import BIGINT, DOUBLE, DataType, array, multiset, varchar
from streamsql.errors import SQLTypeError

Types = Sequence[DataType]


def first_type(args: Sequence[Typed]) -> DataType:
    return args[0].type


def _sum_type(args: Sequence[Typed]) -> DataType:
    kind = args[0].type
    return DataType("DECIMAL", kind.nullable, 38, kind.scale) if kind.root == "DECIMAL" else kind


def _average_type(args: Sequence[Typed]) -> DataType:
    return average_type(args[0].type)


def always(kind: DataType) -> Result:
    return lambda _args: kind


# COUNT


def _count(rows: Rows) -> tuple[Partial, ...]:
    if not rows.args:
        return (Partial(rows.count(), "CAST(sum({}) AS BIGINT)", COUNTS),)
    if rows.distinct:
        return (Partial(rows.apply("count", rows.args[0]), None),)
    return (Partial(rows.count(f"{rows.args[0]} IS NOT NULL"), "CAST(sum({}) AS BIGINT)", COUNTS),)


def _distinct_count(rows: Rows) -> tuple[Partial, ...]:
    return (Partial(f"count(DISTINCT {rows.args[0]}){rows.where()}", None),)


# SUM and AVG: the sum, then how many values it has


def _sums(rows: Rows) -> tuple[Partial, ...]:
    value, kind = rows.args[0], rows.types[0]
    present = Partial(_present(rows), "CAST(sum({}) AS BIGINT)", COUNTS)
    if kind.root in BITS:
        total = rows.sum(value, "HUGEINT")
        merge, plus = (f"CAST({wrapped(both, 64)} AS BIGINT)" for both in ("sum({})", HUGE_SUMS))
        return (Partial(f"CAST({wrapped(total, 64) if kind.root == 'BIGINT' else total} AS BIGINT)", merge, plus),
                present)
    if kind.root == "DECIMAL" and kind.precision <= 28:
        return (Partial(rows.sum(value, f"DECIMAL(38,{kind.scale})"), "sum({})", COUNTS), present)
    if kind.root == "DECIMAL":
        high, low = f"({unscaled(value)} // {LARGE})", f"({unscaled(value)} % {LARGE})"
        if rows.distinct:
            value = f"list(DISTINCT {value}){rows.where()}"
            high, low = (f"list_sum([{part} FOR v IN {value}])::HUGEINT"
                         for part in (f"{unscaled('v')} // {LARGE}", f"{unscaled('v')} % {LARGE}"))
            return Partial(high, None), Partial(low, None), present
        merge = "CAST(sum({}) AS HUGEINT)"
        return (Partial(rows.sum(high, "HUGEINT"), merge, HUGE_SUMS),
                Partial(rows.sum(low, "HUGEINT"), merge, HUGE_SUMS), present)
    return Partial(rows.sum(value, "DOUBLE"), "sum({})", COUNTS), present


def _present(rows: Rows) -> str:
    if rows.distinct:
        return rows.apply("count", rows.args[0])
    return rows.count(f"{rows.args[0]} IS NOT NULL")


def _digits(columns: Sequence[str], kind: DataType) -> str:
    return joined(columns[0], columns[1]) if kind.precision > 28 else unscaled(columns[0])


def _sum(columns: Sequence[str], types: Types, kind: DataType) -> str:
    total, present = columns[0], columns[-1]
    if kind.root in BITS and kind.root != "BIGINT":  # which is cut already
        total = wrapped(total, BITS[kind.root])
    elif kind.root == "DECIMAL" and types[0].precision > 28:
        total = scaled(joined(columns[0], columns[1]), kind.scale)
    return f"CASE WHEN {present} > 0 THEN {total} END"


def _average(columns: Sequence[str], types: Types, kind: DataType) -> str:
    total, present = columns[0], columns[-1]
    if kind.root in BITS:
        mean = wrapped(f"({total} // {present})", BITS[kind.root])
    elif kind.root == "DECIMAL":
        mean = scaled(divided(_digits(columns, types[0]), present, kind.scale - types[0].scale), kind.scale)
    else:
        mean = f"{total} / {present}"
    return f"CASE WHEN {present} > 0 THEN {mean} END"


# variances: of integers exact sums, of others what merges pairwise

_WIDE = 2**42
"""Squares of integers below it are summed exactly; where there are wider ones DOUBLE has to do."""


def _moments(rows: Rows) -> tuple[Partial, ...]:
    if rows.types[0].root in BITS:
        return _exact_moments(rows)
    return (_welford(rows),)


def _welford(rows: Rows) -> Partial:
    """The number of values, their mean and both variances, which merge pairwise."""
    value = f"CAST({rows.args[0]} AS DOUBLE)"
    n, mean, population, sample = (rows.apply(f, value) for f in ("count", "avg", "var_pop", "var_samp"))
    kept = f"{{'n': {n}, 'mean': {mean}, 'pop': {population}, 'samp': {sample}}}"
    pair = _pair("({a})", "({b})")
    plus = (f"CASE WHEN coalesce(({{a}}).n, 0) = 0 THEN {{b}} WHEN coalesce(({{b}}).n, 0) = 0 THEN {{a}} "
            f"ELSE {pair} END")
    return Partial(kept, f"list_reduce(list({{}}) FILTER (WHERE ({{}}).n > 0), lambda a, b: {_pair('a', 'b')})", plus)


def _pair(a: str, b: str) -> str:
    spread = (f"({a}.pop * {a}.n + {b}.pop * {b}.n "
              f"+ ({b}.mean - {a}.mean) * ({b}.mean - {a}.mean) * {a}.n * {b}.n / ({a}.n + {b}.n))")
    return (f"{{'n': {a}.n + {b}.n, 'mean': {a}.mean + ({b}.mean - {a}.mean) * {b}.n / ({a}.n + {b}.n), "
            f"'pop': {spread} / ({a}.n + {b}.n), 'samp': {spread} / ({a}.n + {b}.n - 1)}}")


def _exact_moments(rows: Rows) -> tuple[Partial, ...]:
    """The sum, the sum of the squares of narrow values, how many are wide, how many there are; and Welford's."""
    def terms(x: str) -> tuple[tuple[str, str], ...]:
        whole = f"CAST({x} AS HUGEINT)"
        wide = f"abs({whole}) >= {_WIDE}"
        return ((whole, "HUGEINT"), (f"CASE WHEN {wide} THEN 0 ELSE {whole} * {whole} END", "HUGEINT"),
                (f"CASE WHEN {wide} THEN 1 ELSE 0 END", "BIGINT"))
    if rows.distinct:
        values = f"list(DISTINCT {rows.args[0]}){rows.where()}"
        sums = (f"CAST(list_sum([{term} FOR v IN {values}]) AS {kind})" for term, kind in terms("v"))
        return (*(Partial(s, None) for s in sums), Partial(_present(rows), None), _welford(rows))
    return (*(Partial(rows.sum(term, kind), f"CAST(sum({{}}) AS {kind})", f"CAST({HUGE_SUMS} AS {kind})")
              for term, kind in terms(rows.args[0])),
            Partial(_present(rows), "CAST(sum({}) AS BIGINT)", COUNTS), _welford(rows))


def _variance(*, sample: bool, root: bool) -> Final:
    def final(columns: Sequence[str], types: Types, kind: DataType) -> str:
        rough = f"({columns[-1]}).{'samp' if sample else 'pop'}"
        rough = f"sqrt({rough})" if root else rough
        return _exact_variance(columns, types[0], rough, sample, root) if kind.root in BITS else rough
    return final


def _exact_variance(columns: Sequence[str], kind: DataType, rough: str, sample: bool, root: bool) -> str:
    total, narrow, wide, n, _ = columns
    total, narrow, count = (f"CAST({c} AS HUGEINT)" for c in (total, narrow, n))
    over = f"({count} * ({count} - 1))" if sample else f"({count} * {count})"
    spread = f"({count} * {narrow} - {total} * {total})"
    exact = f"trunc(sqrt({spread} / {over}))" if root else f"({spread} // {over})"
    most = 2**20 if kind.root == "BIGINT" else 2**31
    return (f"CASE WHEN {over} <= 0 THEN NULL WHEN {wide} = 0 AND {n} <= {most} THEN {exact} "
            f"ELSE trunc({rough}) END")


# values themselves


def extreme(function: str) -> Partials:
    def partials(rows: Rows) -> tuple[Partial, ...]:
        return (Partial(f"{function}({rows.args[0]}){rows.where()}", f"{function}({{}})", further(function)),)
    return partials


def further(function: str) -> str:
    """The lesser or the greater of two values, either of them NULL."""
    sign = "<" if function == "min" else ">"
    return f"CASE WHEN {{b}} {sign} {{a}} OR {{a}} IS NULL THEN {{b}} ELSE {{a}} END"


def _edge(function: str) -> Partials:
    """FIRST_VALUE and LAST_VALUE: the value with its arrival, so that partials compare."""
    def partials(rows: Rows) -> tuple[Partial, ...]:
        value, kind = rows.args[0], rows.types[0].duck_type()
        where = rows.where(f"{value} IS NOT NULL")
        if rows.over is not None:
            edge = "first_value" if function == "arg_min" else "last_value"
            call = f"{edge}({value} IGNORE NULLS) OVER ({rows.over})"
            return (Partial(f"{{'v': CAST({call} AS {kind})}}", None),)
        if rows.order or not rows.arrival:
            way = "first" if function == "arg_min" else "last"
            order = f" ORDER BY {rows.order}" if rows.order else ""
            return (Partial(f"{{'v': CAST({way}({value}{order}){where} AS {kind})}}", None),)
        row = f'{{\'v\': CAST({value} AS {kind}), \'w\': "$watermark", \'s\': "$seq"}}'
        sign = "<" if function == "arg_min" else ">"
        newer = f"{{b}} IS NOT NULL AND (({{b}}).w, ({{b}}).s) {sign} (({{a}}).w, ({{a}}).s)"
        return (Partial(f'{function}({row}, ("$watermark", "$seq")){where}', f"{function}({{}}, (({{}}).w, ({{}}).s))",
                        f"CASE WHEN {{a}} IS NULL OR ({newer}) THEN {{b}} ELSE {{a}} END"),)
    return partials


def _edge_value(columns: Sequence[str], _types: Types, _kind: DataType) -> str:
    return f"({columns[0]}).v"


def listing(function: str, *, nulls: bool) -> Partials:
    """All values in a list, by arrival."""
    def partials(rows: Rows) -> tuple[Partial, ...]:
        value = rows.args[0]
        more = "" if nulls else f"{value} IS NOT NULL"
        if rows.distinct:
            return (Partial(_distinct_list(rows, more), None),)
        return (Partial(rows.apply(function, value, more=more, order=rows.by_arrival()), None),)
    return partials


def _distinct_list(rows: Rows, more: str) -> str:
    """Distinct values in the order of their first arrival; DuckDB sorts DISTINCT only by the value."""
    order = f" ORDER BY {rows.by_arrival()}" if rows.by_arrival() else ""
    values = f"list({rows.args[0]}{order}){rows.where(more)}"
    known = "coalesce(list_position(a, b[1]), 0) > 0"
    return f"list_reduce([[v] FOR v IN {values}], lambda a, b: CASE WHEN {known} THEN a ELSE list_concat(a, b) END)"


def _listagg(rows: Rows) -> tuple[Partial, ...]:
    value, separator = rows.args[0], rows.args[1] if len(rows.args) > 1 else "','"
    if rows.distinct:
        texts = _distinct_list(rows, f"{value} IS NOT NULL")
        return (Partial(f"array_to_string({texts}, {separator})", None),)
    return (Partial(rows.apply("string_agg", value, separator, order=rows.by_arrival()), None),)


def _collect(rows: Rows) -> tuple[Partial, ...]:
    value = rows.args[0]
    if rows.distinct:
        values = f"list_sort(list(DISTINCT {value}){rows.where(f'{value} IS NOT NULL')})"
        return (Partial(f"map({values}, [1 FOR v IN {values}])", None),)
    return (Partial(f"histogram({value}){rows.where()}", None),)


def _or_empty(columns: Sequence[str], _types: Types, _kind: DataType) -> str:
    return f"coalesce({columns[0]}, MAP {{}})"


def _json(rows: Rows, pieces: str, absent: str | None, brackets: str) -> tuple[Partial, ...]:
    order = f" ORDER BY {rows.by_arrival()}" if rows.by_arrival() else ""
    joined_pieces = f"string_agg({pieces}, ','{order}){rows.where(absent or '')}"
    return (Partial(f"'{brackets[0]}' || coalesce({joined_pieces}, '') || '{brackets[1]}'", None),)


_JSON = {"TIMESTAMP": "f_json_time({0})", "BINARY": "'\"' || to_base64({0}) || '\"'",
         "VARBINARY": "'\"' || to_base64({0}) || '\"'"}


def _json_value(rows: Rows, index: int) -> str:
    written = _JSON.get(rows.types[index].root, "CAST(to_json({0}) AS VARCHAR)")
    return f"coalesce({written.format(rows.args[index])}, 'null')"


def _json_type(index: int) -> Callable[[Sequence[Typed]], DataType]:
    """Of values that have a form in JSON."""
    def rule(args: Sequence[Typed]) -> DataType:
        kind = args[index].type
        if kind.root in ("DATE", "TIME") or kind.is_interval:
            raise SQLTypeError(f"{kind.as_nullable()} has no form in JSON", hint="CAST it to STRING")
        return varchar(2000).not_null()
    return rule


def json_object(rows: Rows) -> tuple[Partial, ...]:
    key, value = rows.args[:2]
    absent = rows.args[2:] == ("'ABSENT'",)
    return _json(rows, f"CAST(to_json({key}) AS VARCHAR) || ':' || {_json_value(rows, 1)}",
                 f"{value} IS NOT NULL" if absent else None, "{}")


def json_array(rows: Rows) -> tuple[Partial, ...]:
    absent = rows.args[1:] != ("'NULL'",)
    return _json(rows, _json_value(rows, 0), f"{rows.args[0]} IS NOT NULL" if absent else None, "[]")


def _percentile(rows: Rows) -> tuple[Partial, ...]:
    value, at = f"CAST({rows.args[0]} AS DOUBLE)", rows.args[1]
    several = rows.types[1].root == "ARRAY"
    kind = "DOUBLE[]" if several else "DOUBLE"
    at = f"CAST({at} AS {kind})"
    least, most = (f"list_min({at})", f"list_max({at})") if several else (at, at)
    # DuckDB wants a constant, which error() is not: a cast that fails says it
    outside = f"CAST('a percentage that is not within [0, 1]' AS {kind})"
    at = f"CASE WHEN {least} >= 0 AND {most} <= 1 THEN {at} ELSE {outside} END"
    if len(rows.args) == 2:
        return (Partial(rows.apply("quantile_cont", value, at), None),)
    times = f"list(repeat([{value}], CAST({rows.args[2]} AS BIGINT))){rows.where(f'{rows.args[2]} > 0')}"
    return (Partial(f"list_aggregate(flatten({times}), 'quantile_cont', {at})", None),)


def _percentile_type(args: Sequence[Typed]) -> DataType:
    return array(DOUBLE) if args[1].type.root == "ARRAY" else DOUBLE


FLINK = (
    Function("COUNT", "COUNT([DISTINCT] value) or COUNT(*)", ("any",), always(BIGINT.not_null()), _count,
             "Number of rows, or of rows whose value is not NULL.", optional=1, retracts=True,
             never_null=True,
             example="COUNT(v) = 4"),
    Function("SUM", "SUM([DISTINCT] number)", ("numeric",), _sum_type, _sums,
             "Sum; integers keep their type and wrap, a DECIMAL becomes DECIMAL(38, s).", _sum,
             retracts=True,
             example="SUM(v) = 16"),
    Function("AVG", "AVG([DISTINCT] number)", ("numeric",), _average_type, _sums,
             "Average; of integers an integer, cut toward zero.", _average, retracts=True,
             example="AVG(v) = 4"),
    Function("MIN", "MIN(value)", ("compared",), first_type, extreme("min"), "Least value.",
             idempotent=True, extreme="min",
             example="MIN(v) = 1"),
    Function("MAX", "MAX(value)", ("compared",), first_type, extreme("max"), "Greatest value.",
             idempotent=True, extreme="max",
             example="MAX(v) = 9"),
    Function("VAR_POP", "VAR_POP([DISTINCT] number)", ("numeric",), _average_type, _moments,
             "Variance of the whole population.", _variance(sample=False, root=False),
             example="ROUND(VAR_POP(CAST(v AS DOUBLE)), 2) = 9.5"),
    Function("VAR_SAMP", "VAR_SAMP([DISTINCT] number)", ("numeric",), _average_type, _moments,
             "Variance of a sample.", _variance(sample=True, root=False), aliases=("VARIANCE",),
             example="VAR_SAMP(v) = 12"),
    Function("STDDEV_POP", "STDDEV_POP([DISTINCT] number)", ("numeric",), _average_type, _moments,
             "Standard deviation of the whole population.", _variance(sample=False, root=True),
             example="ROUND(STDDEV_POP(CAST(v AS DOUBLE)), 2) = 3.08"),
    Function("STDDEV_SAMP", "STDDEV_SAMP([DISTINCT] number)", ("numeric",), _average_type, _moments,
             "Standard deviation of a sample.", _variance(sample=True, root=True), aliases=("STDDEV",),
             example="STDDEV_SAMP(v) = 3"),
    Function("FIRST_VALUE", "FIRST_VALUE(value)", ("any",), first_type, _edge("arg_min"),
             "The value that arrived first, NULLs left out.", _edge_value, listed=True,
             example="FIRST_VALUE(v) = 1"),
    Function("LAST_VALUE", "LAST_VALUE(value)", ("any",), first_type, _edge("arg_max"),
             "The value that arrived last, NULLs left out.", _edge_value, listed=True,
             example="LAST_VALUE(v) = 9"),
    Function("COLLECT", "COLLECT([DISTINCT] value)", ("any",), lambda a: multiset(a[0].type).not_null(),
             _collect, "MULTISET of the values that are not NULL.", _or_empty, never_null=True,
             example="CARDINALITY(COLLECT(s)) = 3"),
    Function("LISTAGG", "LISTAGG([DISTINCT] text [, separator])", ("character", "literal"), first_type,
             _listagg, "The texts in order of arrival, joined by ',' or the separator.", optional=1,
             listed=True,
             example="LISTAGG(s, '-') = 'a-b-b-c'"),
    Function("ARRAY_AGG", "ARRAY_AGG([DISTINCT] value [ORDER BY …])", ("any",),
             lambda a: array(a[0].type).as_nullable(a[0].type.nullable), listing("list", nulls=True),
             "ARRAY of the values in order of arrival, NULLs kept.", listed=True,
             example="CARDINALITY(ARRAY_AGG(v)) = 5"),
    Function("APPROX_COUNT_DISTINCT", "APPROX_COUNT_DISTINCT(value)", ("any",), always(BIGINT.not_null()),
             _distinct_count, "Number of distinct values; exact here.", never_null=True, over_distinct=_count,
             example="APPROX_COUNT_DISTINCT(s) = 3"),
    Function("JSON_OBJECTAGG", "JSON_OBJECTAGG([KEY] key VALUE value [{ NULL | ABSENT } ON NULL])",
             ("character", "any", "literal"), _json_type(1), json_object,
             "JSON object of keys and values.", optional=1, listed=True, never_null=True, distinct=False,
             example="JSON_OBJECTAGG(KEY COALESCE(s, '-') VALUE v ABSENT ON NULL) = "
                     """'{"a":1,"b":2,"b":4,"c":9}'"""),
    Function("JSON_ARRAYAGG", "JSON_ARRAYAGG(value [{ NULL | ABSENT } ON NULL])", ("any", "literal"),
             _json_type(0), json_array,
             "JSON array of the values.", optional=1, listed=True, never_null=True, distinct=False,
             example="JSON_ARRAYAGG(v) = '[1,2,4,9]'"),
    Function("PERCENTILE", "PERCENTILE(number, percentage [, frequency])", ("numeric", "numbers", "integer"),
             _percentile_type, _percentile, "Exact percentile, interpolated; percentage within [0, 1].",
             optional=1,
             example="PERCENTILE(v, 0.5) = 3.0"),
)

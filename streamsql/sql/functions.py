"""The shape of every expression in a tree: the contract between the parser and whoever binds it.

**Functions.** Each call is `exp.Anonymous(this=NAME, expressions=[…])`, NAME in upper case and as Flink calls
it: sqlglot's own function classes are never used, since they carry other engines' meaning. Wrapped around it:

| written                              | tree |
|---|---|
| `f(a, b)`                            | `Anonymous('F', [a, b])` |
| `f(x => a)`                          | `Anonymous('F', [Kwarg(Var('x'), a)])` |
| `f(x -> x + 1)`, `(x, y) -> …`       | `Anonymous('F', [Lambda(this=body, expressions=[Identifier…])])` |
| `COUNT(*)`                           | `Anonymous('COUNT', [Star()])` |
| `COUNT(DISTINCT a, b)`               | `Anonymous('COUNT', [Distinct(expressions=[a, b])])` |
| `f(x ORDER BY y)`                    | `Anonymous('F', [Order(this=x, expressions=[Ordered…])])`; other arguments stay before or after |
| `f(x) WITHIN GROUP (ORDER BY y)`     | `WithinGroup(this=Anonymous, expression=Order)` |
| `f(x) IGNORE NULLS`, `RESPECT NULLS` | `IgnoreNulls(this=Anonymous)`, `RespectNulls(this=Anonymous)` |
| `f(x) FILTER (WHERE c)`              | `Filter(this=Anonymous, expression=Where(this=c))` |
| `f(x) OVER (…)`                      | `Window(this=…, partition_by=[…], order=Order, spec=WindowSpec)`; `OVER w` is inlined |
| `CURRENT_TIMESTAMP`, `LOCALTIME`, `PI` … | `Anonymous('CURRENT_TIMESTAMP', [])`: see `NILADIC` |

Nesting from the inside: Anonymous, Ignore/RespectNulls, WithinGroup, Filter, Window.
`WindowSpec`: kind 'ROWS' or 'RANGE'; start and end are 'UNBOUNDED', 'CURRENT ROW' or an expression;
start_side and end_side are 'PRECEDING' or 'FOLLOWING' (absent with CURRENT ROW).

**Calls with a syntax of their own** (`[…]` marks what is there only if written):

| written                              | tree |
|---|---|
| `EXTRACT(u FROM x)`                  | `Anonymous('EXTRACT', [Var('YEAR'), x])` |
| `FLOOR(x TO u)`, `CEIL(x TO u)`      | `Anonymous('FLOOR' or 'CEIL', [x, Var(u)])`; `CEILING` becomes `CEIL` |
| `TIMESTAMPADD(u, n, t)`, `TIMESTAMPDIFF(u, a, b)` | `Anonymous(name, [Var(u), …])`; `SQL_TSI_DAY` becomes `DAY` |
| `TRIM([BOTH/LEADING/TRAILING] [c] FROM x)`, `TRIM(x)` | `Anonymous('TRIM', [Var('BOTH'), c or ' ', x])`: always three |
| `OVERLAY(a PLACING b FROM c [FOR d])` | `Anonymous('OVERLAY', [a, b, c, [d]])` |
| `POSITION(a IN b [FROM c])`          | `Anonymous('POSITION', [a, b, [c]])` |
| `SUBSTRING(a FROM b [FOR c])`, `SUBSTRING(a, b[, c])` | `Anonymous('SUBSTRING', [a, b, [c]])` |
| `TRANSLATE(…)`, `GROUPING(…)`, every other | ordinary |
| `JSON_EXISTS(x, p [b ON ERROR])`     | `[x, p, [Kwarg(Var('ON_ERROR'), Var('TRUE'/'FALSE'/'UNKNOWN'/'ERROR'))]]` |
| `JSON_VALUE(x, p [RETURNING t] [b ON EMPTY] [b ON ERROR])` | `[x, p, [Kwarg(Var('RETURNING'), DataType)], [Kwarg(Var('ON_EMPTY'), b)], [Kwarg(Var('ON_ERROR'), b)]]`, b is `Var('NULL')`, `Var('ERROR')` or, of `DEFAULT d`, the expression d |
| `JSON_QUERY(x, p [RETURNING t] [WITH/WITHOUT … WRAPPER] [b ON EMPTY] [b ON ERROR])` | as JSON_VALUE, and `Kwarg(Var('WRAPPER'), Var('WITHOUT'/'CONDITIONAL'/'UNCONDITIONAL'))`; b is `Var('NULL' / 'ERROR' / 'EMPTY ARRAY' / 'EMPTY OBJECT')` |
| `JSON_OBJECT([KEY] k VALUE v, … [NULL/ABSENT ON NULL])` | `[k1, v1, k2, v2, …, [Kwarg(Var('ON_NULL'), Var('NULL'/'ABSENT'))]]` |
| `JSON_ARRAY(v, … [NULL/ABSENT ON NULL])`, `JSON_ARRAYAGG(v …)` | `[v, …, [Kwarg(Var('ON_NULL'), …)]]` |
| `JSON_OBJECTAGG([KEY] k VALUE v [NULL/ABSENT ON NULL])` | `[k, v, [Kwarg(Var('ON_NULL'), …)]]` |
| `x IS [NOT] JSON [VALUE/SCALAR/ARRAY/OBJECT]` | `[Not](Anonymous('IS_JSON', [x, Var('VALUE')]))` |
| `ROW(a, b)`, `(a, b)`                | `Anonymous('ROW', [a, b])` |
| `ARRAY[a, b]`, `[a, b]`              | `Anonymous('ARRAY', [a, b])` |
| `MAP[k, v, …]`                       | `Anonymous('MAP', [k, v, …])` |
| `MULTISET[a, …]`                     | `Anonymous('MULTISET', [a, …])` |
| `DESCRIPTOR(a, b)`                   | `Anonymous('DESCRIPTOR', [Column…])` |

**Operators** are sqlglot's classes: `Add Sub Mul Div Mod Neg DPipe`, `EQ NEQ LT LTE GT GTE`, `And Or Not`,
`Between(this, low, high[, symmetric=True])`, `Case(this, ifs=[If(this, true)], default)`, `Cast` and `TryCast`
(`this`, `to`: a DataType for `streamsql.sql.data_type`), `Paren`. Unary plus leaves no trace. Further:

| written                              | tree |
|---|---|
| `x [NOT] LIKE p [ESCAPE e]`          | `Like(x, p)`, within `Escape(this=Like, expression=e)`, within `Not`; so `ILike`, `SimilarTo` |
| `x IS [NOT] NULL`                    | `Is(x, Null())` within `Not` |
| `x IS [NOT] TRUE`, `FALSE`, `UNKNOWN` | `Is(x, Boolean(this=True))`, `Is(x, Var('UNKNOWN'))` within `Not` |
| `x IS DISTINCT FROM y`, `NOT DISTINCT` | `NullSafeNEQ(x, y)`, `NullSafeEQ(x, y)` |
| `x [NOT] IN (a, b)`                  | `In(this=x, expressions=[a, b])` within `Not` |
| `x [NOT] IN (SELECT …)`              | `In(this=x, query=Subquery)` within `Not` |
| `x = ANY/SOME (SELECT …)`, `x > ALL (…)` | `EQ(x, Any(this=Subquery))`, `GT(x, All(this=Subquery))` |
| `[NOT] EXISTS (SELECT …)`            | `Exists(this=Select)` within `Not` |
| `(SELECT …)` as a value              | `Subquery(this=Select)` |
| `(a, b) OVERLAPS (c, d)`             | `Overlaps(ROW, ROW)` |
| `a`, `t.a`, `s.t.a`, `c.s.t.a`       | `Column(this=Identifier[, table][, db][, catalog])`: which part is a table and which a field of a ROW is for the binder; a fifth part is `Dot(Column, Identifier)` |
| `(e).f`, `f(x).g`, `a[1].f`          | `Dot(this=e, expression=Identifier)` |
| `a[i]`                               | `Bracket(this=a, expressions=[i])`, i as written: Flink counts from 1 |
| `*`, `t.*`                           | `Star()`, `Column(this=Star(), table=Identifier)` |

**Literals**: `Literal` (numbers as written, `1e0` is DOUBLE in Flink, `1.0` DECIMAL; strings decoded, U&'' too),
`Boolean`, `Null`, `HexString(this='ff00')` for `X'ff00'`;
`Introducer(this=Var('DATE'/'TIME'/'TIMESTAMP'), expression=Literal)` for `DATE '2024-01-01'`;
`Interval(this=Literal string, unit=Var('DAY TO SECOND'))`, the unit with its precisions as written,
`Var('DAY(3) TO SECOND(2)')`: use `streamsql.sql.interval_type` and `interval_value`. `INTERVAL -'1' DAY` is Neg.
`(a - b) DAY`, the time between a and b, is `Interval(this=Paren(Sub(a, b)), unit=Var('DAY'))`.

**Queries**: `Select` (`with_ distinct expressions from_ joins where group having order limit offset`), `Union`,
`Intersect`, `Except` (`this expression distinct`; `distinct=False` is ALL; `order limit offset with_`), `Values`
(`expressions=[Tuple…]`; a row of one column is a Tuple of one; `alias`). GROUP BY is
`Group(expressions=[…])` whose entries are expressions, `GroupingSets(expressions=[Tuple…])`, `Cube`, `Rollup`.
`From.this` and `Join.this` are relations: `Table` (`this db catalog alias`; `hints=[Anonymous('OPTIONS',
[PropertyEQ(Literal, Literal)…])]`; `version=Version(this='SYSTEM_TIME', kind='AS OF', expression=x)` for
FOR SYSTEM_TIME AS OF x), `Subquery` (`this` a query, `alias`), `Values`, `WindowTable`,
`Unnest(expressions, alias, offset=True for WITH ORDINALITY)`, `Lateral(this=Subquery or Anonymous, alias)`,
`WindowTable` and `MatchTable` (tree.py). `Join`: side None LEFT RIGHT FULL; kind None INNER CROSS; method None
NATURAL; `on`; `using`; a comma is a CROSS JOIN. Joins nest to the left only.
"""  # noqa: E501

from __future__ import annotations

NILADIC: frozenset[str] = frozenset({
    "CURRENT_CATALOG", "CURRENT_DATABASE", "CURRENT_DATE", "CURRENT_PATH", "CURRENT_ROLE", "CURRENT_SCHEMA",
    "CURRENT_TIME", "CURRENT_TIMESTAMP", "CURRENT_USER", "LOCALTIME", "LOCALTIMESTAMP", "PI", "SESSION_USER",
    "SYSTEM_USER", "USER",
})
"""Functions that are called without parentheses. A bare name in this set is a call, as in Flink; quote it to
name a column."""

TIME_UNITS: frozenset[str] = frozenset({
    "NANOSECOND", "MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER",
    "YEAR", "DECADE", "CENTURY", "MILLENNIUM", "EPOCH", "DOW", "DOY", "ISODOW", "ISOYEAR",
})
"""The units of EXTRACT, FLOOR, CEIL, TIMESTAMPADD and TIMESTAMPDIFF."""

"""Trees as text: Flink SQL's own spelling, as `tree.sql("streamsql")` and `canonical` write it.

What is written here parses back to an equal tree: tests hold it to that.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import exp, generator

from streamsql.sql.changelog_tables import changelog_text
from streamsql.sql.functions import NILADIC
from streamsql.sql.keywords import RESERVED
from streamsql.sql.tree import ChangelogTable, JoinedTables, MatchTable, Pattern, Quantified, StatementTree, WindowTable
from streamsql.sql.within import within_text

_GROUPINGS: dict[type[exp.Expr], str] = {
    exp.GroupingSets: "GROUPING SETS",
    exp.Rollup: "ROLLUP",
    exp.Cube: "CUBE",
}
_PLAIN_NAME = re.compile(r"[^\W\d][\w$]*")


class FlinkGenerator(generator.Generator):
    """sqlglot's generator with Flink's spelling for what `functions.py` and `tree.py` describe."""

    TRANSFORMS = {  # noqa: RUF012
        **generator.Generator.TRANSFORMS,
        WindowTable: lambda self, e: self.windowtable_sql(e),
        ChangelogTable: lambda self, e: changelog_text(e, self.sql, self._as(e)),
        MatchTable: lambda self, e: self.matchtable_sql(e),
        Pattern: lambda self, e: self.pattern_sql(e),
        Quantified: lambda self, e: self.quantified_sql(e),
        StatementTree: lambda self, e: self.statementtree_sql(e),
    }
    SUPPORTS_BETWEEN_FLAGS = True
    MULTI_ARG_DISTINCT = True
    RESERVED_KEYWORDS = {word.lower() for word in RESERVED | NILADIC}  # noqa: RUF012

    def identifier_sql(self, expression: exp.Identifier) -> str:
        return name_sql(expression.name)

    def datatype_sql(self, expression: exp.DataType) -> str:
        kind = expression.args.get("kind")
        return str(kind) if kind else super().datatype_sql(expression)

    # Expressions.

    def anonymous_sql(self, expression: exp.Anonymous) -> str:
        name = expression.name
        args = [self.sql(e) for e in expression.expressions]
        special = _CALLS.get(name)
        if special is not None:
            written = special(self, expression, args)
            if written is not None:
                return written
        if name in NILADIC and not args:
            return name
        return f"{name if _PLAIN_NAME.fullmatch(name) else name_sql(name)}({', '.join(args)})"

    def interval_sql(self, expression: exp.Interval) -> str:
        value, unit = self.sql(expression, "this"), self.sql(expression, "unit")
        return f"INTERVAL {value} {unit}" if isinstance(expression.this, exp.Literal) else f"{value} {unit}"

    def not_sql(self, expression: exp.Not) -> str:
        inner = expression.this
        this = inner.this if isinstance(inner, exp.Escape) else inner
        words = _NEGATED.get(type(this))
        if words is not None:
            left = self.sql(this, "this")
            return (
                f"{left} NOT{self.sql(inner)[len(left) :]}"
                if words
                else f"{left} IS NOT {self.sql(this, 'expression')}"
            )
        if isinstance(inner, exp.Anonymous) and inner.name == "IS_JSON":
            return f"{self.sql(inner.expressions[0])} IS NOT JSON {self.sql(inner.expressions[1])}"
        return f"NOT {self.sql(inner)}"

    def nullsafeeq_sql(self, expression: exp.NullSafeEQ) -> str:
        return self.binary(expression, "IS NOT DISTINCT FROM")

    def nullsafeneq_sql(self, expression: exp.NullSafeNEQ) -> str:
        return self.binary(expression, "IS DISTINCT FROM")

    def kwarg_sql(self, expression: exp.Kwarg) -> str:
        return f"{name_sql(expression.this.name)} => {self.sql(expression, 'expression')}"

    def propertyeq_sql(self, expression: exp.PropertyEQ) -> str:
        return self.binary(expression, "=")

    def overlaps_sql(self, expression: exp.Overlaps) -> str:
        left, right = (self.sql(expression, k).removeprefix("ROW") for k in ("this", "expression"))
        return f"{left} OVERLAPS {right}"

    def all_sql(self, expression: exp.All) -> str:
        return f"ALL {self.sql(expression, 'this')}"

    def ordered_sql(self, expression: exp.Ordered) -> str:
        down, first = expression.args.get("desc"), expression.args.get("nulls_first")
        order = "" if down is None else " DESC" if down else " ASC"
        nulls = "" if first is None else f" NULLS {'FIRST' if first else 'LAST'}"
        return f"{self.sql(expression, 'this')}{order}{nulls}"

    def bracket_sql(self, expression: exp.Bracket) -> str:
        return f"{self.sql(expression, 'this')}[{', '.join(self.sql(e) for e in expression.expressions)}]"

    # Queries.

    def values_sql(self, expression: exp.Values, values_as_table: bool = True) -> str:
        text = f"VALUES {', '.join(self.sql(e) for e in expression.expressions)}"
        text += "".join(self.sql(expression, k) for k in ("order", "limit", "offset"))
        if isinstance(expression.parent, exp.From | exp.Join | WindowTable | ChangelogTable):
            alias = self.sql(expression, "alias")
            return f"({text})" + (f" AS {alias}" if alias else "")
        return text

    def set_operations(self, expression: exp.SetOperation) -> str:
        word = type(expression).__name__.upper() + (
            " ALL" if expression.args.get("distinct") is False else ""
        )
        left, right = (self._operand(expression, k) for k in ("this", "expression"))
        modifiers = "".join(self.sql(expression, k) for k in ("order", "limit", "offset"))
        return self.prepend_ctes(expression, f"{left} {word} {right}{modifiers}")

    def _operand(self, parent: exp.SetOperation, key: str) -> str:
        """A side of a set operation, in parentheses where its own clauses or precedence need them."""
        side = parent.args[key]
        text = self.sql(side)
        modified = any(side.args.get(k) for k in ("order", "limit", "offset", "with_"))
        loose = isinstance(side, exp.SetOperation) and (
            key == "expression" or (isinstance(parent, exp.Intersect) and not isinstance(side, exp.Intersect))
        )
        return f"({text})" if modified or loose else text

    def table_sql(self, expression: exp.Table, sep: str = " AS ") -> str:
        hints = "".join(f" /*+ {self.sql(h)} */" for h in expression.args.get("hints") or ())
        version, alias = self.sql(expression, "version"), self.sql(expression, "alias")
        name = ".".join(self.sql(p) for p in expression.parts)
        return f"{name}{hints}{' ' + version if version else ''}{sep + alias if alias else ''}"

    def join_sql(self, expression: exp.Join, join_op: str | None = None) -> str:
        words = [str(expression.args[k]) for k in ("method", "side", "kind") if expression.args.get(k)]
        on, using = self.sql(expression, "on"), expression.args.get("using")
        condition = (
            f" ON {on}" if on else f" USING ({', '.join(self.sql(c) for c in using)})" if using else ""
        )
        return f" {' '.join([*words, 'JOIN'])} {self.sql(expression, 'this')}{within_text(expression)}{condition}"

    def joinedtables_sql(self, expression: JoinedTables) -> str:
        return f"({self.sql(expression, 'this')}{''.join(self.sql(j) for j in expression.args['joins'])})"

    def unnest_sql(self, expression: exp.Unnest) -> str:
        ordinality = " WITH ORDINALITY" if expression.args.get("offset") else ""
        items = ", ".join(self.sql(e) for e in expression.expressions)
        return f"UNNEST({items}){ordinality}{self._as(expression)}"

    def lateral_sql(self, expression: exp.Lateral) -> str:
        this = self.sql(expression, "this")
        if isinstance(expression.this, exp.Subquery):
            return f"LATERAL {this}{self._as(expression)}"
        return f"LATERAL TABLE({this}){self._as(expression)}"

    def _as(self, expression: exp.Expr) -> str:
        alias = self.sql(expression, "alias")
        return f" AS {alias}" if alias else ""

    def group_sql(self, expression: exp.Group) -> str:
        return f" GROUP BY {', '.join(self._group_key(e) for e in expression.expressions)}"

    def _group_key(self, tree: exp.Expr) -> str:
        if isinstance(tree, exp.Tuple):
            return f"({', '.join(self.sql(e) for e in tree.expressions)})"
        word = _GROUPINGS.get(type(tree))
        if word is None:
            return self.sql(tree)
        return f"{word} ({', '.join(self._group_key(e) for e in tree.expressions)})"

    def windowtable_sql(self, expression: WindowTable) -> str:
        """`TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), …)) AS w`."""
        relation = self.sql(expression, "this")
        relation = f"TABLE {relation}" if isinstance(expression.this, exp.Table) else relation
        keys = expression.args.get("partition")
        if keys:
            relation += f" PARTITION BY {', '.join(self.sql(k) for k in keys)}"
        sizes = [
            self.sql(expression, k)
            for k in ("slide", "step", "gap", "size", "offset")
            if expression.args.get(k) is not None
        ]
        arguments = ", ".join([relation, f"DESCRIPTOR({self.sql(expression, 'time')})", *sizes])
        return f"TABLE({expression.args['function']}({arguments})){self._as(expression)}"

    def matchtable_sql(self, expression: MatchTable) -> str:
        parts: list[str] = []
        for key, words in (("partition_by", "PARTITION BY"), ("order", ""), ("measures", "MEASURES")):
            value = expression.args.get(key)
            if value:
                items = value if isinstance(value, list) else [value]
                parts.append(f"{words} {', '.join(self.sql(v) for v in items)}".strip())
        if expression.args.get("rows"):
            parts.append(expression.args["rows"].name)
        if expression.args.get("after"):
            target = expression.args.get("target")
            parts.append(f"AFTER MATCH SKIP {expression.args['after'].name}{f' {self.sql(target)}' if target else ''}")
        parts.append(f"PATTERN ({self.sql(expression, 'pattern')})")
        if expression.args.get("within"):
            parts.append(f"WITHIN {self.sql(expression, 'within')}")
        define = [f"{name_sql(d.alias)} AS {self.sql(d, 'this')}" for d in expression.args["define"]]
        parts.append(f"DEFINE {', '.join(define)}")
        return f"{self.sql(expression, 'this')} MATCH_RECOGNIZE ({' '.join(parts)}){self._as(expression)}"

    def pattern_sql(self, expression: Pattern) -> str:
        parts = [self.sql(e) for e in expression.expressions]
        match expression.args["kind"]:
            case "sequence":
                return " ".join(parts)
            case "choice":
                return " | ".join(parts)
            case "group":
                return f"({parts[0]})"
            case "exclusion":
                return f"{{- {parts[0]} -}}"
            case _:
                return f"PERMUTE({', '.join(parts)})"

    def quantified_sql(self, expression: Quantified) -> str:
        low, high = expression.args["low"], expression.args.get("high")
        short = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((low, high))
        bounds = f"{{{low}}}" if low == high else f"{{{low},{'' if high is None else high}}}"
        return f"{self.sql(expression, 'this')}{short or bounds}{'?' if expression.args.get('reluctant') else ''}"

    def statementtree_sql(self, expression: StatementTree) -> str:
        from streamsql.sql.canonical import canonical

        return canonical(expression.args["statement"])


def name_sql(name: str) -> str:
    """A name, in backticks only where it needs them."""
    free = _PLAIN_NAME.fullmatch(name) and name.upper() not in RESERVED | NILADIC
    return name if free else "`" + name.replace("`", "``") + "`"


_NEGATED: dict[type[exp.Expr], bool] = {
    exp.Between: True,
    exp.In: True,
    exp.Like: True,
    exp.ILike: True,
    exp.SimilarTo: True,
    exp.Is: False,
}
"""What NOT is written inside of: after the left operand, or for IS after the word."""

Written = Callable[[FlinkGenerator, exp.Anonymous, list[str]], str | None]


def _split(generator: FlinkGenerator, call: exp.Anonymous) -> tuple[list[str], dict[str, str]]:
    """The plain arguments of a call, and its options by name."""
    plain = [generator.sql(e) for e in call.expressions if not isinstance(e, exp.Kwarg)]
    named = {
        e.this.name: generator.sql(e, "expression") for e in call.expressions if isinstance(e, exp.Kwarg)
    }
    return plain, named


def _json_path(generator: FlinkGenerator, call: exp.Anonymous, _: list[str]) -> str:
    plain, named = _split(generator, call)
    text = f"{call.name}({', '.join(plain)}"
    if "RETURNING" in named:
        text += f" RETURNING {named['RETURNING']}"
    if "WRAPPER" in named:
        how = named["WRAPPER"]
        text += " WITHOUT ARRAY WRAPPER" if how == "WITHOUT" else f" WITH {how} ARRAY WRAPPER"
    for option in call.expressions:
        if isinstance(option, exp.Kwarg) and option.this.name.startswith("ON_"):
            default = "" if isinstance(option.expression, exp.Var) else "DEFAULT "
            text += (
                f" {default}{generator.sql(option, 'expression')} ON {option.this.name.removeprefix('ON_')}"
            )
    return text + ")"


def _json_object(generator: FlinkGenerator, call: exp.Anonymous, _: list[str]) -> str:
    plain, named = _split(generator, call)
    pairs = [f"KEY {k} VALUE {v}" for k, v in zip(plain[::2], plain[1::2], strict=True)]
    return f"{call.name}({', '.join(pairs)}{_on_null(named)})"


def _json_array(generator: FlinkGenerator, call: exp.Anonymous, _: list[str]) -> str:
    plain, named = _split(generator, call)
    return f"{call.name}({', '.join(plain)}{_on_null(named)})"


def _on_null(named: dict[str, str]) -> str:
    return f" {named['ON_NULL']} ON NULL" if "ON_NULL" in named else ""


def _bracketed(_: FlinkGenerator, call: exp.Anonymous, args: list[str]) -> str:
    return f"{call.name}[{', '.join(args)}]"


def _extract(_: FlinkGenerator, _call: exp.Anonymous, args: list[str]) -> str:
    return f"EXTRACT({args[0]} FROM {args[1]})"


def _rounded(_: FlinkGenerator, call: exp.Anonymous, args: list[str]) -> str | None:
    to_unit = len(args) == 2 and isinstance(call.expressions[1], exp.Var)
    return f"{call.name}({args[0]} TO {args[1]})" if to_unit else None


def _trim(_: FlinkGenerator, _call: exp.Anonymous, args: list[str]) -> str:
    return f"TRIM({args[0]} {args[1]} FROM {args[2]})"


def _overlay(_: FlinkGenerator, _call: exp.Anonymous, args: list[str]) -> str:
    return f"OVERLAY({args[0]} PLACING {args[1]} FROM {args[2]}{f' FOR {args[3]}' if args[3:] else ''})"


def _position(_: FlinkGenerator, _call: exp.Anonymous, args: list[str]) -> str:
    return f"POSITION({args[0]} IN {args[1]}{f' FROM {args[2]}' if args[2:] else ''})"


def _is_json(_: FlinkGenerator, _call: exp.Anonymous, args: list[str]) -> str | None:
    return f"{args[0]} IS JSON {args[1]}" if len(args) == 2 else None


_CALLS: dict[str, Written] = {
    "JSON_VALUE": _json_path,
    "JSON_QUERY": _json_path,
    "JSON_EXISTS": _json_path,
    "JSON_OBJECT": _json_object,
    "JSON_OBJECTAGG": _json_object,
    "JSON_ARRAY": _json_array,
    "JSON_ARRAYAGG": _json_array,
    "ARRAY": _bracketed,
    "MAP": _bracketed,
    "MULTISET": _bracketed,
    "EXTRACT": _extract,
    "FLOOR": _rounded,
    "CEIL": _rounded,
    "TRIM": _trim,
    "OVERLAY": _overlay,
    "POSITION": _position,
    "IS_JSON": _is_json,
}

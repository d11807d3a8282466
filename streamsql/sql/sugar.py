"""Other ways to write a query, rewritten to the canonical one while it is parsed.

    GROUP BY TUMBLE(ts, …), TUMBLE_START(…)    a window function in FROM and its columns
    WINDOW TUMBLING (SIZE 1 MINUTE)            the same, as in ksqlDB; time is the stream's rowtime
    QUALIFY                                    a subquery with the window's value as a column

A rewritten tree carries the range of the sugar it came from, so that errors point at what was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from streamsql.errors import Span
from streamsql.sql.spans import place, place_all, span_of
from streamsql.sql.tree import GROUP_WINDOW, WindowTable

if TYPE_CHECKING:
    from streamsql.sql.match import MatchRules
    from streamsql.sql.queries import QueryRules

ROWTIME_USED = "rowtime_used"
"""In `meta` of a WindowTable of GROUP BY: where `HOP_ROWTIME(…)` or its like was written."""
PROCTIME_MEANT = "proctime_meant"
"""In `meta` of a column `window_time` that was written as `HOP_PROCTIME(…)`: of a window of event time it is
PROCTIME()."""

QUALIFIED = "$qualify"
"""Begins the names of columns that only QUALIFY reads: `*` leaves them out."""

_GROUP_WINDOWS = {"TUMBLE": ("size",), "HOP": ("slide", "size"), "SESSION": ("gap",)}
_COLUMNS = {"START": "window_start", "END": "window_end", "ROWTIME": "window_time", "PROCTIME": "window_time"}
_KAFKA = {"TUMBLING": "TUMBLE", "HOPPING": "HOP", "SESSION": "SESSION"}


def group_window(rules: QueryRules, select: exp.Select) -> exp.Select:
    """`… FROM t GROUP BY TUMBLE(ts, size)` as a window function over `t`.

    WHERE moves below a SESSION, since rows it drops must not hold a session together.
    """
    group = select.args.get("group")
    calls = [k for k in group.expressions if _window_call(k)] if group is not None else []
    if group is None or not calls:
        _no_stray_column(rules, select)
        return select
    call, span = calls[0], _span(calls[0])
    if len(calls) > 1:
        rules.fail("a query has one window", _span(calls[1]), hint="aggregate once, and its result again")
    name = call.name
    time, intervals = _window_arguments(rules, call)
    used = _replace_columns(rules, select, call)
    keys = [k for k in group.expressions if k is not call]
    partition = [_session_key(rules, k) for k in keys] if name == "SESSION" else []
    made = WindowTable(
        function=name,
        time=time,
        partition=partition or None,
        **dict(zip(_GROUP_WINDOWS[name], intervals, strict=False)),
        offset=intervals[-1] if len(intervals) > len(_GROUP_WINDOWS[name]) else None,
    )
    made.meta[GROUP_WINDOW] = True
    if "ROWTIME" in used:
        made.meta[ROWTIME_USED] = used["ROWTIME"]
    _put_window(rules, select, made, span)
    wanted = ["window_start", "window_end", *(["window_time"] if used.keys() & {"ROWTIME", "PROCTIME"} else [])]
    at = next(i for i, k in enumerate(group.expressions) if k is call)
    group.set("expressions", [*keys[:at], *(_column(c, span) for c in wanted), *keys[at:]])
    return select


def _window_call(tree: exp.Expr) -> bool:
    return isinstance(tree, exp.Anonymous) and tree.name in _GROUP_WINDOWS and len(tree.expressions) > 1


def _window_arguments(rules: QueryRules, call: exp.Expression) -> tuple[exp.Expression, list[exp.Expression]]:
    time, *intervals = call.expressions
    needed = len(_GROUP_WINDOWS[call.name])
    if not isinstance(time, exp.Column):
        rules.fail(
            f"{call.name} in GROUP BY takes a time column first",
            _span(time),
            hint="compute the time in CREATE TABLE, or in a view",
        )
    if not needed <= len(intervals) <= needed + (call.name != "SESSION"):
        rules.fail(
            f"{call.name} in GROUP BY takes a time and {needed} interval{'s' * (needed > 1)}",
            _span(call),
            hint=f"write FROM TABLE({call.name}(TABLE t, DESCRIPTOR(ts), …)) and group by its columns",
        )
    bare = place(exp.Column(this=time.this.copy()), _span(time))
    return bare, [i.copy() for i in intervals]


def _replace_columns(rules: QueryRules, select: exp.Select, call: exp.Expression) -> dict[str, Span]:
    """TUMBLE_START(…) and its like become columns of the window; returns which were used, and where."""
    used: dict[str, Span] = {}
    for node in _scope(select):
        column = _window_column(node, call.name)
        if column is None:
            continue
        if [_plain(a) for a in node.args["expressions"]] != [_plain(a) for a in call.expressions]:
            rules.fail(
                f"{node.name} and {call.name} in GROUP BY have different arguments",
                _span(node),
                hint=f"write {node.name}({', '.join(rules.text(_span(a)) for a in call.expressions)})",
            )
        used.setdefault(node.name.rpartition("_")[2], _span(node))
        replacement: exp.Expression = _column(column, _span(node))
        if node.name.endswith("_PROCTIME"):
            replacement.meta[PROCTIME_MEANT] = True
        if isinstance(node.parent, exp.Select) and node.arg_key == "expressions":
            name = f"EXPR${[id(e) for e in select.expressions].index(id(node))}"
            replacement = place_all(
                exp.Alias(this=replacement, alias=_name(name)), _span(node)
            )
        node.replace(replacement)
    return used


def _scope(select: exp.Select) -> list[exp.Expr]:
    """The nodes of a SELECT outside its subqueries and its FROM."""
    found: list[exp.Expr] = []
    for key in ("expressions", "having", "order", "qualify"):
        value = select.args.get(key)
        for tree in value if isinstance(value, list) else [value] if value is not None else []:
            found += [*tree.walk(prune=lambda n: isinstance(n, exp.Query))]
    return found


def _window_column(node: exp.Expr, function: str) -> str | None:
    if not isinstance(node, exp.Anonymous):
        return None
    start, _, end = node.name.rpartition("_")
    return _COLUMNS.get(end) if start == function else None


def _no_stray_column(rules: QueryRules, select: exp.Select) -> None:
    for node in _scope(select):
        for name in _GROUP_WINDOWS:
            if _window_column(node, name) is not None:
                rules.fail(
                    f"{node.name} without {name} in GROUP BY",
                    _span(node),
                    hint=f"write GROUP BY {name}(time, …), or FROM TABLE({name}(…)) and window_start",
                )


def _plain(tree: exp.Expr) -> exp.Expr:
    """A tree to compare, the qualifier of a column left out."""
    return exp.Column(this=tree.this.copy()) if isinstance(tree, exp.Column) else tree


def _session_key(rules: QueryRules, key: exp.Expression) -> exp.Expression:
    if not isinstance(key, exp.Column):
        rules.fail(
            "beside SESSION, GROUP BY takes columns", _span(key), hint="compute the key in a view first"
        )
    return place(exp.Column(this=key.this.copy()), _span(key))


def _put_window(rules: QueryRules, select: exp.Select, window: WindowTable, span: Span) -> None:
    """Put a window function around the one relation in FROM, under the same name."""
    source = select.args.get("from_")
    if source is None or select.args.get("joins"):
        rules.fail(
            "a window in GROUP BY takes one table in FROM",
            span,
            hint="join in a view, and window the view: FROM TABLE(TUMBLE(TABLE v, DESCRIPTOR(ts), …))",
        )
    relation = source.this
    alias = relation.args.get("alias")
    if alias is None and isinstance(relation, exp.Table):
        alias = place_all(exp.TableAlias(this=relation.this.copy()), _span(relation))
    where = select.args.get("where")
    if window.args["function"] == "SESSION" and where is not None:
        inner = exp.Select(expressions=[exp.Star()], from_=exp.From(this=relation), where=where)
        select.set("where", None)
        relation = exp.Subquery(this=inner)
    elif not isinstance(relation, exp.Table | exp.Subquery | WindowTable) or isinstance(
        relation, WindowTable
    ):
        relation = exp.Subquery(this=exp.Select(expressions=[exp.Star()], from_=exp.From(this=relation)))
    else:
        relation.set("alias", None)
    window.set("this", relation)
    window.set("alias", alias.copy() if alias is not None else None)
    source.set("this", place_all(window, span))


def kafka_window(rules: QueryRules, select: exp.Select, start: int) -> None:
    """ksqlDB's `WINDOW TUMBLING|HOPPING|SESSION (…)`, read after the word WINDOW.

    Leaves the window in FROM with `ROWTIME` as its time: the binder takes the table's time attribute. The
    grouping gets its window columns when GROUP BY is read, WINDOWSTART and WINDOWEND become columns.
    """
    kind = rules.expect_any(*_KAFKA)
    rules.expect("(")
    sizes: dict[str, exp.Expression] = {}
    if kind == "SESSION":
        sizes["gap"] = duration(rules)
    else:
        rules.expect("SIZE")
        sizes["size"] = duration(rules)
        if kind == "HOPPING":
            rules.expect(",", "ADVANCE", "BY")
            sizes["slide"] = duration(rules)
    while rules.take(","):
        word = rules.expect_any("GRACE", "RETENTION")
        rules.fail(
            f"a window has no {word} PERIOD",
            Span(rules.since(rules.index - 1).start, rules.here().end),
            hint="how late rows may be is said by the table: WATERMARK FOR ts AS ts - INTERVAL '10' SECOND",
        )
    rules.expect(")")
    span = rules.since(start)
    time = place_all(exp.Column(this=exp.to_identifier("ROWTIME")), span)
    select.meta["kafka_window"] = span
    _put_window(rules, select, WindowTable(function=_KAFKA[kind], time=time, **sizes), span)


def kafka_group(rules: QueryRules, select: exp.Select) -> None:
    """Finish what `kafka_window` began, when all clauses are read."""
    span = select.meta.pop("kafka_window", None)
    if span is None:
        return
    group = select.args.get("group")
    if group is None:
        rules.fail("WINDOW needs GROUP BY", span, hint="write GROUP BY the key after the window")
    window = select.args["from_"].this
    if window.args["function"] == "SESSION":
        window.set("partition", [_session_key(rules, k) for k in group.expressions])
        where = select.args.get("where")
        if where is not None:
            inner = exp.Select(expressions=[exp.Star()], from_=exp.From(this=window.this), where=where)
            select.set("where", None)
            window.set("this", place_all(exp.Subquery(this=inner), span))
    names = {"WINDOWSTART": "window_start", "WINDOWEND": "window_end"}
    for node in _scope(select):
        if isinstance(node, exp.Column) and not node.args.get("table") and node.name.upper() in names:
            node.this.set("this", names[node.name.upper()])
    group.set("expressions", [*group.expressions, _column("window_start", span), _column("window_end", span)])


def duration(rules: MatchRules) -> exp.Expression:
    """`5 MINUTES` as an interval literal."""
    start = rules.index
    count = rules.integer()
    if rules.kind in ("MILLISECOND", "MILLISECONDS"):
        rules.index += 1
        text, unit = f"{count // 1000}.{count % 1000:03d}", "SECOND"
    else:
        text, unit = str(count), rules.interval_unit()
    tree = exp.Interval(this=exp.Literal.string(text), unit=exp.Var(this=unit))
    return place_all(tree, rules.since(start))


def qualify(rules: QueryRules, select: exp.Select) -> exp.Select:
    """`SELECT a FROM t QUALIFY f() OVER (…) <= n` as a SELECT over a subquery that computes the window."""
    clause = select.args.get("qualify")
    if clause is None:
        return select
    span, condition = _span(clause), clause.this
    select.set("qualify", None)
    outputs = [_output_name(i, item) for i, item in enumerate(select.expressions)]
    hidden: list[exp.Expression] = []
    for node in _outermost(condition):
        if isinstance(node, exp.Column) and node.name in outputs:
            node.set("table", None)
            continue
        name = f"{QUALIFIED}{len(hidden)}"
        column = _column(name, _span(node))
        hidden.append(
            place(exp.Alias(this=node.copy(), alias=_name(name)), _span(node))
        )
        if node is condition:
            condition = column
        else:
            node.replace(column)
    named = [_column(n, span) for n in outputs if n is not None]
    shown = named if hidden and len(named) == len(outputs) else [exp.Star()]  # which leaves out what QUALIFY added
    if hidden:
        select.set(
            "expressions",
            [*(_aliased(n, e) for n, e in zip(outputs, select.expressions, strict=True)), *hidden],
        )
    outer = exp.Select(
        expressions=shown,
        from_=exp.From(this=exp.Subquery(this=select)),
        where=exp.Where(this=condition),
        distinct=select.args.get("distinct"),
    )
    select.set("distinct", None)
    return place_all(outer, span)


def _outermost(condition: exp.Expr) -> list[exp.Expr]:
    """Windows, and columns outside of them."""
    kinds = (exp.Window, exp.Column, exp.Query)
    return [
        n
        for n in condition.walk(prune=lambda n: isinstance(n, kinds))
        if isinstance(n, exp.Window | exp.Column)
    ]


def _output_name(index: int, item: exp.Expr) -> str | None:
    if isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star)):
        return None
    return item.alias_or_name if isinstance(item, exp.Alias | exp.Column | exp.Dot) else f"EXPR${index}"


def _aliased(name: str | None, item: exp.Expression) -> exp.Expression:
    if name is None or isinstance(item, exp.Alias | exp.Column):
        return item
    return place(exp.Alias(this=item, alias=_name(name)), _span(item))


def _column(name: str, span: Span) -> exp.Column:
    return place_all(exp.Column(this=_name(name)), span)


def _name(name: str) -> exp.Identifier:
    """A name made here; one that begins with `$` has to be quoted."""
    return exp.Identifier(this=name, quoted=name.startswith("$"))


def _span(tree: exp.Expr) -> Span:
    return span_of(tree) or Span(0, 0)

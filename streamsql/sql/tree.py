"""The trees that sqlglot has no class for. The canonical form of a query uses only these and sqlglot's."""

from __future__ import annotations

from sqlglot import exp

GROUP_WINDOW = "group_window"
"""In `meta` of a WindowTable that was written as `GROUP BY HOP(…)`: its lengths need not divide each other."""


class WindowTable(exp.Expression):
    """`TABLE(TUMBLE(TABLE t PARTITION BY k, DESCRIPTOR(ts), …)) [AS w]` in FROM, and its sugar.

    this       the relation: exp.Table, exp.Subquery or WindowTable
    function   'TUMBLE', 'HOP', 'CUMULATE' or 'SESSION' (a str)
    partition  list of exp.Column (SESSION only)
    time       the exp.Column inside DESCRIPTOR
    size, slide, step, gap, offset   exp.Interval or another constant expression; only those given.
               TUMBLE size [offset]; HOP slide size [offset]; CUMULATE step size [offset]; SESSION gap
    alias      exp.TableAlias
    """

    arg_types = {  # noqa: RUF012
        "this": True, "function": True, "partition": False, "time": True, "size": False, "slide": False,
        "step": False, "gap": False, "offset": False, "alias": False,
    }


class StatementTree(exp.Expression):
    """A statement that is no query, as `sqlglot.parse` returns it: `statement` is its dataclass."""

    arg_types = {"statement": True}  # noqa: RUF012


class MatchTable(exp.Expression):
    """`relation MATCH_RECOGNIZE (…) [AS m]` in FROM.

    this          the relation
    partition_by  list of exp.Column; order: exp.Order
    measures      list of exp.Alias
    rows, after   the clauses as text, such as `ONE ROW PER MATCH`, `AFTER MATCH SKIP PAST LAST ROW`
    pattern       the pattern as text; within: exp.Interval
    define        list of exp.Alias: the variable and its condition
    """

    arg_types = {  # noqa: RUF012
        "this": True, "partition_by": False, "order": False, "measures": False, "rows": False, "after": False,
        "pattern": True, "within": False, "define": True, "alias": False,
    }

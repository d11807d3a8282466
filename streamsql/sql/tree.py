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


class ChangelogTable(exp.Expression):
    """`TO_CHANGELOG(input => TABLE t, op => DESCRIPTOR(c), op_mapping => MAP[…]) [AS c]` in FROM, and its inverse.

    this      the relation
    function  'TO_CHANGELOG' or 'FROM_CHANGELOG' (a str)
    op        the exp.Column inside DESCRIPTOR; mapping: an expression; both only where given
    """

    arg_types = {"this": True, "function": True, "op": False, "mapping": False, "alias": False}  # noqa: RUF012


class JoinedTables(exp.Expression):
    """`(a JOIN b ON …)` on the right side of a join: `this` the first relation, `joins` a list of exp.Join."""

    arg_types = {"this": True, "joins": True}  # noqa: RUF012


class StatementTree(exp.Expression):
    """A statement that is no query, as `sqlglot.parse` returns it: `statement` is its dataclass."""

    arg_types = {"statement": True}  # noqa: RUF012


class MatchTable(exp.Expression):
    """`relation MATCH_RECOGNIZE (…) [AS m]` in FROM.

    this          the relation
    partition_by  list of exp.Column; order: exp.Order
    measures      list of exp.Alias
    rows          exp.Var: ONE ROW PER MATCH, ALL ROWS PER MATCH
    after         exp.Var: PAST LAST ROW, TO NEXT ROW, TO FIRST, TO LAST; of the last two `target` is the variable
    pattern       exp.Identifier (a variable), Pattern or Quantified; within: exp.Interval
    define        list of exp.Alias: the variable and its condition
    """

    arg_types = {  # noqa: RUF012
        "this": True, "partition_by": False, "order": False, "measures": False, "rows": False, "after": False,
        "target": False, "pattern": True, "within": False, "define": True, "alias": False,
    }


class Pattern(exp.Expression):
    """Row patterns together: kind is 'sequence', 'choice', 'group', 'permutation' or 'exclusion' (a str)."""

    arg_types = {"kind": True, "expressions": True}  # noqa: RUF012


class Quantified(exp.Expression):
    """A row pattern `low` to `high` times (int; `high` None: any number), as few as can be if reluctant."""

    arg_types = {"this": True, "low": True, "high": False, "reluctant": False}  # noqa: RUF012

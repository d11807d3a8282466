"""The trees that sqlglot has no class for. The canonical form of a query uses only these and sqlglot's."""

from __future__ import annotations

from sqlglot import exp


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

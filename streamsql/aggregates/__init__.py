"""Aggregate functions: Flink's, and DuckDB's beside them.

`bind` makes the Aggregate of a call; `is_aggregate` tells a binder that a name is one. A function
is one row of a table: its result type, what is kept of a batch (`partials`), how two keepings
merge, and the value in the end. GROUPING and GROUPING_ID are no functions of rows: the planner's.
"""

from streamsql.aggregates.aggregate import Aggregate, Partial
from streamsql.aggregates.binding import FUNCTIONS, bind, is_aggregate

__all__ = ["FUNCTIONS", "Aggregate", "Partial", "bind", "is_aggregate"]

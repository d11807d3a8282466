"""Values: Flink's meaning of an expression, as one DuckDB expression."""

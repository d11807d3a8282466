"""The words that completion offers, by what they may follow."""

from __future__ import annotations

STATEMENTS = (
    "SELECT", "WITH", "INSERT INTO", "CREATE", "DROP", "EXPLAIN", "DESCRIBE", "SHOW", "SET", "RESET",
    "EXECUTE STATEMENT SET", "STOP JOB", "VALUES", "TABLE", "help", "quit", "exit",
)
AFTER = {
    "CREATE": ("TABLE", "TEMPORARY TABLE", "VIEW", "TEMPORARY VIEW", "MATERIALIZED TABLE", "FUNCTION",
               "TEMPORARY FUNCTION", "OR REPLACE"),
    "MATERIALIZED": ("TABLE",),
    "TEMPORARY": ("TABLE", "VIEW", "FUNCTION"),
    "REPLACE": ("TABLE", "VIEW", "FUNCTION"),
    "DROP": ("TABLE", "VIEW", "FUNCTION", "TEMPORARY TABLE", "TEMPORARY VIEW", "MATERIALIZED TABLE"),
    "SHOW": ("TABLES", "VIEWS", "MATERIALIZED TABLES", "FUNCTIONS", "JOBS", "COLUMNS FROM", "CREATE TABLE",
             "CREATE VIEW"),
    "EXPLAIN": ("SELECT", "INSERT INTO", "PLAN FOR", "CHANGELOG_MODE", "STATEMENT SET BEGIN"),
    "EXECUTE": ("STATEMENT SET",),
    "STATEMENT": ("SET",),
    "STOP": ("JOB",),
    "INSERT": ("INTO",),
    "GROUP": ("BY",),
    "ORDER": ("BY",),
    "PARTITION": ("BY",),
    "WATERMARK": ("FOR",),
    "PRIMARY": ("KEY",),
    "IS": ("NULL", "NOT NULL", "TRUE", "FALSE", "DISTINCT FROM"),
    "IF": ("EXISTS", "NOT EXISTS"),
    "EMIT": ("FINAL", "CHANGES", "ON WINDOW CLOSE", "EVERY INTERVAL"),
    "UNION": ("ALL",),
    "LEFT": ("JOIN", "OUTER JOIN"),
    "RIGHT": ("JOIN", "OUTER JOIN"),
    "FULL": ("JOIN", "OUTER JOIN"),
    "INNER": ("JOIN",),
    "CROSS": ("JOIN",),
    "AFTER": ("MATCH SKIP PAST LAST ROW", "MATCH SKIP TO NEXT ROW", "MATCH SKIP TO FIRST", "MATCH SKIP TO LAST"),
}
"""What follows one word, whatever stands before it."""

TABLE_EXPECTED = ("FROM", "JOIN", "INTO", "DESCRIBE", "DESC", "TABLE", "VIEW", "LIKE")
"""After these words a table is named."""

EXPRESSION_START = ("CASE", "CAST", "DISTINCT", "NOT", "NULL", "TRUE", "FALSE", "EXISTS", "INTERVAL",
                    "CURRENT_TIMESTAMP", "CURRENT_DATE", "ROW", "ARRAY", "MAP")
OPERATORS = ("AND", "OR", "IS NULL", "IS NOT NULL", "IN", "BETWEEN", "LIKE", "AS")
CLAUSES = {
    "SELECT": ("FROM", "AS", "OVER", "FILTER", *OPERATORS[:-1], "WHEN", "THEN", "ELSE", "END"),
    "FROM": ("WHERE", "GROUP BY", "JOIN", "LEFT JOIN", "INNER JOIN", "CROSS JOIN", "ON", "AS", "HAVING",
             "QUALIFY", "MATCH_RECOGNIZE", "UNION ALL", "ORDER BY", "LIMIT", "EMIT", "FOR SYSTEM_TIME AS OF"),
    "WHERE": (*OPERATORS[:-1], "GROUP BY", "HAVING", "QUALIFY", "UNION ALL", "ORDER BY", "LIMIT", "EMIT"),
    "ON": (*OPERATORS[:-1], "WHERE", "GROUP BY", "JOIN", "LEFT JOIN", "QUALIFY", "UNION ALL", "LIMIT", "EMIT"),
    "GROUP": ("HAVING", "QUALIFY", "UNION ALL", "ORDER BY", "LIMIT", "EMIT"),
    "HAVING": (*OPERATORS[:-1], "UNION ALL", "ORDER BY", "LIMIT", "EMIT"),
    "QUALIFY": (*OPERATORS[:-1], "UNION ALL", "ORDER BY", "LIMIT", "EMIT"),
    "ORDER": ("ASC", "DESC", "LIMIT", "EMIT"),
    "INTO": ("SELECT", "VALUES", "WITH"),
}
"""After a complete operand: what may go on, by the clause that it stands in."""

MATCH = ("PARTITION BY", "ORDER BY", "MEASURES", "ONE ROW PER MATCH", "AFTER MATCH SKIP", "PATTERN (",
         "WITHIN INTERVAL", "DEFINE")
"""The clauses of MATCH_RECOGNIZE, in the order in which they stand."""
MATCH_VALUES = ("FIRST(", "LAST(", "PREV(", "NEXT(", "MATCH_ROWTIME()", "CLASSIFIER()")

GROUPING = ("GROUPING SETS", "ROLLUP", "CUBE")
WINDOW_FUNCTIONS = ("TUMBLE", "HOP", "CUMULATE", "SESSION")
WINDOW_COLUMNS = ("window_start", "window_end", "window_time")
TYPES = (
    "STRING", "BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "DECIMAL", "FLOAT", "DOUBLE", "DATE",
    "TIME", "TIMESTAMP", "TIMESTAMP_LTZ", "BYTES", "CHAR", "VARCHAR", "BINARY", "VARBINARY", "ARRAY", "MAP",
    "MULTISET", "ROW", "INTERVAL",
)
UNITS = ("SECOND", "SECONDS", "MINUTE", "MINUTES", "HOUR", "HOURS", "DAY", "DAYS", "WEEK", "MONTH", "YEAR",
         "MILLISECOND")
COLUMN_START = ("WATERMARK FOR", "PRIMARY KEY", "CONSTRAINT")
COLUMN_REST = ("NOT NULL", "METADATA", "METADATA FROM", "VIRTUAL", "COMMENT", "NOT ENFORCED")
AFTER_COLUMNS = ("WITH", "COMMENT", "LIKE", "AS", "PARTITIONED BY")
OPERAND_DUE = frozenset((
    "SELECT", "DISTINCT", "ALL", "FROM", "WHERE", "AND", "OR", "NOT", "ON", "BY", "HAVING", "WHEN", "THEN",
    "ELSE", "CASE", "BETWEEN", "IN", "LIKE", "AS", "INTO", "VALUES", "JOIN", "LIMIT", "WITH", "USING", "FOR",
    "OVER", "INTERVAL", "EXPLAIN", "FILTER", "SETS", "ROLLUP", "CUBE", "QUALIFY", "MEASURES", "DEFINE",
))
"""Words after which a value or a name is due."""

"""What Flink has and streamsql has not: the statements that are refused, and what to write instead."""

from __future__ import annotations

SHOWN = ("TABLES", "VIEWS", "MATERIALIZED TABLES", "FUNCTIONS", "JOBS", "COLUMNS", "CREATE TABLE", "CREATE VIEW")

UNSUPPORTED: dict[str, tuple[str, str]] = {
    "ADD": ("ADD JAR", "functions are Python: CREATE FUNCTION f AS 'module.f' LANGUAGE PYTHON"),
    "ALTER": ("ALTER", "drop the table or view and create it again"),
    "ANALYZE": ("ANALYZE TABLE", "plans are made without statistics"),
    "CALL": ("CALL", "there are no procedures; run the work in Python"),
    "COMPILE": ("COMPILE PLAN", "run the script itself; its state survives a restart"),
    "DELETE": ("DELETE", "a stream is not changed in place; filter it with WHERE"),
    "FROM": ("FROM without SELECT", "write SELECT * FROM …"),
    "LOAD": ("LOAD MODULE", "every function is loaded"),
    "MERGE": ("MERGE", "INSERT INTO a table with a primary key upserts"),
    "PRINT": ("PRINT", "write SELECT * FROM the table over the topic"),
    "QUIT": ("QUIT", "leave the shell with Ctrl-D"),
    "REMOVE": ("REMOVE JAR", "functions are Python modules"),
    "REPLACE": ("REPLACE TABLE", "write CREATE OR REPLACE TABLE"),
    "SHOW": ("SHOW", "there is one catalog and one database"),
    "TRUNCATE": ("TRUNCATE TABLE", "a topic is emptied by its retention"),
    "UNLOAD": ("UNLOAD MODULE", "every function is loaded"),
    "UPDATE": ("UPDATE", "INSERT INTO a table with a primary key upserts"),
    "USE": ("USE", "there is one catalog and one database; write names without them"),
}
"""First word of a statement: what it is called, and the hint."""

"""What people write out of habit from other engines, and what to write here: the hints of errors.

Nothing in here is accepted. A name is looked up only when it is unknown, so that a function or a
type that is built later needs no change here.
"""

from __future__ import annotations

from streamsql.errors import did_you_mean, nearest

STATEMENTS: dict[str, str] = {
    "TERMINATE": "STOP JOB 'job-1'",
    "KILL": "STOP JOB 'job-1'",
    "CANCEL": "STOP JOB 'job-1'",
    "LIST": "SHOW TABLES",
    "HELP": "help, without a semicolon and alone on its line",
    "UPSERT": "INSERT INTO a table with a PRIMARY KEY, which upserts",
    "PAUSE": "STOP JOB 'job-1'; the same INSERT goes on where it was, if there is a --state directory",
    "REFRESH": "SELECT * FROM m: a materialized table is always fresh",
    "COPY": "CREATE TABLE … WITH ('connector' = 'filesystem', …), and INSERT INTO … SELECT",
    "DECLARE": "SELECT …: a query is not declared before it runs",
    "SUBSCRIBE": "SELECT …: its changes come as they are",
    "\\": "help, quit, SHOW TABLES, DESCRIBE t",
    ".": "help, quit, SHOW TABLES, DESCRIBE t",
}
"""First words of statements of ksqlDB, Materialize, psql …"""

SHOWN: dict[str, str] = {
    "STREAMS": "SHOW TABLES", "QUERIES": "SHOW JOBS", "SOURCES": "SHOW TABLES", "SINKS": "SHOW TABLES",
    "SCHEMAS": "SHOW TABLES", "TOPICS": "SHOW TABLES: topics have names here once a CREATE TABLE gave them one",
    "SETTINGS": "SET", "PROPERTIES": "SET", "VARIABLES": "SET", "ALL": "SET", "INDEXES": "DESCRIBE t",
    "PROCESSLIST": "SHOW JOBS", "TABLE": "SHOW TABLES, or SHOW CREATE TABLE t", "FUNCTION": "SHOW FUNCTIONS",
    "VIEW": "SHOW VIEWS", "JOB": "SHOW JOBS",
}

FUNCTIONS: dict[str, str] = {
    "NVL": "COALESCE(a, b)", "ISNULL": "COALESCE(a, b), or a IS NULL", "NVL2": "IF(a IS NOT NULL, b, c)",
    "ZEROIFNULL": "COALESCE(a, 0)", "IFF": "IF(condition, a, b)", "IIF": "IF(condition, a, b)",
    "EQUAL_NULL": "a IS NOT DISTINCT FROM b",
    "TO_CHAR": "DATE_FORMAT(time, 'yyyy-MM-dd'), or CAST(a AS STRING)", "TO_VARCHAR": "CAST(a AS STRING)",
    "FORMAT_TIMESTAMP": "DATE_FORMAT(time, 'yyyy-MM-dd HH:mm:ss')", "FORMAT_DATE": "DATE_FORMAT(time, 'yyyy-MM-dd')",
    "TIMESTAMPTOSTRING": "DATE_FORMAT(time, 'yyyy-MM-dd HH:mm:ss')", "DATETOSTRING": "DATE_FORMAT(time, 'yyyy-MM-dd')",
    "PARSE_TIMESTAMP": "TO_TIMESTAMP(text, 'yyyy-MM-dd HH:mm:ss')",
    "STRINGTOTIMESTAMP": "TO_TIMESTAMP(text, 'yyyy-MM-dd HH:mm:ss')", "STRINGTODATE": "TO_DATE(text, 'yyyy-MM-dd')",
    "TO_NUMBER": "CAST(a AS DECIMAL(10, 2))", "TO_DECIMAL": "CAST(a AS DECIMAL(10, 2))",
    "TO_DOUBLE": "CAST(a AS DOUBLE)", "TRY_TO_NUMBER": "TRY_CAST(a AS DECIMAL(10, 2))",
    "SAFE_CAST": "TRY_CAST(a AS type)", "TO_TIME": "CAST(a AS TIME)",
    "GET_JSON_OBJECT": "JSON_VALUE(json, '$.field')", "EXTRACTJSONFIELD": "JSON_VALUE(json, '$.field')",
    "JSON_TUPLE": "JSON_VALUE(json, '$.field')", "GET_PATH": "JSON_VALUE(json, '$.field')",
    "TO_JSON": "JSON_OBJECT(KEY 'name' VALUE a)", "OBJECT_CONSTRUCT": "JSON_OBJECT(KEY 'name' VALUE a)",
    "CHARINDEX": "LOCATE(part, text)", "MID": "SUBSTRING(text, start, length)",
    "DATEADD": "TIMESTAMPADD(DAY, 1, time), or time + INTERVAL '1' DAY",
    "DATE_ADD": "TIMESTAMPADD(DAY, 1, time), or time + INTERVAL '1' DAY",
    "ADD_MONTHS": "TIMESTAMPADD(MONTH, 1, time)", "TIME_SLICE": "a window: TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), …))",
    "TIMEDIFF": "TIMESTAMPDIFF(SECOND, a, b)", "TIMESTAMP_DIFF": "TIMESTAMPDIFF(SECOND, a, b)",
    "MONTHS_BETWEEN": "TIMESTAMPDIFF(MONTH, a, b)",
    "DATE_BIN": "a window: TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
    "WINDOW": "a window in FROM: TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
    "GETDATE": "CURRENT_TIMESTAMP", "SYSDATE": "CURRENT_TIMESTAMP", "SYSTIMESTAMP": "CURRENT_TIMESTAMP",
    "CURRENT_DATETIME": "LOCALTIMESTAMP", "TODAY": "CURRENT_DATE", "UNIXTIME": "UNIX_TIMESTAMP()",
    "CONVERT_TIMEZONE": "CONVERT_TZ(text, from_zone, to_zone)",
    "FROM_UTC_TIMESTAMP": "CONVERT_TZ(text, 'UTC', zone)", "TO_UTC_TIMESTAMP": "CONVERT_TZ(text, zone, 'UTC')",
    "TIMESTAMP_MILLIS": "TO_TIMESTAMP_LTZ(millis, 3)", "TIMESTAMP_SECONDS": "TO_TIMESTAMP_LTZ(seconds, 0)",
    "LATEST_BY_OFFSET": "LAST_VALUE(a)", "EARLIEST_BY_OFFSET": "FIRST_VALUE(a)", "AS_VALUE": "the column alone",
    "COLLECT_LIST": "ARRAY_AGG(a)", "COLLECT_SET": "ARRAY_AGG(DISTINCT a)", "ARRAYAGG": "ARRAY_AGG(a)",
    "JSON_AGG": "JSON_ARRAYAGG(a)", "JSONB_AGG": "JSON_ARRAYAGG(a)", "COUNT_DISTINCT": "COUNT(DISTINCT a)",
    "TOPK": "a Top-N: ROW_NUMBER() OVER (PARTITION BY … ORDER BY … DESC) <= n",
    "TOPKDISTINCT": "a Top-N: ROW_NUMBER() OVER (PARTITION BY … ORDER BY … DESC) <= n",
    "EXPLODE": "CROSS JOIN UNNEST(array) AS t(item)",
    "ARRAY_SIZE": "CARDINALITY(array)", "SIZE": "CARDINALITY(array)",
    "ARRAY_CONSTRUCT": "ARRAY[a, b]", "STRUCT": "ROW(a, b)", "NAMED_STRUCT": "CAST(ROW(a, b) AS ROW<x INT, y INT>)",
    "PERCENTILE_APPROX": "PERCENTILE(a, 0.5)", "APPROX_PERCENTILE": "PERCENTILE(a, 0.5)",
    "PERCENTILE_CONT": "PERCENTILE(a, 0.5)", "PERCENTILE_DISC": "PERCENTILE(a, 0.5)",
    "GEN_RANDOM_UUID": "UUID()", "RANDOM": "RAND()", "SQUARE": "POWER(a, 2)", "UNBASE64": "FROM_BASE64(text)",
    "REGEXP_LIKE": "REGEXP(text, pattern)", "RLIKE": "REGEXP(text, pattern)",
    "URL_EXTRACT_HOST": "PARSE_URL(url, 'HOST')",
    "WINDOWSTART": "window_start", "WINDOWEND": "window_end",
    "ROWNUM": "LIMIT n, or ROW_NUMBER() OVER (ORDER BY …) <= n",
}

COLUMNS: dict[str, str] = {
    "ROWTIME": "declare it in the table: ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp'",
    "ROWPARTITION": "declare it in the table: p INT METADATA FROM 'partition' VIRTUAL",
    "ROWOFFSET": "declare it in the table: o BIGINT METADATA FROM 'offset' VIRTUAL",
    "ROWKEY": "name the key in WITH: 'key.format' = 'raw', 'key.fields' = 'id'",
    "WINDOWSTART": "write window_start", "WINDOWEND": "write window_end",
    "WINDOW_START": "it comes of a window in FROM: TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
    "WINDOW_END": "it comes of a window in FROM: TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
    "ROWNUM": "write LIMIT n, or ROW_NUMBER() OVER (ORDER BY …) <= n",
    "SYSDATE": "write CURRENT_TIMESTAMP",
}
"""Pseudo columns of ksqlDB and others, in upper case."""

TYPES: dict[str, str] = {
    "REAL": "FLOAT", "CLOB": "STRING", "JSON": "STRING", "JSONB": "STRING", "UUID": "STRING", "SYMBOL": "STRING",
    "VARCHAR2": "VARCHAR or STRING", "NVARCHAR": "STRING", "LONGTEXT": "STRING", "OBJECT": "STRING or MAP<…>",
    "BLOB": "BYTES", "BYTEA": "BYTES", "BITMAP": "BYTES", "RECORD": "ROW<…>",
    "DATETIME": "TIMESTAMP(3)", "TIMESTAMP_NTZ": "TIMESTAMP(3)", "TIMESTAMP_TZ": "TIMESTAMP_LTZ(3)",
    "SERIAL": "INT; rows have no counter of their own", "BIGSERIAL": "BIGINT; rows have no counter of their own",
    "NUMBER": "DECIMAL(p, s)", "MONEY": "DECIMAL(19, 4)", "LONG": "BIGINT", "SHORT": "SMALLINT", "BYTE": "TINYINT",
    "INT2": "SMALLINT", "INT4": "INT", "INT8": "BIGINT", "INT64": "BIGINT", "FLOAT4": "FLOAT", "FLOAT8": "DOUBLE",
    "FLOAT64": "DOUBLE", "BOOL": "BOOLEAN", "UNSIGNED": "BIGINT", "ENUM": "STRING", "LIST": "ARRAY<…>",
}

PLACES: dict[str, str] = {
    "==": "one = compares: a = b",
    "->": "write JSON_VALUE(json, '$.field'), or row.field",
    ":": "write JSON_VALUE(json, '$.field'), or row.field",
    "~": "write REGEXP(text, pattern), or SIMILAR TO",
    "!": "write NOT, or <>",
    "&": "write a AND b",
    "INTO": "write INSERT INTO t SELECT …",
    "RLIKE": "write REGEXP(text, pattern)",
    "REGEXP": "write REGEXP(text, pattern)",
    "GLOB": "write LIKE 'a%'",
    "VIEW": "write CROSS JOIN UNNEST(array) AS t(item)",
    "GRACE": "the WATERMARK of a table says how late its rows may be",
    "PARTITION": "name the key in the sink: 'key.fields', or a PRIMARY KEY",
    "SETTINGS": "write SET 'key' = 'value' before the query",
    "APPLY": "write CROSS JOIN LATERAL TABLE(f(a)), or CROSS JOIN UNNEST(array)",
}
"""What cannot stand where a statement could end: symbols and words that other dialects have there."""

NODES: dict[str, tuple[str, str]] = {
    "ilike": ("ILIKE is not Flink SQL", "Write LOWER(text) LIKE 'a%'."),
    "withingroup": ("WITHIN GROUP is not supported", "Write PERCENTILE(a, 0.5) for a quantile, "
                    "ARRAY_AGG(a ORDER BY b) for a list in order."),
    "overlaps": ("OVERLAPS is not supported", "Compare the ends: a.start < b.stop AND b.start < a.stop."),
}
"""Kinds of expressions that are read and have no meaning here: the message, and the hint."""


def function_hint(name: str, candidates: list[str]) -> str:
    """The hint for a function that does not exist."""
    known = FUNCTIONS.get(name.upper())
    if known:
        return f"Write {known}."
    own = "" if nearest(name, candidates) else "CREATE FUNCTION makes one of Python. "
    return own + did_you_mean(name, candidates, "Functions")

"""Flink's SQL types: the one vocabulary in which every part of streamsql speaks of a column.

A `DataType` says what a value *means*; `arrow_type` says how a Batch holds it and `duck_type`
how DuckDB computes with it. How types combine (promotion, casts) is not here: see `values`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa

MAX_LENGTH = 2_147_483_647
"""Length of STRING and BYTES, which are VARCHAR and VARBINARY of this length."""

INTEGERS = ("TINYINT", "SMALLINT", "INT", "BIGINT")
APPROXIMATE = ("FLOAT", "DOUBLE")
CHARACTERS = ("CHAR", "VARCHAR")
BINARIES = ("BINARY", "VARBINARY")
TIMESTAMPS = ("TIMESTAMP", "TIMESTAMP_LTZ")
INTERVALS = ("INTERVAL YEAR TO MONTH", "INTERVAL DAY TO SECOND")


@dataclass(frozen=True, slots=True)
class DataType:
    """One type of Flink SQL, nullability included.

    root       BOOLEAN TINYINT SMALLINT INT BIGINT DECIMAL FLOAT DOUBLE CHAR VARCHAR BINARY
               VARBINARY DATE TIME TIMESTAMP TIMESTAMP_LTZ ARRAY MAP MULTISET ROW NULL VARIANT BITMAP
               `INTERVAL YEAR TO MONTH`, `INTERVAL DAY TO SECOND`
    precision  digits of DECIMAL; fraction digits 0–9 of TIME, TIMESTAMP, TIMESTAMP_LTZ; the
               length of CHAR, VARCHAR, BINARY, VARBINARY; leading digits of an interval
    scale      fraction digits of DECIMAL and of INTERVAL DAY TO SECOND
    unit       of an interval as declared, as `DAY TO SECOND` or `MONTH`; '' otherwise
    children   the element of ARRAY and MULTISET; key and value of MAP; the fields of ROW
    names      the field names of ROW
    class_name of a structured type, which is a ROW with a name; '' otherwise
    """

    root: str
    nullable: bool = True
    precision: int = 0
    scale: int = 0
    children: tuple[DataType, ...] = ()
    names: tuple[str, ...] = ()
    unit: str = ""
    class_name: str = ""

    def not_null(self) -> DataType:
        return replace(self, nullable=False)

    def as_nullable(self, nullable: bool = True) -> DataType:
        return replace(self, nullable=nullable)

    @property
    def is_integer(self) -> bool:
        return self.root in INTEGERS

    @property
    def is_numeric(self) -> bool:
        return self.root in INTEGERS or self.root in APPROXIMATE or self.root == "DECIMAL"

    @property
    def is_character(self) -> bool:
        return self.root in CHARACTERS

    @property
    def is_binary(self) -> bool:
        return self.root in BINARIES

    @property
    def is_timestamp(self) -> bool:
        return self.root in TIMESTAMPS

    @property
    def is_interval(self) -> bool:
        return self.root in INTERVALS

    def __str__(self) -> str:
        """Flink's spelling, as in `DESCRIBE`: `INT NOT NULL`, `DECIMAL(10, 2)`, `ROW<`a` INT>`."""
        return self._base() + ("" if self.nullable else " NOT NULL")

    def _base(self) -> str:
        p, kids = self.precision, self.children
        match self.root:
            case "VARCHAR" if p == MAX_LENGTH:
                return "STRING"
            case "VARBINARY" if p == MAX_LENGTH:
                return "BYTES"
            case "CHAR" | "VARCHAR" | "BINARY" | "VARBINARY" | "TIMESTAMP" | "TIMESTAMP_LTZ" | "TIME":
                return f"{self.root}({p})"
            case "DECIMAL":
                return f"DECIMAL({p}, {self.scale})"
            case "ARRAY" | "MULTISET":
                return f"{self.root}<{kids[0]}>"
            case "MAP":
                return f"MAP<{kids[0]}, {kids[1]}>"
            case "ROW":
                fields = (f"`{n}` {t}" for n, t in zip(self.names, kids, strict=True))
                if self.class_name:
                    return f"STRUCTURED<'{self.class_name}', {', '.join(fields)}>"
                return f"ROW<{', '.join(fields)}>"
            case "INTERVAL YEAR TO MONTH" | "INTERVAL DAY TO SECOND":
                return f"INTERVAL {self.unit}" if self.unit else self.root
            case _:
                return self.root

    def duck_type(self) -> str:
        """The DuckDB type that holds these values.

        TIMESTAMP to 6 digits is microseconds, above it nanoseconds; TIMESTAMP_LTZ is an instant
        (TIMESTAMPTZ, microseconds); intervals are INTERVAL; MULTISET is MAP to its counts.
        """
        kids = self.children
        match self.root:
            case "INT":
                return "INTEGER"
            case "CHAR" | "VARCHAR":
                return "VARCHAR"
            case "BINARY" | "VARBINARY":
                return "BLOB"
            case "DECIMAL":
                return f"DECIMAL({self.precision},{self.scale})"
            case "TIMESTAMP":
                return "TIMESTAMP" if self.precision <= 6 else "TIMESTAMP_NS"
            case "TIMESTAMP_LTZ":
                return "TIMESTAMPTZ"
            case "INTERVAL YEAR TO MONTH" | "INTERVAL DAY TO SECOND":
                return "INTERVAL"
            case "ARRAY":
                return f"{kids[0].duck_type()}[]"
            case "MAP":
                return f"MAP({kids[0].duck_type()}, {kids[1].duck_type()})"
            case "MULTISET":
                return f"MAP({kids[0].duck_type()}, INTEGER)"
            case "ROW":
                fields = (f'"{n.replace(chr(34), chr(34) * 2)}" {t.duck_type()}'
                          for n, t in zip(self.names, kids, strict=True))
                return f"STRUCT({', '.join(fields)})"
            case "NULL":
                return "INTEGER"
            case "VARIANT":
                return "JSON"
            case "BITMAP":  # the members as unsigned numbers, in order
                return "BIGINT[]"
            case _:
                return self.root

    def arrow_type(self) -> pa.DataType:
        """The Arrow type of a Batch column; what DuckDB gives back for `duck_type`."""
        kids = self.children
        match self.root:
            case "DECIMAL":
                return pa.decimal128(self.precision, self.scale)
            case "TIMESTAMP":
                return pa.timestamp("us" if self.precision <= 6 else "ns")
            case "TIMESTAMP_LTZ":
                return pa.timestamp("us", tz="UTC")
            case "ARRAY":
                return pa.list_(kids[0].arrow_type())
            case "MAP":
                return pa.map_(kids[0].arrow_type(), kids[1].arrow_type())
            case "MULTISET":
                return pa.map_(kids[0].arrow_type(), pa.int32())
            case "ROW":
                return pa.struct([pa.field(n, t.arrow_type())
                                  for n, t in zip(self.names, kids, strict=True)])
            case _:
                return _ARROW[self.root]


_ARROW: dict[str, pa.DataType] = {
    "BOOLEAN": pa.bool_(), "TINYINT": pa.int8(), "SMALLINT": pa.int16(), "INT": pa.int32(),
    "BIGINT": pa.int64(), "FLOAT": pa.float32(), "DOUBLE": pa.float64(), "CHAR": pa.string(),
    "VARCHAR": pa.string(), "BINARY": pa.binary(), "VARBINARY": pa.binary(), "DATE": pa.date32(),
    "TIME": pa.time64("us"), "INTERVAL YEAR TO MONTH": pa.month_day_nano_interval(),
    "INTERVAL DAY TO SECOND": pa.month_day_nano_interval(), "NULL": pa.int32(),
    "VARIANT": pa.string(), "BITMAP": pa.list_(pa.int64()),
}

BOOLEAN = DataType("BOOLEAN")
TINYINT = DataType("TINYINT")
SMALLINT = DataType("SMALLINT")
INT = DataType("INT")
BIGINT = DataType("BIGINT")
FLOAT = DataType("FLOAT")
DOUBLE = DataType("DOUBLE")
STRING = DataType("VARCHAR", precision=MAX_LENGTH)
BYTES = DataType("VARBINARY", precision=MAX_LENGTH)
DATE = DataType("DATE")
NULL = DataType("NULL")


def decimal(precision: int, scale: int) -> DataType:
    return DataType("DECIMAL", precision=precision, scale=scale)


def char(length: int) -> DataType:
    return DataType("CHAR", precision=length)


def varchar(length: int) -> DataType:
    return DataType("VARCHAR", precision=length)


def time(precision: int = 0) -> DataType:
    return DataType("TIME", precision=precision)


def timestamp(precision: int = 6) -> DataType:
    return DataType("TIMESTAMP", precision=precision)


def timestamp_ltz(precision: int = 6) -> DataType:
    return DataType("TIMESTAMP_LTZ", precision=precision)


def array(element: DataType) -> DataType:
    return DataType("ARRAY", children=(element,))


def map_of(key: DataType, value: DataType) -> DataType:
    return DataType("MAP", children=(key, value))


def multiset(element: DataType) -> DataType:
    return DataType("MULTISET", children=(element,))


def row(fields: dict[str, DataType]) -> DataType:
    return DataType("ROW", children=tuple(fields.values()), names=tuple(fields))

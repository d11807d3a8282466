"""Scans over records made by hand, for the tests of formats and operators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from streamsql.core.batch import SEQ, WATERMARK
from streamsql.core.clock import ManualClock
from streamsql.core.connector import Chunk, Split, TableSpec
from streamsql.core.node import Context
from streamsql.core.options import Options, validate
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.types import DataType
from streamsql.operators.scan import Decoded, Rowtime, Scan, ScanStep
from streamsql.state.database import Database


class NoSide:
    """A side output that nothing may use: a scan hands its errors out itself."""

    def late(self, seq: Sequence[int], reason: str) -> None:
        raise AssertionError("a scan drops no late rows")

    def error(self, seq: Sequence[int], reason: str) -> None:
        raise AssertionError("a scan hands out its errors itself")


def columns(**types: DataType) -> Schema:
    return Schema(tuple(Column(n, t) for n, t in types.items()))


def options(module: ModuleType, given: Mapping[str, str]) -> Options:
    return validate(given, module.OPTIONS, "the format")


def scan(module: ModuleType, value: Schema, given: Mapping[str, str] | None = None, /, **more: Any) -> Scan:
    """A scan of records whose values have these columns, all of them read; `more` are fields of Scan."""
    decoding = module.decoder(value, options(module, given or {}))
    fields: dict[str, Any] = {
        "schema": value,
        "append_only": True,
        "hidden": (WATERMARK, SEQ),
        "name": "t",
        "table": TableSpec("t", value, Options({})),
        "value": Decoded(decoding, value.names),
        **more,
    }
    return Scan(inputs=(), **fields)


@contextmanager
def running(node: Scan, clock: ManualClock | None = None) -> Iterator[ScanStep]:
    database = Database()
    try:
        yield ScanStep(node, Context("op0", database, clock or ManualClock(), NoSide()))
    finally:
        database.close()


def splits(count: int) -> list[Split]:
    return [Split(f"t-{n}", "t", n) for n in range(count)]


def chunk(
    values: Sequence[bytes | None], split: Sequence[int] | None = None, start: int = 0, **more: pa.Array
) -> Chunk:
    """Records of one split, or of the given ones; offsets count up within each split."""
    of = np.asarray(split if split is not None else [0] * len(values), np.int32)
    offset = np.zeros(len(values), np.int64)
    for n in np.unique(of):
        offset[of == n] = np.arange(start, start + np.count_nonzero(of == n))
    return Chunk(pa.table({"value": pa.array(values, pa.binary()), **more}), of, offset, {})


def decoded(
    module: ModuleType, schema: Schema, given: Mapping[str, str], *records: bytes | None
) -> list[Any]:
    """What each record becomes: its row as a tuple, its reason as a string, or None if it is skipped."""
    with running(scan(module, schema, given)) as step:
        step.observe(splits(1))
        batch = step.ingest(chunk(records))
        errors = step.take_errors()
    found: list[Any] = [None] * len(records)
    if batch is not None:
        assert batch.table.schema.types[: len(schema)] == schema.arrow().types
        for row in batch.table.to_pylist():
            found[row[SEQ]] = tuple(row[n] for n in schema.names)
    for row in errors.to_pylist() if errors is not None else []:
        found[row["offset"]] = row["reason"]
    return found


def encoded(module: ModuleType, schema: Schema, given: Mapping[str, str], *rows: Sequence[Any]) -> list[Any]:
    """What each row becomes as a record."""
    encoding = module.encoder(schema, options(module, given))
    table = pa.table(
        [pa.array([r[n] for r in rows], c.type.arrow_type()) for n, c in enumerate(schema)],
        names=list(schema.names),
    )
    database = Database()
    try:
        database.over("rows", table.schema).set(table)
        out = database.query(f"SELECT {encoding.value} AS value FROM {quote('rows')}")["value"]
    finally:
        database.close()
    if encoding.arrow is not None:
        out = encoding.arrow(out)
    return [v if v is None or isinstance(v, bytes) else v.encode() for v in out.to_pylist()]


__all__ = [
    "Decoded",
    "Rowtime",
    "Scan",
    "ScanStep",
    "chunk",
    "columns",
    "decoded",
    "encoded",
    "options",
    "running",
    "scan",
    "splits",
]

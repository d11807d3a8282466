"""The contracts of connectors: what a source reads, what a sink writes, what a module offers.

A connector is one module `streamsql/connectors/NAME.py`; `'connector'='NAME'` imports it. It has

    OPTIONS: tuple[Option, ...]          the options of WITH, `format` keys left out
    METADATA: Mapping[str, Metadata]     readable and writable metadata keys ({} if none)
    def source(table: TableSpec) -> Source       absent: not a source
    def sink(table: TableSpec) -> Sink           absent: not a sink
    TYPED_FORMATS: tuple[str, ...]               values of `format` that it reads and writes itself:
                                                 such a table is typed (absent: none)
    def lookup(table: TableSpec, keys: Sequence[str]) -> Lookup
                                         finds rows by these columns (absent: it does not)
    READ_WHOLE: bool                     True: a lookup join may read the whole table and keep it
                                         (absent: it may not)
    def changes(options, primary_key, *, write: bool) -> Changes
                                         what its rows are, given the options as written (absent: APPEND)

The engine drives them; connectors know nothing of SQL, formats or operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa

from streamsql.core.clock import Clock
from streamsql.core.options import Option, Options
from streamsql.core.schema import Schema
from streamsql.core.types import DataType

VALUE = "value"
KEY = "key"
"""Raw columns of a chunk or of an encoded table: BINARY, NULL where the record has none."""

INT64 = np.dtype(np.int64)

Changes = Literal["append", "all", "upsert"]
"""What the rows of a table are: rows that come; changes, each a whole row that comes (+1) or goes (-1);
or, by primary key, rows that replace the one before (+1) or delete it (-1, of which only the key counts).
Of an encoded `upsert` table a record without a value is a delete."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """A metadata key of a connector: its SQL type, and whether a sink may write it."""

    type: DataType
    writable: bool = False


@dataclass(frozen=True, slots=True)
class MetadataColumn:
    """`name type METADATA FROM 'key' [VIRTUAL]` of a table."""

    name: str
    key: str
    type: DataType
    virtual: bool = False


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What a connector is told of a table.

    schema     the physical columns that are read or written, in order (no computed, no metadata columns)
    declared   all physical columns, as the table was created with
    metadata   the metadata columns that are used
    options    validated against the connector's OPTIONS
    encoded    True when a format stands between records and columns (there is a `format` option)
    raw        every option as written, `format` keys included
    append_only  False when the sink will be given changes, or upserts if it takes those
    changes    what its rows are, by its connector or its format
    update_key   of a sink that is given changes: the columns by which the two rows of an update belong
               together, () where all rows do; None: not known
    job        names the job: the same when it resumes from its state, another for any other job;
               sinks mark with it what they stage. '' when nothing is to be resumed
    """

    name: str
    schema: Schema
    options: Options
    metadata: tuple[MetadataColumn, ...] = ()
    primary_key: tuple[str, ...] = ()
    encoded: bool = True
    raw: Mapping[str, str] = field(default_factory=dict)
    append_only: bool = True
    job: str = ""
    changes: Changes = "append"
    update_key: tuple[str, ...] | None = None
    declared: Schema = field(default_factory=lambda: Schema(()))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records of one poll: any number of splits, each split's records in offset order.

    table      encoded connectors: `value` BINARY, `key` BINARY if asked for, then one column
               `$meta.KEY` a metadata key in use, of that key's Arrow type.
               typed connectors: the physical columns themselves, then `$meta.KEY`, and `$diff`
               INTEGER if the source is a changelog (+1, -1; absent means all +1)
    split      int32, one a row: the index into `Source.splits()`
    offset     int64, one a row: the record's offset in its split
    positions  where to resume each split that has moved: index → next offset
    """

    table: pa.Table
    split: np.ndarray[tuple[int], np.dtype[np.int32]]
    offset: np.ndarray[tuple[int], np.dtype[np.int64]]
    positions: Mapping[int, int]

    def __len__(self) -> int:
        return int(self.table.num_rows)


@dataclass(frozen=True, slots=True)
class Split:
    """One ordered part of a source: a Kafka partition, a file, a generator.

    id          stable between runs (`orders-3`, a path): positions are stored under it
    topic       what errors call it; partition is its number there
    """

    id: str
    topic: str
    partition: int = 0


@dataclass(frozen=True, slots=True)
class SourceStatistics:
    """Counters of a source since it opened; `lag_rows` is None where it has no meaning.

    error: trouble with the outside that is being retried (a broker that went away); None when well.
    """

    rows: int = 0
    bytes: int = 0
    lag_rows: int | None = None
    error: str | None = None


class Source(Protocol):
    """Reads the splits of one table. One thread calls it, from `open` to `close`."""

    @property
    def bounded(self) -> bool:
        """True when it ends by itself."""
        ...

    def open(self, positions: Mapping[str, int], clock: Clock, keys: Sequence[str]) -> None:
        """Start reading. Called once, before anything else.

        positions: split id → next offset of a resumed run; a split not in it starts as the
        options say. keys: the raw columns and metadata (`$meta.KEY`) that the plan uses; others
        need not be filled. Raises ConnectorError, naming server and topic.
        """
        ...

    def splits(self) -> Sequence[Split]:
        """The splits known now. It only grows (partition discovery); indexes never change."""
        ...

    def poll(self, max_rows: int, timeout_s: float) -> Chunk | None:
        """The next records, at most `max_rows`; None when there are none within `timeout_s`.

        Blocks no longer than `timeout_s`. Raises ConnectorError for what cannot be retried.
        """
        ...

    def ended(self) -> frozenset[int]:
        """Indexes of bounded splits that gave all their records. All of them: the source ended.

        A bounded source without any split (an empty directory) must say so by `finished()`.
        """
        ...

    def finished(self) -> bool:
        """True when a bounded source has given everything."""
        ...

    def commit(self, positions: Mapping[str, int]) -> None:
        """The epoch that read up to `positions` is durable. For outside monitoring only."""
        ...

    def statistics(self) -> SourceStatistics: ...

    def close(self) -> None:
        """Free everything; may be called at any moment, also twice."""
        ...


@dataclass(frozen=True, slots=True)
class SinkStatistics:
    """Counters of a sink since it opened; `error` as for a source."""

    rows: int = 0
    bytes: int = 0
    error: str | None = None


class Sink(Protocol):
    """Writes one table. The engine's thread calls it.

    An epoch is: any number of `write`, then `flush`, then the state is committed, then `commit`.
    """

    def open(self, epoch: int, clock: Clock) -> None:
        """Start writing; `epoch` is the last one committed (0 for none)."""
        ...

    def write(self, rows: pa.Table) -> None:
        """Take rows of the running epoch.

        Encoded connectors: `value`, `key` (BINARY, nullable) and `$meta.KEY` columns for written
        metadata; a delete by key has a NULL `value`. Typed: the physical columns, and `$diff`
        INTEGER unless `append_only`. May block: that is the backpressure. Raises ConnectorError or DataError.
        """
        ...

    def flush(self) -> None:
        """Return when all rows of the epoch are durable outside or staged to be. Before the commit."""
        ...

    def commit(self, epoch: int) -> None:
        """The state of `epoch` is committed: make staged output visible. Idempotent."""
        ...

    def statistics(self) -> SinkStatistics: ...

    def close(self) -> None:
        """Free everything; what was not committed is dropped where the outside allows it."""
        ...


RELOAD_OPTIONS = (
    Option("lookup.full-cache.periodic-reload.interval", "duration",
           doc="a lookup join that keeps the whole table reads it anew this often; default: it reads a table that ends "
           "once, and one that goes on as it grows"),
)
"""Options of a connector whose whole table a lookup join may keep."""

LOOKUP_OPTIONS = (
    Option("lookup.cache", default="none", choices=("none", "partial", "full"), doc="what a lookup join keeps: nothing "
           "beyond a batch, the rows of the keys it has asked for, or the whole table"),
    Option("lookup.partial-cache.max-rows", "int", doc="how many rows the partial cache keeps; the keys asked for "
           "longest ago go first"),
    Option("lookup.partial-cache.expire-after-write", "duration", doc="how long the partial cache keeps a key after it "
           "was asked for outside"),
    Option("lookup.partial-cache.expire-after-access", "duration", doc="how long the partial cache keeps a key after a "
           "row needed it"),
    Option("lookup.partial-cache.cache-missing-key", "bool", True, "keep also that a key has no rows"),
    Option("lookup.max-retries", "int", 3, "how often a lookup that fails is tried again"),
    *RELOAD_OPTIONS,
)
"""Options of a connector that has `lookup`."""


class Lookup(Protocol):
    """Finds rows of one table for a lookup join. The engine's thread calls it."""

    def find(self, keys: pa.Table) -> pa.Table:
        """The rows whose key columns equal a row of `keys`, as the columns of `TableSpec.schema`.

        keys: the columns that `lookup` was given, of the types of the table's; distinct rows without
        NULL. Raises ConnectorError, after which the same may be asked again.
        """
        ...

    def close(self) -> None:
        """Free everything; may be called twice."""
        ...

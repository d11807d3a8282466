"""Node and Operator: what a step of a plan is, and what runs it.

A Node is a frozen description. It knows its schema, its changelog mode and its *relation*: what
it means over all input at once, as one DuckDB SELECT. An Operator is the same meaning made
incremental: the sum of what it emits equals the relation over the sum of what came in (law 3).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from streamsql.core.batch import Batch, batch_schema
from streamsql.core.clock import Clock
from streamsql.core.schema import Schema


class Statement(Protocol):
    """A prepared statement over an Input; see `state.database`."""

    def run(self, *params: object) -> pa.Table: ...


class Database(Protocol):
    """What operators may ask of DuckDB; implemented by `state.database.Database`.

    All SQL text is DuckDB's. Errors arrive as DataError or StateError, never as DuckDB's own.
    durable: what is stored outlives the process.
    """

    durable: bool

    def execute(self, sql: str, *params: object) -> None: ...

    def query(self, sql: str, *params: object) -> pa.Table: ...

    def over(self, name: str, schema: pa.Schema) -> BatchInput:
        """An Arrow table that SQL sees as `name`; its content is swapped before each run."""
        ...

    def prepare(self, sql: str) -> Statement:
        """Prepare `sql`; run it many times. Inputs it names must exist already."""
        ...

    def compute(self, sql: str) -> Statement:
        """Prepare a SELECT over inputs alone, on a connection that does not see the state.

        An error in it (a CAST that refuses a value) leaves the epoch's transaction intact. So a
        step first computes, then stores: when it raises DataError it has had no effect, and the
        engine cuts the batch until the bad row stands alone.
        """
        ...

    def create_table(self, name: str, schema: pa.Schema) -> None:
        """A state table with these columns, unless it is there already."""
        ...

    def state(self, name: str, schema: pa.Schema, *, time: str | None = None, other: str | None = None,
              ttl_ms: int = 0) -> StateTable:
        """The rows an operator remembers under `name`, found by `$key`: see `state.table.StateTable`."""
        ...

    def slots(self, name: str, schema: pa.Schema, *, constant: Collection[str] = (), other: str | None = None,
              ttl_ms: int = 0) -> SlotTable:
        """One row a key, changed in place, found by `$key`: see `state.slots.SlotTable`."""
        ...

    def columns(self, sql: str) -> pa.Schema:
        """The Arrow schema that a SELECT would give, without running it."""
        ...


class StateTable(Protocol):
    """What operators see of `state.table.StateTable`, whose contract is there."""

    def __len__(self) -> int: ...

    @property
    def found_schema(self) -> pa.Schema: ...

    def find(self, keys: Any, *, other: bool = False) -> pa.Table: ...

    def all(self) -> pa.Table: ...

    def add(self, rows: pa.Table, *, now_ms: int = 0) -> None: ...

    def remove(self, rows: Any) -> None: ...

    def pop(self, before: int, *, through: bool = False) -> pa.Table: ...

    def forget(self, now_ms: int) -> int: ...


class SlotTable(Protocol):
    """What operators see of `state.slots.SlotTable`, whose contract is there."""

    def __len__(self) -> int: ...

    @property
    def found_schema(self) -> pa.Schema: ...

    def find(self, keys: Any, *, other: bool = False) -> pa.Table: ...

    def beside(self, keys: Any) -> tuple[Any, pa.Table] | None: ...

    def all(self) -> pa.Table: ...

    def put(self, rows: pa.Table, *, now_ms: int = 0) -> None: ...

    def remove(self, rows: Any) -> None: ...

    def forget(self, now_ms: int) -> int: ...


class BatchInput(Protocol):
    name: str

    def set(self, table: pa.Table) -> None: ...


@dataclass(frozen=True, slots=True)
class Explain:
    """What EXPLAIN says of a node: a title, then lines `key: value` below it."""

    title: str
    details: tuple[tuple[str, str], ...] = ()


class SideOutput(Protocol):
    """Where rows go that are not in the result (law 5)."""

    def late(self, seq: Sequence[int], reason: str) -> None:
        """The records named by `$seq` were dropped by the operator as too late."""
        ...

    def error(self, seq: Sequence[int], reason: str) -> None:
        """The records named by `$seq` cannot be processed, and the policy is to go on."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What an operator may use.

    name       unique in the job and stable between runs: prefix of its state tables
    hidden     hidden columns that the input of each port carries
    settings   the session's settings, as `table.local-time-zone`
    """

    name: str
    database: Database
    clock: Clock
    side: SideOutput
    settings: Mapping[str, str] = field(default_factory=dict)


class Operator(ABC):
    """The running half of a Node. It owns the state; only the engine's thread calls it.

    The engine calls `step` for each batch on a port, then `advance` if the operator's watermark
    (the least of its inputs') rose. Both may emit. State written goes to `context.database`,
    which the engine commits; an operator finds its tables again when it is made anew.
    """

    @abstractmethod
    def step(self, port: int, batch: Batch) -> Batch | None:
        """Apply the changes of one input; the changes of the output, None for none.

        The batch is one of `fuse(node.inputs[port]).source`: stateless nodes between are inlined.
        """

    def watermark(self, port: int, watermark_us: int) -> None:  # noqa: B027
        """The watermark of one input has passed `watermark_us`; called before `advance` when an
        input's rose, whether the least of them rose or not. Emits nothing."""

    def advance(self, watermark_us: int) -> Batch | None:
        """Event time has passed `watermark_us` (MAX_WATERMARK at the end of all input)."""
        return None

    def emitted(self, watermark_us: int) -> int:
        """The watermark of the output when that of the inputs is `watermark_us`: an operator that may
        still emit rows behind its input's watermark holds it back. It never falls."""
        return watermark_us

    def tick(self, now_us: int) -> Batch | None:
        """Processing time is `now_us`; called once a turn, before its input, sources' consumers first."""
        return None

    def statistics(self) -> Mapping[str, int]:
        """Counters by name: `state_rows`, `late_rows`, …"""
        return {}


@dataclass(frozen=True)
class Node(ABC):
    """One step of a plan. Equal nodes are one node: a shared view runs once.

    inputs       the nodes it reads, by port
    schema       the visible columns; names are distinct
    append_only  True: rows are only added and batches carry no `$diff`; False: they carry it
    hidden       hidden columns its batches carry (`$diff` among them iff not append_only)
    place        where its query stands, as `file:line:column`; '' where nothing says it
    """

    inputs: tuple[Node, ...]
    schema: Schema
    append_only: bool
    hidden: tuple[str, ...]
    place: str = field(default="", compare=False, kw_only=True)

    @abstractmethod
    def relation(self, inputs: Sequence[str]) -> str:
        """Its meaning over all input at once: a DuckDB SELECT of the visible columns over the
        given table names (quoted by the caller), one a port."""

    def expressible(self) -> bool:
        """DuckDB can say what it means: False where `relation` raises PlanError, so that there is no batch oracle."""
        return True

    @abstractmethod
    def operator(self, context: Context) -> Operator:
        """Make what runs it; state that exists under `context.name` is found again."""

    @abstractmethod
    def explain(self) -> Explain: ...

    def stateless(self, relation: str) -> str | None:
        """A SELECT of the visible and hidden columns over one input's, hidden ones included; None
        for a node that has state or several inputs. Consumers inline it: see `fuse`."""
        return None

    def narrowed(self, needed: Collection[str]) -> Node:
        """This node without the visible columns that are not in `needed`, where it can do without them."""
        return self

    def unique_keys(self) -> frozenset[frozenset[str]]:
        """Sets of visible columns that name at most one row of the result at any time: its upsert keys."""
        return frozenset()

    def batch_schema(self) -> pa.Schema:
        """The Arrow schema of its batches: the visible columns, then the hidden ones."""
        return batch_schema(self.schema, self.hidden)

    def holds_state(self) -> bool:
        return False

    def grows(self) -> bool:
        """Its state grows with the input for ever unless `table.exec.state.ttl` is set: no watermark
        and no LIMIT bounds it."""
        return False

    def by_row(self) -> bool:
        """It shows the changes of its input as they are, which must not depend on how batches are cut: so the
        operators below are handed one row at a time."""
        return False

    def extra(self) -> Mapping[str, Any]:
        """Facts for EXPLAIN in machine-readable form."""
        return {}


@dataclass(frozen=True, slots=True)
class Fused:
    """A node with the stateless nodes below it, as one SELECT over the real node they stand on.

    source  the nearest node downward that is not stateless: whose batches arrive
    chain   the stateless nodes between, the lowest first; empty if the node itself is not stateless
    """

    source: Node
    chain: tuple[Node, ...]

    def select(self, relation: str) -> str:
        """The SELECT over `relation` (quoted by the caller), which has the source's columns."""
        for node in self.chain:
            sql = node.stateless(relation)
            assert sql is not None
            relation = f"({sql})"
        return relation[1:-1] if self.chain else f"SELECT * FROM {relation}"


def fuse(node: Node) -> Fused:
    """Walk down from `node`, itself included, through stateless nodes.

    An operator compiles its statement over `fuse(input)` for each input, and the engine hands it
    the batches of that `source`; so only nodes that are not stateless run, and a stateless one
    only where nothing inlines it (then it is fed by `fuse(node).source`).
    """
    chain: list[Node] = []
    while node.stateless("r") is not None:
        chain.append(node)
        node = node.inputs[0]
    return Fused(node, tuple(reversed(chain)))

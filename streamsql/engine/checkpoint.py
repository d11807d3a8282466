"""The commit of an epoch, as one visible sequence of steps, and the resumption from it.

    1  sinks flush          the epoch's rows are durable outside, or staged there
    2  state commits        operators' tables, positions, watermarks, side tables and the epoch
                            number, in one DuckDB transaction
    3  sinks commit         what was staged becomes visible
    4  sources are told     for monitoring outside (consumer lag); nothing is read from it

A process killed between 1 and 2 repeats the epoch: at-least-once at the sink. Killed between 2
and 3, step 3 is done on resumption: `Sink.open` is told the committed epoch.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from streamsql.core.schema import quote
from streamsql.errors import InternalError, StateError
from streamsql.state.database import Database

_TABLE = "$checkpoint"
CHECKPOINT_EVERY = 100
"""Commits between two CHECKPOINTs, which free the space of deleted rows, when little is read."""
CHECKPOINT_ROWS = 2_000_000
"""Rows read between two, when much is: what an aggregate kept and deleted is never more than that. With
a state larger than this, as many as it has, so that a row's share of the work stays the same."""


@dataclass(slots=True)
class Saved:
    """What a resumed job finds: nothing (epoch 0), or the facts of the last committed epoch.

    job         random, made with the state: sinks mark with it what they stage
    positions   by scan: split id → next offset
    scans       by scan: the snapshot of its watermarks and counters
    watermarks  by vertex: see `Dataflow.snapshot`
    sides       the side tables that are kept: table, side
    now_us      processing time, which does not fall
    """

    epoch: int = 0
    fingerprint: str = ""
    job: str = ""
    positions: dict[str, dict[str, int]] = field(default_factory=dict)
    scans: dict[str, dict[str, object]] = field(default_factory=dict)
    watermarks: dict[str, list[int]] = field(default_factory=dict)
    finished: bool = False
    sides: list[list[str]] = field(default_factory=list)
    now_us: int = 0


class Checkpoint:
    """Saves and loads an epoch's facts in the job's own database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._commits = 0
        self._freed_rows = 0
        database.execute(f"CREATE TABLE IF NOT EXISTS {quote(_TABLE)} (facts VARCHAR)")

    def load(self, fingerprint: str) -> Saved:
        """Raises StateError when the state belongs to another query."""
        rows = self._database.query(f"SELECT facts FROM {quote(_TABLE)}").column(0).to_pylist()
        if not rows:
            return Saved(fingerprint=fingerprint, job=uuid.uuid4().hex[:16])
        saved = Saved(**json.loads(rows[0]))
        if saved.fingerprint != fingerprint:
            raise StateError(
                "the state directory belongs to another query",
                detail="The plan of this statement differs from the one that wrote the state.",
                hint="Use another --state directory, or delete this one to start anew.",
            )
        return saved

    def save(
        self, saved: Saved, sides: Mapping[tuple[str, str], pa.Table], *, rows_in: int = 0, state_rows: int = 0
    ) -> None:
        """Step 2: everything since the last call becomes durable together.

        rows_in, state_rows: rows read since the start, and rows of state now
        """
        saved.sides = [list(key) for key in sorted({*map(tuple, saved.sides), *sides})]
        facts = {name: getattr(saved, name) for name in Saved.__slots__}
        self._database.execute(f"DELETE FROM {quote(_TABLE)}")
        self._database.execute(f"INSERT INTO {quote(_TABLE)} VALUES (?)", json.dumps(facts))
        for (table, side), rows in sides.items():
            self._save_side(_side_name(table, side), rows)
        self._database.commit()
        self._commits += 1
        if self._commits >= CHECKPOINT_EVERY or rows_in - self._freed_rows >= max(CHECKPOINT_ROWS, state_rows):
            self._database.checkpoint()
            self._commits, self._freed_rows = 0, rows_in
        self._database.begin()

    def _save_side(self, name: str, rows: pa.Table) -> None:
        given = self._database.over("$side_rows", rows.schema)
        given.set(rows)
        self._database.execute(f"CREATE OR REPLACE TABLE {quote(name)} AS SELECT * FROM {quote(given.name)}")
        given.set(rows.schema.empty_table())

    def sides(self, saved: Saved) -> dict[tuple[str, str], pa.Table]:
        """The side tables of the last committed epoch, by (table, side)."""
        return {
            (table, side): self._database.query(f"SELECT * FROM {quote(_side_name(table, side))}")
            for table, side in saved.sides
        }


def fingerprint_of(path: Path) -> str:
    """The plan to which a state file belongs; '' for none."""
    if not path.exists():
        return ""
    database = Database(path)
    try:
        found = database.query(f"SELECT facts FROM {quote(_TABLE)}").column(0).to_pylist()
    except InternalError:  # a file that no epoch was committed to
        found = []
    finally:
        database.close()
    return str(json.loads(found[0])["fingerprint"]) if found else ""


def _side_name(table: str, side: str) -> str:
    return f"$side {table}{side}"

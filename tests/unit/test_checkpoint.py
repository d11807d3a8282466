"""The space of deleted rows is freed by what was read, and not by the clock alone."""

from __future__ import annotations

import pytest

from streamsql.engine.checkpoint import CHECKPOINT_EVERY, CHECKPOINT_ROWS, Checkpoint, Saved
from streamsql.state.database import Database


@pytest.mark.parametrize(
    ("rows_per_commit", "state_rows", "commits"),
    [
        (0, 0, CHECKPOINT_EVERY),
        (CHECKPOINT_ROWS // 4, 0, 4),
        (CHECKPOINT_ROWS, 0, 1),
        (CHECKPOINT_ROWS, 3 * CHECKPOINT_ROWS, 3),
    ],
)
def test_space_is_freed(
    rows_per_commit: int, state_rows: int, commits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(None)
    freed: list[int] = []
    checkpoint = Checkpoint(database)
    database.begin()
    for number in range(1, 2 * commits + 1):
        monkeypatch.setattr(database, "checkpoint", lambda n=number: freed.append(n))
        checkpoint.save(Saved(), {}, rows_in=number * rows_per_commit, state_rows=state_rows)
    assert freed == [commits, 2 * commits]
    database.close()

"""Shuffle: the same rows in another order, that of each partition kept."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from streamsql.testing.case import Input, Step


def shuffled(steps: Sequence[Step], seed: int) -> list[Step]:
    """Inputs that follow each other are cut and interleaved; all other steps stay where they are."""
    chance = random.Random(seed)
    found: list[Step] = []
    run: list[Input] = []
    for step in steps:
        if isinstance(step, Input) and step.error is None:
            run.append(step)
            continue
        found += _interleaved(run, chance)
        run = []
        found.append(step)
    return [*found, *_interleaved(run, chance)]


def _interleaved(run: Sequence[Input], chance: random.Random) -> Iterator[Input]:
    queues: dict[tuple[str, int], list[Input]] = {}
    for step in run:
        rows = [replace(step, rows=(row,)) for row in step.rows]
        queues.setdefault((step.source, step.partition), []).extend(rows)
    while queues:
        key = chance.choice(list(queues))
        count = chance.randint(1, 3)
        taken, rest = queues[key][:count], queues[key][count:]
        if taken:
            yield replace(taken[0], rows=tuple(row for step in taken for row in step.rows))
        if rest:
            queues[key] = rest
        else:
            del queues[key]

"""What every source promises, as checks that each connector's tests call with their own source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType

import pyarrow as pa

from streamsql.core.clock import Clock, ManualClock
from streamsql.core.connector import Chunk, Sink, Source, TableSpec
from streamsql.core.options import OptionError, validate
from streamsql.core.schema import Column, Schema
from streamsql.core.types import DataType

Record = tuple[str, int, dict[str, object]]
"""Split id, offset, and the columns of one row."""


def spec(
    module: ModuleType,
    columns: Mapping[str, DataType],
    options: Mapping[str, str] | None = None,
    *,
    encoded: bool = False,
    append_only: bool = True,
    job: str = "",
    primary_key: tuple[str, ...] = (),
) -> TableSpec:
    """The table `t` of a connector module, its options validated as the planner does."""
    given = dict(options or {})
    name = module.__name__.rsplit(".", 1)[1]
    checked = validate({k: v for k, v in given.items() if k != "format"}, module.OPTIONS,
                       f'connector "{name}"')
    schema = Schema(tuple(Column(n, kind) for n, kind in columns.items()))
    return TableSpec("t", schema, checked, primary_key=primary_key, encoded=encoded, raw=given,
                     append_only=append_only, job=job)


def opened(source: Source, positions: Mapping[str, int] | None = None, keys: Sequence[str] = (),
           clock: Clock | None = None) -> Source:
    source.open(positions or {}, clock or ManualClock(), keys)
    return source


def records(source: Source, chunk: Chunk) -> list[Record]:
    splits = source.splits()
    return [(splits[int(split)].id, int(offset), row)
            for split, offset, row in zip(chunk.split, chunk.offset, chunk.table.to_pylist(), strict=True)]


def drained(source: Source, max_rows: int = 1000) -> list[Record]:
    """All records of a bounded source, checking each chunk's form and the end."""
    found: list[Record] = []
    while not source.finished():
        chunk = source.poll(max_rows, 1.0)
        if chunk is None:
            assert source.finished(), "a bounded source gave nothing and has not finished"
            break
        checked(chunk, max_rows)
        found += records(source, chunk)
    assert source.ended() == frozenset(range(len(source.splits())))
    assert source.poll(max_rows, 0.0) is None
    assert source.statistics().rows == len(found)
    source.close()
    source.close()
    return found


def checked(chunk: Chunk, max_rows: int) -> None:
    assert 0 < len(chunk) <= max_rows
    assert chunk.split.dtype == "int32"
    assert chunk.offset.dtype == "int64"
    assert len(chunk.split) == len(chunk.offset) == len(chunk)
    for index in set(chunk.split.tolist()):
        offsets = chunk.offset[chunk.split == index].tolist()
        assert offsets == sorted(set(offsets)), "a split's records come in offset order"
        assert chunk.positions[index] > offsets[-1]


def by_split(found: Sequence[Record]) -> dict[str, list[Record]]:
    grouped: dict[str, list[Record]] = {}
    for record in found:
        grouped.setdefault(record[0], []).append(record)
    return grouped


def cut_does_not_matter(make: Callable[[], Source], keys: Sequence[str] = (), clock: Clock | None = None,
                        sizes: Sequence[int] = (1, 2, 7, 1000)) -> list[Record]:
    """Every `max_rows` gives the same records; returns them."""
    runs = [drained(opened(make(), keys=keys, clock=clock), size) for size in sizes]
    for run in runs[1:]:
        assert by_split(run) == by_split(runs[0])
    return runs[0]


def resumes_anywhere(make: Callable[[], Source], keys: Sequence[str] = (), clock: Clock | None = None,
                     step: int = 3) -> None:
    """Stopped after any chunk and opened with its positions, a source gives exactly the rest."""
    whole = by_split(drained(opened(make(), keys=keys, clock=clock)))
    first = opened(make(), keys=keys, clock=clock)
    positions: dict[str, int] = {}
    seen: list[Record] = []
    while True:
        rest = drained(opened(make(), positions, keys, clock), 4)
        assert by_split([*seen, *rest]) == whole
        chunk = None if first.finished() else first.poll(step, 1.0)
        if chunk is None:
            break
        seen += records(first, chunk)
        positions |= {first.splits()[index].id: at for index, at in chunk.positions.items()}
    first.close()


def written(sink: Sink, tables: Sequence[pa.Table], epoch: int = 0) -> Sink:
    """One epoch, up to the commit of the state but without the sink's own."""
    sink.open(epoch, ManualClock())
    for table in tables:
        sink.write(table)
    sink.flush()
    return sink


def option_error(module: ModuleType, options: Mapping[str, str]) -> str:
    """The whole text of the error that these options are refused with."""
    try:
        validate(options, module.OPTIONS, f'connector "{module.__name__.rsplit(".", 1)[1]}"')
    except OptionError as error:
        return str(error)
    raise AssertionError("the options were accepted")


__all__ = ["Record", "by_split", "checked", "cut_does_not_matter", "drained", "opened",
           "option_error", "records", "resumes_anywhere", "spec", "written"]

"""The filesystem connector as a sink: parts appear whole, when their epoch is committed."""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamsql.connectors import filesystem
from streamsql.connectors.filesystem_sink import BUFFER_BYTES, FilesystemSink
from streamsql.core import types as t
from streamsql.core.clock import ManualClock
from streamsql.core.options import OptionError
from streamsql.errors import ConnectorError
from tests.unit.connectors import contract

COLUMNS = {"a": t.BIGINT, "at": t.timestamp(3)}


def sink(folder: Path, options: Mapping[str, str] | None = None, job: str = "") -> FilesystemSink:
    given = {"path": str(folder), "format": "json"} | dict(options or {})
    encoded = given["format"] != "parquet"
    return filesystem.sink(contract.spec(filesystem, COLUMNS, given, encoded=encoded, job=job))


def lines(*texts: str | None) -> pa.Table:
    return pa.table({"value": pa.array(texts, pa.string())})


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def content(folder: Path) -> str:
    return "".join((folder / name).read_text() for name in visible(folder))


def test_a_part_appears_when_its_epoch_is_committed(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    made = contract.written(sink(folder), [lines("one", None), lines(), lines("two")])
    assert visible(folder) == []
    made.commit(1)
    made.commit(1)
    made.close()
    [name] = visible(folder)
    assert name.endswith("-0000000001-0.json")
    assert (content(folder), hidden(folder)) == ("one\ntwo\n", [])
    assert (made.statistics().rows, made.statistics().bytes) == (3, 8)


def test_an_empty_epoch_makes_no_part(tmp_path: Path) -> None:
    made = contract.written(sink(tmp_path), [])
    made.commit(1)
    made.write(lines("x"))
    made.flush()
    made.commit(2)
    assert [name[-17:] for name in visible(tmp_path)] == ["-0000000002-0.json"[1:]]
    made.close()


def test_two_jobs_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for job in ("", "", "one", "two"):
        contract.written(sink(tmp_path, job=job), [lines("x")]).commit(1)
    assert len(visible(tmp_path)) == 4


def test_two_sinks_of_one_job_do_not_either(tmp_path: Path) -> None:
    first, second = sink(tmp_path, job="j"), sink(tmp_path, job="j")
    for made in (first, second):
        made.open(0, ManualClock())
    for made, text in ((first, "1"), (second, "2")):
        made.write(lines(text))
        made.flush()
    first.commit(1)
    second.commit(1)
    assert sorted(content(tmp_path).split()) == ["1", "2"]


@pytest.mark.parametrize(("committed", "expected"), [(0, ""), (1, "one\n")])
def test_a_job_that_resumes_finds_what_it_staged(tmp_path: Path, committed: int, expected: str) -> None:
    contract.written(sink(tmp_path, job="j"), [lines("one")]).close()
    other = contract.written(sink(tmp_path, job="other"), [lines("other")])
    again = sink(tmp_path, job="j")
    again.open(committed, ManualClock())
    assert content(tmp_path) == expected
    again.close()
    other.close()
    assert len(hidden(tmp_path)) == 1


def test_a_replayed_epoch_overwrites_its_own_part(tmp_path: Path) -> None:
    for text in ("first", "again"):
        contract.written(sink(tmp_path, job="j"), [lines(text)], epoch=4).commit(5)
    assert content(tmp_path) == "again\n"


def test_a_job_without_its_state_does_not_overwrite_what_it_published(tmp_path: Path) -> None:
    for text in ("one", "two", "three"):
        contract.written(sink(tmp_path, job="j"), [lines(text)]).commit(1)
    contract.written(sink(tmp_path, job="j"), [lines("four")], epoch=1).close()
    resumed = contract.written(sink(tmp_path, job="j"), [lines("five")], epoch=2)
    resumed.commit(3)
    assert content(tmp_path) == "one\ntwo\nthree\nfour\nfive\n"
    assert [name.split("-")[2] for name in visible(tmp_path)] == ["0", "1", "2", "2", "2"]


def test_sinks_of_one_job_begin_a_life_together(tmp_path: Path) -> None:
    contract.written(sink(tmp_path, job="j"), [lines("old")]).commit(1)
    first, second = sink(tmp_path, job="j"), sink(tmp_path, job="j")
    for made in (first, second):
        made.open(0, ManualClock())
    for made, text in ((first, "1"), (second, "2")):
        made.write(lines(text))
        made.flush()
        made.close()
    sink(tmp_path, job="j").open(1, ManualClock())
    assert sorted(content(tmp_path).split()) == ["1", "2", "old"]


def test_what_was_not_committed_is_dropped(tmp_path: Path) -> None:
    made = contract.written(sink(tmp_path), [lines("staged")])
    made.write(lines("x" * BUFFER_BYTES))
    assert hidden(tmp_path) != []
    made.close()
    made.close()
    assert (visible(tmp_path), hidden(tmp_path)) == ([], [])


def test_a_large_part_is_ended(tmp_path: Path) -> None:
    big = "x" * BUFFER_BYTES
    options = {"sink.rolling-policy.file-size": "1mb"}
    contract.written(sink(tmp_path, options), [lines(big), lines(big), lines("y")]).commit(1)
    assert [(tmp_path / name).stat().st_size for name in visible(tmp_path)] == [len(big) + 1, len(big) + 1, 2]


def test_an_old_part_is_ended(tmp_path: Path) -> None:
    clock = ManualClock()
    big = lines("x" * BUFFER_BYTES)
    made = sink(tmp_path, {"sink.rolling-policy.rollover-interval": "10 s",
                           "sink.rolling-policy.check-interval": "6 s"})
    made.open(0, clock)
    for _ in range(4):
        made.write(big)
        clock.advance_us(5_000_000)
    made.flush()
    made.commit(1)
    assert [(tmp_path / name).stat().st_size // BUFFER_BYTES for name in visible(tmp_path)] == [3, 1]
    made.write(big)
    clock.advance_us(10_000_000)
    made.write(big)
    made.write(big)
    made.flush()
    made.commit(2)
    assert [(tmp_path / name).stat().st_size // BUFFER_BYTES for name in visible(tmp_path)] == [3, 1, 2, 1]
    made.close()


@pytest.mark.parametrize(("codec", "suffix"), [("gzip", ".json.gz"), ("zstd", ".json.zst")])
def test_compressed_parts_are_read_again(tmp_path: Path, codec: str, suffix: str) -> None:
    big = "x" * BUFFER_BYTES
    contract.written(sink(tmp_path, {"sink.compression": codec}), [lines(big), lines("y")]).commit(1)
    [name] = visible(tmp_path)
    assert name.endswith(suffix)
    if codec == "gzip":
        assert gzip.decompress((tmp_path / name).read_bytes()).decode() == f"{big}\ny\n"
    table = contract.spec(filesystem, COLUMNS, {"path": str(tmp_path)}, encoded=True)
    found = contract.drained(contract.opened(filesystem.source(table)))
    assert [row["value"] for _, _, row in found] == [big.encode(), b"y"]


def test_parquet_parts(tmp_path: Path) -> None:
    rows = pa.table({"a": [1, None], "at": pa.array([dt.datetime(2024, 1, 1), None], pa.timestamp("us"))})
    options = {"format": "parquet", "sink.compression": "zstd"}
    contract.written(sink(tmp_path, options), [rows, rows]).commit(1)
    [name] = visible(tmp_path)
    assert name.endswith(".parquet")
    facts = pq.read_metadata(tmp_path / name)
    assert (facts.num_rows, facts.row_group(0).column(0).compression) == (4, "ZSTD")
    table = contract.spec(filesystem, COLUMNS, {"path": str(tmp_path), "format": "parquet"})
    found = contract.drained(contract.opened(filesystem.source(table)))
    assert [row for _, _, row in found] == rows.to_pylist() * 2


def test_a_changelog_is_refused(tmp_path: Path) -> None:
    table = contract.spec(filesystem, COLUMNS, {"path": str(tmp_path)}, encoded=True, append_only=False)
    with pytest.raises(OptionError) as error:
        filesystem.sink(table)
    assert str(error.value) == (
        'table "t" of connector "filesystem" takes only new rows, and the query changes rows that it gave '
        "before\n  hint: Aggregate in windows, which emit once.")


def test_a_path_that_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    made = sink(path)
    with pytest.raises(ConnectorError) as error:
        made.open(0, ManualClock())
    assert str(error.value) == (f'path "{path}" of table "t" is a file, not a folder\n'
                                "  hint: A sink writes part files into a folder.")
    below = sink(path / "x")
    with pytest.raises(ConnectorError, match=r"cannot prepare folder .*: Not a directory"):
        below.open(0, ManualClock())


def test_a_folder_that_goes_away(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    made = contract.written(sink(folder), [])
    folder.rmdir()
    made.write(lines("x"))
    with pytest.raises(ConnectorError, match=r'cannot write to folder ".*/out" of table "t": No such file'):
        made.flush()
    made.close()


def test_one_large_write_is_many_parts(tmp_path: Path) -> None:
    made = sink(tmp_path, {"sink.rolling-policy.file-size": "1kb"})
    contract.written(made, [lines(*(f"line {n:06d}" for n in range(1000)))]).commit(1)
    sizes = [(tmp_path / name).stat().st_size for name in visible(tmp_path)]
    assert len(sizes) > 5
    assert max(sizes) < 3 * 1024
    assert sum(sizes) == 1000 * len("line 000000\n")

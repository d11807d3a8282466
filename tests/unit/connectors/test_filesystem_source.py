"""The filesystem connector as a source: files, folders, patterns, and folders that are watched."""

from __future__ import annotations

import bz2
import gzip
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamsql.connectors import filesystem, filesystem_read
from streamsql.connectors.filesystem_paths import File
from streamsql.core import types as t
from streamsql.core.clock import ManualClock
from streamsql.core.connector import Source
from streamsql.core.options import OptionError
from streamsql.errors import ConnectorError
from tests.unit.connectors import contract

COLUMNS = {"a": t.BIGINT, "b": t.STRING}


def source(path: Path | str, options: Mapping[str, str] | None = None) -> Source:
    given = {"path": str(path), "format": "json"} | dict(options or {})
    return filesystem.source(contract.spec(filesystem, COLUMNS, given, encoded=given["format"] != "parquet"))


def put(path: Path, data: bytes | str, at_s: int = 0) -> Path:
    """Write a file whose modification time is `at_s`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    os.utime(path, (at_s, at_s))
    return path


def values(found: list[contract.Record]) -> list[object]:
    return [row["value"] for _, _, row in found]


def all_of(made: Source) -> list[object]:
    return values(contract.drained(contract.opened(made)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path / "b.json", "".join(f"b{n}\n" for n in range(7)), 1)
    put(tmp_path / "sub" / "c.json", "".join(f"c{n}\n" for n in range(4)), 2)
    put(tmp_path / "a.json", "a0\na1", 2)
    put(tmp_path / "empty.json", "", 3)
    put(tmp_path / ".hidden.json", "no\n")
    put(tmp_path / "_temporary" / "x.json", "no\n")
    return tmp_path


def parquet(path: Path, count: int = 20) -> Path:
    rows = pa.table({"b": [f"row {n}" for n in range(count)], "a": pa.array(range(count), pa.int32())})
    pq.write_table(rows, path, row_group_size=6)
    return path


def test_any_cut_gives_the_same_records(folder: Path) -> None:
    found = contract.cut_does_not_matter(lambda: source(folder))
    assert values(found) == [f"b{n}".encode() for n in range(7)] + [b"a0", b"a1"] + \
        [f"c{n}".encode() for n in range(4)]
    assert found[8][:2] == (str(folder / "a.json"), 1)


def test_it_resumes_in_the_middle_of_a_file(folder: Path) -> None:
    contract.resumes_anywhere(lambda: source(folder))


def test_parquet_keeps_the_same_promises(tmp_path: Path) -> None:
    parquet(tmp_path / "x.parquet")
    options = {"format": "parquet"}
    found = contract.cut_does_not_matter(lambda: source(tmp_path, options))
    assert [row for _, _, row in found] == [{"a": n, "b": f"row {n}"} for n in range(20)]
    contract.resumes_anywhere(lambda: source(tmp_path, options))


@pytest.mark.parametrize(("name", "data"), [
    ("x.json", b"one\r\ntwo\n\nthree"),
    ("x.json.gz", gzip.compress(b"one\r\ntw") + gzip.compress(b"o\n\nthree")),
    ("x.json.bz2", bz2.compress(b"one\ntwo\n\nthree\n")),
    ("x.zst", bytes(pa.compress(b"one\ntwo\n\nthree\n", "zstd", asbytes=True))),
], ids=["json", "gz", "bz2", "zst"])
def test_lines_lose_their_ends_and_files_their_compression(tmp_path: Path, name: str, data: bytes) -> None:
    assert all_of(source(put(tmp_path / name, data))) == [b"one", b"two", b"", b"three"]


def test_zstd_frames_follow_each_other(tmp_path: Path) -> None:
    frames = b"".join(bytes(pa.compress(part, "zstd", asbytes=True)) for part in (b"one\ntw", b"o\n"))
    assert all_of(source(put(tmp_path / "x.zst", frames))) == [b"one", b"two"]


@given(st.lists(st.binary(max_size=9).filter(lambda line: b"\n" not in line), max_size=12),
       st.integers(1, 7), st.booleans(), st.integers(1, 5))
def test_lines_do_not_depend_on_blocks(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], block: int, last: bool, rows: int
) -> None:
    data = b"\n".join(lines) + (b"\n" if last and lines else b"")
    path = put(tmp_path_factory.mktemp("blocks") / "x", data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filesystem_read, "BLOCK_BYTES", block)
        reader = filesystem_read.LineReader(File(str(path), len(data), 0), 0)
        found = []
        while (piece := reader.read(rows)) is not None:
            found += piece["value"].to_pylist()
        reader.close()
    plain = data.split(b"\n")
    expected = plain[:-1] if plain[-1] == b"" else plain
    ended = len(plain) - 1
    assert found == [line.removesuffix(b"\r") if n < ended or line.endswith(b"\r") else line
                     for n, line in enumerate(expected)]


@pytest.mark.parametrize(("pattern", "expected"), [
    ("*.json", [b"b", b"a"]), ("**/*.json", [b"b", b"a", b"c"]), ("s*", [b"c"]), ("?.json", [b"b", b"a"]),
])
def test_patterns(folder: Path, pattern: str, expected: list[bytes]) -> None:
    found = [str(value).encode()[2:3] for value in all_of(source(folder / pattern))]
    assert list(dict.fromkeys(found)) == expected


def test_a_regular_expression_chooses_files(folder: Path) -> None:
    options = {"source.path.regex-pattern": r".*/sub/.*\.json"}
    assert all_of(source(folder, options)) == [b"c0", b"c1", b"c2", b"c3"]


def test_file_addresses(folder: Path) -> None:
    assert all_of(source(f"file://{folder}/a.json")) == [b"a0", b"a1"]
    assert all_of(source(f"file:{folder}/.hidden.json")) == [b"no"]


def test_an_empty_folder_is_finished_at_once(tmp_path: Path) -> None:
    made = contract.opened(source(tmp_path))
    assert (made.bounded, made.finished(), made.splits(), made.ended()) == (True, True, (), frozenset())
    made.close()


def test_metadata(tmp_path: Path) -> None:
    path = put(tmp_path / "x.json", "one\n", 86_400)
    made = contract.opened(source(path), keys=[f"$meta.{key}" for key in filesystem.METADATA])
    chunk = made.poll(10, 0.0)
    assert chunk is not None
    for key, metadata in filesystem.METADATA.items():
        assert chunk.table[f"$meta.{key}"].type == metadata.type.arrow_type()
    [(_, _, row)] = contract.records(made, chunk)
    made.close()
    assert (row["$meta.file.path"], row["$meta.file.name"], row["$meta.file.size"],
            str(row["$meta.file.modification-time"])) == (str(path), "x.json", 4, "1970-01-02 00:00:00+00:00")


class Watched:
    """A source that looks every second, and a clock that is turned by hand."""

    def __init__(self, folder: Path, positions: Mapping[str, int] | None = None) -> None:
        self.clock = ManualClock()
        self.source = contract.opened(source(folder, {"source.monitor-interval": "1 s"}), positions,
                                      clock=self.clock)

    def next(self) -> list[object]:
        self.clock.advance_us(1_000_000)
        chunk = self.source.poll(100, 0.0)
        return [] if chunk is None else values(contract.records(self.source, chunk))


def test_a_watched_folder_gives_new_files_in_order(tmp_path: Path) -> None:
    put(tmp_path / "first", "1\n")
    watched = Watched(tmp_path)
    assert watched.next() == [b"1"]
    assert not watched.source.bounded
    put(tmp_path / "a", "4\n", 20)
    put(tmp_path / "z", "2\n", 10)
    put(tmp_path / "b", "5\n", 20)
    assert [watched.next(), watched.next(), watched.next()] == [[], [b"2", b"4", b"5"], []]
    assert watched.source.ended() == frozenset(range(4))
    assert not watched.source.finished()
    watched.source.close()


def test_a_file_that_still_grows_is_waited_for(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    put(tmp_path / "x", "on", 1)
    assert watched.next() == []
    put(tmp_path / "x", "one\n", 2)
    assert [watched.next(), watched.next()] == [[], [b"one"]]
    watched.source.close()


def test_a_file_that_changes_later_is_an_error(tmp_path: Path) -> None:
    path = put(tmp_path / "x", "one\n")
    watched = Watched(tmp_path)
    assert watched.next() == [b"one"]
    put(path, "one\ntwo\n")
    with pytest.raises(ConnectorError) as error:
        watched.next()
    assert str(error.value) == (f'file "{path}" changed from 4 to 8 bytes after it was found\n'
                                "  hint: Write a file under a hidden name (.x or _x), then rename it.")
    watched.source.close()


def test_a_watched_folder_may_be_emptied(tmp_path: Path) -> None:
    put(tmp_path / "y", "two\n")
    watched = Watched(tmp_path, {str(tmp_path / "x"): 5})
    assert watched.next() == [b"two"]
    watched.source.close()


def test_a_waiting_poll_ends_in_time(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    assert watched.source.poll(1, 0.001) is None
    watched.source.close()
    assert watched.source.poll(1, 60.0) is None


def failure(made: Source, positions: Mapping[str, int] | None = None) -> str:
    with pytest.raises(ConnectorError) as error:
        contract.drained(contract.opened(made, positions))
    made.close()
    return str(error.value)


def test_a_missing_path_names_what_is_there(folder: Path) -> None:
    assert failure(source(folder / "sbu" / "c.json")) == (
        f'path "{folder}/sbu/c.json" of table "t" does not exist\n  detail: "{folder}" exists\n'
        f'  hint: Did you mean "sub"? In "{folder}": a.json, b.json, empty.json, sub')
    assert failure(source(folder / "a.json" / "x")) == (
        f'path "{folder}/a.json/x" of table "t" does not exist\n  detail: "{folder}/a.json" is a file')
    assert failure(source(folder / "sub" / "*.csv")) == (
        f'no file matches "{folder}/sub/*.csv" of table "t"\n  detail: "{folder}/sub" exists')


def test_files_that_change_while_they_are_read(tmp_path: Path) -> None:
    put(tmp_path / "a", "x" * 100 + "\ny\n", 1)
    gone = put(tmp_path / "b", "z\n", 2)
    made = contract.opened(source(tmp_path))
    made.poll(1, 0.0)
    gone.unlink()
    with pytest.raises(ConnectorError) as error:
        contract.drained(made)
    assert str(error.value) == (f'file "{gone}" was removed before it was read\n'
                                "  hint: Remove a file only after the query has read it.")
    made.close()
    shrunk = put(tmp_path / "a", "1\n2\n3\n")
    made = contract.opened(source(shrunk))
    made.poll(1, 0.0)
    put(shrunk, "1\n")
    with pytest.raises(ConnectorError) as error:
        contract.drained(made)
    assert str(error.value) == (f'file "{shrunk}" shrank from 6 to 2 bytes while it was read\n'
                                "  hint: Write a file under a hidden name (.x or _x), then rename it.")
    made.close()


def test_a_state_that_does_not_fit_the_files(folder: Path) -> None:
    path = folder / "a.json"
    assert failure(source(path), {str(path): 3}) == (
        f'file "{path}" has 2 lines, but the state resumes after line 3\n'
        "  hint: The file was changed; start without the state to read it anew.")
    assert failure(source(path), {str(folder / "old"): 3}) == (
        f'file "{folder}/old" of table "t" is gone\n  detail: The state to be resumed has read from it.\n'
        "  hint: Bring it back, or start without the state.")


def test_broken_files(tmp_path: Path) -> None:
    assert failure(source(put(tmp_path / "x.gz", gzip.compress(b"x\n" * 1000)[:-12]))).startswith(
        f'cannot read file "{tmp_path}/x.gz": ')
    assert failure(source(put(tmp_path / "x.xz", b"?"))) == (
        f'cannot decompress file "{tmp_path}/x.xz"\n'
        "  hint: Files may end in .gz, .gzip, .zst, .zstd, .bz2; others are read as they are.")
    assert failure(source(put(tmp_path / "x.parquet", b"?"), {"format": "parquet"})).startswith(
        f'cannot read file "{tmp_path}/x.parquet": ')


def test_parquet_columns_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": ["one"], "b": ["x"]}), path)
    assert failure(source(path, {"format": "parquet"})) == (
        f'column "a" of file "{path}" is string and cannot become BIGINT\n'
        "  detail: Failed to parse string: 'one' as a scalar of type int64")
    pq.write_table(pa.table({"a": [1], "bb": ["x"]}), path)
    assert failure(source(path, {"format": "parquet"})) == (
        f'file "{path}" has no column "b"\n  hint: Did you mean "bb"? Columns: a, bb')


@pytest.mark.parametrize(("options", "message"), [
    ({"path": "s3://bucket/x"}, 'connector "filesystem" cannot reach "s3://bucket/x"\n'
     "  hint: Only local paths are built: write /folder/file or file:///folder/file."),
    ({"path": " "}, 'option "path" of connector "filesystem" is " "\n'
     "  hint: Write the path of a file or folder."),
    ({"source.monitor-interval": "0 s"}, 'option "source.monitor-interval" of connector "filesystem" is "0"\n'
     "  hint: Write a duration above 0, or leave it out to read what is there and end."),
    ({"source.path.regex-pattern": "("},
     'option "source.path.regex-pattern" of connector "filesystem" is "("\n'
     "  hint: Write a regular expression: missing ), unterminated subpattern at position 0."),
])
def test_options_that_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError) as error:
        source("/tmp", options)
    assert str(error.value) == message


def test_options_that_are_unknown_or_missing() -> None:
    assert contract.option_error(filesystem, {"path": "/x", "auto-compaction": "true"}) == (
        'connector "filesystem" has no option "auto-compaction"\n  hint: Options: path, '
        "source.monitor-interval, source.path.regex-pattern, sink.rolling-policy.file-size, "
        "sink.rolling-policy.rollover-interval, sink.rolling-policy.check-interval, sink.compression, "
        "lookup.full-cache.periodic-reload.interval")
    assert contract.option_error(filesystem, {}) == (
        'connector "filesystem" needs the option "path"\n'
        "  hint: path: a file, a folder or a pattern to read; a folder to write to")
    with pytest.raises(OptionError, match='connector "filesystem" needs the option "format"'):
        filesystem.source(contract.spec(filesystem, COLUMNS, {"path": "/x"}))


def test_a_block_of_lines_is_large(tmp_path: Path) -> None:
    """One chunk holds the lines of a whole block, across files."""
    for n in range(3):
        put(tmp_path / str(n), "x\n" * 100)
    made = contract.opened(source(tmp_path))
    chunk = made.poll(1000, 0.0)
    made.close()
    assert chunk is not None
    assert np.bincount(chunk.split).tolist() == [100, 100, 100]

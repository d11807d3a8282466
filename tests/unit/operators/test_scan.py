"""Scan: rows with the watermark before each, whatever the cut; and what is set aside, with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamsql.core.batch import DIFF, MAX_WATERMARK, MIN_WATERMARK, SEQ, SEQ_SHIFT, WATERMARK, Batch
from streamsql.core.clock import ManualClock
from streamsql.core.connector import Chunk, MetadataColumn, TableSpec
from streamsql.core.node import Node
from streamsql.core.options import Options
from streamsql.core.schema import Schema
from streamsql.core.system import SIDE_SCHEMA
from streamsql.core.types import BIGINT, DOUBLE, INT, STRING, timestamp, timestamp_ltz
from streamsql.errors import DataError
from streamsql.formats import json, raw
from streamsql.operators._scan_statements import GUARDED_CHUNKS
from tests.unit.scans import (
    Decoded,
    Rowtime,
    Scan,
    ScanStep,
    chunk,
    columns,
    options,
    running,
    scan,
    splits,
)

TIMED = columns(id=INT, ts=timestamp(3))
BEHIND = Rowtime("ts", "\"ts\" - INTERVAL '5' SECOND")
S = 1_000_000


def timed(**more: Any) -> Scan:
    return scan(json, TIMED, rowtime=BEHIND, **more)


def record(second: int | None, name: int = 0) -> bytes:
    """A record at `second` of 2024-01-01 00:00."""
    ts = "null" if second is None else f'"2024-01-01 00:{second // 60:02}:{second % 60:02}"'
    return f'{{"id": {name}, "ts": {ts}}}'.encode()


def at(second: int) -> int:
    """The watermark that a row at `second` brings, in µs."""
    return int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * S + (second - 5) * S


def rows(batch: Batch | None) -> list[dict[str, Any]]:
    return [] if batch is None else list(batch.table.to_pylist())


def befores(batch: Batch | None) -> list[int]:
    return [r[WATERMARK] for r in rows(batch)]


def cut(whole: Chunk, sizes: Sequence[int]) -> list[Chunk]:
    """The chunk in pieces of these sizes, the rest last."""
    pieces, start = [], 0
    for size in [*sizes, len(whole)]:
        stop = min(len(whole), start + size)
        if stop > start:
            pieces.append(
                Chunk(
                    whole.table.slice(start, stop - start),
                    whole.split[start:stop],
                    whole.offset[start:stop],
                    {},
                )
            )
        start = stop
    return pieces


# Watermarks


def test_a_row_carries_the_watermark_just_before_it() -> None:
    with running(timed()) as step:
        step.observe(splits(1))
        assert step.watermark_us == MIN_WATERMARK
        batch = step.ingest(chunk([record(10), record(8), record(20), record(1)]))
        assert befores(batch) == [MIN_WATERMARK, at(10), at(10), at(20)]
        assert [r[SEQ] for r in rows(batch)] == [0, 1, 2, 3]
        assert step.watermark_us == at(20)
        assert befores(step.ingest(chunk([record(21)], start=4))) == [at(20)]


def test_the_source_is_as_far_as_the_least_of_its_splits() -> None:
    with running(timed()) as step:
        step.observe(splits(2))
        batch = step.ingest(chunk([record(10), record(30), record(11)], split=[0, 1, 0]))
        assert befores(batch) == [MIN_WATERMARK, MIN_WATERMARK, at(10)]
        assert [r[SEQ] for r in rows(batch)] == [0, 1 << SEQ_SHIFT, 1]
        assert step.watermark_us == at(11)


def test_a_split_without_rows_holds_the_watermark_back_until_it_ends() -> None:
    with running(timed()) as step:
        step.observe(splits(2))
        step.ingest(chunk([record(10)]))
        assert step.watermark_us == MIN_WATERMARK
        step.observe(splits(2), {1})
        assert step.watermark_us == at(10)
        step.observe(splits(2), {0, 1})
        assert step.watermark_us == MAX_WATERMARK


def test_the_last_rows_of_a_source_are_not_late_for_its_end() -> None:
    with running(timed()) as step:
        step.observe(splits(1), {0}, finished=True)
        batch = step.ingest(chunk([record(10), record(20)]))
        assert befores(batch) == [MIN_WATERMARK, at(10)]
        assert step.watermark_us == MAX_WATERMARK


def test_a_source_without_splits_may_end() -> None:
    with running(timed()) as step:
        step.observe([], finished=True)
        assert step.watermark_us == MAX_WATERMARK


def test_a_null_rowtime_passes_and_moves_nothing() -> None:
    with running(timed()) as step:
        step.observe(splits(1))
        batch = step.ingest(chunk([record(10), record(None), record(12)]))
        assert batch is not None
        assert befores(batch) == [MIN_WATERMARK, at(10), at(10)]
        assert not batch.may_be_late


@pytest.mark.parametrize(
    ("seconds", "late"), [([10, 11, 12], False), ([10, 6], False), ([10, 5], True), ([10, 4], True)]
)
def test_may_be_late_says_whether_a_row_is_at_or_behind_its_watermark(seconds: list[int], late: bool) -> None:
    with running(timed()) as step:
        step.observe(splits(1))
        batch = step.ingest(chunk([record(s) for s in seconds]))
    assert batch is not None
    assert batch.may_be_late is late


def test_an_idle_split_leaves_the_minimum_and_comes_back_measured_by_what_was_emitted() -> None:
    clock = ManualClock(at(0))
    with running(timed(), clock) as step:
        step.observe(splits(2), live=True)
        step.ingest(chunk([record(10), record(20)], split=[0, 1]))
        clock.advance_us(29 * S)
        step.ingest(chunk([record(40)], split=[1], start=1))
        assert step.idle(clock.monotonic_s()) == []
        assert step.watermark_us == at(10)
        clock.advance_us(1 * S)
        assert step.idle(clock.monotonic_s()) == ["t-0"]
        assert step.idle(clock.monotonic_s()) == []
        assert step.watermark_us == at(40)
        back = step.ingest(chunk([record(12), record(50)], split=[0, 0], start=1))
        assert befores(back) == [at(40), at(40)]
        assert back is not None
        assert back.may_be_late
        assert step.watermark_us == at(40)


def test_all_idle_time_stands_still() -> None:
    clock = ManualClock(at(0))
    with running(timed(), clock) as step:
        step.observe(splits(2), live=True)
        step.ingest(chunk([record(10), record(20)], split=[0, 1]))
        assert step.watermark_us == at(10)
        clock.advance_us(60 * S)
        assert step.idle(clock.monotonic_s()) == ["t-0", "t-1"]
        assert step.watermark_us == at(10)


def test_a_bounded_source_and_a_timeout_of_zero_have_no_idle_splits() -> None:
    clock = ManualClock(60 * S)
    for node, live in ((timed(), False), (timed(idle_ms=0), True)):
        with running(node) as step:
            step.observe(splits(1), live=live)
            assert step.idle(clock.monotonic_s()) == []


def test_a_new_split_is_measured_by_what_was_emitted() -> None:
    with running(timed()) as step:
        step.observe(splits(1))
        step.ingest(chunk([record(30)]))
        assert step.watermark_us == at(30)
        step.observe(splits(2))
        assert step.watermark_us == at(30)
        assert befores(step.ingest(chunk([record(10), record(40)], split=[1, 1]))) == [at(30), at(30)]
        assert step.watermark_us == at(30)


def test_without_a_rowtime_only_the_end_moves_the_watermark() -> None:
    with running(scan(json, TIMED)) as step:
        step.observe(splits(1))
        assert befores(step.ingest(chunk([record(1), record(2)]))) == [MIN_WATERMARK] * 2
        assert step.watermark_us == MIN_WATERMARK


# Laws

seconds_of = st.lists(
    st.tuples(st.integers(0, 2), st.one_of(st.none(), st.integers(0, 59), st.just(-1))),
    min_size=1,
    max_size=30,
)


def build(events: list[tuple[int, int | None]]) -> Chunk:
    return chunk(
        [b'{"id": "bad"}' if s == -1 else record(s, n) for n, (_, s) in enumerate(events)],
        split=[split for split, _ in events],
    )


@settings(max_examples=30, deadline=None)
@given(seconds_of, st.lists(st.integers(1, 10), max_size=8))
def test_where_a_chunk_is_cut_makes_no_difference(
    events: list[tuple[int, int | None]], sizes: list[int]
) -> None:
    whole = build(events)
    with running(timed()) as once, running(timed()) as often:
        once.observe(splits(3))
        often.observe(splits(3))
        want = rows(once.ingest(whole))
        got = [r for piece in cut(whole, sizes) for r in rows(often.ingest(piece))]
        assert got == want
        assert often.watermark_us == once.watermark_us
        assert often.snapshot() == once.snapshot()
        assert often.take_errors() == once.take_errors()


@settings(max_examples=30, deadline=None)
@given(seconds_of)
def test_how_splits_are_interleaved_makes_no_difference(events: list[tuple[int, int | None]]) -> None:
    mixed = build(events)
    order = np.argsort(mixed.split, kind="stable")
    sorted_ = Chunk(mixed.table.take(pa.array(order)), mixed.split[order], mixed.offset[order], {})
    with running(timed()) as one, running(timed()) as other:
        one.observe(splits(3))
        other.observe(splits(3))
        assert sorted(rows(one.ingest(mixed)), key=lambda r: r[SEQ]) == sorted(
            rows(other.ingest(sorted_)), key=lambda r: r[SEQ]
        )
        assert one.watermark_us == other.watermark_us


@settings(max_examples=20, deadline=None)
@given(seconds_of, st.integers(0, 30))
def test_a_resumed_scan_goes_on_where_it_was(events: list[tuple[int, int | None]], size: int) -> None:
    whole = build(events)
    pieces = cut(whole, [size] if size else [])
    with running(timed()) as through:
        through.observe(splits(3))
        want = [r for p in pieces for r in rows(through.ingest(p))]
        final = through.watermark_us, through.snapshot()
    got, saved = [], None
    for piece in pieces:
        with running(timed()) as step:
            if saved is not None:
                step.restore(saved)
            step.observe(splits(3))
            got += rows(step.ingest(piece))
            saved = step.snapshot()
            watermark = step.watermark_us
    assert got == want
    assert (watermark, {**final[1], "watermark": 0}) == (final[0], {**(saved or {}), "watermark": 0})


# What is set aside


def test_an_undecodable_record_is_kept_with_all_that_is_known_of_it() -> None:
    node = timed(metadata=(MetadataColumn("at", "timestamp", timestamp_ltz(3), True),))
    when = pa.array([1_700_000_000_000, 1_700_000_000_500], pa.timestamp("ms", tz="UTC"))
    with running(node) as step:
        step.observe(splits(2))
        batch = step.ingest(
            chunk(
                [record(1), b'{"id": 12.5}'],
                split=[1, 1],
                start=7,
                key=pa.array([b"k", b"l"]),
                **{"$meta.timestamp": when},
            )
        )
        errors = step.take_errors()
        assert step.take_errors() is None
        assert step.statistics() == {"rows": 2, "skipped": 0, "undecodable": 1}
    assert len(rows(batch)) == 1
    assert errors is not None
    assert errors.schema == SIDE_SCHEMA.arrow()
    assert errors.to_pylist() == [
        {
            "topic": "t",
            "partition": 1,
            "offset": 8,
            "timestamp": datetime(2023, 11, 14, 22, 13, 20, 500000, UTC),
            "key": b"l",
            "value": b'{"id": 12.5}',
            "reason": 'column "id" of type INT cannot hold 12.5',
            "detail": None,
        }
    ]


def test_ignore_counts_and_fail_raises_with_the_place() -> None:
    records = [record(1), b"{", record(2)]
    with running(timed(errors="ignore")) as step:
        step.observe(splits(1))
        assert len(rows(step.ingest(chunk(records)))) == 2
        assert step.take_errors() is None
        assert step.statistics() == {"rows": 3, "skipped": 0, "undecodable": 1}
    with running(timed(errors="fail")) as step:
        step.observe(splits(1))
        with pytest.raises(DataError) as caught:
            step.ingest(chunk(records, start=40))
    assert str(caught.value) == "topic t, partition 0, offset 41: the record is not JSON: {"


def test_a_row_from_the_future_is_an_error_and_moves_nothing() -> None:
    clock = ManualClock(at(5) + 20 * S)
    node = timed(future_ms=10_000)
    with running(node, clock) as step:
        step.observe(splits(1), live=True)
        batch = step.ingest(chunk([record(10), record(31), record(30)]))
        assert [r["ts"].second for r in rows(batch)] == [10, 30]
        assert befores(batch) == [MIN_WATERMARK, at(10)]
        errors = step.take_errors()
        assert step.statistics()["future"] == 1
    assert errors is not None
    assert errors["reason"].to_pylist() == [
        '"ts" is 2024-01-01T00:00:31.000000, more than 10 s past the clock'
    ]
    assert errors["detail"].to_pylist() == ["a clock is wrong, or 'scan.watermark.max-future' is too small"]
    for same, live in ((node, False), (timed(future_ms=0), True)):
        with running(same, clock) as step:
            step.observe(splits(1), live=live)
            assert len(rows(step.ingest(chunk([record(3599)])))) == 1


def test_a_computed_column_that_fails_refuses_its_row_alone() -> None:
    node = scan(
        json,
        columns(id=STRING),
        schema=Schema((*columns(id=STRING), *columns(n=INT))),
        computed=(("n", 'CAST("id" AS INTEGER)'),),
    )
    with running(node) as step:
        step.observe(splits(1))
        batch = step.ingest(chunk([b'{"id": "1"}', b'{"id": "x"}', b'{"id": null}', b"{", b'{"id": "2"}']))
        errors = step.take_errors()
    assert [r["n"] for r in rows(batch)] == [1, None, 2]
    assert errors is not None
    assert errors["reason"].to_pylist() == ['column "n" cannot be computed', "the record is not JSON: {"]
    assert errors["detail"].to_pylist() == [
        "Could not convert string 'x' to INT32 when casting from source column id",
        None,
    ]


def test_an_expression_that_duckdb_takes_out_of_try_refuses_its_row_alone() -> None:
    """Of an expression that occurs twice it makes one, outside of TRY, where it raises."""
    twice = 'CAST("id" AS INTEGER) + CAST("id" AS INTEGER)'
    node = scan(json, columns(id=STRING), schema=columns(n=INT), computed=(("n", twice),))
    values = [b'{"id": "x"}' if n in (3, 11) else b'{"id": "%d"}' % n for n in range(20)]
    with running(node) as step:
        step.observe(splits(1))
        batch = step.ingest(chunk(values))
        errors = step.take_errors()
    assert [r["n"] for r in rows(batch)] == [2 * n for n in range(20) if n not in (3, 11)]
    assert errors is not None
    assert errors["offset"].to_pylist() == [3, 11]


def test_a_null_record_is_skipped_and_counted() -> None:
    with running(scan(json, columns(id=INT.not_null()))) as step:
        step.observe(splits(1))
        assert [r["id"] for r in rows(step.ingest(chunk([b'{"id": 1}', None, b'{"id": 2}'])))] == [1, 2]
        assert step.take_errors() is None
        assert step.statistics() == {"rows": 3, "skipped": 1}


def test_records_that_an_operator_drops_are_found_by_their_seq() -> None:
    with running(timed()) as step:
        assert step.records([1], "late").num_rows == 0
        step.observe(splits(2))
        step.ingest(chunk([record(1), record(2), record(3)], split=[0, 1, 1]))
        found = step.records([(1 << SEQ_SHIFT) | 1, 0], "late", "by a window")
    assert [
        (r["partition"], r["offset"], r["value"], r["reason"], r["detail"]) for r in found.to_pylist()
    ] == [(0, 0, record(1), "late", "by a window"), (1, 1, record(3), "late", "by a window")]


def test_after_a_broken_record_the_scan_is_careful_for_a_while() -> None:
    with running(timed()) as step:
        step.observe(splits(1))
        for n, value in enumerate([b"{", *[record(1)] * GUARDED_CHUNKS, b"{", record(2)]):
            assert len(rows(step.ingest(chunk([value], start=n)))) == (0 if value == b"{" else 1)
        assert step.statistics()["undecodable"] == 2


def test_nothing_left_is_no_batch() -> None:
    with running(timed()) as step:
        step.observe(splits(1))
        assert step.ingest(chunk([b"{"])) is None
        assert step.ingest(chunk([], start=1)) is None


# Where columns come from


def test_key_and_value_are_decoded_each_by_its_format() -> None:
    value, key = columns(value=INT, name=STRING), columns(id=INT)
    schema = Schema((*columns(k_id=INT), *value))
    node = scan(
        json,
        value,
        schema=schema,
        table=TableSpec("t", schema, Options({})),
        key=Decoded(json.decoder(key, options(json, {})), ("k_id",)),
    )
    assert node.keys() == ("value", "key")
    with running(node) as step:
        step.observe(splits(1))
        batch = step.ingest(
            chunk([b'{"value": 1, "name": "a"}'] * 3, key=pa.array([b'{"id": 7}', b'{"id": "x"}', b"{"]))
        )
        errors = step.take_errors()
    assert [(r["k_id"], r["value"], r["name"]) for r in rows(batch)] == [(7, 1, "a")]
    assert errors is not None
    assert errors["reason"].to_pylist() == [
        'column "id" of type INT cannot hold "x"',
        "the record is not JSON: {",
    ]
    assert errors["key"].to_pylist() == [b'{"id": "x"}', b"{"]


def test_a_key_of_another_format() -> None:
    value, key = columns(v=INT), columns(k=STRING)
    schema = Schema((*key, *value))
    node = scan(
        json,
        value,
        schema=schema,
        table=TableSpec("t", schema, Options({})),
        key=Decoded(raw.decoder(key, options(raw, {})), ("k",)),
    )
    with running(node) as step:
        step.observe(splits(1))
        batch = step.ingest(chunk([b'{"v": 1}', b'{"v": 2}'], key=pa.array([b"a", None], pa.binary())))
    assert [(r["k"], r["v"]) for r in rows(batch)] == [("a", 1), (None, 2)]


def test_metadata_and_computed_columns() -> None:
    physical = columns(id=INT)
    node = scan(
        json,
        physical,
        schema=Schema((*physical, *columns(off=BIGINT, twice=DOUBLE))),
        metadata=(MetadataColumn("off", "offset", BIGINT, True),),
        computed=(("twice", '("id" * 2)::DOUBLE'),),
    )
    assert node.keys() == ("value", "$meta.offset")
    with running(node) as step:
        step.observe(splits(1))
        batch = step.ingest(chunk([b'{"id": 4}'], **{"$meta.offset": pa.array([9], pa.int64())}))
    assert [(r["id"], r["off"], r["twice"]) for r in rows(batch)] == [(4, 9, 8.0)]


def typed(**more: Any) -> Scan:
    schema = columns(id=INT.not_null(), name=STRING)
    return scan(json, schema, table=TableSpec("t", schema, Options({}), encoded=False), value=None, **more)


def test_a_typed_source_brings_columns_and_changes() -> None:
    node = typed(append_only=False, hidden=(DIFF, WATERMARK, SEQ))
    table = pa.table(
        {
            "id": pa.array([1, None, 2], pa.int32()),
            "name": ["a", "b", None],
            DIFF: pa.array([1, 1, -1], pa.int32()),
        }
    )
    of, offset = np.zeros(3, np.int32), np.arange(3, dtype=np.int64)
    with running(node) as step:
        step.observe(splits(1))
        batch = step.ingest(Chunk(table, of, offset, {}))
        errors = step.take_errors()
        late = step.records([2], "late")
        inserts = step.ingest(Chunk(table.drop_columns([DIFF]).slice(0, 1), of[:1], offset[:1] + 3, {}))
    assert [(r["id"], r["name"], r[DIFF]) for r in rows(batch)] == [(1, "a", 1), (2, None, -1)]
    assert [r[DIFF] for r in rows(inserts)] == [1]
    assert errors is not None
    assert errors.to_pylist() == [
        {
            "topic": "t",
            "partition": 0,
            "offset": 1,
            "timestamp": None,
            "key": None,
            "value": b'{"id":null,"name":"b"}',
            "reason": 'column "id" is NOT NULL and got NULL',
            "detail": None,
        }
    ]
    assert late["value"].to_pylist() == [b'{"id":2,"name":null}']


def test_no_column_at_all_still_counts_rows() -> None:
    for node in (
        scan(json, columns()),
        scan(raw, columns(v=STRING), schema=columns()),
        typed(schema=columns()),
    ):
        values: Sequence[bytes | None] = [b"{}", b"{}"]
        table = {"id": pa.array([1, 2], pa.int32()), "name": pa.array(["a", "b"])}
        with running(node) as step:
            step.observe(splits(1))
            batch = step.ingest(chunk(values, **table))
        assert batch is not None
        assert batch.table.column_names == [WATERMARK, SEQ]
        assert len(batch) == 2


def test_rowtime_with_a_time_zone() -> None:
    schema = columns(ts=timestamp_ltz(3))
    with running(scan(json, schema, rowtime=Rowtime("ts", '"ts"'))) as step:
        step.observe(splits(1))
        step.ingest(chunk([b'{"ts": "2024-01-01 00:00:07Z"}']))
        assert step.watermark_us == at(12)


# The node


def test_equal_scans_are_one_node() -> None:
    one, other = timed(), timed()
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other, timed(errors="fail")}) == 2


def test_what_explain_and_the_oracle_see() -> None:
    node: Node = timed()
    assert node.relation(()) == 'SELECT "id", "ts" FROM "t"'
    assert node.relation(['"kept"']) == 'SELECT "id", "ts" FROM "kept"'
    explained = node.explain()
    assert explained.title == "Scan(t)"
    assert explained.details[:2] == (
        ("columns", "id INT, ts TIMESTAMP(3)"),
        ("watermark", "ts as \"ts\" - INTERVAL '5' SECOND"),
    )


def test_a_batch_made_elsewhere_passes() -> None:
    batch = Batch(pa.table({"id": [1]}))
    with running(timed()) as step:
        assert isinstance(step, ScanStep)
        assert step.step(0, batch) is batch

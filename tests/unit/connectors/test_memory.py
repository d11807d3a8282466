"""The memory connector: a log shared by Python and queries."""

from __future__ import annotations

import threading

import pandas as pd
import pyarrow as pa
import pytest

from streamsql.connectors import memory
from streamsql.connectors.memory_table import MemoryStatistics
from streamsql.core.clock import ManualClock
from streamsql.core.connector import TableSpec
from streamsql.core.types import BIGINT, BYTES, STRING
from streamsql.errors import ConnectorError, UsageError
from tests.unit.connectors import contract

COLUMNS = {"a": BIGINT, "b": STRING}


@pytest.fixture
def tables() -> memory.Namespace:
    return memory.Namespace()


def spec(tables: memory.Namespace, encoded: bool = False, job: str = "", **options: str) -> TableSpec:
    given = {memory.NAMESPACE: tables.id} | {k.replace("_", "-"): v for k, v in options.items()}
    columns = {"v": BYTES} if encoded else COLUMNS
    return contract.spec(memory, columns, given, encoded=encoded, append_only=False, job=job)


def rows(*numbers: int) -> pa.Table:
    return pa.table({"a": list(numbers), "b": [f"row {n}" for n in numbers]})


def numbers(found: list[contract.Record]) -> list[object]:
    return [row["a"] for _, _, row in found]


def filled(tables: memory.Namespace) -> memory.MemoryTable:
    table = tables.table("t")
    for first in range(0, 30, 3):
        table.append(rows(first, first + 1, first + 2), partition=first % 2)
    table.end()
    return table


def test_any_cut_gives_the_same_rows(tables: memory.Namespace) -> None:
    filled(tables)
    keys = ["$meta.partition", "$meta.offset", "$meta.timestamp"]
    found = contract.cut_does_not_matter(lambda: memory.source(spec(tables)), keys)
    assert numbers(found) == list(range(30))
    assert found[3] == ("t-1", 0, {"a": 3, "b": "row 3", "$meta.timestamp": None, "$meta.partition": 1,
                                   "$meta.offset": 0})


def test_it_resumes_anywhere(tables: memory.Namespace) -> None:
    filled(tables)
    contract.resumes_anywhere(lambda: memory.source(spec(tables)))


def test_an_ended_table_is_bounded(tables: memory.Namespace) -> None:
    source = contract.opened(memory.source(spec(tables)))
    assert (source.bounded, source.finished(), source.ended()) == (False, False, frozenset())
    tables.table("t").end()
    assert (source.bounded, source.finished(), source.ended()) == (True, True, frozenset({0}))


def test_a_partition_ends_by_itself(tables: memory.Namespace) -> None:
    source = contract.opened(memory.source(spec(tables, partitions="2")))
    tables.table("t").end(1)
    assert (source.ended(), source.finished()) == (frozenset({1}), False)


def test_bounded_reads_what_is_there_when_it_opens(tables: memory.Namespace) -> None:
    tables.table("t").append(rows(1, 2))
    source = contract.opened(memory.source(spec(tables, bounded="true")))
    tables.table("t").append(rows(3))
    tables.table("t").append(rows(4), partition=5)
    assert numbers(contract.drained(source)) == [1, 2]


def test_a_waiting_poll_wakes_up_when_rows_come(tables: memory.Namespace) -> None:
    source = contract.opened(memory.source(spec(tables)))
    writer = threading.Thread(target=lambda: tables.table("t").append(rows(1)))
    writer.start()
    chunk = source.poll(10, 60.0)
    writer.join()
    assert chunk is not None
    assert numbers(contract.records(source, chunk)) == [1]
    assert source.poll(10, 0.0) is None


def test_close_wakes_a_waiting_poll(tables: memory.Namespace) -> None:
    source = contract.opened(memory.source(spec(tables)))
    closer = threading.Thread(target=source.close)
    closer.start()
    assert source.poll(10, 60.0) is None
    closer.join()


def test_a_changelog_carries_diff(tables: memory.Namespace) -> None:
    tables.table("t").append(rows(1))
    tables.table("t").append(rows(1, 2), diff=[-1, 1])
    tables.table("t").end()
    found = contract.drained(contract.opened(memory.source(spec(tables, changelog_mode="all"))))
    assert [(row["a"], row["$diff"]) for _, _, row in found] == [(1, 1), (1, -1), (2, 1)]


def test_an_append_only_table_refuses_rows_that_go(tables: memory.Namespace) -> None:
    tables.table("t").append(rows(1), diff=[-1])
    source = contract.opened(memory.source(spec(tables)))
    with pytest.raises(ConnectorError) as error:
        source.poll(10, 0.0)
    assert str(error.value) == (
        'memory table "t" is read as append-only and was given a row that goes ($diff -1)\n'
        "  hint: Write 'changelog-mode'='all' in the table's options.")


def test_encoded_rows_have_value_and_key(tables: memory.Namespace) -> None:
    tables.table("t").append_raw([b"x", None], [b"k", None], [1_000_000, None])
    tables.table("t").append_raw([b"z"])
    tables.table("t").end()
    source = contract.opened(memory.source(spec(tables, encoded=True)), keys=["key", "$meta.timestamp"])
    found = [row for _, _, row in contract.drained(source)]
    assert [(row["value"], row["key"]) for row in found] == [(b"x", b"k"), (None, None), (b"z", None)]
    assert str(found[0]["$meta.timestamp"]) == "1970-01-01 00:00:01+00:00"


@pytest.mark.parametrize(("given", "message"), [
    (pa.table({"a": [1], "B": ["x"]}),
     'rows of memory table "t" have no column "b"\n  hint: Did you mean "B"? Columns: a, B'),
    (pa.table({"a": ["one"], "b": ["x"]}),
     'column "a" appended to memory table "t" is string and cannot become int64\n'
     "  detail: Failed to parse string: 'one' as a scalar of type int64"),
])
def test_rows_that_do_not_fit(tables: memory.Namespace, given: pa.Table, message: str) -> None:
    tables.table("t").append(given)
    source = contract.opened(memory.source(spec(tables)))
    with pytest.raises(ConnectorError) as error:
        source.poll(10, 0.0)
    assert str(error.value) == message


def test_whatever_speaks_arrow_is_appended(tables: memory.Namespace) -> None:
    table = tables.table("t")
    table.append(pd.DataFrame({"n": [1, 2]}, index=["a", "b"]))
    table.append(pa.record_batch({"n": [3]}))
    table.append({"n": [4]})
    assert table.rows().to_pydict() == {"n": [1, 2, 3, 4]}
    table.append([{"n": 5}, {"n": 6}])
    assert table.rows().num_rows == 6
    with pytest.raises(UsageError, match="cannot take rows from a list"):
        table.append([4])  # type: ignore[list-item]
    table.expected = ("n",)
    with pytest.raises(UsageError, match='have no column "n"'):
        table.append({"m": [1]})


def test_an_ended_table_takes_no_rows(tables: memory.Namespace) -> None:
    tables.table("t").end()
    with pytest.raises(ConnectorError, match='memory table "t" has ended and takes no more rows'):
        tables.table("t").append(rows(1))
    tables.table("t").clear()
    tables.table("t").append(rows(1))


def test_a_new_process_goes_on_counting(tables: memory.Namespace) -> None:
    source = contract.opened(memory.source(spec(tables)), {"t-0": 7})
    tables.table("t").append(rows(1))
    tables.table("t").end()
    assert [(offset, row["a"]) for _, offset, row in contract.drained(source)] == [(7, 1)]


def test_it_does_not_resume_where_rows_are_missing(tables: memory.Namespace) -> None:
    tables.table("t").append(rows(1, 2))
    with pytest.raises(ConnectorError) as error:
        contract.opened(memory.source(spec(tables)), {"t-0": 7})
    assert str(error.value) == (
        'memory table "t" cannot resume partition 0 at row 7\n'
        "  detail: it holds the rows from 0 up to 2\n"
        "  hint: Append the rows of the earlier run again, or start without its state.")


def test_cleared_rows_are_passed_over(tables: memory.Namespace) -> None:
    source = contract.opened(memory.source(spec(tables)))
    tables.table("t").append(rows(1, 2))
    tables.table("t").clear()
    tables.table("t").append(rows(3))
    tables.table("t").end()
    assert [(offset, row["a"]) for _, offset, row in contract.drained(source)] == [(2, 3)]


def test_rows_are_dropped_once_they_are_committed(tables: memory.Namespace) -> None:
    source = contract.opened(memory.source(spec(tables, retain="false")))
    table = tables.table("t")
    table.append(rows(1, 2))
    table.append(rows(3))
    source.poll(2, 0.0)
    source.poll(2, 0.0)
    assert table.statistics().held_rows == 3
    source.commit({"t-0": 2})
    assert table.statistics().held_rows == 1
    source.commit({"t-0": 3})
    assert table.statistics() == MemoryStatistics(held_rows=0, total_rows=3, partitions=1)
    table.end()
    assert source.finished()
    source.close()


def test_a_sink_shows_an_epoch_when_it_is_committed(tables: memory.Namespace) -> None:
    table = tables.table("t")
    sink = contract.written(memory.sink(spec(tables)), [rows(1).append_column("$diff", pa.array([-1]))])
    assert table.take() == []
    sink.commit(1)
    assert [block.to_pylist() for block in table.take()] == [[{"a": 1, "b": "row 1", "$diff": -1}]]
    assert table.take() == []
    assert table.rows().to_pylist() == [{"a": 1, "b": "row 1", "$diff": -1}]
    sink.commit(1)
    sink.close()
    assert sink.statistics().rows == 1


@pytest.mark.parametrize(("committed", "seen"), [(0, []), (1, [1])])
def test_a_staged_epoch_is_delivered_iff_it_was_committed(
    tables: memory.Namespace, committed: int, seen: list[int]
) -> None:
    contract.written(memory.sink(spec(tables, job="j")), [rows(1)])
    contract.written(memory.sink(spec(tables, job="other")), [rows(9)])
    again = memory.sink(spec(tables, job="j"))
    again.open(committed, ManualClock())
    again.commit(committed)
    assert [row["a"] for block in tables.table("t").take() for row in block.to_pylist()] == seen


def test_what_was_taken_is_dropped(tables: memory.Namespace) -> None:
    sink = contract.written(memory.sink(spec(tables, retain="false")), [rows(1), rows(2)])
    sink.commit(1)
    table = tables.table("t")
    assert table.statistics().held_rows == 2
    assert len(table.take()) == 2
    assert table.statistics().held_rows == 0
    sink.write(rows(3))
    sink.flush()
    sink.commit(2)
    assert [block.to_pylist() for block in table.take()] == [[{"a": 3, "b": "row 3"}]]


def test_threads_may_append_together(tables: memory.Namespace) -> None:
    table = tables.table("t")

    def append(partition: int) -> None:
        for n in range(50):
            table.append(rows(n), partition=partition)
    writers = [threading.Thread(target=append, args=(partition,)) for partition in (0, 0, 1, 2)]
    source = contract.opened(memory.source(spec(tables)))
    for writer in writers:
        writer.start()
    found: list[contract.Record] = []
    while len(found) < 200:
        chunk = source.poll(7, 60.0)
        assert chunk is not None
        found += contract.records(source, chunk)
    for writer in writers:
        writer.join()
    table.end()
    assert source.finished()
    assert [offset for name, offset, _ in found if name == "t-0"] == list(range(100))
    assert [row["a"] for name, _, row in found if name == "t-2"] == list(range(50))
    assert table.wait_for(lambda: table.all_ended, 0.0)
    source.close()


def test_what_one_query_writes_another_reads(tables: memory.Namespace) -> None:
    contract.written(memory.sink(spec(tables)), [rows(1), rows(2)]).commit(1)
    source = memory.source(spec(tables, bounded="true"))
    assert numbers(contract.drained(contract.opened(source))) == [1, 2]


def test_namespaces_do_not_meet(tables: memory.Namespace) -> None:
    other = memory.Namespace()
    tables.table("t").append(rows(1))
    assert other.table("t").rows().num_rows == 0
    assert tables.table("t").rows().num_rows == 1
    assert memory.table("t").rows().num_rows == 0
    given = spec(other)
    del other
    with pytest.raises(ConnectorError, match='memory table "t" belongs to a session that is gone'):
        memory.source(given)


def test_unknown_options_are_refused() -> None:
    assert contract.option_error(memory, {"changelog_mode": "all"}) == (
        'connector "memory" has no option "changelog_mode"\n  hint: Did you mean "changelog-mode"? '
        "Options: name, bounded, changelog-mode, partitions, retain, memory.namespace, "
        "lookup.full-cache.periodic-reload.interval")
    assert contract.option_error(memory, {"changelog-mode": "some"}) == (
        'option "changelog-mode" of connector "memory" is "some"\n  hint: Write one of append, all, upsert.')

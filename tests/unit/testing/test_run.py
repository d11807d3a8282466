"""The harness itself: what it lets pass, and that everything else is a failure at its line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from streamsql import testing
from streamsql.core.batch import Batch
from streamsql.core.node import Context, Explain, Node, Operator
from streamsql.core.schema import Column, Schema
from streamsql.core.types import INT
from streamsql.errors import InternalError, UsageError
from streamsql.testing import Failure, Mode, execute, main, parse, run
from streamsql.testing.case import Input
from streamsql.testing.record import recorded
from streamsql.testing.shuffle import shuffled
from streamsql.testing.watch import Watch

TABLE = """# doubles its input
CREATE TABLE t (k STRING, v INT);
CREATE VIEW d AS SELECT k, v * 2 AS w FROM t;

"""


def test_public_names() -> None:
    assert set(testing.__all__) == {"Case", "Failure", "Mode", "Outcome", "execute", "main", "parse", "read", "run"}


def failures(text: str, mode: Mode = Mode.PLAIN) -> list[tuple[int, str]]:
    return [(f.line, f.message) for f in execute(TABLE + text, mode).failures]


@pytest.mark.parametrize("mode", [m for m in Mode if m is not Mode.KAFKA])
def test_a_case_that_is_right(mode: Mode) -> None:
    run(TABLE + "> t\na | 1\nb | 2\n< d\n+ b | 4\n+ a | 2\n", mode)


def test_a_difference_says_where_what_and_what_instead() -> None:
    with pytest.raises(Failure) as caught:
        run(TABLE + "> t\na | 1\n< d\n+ a | 3\n")
    assert str(caught.value) == (
        '<case>:7: the changes of "d" differ [plain]\n  expected:\n    + a | 3\n  actual:\n    + a | 2')


def test_more_differences_are_notes() -> None:
    with pytest.raises(Failure) as caught:
        run(TABLE + "> t\na | 1\n< d\n\n> t\nb | 1\n< d\n")
    assert len(caught.value.__notes__) == 1


def test_output_that_nobody_claims() -> None:
    assert failures("< d\n\n> t\na | 1\n") == [(9, 'changes of "d" that the case does not claim')]


@pytest.mark.parametrize(("text", "line", "message"), [
    ("> t\na\n", 6, 'a row of 1 cells, "t" has 2 columns: k, v'),
    ("> t\na | x\n", 6, '"x" is no INT'),
    ("> u\na\n", 5, 'table "u" does not exist. Tables: t'),
    ("> t\na | 1\n< e\n", 7, '"e" is no table, view or sink of the case'),
    ("> t\na | 1\n< d (x)\n", 7, '"d" has no column "x", it has k, w'),
    ("> t\na | 1\n< d\na | 2\n", 8, "a change begins with `+ ` or `- `"),
    ("SELECT 1 AS n;\n", 5, "a SELECT of a case is followed by `----` and what it returns"),
    ("SELECT x FROM t;\n----\n", 5, "an error that the case does not expect"),
    ("SELECT k FROM t;\n---- error\nsomething\n", 6, "no error came"),
    ("@ clock noon\n", 5, "write `@ clock 12:00:00` or `@ clock + 5 s`"),
])
def test_mistakes_are_failures_at_their_line(text: str, line: int, message: str) -> None:
    assert failures(text)[0] == (line, message)


@pytest.mark.parametrize(("text", "message"), [
    ("@ sleep\n", "<case>:1: a verb is one of end, restart, idle, clock, watermark"),
    ("----\nx\n", "<case>:1: nothing stands above that could return this"),
    ("> t[a]\n", "<case>:1: an input is written `> table`, `> table[partition]` or `> table raw`"),
    ("# a\n# modes: plain\n", "<case>:2: modes are left out as in `# modes: -kafka (reason)`"),
])
def test_what_is_no_case(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.message == message


def test_record_writes_what_happened() -> None:
    case = parse(TABLE + "> t\na | 1\n< d\n+ wrong | 0\n\nSELECT 1 AS n;\n----\n\nSELECT m;\n---- error\n")
    text = recorded(case, execute(case))
    assert text.split("\n")[6:10] == ["< d", "+ a | 2", "", "SELECT 1 AS n;"]
    run(text)


def test_shuffle_keeps_the_order_of_a_partition() -> None:
    case = parse("> t[0]\na\nb\nc\n> t[1]\nx\ny\n< v\n> t[0]\nd\n")
    orders = set()
    for seed in range(20):
        steps = shuffled(case.steps, seed)
        before = [s for s in steps[:-2] if isinstance(s, Input)]
        rows = [(s.partition, text) for s in before for _, text in s.rows]
        assert [text for p, text in rows if p == 0] == ["a", "b", "c"]
        assert [text for p, text in rows if p == 1] == ["x", "y"]
        orders.add(tuple(rows))
    assert len(orders) > 3


def test_an_opt_out_is_a_reason_against_the_mode() -> None:
    case = parse("# a title\n# modes: -split (it would differ), -oracle (it cannot say)\n> t\na\n")
    assert Mode.SPLIT.reason_against(case) == "it would differ"
    assert Mode.ORACLE.reason_against(case) == "it cannot say"
    assert Mode.PLAIN.reason_against(case) is None


class _Node(Node):
    """Promises one column `n`, and changes."""

    def relation(self, inputs: Sequence[str]) -> str:
        return "SELECT 1 AS n"

    def operator(self, context: Context) -> Operator:
        raise InternalError("the tests make it")

    def explain(self) -> Explain:
        return Explain("Node")


class _Giving(Operator):
    """Gives at each watermark the next of some batches."""

    def __init__(self, *batches: pa.Table) -> None:
        self._batches = list(batches)

    def step(self, port: int, batch: Batch) -> Batch | None:
        return None

    def advance(self, watermark_us: int) -> Batch | None:
        return Batch(self._batches.pop(0))


def _watched(*batches: pa.Table) -> Operator:
    node = _Node((), Schema((Column("n", INT),)), False, ("$diff",))
    return Watch()("op", node, _Giving(*batches))


def _changes(values: Sequence[int], diffs: Sequence[int]) -> pa.Table:
    return pa.table({"n": pa.array(values, pa.int32()), "$diff": pa.array(diffs, pa.int32())})


def test_a_row_that_goes_was_there() -> None:
    operator = _watched(_changes([1], [1]), _changes([1, 2], [-1, 1]), _changes([1], [-1]))
    operator.advance(1)
    operator.advance(2)
    with pytest.raises(InternalError, match="took back a row that was not there"):
        operator.advance(3)


def test_a_watermark_never_falls() -> None:
    operator = _watched(_changes([1], [1]), _changes([2], [1]))
    operator.advance(2)
    with pytest.raises(InternalError, match="fell from 2 to 1"):
        operator.advance(1)


def test_a_batch_has_the_promised_columns() -> None:
    with pytest.raises(InternalError, match="does not promise"):
        _watched(pa.table({"n": pa.array(["x"])})).advance(1)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.stream", tmp_path / "bad.stream"
    good.write_text(TABLE + "> t\na | 1\n< d\n+ a | 2\n")
    bad.write_text(TABLE + "> t\na | 1\n< d\n")
    assert main([str(good), "--mode", "split"]) == 0
    assert capsys.readouterr().out == "1 passed, 0 failed\n"
    assert main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert f'{bad}:7: the changes of "d" differ [plain]' in out
    assert out.endswith("1 passed, 1 failed\n")
    assert main(["--record", str(bad)]) == 0
    assert main([str(bad)]) == 0


def test_the_command_names_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        main([str(tmp_path / "none.stream")])
    with pytest.raises(UsageError, match=r"has no \.stream file"):
        main([str(tmp_path)])


def test_where_two_blocks_differ_is_marked() -> None:
    failure = Failure("c.stream", 3, "differ", expected=["a", "b", "b"], actual=["a", "b", "c"])
    assert str(failure) == ("c.stream:3: differ [plain]\n  expected:\n    a\n    b\n  ! b\n"
                            "  actual:\n    a\n    b\n  ! c")

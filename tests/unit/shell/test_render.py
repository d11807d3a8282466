"""Results as tables, JSON lines and CSV."""

from __future__ import annotations

import io
from datetime import datetime

from streamsql.shell.render import CsvPrinter, JsonPrinter, OutputFormat, Screen, TablePrinter, printer

COLUMNS = [("name", "STRING"), ("n", "BIGINT NOT NULL")]


def screen() -> tuple[Screen, io.StringIO]:
    stream = io.StringIO()
    return Screen(stream), stream


def test_a_table_aligns_numbers_right_and_tells_null_from_text() -> None:
    target, stream = screen()
    table = TablePrinter(target, COLUMNS)
    table.begin()
    table.rows([("+I", ("ann", 7)), ("+I", (None, 12345)), ("+I", ("NULL", None))])
    table.end()
    assert stream.getvalue() == (
        "  name  |   n\n"
        "--------+--------\n"
        " ann    |      7\n"
        " <NULL> |  12345\n"
        " NULL   | <NULL>\n"
        "(3 rows)\n")


def test_an_empty_table_still_has_its_header() -> None:
    target, stream = screen()
    table = TablePrinter(target, COLUMNS)
    table.begin()
    table.end()
    assert stream.getvalue() == " name | n\n------+---\n(0 rows)\n"


def test_a_changelog_has_its_kinds_first() -> None:
    target, stream = screen()
    table = TablePrinter(target, COLUMNS, append_only=False)
    table.rows([("+I", ("a", 1))])
    table.rows([("-U", ("a", 1)), ("+U", ("a", 2)), ("-D", ("a", 2))])
    table.end("stopped")
    assert stream.getvalue() == (
        " op | name | n\n"
        "----+------+---\n"
        " +I | a    | 1\n"
        " -U | a    | 1\n"
        " +U | a    | 2\n"
        " -D | a    | 2\n"
        "(4 changes, stopped)\n")


def test_wide_characters_take_two_places() -> None:
    target, stream = screen()
    table = TablePrinter(target, COLUMNS)
    table.rows([("+I", ("東京", 1)), ("+I", ("Rome!", 2)), ("+I", ("é", 3))])
    assert stream.getvalue().splitlines()[2:] == [" 東京  | 1", " Rome! | 2", " é     | 3"]


def test_columns_widen_when_later_rows_need_it_but_one_long_cell_moves_only_its_row() -> None:
    target, stream = screen()
    table = TablePrinter(target, COLUMNS)
    table.rows([("+I", ("a", 1))])
    table.rows([("+I", ("longer name", 2))])
    table.rows([("+I", ("x" * 60, 3)), ("+I", ("b", 4))])
    lines = stream.getvalue().splitlines()
    assert lines[2] == " a    | 1"
    assert lines[3] == " longer name    | 2"  # with room for more, so that it seldom moves
    assert lines[4] == f" {'x' * 60} | 3"
    assert lines[5] == f" b{' ' * 39} | 4"


def test_time_columns_have_their_full_width_from_the_start() -> None:
    target, stream = screen()
    table = TablePrinter(target, [("ts", "TIMESTAMP(3)"), ("s", "STRING")])
    table.rows([("+I", (None, "x"))])
    table.rows([("+I", (datetime(2026, 1, 1), "y"))])
    assert stream.getvalue().splitlines()[2:] == [
        " <NULL>                  | x", " 2026-01-01 00:00:00.000 | y"]


def test_a_line_break_in_a_value_stays_in_its_cell() -> None:
    target, stream = screen()
    TablePrinter(target, [("s", "STRING")]).rows([("+I", ("a\nb",))])
    assert stream.getvalue().splitlines()[-1] == " a\\nb"


def test_a_terminal_gets_colour_and_a_pipe_none() -> None:
    stream = io.StringIO()
    TablePrinter(Screen(stream, color=True), COLUMNS).rows([("+I", (None, 1))])
    assert "\x1b[" in stream.getvalue()
    target, plain = screen()
    TablePrinter(target, COLUMNS).rows([("+I", (None, 1))])
    assert "\x1b[" not in plain.getvalue()


def test_json_is_one_object_a_line_in_column_order() -> None:
    target, stream = screen()
    lines = JsonPrinter(target, [("b", "INT"), ("a", "STRING")])
    lines.rows([("+I", (1, None)), ("+I", (2, "x"))])
    lines.end()
    assert stream.getvalue() == '{"b": 1, "a": null}\n{"b": 2, "a": "x"}\n'


def test_json_of_a_changelog_begins_with_op_which_never_hides_a_column() -> None:
    target, stream = screen()
    JsonPrinter(target, [("n", "INT")], append_only=False).rows([("-U", (1,))])
    JsonPrinter(target, [("op", "INT")], append_only=False).rows([("+U", (1,))])
    assert stream.getvalue() == '{"op": "-U", "n": 1}\n{"$op": "+U", "op": 1}\n'


def test_csv_tells_null_from_an_empty_text_and_quotes_what_must_be() -> None:
    target, stream = screen()
    table = CsvPrinter(target, [("a b", "STRING"), ("c,d", "STRING")])
    table.begin()
    table.rows([("+I", (None, "")), ("+I", ('say "x"', "1,2")), ("+I", ("a\nb", "c"))])
    assert stream.getvalue() == 'a b,"c,d"\n,""\n"say ""x""","1,2"\n"a\nb",c\n'


def test_csv_of_a_changelog_begins_with_op() -> None:
    target, stream = screen()
    table = CsvPrinter(target, [("n", "INT")], append_only=False)
    table.begin()
    table.rows([("+I", (1,))])
    assert stream.getvalue() == "op,n\n+I,1\n"


def test_each_format_has_its_printer() -> None:
    target, _ = screen()
    formats: tuple[OutputFormat, ...] = ("table", "json", "csv")
    assert [type(printer(name, target, COLUMNS)).__name__ for name in formats] == [
        "TablePrinter", "JsonPrinter", "CsvPrinter"]

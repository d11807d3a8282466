"""`'connector'='nexmark'`: the events of the Nexmark benchmark, with the options of Flink's.

The table has columns of the data model, any of `event_type INT`, `person`, `auction` and `bid`, with
exactly its types (see `examples/nexmark`). Event n is a pure function of the seed and n, and its
time is `start-time` + n / first-event.rate: all is repeatable, however it is cut or resumed.

Unlike Flink's: events are equal from run to run unless `'seed'` differs; time begins at
`'start-time'`, not at the clock's; a bidder's id is that of a person (Flink's generator adds the
first id twice); the rate does not change, so that `next-event.rate` may only repeat
`first-event.rate`.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from streamsql.connectors.datagen_random import Numbers
from streamsql.connectors.datagen_source import RowSource, at_least, start_us
from streamsql.connectors.nexmark_events import KINDS, MODEL, Events, Settings
from streamsql.core.connector import Metadata, TableSpec
from streamsql.core.options import Option, OptionError
from streamsql.core.schema import Schema
from streamsql.errors import ConnectorError, did_you_mean

WHERE = 'connector "nexmark"'

OPTIONS = (
    Option("events.num", "int", 0, "end after that many events; 0: go on for ever"),
    Option("stop-at", "int", -1, "end before the event of that number; -1: do not"),
    Option("keep-alive", "bool", False, "do not end after the last event: fall silent"),
    Option("first-event.rate", "int", 10_000, "events per second of event time"),
    Option("next-event.rate", "int", doc="the same again: the rate does not change"),
    Option("max-emit-speed", "bool", True, "make events as fast as they are read; with 'false' at the rate of "
           "event time"),
    Option("person.proportion", "int", 1, "people in each round of events"),
    Option("auction.proportion", "int", 3, "auctions in each round"),
    Option("bid.proportion", "int", 46, "bids in each round"),
    Option("person.avg-size", "memory", 200, "mean size of a person"),
    Option("auction.avg-size", "memory", 500, "mean size of an auction"),
    Option("bid.avg-size", "memory", 100, "mean size of a bid"),
    Option("bid.hot-ratio.auctions", "int", 2, "all bids but one in so many are for the hot auction"),
    Option("bid.hot-ratio.bidders", "int", 4, "all bids but one in so many are of the hot bidder"),
    Option("auction.hot-ratio.sellers", "int", 4, "all auctions but one in so many are of the hot seller"),
    Option("seed", "int", 0, "another number makes other events"),
    Option("start-time", default="2024-01-01 00:00:00", doc="event time of event 0, UTC"),
)
METADATA: Mapping[str, Metadata] = {}


def source(table: TableSpec) -> RowSource:
    _check_columns(table.declared if len(table.declared) else table.schema)
    settings = Settings(
        table.options.integer("seed"), start_us(table, WHERE) or 0, _rate(table), _three(table, "proportion", 0),
        _three(table, "avg-size", 0), *(at_least(table, key, 1, WHERE) for key in (
            "bid.hot-ratio.auctions", "bid.hot-ratio.bidders", "auction.hot-ratio.sellers")))
    if not sum(settings.proportions):
        raise OptionError(f'option "bid.proportion" of {WHERE} is "0", and so are the others', "bid.proportion",
                          "Let one of them be above 0.")
    events, columns = Events(settings), table.schema.names

    def rows(numbers: Numbers, now_us: int) -> pa.Table:
        return events.table(numbers, columns)

    rate = None if table.options.flag("max-emit-speed") else settings.rate
    return RowSource(table.name, rows, rate=rate, total=_total(table), width=2 * max(settings.sizes),
                     endless=table.options.flag("keep-alive"))


def _total(table: TableSpec) -> int | None:
    """How many events there are, None without end."""
    count, stop = at_least(table, "events.num", 0, WHERE), at_least(table, "stop-at", -1, WHERE)
    limits = [*([count] if count else []), *([stop] if stop >= 0 else [])]
    return min(limits) if limits else None


def _rate(table: TableSpec) -> int:
    rate = at_least(table, "first-event.rate", 1, WHERE)
    if table.options["next-event.rate"] not in (None, rate):
        raise OptionError(f'option "next-event.rate" of {WHERE} is "{table.options["next-event.rate"]}"',
                          "next-event.rate", f"Leave it out, or write {rate} as in first-event.rate.")
    return rate


def _three(table: TableSpec, what: str, least: int) -> tuple[int, int, int]:
    """One option of each kind of event."""
    person, auction, bid = (at_least(table, f"{kind}.{what}", least, WHERE) for kind in KINDS)
    return person, auction, bid


def _check_columns(schema: Schema) -> None:
    """Raises ConnectorError for a column that the data model has not."""
    for column in schema:
        expected = MODEL.get(column.name)
        if expected is None:
            raise ConnectorError(f'{WHERE} makes no column "{column.name}"', hint=did_you_mean(
                column.name, list(MODEL), "Columns"))
        if column.type.as_nullable() != expected:
            raise ConnectorError(f'column "{column.name}" of {WHERE} is {column.type}', hint=f"Its type is {expected}.")

"""The nexmark connector: its events are a function of the seed and their number, drawn as Nexmark says."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from streamsql.connectors import nexmark
from streamsql.connectors.nexmark_events import FIRST_ID, KINDS, MODEL, Events, Settings
from streamsql.core import types as t
from streamsql.core.connector import Source
from streamsql.core.options import OptionError
from streamsql.errors import ConnectorError
from tests.unit.connectors import contract

EVENTS = 50_000


def source(options: Mapping[str, str], columns: Mapping[str, t.DataType] = MODEL) -> Source:
    return nexmark.source(contract.spec(nexmark, columns, options))


def rows(options: Mapping[str, str], columns: Mapping[str, t.DataType] = MODEL) -> list[dict[str, object]]:
    return [row for _, _, row in contract.drained(contract.opened(source(options, columns)))]


@pytest.fixture(scope="module")
def made() -> Mapping[str, pa.Table]:
    """The fields of each kind of the first events."""
    table = Events(Settings(7, 1_704_067_200_000_000)).table(np.arange(EVENTS, dtype=np.uint64), tuple(MODEL))
    return {kind: pa.table(dict(zip(MODEL[kind].names, table[kind].drop_null().combine_chunks().flatten())))
            for kind in KINDS}


def test_any_cut_gives_the_same_events() -> None:
    found = contract.cut_does_not_matter(lambda: source({"events.num": "240"}))
    assert [offset for _, offset, _ in found] == list(range(240))


def test_it_resumes_anywhere() -> None:
    contract.resumes_anywhere(lambda: source({"events.num": "60"}))


def test_the_seed_makes_the_events() -> None:
    first, again, other = (rows({"events.num": "100", "seed": seed}) for seed in ("1", "1", "2"))
    assert first == again != other


def test_columns_that_are_not_read_are_not_made() -> None:
    only = rows({"events.num": "60"}, {"bid": MODEL["bid"]})
    assert [row["bid"] for row in only] == [row["bid"] for row in rows({"events.num": "60"})]


def test_one_person_three_auctions_forty_six_bids() -> None:
    found = rows({"events.num": "100"})
    kinds = [0, *[1] * 3, *[2] * 46]
    assert [row["event_type"] for row in found] == kinds * 2
    for row in found:
        assert [row[kind] is not None for kind in KINDS] == [row["event_type"] == code for code in range(3)]


def test_proportions_may_be_others() -> None:
    options = {"events.num": "10", "person.proportion": "0", "auction.proportion": "1", "bid.proportion": "4"}
    assert [row["event_type"] for row in rows(options)] == [1, 2, 2, 2, 2] * 2


def test_time_follows_the_rate() -> None:
    options = {"events.num": "5", "first-event.rate": "4", "next-event.rate": "4", "start-time": "2024-02-29 23:59:59",
               "person.proportion": "0", "auction.proportion": "0"}
    assert [row["bid"]["dateTime"] for row in rows(options)] == [  # type: ignore[index]
        dt.datetime(2024, 2, 29, 23, 59, 59) + n * dt.timedelta(milliseconds=250) for n in range(5)]


def test_ids_ascend(made: Mapping[str, pa.Table]) -> None:
    for kind in ("person", "auction"):
        ids = made[kind]["id"].to_pylist()
        assert ids == list(range(FIRST_ID, FIRST_ID + len(ids)))


def test_half_of_the_bids_are_for_a_hot_auction(made: Mapping[str, pa.Table]) -> None:
    hot = np.asarray(made["bid"]["auction"]) % 100 == 0
    assert 0.5 < hot.mean() < 0.52
    bidders = np.asarray(made["bid"]["bidder"]) % 100 == 1
    assert 0.74 < bidders.mean() < 0.77
    sellers = np.asarray(made["auction"]["seller"]) % 100 == 0
    assert 0.74 < sellers.mean() < 0.77


def test_bids_are_for_auctions_in_flight(made: Mapping[str, pa.Table]) -> None:
    bids = made["bid"]
    auctions = dict(zip(made["auction"]["id"].to_pylist(), made["auction"]["dateTime"].to_pylist()))
    known = [(time, auctions[auction]) for time, auction in
             zip(bids["dateTime"].to_pylist(), bids["auction"].to_pylist()) if auction in auctions]
    assert len(known) > 0.99 * len(bids)
    ahead = sum(begun > time for time, begun in known) / len(known)
    assert 0 < ahead < 0.1, "some bids come before their auction"
    assert {pc.min(bids["bidder"]).as_py() >= FIRST_ID, pc.min(bids["auction"]).as_py() >= FIRST_ID} == {True}


def test_prices_are_log_uniform(made: Mapping[str, pa.Table]) -> None:
    decades = Counter(len(str(price)) for price in made["bid"]["price"].to_pylist())
    assert set(decades) - {9} == {3, 4, 5, 6, 7, 8}
    assert all(0.9 < decades[n] / (len(made["bid"]) / 6) < 1.1 for n in range(3, 9))


def test_channels_and_urls(made: Mapping[str, pa.Table]) -> None:
    channels, urls = (made["bid"][name].to_pylist() for name in ("channel", "url"))
    named = [channel in ("Google", "Facebook", "Baidu", "Apple") for channel in channels]
    assert 0.49 < sum(named) / len(named) < 0.51
    carries = ["&channel_id=" in url for url in urls]
    assert not any(c for c, is_named in zip(carries, named) if is_named)
    assert 0.88 < sum(carries) / (len(named) - sum(named)) < 0.92
    assert len(set(zip(channels, urls))) == len(set(channels)), "a channel has one URL"


def test_mean_sizes(made: Mapping[str, pa.Table]) -> None:
    for kind, numbers, size in (("person", 1, 200), ("auction", 6, 500), ("bid", 4, 100)):
        left_out = ("dateTime", "expires", "channel", "url")
        texts = [column for name, column in zip(made[kind].column_names, made[kind].columns)
                 if column.type == pa.string() and name not in left_out]
        mean = 8 * numbers + sum(float(pc.mean(pc.binary_length(column)).as_py()) for column in texts)
        assert abs(mean - size) < 0.02 * size, kind


def test_keep_alive_falls_silent() -> None:
    quiet = contract.opened(source({"events.num": "3", "keep-alive": "true"}))
    assert not quiet.bounded
    chunk = quiet.poll(10, 0.0)
    assert chunk is not None
    assert len(chunk) == 3
    assert quiet.poll(10, 0.0) is None
    assert not quiet.finished()


def test_stop_at_ends_it_earlier() -> None:
    assert len(rows({"events.num": "10", "stop-at": "4"})) == 4


@pytest.mark.parametrize(("options", "message"), [
    ({"first-event.rate": "5", "next-event.rate": "6"}, 'option "next-event.rate" of connector "nexmark" is "6"'),
    ({"first-event.rate": "0"}, 'option "first-event.rate" of connector "nexmark" is "0"'),
    ({"bid.hot-ratio.bidders": "0"}, 'option "bid.hot-ratio.bidders" of connector "nexmark" is "0"'),
    ({f"{kind}.proportion": "0" for kind in KINDS},
     'option "bid.proportion" of connector "nexmark" is "0", and so are the others'),
    ({"start-time": "noon"}, 'option "start-time" of connector "nexmark" is "noon"'),
])
def test_options_are_checked(options: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        source(options)
    assert caught.value.message == message


@pytest.mark.parametrize(("columns", "message"), [
    ({"bids": MODEL["bid"]}, 'connector "nexmark" makes no column "bids"'),
    ({"event_type": t.BIGINT}, 'column "event_type" of connector "nexmark" is BIGINT'),
    ({"bid": t.row({"auction": t.BIGINT})}, 'column "bid" of connector "nexmark" is ROW<`auction` BIGINT>'),
])
def test_columns_are_those_of_the_model(columns: dict[str, t.DataType], message: str) -> None:
    with pytest.raises(ConnectorError) as caught:
        source({}, columns)
    assert caught.value.message == message

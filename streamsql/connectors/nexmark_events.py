"""Nexmark's events: people, auctions and bids of an auction house, made from their numbers.

Event n is a pure function of the seed and n. Of every 50 events (unless the proportions say
otherwise) the first is a person, the next three are auctions and the rest are bids. Ids ascend from
1000; bids are for one of the last hundred auctions, half of them for the hot one, the first of each
hundred; people are drawn likewise. Some ids are up to ten ahead of what there is: a bid may come
before its auction.

Source: Tucker, Tufte, Papadimos and Maier, "NEXMark: a benchmark for queries over data streams",
2002; the distributions are those of Apache Beam's and Flink's Nexmark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamsql.connectors import datagen_random as rnd
from streamsql.connectors.datagen_random import Moments, Numbers
from streamsql.core import types as t

_TIME = t.timestamp(3)
MODEL: Mapping[str, t.DataType] = {
    "event_type": t.INT,
    "person": t.row({
        "id": t.BIGINT, "name": t.STRING, "emailAddress": t.STRING, "creditCard": t.STRING, "city": t.STRING,
        "state": t.STRING, "dateTime": _TIME, "extra": t.STRING}),
    "auction": t.row({
        "id": t.BIGINT, "itemName": t.STRING, "description": t.STRING, "initialBid": t.BIGINT, "reserve": t.BIGINT,
        "dateTime": _TIME, "expires": _TIME, "seller": t.BIGINT, "category": t.BIGINT, "extra": t.STRING}),
    "bid": t.row({
        "auction": t.BIGINT, "bidder": t.BIGINT, "price": t.BIGINT, "channel": t.STRING, "url": t.STRING,
        "dateTime": _TIME, "extra": t.STRING}),
}
"""The columns of an event: its kind (0 a person, 1 an auction, 2 a bid) and what it says; the other kinds are NULL."""

KINDS = ("person", "auction", "bid")

FIRST_ID, FIRST_CATEGORY, CATEGORIES = 1000, 10, 5
_IN_FLIGHT, _ACTIVE, _LEAD = 100, 1000, 10
"""Auctions that get bids, people who do anything, and ids that are used ahead."""
_HOT_STEP = 100
_CHANNELS, _NAMED = 10_000, ("Google", "Facebook", "Baidu", "Apple")
_EXTRAS = 1 << 14
"""Different texts that fill bids up: far more than a compressor sees at once, and made once."""
_STATES = ("AZ", "CA", "ID", "OR", "WA", "WY")
_CITIES = ("Tucson", "Oakland", "Fresno", "Boise", "Salem", "Eugene", "Tacoma", "Spokane", "Casper", "Laramie")
_FIRST = ("Ada", "Bela", "Carl", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "Jana", "Kurt")
_LAST = ("Adler", "Brandt", "Cerny", "Doyle", "Ebert", "Fuchs", "Gray", "Haas", "Ivers")
_NAMES = tuple(f"{first} {last}" for first in _FIRST for last in _LAST)
_LETTERS = np.frombuffer(bytes(97 + n % 26 for n in range(256)), np.uint8)
_DIGITS = np.frombuffer(bytes(48 + n % 10 for n in range(256)), np.uint8)


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be chosen; the defaults are Nexmark's. Sizes are mean bytes, `rate` is events a second of event time."""

    seed: int = 0
    start_us: int = 0
    rate: int = 10_000
    proportions: tuple[int, int, int] = (1, 3, 46)
    sizes: tuple[int, int, int] = (200, 500, 100)
    hot_auctions: int = 2
    hot_bidders: int = 4
    hot_sellers: int = 4


class Events:
    """Makes the events with the numbers asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._people, self._auctions, _ = settings.proportions
        self._period = sum(settings.proportions)
        self._channels, self._urls = self._pages()
        self._bid_extras = self._extra(2, np.arange(_EXTRAS, dtype=np.uint64), np.full(_EXTRAS, 8 * 4))

    def table(self, numbers: Numbers, columns: tuple[str, ...]) -> pa.Table:
        """These columns of MODEL, a row for each number."""
        kind = self._kind(numbers)
        made = {"event_type": lambda: pa.array(kind)} | {
            name: self._column(make, numbers, kind == code)
            for code, (name, make) in enumerate(zip(KINDS, (self._person, self._auction, self._bid)))}
        return pa.table({name: made[name]() for name in columns},
                        schema=pa.schema([pa.field(name, MODEL[name].arrow_type()) for name in columns]))

    def _kind(self, numbers: Numbers) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        within = (numbers % np.uint64(self._period)).astype(np.int64)
        return (within >= self._people).astype(np.int32) + (within >= self._people + self._auctions)

    @staticmethod
    def _column(make: Callable[[Numbers], list[pa.Array]], numbers: Numbers, ours: Any) -> Callable[[], pa.Array]:
        """The rows of one kind where `ours` holds, NULL elsewhere."""
        def column() -> pa.Array:
            name = make.__name__.removeprefix("_")
            rows = pa.StructArray.from_arrays(make(numbers[ours]), fields=list(MODEL[name].arrow_type()))
            return rows if ours.all() else rows.take(pa.array(np.cumsum(ours) - 1, mask=~ours))
        return column

    # Time and ids

    def _ms(self, numbers: Any) -> Moments:
        """When the events are, in ms from the first on."""
        whole, rest = np.divmod(numbers.astype(np.int64), self._settings.rate)
        moments: Moments = whole * 1000 + rest * 1000 // self._settings.rate
        return moments

    def _time(self, ms: Moments) -> pa.Array:
        return pa.array(self._settings.start_us + ms * 1000).cast(pa.timestamp("us"))

    def _last_person(self, numbers: Numbers) -> Moments:
        """The newest person at an event, from 0."""
        epoch, within = np.divmod(numbers.astype(np.int64), self._period)
        newest: Moments = np.maximum(epoch * self._people + np.minimum(within, self._people - 1), 0)
        return newest

    def _last_auction(self, numbers: Numbers) -> Moments:
        """The newest auction at an event, from 0."""
        epoch, within = np.divmod(numbers.astype(np.int64), self._period)
        newest: Moments = np.maximum(epoch * self._auctions + np.clip(within - self._people, -1, self._auctions - 1), 0)
        return newest

    def _stream(self, name: str) -> int:
        return rnd.stream(self._settings.seed, name)

    def _below(self, name: str, numbers: Numbers, count: int | Moments) -> Moments:
        return rnd.below(self._stream(name), numbers, count)

    def _some_person(self, name: str, numbers: Numbers) -> Moments:
        known = self._last_person(numbers) + 1
        active = np.minimum(known, _ACTIVE)
        return known - active + self._below(name, numbers, active + _LEAD)

    def _hot_or(self, name: str, numbers: Numbers, ratio: int, hot: Moments, other: Moments) -> Moments:
        """`hot` in all cases but one of `ratio`; ids."""
        return np.where(self._below(f"{name}-hot", numbers, ratio) > 0, hot, other) + FIRST_ID

    # What events say

    def _price(self, name: str, numbers: Numbers) -> Moments:
        """Cents, log-uniform from 1 to 1 000 000 dollars."""
        exponent = rnd.fractions(self._stream(name), numbers) * 6
        cents: Moments = np.rint(np.power(10.0, exponent) * 100).astype(np.int64)
        return cents

    def _letters(self, name: str, numbers: Numbers, least: int, most: int) -> pa.Array:
        """Words of `least` to `most` letters."""
        lengths = least + self._below(f"{name}-length", numbers, most - least + 1)
        return rnd.variable(_LETTERS[rnd.octets(self._stream(name), numbers, most)], lengths, pa.string())

    def _extra(self, kind: int, numbers: Numbers, used: Moments) -> pa.Array:
        """Letters that bring an event to its mean size, give or take a fifth."""
        mean = np.maximum(self._settings.sizes[kind] - used, 0)
        slack = np.rint(mean * 0.2).astype(np.int64)
        name = f"{KINDS[kind]}-extra"
        lengths = mean - slack + self._below(f"{name}-length", numbers, np.maximum(2 * slack, 1))
        widest = int(self._settings.sizes[kind] * 1.2) + 1
        return rnd.variable(_LETTERS[rnd.octets(self._stream(name), numbers, widest)], lengths, pa.string())

    def _pick(self, name: str, numbers: Numbers, choices: tuple[str, ...]) -> pa.Array:
        return pa.array(choices).take(pa.array(self._below(name, numbers, len(choices))))

    def _pages(self) -> tuple[pa.Array, pa.Array]:
        """Every channel and its URL; the named ones come last."""
        numbers = np.arange(_CHANNELS + len(_NAMED), dtype=np.uint64)
        names = pa.array([*(f"channel-{n}" for n in range(_CHANNELS)), *_NAMED])
        folders = [self._letters(f"folder-{n}", numbers, 5, 5) for n in range(3)]
        carries = (self._below("carries-id", numbers, 10) > 0) & (numbers < _CHANNELS)
        ids = pa.array(self._below("channel-id", numbers, 2**31)).cast(pa.string())
        tail = pc.if_else(pa.array(carries), pc.binary_join_element_wise("&channel_id=", ids, ""), "")
        parts: list[Any] = ["https://www.nexmark.com"]
        for folder in folders:
            parts += ["/", folder]
        return names, pc.binary_join_element_wise(*parts, "/item.htm?query=1", tail, "")

    # Kinds: a method makes the fields of MODEL's row of its name, in order

    def _person(self, n: Numbers) -> list[pa.Array]:
        name = self._pick("name", n, _NAMES)
        mail = pc.binary_join_element_wise(
            self._letters("mailbox", n, 3, 6), "@", self._letters("domain", n, 3, 5), ".com", "")
        digits = _DIGITS[rnd.octets(self._stream("card"), n, 19)]
        digits[:, 4::5] = ord(" ")
        card = rnd.variable(digits, None, pa.string())
        city, state = self._pick("city", n, _CITIES), self._pick("state", n, _STATES)
        used = 8 + _lengths(name) + _lengths(mail) + _lengths(card) + _lengths(city) + _lengths(state)
        return [pa.array(self._last_person(n) + FIRST_ID), name, mail, card, city, state, self._time(self._ms(n)),
                self._extra(0, n, used)]

    def _auction(self, n: Numbers) -> list[pa.Array]:
        item, text = self._letters("item", n, 3, 19), self._letters("description", n, 3, 99)
        initial = self._price("initial", n)
        hot = self._last_person(n) // _HOT_STEP * _HOT_STEP
        seller = self._hot_or("seller", n, self._settings.hot_sellers, hot, self._some_person("seller", n))
        ms = self._ms(n)
        ahead = self._ms(n.astype(np.int64) + _IN_FLIGHT * self._period // max(self._auctions, 1)) - ms
        expires = ms + 1 + self._below("expires", n, np.maximum(2 * ahead, 1))
        used = 8 * 6 + _lengths(item) + _lengths(text)
        return [pa.array(self._last_auction(n) + FIRST_ID), item, text, pa.array(initial),
                pa.array(initial + self._price("reserve", n)), self._time(ms), self._time(expires), pa.array(seller),
                pa.array(FIRST_CATEGORY + self._below("category", n, CATEGORIES)), self._extra(1, n, used)]

    def _bid(self, n: Numbers) -> list[pa.Array]:
        last = self._last_auction(n)
        first = np.maximum(last - _IN_FLIGHT, 0)
        auction = self._hot_or("auction", n, self._settings.hot_auctions, last // _HOT_STEP * _HOT_STEP,
                               first + self._below("auction", n, last - first + 1 + _LEAD))
        hot = self._last_person(n) // _HOT_STEP * _HOT_STEP + 1  # not the hot seller
        bidder = self._hot_or("bidder", n, self._settings.hot_bidders, hot, self._some_person("bidder", n))
        named = self._below("named", n, 2) > 0
        page = pa.array(np.where(named, _CHANNELS + self._below("name-of", n, len(_NAMED)),
                                 self._below("channel", n, _CHANNELS)))
        return [pa.array(auction), pa.array(bidder), pa.array(self._price("price", n)), self._channels.take(page),
                self._urls.take(page), self._time(self._ms(n)),
                self._bid_extras.take(pa.array(self._below("bid-extra", n, _EXTRAS)))]


def _lengths(texts: pa.Array) -> Moments:
    lengths: Moments = pc.binary_length(texts).to_numpy().astype(np.int64)
    return lengths

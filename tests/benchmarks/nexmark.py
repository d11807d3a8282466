"""Nexmark's bids as flat JSON records of about 200 bytes: seeded, made by columns.

Auctions and bidders are drawn as in Nexmark: half of the bids go to the newest hot auction, the others
to one of the last hundred; prices are log-uniform. Event time advances by the rate, in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

RATE = 10_000
"""Bids per second of event time."""

RUN = 50
"""Neighbouring bids that go to one partition."""

_START_MS = 1_767_225_600_000
_CHANNELS = ("Apple", "Google", "Facebook", "Baidu", *(f"channel-{i}" for i in range(96)))
_PADDING = 1 << 16
_EXTRA = 40


class Bids:
    """All bids of one seed; the bid number decides what is in a bid, not the chunk it came in."""

    def __init__(self, seed: int = 42) -> None:
        self._seed = seed
        letters = np.random.default_rng(seed).integers(97, 123, _PADDING + _EXTRA, dtype=np.uint8).tobytes()
        text = letters.decode("ascii")
        self._extra = pa.array([text[i:i + _EXTRA] for i in range(_PADDING)])
        self._channels = pa.array(_CHANNELS)
        self._urls = pa.array([f"https://nexmark.com/{text[7 * i:7 * i + 5]}/item.htm?q={i % 10}"
                               for i in range(len(_CHANNELS))])

    def chunk(self, first: int, count: int) -> list[bytes]:
        """`count` records from bid number `first` on; `first` is a multiple of `count`."""
        draw = np.random.default_rng((self._seed, first))
        number = np.arange(first, first + count)
        newest = number // 15
        hot = draw.random(count) < 0.5
        auction = np.where(hot, newest // 100 * 100, np.maximum(newest - draw.integers(0, 100, count), 0)) + 1000
        bidder = np.where(draw.random(count) < 0.75, newest // 30 + 1, draw.integers(0, 1000, count)) + 1000
        price = np.rint(10.0 ** (draw.random(count) * 6) * 100).astype(np.int64)
        channel = pa.array(draw.integers(0, len(_CHANNELS), count))
        time = pa.array(_START_MS + number * 1000 // RATE).cast(pa.timestamp("ms"))
        pieces: list[Any] = [
            '{"auction":', pa.array(auction).cast(pa.string()), ',"bidder":', pa.array(bidder).cast(pa.string()),
            ',"price":', pa.array(price).cast(pa.string()), ',"channel":"', self._channels.take(channel),
            '","url":"', self._urls.take(channel), '","dateTime":"', time.cast(pa.string()),
            '","extra":"', self._extra.take(pa.array(draw.integers(0, _PADDING, count))), '"}']
        joined = pc.binary_join_element_wise(*pieces, "").cast(pa.binary())
        records: list[bytes] = joined.to_pylist()
        return records

    def chunks(self, count: int, size: int = 50_000) -> Iterator[list[bytes]]:
        """The first `count` bids; whole chunks, so rather more than fewer."""
        for first in range(0, count, size):
            yield self.chunk(first, size)

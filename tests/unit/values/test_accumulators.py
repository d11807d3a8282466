"""Accumulators of user aggregates on their way into the state and back."""

from __future__ import annotations

import pickle
from collections import Counter
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest

from streamsql.values.accumulators import Accumulators

BODY = """
from functools import partial

class Pair:
    def __init__(self, low, high):
        self.low, self.high = low, high

def new():
    return []

class Spread:
    def __init__(self):
        self.pair, self.make, self.kind = Pair(1, 2), partial(new), Pair

    def accumulate(self, value): ...
"""


class Plain:
    def __init__(self) -> None:
        self.values: dict[str, Any] = {"a": {Decimal("1.5"), 2}, "b": Counter("aab"), "c": (None, b"x")}

    def accumulate(self, value: int) -> None: ...


class Slotted:
    __slots__ = ("count", "never")

    def __init__(self) -> None:
        self.count = 3

    def accumulate(self, value: int) -> None: ...


class Stated(Plain):
    def __getstate__(self) -> object:
        return list(self.values)

    def __setstate__(self, state: list[str]) -> None:
        self.values = dict.fromkeys(state)


class Reduced(Plain):
    def __reduce__(self) -> Any:
        return Reduced, ()


class Listed(list[int]):
    def accumulate(self, value: int) -> None: ...


def again(accumulator: Any) -> Any:
    kept = Accumulators(type(accumulator))
    found = kept.loads(kept.dumps(accumulator))
    assert type(found) is type(accumulator)
    return found


def test_attributes_come_back() -> None:
    assert again(Plain()).values == Plain().values
    slotted = again(Slotted())
    assert slotted.count == 3
    assert not hasattr(slotted, "never")


def test_a_class_that_says_itself_what_is_kept() -> None:
    assert again(Stated()).values == {"a": None, "b": None, "c": None}
    assert again(Reduced()).values == Plain().values
    assert again(Listed([1, 2])) == [1, 2]


def test_a_module_that_python_cannot_import() -> None:
    module = ModuleType("streamsql.function.gone")
    exec(BODY, vars(module))
    made = module.Spread()
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(made)
    found = again(made)
    assert (found.pair.low, found.pair.high, found.kind, found.make()) == (1, 2, module.Pair, [])


def test_what_cannot_be_written() -> None:
    made = Plain()
    made.values = {"f": lambda: 1}
    with pytest.raises((pickle.PicklingError, AttributeError)):
        again(made)


def test_a_class_that_lost_an_attribute() -> None:
    class Narrow:
        __slots__ = ("other",)

        def accumulate(self, value: int) -> None: ...

    with pytest.raises(AttributeError):
        Accumulators(Narrow).loads(Accumulators(Slotted).dumps(Slotted()))

"""How the accumulator of a user's aggregate function is kept between batches and over a restart: pickled.

An accumulator is an instance of a class of the user's, with whatever attributes: JSON and Arrow have no
form for sets, decimals or a heap of tuples without being told their types, pickle has one for all. It is
one column of the state (BLOB), written with it in the same transaction. Its own class, and others of the
module that defines it, are named and not imported: a `$$ … $$` body has no module that Python could find
again, and a query keeps the version of the function that it was made with.

Pickle runs code when it is read, so a state directory is to be trusted like the script itself.
"""

from __future__ import annotations

import io
import pickle
import sys
from typing import Any

_PROTOCOL = 5
"""Fixed: a newer Python that takes the state over may have another default."""

_MAKING = ("__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__", "__new__")
"""A class with one of its own says itself how its instances are pickled."""


def named(name: str) -> Any:
    """Stands in a pickle for an object of the function's own module; '' is the class. Never runs."""
    raise pickle.UnpicklingError(f"{name!r} is read by another reader")


class Accumulators:
    """Writes and reads the instances of one class."""

    def __init__(self, cls: Any) -> None:
        self._class = cls
        self._module = cls.__module__
        own = getattr(cls, "accumulate", None)
        self._names: dict[str, Any] = getattr(own, "__globals__", None) or vars(sys.modules[self._module])
        self._plain = all(getattr(cls, m, None) is getattr(object, m, None) for m in _MAKING)
        self._takes = getattr(cls, "__setstate__", None)

    def dumps(self, accumulator: Any) -> bytes:
        """Raises what pickle does of something that it cannot write: a lock, a file, a generator, a lambda."""
        to = io.BytesIO()
        # the attributes alone, where they are all: naming the class anew costs as much again as they do
        _Writer(to, self).dump(accumulator.__getstate__() if self._plain else accumulator)
        return to.getvalue()

    def loads(self, data: bytes) -> Any:
        found = _Reader(io.BytesIO(data), self).load()
        return self._with_state(found) if self._plain else found

    def _with_state(self, state: Any) -> Any:
        """As `copyreg` has it: attributes, and those of slots as the second of a pair."""
        made = self._class.__new__(self._class)
        if self._takes is not None:
            self._takes(made, state)
            return made
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        for name, value in {**(attributes or {}), **(slots or {})}.items():
            setattr(made, name, value)
        return made

    def name_of(self, thing: Any) -> str | None:
        """By what `named` finds an object again; None for one of another module."""
        if thing is self._class:
            return ""
        if getattr(thing, "__module__", None) != self._module:
            return None
        name = getattr(thing, "__qualname__", "")
        return name if name and self._found(name) is thing else None

    def named(self, name: str) -> Any:
        return self._found(name) if name else self._class

    def _found(self, name: str) -> Any:
        first, *rest = name.split(".")
        found = self._names.get(first)
        for part in rest:
            found = getattr(found, part, None)
        return found


class _Writer(pickle.Pickler):
    def __init__(self, to: io.BytesIO, of: Accumulators) -> None:
        super().__init__(to, _PROTOCOL)
        self._of = of

    def reducer_override(self, thing: Any) -> Any:
        if not callable(thing):
            return NotImplemented
        name = self._of.name_of(thing)
        return NotImplemented if name is None else (named, (name,))


class _Reader(pickle.Unpickler):
    def __init__(self, data: io.BytesIO, of: Accumulators) -> None:
        super().__init__(data)
        self._of = of

    def find_class(self, module: str, name: str) -> Any:
        if module == __name__ and name == named.__name__:
            return self._of.named
        return super().find_class(module, name)

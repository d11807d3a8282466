"""What the parts of a group aggregate's state share: the groups' keys, and how one is found.

A group aggregate has one row a group. Beside it, where a call is no sum, a part keeps the group's
values (`_group_values`) or rows (`_group_rows`), and says after each batch how the row's columns change.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from streamsql.aggregates import Aggregate
from streamsql.core.node import Context
from streamsql.core.options import duration_ms
from streamsql.core.schema import quote
from streamsql.state.table import KEY, key_of

TTL = "table.exec.state.ttl"
Call = tuple[int, Aggregate]
"""A call and its number among those of the node."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of one operator.

    keys      the quoted names of the columns that tell groups apart
    rows      what to read the batch's rows from: they have the keys, and the hidden columns
    weighted  the rows have `$diff`
    arrival   the rows have `$watermark` and `$seq`
    """

    context: Context
    keys: tuple[str, ...]
    rows: str
    weighted: bool
    arrival: bool

    @property
    def listed(self) -> str:
        return ", ".join(self.keys)

    @property
    def hashed(self) -> str:
        """The `$key` of a row's group."""
        return key_of(self.keys)

    @property
    def ttl_ms(self) -> int:
        return duration_ms(self.context.settings.get(TTL, "0"))

    def same(self, a: str, b: str, more: Sequence[str] = ()) -> str:
        """The condition that rows of two relations are of one group."""
        keys = [f"{a}.{k} IS NOT DISTINCT FROM {b}.{k}" for k in (*self.keys, *more)]
        return " AND ".join([f"{a}.{quote(KEY)} = {b}.{quote(KEY)}", *keys])


class Part(ABC):
    """State beside the groups' rows, for some of the calls.

    alias  of the relation in which it gives, a row a group, what changed in the groups that the batch
           touches; groups may be missing in it
    """

    alias: str

    @property
    @abstractmethod
    def given(self) -> str:
        """The name of the input with that relation."""

    @abstractmethod
    def columns(self) -> dict[str, tuple[pa.DataType, str]]:
        """The columns of a group's row that the part keeps up: type, and the new value as text over `f`,
        the group's row so far (NULLs for none), and `alias`."""

    @abstractmethod
    def compute(self, groups: pa.Table) -> None:
        """Take up the batch; `groups` are the rows so far of the groups it touches. Changes no state."""

    @abstractmethod
    def store(self, now_ms: int) -> None:
        """Change the state as computed."""

    @abstractmethod
    def forget(self, now_ms: int) -> None:
        """Drop what was not used for longer than the time to live."""

    @abstractmethod
    def __len__(self) -> int:
        """Rows of state."""

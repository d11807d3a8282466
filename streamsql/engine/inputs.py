"""What a job reads and what it has counted: its scans as they run, and the numbers of the status line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from streamsql.core.batch import MIN_WATERMARK
from streamsql.core.node import Operator
from streamsql.engine.dataflow import Vertex
from streamsql.engine.reader import Reader, Reading
from streamsql.operators.scan import Scan, ScanStep


@dataclass(slots=True)
class Input:
    """A scan that runs: its vertex, its operator, its reader, and where it stands."""

    vertex: Vertex
    step: ScanStep
    reader: Reader
    node: Scan
    positions: dict[str, int] = field(default_factory=dict)
    last: Reading | None = None
    finished: bool = False


@dataclass(frozen=True, slots=True)
class JobStatistics:
    """Counters of a job since it started.

    watermark_us  event time in µs: None before it is known, MAX_WATERMARK at the end
    """

    rows_in: int = 0
    rows_out: int = 0
    lag_rows: int | None = None
    watermark_us: int | None = None
    late: int = 0
    errors: int = 0
    errors_by_reason: Mapping[str, int] = field(default_factory=dict)
    state_rows: int = 0
    epoch: int = 0
    skipped: int = 0
    expired: int = 0


def counted(
    inputs: Sequence[Input], operators: Iterable[Operator], late: int, errors: Mapping[str, int], epoch: int,
    expired: int = 0,
) -> JobStatistics:
    """The counters as they stand. errors: by reason, those of operators; the scans' own are added.
    expired: rows of state whose time to live had passed"""
    reasons: Counter[str] = Counter(errors)
    for given in inputs:
        reasons.update({k: v for k, v in given.step.statistics().items() if k not in ("rows", "skipped")})
    lags = [i.last.statistics.lag_rows for i in inputs if i.last is not None]
    known = [i.step.watermark_us for i in inputs if i.node.rowtime is not None]
    numbers = [operator.statistics() for operator in operators]
    watermark = min(known) if known else None
    return JobStatistics(
        rows_in=sum(i.last.statistics.rows for i in inputs if i.last is not None),
        rows_out=sum(int(n.get("rows_out", n.get("rows", 0))) for n in numbers),
        lag_rows=sum(lag for lag in lags if lag is not None) if any(lag is not None for lag in lags) else None,
        watermark_us=watermark if watermark != MIN_WATERMARK else None,
        late=late,
        errors=sum(reasons.values()),
        errors_by_reason=dict(reasons),
        state_rows=sum(int(n.get("state_rows", 0)) for n in numbers),
        epoch=epoch,
        skipped=sum(int(i.step.statistics().get("skipped", 0)) for i in inputs),
        expired=expired,
    )

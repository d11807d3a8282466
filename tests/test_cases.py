"""Every `.stream` file of `tests/cases`, in every mode that it does not opt out of with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamsql.testing import Case, Mode, read, run

FOLDER = Path(__file__).parent / "cases"
CASES = [read(path) for path in sorted(FOLDER.rglob("*.stream"))]


def _named(case: Case) -> str:
    return str(Path(case.origin).relative_to(FOLDER).with_suffix(""))


def _runs() -> list[object]:
    return [pytest.param(case, mode, id=f"{_named(case)}-{mode.value}")
            for case in CASES for mode in Mode if mode.reason_against(case) is None]


@pytest.mark.parametrize(("case", "mode"), _runs())
def test_case(case: Case, mode: Mode) -> None:
    run(case, mode)


@pytest.mark.parametrize("case", [c for c in CASES if Mode.KAFKA.reason_against(c) is None], ids=_named)
def test_case_on_a_real_broker(case: Case, broker: str) -> None:
    run(case, Mode.KAFKA, servers=broker)


@pytest.mark.parametrize("case", CASES, ids=_named)
def test_first_line_says_the_behaviour(case: Case) -> None:
    assert len(case.title.split()) >= 3, "the first line of a case is a comment that says its one behaviour"


@pytest.mark.parametrize("case", CASES, ids=_named)
def test_an_opt_out_names_a_mode_and_a_reason(case: Case) -> None:
    assert set(case.without) <= {mode.value for mode in Mode}
    assert all(len(reason.split()) >= 3 for reason in case.without.values())

"""`python -m tests.truth [DIR]`: every case of a folder against the answer recorded from Flink.

Stream cases are `*.json`, value vectors `*.jsonl`, at any depth. Prints each failure, a table by
area, and the line `N passed, N failed`; exits 1 if any failed.
"""

from __future__ import annotations

import functools
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.truth import streams

HERE = Path(__file__).parent

Check = Callable[[], None]


def checks(folder: Path) -> Iterator[tuple[str, str, Check]]:
    """(area, name, check); a check raises when the answer differs."""
    for path in sorted(folder.rglob("*.json")):
        case = json.loads(path.read_text())
        for way in streams.ways(case):
            yield case["area"], f"{case['name']} ({way})", functools.partial(streams.run, case, way)
    for path in sorted(folder.rglob("*.jsonl")):
        from tests.truth import vectors
        for line in path.read_text().splitlines():
            vector = json.loads(line)
            yield vector["group"], vector["id"], functools.partial(vectors.run, vector)


def main(folder: Path, only: str = "") -> int:
    passed, failed = Counter[str](), Counter[str]()
    for area, name, check in checks(folder):
        if only and only not in f"{area}/{name}":
            continue
        try:
            check()
        except Exception as error:  # noqa: BLE001 - a crash is a failure of its case, the others go on
            failed[area] += 1
            print(f"FAILED {area}/{name}: {type(error).__name__}: {error}")
        else:
            passed[area] += 1
    print(f"\n{'area':20} {'passed':>7} {'failed':>7}")
    for area in sorted({*passed, *failed}):
        print(f"{area:20} {passed[area]:7} {failed[area]:7}")
    print(f"\n{passed.total()} passed, {failed.total()} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE, *sys.argv[2:3]))

"""Every advisory lock has a number of its own: two uses of one would wait for each other for ever."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("adapters", "application", "api", "domain", "projections")


def test_no_two_advisory_locks_have_one_number() -> None:
    uses: dict[str, list[str]] = {}
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for number in re.findall(r"^(?:\w+_)?LOCK = (\d+)$", path.read_text(), re.M):
                uses.setdefault(number, []).append(str(path.relative_to(ROOT)))
    for path in (ROOT / "adapters").rglob("*.sql"):
        for number in set(re.findall(r"pg_advisory_\w*lock\((\d+)\)", path.read_text())):
            uses.setdefault(number, []).append("the append function")
    assert len(uses) >= 8
    assert {number: where for number, where in uses.items() if len(set(where)) > 1} == {}

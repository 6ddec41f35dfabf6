"""Everything is killed a few times under load, and nothing is lost, doubled, stuck or left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crashes.run import crash

VICTIMS = ("worker 1", "session", "api", "postgres", "everything")


@pytest.mark.timeout(400)
def test_a_few_kills_lose_nothing_double_nothing_and_leave_nothing_stuck(tmp_path: Path) -> None:
    """`make crashes` does it with 200 kills, and waits until dead workers are known to be dead."""
    told: list[str] = []
    outcome = crash(tmp_path, kills=5, seed=1, pause=0.05, senders=2, say=told.append, first=VICTIMS, patiently=False)
    assert outcome.wrong == [], (outcome, told)
    assert outcome.blows == dict.fromkeys(VICTIMS, 1)
    assert outcome.acknowledged > 0

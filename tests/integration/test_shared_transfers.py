"""Several worker processes share transfers; one is killed, one loses the database, and each file arrives once."""

from __future__ import annotations

from pathlib import Path

from tests.soak.sharing import share


def test_s49_s50_two_workers_of_which_one_dies_and_one_loses_the_database_deliver_everything_once(
    database: str, tmp_path: Path
) -> None:
    """`make four-workers` does it with 2 000 transfers and a minute."""
    told: list[str] = []
    outcome = share(tmp_path, database, files=30, workers=2, cut_seconds=0.0, say=told.append)
    assert [one for one in outcome.arrivals if not one.exactly_once] == [], (outcome, told)
    assert [one.wanted for one in outcome.arrivals] == [30, 30]
    assert outcome.cut_connections > 0
    assert all(outcome.carried.values()), "both had a part in it"

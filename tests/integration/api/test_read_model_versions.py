"""An API process beside a build of a read model, and after another release's has been swapped in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import httpx
import psycopg
import pytest

from projections.builds import LOCK_KEY
from tests.site import eventually, running_site


@pytest.fixture
def address(database: str, tmp_path: Path) -> Iterator[str]:
    with mock.patch("api.fitting.LOOK_SECONDS", 0.05), running_site(tmp_path, database, prepared=True) as site:
        yield site.url


def test_metrics_tell_of_a_build_in_another_process(address: str, database: str) -> None:
    assert "starferry_build_" not in httpx.get(f"{address}/metrics", timeout=60).text
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s, hashtext('frames'))", (LOCK_KEY,))
        other.execute(
            "INSERT INTO starferry.projection_build (name, version, position, target, rate) "
            "VALUES ('frames', 2, 1000000, 4000000, 12500.5)"
        )
        told = httpx.get(f"{address}/metrics", timeout=60).text.splitlines()
    assert 'starferry_build_position{projection="frames",version="2"} 1000000' in told
    assert 'starferry_build_target{projection="frames",version="2"} 4000000' in told
    assert 'starferry_build_events_per_second{projection="frames",version="2"} 12500.5' in told

    def stands_still() -> bool:
        stopped = 'starferry_build_events_per_second{projection="frames",version="2"} 0'
        return stopped in httpx.get(f"{address}/metrics", timeout=60).text.splitlines()

    eventually(stands_still, "a build that nobody works on has a rate")


def test_it_answers_503_as_long_as_another_releases_read_model_is_live(address: str, database: str) -> None:
    def frames() -> int:
        return httpx.get(f"{address}/frames/", timeout=60).status_code

    assert frames() == 200
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE starferry.projection SET version = version + 1 WHERE name = 'frames'")
        eventually(lambda: frames() == 503, "it serves from tables of another release")
        refused = httpx.get(f"{address}/api/v1/transfers", timeout=60)
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
        assert "another release" in refused.json()["detail"]
        ready = httpx.get(f"{address}/readyz", timeout=60)
        assert (ready.status_code, ready.json()["checks"]["read_models"]) == (503, False)
        assert httpx.get(f"{address}/healthz", timeout=60).status_code == 200
        assert httpx.get(f"{address}/metrics", timeout=60).status_code == 200
        connection.execute("UPDATE starferry.projection SET version = version - 1 WHERE name = 'frames'")
        eventually(lambda: frames() == 200, "it goes on refusing")
    assert httpx.get(f"{address}/readyz", timeout=60).json()["checks"]["read_models"] is True

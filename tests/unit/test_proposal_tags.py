"""G12: the portal's tags decide first when a frame becomes public, and its outages don't stop an ingest."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from structlog.testing import capture_logs

from adapters.fits.reader import FitsReader
from adapters.portal.exchange import PortalHttp
from adapters.portal.tags import GOOD_SECONDS, RETRY_SECONDS, PortalTags
from api.settings import Settings
from domain.errors import Misconfigured
from tests.emulators.portal import SERVICE_TOKEN, RunningPortal, running_portal
from tests.unit.fits.fits_files import plain

PROPOSAL = "TST2024A-001"
OBSERVED = datetime(2024, 5, 17, 3, 12, 45, 678000, UTC)


class Seconds:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def portal() -> Iterator[RunningPortal]:
    with running_portal() as running:
        yield running


def tags_of(
    portal: RunningPortal, clock: Seconds | None = None, token: str = SERVICE_TOKEN, timeout: float = 30.0
) -> PortalTags:
    return PortalTags(PortalHttp(timeout=timeout, pause=0.0), portal.url, token, now=clock or Seconds())


def public(tmp_path: Path, tags: PortalTags, **cards: Any) -> timedelta:
    folder = tmp_path / secrets.token_hex(4)
    folder.mkdir()
    path = plain(folder, **cards)
    found = FitsReader(proposal_tags=tags).describe(path, path.name).record.public_date
    assert found is not None
    return found - OBSERVED


@pytest.mark.parametrize(
    ("tags", "days"),
    [(["private"], 999 * 365), (["internal", "public"], 999 * 365), (["public"], 0), (["student"], 365)],
)
def test_g12_a_tag_of_the_portal_decides_before_all_other_rules(
    portal: RunningPortal, tmp_path: Path, tags: list[str], days: int
) -> None:
    portal.emulator.tags[PROPOSAL] = tags
    assert public(tmp_path, tags_of(portal)) == timedelta(days=days)
    if days > 365:
        assert public(tmp_path, tags_of(portal), OBSTYPE="BIAS") == timedelta(days=days)


@pytest.mark.parametrize("fault", [{"status": 500}, {"close": "before"}, {"status": 200, "body": "<"}, {"stall": 4.0}])
def test_g12_an_outage_leaves_it_to_the_other_rules(
    portal: RunningPortal, tmp_path: Path, fault: dict[str, Any]
) -> None:
    portal.emulator.tags[PROPOSAL] = ["public"]
    with portal.outage(**fault), capture_logs() as logs:
        assert public(tmp_path, tags_of(portal, timeout=2.0)) == timedelta(days=365)
    assert any(entry["log_level"] == "warning" for entry in logs)
    assert SERVICE_TOKEN not in str(logs)


def test_g12_a_portal_that_is_not_there_or_refuses_leaves_it_to_the_other_rules(
    portal: RunningPortal, tmp_path: Path
) -> None:
    nobody = PortalTags(PortalHttp(timeout=2.0), "http://127.0.0.1:9", SERVICE_TOKEN)
    assert public(tmp_path, nobody) == timedelta(days=365)
    assert public(tmp_path, tags_of(portal, token="wrong")) == timedelta(days=365)
    assert public(tmp_path, tags_of(portal)) == timedelta(days=365), "a proposal that the portal doesn't know"


def test_g12_answers_are_kept_and_outlive_an_outage(portal: RunningPortal) -> None:
    portal.emulator.tags["P/1 é"] = ["private"]
    clock = Seconds()
    tags = tags_of(portal, clock)
    assert [tags("P/1 é") for _ in range(5)] == [{"private"}] * 5
    asked = portal.calls("/api/proposals/")
    assert asked == 2, "one question, and the redirect to the slash"
    clock.now += GOOD_SECONDS
    with portal.outage():
        assert tags("P/1 é") == {"private"}, "what the portal said last"
        during = portal.calls("/api/proposals/")
        assert tags("P/1 é") == {"private"}
        assert portal.calls("/api/proposals/") == during, "not asked for each frame"
    portal.emulator.tags["P/1 é"] = ["public"]
    clock.now += RETRY_SECONDS
    assert tags("P/1 é") == {"public"}


def test_g12_the_token_is_not_sent_to_another_host_nor_taken_from_netrc(
    portal: RunningPortal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    portal.emulator.tags["P"] = ["public"]
    assert tags_of(portal)("P") == {"public"}
    with running_portal() as other:
        moved = {"status": 302, "headers": {"Location": f"{other.url}/api/proposals/P/"}}
        with portal.outage(**moved):
            assert tags_of(portal)("P") == set()
        assert requests.get(f"{other.url}/_emulator/log", timeout=5).status_code == 200
        assert other.calls("/api/") == 0


@pytest.mark.parametrize("text", ["portal.example.org", "ftp://x", "http://", "https://user:pw@portal.example.org"])
def test_g12_an_address_that_cannot_be_right_stops_the_start(text: str) -> None:
    with pytest.raises(Misconfigured, match="OBSERVATION_PORTAL_BASE_URL"):
        Settings({"OBSERVATION_PORTAL_BASE_URL": text})

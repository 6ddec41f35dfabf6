"""Limits of a destination, set and seen over HTTP (S59)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.api.deliveries import create, folder_body, observe, transfers
from tests.integration.api.test_own_ingest import is_problem
from tests.records import fits_bytes, new_name
from tests.site import Site, eventually


def delivered(site: Site, number: int, count: int) -> list[dict[str, Any]]:
    """The transfers of an observation, once so many are completed."""

    def look() -> list[dict[str, Any]] | None:
        rows = transfers(site.user, observation=number, status="completed")
        return rows if len(rows) == count else None

    found = eventually(look, f"the copies didn't arrive: {transfers(site.user, observation=number)}")
    assert found is not None
    return found


def test_s59_limits_are_set_shown_changed_and_lifted(site: Site) -> None:
    config = create(site.user, folder_body(site, max_transfers=2, max_bytes_per_second=1_000_000))
    route = f"/api/v1/storage-configs/{config['id']}"
    assert (config["max_transfers"], config["max_bytes_per_second"]) == (2, 1_000_000)
    edited = site.user.patch(route, json={"max_transfers": 1}).json()
    assert (edited["max_transfers"], edited["max_bytes_per_second"]) == (1, 1_000_000)
    lifted = site.user.patch(route, json={"max_transfers": None, "max_bytes_per_second": None}).json()
    assert (lifted["max_transfers"], lifted["max_bytes_per_second"]) == (None, None)
    unlimited = create(site.user, folder_body(site))
    assert (unlimited["max_transfers"], unlimited["max_bytes_per_second"]) == (None, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_transfers", 0), ("max_transfers", 33), ("max_bytes_per_second", 100), ("max_bytes_per_second", 1 << 60)],
)
def test_s59_limits_that_cannot_be_right_are_refused_and_named(site: Site, field: str, value: int) -> None:
    before = site.events()
    problem = is_problem(site.user.post("/api/v1/storage-configs", json=folder_body(site, **{field: value})), 400)
    assert problem["field"] == field
    assert site.events() == before


def test_s59_a_limited_destination_gets_one_file_after_the_other_and_all_of_them(site: Site) -> None:
    config = create(site.user, folder_body(site, max_transfers=1))["id"]
    number = observe(site.user, config)
    for _ in range(6):
        site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
    rows = delivered(site, number, 6)
    streams = {f"transfer:{row['id']}" for row in rows}
    told = [
        recorded.event.topic.removeprefix("transfer.")
        for recorded in site.core.log.read(0, 100_000).events
        if recorded.stream in streams and recorded.event.topic != "transfer.requested"
    ]
    assert told == ["started", "completed"] * 6, "never two at a time"
    assert list(site.core.limits.waiting()) == []

"""S26: data keys of many configurations move to another master key, again and again, while transfers use them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.vault.keyring import parse
from adapters.vault.postgres_vault import PostgresVault
from tests.emulators.gcs import RunningGcs
from tests.integration.api.deliveries import create, gcs_body, observe
from tests.postgres import fresh_database
from tests.records import fits_bytes, new_name
from tests.site import Site, eventually, running_site

OLD, NEW = (f"{name}:{base64.b64encode(name.encode() * 11)[:43].decode()}=" for name in ("old", "new"))
CONFIGS, FILES = 25, 3


@pytest.fixture
def two_keys_site(cluster: str, template: str, gcs: RunningGcs, tmp_path: Path) -> Iterator[Site]:
    environment = {
        "STARFERRY_GCS_URL": gcs.url,
        "STARFERRY_MASTER_KEYS": f"{NEW},{OLD}",
        "STARFERRY_RETRY_SCHEDULE": "0.1,0.1,0.1",
    }
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(tmp_path, conninfo, environment, prepared=True) as running,
    ):
        yield running


def test_s26_no_transfer_fails_while_the_keys_of_many_configurations_rotate(
    two_keys_site: Site, gcs: RunningGcs
) -> None:
    site = two_keys_site
    account: dict[str, Any] = gcs.emulator.new_account("rotating@emulated.iam.gserviceaccount.com")
    configs = [create(site.user, gcs_body(gcs, account))["id"] for _ in range(CONFIGS)]
    vaults = [PostgresVault(site.core.pool, parse(keys, "the test")) for keys in (f"{OLD},{NEW}", f"{NEW},{OLD}")]
    assert vaults[0].rewrap(lambda _: None) == CONFIGS
    number = observe(site.user, *configs)
    for _ in range(FILES):
        site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
    moved: list[int] = []

    def rotate_until_all_arrived() -> bool:
        moved.extend(vault.rewrap(lambda _: None) for vault in reversed(vaults))
        return count(site, "transfer.completed") == CONFIGS * FILES

    eventually(rotate_until_all_arrived, "the copies didn't arrive", seconds=60.0)
    assert sum(moved) > 2 * CONFIGS, "keys were moved to and fro while transfers ran"
    assert count(site, "transfer.attempt_failed") == count(site, "transfer.failed") == 0
    assert count(site, "transfer.started") == CONFIGS * FILES
    vaults[1].rewrap(lambda _: None)
    assert site.core.vault.in_use() == {"new": CONFIGS}
    assert all(PostgresVault(site.core.pool, parse(NEW, "the test")).get(config) for config in configs)


def count(site: Site, topic: str) -> int:
    """How many events of a topic there are."""
    with site.core.pool.connection() as connection:
        row = connection.execute(
            "SELECT count(*) FROM starferry.starferry_events WHERE topic = %s", (topic,)
        ).fetchone()
    return int(row[0]) if row else 0

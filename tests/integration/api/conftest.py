"""The running site that the tests of this folder share, one a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import fresh_database, start_test_cluster
from tests.site import Site, running_site


@pytest.fixture(scope="session")
def api_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = start_test_cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(scope="module")
def site(api_cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    destinations = folder / "destinations"
    destinations.mkdir()
    environment = {"STARFERRY_FOLDER_ROOTS": str(destinations), "STARFERRY_RETRY_SCHEDULE": "0.1,0.1,0.1"}
    with fresh_database(api_cluster) as conninfo, running_site(folder, conninfo, environment) as running:
        yield running

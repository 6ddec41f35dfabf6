"""The running site that the tests of this folder share, one a module, and the Cloud Storage that all sites know."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.emulators.gcs import RunningGcs, running_gcs
from tests.postgres import fresh_database, start_test_cluster
from tests.site import Site, running_site


@pytest.fixture(scope="session")
def api_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = start_test_cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGcs]:
    with running_gcs(tmp_path_factory.mktemp("gcs")) as running:
        yield running


@pytest.fixture(scope="module")
def site(api_cluster: str, gcs: RunningGcs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    destinations = folder / "destinations"
    destinations.mkdir()
    environment = {
        "STARFERRY_FOLDER_ROOTS": str(destinations),
        "STARFERRY_RETRY_SCHEDULE": "0.1,0.1,0.1",
        "STARFERRY_GCS_URL": gcs.url,
    }
    with fresh_database(api_cluster) as conninfo, running_site(folder, conninfo, environment) as running:
        yield running

"""The running site that the tests of this folder share, one a module, and the Cloud Storage that all sites know."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest

from api import links
from tests.emulators.dropbox import RunningDropbox, running_dropbox
from tests.emulators.gcs import RunningGcs, running_gcs
from tests.emulators.google_drive import RunningDrive, running_drive
from tests.postgres import fresh_database
from tests.rabbitmq import RabbitNode, running_rabbitmq
from tests.site import Site, running_site


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGcs]:
    with running_gcs(tmp_path_factory.mktemp("gcs")) as running:
        yield running


@pytest.fixture(scope="session")
def dropbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDropbox]:
    with running_dropbox(tmp_path_factory.mktemp("dropbox")) as running:
        yield running


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDrive]:
    with running_drive(tmp_path_factory.mktemp("drive")) as running:
        yield running


@pytest.fixture(scope="session")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """A message broker; tests that stop it start it again."""
    with running_rabbitmq(tmp_path_factory.mktemp("rabbit")) as node:
        yield node


@pytest.fixture(scope="module")
def site(
    cluster: str,
    template: str,
    gcs: RunningGcs,
    dropbox: RunningDropbox,
    drive: RunningDrive,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    folder, until = tmp_path_factory.mktemp("site"), links._end()
    destinations = folder / "destinations"
    destinations.mkdir()
    environment = {
        "STARFERRY_FOLDER_ROOTS": str(destinations),
        "STARFERRY_RETRY_SCHEDULE": "0.1,0.1,0.1",
        "STARFERRY_GCS_URL": gcs.url,
        "STARFERRY_SITE_ID_LENGTH": "32",  # tests mark their frames by such codes
        "STARFERRY_TELESCOPE_ID_LENGTH": "32",
        "STARFERRY_DROPBOX_URL": dropbox.url,
        "STARFERRY_GOOGLE_DRIVE_URL": drive.url,
        "STARFERRY_GOOGLE_OAUTH_URL": drive.url,
        "STARFERRY_S3_NETWORKS": "127.0.0.0/8",
    }
    with (
        # answers of two moments are compared, and links would change with the hour
        mock.patch.object(links, "_end", return_value=until),
        fresh_database(cluster, template=template) as conninfo,
        running_site(folder, conninfo, environment, prepared=True) as running,
    ):
        yield running

"""What every test may ask for: a running server, and a database of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import fresh_database, start_test_cluster, template_database

# The suite tries the same examples each time, however slow the machine: who changed something is judged by that alone.
# `make properties` searches for new ones.
settings.register_profile(
    "suite", derandomize="SEARCH" not in os.environ, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")


LONG = (
    "test_notices_kill9", "test_crashes", "test_fuzz", "test_whole_system", "test_upgrade", "test_rebuild", "test_cli",
    "test_loading", "test_kill9", "test_time_travel", "test_one_object",
)  # fmt: skip
"""Modules of many seconds. They begin first: one that begins last keeps the other processes waiting at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long modules first, in their order; the others as they are."""
    order = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(scope="session", autouse=True)
def logging_stays_as_tests_want_it() -> Iterator[None]:
    """Commands that a test calls within its own process don't set up logging for all that come after them."""
    with mock.patch("api.cli.opening.configure_logging"), mock.patch("api.cli.ingest.configure_logging"):
        yield


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The conninfo of a fast PostgreSQL that lives as long as the test run. It listens on a unix socket."""
    server = start_test_cluster(tmp_path_factory.mktemp("postgres") / "server")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def template(cluster: str) -> Iterator[str]:
    """The name of a migrated database to copy."""
    with template_database(cluster) as name:
        yield name


@pytest.fixture
def database(cluster: str, template: str) -> Iterator[str]:
    """The conninfo of a database of this test's own, with all migrations and the job queue."""
    with fresh_database(cluster, template=template) as conninfo:
        yield conninfo

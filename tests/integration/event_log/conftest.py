"""A log with a bit of everything, made once and copied for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg.conninfo import conninfo_to_dict

from adapters.event_store.log import PostgresEventLog
from adapters.event_store.seals import Sealer
from tests.integration.event_log.stories import Story
from tests.postgres import fresh_database

SEGMENT = 10


@pytest.fixture(scope="module")
def kept(cluster: str, template: str) -> Iterator[str]:
    """A log of some 95 events in segments of ten, the last five not sealed: only to be read."""
    with fresh_database(cluster, template=template) as conninfo:
        log = PostgresEventLog(conninfo)
        story = Story(log)
        story.fill(40)
        Sealer(conninfo, segment=SEGMENT).seal_all()
        for number in range(5):
            story.frame(f"late{number}")
        log.append_tracked((), "policy:DeliverToDestinations", log.head() - 2)
        log.close()
        yield conninfo


@pytest.fixture
def sealed(cluster: str, kept: str) -> Iterator[str]:
    """The same, to be changed."""
    with fresh_database(cluster, template=str(conninfo_to_dict(kept)["dbname"])) as conninfo:
        yield conninfo


@pytest.fixture
def log(sealed: str) -> Iterator[PostgresEventLog]:
    """The same, opened."""
    log = PostgresEventLog(sealed)
    yield log
    log.close()


@pytest.fixture
def empty(cluster: str, template: str) -> Iterator[str]:
    """Another store."""
    with fresh_database(cluster, template=template) as conninfo:
        yield conninfo


@pytest.fixture
def empty_log(empty: str) -> Iterator[PostgresEventLog]:
    """The same, opened."""
    log = PostgresEventLog(empty)
    yield log
    log.close()

"""S59: a real worker on the real queue, with a destination whose uploads hang."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import msgspec

from adapters.jobs.limits import PostgresLimits
from adapters.jobs.worker import run_worker
from application.fair_share import places_for
from application.ferry import Ferry
from application.ports.destination import Destination
from domain.storage_configs import StorageConfig
from domain.transfer_events import TransferStarted
from domain.transfers import destination_of
from tests.integration.api.deliveries import create, folder_body, observe, transfers
from tests.records import fits_bytes, new_name
from tests.site import Site, eventually

CONCURRENCY, SLOW_FILES, OTHER_FILES = 2, 12, 3


class Hanging:
    """An OpenDestination that lets nobody through to one configuration until it is told to."""

    def __init__(self, site: Site, slow: str) -> None:
        self._open = site.core.destinations
        self._slow = slow
        self.free = threading.Event()
        self.most = self.now = 0
        self._guard = threading.Lock()

    @contextmanager
    def _slowly(self, config: StorageConfig, secrets: Mapping[str, str]) -> Iterator[Destination]:
        with self._guard:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            assert self.free.wait(30.0)
            with self._open(config, secrets) as destination:
                yield destination
        finally:
            with self._guard:
                self.now -= 1

    def __call__(self, config: StorageConfig, secrets: Mapping[str, str]) -> AbstractContextManager[Destination]:
        return self._slowly(config, secrets) if config.id == self._slow else self._open(config, secrets)

    def check(self, *arguments: Any) -> None:
        """Not asked by workers."""


@contextmanager
def working(site: Site, ferry: Ferry) -> Iterator[None]:
    """A worker beside the site, whose own is paused."""
    loop = asyncio.new_event_loop()

    async def work() -> None:
        await run_worker(
            site.core.conninfo,
            ferry.go_on,
            site.core.send_notice,
            dict,
            places=places_for(CONCURRENCY),
            sweep_seconds=60.0,
        )

    task = loop.create_task(work())
    thread = threading.Thread(target=_until_cancelled, args=(loop, task), name="worker")
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(timeout=20)
        assert not thread.is_alive()


def _until_cancelled(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    try:
        loop.run_until_complete(asyncio.wait([task]))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def statuses(site: Site, config: str) -> list[str]:
    """Of all transfers to a destination."""
    return [row["status"] for row in transfers(site.user, storage_config=config)]


def test_s59_a_destination_whose_uploads_hang_starves_nobody_and_loses_nothing(site: Site) -> None:
    slow, other = (create(site.user, folder_body(site))["id"] for _ in range(2))
    hanging = Hanging(site, slow)
    limits = PostgresLimits(site.core.conninfo, site.core.pool, places_for(CONCURRENCY))
    ferry = msgspec.structs.replace(site.core.ferry("test-worker-2"), open_destination=hanging, limits=limits)
    site.jobs.paused.set()
    try:
        for config, files in ((slow, SLOW_FILES), (other, OTHER_FILES)):
            number = observe(site.user, config)
            for _ in range(files):
                site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
            eventually(lambda: len(statuses(site, config)) == files, "not requested")  # noqa: B023
            site.core.jobs.nudge([(row["id"], None) for row in transfers(site.user, storage_config=config)])
        with working(site, ferry):
            eventually(lambda: statuses(site, other) == ["completed"] * OTHER_FILES, "the other one was starved")
            held = ["in_progress"] * CONCURRENCY + ["pending"] * (SLOW_FILES - CONCURRENCY)
            eventually(lambda: sorted(statuses(site, slow)) == held, "the slow one has other places")
            hanging.free.set()
            eventually(lambda: statuses(site, slow) == ["completed"] * SLOW_FILES, "those that waited were lost")
        assert hanging.most == CONCURRENCY
    finally:
        hanging.free.set()
        site.jobs.paused.clear()
        limits.close()


def test_s59_a_transfer_to_a_quiet_destination_begins_before_a_burst_to_another_is_through(site: Site) -> None:
    busy, quiet = (create(site.user, folder_body(site))["id"] for _ in range(2))
    limits = PostgresLimits(site.core.conninfo, site.core.pool, places_for(CONCURRENCY))
    ferry = msgspec.structs.replace(site.core.ferry("test-worker-3"), limits=limits)
    site.jobs.paused.set()
    try:
        for config, files in ((busy, SLOW_FILES), (quiet, 1)):
            number = observe(site.user, config)
            for _ in range(files):
                site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
            eventually(lambda: len(statuses(site, config)) == files, "not requested")  # noqa: B023
            site.core.jobs.nudge([(row["id"], None) for row in transfers(site.user, storage_config=config)])
        before = site.events()
        with working(site, ferry):
            eventually(lambda: statuses(site, busy) == ["completed"] * SLOW_FILES, "the burst isn't through")
            eventually(lambda: statuses(site, quiet) == ["completed"], "the quiet one isn't through")
        events = site.core.log.read(before, 1000).events
        begun = [destination_of(event.stream) for event in events if isinstance(event.event, TransferStarted)]
        assert begun.index(quiet) <= places_for(CONCURRENCY), "first in, first out, it would be the last"
    finally:
        site.jobs.paused.clear()
        limits.close()

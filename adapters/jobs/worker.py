"""The worker process: carries transfers and sends notices in threads, and sweeps now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import procrastinate
import structlog

from adapters.jobs.queue import CARRY, NOTICES, QUEUE, SEARCH_PATH, SEND

logger = structlog.get_logger()

SENDERS = 4
"""Notices that are sent at a time: a receiver that doesn't answer takes its time."""


LOOKERS = 2
"""Threads beyond those that can carry at a time: a job is looked at, and put where it waits, however many carry."""
GO_ON_SECONDS = 1.0
"""How soon a worker with a free place sees what waits because others' places, not its own, were taken."""


async def run_worker(
    conninfo: str,
    carry: Callable[[str], None],
    send: Callable[[str], None],
    sweep: Callable[[], dict[str, int]],
    *,
    go_on: Callable[[], None],
    places: int = 8,
    sweep_seconds: float = 60.0,
) -> None:
    """Work until cancelled. `carry`, `send`, `go_on` and `sweep` block and run in threads of their own; of `carry` and
    `go_on`, no more than `places` at a time are expected to take long."""
    connector = procrastinate.PsycopgConnector(conninfo=conninfo, kwargs={"options": SEARCH_PATH}, min_size=1)
    app = procrastinate.App(connector=connector)
    carriers = ThreadPoolExecutor(places + LOOKERS, thread_name_prefix="carry")
    senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="send")
    going_on: set[asyncio.Future[None]] = set()

    @app.task(name=CARRY, queue=QUEUE)
    async def carry_transfer(transfer: str) -> None:
        await asyncio.get_running_loop().run_in_executor(carriers, carry, transfer)

    @app.task(name=SEND, queue=NOTICES)
    async def send_notice(notice: str) -> None:
        await asyncio.get_running_loop().run_in_executor(senders, send, notice)

    def working(queue: str, at_a_time: int) -> Coroutine[Any, Any, None]:
        return app.run_worker_async(
            queues=[queue],
            concurrency=at_a_time,
            delete_jobs="always",
            listen_notify=True,
            fetch_job_polling_interval=5.0,
            install_signal_handlers=False,
            shutdown_graceful_timeout=5.0,
        )

    async def keep_sweeping() -> None:
        while True:
            try:
                counts = await asyncio.to_thread(sweep)
                if any(counts.values()):
                    logger.info("swept", **counts)
            except Exception:
                logger.exception("sweep failed; the next one follows")
            await asyncio.sleep(sweep_seconds)

    async def keep_going_on() -> None:
        while True:
            if len(going_on) < places:
                begun = asyncio.get_running_loop().run_in_executor(carriers, go_on)
                going_on.add(begun)
                begun.add_done_callback(_ended)
            await asyncio.sleep(GO_ON_SECONDS)

    def _ended(ended: asyncio.Future[None]) -> None:
        going_on.discard(ended)
        if not ended.cancelled() and (error := ended.exception()) is not None:
            logger.warning("what waits for a place could not be carried on", error=type(error).__name__)

    async with app.open_async():
        others = [asyncio.create_task(keep_sweeping()), asyncio.create_task(keep_going_on())]
        try:
            await asyncio.gather(working(QUEUE, places + LOOKERS), working(NOTICES, SENDERS))
        finally:
            for other in others:
                other.cancel()
            for threads in (carriers, senders):
                threads.shutdown(wait=False, cancel_futures=True)

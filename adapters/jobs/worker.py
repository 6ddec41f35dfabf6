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


async def run_worker(
    conninfo: str,
    carry: Callable[[str], None],
    send: Callable[[str], None],
    sweep: Callable[[], dict[str, int]],
    *,
    concurrency: int = 4,
    sweep_seconds: float = 60.0,
) -> None:
    """Work until cancelled. `carry`, `send` and `sweep` block and run in threads of their own."""
    connector = procrastinate.PsycopgConnector(conninfo=conninfo, kwargs={"options": SEARCH_PATH}, min_size=1)
    app = procrastinate.App(connector=connector)
    carriers = ThreadPoolExecutor(concurrency, thread_name_prefix="carry")
    senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="send")

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

    async with app.open_async():
        sweeping = asyncio.create_task(keep_sweeping())
        try:
            await asyncio.gather(working(QUEUE, concurrency), working(NOTICES, SENDERS))
        finally:
            sweeping.cancel()
            for threads in (carriers, senders):
                threads.shutdown(wait=False, cancel_futures=True)

"""The worker process: carries transfers in threads, and sweeps now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import procrastinate
import structlog

from adapters.jobs.queue import CARRY, QUEUE, SEARCH_PATH

logger = structlog.get_logger()


async def run_worker(
    conninfo: str,
    carry: Callable[[str], None],
    sweep: Callable[[], dict[str, int]],
    *,
    concurrency: int = 4,
    sweep_seconds: float = 60.0,
) -> None:
    """Work until cancelled. `carry` and `sweep` block and run in threads of their own."""
    connector = procrastinate.PsycopgConnector(conninfo=conninfo, kwargs={"options": SEARCH_PATH}, min_size=1)
    app = procrastinate.App(connector=connector)
    carriers = ThreadPoolExecutor(concurrency, thread_name_prefix="carry")

    @app.task(name=CARRY, queue=QUEUE)
    async def carry_transfer(transfer: str) -> None:
        await asyncio.get_running_loop().run_in_executor(carriers, carry, transfer)

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
            await app.run_worker_async(
                queues=[QUEUE],
                concurrency=concurrency,
                delete_jobs="always",
                listen_notify=True,
                fetch_job_polling_interval=5.0,
                install_signal_handlers=False,
                shutdown_graceful_timeout=5.0,
            )
        finally:
            sweeping.cancel()
            carriers.shutdown(wait=False, cancel_futures=True)

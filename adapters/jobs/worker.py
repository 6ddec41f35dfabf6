"""The worker process: carries transfers and sends notices in threads, and sweeps now and then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import procrastinate
import psycopg
import structlog

from adapters.jobs.queue import NOTICES, SEARCH_PATH, SEND
from adapters.jobs.waiting import CHANNEL

logger = structlog.get_logger()

SENDERS = 4
"""Notices that are sent at a time: a receiver that doesn't answer takes its time."""
GO_ON_SECONDS = 1.0
"""How soon a worker sees what becomes due, and what waits because others' places, not its own, were taken."""

GoOn = Callable[[Callable[[], None]], None]


class Carriers:
    """Threads that carry what waits, `places` at most. One begins when somebody knocks, and a further one whenever one
    has found something. Belongs to one event loop."""

    def __init__(self, go_on: GoOn, places: int) -> None:
        self._go_on = go_on
        self._places = places
        self._threads = ThreadPoolExecutor(places, thread_name_prefix="carry")
        self._going: set[asyncio.Future[None]] = set()
        self._knocked = self._closed = False
        self._loop = asyncio.get_running_loop()

    def knock(self) -> None:
        """Something may wait. With all threads under way the next to end looks again: it may have looked before."""
        self._knocked = len(self._going) >= self._places
        if not self._knocked and not self._closed:
            going = self._loop.run_in_executor(self._threads, self._go_on, self._another)
            self._going.add(going)
            going.add_done_callback(self._ended)

    def close(self) -> None:
        """Begin nothing more."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _another(self) -> None:
        """From a thread, which may outlive the loop."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.knock)

    def _ended(self, ended: asyncio.Future[None]) -> None:
        self._going.discard(ended)
        if ended.cancelled():
            return
        if (error := ended.exception()) is not None:
            logger.warning("what waits could not be carried", error=type(error).__name__)
        elif self._knocked:
            self.knock()


async def run_worker(
    conninfo: str,
    go_on: GoOn,
    send: Callable[[str], None],
    sweep: Callable[[], dict[str, int]],
    *,
    places: int = 8,
    sweep_seconds: float = 60.0,
) -> None:
    """Work until cancelled. `go_on`, `send` and `sweep` block and run in threads of their own; `go_on` carries what
    waits and calls what it is given with each transfer that it found."""
    connector = procrastinate.PsycopgConnector(conninfo=conninfo, kwargs={"options": SEARCH_PATH}, min_size=1)
    app = procrastinate.App(connector=connector)
    carriers = Carriers(go_on, places)
    senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="send")

    @app.task(name=SEND, queue=NOTICES)
    async def send_notice(notice: str) -> None:
        await asyncio.get_running_loop().run_in_executor(senders, send, notice)

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
            carriers.knock()
            await asyncio.sleep(GO_ON_SECONDS)

    async with app.open_async():
        tasks = (keep_sweeping(), keep_going_on(), _listen(conninfo, carriers.knock))
        others = [asyncio.create_task(task) for task in tasks]
        try:
            await app.run_worker_async(
                queues=[NOTICES],
                concurrency=SENDERS,
                delete_jobs="always",
                listen_notify=True,
                fetch_job_polling_interval=5.0,
                install_signal_handlers=False,
                shutdown_graceful_timeout=5.0,
            )
        finally:
            for other in others:
                other.cancel()
            carriers.close()
            senders.shutdown(wait=False, cancel_futures=True)


async def _listen(conninfo: str, knock: Callable[[], None]) -> None:
    """Knock whenever a transfer has become due. Without a connection those are found by looking now and then."""
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
                await connection.execute(f"LISTEN {CHANNEL}".encode())
                knock()
                async for _ in connection.notifies():
                    knock()
        except psycopg.OperationalError:
            logger.debug("nobody tells what becomes due; connecting again")
        await asyncio.sleep(GO_ON_SECONDS)

"""The processes: `up` runs them all, `api`, `projections` and `worker` one each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import rich_click as click
import structlog

from api.cli.leading import lead
from api.cli.migrate import build_read_models, needs_building
from api.cli.opening import data_option, opened, settings_for
from api.cli.stopping import Stop
from api.cli.supervisor import Supervisor, only_one
from api.database import kept_database, opened_database
from api.operations import periodic_retention, transfer_expiry
from api.settings import Settings
from application.fair_share import places_for
from domain.errors import Misconfigured
from projections.awaited import CHANNEL as AWAITED
from projections.runner import ProjectionRunner

logger = structlog.get_logger()

host_option: Callable[..., Callable[..., None]] = click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on."
)
port_option: Callable[..., Callable[..., None]] = click.option(
    "--port", default=8000, show_default=True, help="Port to listen on."
)


@click.command()
@host_option
@port_option
@data_option
def up(host: str, port: int, data: Path | None) -> None:
    """Run everything: database (unless one is set), API, read models, policies and a worker."""
    settings = settings_for(data)
    with _supervised(settings, host, port) as supervisor:
        click.echo(f"Starferry is ready at {supervisor.address}/ (data in {settings.data}). Ctrl-C stops it.")
        supervisor.wait()


@click.command()
@host_option
@port_option
@click.option("--share-port", is_flag=True, help="Let other API processes of this host listen on the same port.")
@data_option
def api(host: str, port: int, share_port: bool, data: Path | None) -> None:
    """Run one API process."""
    import uvicorn

    from api.app import create_app
    from api.http_server import HttpServer, shared_socket

    settings = settings_for(data)
    with opened_database(settings) as conninfo:
        app = create_app(settings, conninfo)
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=5,
            # Longer than the clients and proxies that keep their connections,
            # so that none sends a request into one being closed.
            timeout_keep_alive=75,
            server_header=False,
            forwarded_allow_ips=settings.texts["STARFERRY_TRUSTED_PROXIES"],
        )
        HttpServer(app, config).run_alone(shared_socket(host, port) if share_port else None)


@click.command()
@data_option
def worker(data: Path | None) -> None:
    """Run one worker process: it carries transfers and sweeps up what got stuck."""
    from adapters.jobs.memory import share_one_arena
    from adapters.jobs.worker import run_worker
    from adapters.jobs.workers import WorkerIdentity

    share_one_arena()
    with opened(data, serving=True) as core:
        identity = WorkerIdentity(core.conninfo)
        ferry, sweep, retention = core.ferry(identity.name), core.sweep(), periodic_retention(core)
        expiry, sessions, secrets = transfer_expiry(core), core.session_cleaning(), core.secret_cleaning()

        def settle_and_sweep() -> dict[str, int]:
            ferry.settle()
            return {
                **sweep.run(),
                "expired": retention.run(),
                "forgotten": expiry.run(),
                "notices": core.sweep_notices(),
                "sessions": sessions.run(),
                "secrets": secrets.run(),
                "abandoned": core.jobs.forget_abandoned(),
            }

        try:
            asyncio.run(
                _until_stopped(
                    run_worker(
                        core.conninfo,
                        ferry.go_on,
                        core.send_notice,
                        settle_and_sweep,
                        places=places_for(core.settings["STARFERRY_WORKERS"]),
                        sweep_seconds=core.settings["STARFERRY_SWEEP_SECONDS"],
                    )
                )
            )
        finally:
            identity.close()
    # carriers that still upload are abandoned: the lock is gone, so another worker goes on where they were
    os._exit(0)


def run_projections(data: Path | None) -> None:
    """Keep the read models up to date and drive the policies, until stopped."""
    stopped = Stop().on_signals()
    with opened(data, serving=True) as core:
        runner, engine, wakeup = core.projection_runner(), core.policy_engine(), core.wakeup()
        sealer = core.sealer()
        wakeup.on_growth(runner.wake)
        wakeup.on_growth(engine.wake)
        wakeup.on_message(AWAITED, lambda _: runner.hurry())
        threads = [
            threading.Thread(target=_project, args=(runner, stopped), name="projections"),
            threading.Thread(
                target=lead, args=(core.conninfo, POLICY_LOCK, engine.run, stopped, LOOK_SECONDS), name="policies"
            ),
            threading.Thread(target=sealer.run, name="seals", daemon=True),
        ]
        apart = [(NOTICE_LOCK, "notices", core.notice_engine(), LOOK_SECONDS)]
        outbox = core.outbox_engine()
        if outbox is not None:
            apart.append((OUTBOX_LOCK, "outbox", outbox, 0.0))  # what two of them send comes twice
        for lock, name, other, look_seconds in apart:
            wakeup.on_growth(other.wake)
            arguments = (core.conninfo, lock, other.run, stopped, look_seconds)
            threads.append(threading.Thread(target=lead, args=arguments, name=name, daemon=True))
        wakeup.start()
        for thread in threads:
            thread.start()
        stopped.wait()
        wakeup.stop()
        runner.stop()
        engine.stop()
        sealer.stop()
        for _, _, other, _ in apart:
            other.stop()
        for thread in threads:
            thread.join(timeout=5)
    if runner.superseded:
        raise Misconfigured(f"Another program has taken over the read models: {runner.superseded}.")


@click.command()
@host_option
@port_option
@click.option("--frames", default=24, show_default=True, help="How many files the made-up night has.")
@data_option
def demo(host: str, port: int, frames: int, data: Path | None) -> None:
    """Run everything on a small made-up night, delivered to a folder: something to look at within a minute."""
    from api.cli.demo import play

    folder = data or Path("demo-data")
    os.environ.setdefault("STARFERRY_LOG_LEVEL", "warning")  # the demo tells its own story
    os.environ["STARFERRY_FOLDER_ROOTS"] = str((folder / "delivered").absolute())
    settings = settings_for(folder)
    with _supervised(settings, host, port) as supervisor:
        play(settings, supervisor.address, frames, supervisor.stopping)
        supervisor.wait()


@contextlib.contextmanager
def _supervised(settings: Settings, host: str, port: int) -> Iterator[Supervisor]:
    """All processes, ready."""
    with (
        only_one(settings.data),
        kept_database(settings) as (conninfo, keep_database),
    ):
        _upgrade(settings, conninfo)
        with Supervisor(settings, host, port, keep_database) as supervisor:
            supervisor.start()
            yield supervisor


def _upgrade(settings: Settings, conninfo: str) -> None:
    """An embedded database is this program's alone, so it is brought up to date here; with a database of its own an
    operator decides when (`starferry migrate`), and until then the processes refuse to start."""
    if not settings.database_url and needs_building(conninfo):
        build_read_models(settings, conninfo, swap=True)


def _project(runner: ProjectionRunner, stopped: Stop) -> None:
    """A process whose read models another program's have replaced is of no use any more: not its policies either."""
    runner.run()
    if runner.superseded:
        stopped.set()


POLICY_LOCK = 7236837103
OUTBOX_LOCK = 7236837105
NOTICE_LOCK = 7236837107
LOOK_SECONDS = 1.0
"""How long policies and notices may go on without their lock: the log takes what they decide from one only."""


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine until SIGTERM or SIGINT."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task

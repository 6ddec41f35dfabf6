"""`starferry listen`: ingests files that messages name. A message is acknowledged once its file's event is stored."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import rich_click as click
import structlog
from prometheus_client import start_http_server

from adapters.broker.ingest_queue import Delivery, IngestQueue, reconnecting
from adapters.ingest_metrics import IngestMetrics
from api.bootstrap import Core
from api.cli.opening import data_option, opened, settings_for
from api.cli.stopping import Stop
from api.listening import Listener
from api.settings import Settings
from domain.errors import Misconfigured

logger = structlog.get_logger()

STOP_SECONDS = 60.0
"""How long a file that is being ingested may take after the signal to stop; then it is left to another listener."""


@click.command()
@click.option("--threads", default=2, type=click.IntRange(min=1), show_default=True, help="Files at a time.")
@click.option("--metrics-port", type=int, help="Serve Prometheus metrics on this port of 127.0.0.1.")
@click.option("--replay-dead", is_flag=True, help="Put the dead letters back into the queue, and end.")
@data_option
def listen(threads: int, metrics_port: int | None, replay_dead: bool, data: Path | None) -> None:
    """Ingest the files that messages on the broker's queue name, until stopped."""
    settings = settings_for(data)
    if not settings["QUEUE_BROKER_URL"]:
        raise Misconfigured("There is no broker to listen to: set QUEUE_BROKER_URL.")
    if replay_dead:
        queue = open_queue(settings)
        click.echo(f"{queue.replay_dead()} messages are back in {settings['STARFERRY_INGEST_QUEUE']}.")
        queue.close()
        return
    if not settings["STARFERRY_INGEST_ROOTS"]:
        raise Misconfigured("Say below which folders messages may name files: set STARFERRY_INGEST_ROOTS.")
    stopped = Stop().on_signals()
    with opened(data, serving=True) as core:
        metrics = IngestMetrics(settings["INGESTER_PROCESS_NAME"])
        if metrics_port is not None:
            start_http_server(metrics_port, addr="127.0.0.1", registry=metrics.registry)
        if run_listener(core, metrics, threads, stopped):
            return
    os._exit(0)  # a file is still being copied: its message goes to another listener


def run_listener(core: Core, metrics: IngestMetrics, threads: int, stopped: Stop) -> bool:
    """Listen with so many threads until `stopped`; whether all of them came to an end."""
    listener = Listener(core, metrics)
    running = [
        threading.Thread(target=_consume, args=(core.settings, listener.handle, stopped), name="listen", daemon=True)
        for _ in range(threads)
    ]
    for thread in running:
        thread.start()
    stopped.wait()
    for thread in running:
        thread.join(STOP_SECONDS / len(running))
    return not any(thread.is_alive() for thread in running)


def open_queue(settings: Settings) -> IngestQueue:
    """A connection to the queue that the settings name. Raises RetryLater."""
    return IngestQueue(
        settings["QUEUE_BROKER_URL"], settings["STARFERRY_INGEST_QUEUE"], settings["STARFERRY_INGEST_EXCHANGE"]
    )


def _consume(settings: Settings, handle: Callable[[Delivery], None], stopped: Stop) -> None:
    reconnecting(
        lambda: open_queue(settings),
        lambda queue: queue.consume(handle, stopped.is_set),
        stopped.is_set,
        lambda reason: logger.warning("listening waits", reason=reason),
    )

"""A real RabbitMQ for tests: a node of its own on free ports, in a temporary folder, that may be stopped and killed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import kombu
import pytest

from tests.ports import free_ports
from tests.site import eventually

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The program itself: the one on the PATH of Debian changes the user and the folder."""
START_SECONDS = 90.0


class RabbitNode:
    """What tests ask of it. `url` stays the same over restarts, and so does what was durable."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._dist, self._epmd_port = free_ports(3)
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"starferry{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(self._dist),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "no-env"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_ALLOW_INPUT": "1",  # the shell becomes the server, so signals reach it
        }
        (folder / "rabbitmq.conf").write_text(
            "disk_free_limit.absolute = 1MB\nvm_memory_high_watermark.relative = 0.9\n"
        )
        (folder / "plugins").write_text("[].\n")
        self._epmd = subprocess.Popen(
            ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"], env=self._environment
        )
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, unless it runs, and return when it takes connections."""
        if self._server is not None and self._server.poll() is None:
            return
        with (self._folder / "output").open("ab") as output:
            self._server = subprocess.Popen(
                [str(SERVER), "-noinput"],
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        eventually(self._answers, "RabbitMQ didn't start", seconds=START_SECONDS)

    def stop(self) -> None:
        """Stop in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As when the power fails."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Leave nothing behind."""
        self.kill()
        self._epmd.kill()
        self._epmd.wait()

    def bind(self, exchange: str, queue: str) -> None:
        """A durable queue that gets all that is published to a durable fanout exchange."""
        with kombu.Connection(self.url) as connection:
            kombu.Queue(queue, kombu.Exchange(exchange, "fanout", durable=True))(connection.default_channel).declare()

    def _answers(self) -> bool:
        assert self._server is not None
        assert self._server.poll() is None, (self._folder / "output").read_text()[-2000:]
        with suppress(Exception), kombu.Connection(self.url, connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
            return True
        return False

    def _end(self, number: signal.Signals) -> None:
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(number)
            self._server.wait(timeout=60)


@contextmanager
def running_rabbitmq(folder: Path) -> Iterator[RabbitNode]:
    """A node that runs; skips the test where RabbitMQ isn't installed."""
    if not SERVER.exists():
        pytest.skip("RabbitMQ isn't installed (apt-get install rabbitmq-server); .ci/run installs it")
    node = RabbitNode(folder)
    try:
        node.start()
        yield node
    finally:
        node.close()


def taken(node: RabbitNode, queue: str) -> list[kombu.Message]:
    """All messages that are in a queue now, in order; they are taken out."""
    found = []
    with kombu.Connection(node.url) as connection:
        channel = connection.default_channel
        while (message := channel.basic_get(queue, no_ack=True)) is not None:
            found.append(message)
    return found


def waiting(node: RabbitNode, queue: str) -> int:
    """How many messages are ready in a queue."""
    with kombu.Connection(node.url) as connection:
        return int(connection.default_channel.queue_declare(queue, passive=True).message_count)

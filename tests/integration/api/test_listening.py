"""`starferry listen` on a real RabbitMQ: what becomes of each message."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import amqp
import httpx
import kombu
import msgspec
import pytest

from adapters.broker.ingest_queue import REASON
from adapters.ingest_metrics import IngestMetrics
from api.bootstrap import Core, open_core
from api.cli.listen import open_queue, run_listener
from api.cli.stopping import Stop
from api.settings import Settings
from domain.frames import fold, stream_of
from tests.ports import free_port
from tests.postgres import fresh_database
from tests.rabbitmq import RabbitNode, taken, waiting
from tests.records import fits_bytes, new_name
from tests.site import eventually

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.timeout(300)


class Listening(msgspec.Struct):
    """A listener's broker, database and folder; `environment` sets it up."""

    node: RabbitNode
    core: Core
    folder: Path
    environment: dict[str, str]

    @property
    def queue(self) -> str:
        return self.environment["STARFERRY_INGEST_QUEUE"]

    def say(self, body: object, *, exchange: str = "") -> None:
        with kombu.Connection(self.node.url) as connection:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            routing_key = "" if exchange else self.queue
            connection.Producer().publish(raw, exchange=exchange, routing_key=routing_key, delivery_mode=2)

    def has(self, basename: str) -> bool:
        return fold(self.core.log.load(stream_of(basename))).exists

    def file(self, data: bytes | None = None) -> Path:
        path = self.folder / f"{new_name()}.fits"
        path.write_bytes(fits_bytes() if data is None else data)
        return path

    def idle(self) -> bool:
        return waiting(self.node, self.queue) == 0

    @contextmanager
    def running(self) -> Iterator[IngestMetrics]:
        metrics, stopped = IngestMetrics("night"), Stop()
        thread = threading.Thread(target=run_listener, args=(self.core, metrics, 2, stopped))
        thread.start()
        try:
            yield metrics
        finally:
            stopped.set()
            thread.join(20)


@pytest.fixture
def listening(cluster: str, template: str, rabbit: RabbitNode, tmp_path: Path) -> Iterator[Listening]:
    rabbit.start()
    folder = tmp_path / "incoming"
    folder.mkdir()
    with fresh_database(cluster, template=template) as conninfo:
        environment = {
            "DATABASE_URL": conninfo,
            "QUEUE_BROKER_URL": rabbit.url,
            "STARFERRY_INGEST_QUEUE": f"ingest-{secrets.token_hex(4)}",
            "STARFERRY_INGEST_EXCHANGE": "fits_files",
            "STARFERRY_INGEST_ROOTS": str(folder),
            "STARFERRY_INGEST_SCHEDULE": "0.2,4",
        }
        settings = Settings(environment, data=tmp_path / "data")
        open_queue(settings).close()
        with open_core(settings, conninfo) as core:
            yield Listening(rabbit, core, folder, environment)


def test_f11_files_that_messages_name_are_ingested_once_whichever_way_the_message_came(listening: Listening) -> None:
    one, two = listening.file(), listening.file()
    listening.say({"filepath": str(one)})
    listening.say({"path": str(two), "else": 1}, exchange="fits_files")
    listening.say({"filepath": str(one)})
    with listening.running() as metrics:
        for path in (one, two):
            eventually(lambda path=path: listening.has(path.stem), "not ingested")  # type: ignore[misc]
        eventually(listening.idle, "messages are left")
    assert "ingester_ingest_lag_count" in metrics.text()
    assert len(listening.core.log.load(stream_of(one.stem))) == 1
    assert taken(listening.node, listening.queue) == []


def test_f11_bad_files_strange_places_and_junk_are_dead_letters_at_once_and_say_why(
    listening: Listening, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.fits"
    secret.write_bytes(fits_bytes())
    (listening.folder / "link.fits").symlink_to(secret)
    os.mkfifo(listening.folder / "pipe.fits")
    bodies: dict[bytes, str] = {
        json.dumps({"filepath": str(path)}).encode(): reason
        for path, reason in {
            listening.file(b"no FITS"): "FITS",
            listening.file(fits_bytes(drop=("PROPID",))): "PROPID",
            secret: "STARFERRY_INGEST_ROOTS",
            listening.folder / "link.fits": "STARFERRY_INGEST_ROOTS",
            listening.folder / ".." / "secret.fits": "STARFERRY_INGEST_ROOTS",
            listening.folder / "pipe.fits": "regular",
            Path("/etc/shadow"): "STARFERRY_INGEST_ROOTS",
            Path("relative.fits"): "absolute",
        }.items()
    }
    bodies |= {b"junk": "JSON", b"[]": "JSON", b"{}": "absolute", b"\xff": "JSON"}
    for body in bodies:
        listening.say(body)
    dead = f"{listening.queue}.dead"
    with listening.running():
        eventually(lambda: listening.idle() and _count(listening.node, dead) == len(bodies), "not all are dead letters")
    for message in taken(listening.node, dead):
        body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
        assert bodies[body] in message.headers[REASON]
    assert listening.core.log.head() == 0


def test_f11_a_file_that_is_not_there_yet_is_tried_again_and_holds_up_nobody(listening: Listening) -> None:
    late, never, well = listening.folder / f"{new_name()}.fits", listening.folder / "never.fits", listening.file()
    for path in (late, never, well):
        listening.say({"filepath": str(path)})
    dead = f"{listening.queue}.dead"
    with listening.running():
        eventually(lambda: listening.has(well.stem), "not ingested")
        listening.file().rename(late)
        eventually(lambda: listening.has(late.stem), "not ingested")
        eventually(lambda: _count(listening.node, dead) == 1, "the last try didn't end it")
    (message,) = taken(listening.node, dead)
    assert "No such file" in message.headers[REASON]
    assert message.headers["x-starferry-tries"] == 2


def test_f11_dead_letters_can_be_put_back(listening: Listening) -> None:
    path = listening.file(b"not whole yet")
    listening.say({"filepath": str(path)})
    dead = f"{listening.queue}.dead"
    with listening.running():
        eventually(lambda: _count(listening.node, dead) == 1, "no dead letter")
    path.write_bytes(fits_bytes())
    done = starferry(listening, "--replay-dead")
    out, _ = done.communicate(timeout=60)
    assert out.decode().strip() == f"1 messages are back in {listening.queue}."
    with listening.running():
        eventually(lambda: listening.has(path.stem), "not ingested")
    assert _count(listening.node, dead) == 0


def test_f11_a_listener_that_is_killed_loses_no_message(listening: Listening) -> None:
    paths = [listening.file() for _ in range(60)]
    for path in paths:
        listening.say({"filepath": str(path)})
    first = starferry(listening)
    eventually(lambda: listening.has(paths[0].stem), "nothing was ingested", seconds=40)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    paths.append(listening.file())  # so that there is work for the second, however fast the first was
    listening.say({"filepath": str(paths[-1])})
    second = starferry(listening, "--metrics-port", "0")
    try:
        eventually(lambda: all(listening.has(path.stem) for path in paths), "a message was lost", seconds=60)
    finally:
        second.send_signal(signal.SIGTERM)
        second.communicate(timeout=30)
    assert second.returncode == 0
    assert listening.idle()


def test_f11_a_listener_goes_on_when_the_broker_is_back(listening: Listening) -> None:
    with listening.running():
        listening.node.stop()
        listening.node.start()
        path = listening.file()
        listening.say({"filepath": str(path)})
        eventually(lambda: listening.has(path.stem), "not ingested", seconds=40)


def test_f10_and_e14_a_listener_serves_metrics_and_logs_each_file(listening: Listening) -> None:
    good, bad = listening.file(fits_bytes(REQNUM=77)), listening.file(b"bad")
    listening.say({"filepath": str(good)})
    listening.say({"filepath": str(bad)})
    port = free_port()
    process = starferry(listening, "--metrics-port", str(port))
    eventually(lambda: listening.has(good.stem) and listening.idle(), "not ingested", seconds=40)
    metrics = eventually(
        lambda: (
            (text := httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=60).text).count("_runtime_")
            and text
        ),
        "no metrics",
    )
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert 'ingester_upload_file_runtime_count{class_path="api.intake.take_in"' in metrics
    assert 'ingester_process_name="ingester"' in metrics
    lines = [json.loads(line) for line in errors.decode().splitlines() if line.startswith("{")]
    ingested = next(line for line in lines if line["event"] == "frame ingested")
    assert (ingested["filename"], ingested["request_id"]) == (good.name, 77)
    assert ingested["id"] == fold(listening.core.log.load(stream_of(good.stem))).id
    failed = next(line for line in lines if line["event"] == "ingest failed")
    assert failed["filename"] == bad.name
    assert "FITS" in failed["errors"]
    assert "guest:guest" not in errors.decode()


def starferry(listening: Listening, *arguments: str) -> subprocess.Popen[bytes]:
    data = str(listening.core.settings.data)
    return subprocess.Popen(
        [sys.executable, "-m", "api.cli", "listen", *arguments, "--data", data],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **listening.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _count(node: RabbitNode, queue: str) -> int:
    try:
        return waiting(node, queue)
    except amqp.NotFound:
        return 0

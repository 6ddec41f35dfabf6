"""What the broker is told of archived frames, on a real RabbitMQ."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from api.bootstrap import open_core
from api.settings import Settings
from application.commands.ingest import FrameArrival, NewVersion, decide_arrival
from domain.event import Cause
from domain.frame_record import FrameRecord
from tests.integration.api.test_archive_thumbnails import payload
from tests.postgres import fresh_database
from tests.rabbitmq import RabbitNode, taken, waiting
from tests.records import fits_bytes, new_name, record, version
from tests.site import Site, eventually, running_site

EXCHANGE, QUEUE = "archived_fits", "banzai"
ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def broker(rabbit: RabbitNode) -> RabbitNode:
    """The node, running, with a queue like a pipeline's, empty."""
    rabbit.start()
    rabbit.bind(EXCHANGE, QUEUE)
    taken(rabbit, QUEUE)
    return rabbit


@pytest.fixture
def own_site(cluster: str, template: str, broker: RabbitNode, tmp_path: Path) -> Iterator[Site]:
    environment = {"QUEUE_BROKER_URL": broker.url}
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(tmp_path, conninfo, environment, prepared=True) as running,
    ):
        yield running


def test_e05_each_archived_file_is_announced_persistently_on_a_durable_fanout_exchange(
    own_site: Site, broker: RabbitNode
) -> None:
    body = record(headers={"SITEID": "tst", "INSTRUME": "fa01", "DAY-OBS": "20240101", "RLEVEL": 91, "area": "mine"})
    created = own_site.post(body)
    own_site.post({**body, "version_set": [version(extension=".fits")]})
    eventually(lambda: waiting(broker, QUEUE) == 2, "the messages didn't arrive")
    first, second = taken(broker, QUEUE)
    expected = {
        **body["headers"],
        "area": '{ "type": "Polygon", "coordinates": '
        "[ [ [ 10.0, 10.0 ], [ 11.0, 10.0 ], [ 11.0, 11.0 ], [ 10.0, 11.0 ], [ 10.0, 10.0 ] ] ] }",
        "basename": body["basename"],
        "version_set": body["version_set"],
        "filename": body["basename"] + ".fits.fz",
        "frameid": created["id"],
    }
    assert first.body == json.dumps(expected)
    assert json.loads(second.body)["filename"] == body["basename"] + ".fits"
    properties = first.properties
    assert (properties["content_type"], properties["content_encoding"]) == ("application/json", "utf-8")
    assert (properties["delivery_mode"], first.delivery_info["routing_key"]) == (2, "")
    assert first.delivery_info["exchange"] == EXCHANGE


def test_e07_thumbnails_and_metadata_only_records_and_refused_ones_leave_the_exchange_silent(
    own_site: Site, broker: RabbitNode
) -> None:
    body = record()
    own_site.post(body)
    own_site.post({**body, "version_set": []})
    own_site.post(record(version_set=[]))
    assert own_site.admin.post("/frames/", json=body).status_code == 400
    assert own_site.admin.post("/thumbnails/", json=payload(body["basename"])).status_code == 201
    assert own_site.admin.post("/thumbnails/", json=payload(new_name())).status_code == 201
    assert "ingester_post_thumbnail_runtime_count" in own_site.anonymous.get("/metrics").text
    own_site.ingest(fits_bytes(), new_name() + ".fits")
    eventually(lambda: waiting(broker, QUEUE) >= 2, "the messages didn't arrive")
    own_site.settle()
    told = [json.loads(message.body)["basename"] for message in taken(broker, QUEUE)]
    assert len(told) == 2
    assert told[0] == body["basename"]


def test_e06_with_the_broker_down_frames_are_archived_and_announced_once_it_is_back(
    cluster: str, template: str, broker: RabbitNode, tmp_path: Path
) -> None:
    broker.stop()
    environment = {"QUEUE_BROKER_URL": broker.url}
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(tmp_path, conninfo, environment, prepared=True) as site,
    ):
        names = [site.post(record())["basename"] for _ in range(20)]
        assert "starferry_outbox_lag_events 20" in site.anonymous.get("/metrics").text
        ready = site.anonymous.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["notes"]["broker"].startswith("20 archived frames wait for the message broker")
        broker.start()
        eventually(lambda: waiting(broker, QUEUE) == 20, "the messages didn't arrive", seconds=40)
        assert [json.loads(message.body)["basename"] for message in taken(broker, QUEUE)] == names
        eventually(lambda: "starferry_outbox_lag_events 0" in site.anonymous.get("/metrics").text, "the lag didn't end")


def archive(conninfo: str, folder: Path, count: int, broker: str) -> list[str]:
    """Record frames straight into the log, with this broker set; their names, in order."""
    names = [new_name() for _ in range(count)]
    settings = Settings({"DATABASE_URL": conninfo, "QUEUE_BROKER_URL": broker}, data=folder)
    with open_core(settings, conninfo) as core:
        for name in names:
            made = version()
            arrival = FrameArrival(
                record=FrameRecord(basename=name),
                headers=msgspec.Raw(b'{"SITEID":"tst"}'),
                versions=(NewVersion(made["key"], made["md5"], ".fits"),),
            )
            cause = Cause(actor="test", via="cli")
            commit, _ = decide_arrival((), arrival, core.numbers, cause=cause, now=core.clock.now())
            core.log.append(commit)
    return names


def projections(conninfo: str, folder: Path, url: str) -> subprocess.Popen[bytes]:
    log = (folder / "log").open("ab")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": conninfo,
        "QUEUE_BROKER_URL": url,
    }
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "api.cli", "projections", "--data", str(folder)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def test_e06_what_was_archived_before_the_first_broker_is_no_news_but_what_comes_while_it_is_unset_is(
    cluster: str, template: str, broker: RabbitNode, tmp_path: Path
) -> None:
    with fresh_database(cluster, template=template) as conninfo:
        archive(conninfo, tmp_path, 2, "")
        names = [name for url in (broker.url, "") for name in archive(conninfo, tmp_path, 2, url)]
        child = projections(conninfo, tmp_path, broker.url)
        try:
            eventually(lambda: waiting(broker, QUEUE) >= len(names), "not all arrived", seconds=40)
        finally:
            child.terminate()
            child.wait(timeout=20)
    assert [json.loads(message.body)["basename"] for message in taken(broker, QUEUE)] == names


def test_e06_a_broker_that_is_stopped_in_the_middle_gets_every_message_in_order(
    cluster: str, template: str, broker: RabbitNode, tmp_path: Path
) -> None:
    with fresh_database(cluster, template=template) as conninfo:
        names = archive(conninfo, tmp_path, 3000, broker.url)
        child = projections(conninfo, tmp_path, broker.url)
        try:
            eventually(lambda: waiting(broker, QUEUE) > 0, "nothing arrived", seconds=40)
            broker.stop()
            broker.start()
            eventually(lambda: waiting(broker, QUEUE) >= len(names), "not all arrived", seconds=60)
        finally:
            child.terminate()
            child.wait(timeout=20)
    arrived = [json.loads(message.body)["basename"] for message in taken(broker, QUEUE)]
    assert list(dict.fromkeys(arrived)) == names
    assert (tmp_path / "log").read_text().count("policy waits") <= 2, "one line an outage (and cause), not one a try"


def test_e06_a_publisher_that_is_killed_in_the_middle_loses_nothing_and_repeats_one_block_at_most(
    cluster: str, template: str, broker: RabbitNode, tmp_path: Path
) -> None:
    with fresh_database(cluster, template=template) as conninfo:
        names = archive(conninfo, tmp_path, 6000, broker.url)
        first = projections(conninfo, tmp_path, broker.url)
        try:
            eventually(lambda: waiting(broker, QUEUE) > 150, "nothing arrived", seconds=40)
        finally:
            first.send_signal(signal.SIGKILL)
            first.wait()
        before = waiting(broker, QUEUE)
        second = projections(conninfo, tmp_path, broker.url)
        try:
            eventually(lambda: waiting(broker, QUEUE) >= len(names), "not all arrived", seconds=60)
        finally:
            second.terminate()
            second.wait(timeout=20)
    arrived = taken(broker, QUEUE)
    told = [json.loads(message.body)["basename"] for message in arrived]
    repeated = len(told) - len(names)
    assert 0 <= repeated <= 100
    assert before < len(names)
    assert list(dict.fromkeys(told)) == names
    start = next((place for place in range(len(told)) if told[place] in told[:place]), len(told))
    assert told == names[:start] + names[start - repeated :], "what was repeated follows what it repeats"
    assert len({message.properties["message_id"] for message in arrived}) == len(names), "a repeat bears the same id"

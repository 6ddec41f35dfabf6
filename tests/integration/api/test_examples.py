"""The example programs of docs/examples, as users run them, against a running Starferry."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.integration.api.deliveries import create, folder_body, observe, transfer
from tests.ports import free_port
from tests.postgres import fresh_database
from tests.records import fits_bytes, new_name, record
from tests.site import Site, eventually, running_site

EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples"


@pytest.fixture(scope="module")
def site(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "destinations").mkdir()
    environment = {
        "STARFERRY_FOLDER_ROOTS": str(folder / "destinations"),
        "STARFERRY_WEBHOOK_ALLOW": "127.0.0.1",
        "STARFERRY_WEBHOOK_SCHEDULE": "0.1,0.1",
    }
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(folder, conninfo, environment, prepared=True) as running,
    ):
        yield running


@contextmanager
def running(program: str, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """An example in a process of its own, killed at the block's end without a warning."""
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / program), *arguments],
        env={**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def rows(database: Path, statement: str) -> list[Any]:
    """What a query gives; nothing while the program hasn't made its tables."""
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        try:
            return connection.execute(statement).fetchall()
        except sqlite3.OperationalError:
            return []


def place(database: Path) -> int:
    """The position that the follower has come to."""
    found = rows(database, "SELECT position FROM place")
    return int(found[0][0]) if found else 0


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found
    return found[0]


def deliver(site: Site) -> None:
    number = observe(site.user, create(site.user, folder_body(site))["id"])
    site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
    transfer(site.user, "completed", observation=number)


def test_the_webhook_consumer_keeps_each_genuine_delivery_once(site: Site, tmp_path: Path) -> None:
    database = tmp_path / "deliveries.db"
    spare = tmp_path / "spare.db"
    with running(
        "webhook_consumer.py", "--port", "0", "--database", str(spare), STARFERRY_WEBHOOK_SECRET="whsec-other"
    ) as process:
        card = site.user.post("/api/v1/webhooks", json={"url": address_of(process)}).json()
        assert site.user.post(f"/api/v1/webhooks/{card['id']}/test").json()["status"] == 401, "another's secret"
    site.user.delete(f"/api/v1/webhooks/{card['id']}")
    number = free_port()
    card = site.user.post("/api/v1/webhooks", json={"url": f"http://127.0.0.1:{number}/"}).json()
    secret = card["secret"]
    with running(
        "webhook_consumer.py", "--port", str(number), "--database", str(database), STARFERRY_WEBHOOK_SECRET=secret
    ) as process:
        address = address_of(process)
        assert site.user.post(f"/api/v1/webhooks/{card['id']}/test").json() == {"ok": True, "status": 204, "reason": ""}
        deliver(site)
        statement = "SELECT event FROM news ORDER BY position"
        eventually(lambda: len(rows(database, statement)) == 3, "the news didn't come")
        assert [row[0] for row in rows(database, statement)] == [
            "transfer.requested", "transfer.started", "transfer.completed",
        ]  # fmt: skip
        kept = rows(database, "SELECT id FROM delivery")
        assert len(kept) == 4
        body = msgspec.json.encode({"delivery": "again", "webhook": card["id"], "news": None})

        def post(body: bytes, timestamp: float, key: str) -> int:
            text = str(int(timestamp))
            signed = hmac.new(key.encode(), text.encode() + b"." + body, hashlib.sha256).hexdigest()
            headers = {"Starferry-Timestamp": text, "Starferry-Signature": f"sha256={signed}"}
            return httpx.post(address, content=body, headers=headers, trust_env=False, timeout=60).status_code

        now = time.time()
        assert [post(body, now, secret) for _ in range(2)] == [204, 204]
        assert len(rows(database, "SELECT id FROM delivery")) == 5, "twice the same is once"
        assert post(body, now - 3600, secret) == 401, "an old one"
        assert post(body, now, "whsec-another") == 401
        assert httpx.post(address, content=body, trust_env=False, timeout=60).status_code == 401
        assert httpx.post(address, content=b"x" * 70_000, trust_env=False, timeout=60).status_code == 413
        assert len(rows(database, "SELECT id FROM delivery")) == 5


def test_the_follower_has_every_event_once_however_often_it_is_killed(site: Site, tmp_path: Path) -> None:
    database = tmp_path / "events.db"
    arguments = ("follow_events.py", site.url, "--database", str(database))
    for _ in range(3):
        site.post(record())
        head = site.core.log.head()
        with running(*arguments, STARFERRY_TOKEN=site.admin_token):
            site.post(record())
            eventually(lambda head=head: place(database) > head, "it doesn't follow")
    site.settle()
    with running(*arguments, STARFERRY_TOKEN=site.admin_token):
        eventually(lambda: place(database) == site.core.log.head(), "it doesn't come to the end")
    kept = rows(database, "SELECT position, event, stream FROM event ORDER BY position")
    told = site.admin.get("/api/v1/events", params={"limit": 1000}).json()["results"]
    assert kept == [(entry["position"], entry["event"], entry["stream"]) for entry in told]


@pytest.mark.parametrize("who", ["stranger", "nobody"])
def test_the_follower_says_when_it_is_refused(site: Site, tmp_path: Path, who: str) -> None:
    token = site.user_token if who == "stranger" else secrets.token_hex(20)
    with running(
        "follow_events.py", site.url, "--database", str(tmp_path / "events.db"), STARFERRY_TOKEN=token
    ) as process:
        assert process.wait(60) == 1

"""Webhooks by real processes: what was noted is sent, whatever is killed on the way (row S58)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx

from adapters.webhooks.book import LEASE
from api.bootstrap import open_core
from api.settings import Settings
from application.commands.accounts import create_token, create_user
from tests.processes import running_processes
from tests.receivers import running_receiver
from tests.records import fits_bytes, new_name
from tests.site import CAUSE, eventually


def test_s58_a_webhook_is_sent_although_its_worker_is_killed(database: str, tmp_path: Path) -> None:
    root = tmp_path / "copies"
    root.mkdir()
    environment = {
        "DATABASE_URL": database,
        "STARFERRY_FOLDER_ROOTS": str(root),
        "STARFERRY_WEBHOOK_ALLOW": "127.0.0.0/8",
        "STARFERRY_WEBHOOK_SCHEDULE": ",".join(["1"] * 30),
        "STARFERRY_SWEEP_SECONDS": "0.5",
    }
    token = "0" * 40
    with open_core(Settings(environment, data=tmp_path / "data"), database) as core:
        create_user(core.log, core.passwords, core.clock, CAUSE, "root", is_superuser=True)
        create_token(core.log, core.clock, CAUSE, "root", token)
    with (
        running_receiver() as receiver,
        running_processes(tmp_path / "data", environment) as first,
        httpx.Client(
            base_url=first.url, headers={"Authorization": f"Token {token}"}, trust_env=False, timeout=20
        ) as client,
    ):
        receiver.answers = [500] * 3
        eventually(lambda: client.get("/api/v1/webhooks").status_code == 200, "nobody may come in")
        hook = client.post("/api/v1/webhooks", json={"url": receiver.url}).json()
        config = client.post(
            "/api/v1/storage-configs",
            json={"provider": "folder", "display_name": "Copies", "credentials": {"root": str(root)}},
        ).json()
        number = client.post("/api/v1/observations", json={"name": "Night", "destinations": [config["id"]]}).json()[
            "id"
        ]
        file = {"file": (f"{new_name()}.fits", fits_bytes())}
        assert client.post("/api/v1/ingest", files=file, data={"observation": number}).status_code == 201
        eventually(lambda: len(receiver.got) >= 2, "the receiver was never asked", seconds=20)
        os.kill(first.pids["worker"], signal.SIGKILL)
        os.kill(first.pids["projections"], signal.SIGKILL)
        with running_processes(tmp_path / "data", environment):

            def delivered() -> list[str]:
                rows = client.get(f"/api/v1/webhooks/{hook['id']}/deliveries").json()["results"]
                return [row["event"] for row in rows if row["status"] == "delivered"]

            # what the killed worker had in hand is taken up when its time for an attempt is over
            enough = LEASE.total_seconds() + 30
            eventually(lambda: len(delivered()) >= 3, "not everything was told", seconds=enough)
        assert set(delivered()) >= {"transfer.requested", "transfer.started", "transfer.completed"}
        assert len(receiver.ids()) > len(set(receiver.ids())), "what wasn't taken in came again under its own id"

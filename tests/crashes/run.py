"""One run: an installation under load, struck again and again, and judged when it has become quiet."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec

from api.bootstrap import open_core
from api.database import prepare
from api.settings import Settings
from application.commands.accounts import create_token, create_user
from domain.event import Cause
from tests.crashes.installation import Installation, eventually_ready, installed
from tests.crashes.judgement import Destination, age, await_quiet, judge, leftovers, verified
from tests.crashes.killer import Killer
from tests.crashes.load import Load
from tests.emulators.faults import Fault
from tests.emulators.gcs import RunningGcs, running_gcs

Say = Callable[[str], None]
BUCKET = "copies"
UPLOAD_SECONDS = 0.03
"""What a bucket takes for a request, so that workers always have some uploads in the middle."""
START_SECONDS = 150.0
WAIT_SECONDS = 60.0
"""The longest wait for all to be at work: on a busy machine starting takes longer than living."""
QUIET_SECONDS = 180.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to. `wrong` is empty when all is well."""

    blows: dict[str, int]
    starts: int
    sent: int
    acknowledged: int
    given_up: int
    arrived_all_the_same: int
    unanswered: int
    transfers: int
    leftovers: int
    seconds_to_quiet: float
    seconds: float
    wrong: list[str]


def crash(
    folder: Path,
    *,
    kills: int,
    seed: int,
    pause: float,
    senders: int,
    say: Say,
    first: Sequence[str] = (),
    patiently: bool = True,
) -> Outcome:
    """Strike `kills` times, `first` these, while files come in and go out, and judge. With `patiently` it also waits
    until dead workers are known to be dead, more than a minute."""
    began = time.monotonic()
    nas, moving = folder / "nas", folder / "moving"
    for root in (nas, moving):
        root.mkdir()
    with running_gcs(folder / "gcs") as gcs:
        environment = {
            "STARFERRY_FOLDER_ROOTS": f"{nas}:{moving}",
            "STARFERRY_GCS_URL": gcs.url,
            "STARFERRY_RETRY_SCHEDULE": "1,2,4",
            "STARFERRY_SWEEP_SECONDS": "1",
        }
        with installed(folder, environment) as installation:
            token = _prepared(installation)
            installation.start()
            assert eventually_ready(installation, START_SECONDS), installation.log.read_text()[-2000:]
            destinations = _destinations(installation, token, gcs, nas, moving)
            gcs.server.faults.add(Fault(method="PUT", path="upload_id", stall=UPLOAD_SECONDS, times=0))
            ids = {name: destination.id for name, destination in destinations.items()}
            wishes = [
                [ids["folder"]],
                [ids["folder"], ids["bucket"]],
                [ids["moving folder"]],
                [ids["bucket"], ids["moving folder"]],
            ]
            notes = folder / "acknowledged"
            load = Load(installation.url, token, wishes, notes, seed=seed, pause=pause, senders=senders)
            killer = Killer(installation, seed, first)
            with load.running():
                _strike(installation, killer, load, kills, began, say)
            say(f"{time.monotonic() - began:6.1f} s: no more blows, {load.acknowledged} files acknowledged")
            struck = time.monotonic()
            wrong = await_quiet(installation, QUIET_SECONDS, patiently=patiently)
            to_quiet = time.monotonic() - struck
            say(f"{time.monotonic() - began:6.1f} s: {'still not ' if wrong else ''}quiet")
            wrong += judge(installation, token, load, destinations)
            left, wrong_left = _cleaned(installation)
            wrong += wrong_left
            wrong += verified(installation)
            say(f"{time.monotonic() - began:6.1f} s: judged")
            return _outcome(installation, killer, load, token, left, to_quiet, time.monotonic() - began, wrong)


def _strike(installation: Installation, killer: Killer, load: Load, kills: int, began: float, say: Say) -> None:
    every = max(1, kills // 40)
    while killer.kills < kills:
        at_work, seconds = killer.moment()
        if at_work:
            eventually_ready(installation, WAIT_SECONDS)
        time.sleep(seconds)
        whom = killer.strike()
        if whom and killer.kills % every == 0:
            say(
                f"{time.monotonic() - began:6.1f} s: {killer.kills:4} of {kills} blows, {load.acknowledged:5} files "
                f"acknowledged, {load.unanswered} requests unanswered; the last to be killed: {whom}"
            )


def _prepared(installation: Installation) -> str:
    """The token of a superuser."""
    prepare(installation.conninfo)
    token, cause = secrets.token_hex(20), Cause(actor="test", via="cli")
    with open_core(Settings(installation.environment, data=installation.data), installation.conninfo) as core:
        create_user(core.log, core.passwords, core.clock, cause, "ops", is_superuser=True)
        create_token(core.log, core.clock, cause, "ops", token)
    return token


def _destinations(
    installation: Installation, token: str, gcs: RunningGcs, nas: Path, moving: Path
) -> dict[str, Destination]:
    account = gcs.emulator.new_account("ferry@emulated.iam.gserviceaccount.com")
    gcs.emulator.create_bucket(BUCKET)

    def made(provider: str, credentials: dict[str, Any], **fields: Any) -> str:
        body = {"provider": provider, "display_name": provider, "credentials": credentials, **fields}
        answer = httpx.post(
            f"{installation.url}/api/v1/storage-configs",
            json=body,
            headers={"Authorization": f"Token {token}"},
            trust_env=False,
            timeout=20,
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def in_folder(root: Path) -> list[tuple[str, bytes]]:
        return [(path.name, path.read_bytes()) for path in root.rglob("*") if path.is_file()]

    def in_bucket() -> list[tuple[str, bytes]]:
        rows = gcs.emulator.store.run("SELECT name, blob FROM objects WHERE bucket = ?", BUCKET)
        return [(name.rpartition("/")[2], Path(gcs.emulator.store.blob_path(blob)).read_bytes()) for name, blob in rows]

    service_account = {"bucket": BUCKET, "service_account_json": json.dumps(account)}
    return {
        "folder": Destination(made("folder", {"root": str(nas)}), lambda: in_folder(nas)),
        "bucket": Destination(made("google_cloud_storage", service_account), in_bucket),
        "moving folder": Destination(
            made("folder", {"root": str(moving)}, delete_from_server=True), lambda: in_folder(moving), moves=True
        ),
    }


def _cleaned(installation: Installation) -> tuple[int, list[str]]:
    """How many unfinished arrivals there were, and which of them a start, later, doesn't remove."""
    files = installation.data / "files"
    left, starts = age(files), installation.starts
    installation.kill("api")
    while installation.starts == starts:
        time.sleep(0.05)
    eventually_ready(installation, START_SECONDS)
    return left, leftovers(files)


def _outcome(
    installation: Installation,
    killer: Killer,
    load: Load,
    token: str,
    left: int,
    to_quiet: float,
    seconds: float,
    wrong: list[str],
) -> Outcome:
    headers = {"Authorization": f"Token {token}"}
    counted = httpx.get(
        f"{installation.url}/frames/?limit=1&force_count=true", headers=headers, trust_env=False, timeout=60
    ).json()["count"]
    return Outcome(
        blows=dict(killer.blows.most_common()),
        starts=installation.starts,
        sent=len(load.sent),
        acknowledged=load.acknowledged,
        given_up=len(load.sent) - load.acknowledged,
        arrived_all_the_same=counted - load.acknowledged,
        unanswered=load.unanswered,
        transfers=sum(len(load.wishes[one.observation]) for one in load.sent if one.known),
        leftovers=left,
        seconds_to_quiet=to_quiet,
        seconds=seconds,
        wrong=wrong,
    )

"""What `make demo` plays: a user, a destination, observations, a night of files, and the copies that arrive."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import requests
import rich_click as click

from adapters.fits.night import make_night
from adapters.ids import new_token
from api.bootstrap import Core, open_core
from api.cli.opening import operator
from api.cli.stopping import Stop
from api.database import opened_database
from api.settings import Settings
from application.commands.accounts import create_token, create_user, set_password
from domain.errors import NotAllowedNow, RetryLater

USER = "astronomer"
WAIT_SECONDS = 120.0


def play(settings: Settings, address: str, frames: int, stopped: Stop) -> None:
    """Fill an empty demo and say where to look; on a demo that has been played, only say where to look.

    Comes back early once it is `stopped`; the next one goes on there.
    """
    login = settings.data / "login.txt"
    with opened_database(settings) as conninfo, open_core(settings, conninfo) as core:
        if not login.exists():
            _create_login(core, login)
    password, token = login.read_text().split()
    api = _Api(address, token)
    night = make_night(settings.data / "night", frames=frames)
    destination = _destination(api, settings.data / "delivered")
    click.echo(f"Ingesting a night of {len(night)} made-up FITS files ...")
    for path in night:
        if stopped.is_set():
            return
        api.ingest(path)
    for number in sorted(api.observation_numbers()):
        api.submit(number, destination)
    delivered = _wait_for_copies(api, stopped)
    if delivered is None:
        return
    click.echo(
        f"\nStarferry is running at {address}/\n"
        f"  log in as    {USER} / {password}\n"
        f"  token        {token}\n"
        f"  find frames  curl -H 'Authorization: Token {token}' '{address}/frames/?limit=5'\n"
        f"  transfers    curl -H 'Authorization: Token {token}' '{address}/api/v1/transfers'\n"
        f"  copies       {delivered} files in {settings.data / 'delivered'}\n"
        f"  one's story  {_program()} history transfer {api.some_transfer()} --data {settings.data}\n"
        "Ctrl-C stops it; `make demo` goes on where it was."
    )


def _program() -> str:
    """How this program was called, so that the line can be copied."""
    called = Path(sys.argv[0])
    return os.path.relpath(called) if called.name == "starferry" else "python -m api.cli"


def _create_login(core: Core, login: Path) -> None:
    password, token = secrets.token_urlsafe(9), new_token()
    with contextlib.suppress(NotAllowedNow):  # a demo that was stopped half way
        create_user(core.log, core.passwords, core.clock, operator(), USER, is_superuser=True)
    set_password(core.log, core.passwords, core.clock, operator(), USER, password)
    create_token(core.log, core.clock, operator(), USER, token)
    login.touch(mode=0o600)
    login.write_text(f"{password}\n{token}\n")


def _destination(api: _Api, folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    known = api.get("/api/v1/storage-configs")["results"]
    if known:
        return str(known[0]["id"])
    created = api.post(
        "/api/v1/storage-configs",
        {
            "provider": "folder",
            "display_name": "Demo folder",
            "destination_path": "/fits-data",
            "path_template": "$PROJECT/$TARGET",
            "file_content": "raw_and_calibrated",
            "credentials": {"root": str(folder)},
        },
    )
    return str(created["id"])


def _wait_for_copies(api: _Api, stopped: Stop) -> int | None:
    """How many have arrived, or None if it was stopped first."""
    deadline = time.monotonic() + WAIT_SECONDS
    told = ""
    while time.monotonic() < deadline:
        counts = Counter(row["status"] for row in api.get("/api/v1/transfers?limit=1000")["results"])
        line = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        if line != told:
            click.echo(f"Transfers: {line or 'none yet'}")
            told = line
        if counts and not counts["pending"] and not counts["in_progress"]:
            return counts["completed"]
        if stopped.wait(0.2):
            return None
    raise RetryLater("The demo's copies didn't arrive within two minutes; the log above says why.")


class _Api:
    """Our own API as a user's script would call it."""

    def __init__(self, address: str, token: str) -> None:
        self._address = address
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Token {token}"

    def get(self, path: str) -> Any:
        return self._answer(self._session.get(self._address + path, timeout=30))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._answer(self._session.post(self._address + path, json=body, timeout=30))

    def ingest(self, path: Path) -> None:
        with path.open("rb") as source:
            answer = self._session.post(f"{self._address}/api/v1/ingest", files={"file": source}, timeout=60)
        if answer.status_code != 409:  # played before
            self._answer(answer)

    def submit(self, number: int, destination: str) -> None:
        body = {
            "name": f"Demo observation {number}",
            "observation_id": number,
            "destinations": [destination],
        }
        answer = self._session.post(f"{self._address}/api/v1/observations", json=body, timeout=30)
        if answer.status_code != 409:
            self._answer(answer)

    def observation_numbers(self) -> set[int]:
        frames = self.get("/frames/?limit=1000")["results"]
        return {frame["observation_id"] for frame in frames if frame["observation_id"] is not None}

    def some_transfer(self) -> str:
        return str(self.get("/api/v1/transfers?limit=1")["results"][0]["id"])

    def _answer(self, answer: requests.Response) -> Any:
        if answer.status_code >= 400:
            raise RetryLater(
                f"The demo's request to {answer.url} was answered with {answer.status_code}: {answer.text[:300]}"
            )
        return answer.json()

"""The providers' emulators as processes, each with what a destination there needs and where its SDK alone uploads to.

Each is used twice in a run: through a worker, and by the bare SDK (tests/benchmarks/bare_sdk.py).
"""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import requests

from tests.benchmarks.installation import ROOT, new_name, wait_ready
from tests.ports import free_port

BUCKET, EMAIL = "frames", "benchmark@example.org"
SERVICE_ACCOUNT = "benchmark@emulated-project.iam.gserviceaccount.com"


class Sink:
    """A running emulator. `provider` and `credentials` are those of a configuration; `environment` leads there."""

    provider: ClassVar[str]
    name: ClassVar[str]
    consent: ClassVar[str] = ""
    """The path of the page that somebody authorizes us on; empty where keys do."""

    def __init__(self, url: str, pid: int) -> None:
        self.url, self.pid = url, pid
        self.credentials: dict[str, str] = {}
        self.environment: dict[str, str] = {}
        self.prepare()

    def prepare(self) -> None:
        """Make accounts and buckets."""
        raise NotImplementedError

    def allow(self, redirect_uri: str) -> None:
        """The app may send its users back there."""

    @contextmanager
    def away(self, seconds: float) -> Iterator[None]:
        """Wait so long before each answer."""
        if seconds:
            self.administer("faults", stall=seconds, times=0)
        yield
        requests.delete(f"{self.url}/_emulator/faults", timeout=30).raise_for_status()

    def administer(self, call: str, **body: Any) -> Any:
        """One of the emulator's own calls."""
        answer = requests.post(f"{self.url}/_emulator/{call}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()


class Gcs(Sink):
    provider, name = "google_cloud_storage", "Cloud Storage"

    def prepare(self) -> None:
        self.administer("buckets", name=BUCKET)
        key = requests.post(f"{self.url}/_emulator/accounts", json={"email": SERVICE_ACCOUNT}, timeout=30).text
        self.credentials = {"bucket": BUCKET, "service_account_json": key}
        self.environment = {"STARFERRY_GCS_URL": self.url}


class S3(Sink):
    provider, name = "s3", "S3"

    def prepare(self) -> None:
        access_key, secret_key = "AKIABENCHMARK", secrets.token_hex(20)
        self.administer("keys", access_key=access_key, secret_key=secret_key)
        self.administer("buckets", name=BUCKET)
        self.credentials = {
            "endpoint": self.url, "bucket": BUCKET, "access_key": access_key, "secret_key": secret_key,
        }  # fmt: skip
        self.environment = {"STARFERRY_S3_NETWORKS": "127.0.0.0/8"}


class Dropbox(Sink):
    provider, name, consent = "dropbox", "Dropbox", "dropbox"

    def prepare(self) -> None:
        self.administer("accounts", email=EMAIL, quota=1 << 40)
        self.credentials = {"app_key": secrets.token_hex(8), "app_secret": secrets.token_hex(8)}
        self.environment = {"STARFERRY_DROPBOX_URL": self.url}

    def allow(self, redirect_uri: str) -> None:
        key, secret = self.credentials["app_key"], self.credentials["app_secret"]
        self.administer("apps", key=key, secret=secret, redirect_uri=redirect_uri)

    def grant(self) -> str:
        """A refresh token for the app."""
        return str(self.administer("grants", key=self.credentials["app_key"], email=EMAIL)["refresh_token"])


class Drive(Sink):
    provider, name, consent = "google_drive", "Google Drive", "google-drive"

    def prepare(self) -> None:
        self.administer("accounts", email=EMAIL, quota=1 << 40)
        self.credentials = {"client_id": secrets.token_hex(8), "client_secret": secrets.token_hex(8)}
        self.environment = {"STARFERRY_GOOGLE_DRIVE_URL": self.url, "STARFERRY_GOOGLE_OAUTH_URL": self.url}

    def allow(self, redirect_uri: str) -> None:
        client, secret = self.credentials["client_id"], self.credentials["client_secret"]
        self.administer("clients", id=client, secret=secret, redirect_uri=redirect_uri)

    def grant(self) -> str:
        """A refresh token for the client."""
        return str(self.administer("grants", client=self.credentials["client_id"], email=EMAIL)["refresh_token"])


MODULES: dict[type[Sink], str] = {
    Gcs: "tests.emulators.gcs",
    S3: "tests.emulators.s3",
    Dropbox: "tests.emulators.dropbox",
    Drive: "tests.emulators.google_drive",
}


@contextmanager
def running(kind: type[Sink], state: Path) -> Iterator[Any]:
    """An emulator process for as long as the block runs."""
    port = free_port()
    child = subprocess.Popen(
        [sys.executable, "-m", MODULES[kind], "--port", str(port), "--state", str(state)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_ready(f"{url}/_emulator/log", child)
        yield kind(url, child.pid)
    finally:
        child.terminate()
        child.wait(timeout=20)


def agree(authorization_url: str) -> None:
    """Be the account's owner on the consent page: allow it, and come back to Starferry."""
    page = requests.get(authorization_url, timeout=30)
    page.raise_for_status()
    link = re.search(r'id="allow" href="([^"]+)"', page.text)
    if link is None:
        raise RuntimeError("The consent page has no link to allow it.")
    requests.get(link[1].replace("&amp;", "&"), timeout=30).raise_for_status()


def new_key(file: Path) -> str:
    """A name at the provider that nothing has yet, for the bare SDK."""
    return f"bare/{new_name('f')}{file.suffix}"

"""rclone, a program that knows nothing of this one, and the accounts at emulated providers that it is pointed at.

S3 and Google Cloud Storage have options for another endpoint. Dropbox's and Google's hosts are built in: rclone is
given an HTTPS proxy that leads these names, and no others, to the emulator (tests/emulators/tunnel.py).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.conformance.environments import clean_environment
from tests.contract import dropbox_harness, google_drive_harness, s3_harness
from tests.contract.destination_harness import Harness
from tests.contract.dropbox_harness import DropboxHarness
from tests.contract.gcs_harness import BUCKET, GcsHarness
from tests.contract.google_drive_harness import DriveHarness
from tests.contract.s3_harness import S3Harness
from tests.emulators.http_server import EmulatorServer
from tests.emulators.tunnel import TunnelServer, running_tunnel

PROGRAM = shutil.which("rclone")
GOOGLE_HOSTS = ("www.googleapis.com", "oauth2.googleapis.com")
DROPBOX_HOSTS = ("api.dropboxapi.com", "content.dropboxapi.com")
FOLDER = "/observatory/fits-data"
"""Where everything goes."""
_PATIENCE = 60.0


class Rclone:
    """rclone with one remote; `folder` is where it works, `server` what it talks to. `chunk` is found in the addresses
    of the requests that carry a large file's pieces."""

    def __init__(
        self, folder: Path, harness: Harness, server: EmulatorServer, chunk: str, root: str, options: Mapping[str, str]
    ) -> None:
        self.harness, self.server, self.chunk = harness, server, chunk
        self._remote = f"emulated:{root}{FOLDER}"
        self._home = folder / "home"
        self._home.mkdir()
        settings = "".join(f"{name} = {value}\n" for name, value in options.items())
        self._config = self._home / "rclone.conf"
        self._config.write_text(f"[emulated]\n{settings}")

    def copy(self, local: Path) -> str:
        """Upload what is new or has changed below `local`; what rclone says."""
        return self._run("copy", str(local), self._remote, "--verbose").stderr

    def check(self, local: Path, *options: str) -> dict[str, str]:
        """What `rclone check` says of each file: `=` equal, `*` other, `+` only here, `-` only there, `!` unread."""
        done = self._run("check", str(local), self._remote, "--verbose", "--combined", "-", *options, status=None)
        said = {name: mark for mark, name in (line.split(" ", 1) for line in done.stdout.splitlines())}
        assert done.returncode == (0 if set(said.values()) <= {"="} else 1), done.stderr
        assert "could not be checked" not in done.stderr, "the provider has no hash of it"
        by_hash = "for hash comparisons" in done.stderr
        assert by_hash or "--size-only" in options or "--download" in options, done.stderr
        return said

    def _run(self, *arguments: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        assert PROGRAM
        command = [PROGRAM, *arguments, "--config", str(self._config), "--retries", "1", "--low-level-retries", "2"]
        environment = clean_environment(HOME=str(self._home))
        if isinstance(self.server, TunnelServer):
            command += ["--ca-cert", str(self.server.authority)]
            environment["HTTPS_PROXY"] = self.server.url
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_PATIENCE, stdin=subprocess.DEVNULL
        )
        assert status is None or done.returncode == status, done.stderr
        return done


@contextmanager
def s3(folder: Path, provider: str) -> Iterator[Rclone]:
    """For `Minio` rclone lists with ListObjectsV2, for `Other` with ListObjects."""
    harness = S3Harness(folder)
    options = {
        "type": "s3",
        "provider": provider,
        "access_key_id": s3_harness.ACCESS_KEY,
        "secret_access_key": s3_harness.SECRET_KEY,
        "endpoint": harness.s3.url,
        "region": "us-east-1",
        "force_path_style": "true",
        "upload_cutoff": "5M",
        "chunk_size": "5M",
    }
    harness.s3.emulator.uploads.least_part = 5 << 20
    with closing(harness):
        yield Rclone(folder, harness, harness.s3.server, "partNumber=", s3_harness.BUCKET, options)


@contextmanager
def gcs(folder: Path) -> Iterator[Rclone]:
    harness = GcsHarness(folder)
    key = folder / "service-account.json"
    key.write_text(json.dumps(harness.info | {"token_uri": f"{harness.gcs.url}/token"}))
    options = {
        "type": "google cloud storage",
        "service_account_file": str(key),
        "endpoint": f"{harness.gcs.url}/storage/v1/",
        "bucket_policy_only": "true",
    }
    with closing(harness):
        yield Rclone(folder, harness, harness.gcs.server, "upload_id=", BUCKET, options)


@contextmanager
def dropbox(folder: Path, batch_mode: str) -> Iterator[Rclone]:
    """In batches (`sync`) every file goes by a session; otherwise (`off`) small ones go in one request."""
    harness = DropboxHarness(folder)
    options = {
        "type": "dropbox",
        "client_id": dropbox_harness.APP,
        "client_secret": dropbox_harness.SECRET,
        "token": _expired(harness.refresh_token),
        "batch_mode": batch_mode,
        "batch_timeout": "50ms",
        "chunk_size": "8M",
    }
    with closing(harness), running_tunnel(harness.dropbox.emulator, DROPBOX_HOSTS, folder) as server:
        yield Rclone(folder, harness, server, "append_v2", "", options)


@contextmanager
def google_drive(folder: Path) -> Iterator[Rclone]:
    harness = DriveHarness(folder)
    options = {
        "type": "drive",
        "client_id": google_drive_harness.CLIENT,
        "client_secret": google_drive_harness.SECRET,
        "scope": "drive.file",
        "token": _expired(harness.refresh_token),
        "pacer_min_sleep": "1ms",
        "chunk_size": "8M",
    }
    with closing(harness), running_tunnel(harness.drive.emulator, GOOGLE_HOSTS, folder) as server:
        yield Rclone(folder, harness, server, "upload_id=", "", options)


def _expired(refresh_token: str) -> str:
    """What rclone keeps of an authorization, its access token no longer good."""
    token: dict[str, Any] = {
        "access_token": "none",
        "token_type": "Bearer",
        "refresh_token": refresh_token,
        "expiry": "2020-01-01T00:00:00Z",
    }
    return json.dumps(token)

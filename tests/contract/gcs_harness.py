"""Google Cloud Storage, played by its emulator, for the contract suite and the fault tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from adapters.destinations.google_cloud_storage import GcsDestination
from application.ports.destination import Destination
from tests.contract.destination_harness import SMALL_CHUNK
from tests.emulators.gcs import ALL_PERMISSIONS, running_gcs
from tests.emulators.gcs_auth import public_pem, service_account

EMAIL = "ferry@emulated-project.iam.gserviceaccount.com"
BUCKET = "frames"


@cache
def account_key() -> rsa.RSAPrivateKey:
    """One key for the whole run: making it is the slowest thing here."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class GcsHarness:
    """A new emulator with one account and one bucket."""

    def __init__(self, tmp_path: Path) -> None:
        self._stack = ExitStack()
        self.gcs = self._stack.enter_context(running_gcs(tmp_path / "gcs"))
        self.info: dict[str, Any] = service_account(EMAIL, account_key(), "key-1")
        self._private_key: str = self.info["private_key"]
        self.gcs.emulator.accounts.register(EMAIL, "key-1", public_pem(account_key()))
        self.gcs.emulator.create_bucket(BUCKET)

    def open(self, chunk_size: int = SMALL_CHUNK, timeout: float = 30.0) -> Destination:
        destination = GcsDestination(BUCKET, self.info, self.gcs.url, chunk_size, timeout=timeout)
        self._stack.callback(destination.close)
        return destination

    def objects(self) -> dict[str, bytes]:
        store = self.gcs.emulator.store
        rows = store.run("SELECT name, blob FROM objects WHERE bucket = ?", BUCKET)
        return {f"/{name}": store.blob_path(blob).read_bytes() for name, blob in rows}

    def unfinished(self) -> int:
        return int(self.gcs.emulator.store.run("SELECT count(*) FROM sessions WHERE finished IS NULL")[0][0])

    def place(self, path: str, data: bytes) -> None:
        store = self.gcs.emulator.store
        blob = store.new_blob()
        store.blob_path(blob).write_bytes(data)
        name = path.removeprefix("/")
        store.put_object(BUCKET, name, {"name": name}, blob, len(data))

    def lose_uploads(self) -> None:
        self.gcs.emulator.uploads.forget_all()

    @contextmanager
    def losing_commit_reply(self) -> Iterator[None]:
        """The connection closes after the last byte was taken."""
        self.gcs.fault(path="upload_id|uploadType=multipart", close="after")
        yield
        assert any(one["fault"] for one in self.gcs.requests())

    def break_credentials(self) -> None:
        self.gcs.emulator.accounts.revoke(EMAIL)

    def break_destination(self) -> None:
        self.gcs.emulator.store.run("DELETE FROM buckets")

    @contextmanager
    def forbid_writing(self) -> Iterator[None]:
        self.gcs.emulator.create_bucket(BUCKET, {EMAIL: ["storage.objects.get", "storage.objects.list"]})
        yield
        self.gcs.emulator.create_bucket(BUCKET, {EMAIL: ALL_PERMISSIONS})

    def secrets(self) -> list[str]:
        uploads = [row[0] for row in self.gcs.emulator.store.run("SELECT id FROM sessions")]
        key_lines = self._private_key.splitlines()[1:-1]
        return [*uploads, "upload_id", *self.gcs.emulator.accounts.tokens(), *key_lines]

    def close(self) -> None:
        self._stack.close()

"""An S3-compatible service, played by its emulator, for the contract suite and the fault tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network
from pathlib import Path

from adapters.destinations.s3 import S3Destination
from adapters.destinations.s3_account import S3Account
from application.ports.destination import Destination
from tests.contract.destination_harness import SMALL_CHUNK
from tests.emulators.s3 import ALL_PERMISSIONS, running_s3

BUCKET = "frames"
ACCESS_KEY, SECRET_KEY = "AKIAFERRY", "the-secret-that-signs-and-is-never-sent"
LOOPBACK = (ip_network("127.0.0.0/8"),)


class S3Harness:
    """A new emulator with one key and one bucket. It takes small parts, as some services can be told to, so that the
    contract suite's files have several."""

    def __init__(self, tmp_path: Path, *, versioned: bool = False) -> None:
        self._stack = ExitStack()
        self.s3 = self._stack.enter_context(running_s3(tmp_path / "s3"))
        self.s3.emulator.add_key(ACCESS_KEY, SECRET_KEY)
        self.s3.emulator.create_bucket(BUCKET, versioned=versioned)
        self.s3.emulator.uploads.least_part = SMALL_CHUNK
        self._versioned = versioned

    def open(self, chunk_size: int = SMALL_CHUNK, timeout: float = 30.0, secret_key: str = SECRET_KEY) -> Destination:
        account = S3Account(self.s3.url, "", ACCESS_KEY, secret_key, LOOPBACK, timeout)
        self._stack.callback(account.close)
        return S3Destination(account, BUCKET, chunk_size)

    def objects(self) -> dict[str, bytes]:
        store = self.s3.emulator.store
        return {f"/{one.key}": store.blob_path(str(one.blob)).read_bytes() for one in store.listed(BUCKET)}

    def unfinished(self) -> int:
        return int(self.s3.emulator.store.run("SELECT count(*) FROM uploads")[0][0])

    def place(self, path: str, data: bytes) -> None:
        store = self.s3.emulator.store
        blob = f"placed-{hashlib.sha256(path.encode() + data).hexdigest()[:16]}"
        store.blob_path(blob).write_bytes(data)
        about = {"content_type": "application/fits", "metadata": {}}
        store.put_object(BUCKET, path.removeprefix("/"), blob, len(data), hashlib.md5(data).hexdigest(), about)

    def lose_uploads(self) -> None:
        self.s3.emulator.uploads.forget_all()

    @contextmanager
    def losing_commit_reply(self) -> Iterator[None]:
        """The connection closes after the object has come, in one request or by the completion of its parts."""
        self.s3.fault(method="PUT", path=r"^[^?]*$", close="after")
        self.s3.fault(method="POST", path="uploadId=", close="after")
        yield
        self.s3.server.faults.clear()
        assert any(one["fault"] for one in self.s3.requests())

    def break_credentials(self) -> None:
        self.s3.emulator.revoke(ACCESS_KEY)

    def break_destination(self) -> None:
        self.s3.emulator.store.run("DELETE FROM buckets")

    @contextmanager
    def forbid_writing(self) -> Iterator[None]:
        self.permit("s3:ListBucket", "s3:GetObject")
        yield
        self.permit(*ALL_PERMISSIONS)

    def permit(self, *permissions: str) -> None:
        """What the key may do from now on."""
        self.s3.emulator.create_bucket(BUCKET, {ACCESS_KEY: list(permissions)}, versioned=self._versioned)

    def secrets(self) -> list[str]:
        uploads = [row[0] for row in self.s3.emulator.store.run("SELECT id FROM uploads")]
        return [*uploads, "uploadId", SECRET_KEY, ACCESS_KEY, "Signature="]

    def close(self) -> None:
        self._stack.close()

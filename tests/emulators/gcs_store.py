"""What the Google Cloud Storage emulator keeps: an SQLite file and a folder of bytes, so that it outlives a kill."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c

from tests.emulators.http_server import BLOCK, Body

_TABLES = """
CREATE TABLE IF NOT EXISTS accounts (email TEXT, key_id TEXT, public_key TEXT, PRIMARY KEY (email, key_id));
CREATE TABLE IF NOT EXISTS tokens (token TEXT PRIMARY KEY, email TEXT, expires REAL);
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, permissions TEXT);
CREATE TABLE IF NOT EXISTS objects (bucket TEXT, name TEXT, resource TEXT, blob TEXT, PRIMARY KEY (bucket, name));
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, bucket TEXT, wanted TEXT, size INTEGER, condition TEXT,
    persisted INTEGER DEFAULT 0, blob TEXT, finished TEXT);
"""


@dataclass
class Upload:
    """A resumable upload: `wanted` is the metadata asked for, `finished` the object's metadata once it is there."""

    id: str
    bucket: str
    wanted: dict[str, Any]
    size: int | None
    condition: str | None
    persisted: int
    blob: str
    finished: dict[str, Any] | None


class Digest:
    """MD5 and CRC-32C of bytes as they come."""

    def __init__(self) -> None:
        self.md5 = hashlib.md5()
        self.crc32c = 0
        self.size = 0

    def update(self, data: bytes) -> None:
        self.md5.update(data)
        self.crc32c = google_crc32c.extend(self.crc32c, data)
        self.size += len(data)

    def encoded_md5(self) -> str:
        return base64.b64encode(self.md5.digest()).decode()

    def encoded_crc32c(self) -> str:
        return base64.b64encode(self.crc32c.to_bytes(4, "big")).decode()


class Store:
    """Rows by name, bytes by file. One lock, as SQLite has one writer anyway."""

    def __init__(self, directory: Path) -> None:
        self._blobs = directory / "blobs"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(directory / "state.sqlite", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(_TABLES)
        self.lock = threading.RLock()
        self._digests: dict[str, Digest] = {}
        self._generation = 0

    def run(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.lock:
            return self._db.execute(sql, values).fetchall()

    def close(self) -> None:
        with self.lock:
            self._db.close()

    def blob_path(self, blob: str) -> Path:
        return self._blobs / blob

    def new_blob(self) -> str:
        blob = secrets.token_hex(12)
        self.blob_path(blob).touch()
        return blob

    def drop_blob(self, blob: str) -> None:
        self._digests.pop(blob, None)
        self.blob_path(blob).unlink(missing_ok=True)

    def digest(self, blob: str, size: int) -> Digest:
        """Of the first `size` bytes; carried on from chunk to chunk, computed anew after a restart."""
        known = self._digests.get(blob)
        if known is None or known.size != size:
            known = Digest()
            with self.blob_path(blob).open("rb") as file:
                while known.size < size and (data := file.read(min(BLOCK, size - known.size))):
                    known.update(data)
            self._digests[blob] = known
        return known

    def append(self, blob: str, at: int, body: Body, *, skip: int, most: int | None) -> int:
        """Write the body from its byte `skip` at offset `at`, `most` bytes at most; the bytes kept. The rest is read.

        Raises BodyCutOff; what came before it is in the file.
        """
        digest = self.digest(blob, at)
        kept = 0
        with self.blob_path(blob).open("r+b") as file:
            file.seek(at)
            while data := body.read():
                if skip:
                    dropped = min(skip, len(data))
                    data, skip = data[dropped:], skip - dropped
                if most is not None:
                    data = data[: most - kept]
                file.write(data)
                file.flush()
                digest.update(data)
                kept += len(data)
        return kept

    def upload(self, upload_id: str) -> Upload | None:
        rows = self.run(
            "SELECT id, bucket, wanted, size, condition, persisted, blob, finished FROM sessions WHERE id = ?",
            upload_id,
        )
        if not rows:
            return None
        found, bucket, wanted, size, condition, persisted, blob, finished = rows[0]
        resource = json.loads(finished) if finished else None
        return Upload(found, bucket, json.loads(wanted), size, condition, persisted, blob, resource)

    def object(self, bucket: str, name: str) -> tuple[dict[str, Any], str] | None:
        rows = self.run("SELECT resource, blob FROM objects WHERE bucket = ? AND name = ?", bucket, name)
        return (json.loads(rows[0][0]), rows[0][1]) if rows else None

    def put_object(self, bucket: str, name: str, wanted: dict[str, Any], blob: str, size: int) -> dict[str, Any]:
        """Make the object appear, in place of one of that name; the caller has checked the preconditions."""
        with self.lock:
            before = self.object(bucket, name)
            resource = self._resource(bucket, name, wanted, self.digest(blob, size))
            self.run("REPLACE INTO objects VALUES (?, ?, ?, ?)", bucket, name, json.dumps(resource), blob)
            if before:
                self.drop_blob(before[1])
            self._digests.pop(blob, None)
            return resource

    def _resource(self, bucket: str, name: str, wanted: dict[str, Any], digest: Digest) -> dict[str, Any]:
        self._generation = max(self._generation + 1, time.time_ns() // 1000)
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        generation = str(self._generation)
        return {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/{generation}",
            "name": name,
            "bucket": bucket,
            "generation": generation,
            "metageneration": "1",
            "contentType": wanted.get("contentType", "application/octet-stream"),
            "storageClass": "STANDARD",
            "size": str(digest.size),
            "md5Hash": digest.encoded_md5(),
            "crc32c": digest.encoded_crc32c(),
            "etag": f"E{generation}",
            "timeCreated": now,
            "updated": now,
            **({"metadata": wanted["metadata"]} if "metadata" in wanted else {}),
        }

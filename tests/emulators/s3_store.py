"""What the S3 emulator keeps: an SQLite file and a folder of bytes, so that it outlives a kill."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sqlite3
import threading
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import google_crc32c

from tests.emulators.http_server import BLOCK, Body

_TABLES = """
CREATE TABLE IF NOT EXISTS keys (access_key TEXT PRIMARY KEY, secret TEXT);
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, versioned INTEGER, permissions TEXT);
CREATE TABLE IF NOT EXISTS objects (seq INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT, key TEXT, version TEXT,
    blob TEXT, size INTEGER, etag TEXT, about TEXT);
CREATE TABLE IF NOT EXISTS uploads (id TEXT PRIMARY KEY, bucket TEXT, key TEXT, about TEXT);
CREATE TABLE IF NOT EXISTS parts (upload TEXT, number INTEGER, blob TEXT, size INTEGER, md5 TEXT, crc32c TEXT,
    PRIMARY KEY (upload, number));
"""


@dataclass
class Digests:
    """Checksums of bytes as they come."""

    size: int = 0
    crc32c: int = 0
    crc32: int = 0
    md5: Any = field(default_factory=hashlib.md5)
    sha1: Any = field(default_factory=hashlib.sha1)
    sha256: Any = field(default_factory=hashlib.sha256)

    def update(self, data: bytes) -> None:
        self.size += len(data)
        self.crc32c = google_crc32c.extend(self.crc32c, data)
        self.crc32 = zlib.crc32(data, self.crc32)
        for one in (self.md5, self.sha1, self.sha256):
            one.update(data)

    def encoded(self, name: str) -> str:
        """In base64, as the headers have it."""
        number = {"crc32c": self.crc32c, "crc32": self.crc32}.get(name)
        return base64.b64encode(getattr(self, name).digest() if number is None else number.to_bytes(4, "big")).decode()


@dataclass
class Object:
    """`version` is `null` in a bucket without versions; `about` holds content type, metadata and checksum."""

    key: str
    version: str
    blob: str | None
    size: int
    etag: str
    about: dict[str, Any]


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

    def run(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.lock:
            return self._db.execute(sql, values).fetchall()

    def close(self) -> None:
        with self.lock:
            self._db.close()

    def blob_path(self, blob: str) -> Path:
        return self._blobs / blob

    def drop_blob(self, blob: str | None) -> None:
        if blob:
            self.blob_path(blob).unlink(missing_ok=True)

    def receive(self, body: Body) -> tuple[str, Digests]:
        """The whole body as a new blob. Raises BodyCutOff; nothing is kept then."""
        blob, digests = secrets.token_hex(12), Digests()
        try:
            with self.blob_path(blob).open("wb") as file:
                while data := body.read():
                    file.write(data)
                    digests.update(data)
        except BaseException:
            self.drop_blob(blob)
            raise
        return blob, digests

    def joined(self, blobs: list[str]) -> tuple[str, Digests]:
        """A new blob of others, one after the other."""
        blob, digests = secrets.token_hex(12), Digests()
        with self.blob_path(blob).open("wb") as file:
            for one in blobs:
                with self.blob_path(one).open("rb") as part:
                    while data := part.read(BLOCK):
                        file.write(data)
                        digests.update(data)
        return blob, digests

    def current(self, bucket: str, key: str) -> Object | None:
        """The newest version, unless it is a delete marker."""
        rows = self._objects("bucket = ? AND key = ? ORDER BY seq DESC LIMIT 1", bucket, key)
        return rows[0] if rows and rows[0].blob else None

    def version(self, bucket: str, key: str, version: str) -> Object | None:
        rows = self._objects("bucket = ? AND key = ? AND version = ?", bucket, key, version)
        return rows[0] if rows else None

    def listed(self, bucket: str) -> list[Object]:
        """The current objects, by key."""
        keys = [row[0] for row in self.run("SELECT DISTINCT key FROM objects WHERE bucket = ? ORDER BY key", bucket)]
        found = (self.current(bucket, key) for key in keys)
        return [one for one in found if one is not None]

    def put_object(
        self, bucket: str, key: str, blob: str | None, size: int, etag: str, about: dict[str, Any]
    ) -> Object:
        """A new current version; in a bucket without versions it takes the place of the one before. Without a blob it
        is a delete marker."""
        with self.lock:
            versioned = self.run("SELECT versioned FROM buckets WHERE name = ?", bucket)[0][0]
            if not versioned:
                self.remove(bucket, key, "null")
            version = secrets.token_urlsafe(24) if versioned else "null"
            about = {"modified": time.time(), **about}
            self.run(
                "INSERT INTO objects (bucket, key, version, blob, size, etag, about) VALUES (?, ?, ?, ?, ?, ?, ?)",
                bucket, key, version, blob, size, etag, json.dumps(about),
            )  # fmt: skip
            return Object(key, version, blob, size, etag, about)

    def remove(self, bucket: str, key: str, version: str) -> None:
        with self.lock:
            for one in self._objects("bucket = ? AND key = ? AND version = ?", bucket, key, version):
                self.drop_blob(one.blob)
            self.run("DELETE FROM objects WHERE bucket = ? AND key = ? AND version = ?", bucket, key, version)

    def forget_upload(self, upload: str) -> None:
        with self.lock:
            for (blob,) in self.run("SELECT blob FROM parts WHERE upload = ?", upload):
                self.drop_blob(blob)
            self.run("DELETE FROM parts WHERE upload = ?", upload)
            self.run("DELETE FROM uploads WHERE id = ?", upload)

    def _objects(self, where: str, *values: Any) -> list[Object]:
        rows = self.run(f"SELECT key, version, blob, size, etag, about FROM objects WHERE {where}", *values)
        return [Object(*row[:5], json.loads(row[5])) for row in rows]

"""What the Google Drive emulator keeps: an SQLite file and a folder of bytes, so that it outlives a kill."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.emulators.http_server import BLOCK, Body

FOLDER = "application/vnd.google-apps.folder"
_TABLES = """
CREATE TABLE IF NOT EXISTS clients (id TEXT PRIMARY KEY, secret TEXT, redirect_uri TEXT);
CREATE TABLE IF NOT EXISTS accounts (email TEXT PRIMARY KEY, quota INTEGER, gone INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS codes (code TEXT PRIMARY KEY, client TEXT, account TEXT, scopes TEXT, challenge TEXT,
    redirect_uri TEXT, offline INTEGER, expires REAL);
CREATE TABLE IF NOT EXISTS refresh_tokens (token TEXT PRIMARY KEY, client TEXT, account TEXT, scopes TEXT);
CREATE TABLE IF NOT EXISTS access_tokens (token TEXT PRIMARY KEY, account TEXT, scopes TEXT, expires REAL);
CREATE TABLE IF NOT EXISTS ids (id TEXT PRIMARY KEY, account TEXT);
CREATE TABLE IF NOT EXISTS files (id TEXT PRIMARY KEY, account TEXT, name TEXT, parent TEXT, mime TEXT, size INTEGER,
    md5 TEXT, sha256 TEXT, blob TEXT, trashed INTEGER DEFAULT 0, created REAL, modified TEXT);
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, account TEXT, wanted TEXT, size INTEGER, persisted INTEGER,
    blob TEXT, finished TEXT);
"""


@dataclass
class File:
    """A file or folder in somebody's Drive; times are as Drive writes them, in UTC."""

    id: str
    name: str
    parent: str
    mime: str
    size: int
    md5: str
    sha256: str
    blob: str
    trashed: bool
    created: str
    modified: str


@dataclass
class Session:
    """A resumable upload: `finished` is the id of the file once it is there."""

    id: str
    account: str
    wanted: dict[str, Any]
    size: int | None
    persisted: int
    blob: str
    finished: str | None


class Digest:
    """MD5 and SHA-256 of bytes as they come."""

    def __init__(self) -> None:
        self.md5, self.sha256, self.size = hashlib.md5(), hashlib.sha256(), 0

    def update(self, data: bytes) -> None:
        self.md5.update(data)
        self.sha256.update(data)
        self.size += len(data)


class Store:
    """Rows by id, bytes by file. One lock, as SQLite has one writer anyway."""

    def __init__(self, directory: Path) -> None:
        self._blobs = directory / "blobs"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(directory / "state.sqlite", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(_TABLES)
        self.lock = threading.RLock()
        self._digests: dict[str, Digest] = {}
        self._made_at = 0.0

    def run(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.lock:
            return self._db.execute(sql, values).fetchall()

    def close(self) -> None:
        with self.lock:
            self._db.close()

    def blob_path(self, blob: str) -> Path:
        return self._blobs / blob

    def new_blob(self, data: bytes = b"") -> str:
        blob = secrets.token_hex(12)
        self.blob_path(blob).write_bytes(data)
        return blob

    def new_id(self, account: str) -> str:
        made = f"1{secrets.token_urlsafe(24)}"
        self.run("INSERT INTO ids VALUES (?, ?)", made, account)
        return made

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

    def append(self, blob: str, at: int, body: Body, most: int | None) -> int:
        """Write the body at offset `at`, `most` bytes at most; the bytes kept. Raises BodyCutOff; what came before it
        is in the file."""
        digest, kept = self.digest(blob, at), 0
        with self.blob_path(blob).open("r+b") as file:
            file.seek(at)
            while data := body.read():
                if most is not None:
                    data = data[: most - kept]
                file.write(data)
                file.flush()
                digest.update(data)
                kept += len(data)
        return kept

    def session(self, session_id: str) -> Session | None:
        rows = self.run(
            "SELECT id, account, wanted, size, persisted, blob, finished FROM sessions WHERE id = ?", session_id
        )
        return Session(rows[0][0], rows[0][1], json.loads(rows[0][2]), *rows[0][3:]) if rows else None

    def file(self, account: str, file_id: str) -> File | None:
        found = self.search(account, "id = ?", file_id)
        return found[0] if found else None

    def search(self, account: str, where: str, *values: Any) -> list[File]:
        rows = self.run(
            "SELECT id, name, parent, mime, size, md5, sha256, blob, trashed, created, modified FROM files "
            f"WHERE account = ? AND {where} ORDER BY created, rowid",
            account,
            *values,
        )
        return [File(*row[:8], bool(row[8]), _written(row[9]), row[10] or _written(row[9])) for row in rows]

    def put(self, account: str, wanted: dict[str, Any], blob: str, size: int) -> File:
        """Make a file or folder; the caller has checked that its id is free."""
        digest = self.digest(blob, size) if blob else None
        file_id = wanted.get("id") or self.new_id(account)
        self.run(
            "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
            file_id, account, wanted.get("name", "Untitled"), (wanted.get("parents") or ["root"])[0],
            wanted.get("mimeType", "application/octet-stream"), size, digest.md5.hexdigest() if digest else "",
            digest.sha256.hexdigest() if digest else "", blob, self._moment(),
            wanted.get("modifiedTime"),
        )  # fmt: skip
        made = self.file(account, file_id)
        assert made is not None
        return made

    def _moment(self) -> float:
        """Now, and a millisecond later than the one before: that is how finely times are told."""
        with self.lock:
            self._made_at = max(time.time(), self._made_at + 0.001)
            return self._made_at

    def trash(self, file_id: str, trashed: int) -> None:
        """What is in a folder in the trash is so too, as far as its `trashed` tells."""
        self.run(
            "WITH RECURSIVE inside(id) AS (SELECT ? UNION SELECT files.id FROM files JOIN inside ON parent = inside.id)"
            " UPDATE files SET trashed = ? WHERE id IN inside",
            file_id,
            trashed,
        )

    def delete(self, account: str, file: File) -> None:
        for child in self.search(account, "parent = ?", file.id):
            self.delete(account, child)
        self.run("DELETE FROM files WHERE id = ?", file.id)
        self.run("UPDATE ids SET account = '' WHERE id = ?", file.id)  # it can't be used again
        if file.blob:
            self.blob_path(file.blob).unlink(missing_ok=True)

    def used(self, account: str) -> int:
        return int(self.run("SELECT coalesce(sum(size), 0) FROM files WHERE account = ?", account)[0][0])


def _written(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}Z"

"""What the Dropbox emulator keeps: an SQLite file and a folder of bytes, so that it outlives a kill."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.emulators.http_server import BLOCK, Body

HASH_BLOCK = 4 << 20
_TABLES = """
CREATE TABLE IF NOT EXISTS apps (key TEXT PRIMARY KEY, secret TEXT, redirect_uri TEXT);
CREATE TABLE IF NOT EXISTS accounts (id TEXT PRIMARY KEY, email TEXT, quota INTEGER, gone INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS codes (code TEXT PRIMARY KEY, app TEXT, account TEXT, scopes TEXT, challenge TEXT,
    redirect_uri TEXT, offline INTEGER, expires REAL);
CREATE TABLE IF NOT EXISTS refresh_tokens (token TEXT PRIMARY KEY, app TEXT, account TEXT, scopes TEXT);
CREATE TABLE IF NOT EXISTS access_tokens (token TEXT PRIMARY KEY, refresh TEXT, account TEXT, scopes TEXT,
    expires REAL);
CREATE TABLE IF NOT EXISTS entries (account TEXT, lower TEXT, display TEXT, folder INTEGER, rev TEXT, size INTEGER,
    hash TEXT, blob TEXT, modified TEXT, client_modified TEXT, id TEXT, PRIMARY KEY (account, lower));
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, account TEXT, size INTEGER, closed INTEGER, blob TEXT,
    started REAL);
"""


class ContentHash:
    """Dropbox's content hash of bytes as they come: SHA-256 of the SHA-256s of blocks of 4 MiB."""

    def __init__(self) -> None:
        self.size = 0
        self._blocks = hashlib.sha256()
        self._block = hashlib.sha256()
        self._in_block = 0

    def update(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            piece = view[: HASH_BLOCK - self._in_block]
            self._block.update(piece)
            self._in_block += len(piece)
            self.size += len(piece)
            view = view[len(piece) :]
            if self._in_block == HASH_BLOCK:
                self._blocks.update(self._block.digest())
                self._block, self._in_block = hashlib.sha256(), 0

    def hexdigest(self) -> str:
        whole = self._blocks.copy()
        if self._in_block:
            whole.update(self._block.digest())
        return whole.hexdigest()


@dataclass
class Entry:
    """A file or folder in somebody's Dropbox; `client_modified` is empty where the client gave none, `id` stays
    when the bytes change."""

    lower: str
    display: str
    folder: bool
    rev: str
    size: int
    hash: str
    blob: str
    modified: str
    client_modified: str
    id: str


@dataclass
class Session:
    """An upload session with `size` bytes so far."""

    id: str
    account: str
    size: int
    closed: bool
    blob: str
    started: float


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
        self._hashes: dict[str, ContentHash] = {}

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

    def drop_blob(self, blob: str) -> None:
        self._hashes.pop(blob, None)
        self.blob_path(blob).unlink(missing_ok=True)

    def content_hash(self, blob: str, size: int) -> ContentHash:
        """Of the first `size` bytes; carried on from chunk to chunk, computed anew after a restart."""
        known = self._hashes.get(blob)
        if known is None or known.size != size:
            known = ContentHash()
            with self.blob_path(blob).open("rb") as file:
                while known.size < size and (data := file.read(min(BLOCK, size - known.size))):
                    known.update(data)
            self._hashes[blob] = known
        return known

    def append(self, blob: str, at: int, body: Body, most: int | None) -> tuple[int, str]:
        """Write the body at offset `at`, `most` bytes at most; how many were kept, and the body's content hash.

        Raises BodyCutOff; Dropbox keeps nothing of a chunk that was cut off, so its bytes are then overwritten later.
        """
        own = ContentHash()
        with self.blob_path(blob).open("r+b") as file:
            file.seek(at)
            file.truncate()
            while data := body.read():
                own.update(data)
                file.write(data if most is None else data[: max(0, most - own.size + len(data))])
            kept = file.tell() - at
        whole = self.content_hash(blob, at) if kept else None
        if whole is not None:
            with self.blob_path(blob).open("rb") as file:
                file.seek(at)
                while data := file.read(BLOCK):
                    whole.update(data)
        return kept, own.hexdigest()

    def session(self, session_id: str) -> Session | None:
        rows = self.run("SELECT id, account, size, closed, blob, started FROM sessions WHERE id = ?", session_id)
        return Session(rows[0][0], rows[0][1], rows[0][2], bool(rows[0][3]), rows[0][4], rows[0][5]) if rows else None

    def entry(self, account: str, path: str) -> Entry | None:
        """By its path, or by its id."""
        by_id = path.startswith("id:")
        rows = self.run(
            "SELECT lower, display, folder, rev, size, hash, blob, modified, client_modified, id FROM entries "
            f"WHERE account = ? AND {'id' if by_id else 'lower'} = ?",
            account,
            path if by_id else path.lower(),
        )
        return Entry(rows[0][0], rows[0][1], bool(rows[0][2]), *rows[0][3:]) if rows else None

    def put_file(self, account: str, path: str, blob: str, size: int, client_modified: str = "") -> Entry:
        """Make the file appear, in place of one of that name, with the folders above it."""
        with self.lock:
            before = self.entry(account, path)
            self.make_folders(account, path.rsplit("/", 1)[0])
            entry = Entry(
                path.lower(),
                path,
                False,
                secrets.token_hex(8),
                size,
                self.content_hash(blob, size).hexdigest(),
                blob,
                time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                client_modified,
                before.id if before else _new_id(),
            )
            self._put(account, entry)
            if before and before.blob:
                self.drop_blob(before.blob)
            return entry

    def make_folders(self, account: str, path: str) -> None:
        while path and self.entry(account, path) is None:
            self._put(account, Entry(path.lower(), path, True, "", 0, "", "", "", "", _new_id()))
            path = path.rsplit("/", 1)[0]

    def remove(self, account: str, entry: Entry) -> None:
        with self.lock:
            below = f"{entry.lower}/%"
            rows = self.run("SELECT blob FROM entries WHERE account = ? AND lower LIKE ?", account, below)
            self.run(
                "DELETE FROM entries WHERE account = ? AND (lower = ? OR lower LIKE ?)", account, entry.lower, below
            )
            for blob in [entry.blob, *(row[0] for row in rows)]:
                if blob:
                    self.drop_blob(blob)

    def used(self, account: str) -> int:
        return int(self.run("SELECT coalesce(sum(size), 0) FROM entries WHERE account = ?", account)[0][0])

    def _put(self, account: str, entry: Entry) -> None:
        self.run(
            "REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            account, entry.lower, entry.display, int(entry.folder), entry.rev, entry.size, entry.hash, entry.blob,
            entry.modified, entry.client_modified, entry.id,
        )  # fmt: skip


def _new_id() -> str:
    return f"id:{secrets.token_urlsafe(16)}"

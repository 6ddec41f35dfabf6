"""What the contract suite needs to know of a destination beside its port: one class a provider."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from unittest import mock

import google_crc32c
import msgspec

from adapters.destinations.folder import FolderDestination
from application.ports.destination import Arrived, Destination, Session, Upload
from domain.errors import StarferryError
from domain.hashes import Hashes

SMALL_CHUNK = 256 * 1024
"""Bytes. What `open` takes for its default; a provider with larger quanta may use its own."""


def as_found(arrived: Arrived) -> Arrived:
    """The same as it is found later, when nobody can tell any more who made it."""
    return msgspec.structs.replace(arrived, made=False)


class Harness(Protocol):
    """One empty account or folder at one provider."""

    def open(self, chunk_size: int = SMALL_CHUNK) -> Destination:
        """A new object, as another process would make it. The harness closes it."""
        ...

    def objects(self) -> dict[str, bytes]:
        """Everything that the owner sees, by path."""
        ...

    def unfinished(self) -> int:
        """How many unfinished uploads take up room."""
        ...

    def place(self, path: str, data: bytes) -> None:
        """Somebody else puts an object there, in place of what is there."""
        ...

    def lose_uploads(self) -> None:
        """The provider forgets every unfinished upload."""
        ...

    def losing_commit_reply(self) -> AbstractContextManager[None]:
        """Within it, the step that makes an object appear succeeds once without our hearing of it."""
        ...

    def break_credentials(self) -> None: ...

    def break_destination(self) -> None:
        """The bucket or folder vanishes."""
        ...

    def forbid_writing(self) -> AbstractContextManager[None]: ...

    def secrets(self) -> list[str]:
        """What no message may hold."""
        ...

    def close(self) -> None: ...


def content(size: int) -> bytes:
    """Bytes that tell where they belong: a chunk in the wrong place changes the hash."""
    return b"".join(i.to_bytes(8, "big") for i in range(size // 8 + 1))[:size]


def upload_of(data: bytes, path: str, token: str = "transfer-1") -> Upload:
    """The Upload for `data`, its hashes computed here and not by the code under test."""
    blocks = b"".join(hashlib.sha256(data[i : i + (4 << 20)]).digest() for i in range(0, len(data), 4 << 20))
    return Upload(
        path=path,
        size=len(data),
        hashes=Hashes(
            md5=hashlib.md5(data).hexdigest(),
            sha256=hashlib.sha256(data).hexdigest(),
            crc32c=f"{google_crc32c.value(data):08x}",
            dropbox=hashlib.sha256(blocks).hexdigest(),
        ),
        token=token,
    )


def send(destination: Destination, upload: Upload, data: bytes, session: Session, most: int | None = None) -> Session:
    """Put chunks until all bytes, or `most` chunks, are confirmed."""
    chunks = 0
    while session.offset < upload.size and (most is None or chunks < most):
        chunk = data[session.offset : session.offset + destination.chunk_size]
        session = destination.put(upload, session, chunk)
        chunks += 1
    return session


def deliver(destination: Destination, upload: Upload, data: bytes, resume: Session | None = None) -> Arrived:
    """One attempt, as a worker makes it."""
    session = destination.begin(upload, resume)
    return destination.finish(upload, send(destination, upload, data, session))


class FolderHarness:
    """A folder below an allowed root."""

    def __init__(self, tmp_path: Path) -> None:
        self.allowed = tmp_path / "allowed"
        self.root = self.allowed / "nas"
        self.root.mkdir(parents=True)
        self._roots = [self.allowed]

    def open(self, chunk_size: int = SMALL_CHUNK) -> Destination:
        return FolderDestination(self.root, list(self._roots), chunk_size)

    def objects(self) -> dict[str, bytes]:
        files = (file for file in self.root.rglob("*") if file.is_file() and not file.name.endswith(".part"))
        return {f"/{file.relative_to(self.root)}": file.read_bytes() for file in files}

    def unfinished(self) -> int:
        return len(self._parts())

    def place(self, path: str, data: bytes) -> None:
        file = self.root / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_bytes(data)

    def lose_uploads(self) -> None:
        for part in self._parts():
            part.unlink()

    @contextmanager
    def losing_commit_reply(self) -> Iterator[None]:
        """The machine fails between giving the name and dropping the hidden one."""
        broken = mock.Mock(side_effect=OSError(errno.EIO, "injected"))
        with mock.patch.object(os, "unlink", broken):
            yield
        assert broken.called

    def break_credentials(self) -> None:
        self._roots = [self.allowed / "elsewhere"]

    def break_destination(self) -> None:
        shutil.rmtree(self.root)

    @contextmanager
    def forbid_writing(self) -> Iterator[None]:
        """The suite may run as root, whom no mode bits stop."""
        real = os.open

        def denied(path: str, flags: int, *rest: int, **named: int) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR):
                raise PermissionError(errno.EACCES, "injected")
            return real(path, flags, *rest, **named)

        with mock.patch.object(os, "open", denied):
            yield

    def secrets(self) -> list[str]:
        return [str(self.root)]

    def close(self) -> None:
        """Nothing is held."""

    def _parts(self) -> list[Path]:
        return [file for file in self.root.rglob("*") if file.name.endswith(".part")]


def raised_text(error: StarferryError) -> str:
    """All that a log could print of an error: its text, its repr, and what it was raised from."""
    return f"{error} {error!r} {error.__cause__!r}"

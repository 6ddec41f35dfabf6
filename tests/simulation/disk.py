"""The file store on a simulated disk: names and bytes are there at once for all processes, but only what was synced is
there after the power was cut. And a reader of made-up files."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from application.ports.file_store import Staged, Staging, Stored
from application.ports.frame_reader import Described
from domain.errors import NotFound, RetryLater
from domain.frame_record import FrameRecord, split_name
from domain.hashes import Hashes
from tests.simulation.faults import Wire


def hashes_of(data: bytes) -> Hashes:
    """Checksums; those that no simulated provider compares are made up."""
    return Hashes(hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest(), "00000000", "d")


class Disk:
    """Files by path: what is seen, and what would be left without power."""

    def __init__(self) -> None:
        self.seen: dict[str, bytes] = {}
        self.synced: dict[str, bytes] = {}
        self.staged: dict[str, bytes] = {}
        self.number = 0
        self.gone: set[str] = set()
        self.again: set[str] = set()
        """Paths of bytes that came once more after they had gone: an ingest had begun before they came the first time.
        Nobody but another ingest of these bytes finds them."""
        self.removing: Callable[[str, str], None] = lambda path, key: None
        """Hears of bytes that are about to go."""
        self.syncs = True
        """False breaks the store: it doesn't wait for the disk. (For tests of the simulation itself.)"""

    def sync(self, path: str) -> None:
        """Have a name and its bytes survive."""
        if not self.syncs:
            return
        if path in self.seen:
            self.synced[path] = self.seen[path]
        else:
            self.synced.pop(path, None)

    def cut_power(self) -> None:
        """What wasn't synced is lost, or not: this disk loses it."""
        self.seen = dict(self.synced)
        self.staged.clear()


class _Staging:
    def __init__(self, disk: Disk, wire: Wire) -> None:
        self._disk, self._wire = disk, wire
        disk.number += 1
        self._name = f"staged-{disk.number}"
        self._data = b""

    def write(self, data: bytes) -> None:
        self._data += self._wire.call("store", f"stage {len(data)}", lambda: data)

    def finish(self) -> Staged:
        self._disk.staged[self._name] = self._data
        return Staged(Path(self._name), len(self._data), hashes_of(self._data))


class SimStore:
    """Implements FileStore as a directory does: the key is the md5."""

    def __init__(self, disk: Disk, wire: Wire) -> None:
        self.disk, self._wire = disk, wire

    @contextmanager
    def staging(self) -> Iterator[Staging]:
        """See FileStore.staging."""
        yield _Staging(self.disk, self._wire)

    def keep(
        self, staged: Staged, path: str, *, filename: str, content_type: str = "", observed: datetime | None = None
    ) -> Stored:
        """See FileStore.keep."""
        data, md5 = self.disk.staged[str(staged.file)], staged.hashes.md5
        for candidate in (path, f"{path}~{md5[:6]}", f"{path}~{md5}"):
            if self._wire.call("store", f"link {candidate}", partial(self._link, candidate, data)):
                self._wire.call("store", f"sync {candidate}", partial(self.disk.sync, candidate))
                return Stored(candidate, md5)
        raise RetryLater("No name is free.")

    def open(self, path: str, key: str) -> BinaryIO:
        """See FileStore.open."""
        return io.BytesIO(self._wire.call("store", f"open {path}", lambda: self._held(path, key)))

    def size(self, path: str, key: str) -> int:
        """See FileStore.size."""
        return len(self._held(path, key))

    def delete(self, path: str, key: str) -> None:
        """See FileStore.delete."""

        def delete() -> None:
            data = self.disk.seen.get(path)
            if data is not None and hashlib.md5(data).hexdigest() == key:
                self.disk.removing(path, key)
                del self.disk.seen[path]
                self.disk.gone.add(path)
                self.disk.again.discard(path)
                self.disk.sync(path)

        self._wire.call("store", f"delete {path}", delete)

    def url(self, path: str, key: str, *, filename: str, expires: int = 172_800) -> str:
        """None of its own."""
        return ""

    def _link(self, path: str, data: bytes) -> bool:
        if path in self.disk.gone and path not in self.disk.seen:
            self.disk.again.add(path)
        return self.disk.seen.setdefault(path, data) == data

    def _held(self, path: str, key: str) -> bytes:
        data = self.disk.seen.get(path)
        if data is None or hashlib.md5(data).hexdigest() != key:
            raise NotFound("The file is no longer in the file store.")
        return data


def made_file(header: Mapping[str, Any], size: int) -> bytes:
    """A file of the simulation: a header, and filling."""
    return json.dumps(header, sort_keys=True).encode().ljust(size, b".") + b"\n"


class SimReader:
    """Implements FrameReader for made-up files."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def describe(self, file: Path, filename: str, metadata: Mapping[str, Any] | None = None) -> Described:
        """See FrameReader."""
        header = json.loads(self._disk.staged[str(file)].decode().rstrip(".\n"))
        basename, extension = split_name(filename)
        observed = datetime(2026, 2, 28, 3, 0, tzinfo=UTC)
        record = FrameRecord(
            basename=basename,
            reduction_level=header["level"],
            observation_date=observed,
            proposal_id=header["proposal"],
            target_name="M31",
            configuration_type="EXPOSE",
            observation_id=header["observation"],
        )
        return Described(record, header, extension, f"night/{filename}")

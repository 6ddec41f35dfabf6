"""A destination in memory whose faults a test writes down beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from application.ports.destination import Arrived, Check, Session, Upload
from domain.errors import GiveUp
from domain.storage_configs import Provider, StorageConfig
from tests.fakes.samples import hashes_of

Fault = Exception | Callable[[], None]


class ScriptedDestination:
    """Implements Destination. `faults` holds, per method, what its next calls raise or do first (None: nothing).

    Uploads live under the session's `state["upload"]`, so that one of them can be lost or resumed.
    """

    def __init__(self, chunk_size: int = 4) -> None:
        self.chunk_size = chunk_size
        self.keeps_session = False
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault | None]] = {}
        self.calls: list[str] = []
        self.resumed: list[Session | None] = []
        self.damage: Callable[[bytes], bytes] = lambda data: data
        self.confirms: Callable[[int], int] = lambda sent: sent
        self.opened = self.closed = 0

    def script(self, method: str, *faults: Fault | None) -> None:
        """What the next calls of `method` meet."""
        self.faults.setdefault(method, []).extend(faults)

    def test(self) -> list[Check]:
        """See Destination."""
        return []

    def find(self, upload: Upload) -> Arrived | None:
        """See Destination."""
        self._met("find")
        data = self.objects.get(upload.path)
        return None if data is None else self._arrived(upload.path, data)

    def look(self, upload: Upload, remote_id: str) -> Arrived | None:
        """See Destination."""
        self._met("look")
        data = self.objects.get(upload.path)
        return None if data is None else self._arrived(upload.path, data)

    def expect(self, uploads: Sequence[Upload]) -> None:
        """See Destination: written down."""
        self.calls.append(f"expect {len(uploads)}")

    def begin(self, upload: Upload, resume: Session | None) -> Session:
        """See Destination."""
        self._met("begin")
        self.resumed.append(resume)
        if resume and (name := resume.state["upload"]) in self.uploads:
            return Session(len(self.uploads[name]), {"upload": name})
        name = f"upload-{len(self.resumed)}"
        self.uploads[name] = b""
        return Session(0, {"upload": name})

    def put(self, upload: Upload, session: Session, data: bytes) -> Session:
        """See Destination."""
        self._met("put")
        name = session.state["upload"]
        assert session.offset == len(self.uploads[name])
        assert 0 < len(data) <= self.chunk_size
        self.uploads[name] += data[: self.confirms(len(data))]
        return Session(len(self.uploads[name]), {"upload": name})

    def finish(self, upload: Upload, session: Session) -> Arrived:
        """See Destination."""
        self._met("finish")
        data = self.damage(self.uploads.pop(session.state["upload"]))
        made = upload.path not in self.objects
        if self.objects.setdefault(upload.path, data) != data:
            raise GiveUp("Another file has that name.")
        return msgspec.structs.replace(self._arrived(upload.path, data), made=made)

    def remove(self, arrived: Arrived) -> None:
        """See Destination."""
        self._met("remove")
        self.objects.pop(arrived.path, None)

    def abandon(self, upload: Upload, session: Session) -> None:
        """See Destination."""
        self._met("abandon")
        self.uploads.pop(session.state["upload"], None)

    def close(self) -> None:
        """See Destination."""
        self.closed += 1

    def _arrived(self, path: str, data: bytes) -> Arrived:
        hashes = hashes_of(data)
        return Arrived(path, f"rev-{path}", len(data), {"md5": hashes.md5, "sha256": hashes.sha256})

    def _met(self, method: str) -> None:
        self.calls.append(method)
        faults = self.faults.get(method)
        fault = faults.pop(0) if faults else None
        if isinstance(fault, Exception):
            raise fault
        if fault:
            fault()


class OneDestination:
    """Implements OpenDestination: every configuration leads to the same place."""

    def __init__(self, destination: ScriptedDestination) -> None:
        self.destination = destination
        self.secrets: Mapping[str, str] = {}
        self.trouble: Exception | None = None

    @contextmanager
    def __call__(self, config: StorageConfig, secrets: Mapping[str, str]) -> Iterator[ScriptedDestination]:
        """See OpenDestination."""
        if self.trouble:
            raise self.trouble
        self.secrets = secrets
        self.destination.opened += 1
        try:
            yield self.destination
        finally:
            self.destination.close()

    def check(self, provider: Provider, options: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        """See OpenDestination."""

"""Places of owners that copies go to, as models: what the far side keeps, and what one worker sees of it.

Three kinds stand for the five providers: a `folder` (a hidden file that all attempts share, then a name), a `cloud`
(an upload session, and a condition that the name is free), and a `drive` (an id that is reserved first, several files
may have one name, and the list of names lags behind).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import msgspec

from application.ports.destination import Arrived, Check, Destination, Session, Upload
from domain.errors import ChecksumMismatch, DestinationPaused, GiveUp, NeedsAuthorization, RetryLater
from domain.storage_configs import Provider, StorageConfig
from tests.simulation.disk import hashes_of
from tests.simulation.faults import Wire
from tests.simulation.kernel import SECOND

T = TypeVar("T")

CHUNK = 200
LIST_LAG = 20 * SECOND


class Object(msgspec.Struct):
    """A file at a destination. `token` says which transfer made it; empty for somebody else's."""

    path: str
    id: str
    token: str
    data: bytes
    since: int


class FarSide:
    """All that a provider keeps of one destination."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.objects: list[Object] = []
        self.uploads: dict[str, bytes] = {}
        self.away = self.revoked = self.full = False
        self.meddled: set[str] = set()
        """Paths that somebody else has removed or changed."""
        self.number = 0

    def at(self, path: str) -> list[Object]:
        """What is there."""
        return [one for one in self.objects if one.path == path]

    def new_id(self, what: str) -> str:
        """A name that nothing had yet."""
        self.number += 1
        return f"{what}{self.number}"


class SimDestination:
    """Implements Destination for one worker."""

    chunk_size = CHUNK

    def __init__(self, far: FarSide, wire: Wire, name: str) -> None:
        self._far, self._wire, self._name = far, wire, name
        self.keeps_session = far.kind == "drive"

    def test(self) -> list[Check]:
        """See Destination.test."""
        try:
            self._wire.call("lookup", f"{self._name} test", self._usable)
        except (RetryLater, NeedsAuthorization, DestinationPaused) as error:
            return [Check("upload", False, str(error))]
        return [Check("upload", True)]

    def find(self, upload: Upload) -> Arrived | None:
        """See Destination.find."""
        return self._call("find", lambda: next(map(_arrived, self._far.at(upload.path)), None))

    def look(self, upload: Upload, remote_id: str) -> Arrived | None:
        """See Destination.look."""

        def look() -> Arrived | None:
            found = self._far.at(upload.path)
            if self._far.kind == "drive":
                found = [one for one in self._far.objects if one.id == remote_id]
            return next(map(_arrived, found), None)

        return self._call("look", look)

    def expect(self, uploads: Sequence[Upload]) -> None:
        """See Destination.expect."""

    def begin(self, upload: Upload, resume: Session | None) -> Session:
        """See Destination.begin."""

        def begin() -> Session:
            far = self._far
            known = resume.state.get("upload", "") if resume else ""
            if far.kind == "folder":
                known = f".{upload.token}"
                if known not in far.uploads and not far.at(upload.path):
                    far.uploads[known] = b""
            elif known not in far.uploads and not (far.kind == "drive" and any(o.id == known for o in far.objects)):
                known = far.new_id("u")
                far.uploads[known] = b""
            return Session(len(far.uploads.get(known, b"")), {"upload": known})

        return self._call("begin", begin)

    def put(self, upload: Upload, session: Session, data: bytes) -> Session:
        """See Destination.put."""

        def put(kind: str = "") -> Session:
            name, far = session.state["upload"], self._far
            if kind in ("429", "quota", "401"):
                return self._refuse(kind)
            if name not in far.uploads:
                named = far.kind == "folder" or any(one.id == name for one in far.objects)
                if named and far.at(upload.path):  # by another worker, or by an attempt whose end we didn't hear of
                    return Session(session.offset + len(data), session.state)
                raise RetryLater("The upload is gone.")
            sent = data[: max(1, len(data) // 2)] if kind == "half" else data
            if kind == "corrupt":
                sent = b"#" + sent[1:]
            held = far.uploads[name]
            far.uploads[name] = held[: session.offset] + sent + held[session.offset + len(sent) :]
            return Session(session.offset + len(sent), session.state)

        return self._call("put", put, put)

    def finish(self, upload: Upload, session: Session) -> Arrived:
        """See Destination.finish."""

        def finish(kind: str = "") -> Arrived:
            if kind in ("429", "quota", "401"):
                return self._refuse(kind)
            return self._finish(upload, session.state["upload"])

        return self._call("finish", finish, finish)

    def remove(self, arrived: Arrived) -> None:
        """See Destination.remove."""

        def remove() -> None:
            self._far.objects = [one for one in self._far.objects if one.id != arrived.remote_id]

        self._call("remove", remove)

    def abandon(self, upload: Upload, session: Session) -> None:
        """See Destination.abandon."""
        self._call("abandon", lambda: self._far.uploads.pop(session.state["upload"], None))

    def close(self) -> None:
        """See Destination.close."""

    def _finish(self, upload: Upload, name: str) -> Arrived:
        far = self._far
        if far.kind == "drive":
            mine = next((one for one in far.objects if one.id == name), None)
            if mine is not None:
                return _arrived(mine, made=True)
            listed = [one for one in far.at(upload.path) if self._wire.kernel.now - one.since > LIST_LAG]
        else:
            listed = far.at(upload.path)
        for one in listed:
            if hashes_of(one.data).md5 != upload.hashes.md5:
                raise GiveUp("Another file has that name.")
            return _arrived(one)
        if name not in far.uploads:
            raise RetryLater("The upload is gone.")
        data = far.uploads.pop(name)
        if far.kind != "drive" and hashes_of(data).md5 != upload.hashes.md5:
            raise ChecksumMismatch("The provider has received other bytes.")
        made = Object(
            upload.path, name if far.kind == "drive" else far.new_id("o"), upload.token, data, self._wire.kernel.now
        )
        far.objects.append(made)
        return _arrived(made, made=True)

    def _call(self, what: str, do: Callable[[], T], act: Callable[[str], T] | None = None) -> T:
        def usable() -> T:
            self._usable()
            return do()

        def acting(kind: str) -> T:
            self._usable()
            return act(kind) if act is not None else do() if kind in ("half", "corrupt") else self._refuse(kind)

        return self._wire.call("destination", f"{self._name} {what}", usable, acting)

    def _usable(self) -> None:
        if self._far.away:
            raise RetryLater("The provider can't be reached.")
        if self._far.revoked:
            raise NeedsAuthorization("The provider has revoked the authorization.")
        if self._far.full:
            raise DestinationPaused("The account is full.")

    def _refuse(self, kind: str) -> NoReturn:
        if kind == "429":
            raise RetryLater("The provider asks to wait.", retry_after=450.0)
        if kind == "quota":
            raise DestinationPaused("The account is full.")
        self._far.revoked = True
        raise NeedsAuthorization("The provider has revoked the authorization.")


class SimDestinations:
    """Implements OpenDestination for one process."""

    def __init__(self, far: dict[str, FarSide], wire: Wire) -> None:
        self._far, self._wire = far, wire

    @contextmanager
    def __call__(self, config: StorageConfig, secrets: Mapping[str, str]) -> Iterator[Destination]:
        """See OpenDestination."""
        yield SimDestination(self._far[config.id], self._wire, config.id)

    def check(self, provider: Provider, options: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        """Whatever the simulation makes is right."""


def _arrived(one: Object, *, made: bool = False) -> Arrived:
    hashes = hashes_of(one.data)
    return Arrived(one.path, one.id, len(one.data), {"md5": hashes.md5, "sha256": hashes.sha256}, made)

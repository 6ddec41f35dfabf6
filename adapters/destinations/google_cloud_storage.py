"""A Google Cloud Storage bucket, written to by a service account."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, assert_never

import msgspec
from google.api_core.exceptions import NotFound, PreconditionFailed

from adapters.destinations.connection_test import run_checks, write_and_remove
from adapters.destinations.gcs_client import Connection, loopback_only
from adapters.destinations.gcs_connections import IdleConnections
from adapters.destinations.gcs_errors import UnexpectedReply, classified, classify
from adapters.destinations.gcs_uploads import GcsUploads
from adapters.destinations.google_answers import QUANTUM, Confirmed, Finished, Lost, Progress, Taken
from adapters.destinations.hash_match import settled
from application.ports.destination import Arrived, Check, Session, Upload
from domain.errors import ChecksumMismatch, GiveUp, Misconfigured, RetryLater

_NEEDED = ("storage.objects.create", "storage.objects.get", "storage.objects.delete", "storage.objects.list")
"""All are in the role Storage Object User; no right on the bucket itself is needed. Who may not list is told that an
object which isn't there is forbidden."""


class GcsDestination:
    """Delivers to `bucket`; an object's name is the upload's path without the leading slash.

    `service_account_info` is the parsed JSON key. `endpoint` replaces Google's addresses, for tests, and has to be on
    this machine. `chunk_size` is a multiple of 256 KiB; 8 MiB was the fastest on loopback, larger ones help on lines
    with a long round trip. `timeout` is in seconds, for each step that the network takes. `connections` are shared with
    other destinations; alone, the connection lives until it is let go.

    A file of one chunk goes up in one request, a larger one in a resumable upload. A session's `state` is that one's
    address, a capability, and the bucket that it leads to: `{"url": …, "bucket": …}`, or empty when there is none.
    `remote_id` is the object's generation. An object appears only where none is, so after an unclear failure the next
    attempt finds what came and compares it.
    """

    keeps_session = False

    def __init__(
        self,
        bucket: str,
        service_account_info: Mapping[str, Any],
        endpoint: str | None = None,
        chunk_size: int = 8 << 20,
        *,
        timeout: float = 60.0,
        probe_folder: str = "/",
        connections: IdleConnections | None = None,
    ) -> None:
        if chunk_size <= 0 or chunk_size % QUANTUM:
            raise Misconfigured("The chunk size for Google Cloud Storage has to be a multiple of 256 KiB.")
        self.chunk_size = chunk_size
        self._bucket_name = bucket
        self._info = service_account_info
        self._endpoint = loopback_only(endpoint)
        self._timeout = timeout
        self._probe_folder = probe_folder
        self._connections = connections or IdleConnections()
        self._granted: frozenset[str] = frozenset()
        self._finished: dict[str, Arrived] = {}

    def test(self) -> list[Check]:
        """See the port."""
        return run_checks(self._fetch_token, self._reach_bucket, self._try_upload)

    def find(self, upload: Upload) -> Arrived | None:
        """See the port."""
        with classified():
            blob = self._bucket.get_blob(_object_name(upload.path), retry=None, timeout=self._timeout)
            if blob is None:
                return None
            return _arrived(
                upload.path,
                {"generation": blob.generation, "size": blob.size, "crc32c": blob.crc32c, "md5Hash": blob.md5_hash},
            )

    def look(self, upload: Upload, remote_id: str) -> Arrived | None:  # noqa: ARG002
        """See the port. Google answers alike for a missing object and a missing bucket; asking for our rights on the
        bucket tells them apart. Raises GiveUp when the bucket is gone."""
        arrived = self.find(upload)
        if arrived is None:
            self._reach_bucket()
        return arrived

    def expect(self, uploads: Sequence[Upload]) -> None:
        """See the port. Nothing is asked beforehand here."""

    def begin(self, upload: Upload, resume: Session | None) -> Session:
        """See the port. Raises GiveUp when another object is there and the provider says so this early."""
        with classified():
            if resume is not None and (url := resume.state.get("url")):
                resumed = self._resumed(upload, url, resume.state.get("bucket", self._bucket_name))
                if resumed is not None:
                    return resumed
            if upload.size <= self.chunk_size:
                return Session(offset=0)
            started = self._uploads.initiate(upload, _object_name(upload.path))
            if isinstance(started, Taken):
                return self._session(upload, "", started)
            return self._session(upload, started, Confirmed(0))

    def put(self, upload: Upload, session: Session, data: bytes) -> Session:
        """See the port. The last bytes complete the object.

        Raises RetryLater when nothing more was confirmed, ChecksumMismatch when the provider refuses the checksum.
        """
        url = session.state.get("url")
        if not url and session.offset == 0 and len(data) == upload.size:
            self._upload_whole(upload, data)
            return Session(offset=upload.size)
        if not url or not data:
            return session
        if session.offset + len(data) != upload.size:
            data = data[: len(data) - len(data) % QUANTUM]
        if not data:
            raise GiveUp("Google Cloud Storage takes chunks of 256 KiB and more, except at the end of a file.")
        with classified():
            progress = self._advance(url, lambda: self._uploads.send(url, upload, session.offset, data))
            following = self._session(upload, url, progress)
        if following.offset <= session.offset:
            raise RetryLater("Google Cloud Storage kept none of the bytes that were sent.")
        return following

    def finish(self, upload: Upload, session: Session) -> Arrived:
        """See the port. Raises ChecksumMismatch when the provider refuses the checksum."""
        url = session.state.get("url")
        if not url:
            if upload.size == 0:
                self._upload_whole(upload, b"")
            return self._finished.pop(upload.token, None) or self._settle(upload)
        if url in self._finished:
            return self._finished.pop(url)
        with classified():
            progress = self._advance(url, lambda: self._uploads.status(url, upload))
            match progress:
                case Finished(resource):
                    return self._still_there(upload, resource) or self._settle(upload)
                case Confirmed(offset):
                    raise RetryLater(f"Google Cloud Storage has {offset} of {upload.size} bytes so far.")
                case Taken() | Lost():
                    return self._settle(upload)
        assert_never(progress)

    def remove(self, arrived: Arrived) -> None:
        """See the port. An object that replaced ours has another generation and stays."""
        with classified():
            try:
                self._bucket.delete_blob(
                    _object_name(arrived.path),
                    if_generation_match=int(arrived.remote_id),
                    retry=None,
                    timeout=self._timeout,
                )
            except (NotFound, PreconditionFailed) as exc:
                if not isinstance(classify(exc), GiveUp):
                    raise

    def abandon(self, upload: Upload, session: Session) -> None:  # noqa: ARG002
        """See the port."""
        if url := session.state.get("url"):
            self._finished.pop(url, None)
            with classified():
                self._uploads.cancel(url)

    def close(self) -> None:
        """Give the connection back, if there is one."""
        if "_connection" in self.__dict__:
            self._connections.give_back(self._connection)
            del self.__dict__["_connection"]

    @cached_property
    def _connection(self) -> Connection:
        return self._connections.take(self._info, self._endpoint)

    @cached_property
    def _bucket(self) -> Any:
        return self._connection.client.bucket(self._bucket_name)

    @cached_property
    def _uploads(self) -> GcsUploads:
        connection = self._connection
        return GcsUploads(connection.client._http, connection.base, self._bucket_name, self._timeout)

    def _upload_whole(self, upload: Upload, data: bytes) -> None:
        with classified():
            sent = self._uploads.whole(upload, _object_name(upload.path), data)
        if isinstance(sent, Finished):
            self._finished[upload.token] = _arrived(upload.path, sent.resource, made=True)

    def _resumed(self, upload: Upload, url: str, bucket: str) -> Session | None:
        """The upload where it stands; None when it is to start anew."""
        if bucket != self._bucket_name:  # the configuration was changed since
            self._drop(url)
            return None
        progress = self._advance(url, lambda: self._uploads.status(url, upload))
        match progress:
            case Finished(resource):
                arrived = self._still_there(upload, resource)
                if arrived is None:
                    return None
                self._finished[url] = arrived
                return Session(offset=upload.size, state={"url": url, "bucket": bucket})
            case Lost():
                return None
            case _:
                return self._session(upload, url, progress)

    def _still_there(self, upload: Upload, resource: Mapping[str, Any]) -> Arrived | None:
        """What an upload that has ended made, if it is still there: the upload itself goes on telling of it. Raises
        GiveUp when another object has taken its place."""
        there = self.find(upload)
        if there is None or there.remote_id != str(resource["generation"]):
            return there and settled(upload, there)
        return msgspec.structs.replace(there, made=True)

    def _advance(self, url: str, step: Callable[[], Progress]) -> Progress:
        """Take a step of the protocol. An upload that can never be completed is dropped, so that it takes no room."""
        try:
            progress = step()
        except UnexpectedReply as exc:
            if isinstance(classify(exc), ChecksumMismatch):
                self._drop(url)
            raise
        if isinstance(progress, Taken):
            self._drop(url)
        return progress

    def _drop(self, url: str) -> None:
        with suppress(Exception):
            self._uploads.cancel(url)

    def _session(self, upload: Upload, url: str, progress: Progress) -> Session:
        match progress:
            case Confirmed(offset):
                return Session(offset=offset, state={"url": url, "bucket": self._bucket_name})
            case Finished(resource):
                self._finished[url] = _arrived(upload.path, resource, made=True)
                return Session(offset=upload.size, state={"url": url, "bucket": self._bucket_name})
            case Taken() | Lost():
                self._settle(upload)
                return Session(offset=upload.size)
        assert_never(progress)

    def _settle(self, upload: Upload) -> Arrived:
        """What is at the path, when that decides how an upload went. Raises GiveUp when it isn't this file."""
        arrived = self.find(upload)
        if arrived is None:
            raise RetryLater("Google Cloud Storage has lost the unfinished upload; it starts anew.")
        return settled(upload, arrived)

    def _fetch_token(self) -> None:
        with classified():
            self._connection.fetch_token(self._timeout)

    def _reach_bucket(self) -> None:
        with classified():
            granted = self._bucket.test_iam_permissions(list(_NEEDED), retry=None, timeout=self._timeout)
        self._granted = frozenset(granted)

    def _try_upload(self) -> None:
        missing = [one for one in _NEEDED if one not in self._granted]
        if missing:
            raise GiveUp(
                f"The service account lacks {', '.join(missing)} on the bucket; grant it the role Storage Object User."
            )
        write_and_remove(self, self._probe_folder)


def _object_name(path: str) -> str:
    return path.removeprefix("/")


def _arrived(path: str, resource: Mapping[str, Any], *, made: bool = False) -> Arrived:
    """Composite objects have no MD5, every object has a CRC-32C."""
    hashes = {"crc32c": base64.b64decode(resource["crc32c"]).hex()}
    if resource.get("md5Hash"):
        hashes["md5"] = base64.b64decode(resource["md5Hash"]).hex()
    generation, size = str(resource["generation"]), int(resource["size"])
    return Arrived(path=path, remote_id=generation, size=size, hashes=hashes, made=made)

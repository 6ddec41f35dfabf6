"""A bucket of an S3-compatible service: Amazon's, MinIO, Ceph, R2 and others.

Newer services take a condition (appear only where nothing is) and check a CRC-32C of the whole object before it
appears. Older ones refuse or ignore both. So what is at the path is also looked at before, unless the service was seen
to keep the condition, and what came is compared by what the service has: its CRC-32C, its MD5, the MD5s of the parts,
or else the bytes themselves, read back.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import google_crc32c
import msgspec
from botocore.exceptions import ClientError

from adapters.destinations.connection_test import run_checks, write_and_remove
from adapters.destinations.hash_match import settled
from adapters.destinations.s3_account import UNKNOWN_HEADER, S3Account
from adapters.destinations.s3_contents import claimed_md5, equal_hashes, etag_of, etag_of_parts, read_back
from adapters.destinations.s3_errors import classified, classify, code_of, status_of
from adapters.destinations.s3_parts import LOST, MOST_PARTS, MultipartUploads, Part
from application.ports.destination import Arrived, Check, Session, Upload
from domain.errors import ChecksumMismatch, GiveUp, RetryLater

_DIFFERS = "The file on this server is damaged: its checksum differs from the one that it came in with."


class S3Destination:
    """Delivers to `bucket`; an object's key is the upload's path without the leading slash.

    A file of at most `chunk_size` bytes goes in one request, a larger one in parts of that size (at least 5 MiB for
    most services; larger ones where 10 000 don't suffice). A session's `state` is that of MultipartUploads, or empty.
    `remote_id` is the object's version, if the bucket keeps any, and its ETag. `probe_folder` is where the connection
    test writes. The account is shared: `close` leaves it open.
    """

    keeps_session = False

    def __init__(self, account: S3Account, bucket: str, chunk_size: int = 8 << 20, *, probe_folder: str = "/") -> None:
        self.chunk_size = chunk_size
        self._account = account
        self._client = account.client
        self._bucket = bucket
        self._parts = MultipartUploads(account, bucket)
        self._probe_folder = probe_folder
        self._finished: dict[str, Arrived] = {}

    def test(self) -> list[Check]:
        """See the port. One request answers for the credentials and for the bucket."""
        refused: list[GiveUp] = []

        def credentials() -> None:
            try:
                with classified():
                    folder = self._probe_folder.strip("/")
                    answer = self._client.list_objects_v2(Bucket=self._bucket, Prefix=folder, MaxKeys=1)
                    if "KeyCount" not in answer and "Name" not in answer:
                        raise RetryLater("The S3 service's answer could not be understood.")
            except GiveUp as exc:
                refused.append(exc)

        def bucket() -> None:
            if refused:
                raise refused[0]

        return run_checks(credentials, bucket, lambda: write_and_remove(self, self._probe_folder))

    def find(self, upload: Upload) -> Arrived | None:
        """See the port. Reads the object where it has our size and the service tells no checksum that equals ours."""
        with classified():
            head = self._head(upload.path)
            return None if head is None else self._arrived(upload, head)

    def look(self, upload: Upload, remote_id: str) -> Arrived | None:  # noqa: ARG002
        """See the port. A HEAD answers alike for a missing object and a missing bucket; a GET says which. Raises GiveUp
        when the bucket is gone."""
        with classified():
            arrived = self.find(upload)
            if arrived is None and self._is_there(upload.path):
                raise RetryLater("The S3 service refused to tell of a file that it gives out.")
            return arrived

    def expect(self, uploads: Sequence[Upload]) -> None:
        """See the port. Nothing is asked beforehand here."""

    def begin(self, upload: Upload, resume: Session | None) -> Session:
        """See the port. Raises GiveUp when another object is there."""
        unfinished = resume if resume and resume.state.get("upload") else None
        with classified():
            self.chunk_size = max(self.chunk_size, -(-upload.size // MOST_PARTS))
            if not unfinished and upload.size <= self.chunk_size and self._account.never_replaces(self._bucket):
                return Session(offset=0)
            present = self.find(upload)
            if present is not None:
                if unfinished:
                    self._parts.drop(upload, unfinished)
                settled(upload, present)
                return Session(offset=upload.size)
            if unfinished and (session := self._parts.resume(upload, unfinished)):
                return session
            if upload.size <= self.chunk_size:
                return Session(offset=0)
            return self._parts.begin(upload)

    def put(self, upload: Upload, session: Session, data: bytes) -> Session:
        """See the port. A small file appears with its only chunk."""
        if not data or session.offset >= upload.size:
            return session
        with classified():
            if session.state.get("upload"):
                return self._put_part(upload, session, data)
            if len(data) != upload.size:
                raise RetryLater(LOST)
            self._finished[upload.path] = self._put_whole(upload, data)
            return Session(offset=upload.size)

    def finish(self, upload: Upload, session: Session) -> Arrived:
        """See the port."""
        if arrived := self._finished.pop(upload.path, None):
            return arrived
        with classified():
            present = self.find(upload)
            if present is not None:
                if session.state.get("upload"):
                    self._parts.drop(upload, session)
                return settled(upload, present)
            if session.state.get("upload"):
                return self._complete(upload, session)
            if upload.size:
                raise RetryLater(LOST)
            return self._put_whole(upload, b"")

    def remove(self, arrived: Arrived) -> None:
        """See the port. Keys that may not delete versions hide the object."""
        version, _, etag = arrived.remote_id.rpartition(" ")
        where = self._where(arrived.path)
        with classified():
            try:
                if version and self._delete_version(where, version):
                    return
                head = self._head(arrived.path)
                if head is not None and etag_of(head) == etag:
                    self._account.ask(self._client.delete_object, {"IfMatch": f'"{etag}"'}, **where)
            except ClientError as exc:
                if code_of(exc) not in ("NoSuchKey", "NoSuchVersion", "PreconditionFailed"):
                    raise

    def abandon(self, upload: Upload, session: Session) -> None:
        """See the port."""
        self._finished.pop(upload.path, None)
        if session.state.get("upload"):
            with classified():
                self._parts.abort(upload, session)

    def close(self) -> None:
        """Nothing is held; the account stays open for the next."""

    def _put_whole(self, upload: Upload, data: bytes) -> Arrived:
        crc32c = google_crc32c.value(data).to_bytes(4, "big")
        if crc32c.hex() != upload.hashes.crc32c:
            raise ChecksumMismatch(_DIFFERS)
        newer = {"IfNoneMatch": "*", "ChecksumCRC32C": base64.b64encode(crc32c).decode()}
        request = {
            **self._where(upload.path),
            "ContentMD5": base64.b64encode(bytes.fromhex(upload.hashes.md5)).decode(),
            "ContentType": upload.content_type,
        }
        unseen = self._account.never_replaces(self._bucket)
        try:
            # sent piece by piece, so that a slow line is no fault while it moves
            if unseen:
                answer = self._client.put_object(**request, **newer, Body=io.BytesIO(data))
            else:
                answer = self._account.ask(self._client.put_object, newer, **request, Body=io.BytesIO(data))
        except ClientError as exc:
            if code_of(exc) == "PreconditionFailed":
                return self._settle(upload)
            if unseen and code_of(exc) in UNKNOWN_HEADER:  # then it isn't to be written before it was looked for
                self._account.saw_replacing(self._bucket, refused=False)
                raise RetryLater("The S3 service takes no conditions any more.") from None
            raise
        if not etag_of(answer):
            raise RetryLater("The S3 service's answer could not be understood.")
        hashes = equal_hashes(answer, upload)
        if hashes and self._account.never_replaces(self._bucket) is None and not answer.get("VersionId"):
            self._try_condition({**request, **newer, "Body": io.BytesIO(data)})
        if hashes:
            return Arrived(upload.path, _remote_id(answer), upload.size, hashes, made=True)
        arrived = self._look(upload)
        return msgspec.structs.replace(arrived, made=_is_that(arrived, answer))

    def _try_condition(self, request: dict[str, Any]) -> None:
        """Write the file that has just come once more, with the same bytes: a service that keeps conditions refuses.
        (Where versions are kept one that doesn't would have two, so it isn't tried there.)"""
        refused = False
        try:
            self._client.put_object(**request)
        except Exception as exc:
            if not isinstance(exc, ClientError):
                return  # nobody knows; the next file tells
            refused = code_of(exc) == "PreconditionFailed"
        self._account.saw_replacing(self._bucket, refused=refused)

    def _put_part(self, upload: Upload, session: Session, data: bytes) -> Session:
        try:
            return self._parts.put(upload, session, data)
        except ClientError as exc:
            if isinstance(classify(exc), ChecksumMismatch):
                self._parts.drop(upload, session)
            raise

    def _complete(self, upload: Upload, session: Session) -> Arrived:
        if session.offset != upload.size:
            raise RetryLater(f"The S3 service has {session.offset} of {upload.size} bytes so far.")
        if session.state["crc32c"] != upload.hashes.crc32c:
            self._parts.drop(upload, session)
            raise ChecksumMismatch(_DIFFERS)
        try:
            parts, made = self._parts.complete(upload, session)
        except ClientError as exc:
            if code_of(exc) == "PreconditionFailed":
                self._parts.drop(upload, session)
                return self._settle(upload)
            if code_of(exc) in ("BadDigest", "InvalidPart", "InvalidPartOrder"):
                self._parts.drop(upload, session)
            raise
        arrived = self._look(upload, parts if session.state["compared"] else ())
        if not _is_that(arrived, made):  # somebody has put another in its place at once
            return settled(upload, arrived)
        return msgspec.structs.replace(arrived, made=True)

    def _look(self, upload: Upload, parts: list[Part] | tuple[()] = ()) -> Arrived:
        """What has just been made to appear."""
        head = self._head(upload.path)
        if head is None:
            raise RetryLater("The S3 service does not show the file yet.")
        return self._arrived(upload, head, parts)

    def _settle(self, upload: Upload) -> Arrived:
        """What is at the path, when that decides how an upload went. Raises GiveUp when it isn't this file."""
        return settled(upload, self._look(upload))

    def _arrived(self, upload: Upload, head: Mapping[str, Any], parts: list[Part] | tuple[()] = ()) -> Arrived:
        """The object of a HEAD's answer. `parts` are those that our own bytes, checked by CRC-32C, were confirmed as by
        their MD5s: an ETag made of these means that the object is these bytes."""
        size, etag = int(head.get("ContentLength", 0)), etag_of(head)
        hashes = equal_hashes(head, upload)
        if not hashes and size != upload.size:
            hashes = claimed_md5(head)
        elif not hashes and parts and etag.lower() == etag_of_parts(part.etag.lower() for part in parts):
            hashes = {"crc32c": upload.hashes.crc32c}
        elif not hashes:
            hashes = read_back(self._client, self._where(upload.path), etag, size)
        return Arrived(upload.path, _remote_id(head), size, hashes)

    def _head(self, path: str) -> Mapping[str, Any] | None:
        """The answer to a HEAD, None when nothing is there. One without a reason is asked for it by a GET."""
        where = self._where(path)
        try:
            head: Mapping[str, Any] = self._client.head_object(**where, ChecksumMode="ENABLED")
        except ClientError as exc:
            if status_of(exc) == 404:
                return None
            if status_of(exc) not in (400, 401, 403):
                raise
        else:
            if not etag_of(head):
                raise RetryLater("The S3 service's answer could not be understood.")
            return head
        if self._is_there(path):
            raise RetryLater("The S3 service refused to tell of a file that it gives out.")
        return None

    def _is_there(self, path: str) -> bool:
        """What a GET says, which unlike a HEAD gives a reason. Raises ClientError for any other than no such object."""
        try:
            self._client.get_object(**self._where(path), Range="bytes=0-0")["Body"].close()
        except ClientError as told:
            if code_of(told) == "InvalidRange":  # it is empty
                return True
            if code_of(told) == "NoSuchKey":
                return False
            raise
        return True

    def _delete_version(self, where: Mapping[str, str], version: str) -> bool:
        try:
            self._client.delete_object(**where, VersionId=version)
        except ClientError as exc:
            if code_of(exc) == "AccessDenied":
                return False
            raise
        return True

    def _where(self, path: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": path.removeprefix("/")}


def _is_that(arrived: Arrived, answer: Mapping[str, Any]) -> bool:
    """Whether it is the object of which a write's answer speaks. Not all services tell its version there."""
    version, _, etag = arrived.remote_id.rpartition(" ")
    return etag == etag_of(answer) and answer.get("VersionId", version) == version


def _remote_id(answer: Mapping[str, Any]) -> str:
    version = answer.get("VersionId") or ""
    return f"{'' if version == 'null' else version} {etag_of(answer)}".strip()

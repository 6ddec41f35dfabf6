"""A file store in a versioned bucket of an S3-compatible service (contracts: OCS archive library, file store)."""

from __future__ import annotations

import base64
import io
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from botocore.exceptions import ClientError

from adapters.file_store.disk_faults import classify as classify_disk
from adapters.file_store.disposition import attachment
from adapters.file_store.incoming import Incoming
from adapters.file_store.paths import checked
from adapters.file_store.s3_faults import FAULTS, classify, status
from adapters.file_store.s3_multipart import put_in_parts
from adapters.file_store.s3_reader import S3Reader
from adapters.file_store.s3_settings import S3Settings, connect
from application.ports.clock import Clock
from application.ports.file_store import Staged, Staging, Stored
from domain.errors import Misconfigured, NotFound, StarferryError

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

SINGLE_PUT_UP_TO = 64 * 1024 * 1024
"""Bytes that go in one request, so that the ETag is the md5, as OCS clients know it. Streamed, not held."""

LONGEST_LINK = 604_800
"""Seconds that a signature of version 4 can be valid."""

_READ_AHEAD = 256 * 1024
_NOT_VERSIONED = "The bucket keeps no versions; switch versioning on for it and start again."


class S3Store:
    """Keeps a file as a version of the object `path`; the key is its VersionId, of any length.

    Implements application.ports.file_store.FileStore. Uploads arrive in `spool`, a local folder. Other bytes at the
    same path become a further version beside the ones that are there. Other programs may have put theirs under a path
    with empty parts (`tst//20240516/…` where a header is blank): it is found there.
    """

    def __init__(
        self, settings: S3Settings, *, spool: Path, clock: Clock, single_put_up_to: int = SINGLE_PUT_UP_TO
    ) -> None:
        self._settings = settings
        self._bucket = settings.bucket
        self._client = connect(settings)
        self._incoming = Incoming(spool, clock)
        self._clock = clock
        self._single_put_up_to = single_put_up_to
        self._versioned = False

    def check(self) -> None:
        """Ask whether the bucket is there and keeps versions. Raises Misconfigured when not, RetryLater."""
        try:
            answer = self._client.get_bucket_versioning(Bucket=self._bucket)
        except FAULTS as error:
            fault = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
            # keys may be allowed to put but not to ask this; then the answer to the first put decides
            if fault not in ("AccessDenied", "NotImplemented", "MethodNotAllowed"):
                raise classify(error) from error
        else:
            if answer.get("Status") != "Enabled":
                raise Misconfigured(_NOT_VERSIONED)
        self._versioned = True

    def staging(self) -> AbstractContextManager[Staging]:
        """A place on the local disk to receive bytes."""
        return self._incoming.staging()

    def keep(
        self, staged: Staged, path: str, *, filename: str, content_type: str = "", observed: datetime | None = None
    ) -> Stored:
        """Upload, unless a version of `path` holds these bytes already. The service checks them against our md5.

        Raises InvalidInput, RetryLater, Misconfigured; RetryLater may mean that the bytes arrived all the same, and
        keeping them again finds them.
        """
        path = checked(path)
        if not self._versioned:
            self.check()
        try:
            version = self._find(path, staged)
            if version is None:
                version = self._upload(
                    staged,
                    {
                        "Bucket": self._bucket,
                        "Key": path,
                        "ContentDisposition": attachment(filename),
                        "ContentType": content_type or "application/octet-stream",
                        "Metadata": {"sha256": staged.hashes.sha256, "md5": staged.hashes.md5},
                        "StorageClass": self._storage_class(observed),
                    },
                )
        except FAULTS as error:
            raise classify(error) from error
        except OSError as error:
            raise classify_disk(error) from error
        if version in ("", "null"):
            raise Misconfigured(_NOT_VERSIONED)
        return Stored(path=path, key=version)

    def open(self, path: str, key: str) -> BinaryIO:
        """A seekable reader that fetches what is read. Raises NotFound, RetryLater, Misconfigured."""
        size = self.size(path, key)
        reader = S3Reader(self._client, self._bucket, _as_stored(path), key, size)
        return cast(BinaryIO, io.BufferedReader(reader, _READ_AHEAD))

    def size(self, path: str, key: str) -> int:
        """Bytes of this version. Raises NotFound, RetryLater, Misconfigured."""
        path = _as_stored(path)
        if not key:
            raise NotFound("The file is no longer in the file store.")
        try:
            return self._client.head_object(Bucket=self._bucket, Key=path, VersionId=key)["ContentLength"]
        except FAULTS as error:
            raise self._reason(error, path, key) from error

    def delete(self, path: str, key: str) -> None:
        """Remove exactly this version; others of the path stay. Raises RetryLater, Misconfigured."""
        path = _as_stored(path)
        if not key:  # without a version S3 would hide the whole object
            return
        try:
            self._client.delete_object(Bucket=self._bucket, Key=path, VersionId=key)
        except FAULTS as error:
            fault = classify(error)
            if not isinstance(fault, NotFound):
                raise fault from error

    def url(self, path: str, key: str, *, filename: str, expires: int = 172_800) -> str:
        """A presigned link to this version, for at most seven days."""
        try:
            return self._client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": _as_stored(path),
                    "VersionId": key,
                    "ResponseContentDisposition": attachment(filename),
                },
                ExpiresIn=min(expires, LONGEST_LINK),
            )
        except FAULTS as error:
            raise classify(error) from error

    def _find(self, path: str, staged: Staged) -> str | None:
        """The version of `path` that already holds the staged bytes; empty when the bucket keeps no versions."""
        try:
            newest = self._client.head_object(Bucket=self._bucket, Key=path)
        except ClientError as error:
            if status(error) == 404:
                return None
            raise self._reason(error, path) from error
        version = newest.get("VersionId", "")
        if not version or (version != "null" and _holds(newest, staged)):
            return version
        for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=path):
            for entry in page.get("Versions", []):
                if entry["Key"] != path:
                    return None  # keys come in order, and the path itself is the first with this beginning
                version = entry["VersionId"]
                if entry["Size"] != staged.size or entry["IsLatest"] or version == "null":
                    continue
                if _holds(self._client.head_object(Bucket=self._bucket, Key=path, VersionId=version), staged):
                    return version
        return None

    def _upload(self, staged: Staged, request: dict[str, Any]) -> str:
        if staged.size > self._single_put_up_to:
            return put_in_parts(self._client, request, staged.file, staged.size)
        digest = base64.b64encode(bytes.fromhex(staged.hashes.md5)).decode("ascii")
        with staged.file.open("rb") as body:
            return self._client.put_object(**request, Body=body, ContentMD5=digest).get("VersionId", "")

    def _storage_class(self, observed: datetime | None) -> str:
        days = self._settings.days_to_ia
        if days is None or observed is None or self._clock.now() - observed <= timedelta(days=days):
            return "STANDARD"
        return "STANDARD_IA"

    def _reason(self, error: Exception, path: str, key: str = "") -> StarferryError:
        """The class of a failed HEAD. Its answer has no body, so what is wrong is asked for again by a GET."""
        if isinstance(error, ClientError) and status(error) in (400, 403, 404):
            which: dict[str, Any] = {"Bucket": self._bucket, "Key": path} | ({"VersionId": key} if key else {})
            try:
                self._client.get_object(**which, Range="bytes=0-0")["Body"].close()
            except FAULTS as told:
                if isinstance(told, ClientError) and told.response["Error"].get("Code") == "InvalidArgument":
                    return NotFound("The file store never gave out this version of the file.")
                return classify(told)
        return classify(error)


def _as_stored(path: str) -> str:
    """The path of an object that is there already: checked like any other, but with its empty parts."""
    checked(path.lstrip("/"))
    return path


def _holds(head: HeadObjectOutputTypeDef, staged: Staged) -> bool:
    if head["ContentLength"] != staged.size:
        return False
    ours = head["Metadata"].get("sha256")
    return ours == staged.hashes.sha256 if ours else head["ETag"].strip('"') == staged.hashes.md5

"""S3's multipart uploads, as far as one upload at a time needs them.

Source: the S3 API's reference of CreateMultipartUpload, UploadPart, ListParts, CompleteMultipartUpload. A session's
state is `upload` (its id), `parts` (how many are confirmed), `crc32c` (of their bytes, hex) and `sums`: `full` when the
service checks a CRC-32C of the whole object, `parts` when only of each part, empty when of nothing but Content-MD5;
`compared` tells whether each part's ETag was its MD5, computed by us.
"""

from __future__ import annotations

import base64
import hashlib
import io
from contextlib import suppress
from typing import Any

import google_crc32c
import msgspec
from botocore.exceptions import ClientError

from adapters.destinations.s3_account import S3Account
from adapters.destinations.s3_contents import etag_of, joined_crc32c
from adapters.destinations.s3_errors import code_of
from application.ports.destination import Session, Upload
from domain.errors import RetryLater

MOST_PARTS = 10_000
LOST = "The S3 service has lost the unfinished upload; it starts anew."


class Part(msgspec.Struct, frozen=True):
    """A part that the service has; `crc32c` is in base64, empty when the service gives none."""

    number: int
    etag: str
    size: int
    crc32c: str = ""


class MultipartUploads:
    """Uploads into one bucket. Every method raises what boto3 raises; classify it."""

    def __init__(self, account: S3Account, bucket: str) -> None:
        self._account = account
        self._client = account.client
        self._bucket = bucket

    def begin(self, upload: Upload) -> Session:
        """A new upload. Its ETag won't be the file's MD5, so the metadata tells that, where rclone looks for it."""
        answer = self._account.ask(
            self._client.create_multipart_upload,
            {"ChecksumAlgorithm": "CRC32C", "ChecksumType": "FULL_OBJECT"},
            Bucket=self._bucket,
            Key=upload.path.removeprefix("/"),
            ContentType=upload.content_type,
            Metadata={"md5chksum": base64.b64encode(bytes.fromhex(upload.hashes.md5)).decode()},
        )
        if not answer.get("UploadId"):
            raise RetryLater("The S3 service's answer could not be understood.")
        sums = ""
        if answer.get("ChecksumAlgorithm") == "CRC32C":
            sums = "full" if answer.get("ChecksumType") == "FULL_OBJECT" else "parts"
        state = {"upload": answer["UploadId"], "parts": 0, "crc32c": "00000000", "sums": sums, "compared": True}
        return Session(offset=0, state=state)

    def resume(self, upload: Upload, session: Session) -> Session | None:
        """The session with all that the service has confirmed; None when it doesn't know the upload any more.

        Parts that came after the session was kept count where the service tells their checksums.
        """
        try:
            parts = self.listed(upload, session)
        except ClientError as exc:
            if code_of(exc) == "NoSuchUpload":
                return None
            raise
        number, offset = session.state["parts"], session.offset
        crc32c = int(session.state["crc32c"], 16)
        if not _begins_with(parts, number, offset):
            self.drop(upload, session)
            return None
        for part in parts[number:]:
            if part.number != number + 1 or not part.crc32c or offset + part.size > upload.size:
                break
            theirs = int.from_bytes(base64.b64decode(part.crc32c), "big")
            number, offset, crc32c = number + 1, offset + part.size, joined_crc32c(crc32c, theirs, part.size)
        compared = session.state["compared"] and number == session.state["parts"]
        state = {**session.state, "parts": number, "crc32c": f"{crc32c:08x}", "compared": compared}
        return Session(offset=offset, state=state)

    def put(self, upload: Upload, session: Session, data: bytes) -> Session:
        """Send the next part, with a checksum that the service compares."""
        number = session.state["parts"] + 1
        crc32c = google_crc32c.extend(int(session.state["crc32c"], 16), data)
        request: dict[str, Any] = self._named(upload, session) | {"PartNumber": number, "Body": io.BytesIO(data)}
        md5 = ""
        if session.state["sums"]:
            request["ChecksumCRC32C"] = base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()
        if session.state["sums"] != "full":  # then the parts' MD5s prove the whole
            digest = hashlib.md5(data, usedforsecurity=False)
            md5, request["ContentMD5"] = digest.hexdigest(), base64.b64encode(digest.digest()).decode()
        etag = etag_of(self._client.upload_part(**request))
        if not etag:
            raise RetryLater("The S3 service's answer could not be understood.")
        compared = session.state["compared"] and etag.lower() == md5
        state = {**session.state, "parts": number, "crc32c": f"{crc32c:08x}", "compared": compared}
        return Session(offset=session.offset + len(data), state=state)

    def complete(self, upload: Upload, session: Session) -> tuple[list[Part], dict[str, Any]]:
        """Make the object of all parts appear where none is; the parts that it was made of, and the answer. Raises
        RetryLater when parts are missing, and drops the upload."""
        parts = self.listed(upload, session)[: session.state["parts"]]
        if not _begins_with(parts, session.state["parts"], upload.size):
            self.drop(upload, session)
            raise RetryLater(LOST)
        newer: dict[str, Any] = {"IfNoneMatch": "*"}
        if session.state["sums"] == "full":
            crc32c = base64.b64encode(bytes.fromhex(upload.hashes.crc32c)).decode()
            newer |= {"ChecksumCRC32C": crc32c, "ChecksumType": "FULL_OBJECT", "MpuObjectSize": upload.size}
        made_of = [
            {"PartNumber": part.number, "ETag": f'"{part.etag}"'}
            | ({"ChecksumCRC32C": part.crc32c} if part.crc32c and session.state["sums"] else {})
            for part in parts
        ]
        made: dict[str, Any] = self._account.ask(
            self._client.complete_multipart_upload,
            newer,
            **self._named(upload, session),
            MultipartUpload={"Parts": made_of},
        )
        return parts, made

    def listed(self, upload: Upload, session: Session) -> list[Part]:
        """All parts that the service has, by number."""
        found: list[Part] = []
        marker = 0
        while len(found) <= MOST_PARTS:
            answer = self._client.list_parts(**self._named(upload, session), PartNumberMarker=marker)
            if "UploadId" not in answer:
                raise RetryLater("The S3 service's answer could not be understood.")
            found += [
                Part(one["PartNumber"], etag_of(one), one["Size"], one.get("ChecksumCRC32C") or "")
                for one in answer.get("Parts", [])
            ]
            following = int(answer.get("NextPartNumberMarker") or 0)
            if not answer.get("IsTruncated") or following <= marker:
                return found
            marker = following
        raise RetryLater("The S3 service's answer could not be understood.")

    def abort(self, upload: Upload, session: Session) -> None:
        """Drop an unfinished upload and its parts; one that is gone or finished is left alone."""
        try:
            self._client.abort_multipart_upload(**self._named(upload, session))
        except ClientError as exc:
            if code_of(exc) != "NoSuchUpload":
                raise

    def drop(self, upload: Upload, session: Session) -> None:
        """Abort it if that can be done."""
        with suppress(Exception):
            self.abort(upload, session)

    def _named(self, upload: Upload, session: Session) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": upload.path.removeprefix("/"), "UploadId": session.state["upload"]}


def _begins_with(parts: list[Part], number: int, size: int) -> bool:
    """Whether the first `number` parts are there and hold `size` bytes."""
    first = parts[:number]
    return [part.number for part in first] == list(range(1, number + 1)) and sum(part.size for part in first) == size

"""How bytes come into the S3 emulator: in one request or in parts, each checked against what the client says of it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import xml.etree.ElementTree as ET
from typing import Any
from xml.sax.saxutils import escape

from tests.emulators.http_server import Request, Response
from tests.emulators.s3_auth import S3Error, xml
from tests.emulators.s3_store import Digests, Object, Store

LEAST_PART = 5 << 20
MOST_PARTS = 10_000
_SUMS = ("crc32c", "crc32", "sha1", "sha256")


class Uploads:
    """Takes bodies. The caller has checked who may write.

    `manner` is how the service meets what came late to S3 (conditions on writing, checksums): `full` knows it, `plain`
    refuses it, `deaf` ignores it. `own_etags` stands for buckets whose ETags aren't MD5s (SSE-KMS). `least_part` is in
    bytes; some services let the operator lower it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.manner = "full"
        self.own_etags = False
        self.least_part = LEAST_PART

    def put(self, request: Request, bucket: str, key: str) -> Response:
        """`PUT` of a whole object."""
        self._refuse_newer(request)
        blob, digests = self._receive(request)
        about = _about(request)
        if name := self._checksum_named(request):
            about["checksum"] = [name, digests.encoded(name), "FULL_OBJECT"]
        try:
            made = self._appear(request, bucket, key, blob, digests.size, self._etag(digests.md5.hexdigest()), about)
        except BaseException:
            self._store.drop_blob(blob)
            raise
        return Response(200, object_headers(made, checksum=self.manner == "full"))

    def create(self, request: Request, bucket: str, key: str) -> Response:
        """`POST ?uploads`."""
        self._refuse_newer(request)
        about = _about(request)
        headers = {}
        algorithm = request.headers.get("x-amz-checksum-algorithm", "")
        if algorithm and self.manner == "full":
            kind = request.headers.get("x-amz-checksum-type", "COMPOSITE")
            if algorithm.lower() not in _SUMS or (kind == "FULL_OBJECT" and algorithm.startswith("SHA")):
                raise S3Error(400, "InvalidRequest", "The checksum type can't be used with this algorithm.")
            about["sums"] = [algorithm.lower(), kind]
            headers = {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind}
        upload = secrets.token_urlsafe(48)
        self._store.run("INSERT INTO uploads VALUES (?, ?, ?, ?)", upload, bucket, key, json.dumps(about))
        answer = xml(
            f"<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{escape(key)}</Key>"
            f"<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        )
        answer.headers |= headers
        return answer

    def put_part(self, request: Request, bucket: str, key: str, upload: str) -> Response:
        """`PUT ?partNumber=…&uploadId=…`; a part that is there already is replaced."""
        self._refuse_newer(request)
        about = self._known(bucket, key, upload)
        number = int(request.arg("partNumber") or 0)
        if not 1 <= number <= MOST_PARTS:
            raise S3Error(400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
        blob, digests = self._receive(request)
        named = self._checksum_named(request)
        wanted = about["sums"][0] if "sums" in about else None
        if wanted and named != wanted:
            self._store.drop_blob(blob)
            raise S3Error(400, "InvalidRequest", f"The upload was created using the {wanted} checksum mode.")
        with self._store.lock:
            self._known(bucket, key, upload)
            old = self._store.run("SELECT blob FROM parts WHERE upload = ? AND number = ?", upload, number)
            checksum = digests.encoded(named) if named else ""
            md5 = self._etag(digests.md5.hexdigest())
            self._store.run(
                "REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)", upload, number, blob, digests.size, md5, checksum
            )
            if old:
                self._store.drop_blob(old[0][0])
        headers = {"ETag": f'"{md5}"'}
        return Response(200, headers | ({f"x-amz-checksum-{named}": checksum} if named else {}))

    def list_parts(self, request: Request, bucket: str, key: str, upload: str) -> Response:
        """`GET ?uploadId=…`, in pages."""
        about = self._known(bucket, key, upload)
        after, most = int(request.arg("part-number-marker") or 0), int(request.arg("max-parts") or 1000)
        rows = self._store.run(
            "SELECT number, size, md5, crc32c FROM parts WHERE upload = ? AND number > ? ORDER BY number", upload, after
        )
        name = about["sums"][0].upper() if "sums" in about else ""
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><Size>{size}</Size><ETag>&quot;{md5}&quot;</ETag>"
            + (f"<Checksum{name}>{checksum}</Checksum{name}>" if name else "")
            + "</Part>"
            for number, size, md5, checksum in rows[:most]
        )
        return xml(
            f"<ListPartsResult><Bucket>{bucket}</Bucket><Key>{escape(key)}</Key><UploadId>{upload}</UploadId>"
            f"<MaxParts>{most}</MaxParts><IsTruncated>{str(len(rows) > most).lower()}</IsTruncated>"
            f"<NextPartNumberMarker>{rows[:most][-1][0] if rows else 0}</NextPartNumberMarker>{parts}</ListPartsResult>"
        )

    def complete(self, request: Request, bucket: str, key: str, upload: str) -> Response:
        """`POST ?uploadId=…` with the list of parts: the object appears."""
        self._refuse_newer(request)
        document = request.body.read_all()
        with self._store.lock:
            about = self._known(bucket, key, upload)
            chosen = self._chosen(upload, document, about)
            blob, digests = self._store.joined([part[1] for part in chosen])
            etag = _etag_of_parts([part[3] for part in chosen])
            try:
                self._check_sums(request, about, digests, [part[4] for part in chosen])
                size = request.headers.get("x-amz-mp-object-size")
                if size is not None and int(size) != digests.size:
                    raise S3Error(400, "InvalidRequest", "The provided object size does not match the computed size.")
                made = self._appear(request, bucket, key, blob, digests.size, etag, about)
            except BaseException:
                self._store.drop_blob(blob)
                raise
            self._store.forget_upload(upload)
        checksum = made.about.get("checksum")
        told = f"<Checksum{checksum[0].upper()}>{checksum[1]}</Checksum{checksum[0].upper()}>" if checksum else ""
        answer = xml(
            f"<CompleteMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{escape(key)}</Key>"
            f"<ETag>&quot;{etag}&quot;</ETag>{told}</CompleteMultipartUploadResult>"
        )
        if made.version != "null":
            answer.headers["x-amz-version-id"] = made.version
        return answer

    def abort(self, bucket: str, key: str, upload: str) -> Response:
        self._known(bucket, key, upload)
        self._store.forget_upload(upload)
        return Response(204)

    def forget_all(self) -> None:
        """As if a lifecycle rule had ended every unfinished upload."""
        for (upload,) in self._store.run("SELECT id FROM uploads"):
            self._store.forget_upload(upload)

    def _receive(self, request: Request) -> tuple[str, Digests]:
        """The body, when it is what the headers say of it."""
        signed = request.headers.get("x-amz-content-sha256", "")
        if signed.startswith("STREAMING-"):
            raise S3Error(501, "NotImplemented", "Chunked signatures are not emulated.")
        if request.body.length is None:
            raise S3Error(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
        blob, digests = self._store.receive(request.body)
        try:
            if signed != "UNSIGNED-PAYLOAD" and signed != digests.sha256.hexdigest():
                raise S3Error(400, "XAmzContentSHA256Mismatch", "The provided header does not match what was computed.")
            claims = [("md5", request.headers.get("Content-MD5"))]
            claims += [(name, request.headers.get(f"x-amz-checksum-{name}")) for name in _SUMS if self.manner == "full"]
            for name, claimed in claims:
                if claimed is not None and claimed != digests.encoded(name):
                    raise S3Error(400, "BadDigest", f"The {name} you specified did not match what we received.")
        except BaseException:
            self._store.drop_blob(blob)
            raise
        return blob, digests

    def _chosen(self, upload: str, document: bytes, about: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of the parts that the client lists, checked as S3 checks them."""
        root = ET.fromstring(document)
        wanted = [{_local(field.tag): field.text or "" for field in one} for one in root if _local(one.tag) == "Part"]
        if not wanted:
            raise S3Error(400, "MalformedXML", "The XML you provided was not well-formed.")
        numbers = [int(one["PartNumber"]) for one in wanted]
        if numbers != sorted(set(numbers)):
            raise S3Error(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        rows = self._store.run("SELECT number, blob, size, md5, crc32c FROM parts WHERE upload = ?", upload)
        known = {row[0]: row for row in rows}
        for one in wanted:
            row = known.get(int(one["PartNumber"]))
            if row is None or one.get("ETag", "").strip('"') != row[3]:
                raise S3Error(400, "InvalidPart", "One or more of the specified parts could not be found.")
            name, kind = about.get("sums", ("", ""))
            if kind == "COMPOSITE" and one.get(f"Checksum{name.upper()}") != row[4]:
                raise S3Error(400, "InvalidPart", "A part's checksum is missing or differs.")
        chosen = [known[number] for number in numbers]
        if any(row[2] < self.least_part for row in chosen[:-1]):
            raise S3Error(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
        return chosen

    def _check_sums(self, request: Request, about: dict[str, Any], digests: Digests, parts: list[str]) -> None:
        if "sums" not in about:
            return
        name, kind = about.pop("sums")
        if kind == "FULL_OBJECT":
            value = digests.encoded(name)
            claimed = request.headers.get(f"x-amz-checksum-{name}")
            if claimed is not None and claimed != value:
                raise S3Error(400, "BadDigest", f"The {name} you specified did not match the calculated checksum.")
        else:
            joined = Digests()
            joined.update(b"".join(base64.b64decode(part) for part in parts))
            value = f"{joined.encoded(name)}-{len(parts)}"
        about["checksum"] = [name, value, kind]

    def _appear(
        self, request: Request, bucket: str, key: str, blob: str, size: int, etag: str, about: dict[str, Any]
    ) -> Object:
        with self._store.lock:
            alone = self.manner == "full" and request.headers.get("If-None-Match") == "*"
            if alone and self._store.current(bucket, key) is not None:
                raise S3Error(412, "PreconditionFailed", "At least one of the pre-conditions did not hold")
            return self._store.put_object(bucket, key, blob, size, etag, about)

    def _known(self, bucket: str, key: str, upload: str) -> dict[str, Any]:
        rows = self._store.run("SELECT about FROM uploads WHERE id = ? AND bucket = ? AND key = ?", upload, bucket, key)
        if not rows:
            raise S3Error(404, "NoSuchUpload", "The specified multipart upload does not exist.")
        about: dict[str, Any] = json.loads(rows[0][0])
        return about

    def _refuse_newer(self, request: Request) -> None:
        if self.manner != "plain":
            return
        if "If-None-Match" in request.headers:
            raise S3Error(501, "NotImplemented", "A header you provided implies functionality that is not implemented")
        if any(name.lower().startswith("x-amz-checksum") for name in request.headers):
            raise S3Error(400, "InvalidArgument", "Unsupported header received for this API call.")

    def _checksum_named(self, request: Request) -> str | None:
        if self.manner != "full":
            return None
        return next((name for name in _SUMS if f"x-amz-checksum-{name}" in request.headers), None)

    def _etag(self, md5: str) -> str:
        return secrets.token_hex(16) if self.own_etags else md5


def object_headers(found: Object, *, checksum: bool) -> dict[str, str]:
    headers = {"ETag": f'"{found.etag}"'}
    if found.version != "null":
        headers["x-amz-version-id"] = found.version
    if checksum and "checksum" in found.about:
        name, value, kind = found.about["checksum"]
        headers |= {f"x-amz-checksum-{name}": value, "x-amz-checksum-type": kind}
    return headers


def _about(request: Request) -> dict[str, Any]:
    metadata = {
        name.lower(): value for name, value in request.headers.items() if name.lower().startswith("x-amz-meta-")
    }
    return {"content_type": request.headers.get("Content-Type", "binary/octet-stream"), "metadata": metadata}


def _etag_of_parts(md5s: list[str]) -> str:
    return f"{hashlib.md5(b''.join(bytes.fromhex(one) for one in md5s)).hexdigest()}-{len(md5s)}"


def _local(tag: str) -> str:
    return re.sub(r"^\{.*\}", "", tag)

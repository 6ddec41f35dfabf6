"""The emulator's uploads: resumable, multipart and simple, with the rules that the live service enforces."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections import defaultdict
from typing import Any
from urllib.parse import quote

from tests.emulators.gcs_store import Digest, Store, Upload
from tests.emulators.http_server import BodyCutOff, Request, Response
from tests.emulators.multipart import MOST, Malformed, boundary_of, two_parts

QUANTUM = 256 * 1024
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


class ApiError(Exception):
    """An error in the JSON API's form."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    def response(self) -> Response:
        error = {"message": self.message, "domain": "global", "reason": self.reason}
        return Response.json({"error": {"code": self.status, "message": self.message, "errors": [error]}}, self.status)


class Uploads:
    """Uploads in progress. The caller has checked who may write."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def initiate(self, request: Request, bucket: str) -> Response:
        """`POST …?uploadType=resumable`: the answer's Location is the upload."""
        wanted = json.loads(request.body.read_all() or b"{}")
        wanted.setdefault("contentType", request.headers.get("X-Upload-Content-Type", "application/octet-stream"))
        wanted["name"] = checked_name(request.arg("name") or wanted.get("name"))
        declared = request.headers.get("X-Upload-Content-Length")
        upload_id = secrets.token_urlsafe(48)
        self._store.run(
            "INSERT INTO sessions (id, bucket, wanted, size, condition, blob) VALUES (?, ?, ?, ?, ?, ?)",
            upload_id, bucket, json.dumps(wanted), int(declared) if declared else None,
            request.arg("ifGenerationMatch"), self._store.new_blob(),
        )  # fmt: skip
        location = f"{request.base}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={upload_id}"
        return Response(200, {"Location": location, "X-GUploader-UploadID": upload_id})

    def cancel(self, upload_id: str) -> Response:
        """`DELETE` of an upload."""
        upload = self._known(upload_id)
        if upload.finished is None:
            self._forget(upload)
        return Response(499)

    def forget_all(self) -> None:
        """As if every unfinished upload had expired."""
        for (upload_id,) in self._store.run("SELECT id FROM sessions WHERE finished IS NULL"):
            self._forget(self._known(upload_id))

    def put(self, request: Request, upload_id: str) -> Response:
        """`PUT` of a chunk, or of nothing to ask how far the upload is."""
        with self._locks[upload_id]:
            upload = self._known(upload_id)
            if upload.finished is not None:
                return Response.json(linked(request, upload.finished))
            start, count, total = _content_range(request)
            if total is not None and upload.size not in (None, total):
                raise ApiError(400, "invalid", "The total size differs from the one that the upload began with.")
            if count:
                self._take(request, upload, start, count, total)
            if total is not None and upload.persisted == total:
                return Response.json(linked(request, self._finish(upload, _hashes(request))))
            return _incomplete(upload, request)

    def multipart(self, request: Request, bucket: str) -> Response:
        """`POST …?uploadType=multipart`: metadata and bytes in one `multipart/related` body."""
        blob = self._store.new_blob()
        try:
            wanted = self._split_parts(request, blob)
            size = self._store.blob_path(blob).stat().st_size
            wanted["name"] = checked_name(wanted.get("name") or request.arg("name"))
            resource = self._appear(bucket, wanted, blob, size, request.arg("ifGenerationMatch"), _hashes(request))
        except BaseException:
            self._store.drop_blob(blob)
            raise
        return Response.json(linked(request, resource))

    def simple(self, request: Request, bucket: str) -> Response:
        """`POST …?uploadType=media`."""
        blob = self._store.new_blob()
        try:
            wanted = {"name": checked_name(request.arg("name"))}
            if request.headers.get("Content-Type"):
                wanted["contentType"] = request.headers["Content-Type"]
            size = self._store.append(blob, 0, request.body, skip=0, most=None)
            resource = self._appear(bucket, wanted, blob, size, request.arg("ifGenerationMatch"), _hashes(request))
        except BaseException:
            self._store.drop_blob(blob)
            raise
        return Response.json(linked(request, resource))

    def _take(self, request: Request, upload: Upload, start: int, count: int, total: int | None) -> None:
        if start > upload.persisted:
            raise ApiError(400, "invalid", f"The chunk begins at {start}, but only {upload.persisted} bytes are here.")
        if start + count != total and count % QUANTUM:
            raise ApiError(400, "invalid", "Chunks other than the last have to be a multiple of 256 KiB.")
        if request.body.length not in (None, count):
            raise ApiError(400, "invalid", "Content-Length and Content-Range don't agree.")
        skip = upload.persisted - start
        most = None if request.persist_limit is None else request.persist_limit // QUANTUM * QUANTUM
        try:
            kept = self._store.append(upload.blob, upload.persisted, request.body, skip=skip, most=most)
        except BodyCutOff:
            self._keep(upload, max(request.body.received - skip, 0) // QUANTUM * QUANTUM)
            raise
        self._keep(upload, kept)

    def _keep(self, upload: Upload, more: int) -> None:
        upload.persisted += more
        self._store.run("UPDATE sessions SET persisted = ? WHERE id = ?", upload.persisted, upload.id)

    def _finish(self, upload: Upload, hash_headers: list[str]) -> dict[str, Any]:
        try:
            resource = self._appear(
                upload.bucket, upload.wanted, upload.blob, upload.persisted, upload.condition, hash_headers
            )
        except ApiError as exc:
            if exc.status == 400:
                self._forget(upload)
            raise
        self._store.run("UPDATE sessions SET finished = ? WHERE id = ?", json.dumps(resource), upload.id)
        return resource

    def _appear(
        self, bucket: str, wanted: dict[str, Any], blob: str, size: int, condition: str | None, hash_headers: list[str]
    ) -> dict[str, Any]:
        with self._store.lock:
            _compare(self._store.digest(blob, size), wanted, hash_headers)
            present = self._store.object(bucket, wanted["name"])
            if condition is not None and condition != (present[0]["generation"] if present else "0"):
                raise ApiError(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
            return self._store.put_object(bucket, wanted["name"], wanted, blob, size)

    def _known(self, upload_id: str) -> Upload:
        upload = self._store.upload(upload_id)
        if upload is None:
            raise ApiError(404, "notFound", "Upload not found.")
        return upload

    def _forget(self, upload: Upload) -> None:
        self._store.run("DELETE FROM sessions WHERE id = ?", upload.id)
        self._store.drop_blob(upload.blob)

    def _split_parts(self, request: Request, blob: str) -> dict[str, Any]:
        """The metadata part; the second part's bytes go to `blob`."""
        try:
            boundary = boundary_of(request.headers)
            metadata, media_headers, media = two_parts(boundary, request.body.read_all(MOST))
        except Malformed as error:
            raise ApiError(400, "badRequest", str(error)) from error
        wanted: dict[str, Any] = json.loads(metadata)
        if media_headers.get("Content-Type"):
            wanted.setdefault("contentType", media_headers["Content-Type"])
        self._store.blob_path(blob).write_bytes(media)
        return wanted


def linked(request: Request, resource: dict[str, Any]) -> dict[str, Any]:
    """The object's metadata with the addresses where it is and where its bytes are."""
    path = f"storage/v1/b/{quote(resource['bucket'])}/o/{quote(resource['name'], safe='')}"
    media = f"{request.base}/download/{path}?generation={resource['generation']}&alt=media"
    return resource | {"selfLink": f"{request.base}/{path}", "mediaLink": media}


def checked_name(name: Any) -> str:
    """An object's name, or the service's refusal of it."""
    fits = isinstance(name, str) and 0 < len(name.encode()) <= 1024
    if not fits or name in (".", "..") or re.search(r"[\r\n]", name) or name.startswith(".well-known/acme-challenge/"):
        raise ApiError(400, "invalid", "Invalid object name.")
    return str(name)


def _content_range(request: Request) -> tuple[int, int, int | None]:
    """Start and length of the chunk (length 0 for a status query) and the total, None when it isn't known yet."""
    header = request.headers.get("Content-Range")
    if header is None:
        return 0, request.body.length or 0, request.body.length or 0
    found = _RANGE.fullmatch(header.strip())
    if found is None:
        raise ApiError(400, "invalid", "Content-Range is malformed.")
    total = None if found[3] == "*" else int(found[3])
    if found[1] is None:
        return 0, 0, total
    start, last = int(found[1]), int(found[2])
    if last < start or (total is not None and last >= total):
        raise ApiError(400, "invalid", "Content-Range is out of bounds.")
    return start, last - start + 1, total


def _incomplete(upload: Upload, request: Request) -> Response:
    headers = {"Range": f"bytes=0-{upload.persisted - 1}"} if upload.persisted else {}
    if request.headers.get("X-GUploader-No-308", "").lower() == "yes":
        return Response(200, {**headers, "X-HTTP-Status-Code-Override": "308"})
    return Response(308, headers)


def _hashes(request: Request) -> list[str]:
    return request.headers.get_all("x-goog-hash") or []


def _compare(digest: Digest, wanted: dict[str, Any], hash_headers: list[str]) -> None:
    claimed = [("crc32c", wanted.get("crc32c")), ("md5", wanted.get("md5Hash"))]
    for header in hash_headers:
        claimed += [(name.strip(), value) for name, _, value in (one.partition("=") for one in header.split(","))]
    actual = {"crc32c": digest.encoded_crc32c(), "md5": digest.encoded_md5()}
    for name, value in claimed:
        if value and name in actual and value != actual[name]:
            label = name.upper()
            raise ApiError(
                400, "invalid", f'Provided {label} "{value}" doesn\'t match calculated {label} "{actual[name]}".'
            )

"""An honest stand-in for an S3-compatible service on loopback: `python -m tests.emulators.s3 --port N --state DIR`.

It speaks plain HTTP with buckets in the path. Signatures (version 4), the hash of the signed body, Content-MD5,
checksums, permissions, conditions and the rules of multipart uploads are really checked; bodies go to disk, and
everything is there again after a restart on the same DIR. Not emulated: chunked signatures, presigned links, ACLs,
lifecycle rules.

Besides http_server's own calls it takes, with JSON bodies:

- `POST /_emulator/keys` `{"access_key", "secret_key"}`, `POST /_emulator/revoke` `{"access_key"}`;
- `POST /_emulator/buckets` `{"name", "versioned", "permissions"}`, permissions by access key or `*`, all by default;
- `POST /_emulator/forget_uploads`;
- `POST /_emulator/settings` with any of `manner`, `own_etags`, `least_part` (s3_uploads.Uploads).
"""

from __future__ import annotations

import argparse
import json
import re
import signal
from contextlib import AbstractContextManager
from email.utils import formatdate
from pathlib import Path
from urllib.parse import unquote

from tests.emulators.http_server import EmulatorServer, Request, Response
from tests.emulators.running import Running, running
from tests.emulators.s3_auth import S3Error, signer
from tests.emulators.s3_listing import listing
from tests.emulators.s3_store import Object, Store
from tests.emulators.s3_uploads import Uploads, object_headers

ALL_PERMISSIONS = [
    "s3:ListBucket",
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
]


class S3Emulator:
    """The service itself; `__call__` answers one request."""

    def __init__(self, state: Path, region: str = "us-east-1") -> None:
        self.store = Store(state)
        self.uploads = Uploads(self.store)
        self.region = region

    def __call__(self, request: Request) -> Response:
        try:
            return self._route(request)
        except S3Error as exc:
            answer = exc.response()
            if request.method == "HEAD":
                answer.body = b""  # without it nobody knows why
            return answer

    def add_key(self, access_key: str, secret_key: str) -> None:
        self.store.run("REPLACE INTO keys VALUES (?, ?)", access_key, secret_key)

    def revoke(self, access_key: str) -> None:
        self.store.run("DELETE FROM keys WHERE access_key = ?", access_key)

    def create_bucket(
        self, name: str, permissions: dict[str, list[str]] | None = None, *, versioned: bool = False
    ) -> None:
        """`permissions` by access key, `*` for everybody else; all for everybody when not given."""
        granted = json.dumps(permissions if permissions is not None else {"*": ALL_PERMISSIONS})
        self.store.run("REPLACE INTO buckets VALUES (?, ?, ?)", name, int(versioned), granted)

    def _route(self, request: Request) -> Response:
        if request.path.startswith("/_emulator/"):
            return self._administer(request)
        access_key = signer(request, self.region, self._secret_of)
        bucket, _, key = unquote(request.path.removeprefix("/")).partition("/")
        if len(key.encode()) > 1024:
            raise S3Error(400, "KeyTooLongError", "Your key is too long")
        rows = self.store.run("SELECT permissions FROM buckets WHERE name = ?", bucket)
        if not rows:
            raise S3Error(404, "NoSuchBucket", "The specified bucket does not exist")
        permissions: dict[str, list[str]] = json.loads(rows[0][0])
        granted = permissions.get(access_key, permissions.get("*", []))
        upload = request.arg("uploadId")
        if not key:
            return self._bucket(request, bucket, granted)
        if upload is not None or "uploads" in request.query:
            return self._multipart(request, bucket, key, upload or "", granted)
        return self._object(request, bucket, key, granted)

    def _administer(self, request: Request) -> Response:
        given = json.loads(request.body.read_all() or b"{}")
        match request.path.removeprefix("/_emulator/"):
            case "keys":
                self.add_key(given["access_key"], given["secret_key"])
            case "revoke":
                self.revoke(given["access_key"])
            case "buckets":
                self.create_bucket(given["name"], given.get("permissions"), versioned=given.get("versioned", False))
            case "forget_uploads":
                self.uploads.forget_all()
            case "settings":
                for name in given.keys() & {"manner", "own_etags", "least_part"}:
                    setattr(self.uploads, name, given[name])
            case _:
                raise S3Error(404, "NoSuchKey", "No such call of the emulator.")
        return Response.json({})

    def _bucket(self, request: Request, bucket: str, granted: list[str]) -> Response:
        _require(granted, "s3:ListBucket")
        if request.method == "HEAD":
            return Response(200, {"x-amz-bucket-region": self.region})
        if request.method != "GET":
            raise S3Error(501, "NotImplemented", "This is not emulated.")
        return listing(request, bucket, self.store.listed(bucket))

    def _multipart(self, request: Request, bucket: str, key: str, upload: str, granted: list[str]) -> Response:
        match request.method:
            case "POST" if not upload:
                _require(granted, "s3:PutObject")
                return self.uploads.create(request, bucket, key)
            case "POST":
                _require(granted, "s3:PutObject")
                return self.uploads.complete(request, bucket, key, upload)
            case "PUT":
                _require(granted, "s3:PutObject")
                return self.uploads.put_part(request, bucket, key, upload)
            case "GET":
                _require(granted, "s3:ListMultipartUploadParts")
                return self.uploads.list_parts(request, bucket, key, upload)
            case "DELETE":
                _require(granted, "s3:AbortMultipartUpload")
                return self.uploads.abort(bucket, key, upload)
        raise S3Error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")

    def _object(self, request: Request, bucket: str, key: str, granted: list[str]) -> Response:
        match request.method:
            case "PUT":
                _require(granted, "s3:PutObject")
                return self.uploads.put(request, bucket, key)
            case "GET" | "HEAD":
                return self._give(request, bucket, key, granted)
            case "DELETE":
                return self._delete(request, bucket, key, granted)
        raise S3Error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")

    def _give(self, request: Request, bucket: str, key: str, granted: list[str]) -> Response:
        _require(granted, "s3:GetObject")
        version = request.arg("versionId")
        found = self.store.version(bucket, key, version) if version else self.store.current(bucket, key)
        if found is None or not found.blob:
            if "s3:ListBucket" not in granted:  # who may not list isn't told what is absent
                raise S3Error(403, "AccessDenied", "Access Denied")
            raise S3Error(404, "NoSuchVersion" if version else "NoSuchKey", "The specified key does not exist.")
        wanted = request.headers.get("If-Match")
        if wanted is not None and wanted.strip('"') != found.etag:
            raise S3Error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        return self._content(request, found)

    def _content(self, request: Request, found: Object) -> Response:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        told = request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED" and self.uploads.manner == "full"
        told = told and not asked
        headers = object_headers(found, checksum=told)
        headers |= {
            "Content-Type": found.about["content_type"],
            "Last-Modified": formatdate(found.about["modified"], usegmt=True),
            "Accept-Ranges": "bytes",
            **found.about["metadata"],
        }
        first, last = 0, found.size - 1
        if asked:
            first = int(asked[1])
            last = min(int(asked[2]), found.size - 1) if asked[2] else found.size - 1
            if first >= found.size:
                raise S3Error(416, "InvalidRange", "The requested range is not satisfiable")
            headers["Content-Range"] = f"bytes {first}-{last}/{found.size}"
        assert found.blob
        file = self.store.blob_path(found.blob)
        return Response(206 if asked else 200, headers, file=file, start=first, length=last - first + 1)

    def _delete(self, request: Request, bucket: str, key: str, granted: list[str]) -> Response:
        version, wanted = request.arg("versionId"), request.headers.get("If-Match")
        _require(granted, "s3:DeleteObjectVersion" if version else "s3:DeleteObject")
        if wanted is not None and self.uploads.manner == "plain":
            raise S3Error(501, "NotImplemented", "A header you provided implies functionality that is not implemented")
        with self.store.lock:
            found = self.store.current(bucket, key)
            if version:
                self.store.remove(bucket, key, version)
            elif (
                wanted is not None and self.uploads.manner == "full" and (not found or found.etag != wanted.strip('"'))
            ):
                raise S3Error(
                    412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
                )
            elif found and found.version == "null":
                self.store.remove(bucket, key, "null")
            elif found:
                self.store.put_object(bucket, key, None, 0, "", {})
        return Response(204)

    def _secret_of(self, access_key: str) -> str | None:
        rows = self.store.run("SELECT secret FROM keys WHERE access_key = ?", access_key)
        return rows[0][0] if rows else None


RunningS3 = Running[S3Emulator]


def running_s3(state: Path, port: int = 0) -> AbstractContextManager[RunningS3]:
    """Serve on loopback until the block ends."""
    return running(S3Emulator(state), port)


def _require(granted: list[str], permission: str) -> None:
    if permission not in granted:
        raise S3Error(403, "AccessDenied", "Access Denied")


def main() -> None:
    """Serve until interrupted; the first line on stdout is the address."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.s3", description="A loopback stand-in for S3.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="the folder where everything is kept")
    options = parser.parse_args()
    server = EmulatorServer(S3Emulator(options.state), options.port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(server.url, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()

"""An honest stand-in for Google Cloud Storage on loopback: `python -m tests.emulators.gcs --port N --state DIR`.

It speaks plain HTTP: the token endpoint at `/token`, the JSON API below `/storage/v1`, `/upload/storage/v1` and
`/download/storage/v1`. Accounts, tokens and permissions are really checked, bodies go to disk, and everything is
there again after a restart on the same DIR.

Besides http_server's own calls it takes, with JSON bodies:

- `POST /_emulator/accounts` `{"email", "key_id", "public_key"}`; without a public key it makes one and answers with
  the service-account JSON;
- `POST /_emulator/buckets` `{"name", "permissions"}`, permissions by e-mail or `*`, all of them by default;
- `POST /_emulator/revoke` `{"email"}`, `POST /_emulator/expire_tokens`, `POST /_emulator/forget_uploads`;
- `POST /_emulator/settings` `{"token_lifetime"}` in seconds.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric import rsa

from tests.emulators.gcs_auth import Accounts, public_pem, service_account
from tests.emulators.gcs_store import Store
from tests.emulators.gcs_uploads import ApiError, Uploads, linked
from tests.emulators.http_server import EmulatorServer, Request, Response
from tests.emulators.running import Running, running

ALL_PERMISSIONS = [
    "storage.objects.create",
    "storage.objects.get",
    "storage.objects.list",
    "storage.objects.delete",
    "storage.buckets.get",
]
_OBJECT = re.compile(r"/(?:download/)?storage/v1/b/([^/]+)/o/(.+)")
_OBJECTS = re.compile(r"/storage/v1/b/([^/]+)/o")
_UPLOAD = re.compile(r"/upload/storage/v1/b/([^/]+)/o")
_BUCKET = re.compile(r"/storage/v1/b/([^/]+)(/iam/testPermissions)?")


class GcsEmulator:
    """The service itself; `__call__` answers one request."""

    def __init__(self, state: Path) -> None:
        self.store = Store(state)
        self.accounts = Accounts(self.store)
        self.uploads = Uploads(self.store)

    def __call__(self, request: Request) -> Response:
        try:
            return self._route(request)
        except ApiError as exc:
            return exc.response()

    def create_bucket(self, name: str, permissions: dict[str, list[str]] | None = None) -> None:
        """`permissions` by account e-mail, `*` for everybody else; all for everybody when not given."""
        granted = json.dumps(permissions if permissions is not None else {"*": ALL_PERMISSIONS})
        self.store.run("REPLACE INTO buckets VALUES (?, ?)", name, granted)

    def new_account(self, email: str) -> dict[str, Any]:
        """Make a key, register it, and give its service-account JSON."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.accounts.register(email, "emulated-key", public_pem(key))
        return service_account(email, key, "emulated-key")

    def _route(self, request: Request) -> Response:
        if request.path == "/token" and request.method == "POST":
            return self.accounts.answer(request)
        if request.path.startswith("/_emulator/"):
            return self._administer(request)
        if found := _UPLOAD.fullmatch(request.path):
            return self._upload(request, unquote(found[1]))
        if found := _OBJECT.fullmatch(request.path):
            return self._object(request, unquote(found[1]), unquote(found[2]))
        if found := _OBJECTS.fullmatch(request.path):
            return self._list(request, unquote(found[1]))
        if found := _BUCKET.fullmatch(request.path):
            return self._bucket(request, unquote(found[1]), permissions_only=found[2] is not None)
        raise ApiError(404, "notFound", "Not Found")

    def _administer(self, request: Request) -> Response:
        given = json.loads(request.body.read_all() or b"{}")
        match request.path.removeprefix("/_emulator/"):
            case "accounts" if "public_key" in given:
                self.accounts.register(given["email"], given["key_id"], given["public_key"])
            case "accounts":
                return Response.json(self.new_account(given["email"]))
            case "buckets":
                self.create_bucket(given["name"], given.get("permissions"))
            case "revoke":
                self.accounts.revoke(given["email"])
            case "expire_tokens":
                self.accounts.expire_tokens()
            case "forget_uploads":
                self.uploads.forget_all()
            case "settings":
                self.accounts.token_lifetime = int(given["token_lifetime"])
            case _:
                raise ApiError(404, "notFound", "No such call of the emulator.")
        return Response.json({})

    def _upload(self, request: Request, bucket: str) -> Response:
        upload_id = request.arg("upload_id")
        if upload_id is not None:
            # The address is a capability: no token is needed, but a wrong one is refused.
            if "Authorization" in request.headers:
                self._account(request)
            if request.method == "DELETE":
                return self.uploads.cancel(upload_id)
            return self.uploads.put(request, upload_id)
        self._require(request, bucket, "storage.objects.create")
        match request.arg("uploadType"):
            case "resumable":
                return self.uploads.initiate(request, bucket)
            case "multipart":
                return self.uploads.multipart(request, bucket)
            case "media":
                return self.uploads.simple(request, bucket)
        raise ApiError(400, "badRequest", "Unknown uploadType.")

    def _object(self, request: Request, bucket: str, name: str) -> Response:
        action = "delete" if request.method == "DELETE" else "get"
        granted = self._require(request, bucket, f"storage.objects.{action}")
        with self.store.lock:
            present = self.store.object(bucket, name)
            if present is None or request.arg("generation") not in (None, present[0]["generation"]):
                if "storage.objects.list" not in granted:
                    raise _forbidden("storage.objects.list")
                raise ApiError(404, "notFound", f"No such object: {bucket}/{name}")
            resource, blob = present
            wanted = request.arg("ifGenerationMatch")
            if wanted is not None and wanted != resource["generation"]:
                raise ApiError(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
            if action == "delete":
                self.store.run("DELETE FROM objects WHERE bucket = ? AND name = ?", bucket, name)
                self.store.drop_blob(blob)
                return Response(204)
        if request.arg("alt") == "media":
            return self._media(request, resource, blob)
        return Response.json(linked(request, resource))

    def _media(self, request: Request, resource: dict[str, Any], blob: str) -> Response:
        size = int(resource["size"])
        headers = {
            "Content-Type": resource["contentType"],
            "x-goog-hash": f"crc32c={resource['crc32c']},md5={resource['md5Hash']}",
            "x-goog-generation": resource["generation"],
            "Accept-Ranges": "bytes",
        }
        first, last = 0, size - 1
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
        if found and (found[1] or found[2]):
            first = int(found[1]) if found[1] else max(size - int(found[2]), 0)
            last = min(int(found[2]), size - 1) if found[1] and found[2] else size - 1
            if first >= size:
                return Response(416, {"Content-Range": f"bytes */{size}"})
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        file = self.store.blob_path(blob)
        status = 206 if "Content-Range" in headers else 200
        return Response(status, headers, file=file, start=first, length=last - first + 1)

    def _list(self, request: Request, bucket: str) -> Response:
        self._require(request, bucket, "storage.objects.list")
        prefix, delimiter = request.arg("prefix") or "", request.arg("delimiter")
        most = int(request.arg("maxResults") or 1000)
        after = request.arg("pageToken") or ""
        rows = self.store.run("SELECT name, resource FROM objects WHERE bucket = ? ORDER BY name", bucket)
        items: list[dict[str, Any]] = []
        prefixes: list[str] = []
        answer: dict[str, Any] = {"kind": "storage#objects"}
        last = ""
        for name, resource in rows:
            if not name.startswith(prefix):
                continue
            rest = name[len(prefix) :]
            folder = prefix + rest[: rest.index(delimiter) + len(delimiter)] if delimiter and delimiter in rest else ""
            if (folder or name) <= after or (folder and folder in prefixes):
                continue
            if len(items) + len(prefixes) == most:  # a folder counts as one
                answer["nextPageToken"] = last
                break
            last = folder or name
            if folder:
                prefixes.append(folder)
            else:
                items.append(linked(request, json.loads(resource)))
        return Response.json(answer | {"items": items, "prefixes": prefixes})

    def _bucket(self, request: Request, bucket: str, *, permissions_only: bool) -> Response:
        if permissions_only:
            granted = self._granted(request, bucket)
            asked = request.query.get("permissions", [])
            return Response.json(
                {
                    "kind": "storage#testIamPermissionsResponse",
                    "permissions": [one for one in asked if one in granted],
                }
            )
        self._require(request, bucket, "storage.buckets.get")
        return Response.json({"kind": "storage#bucket", "name": bucket, "id": bucket, "location": "EU"})

    def _account(self, request: Request) -> str:
        email = self.accounts.account_of(request.headers.get("Authorization"))
        if email is None:
            raise ApiError(401, "authError", "Invalid Credentials")
        return email

    def _granted(self, request: Request, bucket: str) -> list[str]:
        email = self._account(request)
        rows = self.store.run("SELECT permissions FROM buckets WHERE name = ?", bucket)
        if not rows:
            raise ApiError(404, "notFound", "The specified bucket does not exist.")
        permissions: dict[str, list[str]] = json.loads(rows[0][0])
        return permissions.get(email, permissions.get("*", []))

    def _require(self, request: Request, bucket: str, permission: str) -> list[str]:
        granted = self._granted(request, bucket)
        if permission not in granted:
            raise _forbidden(permission)
        return granted


RunningGcs = Running[GcsEmulator]


def running_gcs(state: Path, port: int = 0) -> AbstractContextManager[RunningGcs]:
    """Serve on loopback until the block ends."""
    return running(GcsEmulator(state), port)


def _forbidden(permission: str) -> ApiError:
    return ApiError(
        403, "forbidden", f"The caller does not have {permission} access to the Google Cloud Storage bucket."
    )


def main() -> None:
    """Serve until interrupted; the first line on stdout is the address."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.gcs", description="A loopback stand-in for GCS.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="the folder where everything is kept")
    options = parser.parse_args()
    server = EmulatorServer(GcsEmulator(options.state), options.port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(server.url, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()

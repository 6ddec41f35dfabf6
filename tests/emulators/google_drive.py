"""An honest stand-in for Google Drive on loopback: `python -m tests.emulators.google_drive --port N --state DIR`.

It speaks plain HTTP: OAuth at `/o/oauth2/v2/auth`, `/token`, `/revoke`; Drive below `/drive/v3`, `/upload/drive/v3`.
Query parameters are checked against the SDK's own description of Drive, tokens and scopes are real, chunk rules hold,
ids can be used once, equal names are allowed, and everything is there again after a restart on the same DIR.

Besides http_server's own calls it takes, with JSON bodies:

- `POST /_emulator/clients` `{"id", "secret", "redirect_uri"}`, `POST /_emulator/accounts` `{"email", "quota"}`;
- `POST /_emulator/grants` `{"client", "email"}` → `{"refresh_token"}`;
- `POST /_emulator/revoke` `{"email"}`, `POST /_emulator/expire_tokens`, `POST /_emulator/forget_uploads`;
- `POST /_emulator/settings` `{"token_lifetime"}` in seconds.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import signal
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

from googleapiclient.discovery_cache import get_static_doc

from tests.emulators.google_drive_auth import DRIVE_FILE, Accounts
from tests.emulators.google_drive_fields import InvalidFields, selected
from tests.emulators.google_drive_query import InvalidQuery, condition
from tests.emulators.google_drive_store import FOLDER, File, Session, Store
from tests.emulators.http_server import BodyCutOff, EmulatorServer, Request, Response
from tests.emulators.multipart import MOST, Malformed, boundary_of, two_parts
from tests.emulators.running import Running, running

QUANTUM = 256 * 1024
DEFAULT_FIELDS = "kind,id,name,mimeType"


class ApiError(Exception):
    """Drive's error format."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason

    def response(self) -> Response:
        error = {"domain": "global", "reason": self.reason, "message": str(self)}
        return Response.json({"error": {"code": self.status, "message": str(self), "errors": [error]}}, self.status)


class DriveEmulator:
    """The service itself; `__call__` answers one request."""

    def __init__(self, state: Path) -> None:
        self.store = Store(state)
        self.accounts = Accounts(self.store)

    def __call__(self, request: Request) -> Response:
        try:
            return self._route(request)
        except ApiError as exc:
            return exc.response()

    def forget_uploads(self) -> None:
        """Every upload session has expired."""
        self.store.run("DELETE FROM sessions")

    def _route(self, request: Request) -> Response:
        if request.path.startswith("/_emulator/"):
            return self._administer(request)
        match request.method, request.path:
            case "GET", "/o/oauth2/v2/auth":
                return self.accounts.consent(request)
            case "POST", "/token":
                return self.accounts.answer(request)
            case "POST", "/revoke":
                return self.accounts.revocation(request)
            case "GET", "/drive/v3/about":
                return self._about(request)
            case "GET", "/drive/v3/files/generateIds":
                return self._generate_ids(request)
            case "GET", "/drive/v3/files":
                return self._list(request)
            case "POST", "/drive/v3/files":
                return self._create(request)
            case _, "/upload/drive/v3/files":
                return self._upload(request)
        if found := re.fullmatch(r"/drive/v3/files/([^/]+)", request.path):
            return self._file(request, found[1])
        raise ApiError(404, "notFound", "Not Found")

    def _administer(self, request: Request) -> Response:
        given = json.loads(request.body.read_all() or b"{}")
        match request.path.removeprefix("/_emulator/"):
            case "clients":
                self.accounts.register_client(given["id"], given["secret"], given.get("redirect_uri", ""))
            case "accounts":
                self.accounts.register_account(given["email"], given.get("quota", 15 << 30))
            case "grants":
                self.accounts.register_account(given["email"])
                return Response.json({"refresh_token": self.accounts.grant(given["client"], given["email"])})
            case "revoke":
                self.accounts.revoke(given["email"])
            case "expire_tokens":
                self.accounts.expire_tokens()
            case "forget_uploads":
                self.forget_uploads()
            case "settings":
                self.accounts.token_lifetime = int(given["token_lifetime"])
            case _:
                raise ApiError(404, "notFound", "No such call of the emulator.")
        return Response.json({})

    def _about(self, request: Request) -> Response:
        account = self._account(request, "about", "get", write=False)
        if not request.arg("fields"):
            raise ApiError(400, "required", "The 'fields' parameter is required for this method.")
        used, quota = self.store.used(account), self._quota(account)
        about = {
            "user": {"emailAddress": account, "permissionId": "1", "displayName": account},
            "storageQuota": {"limit": str(quota), "usage": str(used)},
        }
        return Response.json(_selected(about, request.arg("fields") or "*", "About"))

    def _generate_ids(self, request: Request) -> Response:
        account = self._account(request, "files", "generateIds", write=True)
        count = int(request.arg("count") or 10)
        if not 1 <= count <= 1000:
            raise ApiError(400, "invalid", "count")
        ids = [self.store.new_id(account) for _ in range(count)]
        return Response.json({"kind": "drive#generatedIds", "space": "drive", "ids": ids})

    def _list(self, request: Request) -> Response:
        """In pages; a page token is the number of files that came before."""
        account = self._account(request, "files", "list", write=False)
        most, before = int(request.arg("pageSize") or 100), int(request.arg("pageToken") or 0)
        if not 1 <= most <= 1000:
            raise ApiError(400, "invalidParameter", "pageSize")
        try:
            where, values = condition(request.arg("q") or "")
        except InvalidQuery:
            raise ApiError(400, "invalid", "Invalid Value") from None
        found = self.store.search(account, where, *values)[before:]
        answer = {
            "kind": "drive#fileList", "incompleteSearch": False, "files": [_whole(file) for file in found[:most]],
        }  # fmt: skip
        if len(found) > most:
            answer["nextPageToken"] = str(before + most)
        fields = request.arg("fields") or f"kind,incompleteSearch,nextPageToken,files({DEFAULT_FIELDS})"
        return Response.json(_selected(answer, fields, "FileList"))

    def _create(self, request: Request) -> Response:
        account = self._account(request, "files", "create", write=True)
        wanted = json.loads(request.body.read_all() or b"{}")
        return Response.json(_described(self._make(account, wanted, "", 0), request.arg("fields")))

    def _file(self, request: Request, file_id: str) -> Response:
        method = {"GET": "get", "DELETE": "delete", "PATCH": "update"}.get(request.method, "")
        account = self._account(request, "files", method, write=method != "get")
        file = self.store.file(account, file_id)
        if file is None:
            raise ApiError(404, "notFound", f"File not found: {file_id}.")
        if method == "delete":
            self.store.delete(account, file)
            return Response(204)
        if method == "update":
            changed = json.loads(request.body.read_all() or b"{}")
            trashed = int(changed.get("trashed", file.trashed))
            self.store.trash(file_id, trashed)
            file.trashed = bool(trashed)
        if request.arg("alt") == "media":
            return Response(200, {"Content-Type": file.mime}, file=self.store.blob_path(file.blob), length=file.size)
        return Response.json(_described(file, request.arg("fields")))

    def _upload(self, request: Request) -> Response:
        if upload_id := request.arg("upload_id"):
            if "Authorization" in request.headers:
                self._bearer(request)
            return self._cancel(upload_id) if request.method == "DELETE" else self._put(request, upload_id)
        account = self._account(request, "files", "create", write=True, media=True)
        match request.arg("uploadType"):
            case "multipart":
                return self._multipart(request, account)
            case "resumable":
                return self._initiate(request, account)
        raise ApiError(400, "badRequest", "Unknown uploadType.")

    def _multipart(self, request: Request, account: str) -> Response:
        try:
            metadata, _, data = two_parts(boundary_of(request.headers), request.body.read_all(MOST))
        except Malformed as error:
            raise ApiError(400, "badContent", str(error)) from error
        made = self._make(account, json.loads(metadata), self.store.new_blob(data), len(data))
        return Response.json(_described(made, request.arg("fields")))

    def _initiate(self, request: Request, account: str) -> Response:
        wanted = json.loads(request.body.read_all() or b"{}")
        length = request.headers.get("X-Upload-Content-Length")
        self._check_wanted(account, wanted, int(length or 0))
        upload_id = secrets.token_urlsafe(48)
        wanted["fields"] = request.arg("fields")
        self.store.run(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, 0, ?, NULL)",
            upload_id, account, json.dumps(wanted), int(length) if length else None, self.store.new_blob(),
        )  # fmt: skip
        address = f"{request.base}/upload/drive/v3/files?uploadType=resumable&upload_id={upload_id}"
        return Response(200, {"Location": address})

    def _put(self, request: Request, upload_id: str) -> Response:
        session = self.store.session(upload_id)
        if session is None:
            raise ApiError(404, "notFound", "Upload session not found.")
        if session.finished:
            file = self.store.file(session.account, session.finished)
            return Response.json(_described(file, session.wanted["fields"])) if file else _gone()
        length = request.body.length or 0
        content_range = request.headers.get("Content-Range")
        found = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", content_range or "")
        if content_range and found is None:
            raise ApiError(400, "badRequest", "Malformed Content-Range.")
        total = int(found[3]) if found and found[3] != "*" else session.size
        if found and found[1] is None:
            return self._progress(session, total)
        first, last = (int(found[1]), int(found[2])) if found else (0, length - 1)
        if last - first + 1 != length or (total is not None and last >= total):
            raise ApiError(400, "badRequest", "Content-Range and Content-Length disagree.")
        if first != session.persisted:
            return self._progress(session, total) if first < session.persisted else _gap()
        if (total is None or last + 1 < total) and length % QUANTUM:
            raise ApiError(400, "badRequest", "Chunks must be multiples of 256 KiB.")
        kept, cut = 0, False
        try:
            kept = self.store.append(session.blob, first, request.body, request.persist_limit)
        except BodyCutOff:
            cut = True
            kept = self.store.blob_path(session.blob).stat().st_size - first
        whole = not cut and total is not None and first + kept == total
        session.persisted = first + (kept if whole else kept - kept % QUANTUM)
        self.store.run("UPDATE sessions SET persisted = ? WHERE id = ?", session.persisted, session.id)
        if cut:
            raise BodyCutOff
        return self._progress(session, total)

    def _progress(self, session: Session, total: int | None) -> Response:
        """308 with what is there, or the file when that is all."""
        if total is None or session.persisted < total:
            persisted = {"Range": f"bytes=0-{session.persisted - 1}"} if session.persisted else {}
            return Response(308, persisted)
        made = self._make(session.account, session.wanted, session.blob, total)
        self.store.run("UPDATE sessions SET finished = ? WHERE id = ?", made.id, session.id)
        return Response.json(_described(made, session.wanted["fields"]))

    def _cancel(self, upload_id: str) -> Response:
        self.store.run("DELETE FROM sessions WHERE id = ? AND finished IS NULL", upload_id)
        return Response(499)

    def _make(self, account: str, wanted: dict[str, Any], blob: str, size: int) -> File:
        """Of two who make a file with the same id at once, one succeeds."""
        with self.store.lock:
            self._check_wanted(account, wanted, size)
            return self.store.put(account, wanted, blob, size)

    def _check_wanted(self, account: str, wanted: dict[str, Any], size: int = 0) -> None:
        if file_id := wanted.get("id"):
            spent = "SELECT 1 FROM files WHERE id = ?1 UNION SELECT 1 FROM ids WHERE id = ?1 AND account = ''"
            if self.store.run(spent, file_id):
                raise ApiError(409, "fileIdInUse", "A file already exists with the provided ID.")
            if not self.store.run("SELECT 1 FROM ids WHERE id = ? AND account = ?", file_id, account):
                raise ApiError(400, "invalid", "The provided file ID is not usable.")
        parents = wanted.get("parents") or ["root"]
        if len(parents) != 1:
            raise ApiError(400, "teamDrivesParentLimit", "A file has exactly one parent.")
        parent = None if parents[0] == "root" else self.store.file(account, parents[0])
        if parents[0] != "root" and (parent is None or parent.mime != FOLDER):
            raise ApiError(404, "notFound", f"File not found: {parents[0]}.")
        if self.store.used(account) + size > self._quota(account):
            raise ApiError(403, "storageQuotaExceeded", "The user's Drive storage quota has been exceeded.")

    def _quota(self, account: str) -> int:
        return int(self.store.run("SELECT quota FROM accounts WHERE email = ?", account)[0][0])

    def _bearer(self, request: Request) -> tuple[str, list[str]]:
        found = self.accounts.account_of(request.headers.get("Authorization"))
        if found is None:
            raise ApiError(401, "authError", "Invalid Credentials")
        return found

    def _account(self, request: Request, resource: str, method: str, *, write: bool, media: bool = False) -> str:
        """Who asks, when they may and when they ask as Drive's description says."""
        account, scopes = self._bearer(request)
        if write and DRIVE_FILE not in scopes:
            raise ApiError(403, "insufficientPermissions", "Request had insufficient authentication scopes.")
        unknown = request.query.keys() - _parameters(resource, method) - ({"uploadType"} if media else set())
        if unknown:
            raise ApiError(400, "invalidParameter", f"Unknown parameter {sorted(unknown)[0]}")
        if resource == "files" and self.store.run("SELECT gone FROM accounts WHERE email = ?", account)[0][0]:
            raise ApiError(404, "notFound", "Drive is not there.")
        return account


RunningDrive = Running[DriveEmulator]


def running_drive(state: Path, port: int = 0) -> AbstractContextManager[RunningDrive]:
    """Serve on loopback until the block ends."""
    return running(DriveEmulator(state), port)


def _described(file: File, fields: str | None) -> dict[str, Any]:
    return _selected(_whole(file), fields or DEFAULT_FIELDS, "File")


def _selected(resource: dict[str, Any], fields: str, schema: str) -> dict[str, Any]:
    try:
        picked: dict[str, Any] = selected(resource, fields, schema)
    except InvalidFields as exc:
        raise ApiError(400, "invalidParameter", f"Invalid field selection {exc}") from None
    return picked


def _whole(file: File) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "kind": "drive#file",
        "id": file.id,
        "name": file.name,
        "mimeType": file.mime,
        "parents": [file.parent],
        "trashed": file.trashed,
        "createdTime": file.created,
        "modifiedTime": file.modified,
    }
    if file.mime != FOLDER:
        whole |= {"size": str(file.size), "md5Checksum": file.md5, "sha256Checksum": file.sha256}
    return whole


def _gap() -> Response:
    return ApiError(400, "badRequest", "Bytes are missing before this chunk.").response()


def _gone() -> Response:
    return ApiError(404, "notFound", "The uploaded file was deleted.").response()


@cache
def _parameters(resource: str, method: str) -> frozenset[str]:
    document = json.loads(get_static_doc("drive", "v3"))
    described = document["resources"][resource]["methods"].get(method, {})
    return frozenset(described.get("parameters", {})) | frozenset(document["parameters"])


def main() -> None:
    """Serve until interrupted; the first line on stdout is the address."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.google_drive", description="A stand-in for Drive.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="the folder where everything is kept")
    options = parser.parse_args()
    server = EmulatorServer(DriveEmulator(options.state), options.port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(server.url, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()

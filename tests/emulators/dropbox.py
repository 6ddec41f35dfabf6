"""An honest stand-in for Dropbox on loopback: `python -m tests.emulators.dropbox --port N --state DIR`.

It speaks plain HTTP and answers for api, content and www alike: `/oauth2/…`, and the routes below `/2/` that uploads
need. Arguments are checked with the SDK's own schema, tokens and scopes are real, chunks must fit, hashes are
compared, and everything is there again after a restart on the same DIR.

Besides http_server's own calls it takes, with JSON bodies:

- `POST /_emulator/apps` `{"key", "secret", "redirect_uri"}`;
- `POST /_emulator/accounts` `{"email", "quota"}` → `{"account_id"}`;
- `POST /_emulator/grants` `{"key", "email"}` → `{"refresh_token"}`;
- `POST /_emulator/revoke` `{"email"}`, `POST /_emulator/expire_tokens`, `POST /_emulator/forget_uploads`;
- `POST /_emulator/settings` `{"token_lifetime"}` in seconds.
"""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from dropbox import auth, check, files, users
from stone.backends.python_rsrc import stone_serializers
from stone.backends.python_rsrc.stone_validators import ValidationError

from tests.emulators.dropbox_auth import Accounts, TokenRefused
from tests.emulators.dropbox_store import Entry, Session, Store
from tests.emulators.http_server import EmulatorServer, Request, Response
from tests.emulators.running import Running, running

Wrap = Callable[[Any], Any]
"""Makes a LookupError or WriteError the error of a route."""

UPLOAD_LIMIT = 150 << 20
SESSION_LIMIT = 2**41 - 2**22
SESSION_SECONDS = 7 * 86_400
IGNORED = {"desktop.ini", "thumbs.db", ".ds_store", "icon\r", ".dropbox", ".dropbox.attr"}


class RouteError(Exception):
    """A route's own error (409): a value of the SDK's union for it."""

    def __init__(self, value: Any) -> None:
        super().__init__(str(value))
        self.value = value


class BadInput(Exception):
    """What Dropbox answers with 400 and plain text."""


class DropboxEmulator:
    """The service itself; `__call__` answers one request."""

    def __init__(self, state: Path) -> None:
        self.store = Store(state)
        self.accounts = Accounts(self.store)
        self._routes: dict[str, tuple[Any, str, Callable[[Request, Any, str], Response]]] = {
            "/2/users/get_current_account": (users.get_current_account, "account_info.read", self._current_account),
            "/2/users/get_space_usage": (users.get_space_usage, "account_info.read", self._space_usage),
            "/2/check/user": (check.user, "account_info.read", self._check),
            "/2/files/get_metadata": (files.get_metadata, "files.metadata.read", self._metadata),
            "/2/files/list_folder": (files.list_folder, "files.metadata.read", self._list),
            "/2/files/delete_v2": (files.delete_v2, "files.content.write", self._delete),
            "/2/files/create_folder_v2": (files.create_folder_v2, "files.content.write", self._create_folder),
            "/2/files/download": (files.download, "files.content.read", self._download),
            "/2/files/upload": (files.upload, "files.content.write", self._upload),
            "/2/files/upload_session/start": (files.upload_session_start, "files.content.write", self._start),
            "/2/files/upload_session/append_v2": (files.upload_session_append_v2, "files.content.write", self._append),
            "/2/files/upload_session/finish": (files.upload_session_finish, "files.content.write", self._finish),
            "/2/files/upload_session/finish_batch_v2": (
                files.upload_session_finish_batch_v2, "files.content.write", self._finish_batch,
            ),
        }  # fmt: skip

    def __call__(self, request: Request) -> Response:
        try:
            return self._route(request)
        except TokenRefused as exc:
            return _failed(auth.AuthError_validator, exc.error, 401)
        except BadInput as exc:
            return Response(400, {"Content-Type": "text/plain; charset=utf-8"}, str(exc).encode())

    def _route(self, request: Request) -> Response:
        if request.path.startswith("/_emulator/"):
            return self._administer(request)
        match request.method, request.path:
            case "POST", "/oauth2/token" | "/1/oauth2/token":  # the older address is still served
                return self.accounts.answer(request)
            case "GET", "/oauth2/authorize":
                return self.accounts.consent(request)
            case "POST", "/2/auth/token/revoke":
                self.accounts.revoke(
                    self.accounts.account_of(request.headers.get("Authorization"), "account_info.read")
                )
                return Response(200, {"Content-Type": "application/json"}, b"null")
        found = self._routes.get(request.path)
        if found is None or request.method != "POST":
            return Response(404, {"Content-Type": "text/plain"}, b"Unknown route")
        route, scope, answer = found
        account = self.accounts.account_of(request.headers.get("Authorization"), scope)
        try:
            return answer(request, self._argument(request, route), account)
        except RouteError as exc:
            return _failed(route.error_type, exc.value, 409)

    def _argument(self, request: Request, route: Any) -> Any:
        """The argument, checked against the SDK's schema."""
        if route.attrs["style"] in ("upload", "download"):
            text = request.headers.get("Dropbox-API-Arg", "")
            if not text.isascii():
                raise BadInput('Error in call: HTTP header "Dropbox-API-Arg": could not decode input as JSON')
            if route.attrs["style"] == "upload" and request.headers.get("Content-Type") != "application/octet-stream":
                raise BadInput('Error in call: Bad HTTP "Content-Type" header')
        else:
            text = request.body.read_all().decode() or "null"
        try:
            return stone_serializers.json_decode(route.arg_type, text)
        except ValidationError as exc:
            raise BadInput(f"Error in call to API function: request body: {exc}") from exc

    def _administer(self, request: Request) -> Response:
        given = json.loads(request.body.read_all() or b"{}")
        match request.path.removeprefix("/_emulator/"):
            case "apps":
                self.accounts.register_app(given["key"], given["secret"], given.get("redirect_uri", ""))
            case "accounts":
                return Response.json(
                    {"account_id": self.accounts.register_account(given["email"], given.get("quota", 2 << 40))}
                )
            case "grants":
                account = self.accounts.register_account(given["email"])
                return Response.json({"refresh_token": self.accounts.grant(given["key"], account)})
            case "revoke":
                self.accounts.revoke(self.accounts.register_account(given["email"]))
            case "expire_tokens":
                self.accounts.expire_tokens()
            case "forget_uploads":
                self.forget_uploads()
            case "settings":
                self.accounts.token_lifetime = int(given["token_lifetime"])
            case _:
                raise BadInput("No such call of the emulator.")
        return Response.json({})

    def forget_uploads(self) -> None:
        """Every session has expired."""
        self.store.run("DELETE FROM sessions")

    def _current_account(self, _: Request, __: Any, account: str) -> Response:
        email = self._email(account)
        name = {
            "given_name": "A",
            "surname": "B",
            "familiar_name": "A",
            "display_name": "A B",
            "abbreviated_name": "AB",
        }
        return Response.json(
            {
                "account_id": account, "name": name, "email": email, "email_verified": True, "disabled": False,
                "locale": "en", "referral_link": "https://example.org/", "is_paired": False,
                "account_type": {".tag": "basic"}, "country": "CL",
                "root_info": {".tag": "user", "root_namespace_id": "1", "home_namespace_id": "1"},
            }
        )  # fmt: skip

    def _space_usage(self, _: Request, __: Any, account: str) -> Response:
        allocated = self.store.run("SELECT quota FROM accounts WHERE id = ?", account)[0][0]
        allocation = {".tag": "individual", "allocated": allocated}
        return Response.json({"used": self.store.used(account), "allocation": allocation})

    def _check(self, _: Request, argument: Any, __: str) -> Response:
        return Response.json({"result": argument.query})

    def _metadata(self, _: Request, argument: Any, account: str) -> Response:
        return Response.json(_described(self._existing(account, argument.path, files.GetMetadataError.path)))

    def _list(self, _: Request, argument: Any, account: str) -> Response:
        self._must_be_there(account, files.ListFolderError.path)
        prefix = ""
        if argument.path:
            listed = self._existing(account, argument.path, files.ListFolderError.path)
            if not listed.folder:
                raise RouteError(files.ListFolderError.path(files.LookupError.not_folder))
            prefix = listed.lower
        rows = self.store.run(
            "SELECT display FROM entries WHERE account = ? AND lower LIKE ? ORDER BY lower", account, f"{prefix}/%"
        )
        shown = [
            display for (display,) in rows if argument.recursive or "/" not in display[len(prefix) + 1 :]
        ]  # fmt: skip
        entries = [_described(self._existing(account, display, files.ListFolderError.path)) for display in shown]
        return Response.json({"entries": entries, "cursor": "end", "has_more": False})

    def _delete(self, _: Request, argument: Any, account: str) -> Response:
        self._must_be_there(account, files.DeleteError.path_lookup)
        entry = self.store.entry(account, argument.path)
        if entry is None:
            raise RouteError(files.DeleteError.path_lookup(files.LookupError.not_found))
        if argument.parent_rev and argument.parent_rev != entry.rev:
            raise RouteError(files.DeleteError.path_write(_conflict(entry)))
        self.store.remove(account, entry)
        return Response.json({"metadata": _described(entry)})

    def _create_folder(self, _: Request, argument: Any, account: str) -> Response:
        there = self.store.entry(account, argument.path)
        if there is not None:
            raise RouteError(files.CreateFolderError.path(_conflict(there)))
        self.store.make_folders(account, argument.path)
        made = self.store.entry(account, argument.path)
        assert made is not None
        return Response.json({"metadata": _described(made)})

    def _download(self, _: Request, argument: Any, account: str) -> Response:
        entry = self._existing(account, argument.path, files.DownloadError.path)
        if entry.folder:
            raise RouteError(files.DownloadError.path(files.LookupError.not_file))
        headers = {
            "Content-Type": "application/octet-stream",
            "Dropbox-API-Result": json.dumps(_described(entry)),
            "ETag": f'W/"{entry.rev}"',
        }
        return Response(200, headers, file=self.store.blob_path(entry.blob), length=entry.size)

    def _upload(self, request: Request, argument: Any, account: str) -> Response:
        blob = self.store.new_blob()
        size, own = self.store.append(blob, 0, request.body, None)
        if size > UPLOAD_LIMIT:
            raise RouteError(files.UploadError.payload_too_large)
        if argument.content_hash and argument.content_hash != own:
            raise RouteError(files.UploadError.content_hash_mismatch)

        def failed(reason: Any) -> Any:
            return files.UploadError.path(files.UploadWriteFailed(reason=reason, upload_session_id="emulated"))

        return Response.json(self._commit(account, argument, blob, size, failed))

    def _start(self, request: Request, argument: Any, account: str) -> Response:
        blob = self.store.new_blob()
        size, own = self.store.append(blob, 0, request.body, request.persist_limit)
        if argument.content_hash and argument.content_hash != own:
            raise RouteError(files.UploadSessionStartError.content_hash_mismatch)
        session_id = f"pid_upload_session:{secrets.token_urlsafe(30)}"
        self.store.run(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)",
            session_id, account, size, int(argument.close), blob, time.time(),
        )  # fmt: skip
        return Response.json({"session_id": session_id})

    def _append(self, request: Request, argument: Any, account: str) -> Response:
        error = files.UploadSessionAppendError
        session = self._session(argument.cursor, account, error)
        if session.closed:
            raise RouteError(error.closed)
        self._take(request, session, argument, error)
        if argument.close:
            self.store.run("UPDATE sessions SET closed = 1 WHERE id = ?", session.id)
        return Response(200, {"Content-Type": "application/json"}, b"null")

    def _finish(self, request: Request, argument: Any, account: str) -> Response:
        session = self._to_finish(argument.cursor, account)
        if request.body.length:
            session.size = self._take(request, session, argument, files.UploadSessionFinishError)
        return Response.json(self._become(account, argument.commit, session))

    def _finish_batch(self, _: Request, argument: Any, account: str) -> Response:
        """Each entry succeeds or fails by itself."""
        entries = []
        for one in argument.entries:
            try:
                session = self._to_finish(one.cursor, account)
                if not session.closed:
                    raise RouteError(
                        files.UploadSessionFinishError.lookup_failed(files.UploadSessionLookupError.not_closed)
                    )
                entries.append({**self._become(account, one.commit, session), ".tag": "success"})
            except RouteError as exc:
                failure = files.UploadSessionFinishBatchResultEntry.failure(exc.value)
                encoded = stone_serializers.json_encode(files.UploadSessionFinishBatchResultEntry_validator, failure)
                entries.append(json.loads(encoded))
        return Response.json({"entries": entries})

    def _to_finish(self, cursor: Any, account: str) -> Session:
        try:
            return self._session(cursor, account, files.UploadSessionLookupError)
        except RouteError as exc:
            raise RouteError(files.UploadSessionFinishError.lookup_failed(exc.value)) from None

    def _become(self, account: str, commit: Any, session: Session) -> dict[str, Any]:
        """The file that a session's bytes are from now on."""
        described = self._commit(account, commit, session.blob, session.size, files.UploadSessionFinishError.path)
        self.store.run("DELETE FROM sessions WHERE id = ?", session.id)
        return described

    def _take(self, request: Request, session: Session, argument: Any, error: Any) -> int:
        """Append the body to the session; its size then."""
        kept, own = self.store.append(session.blob, session.size, request.body, request.persist_limit)
        if argument.content_hash and argument.content_hash != own:
            raise RouteError(error.content_hash_mismatch)
        if session.size + kept > SESSION_LIMIT:
            raise RouteError(error.payload_too_large)
        self.store.run("UPDATE sessions SET size = ? WHERE id = ?", session.size + kept, session.id)
        return session.size + kept

    def _session(self, cursor: Any, account: str, error: Any) -> Session:
        session = self.store.session(cursor.session_id)
        if session is None or session.account != account or time.time() - session.started > SESSION_SECONDS:
            raise RouteError(error.not_found)
        if cursor.offset != session.size:
            raise RouteError(error.incorrect_offset(files.UploadSessionOffsetError(correct_offset=session.size)))
        return session

    def _commit(self, account: str, commit: Any, blob: str, size: int, failed: Wrap) -> dict[str, Any]:
        """Make the file appear as the write mode says; `failed` makes a WriteError the route's error."""
        if self._is_gone(account):
            raise RouteError(failed(files.WriteError.no_write_permission))
        _check_name(commit.path, failed)
        quota = self.store.run("SELECT quota FROM accounts WHERE id = ?", account)[0][0]
        if self.store.used(account) + size > quota:
            raise RouteError(failed(files.WriteError.insufficient_space))
        with self.store.lock:
            if any(above and not above.folder for above in self._above(account, commit.path)):
                raise RouteError(failed(files.WriteError.conflict(files.WriteConflictError.file_ancestor)))
            there = self.store.entry(account, commit.path)
            if there is not None:
                same = not there.folder and there.hash == self.store.content_hash(blob, size).hexdigest()
                if commit.mode.is_add() and same and not commit.strict_conflict:
                    return _described(there)
                updates = commit.mode.is_update() and commit.mode.get_update() == there.rev
                if there.folder or not (commit.mode.is_overwrite() or updates):
                    raise RouteError(failed(_conflict(there)))
            given = commit.client_modified and f"{commit.client_modified:%Y-%m-%dT%H:%M:%SZ}"
            return _described(self.store.put_file(account, commit.path, blob, size, given or ""))

    def _above(self, account: str, path: str) -> Iterator[Entry | None]:
        while path := path.rpartition("/")[0]:
            yield self.store.entry(account, path)

    def _existing(self, account: str, path: str, wrap: Wrap) -> Entry:
        self._must_be_there(account, wrap)
        entry = self.store.entry(account, path)
        if entry is None:
            raise RouteError(wrap(files.LookupError.not_found))
        return entry

    def _must_be_there(self, account: str, wrap: Wrap) -> None:
        if self._is_gone(account):
            raise RouteError(wrap(files.LookupError.not_found))

    def _is_gone(self, account: str) -> bool:
        """Whether the account's files can't be reached at all: a team folder that was taken away."""
        return bool(self.store.run("SELECT gone FROM accounts WHERE id = ?", account)[0][0])

    def _email(self, account: str) -> str:
        return str(self.store.run("SELECT email FROM accounts WHERE id = ?", account)[0][0])


def _check_name(path: str, failed: Wrap) -> None:
    for part in path.split("/")[1:]:
        if not part or part in (".", "..") or part.endswith(" ") or "\\" in part or len(part.encode()) > 255:
            raise RouteError(failed(files.WriteError.malformed_path(None)))
        if part.lower() in IGNORED:
            raise RouteError(failed(files.WriteError.disallowed_name))


def _conflict(there: Entry) -> Any:
    kind = files.WriteConflictError
    return files.WriteError.conflict(kind.folder if there.folder else kind.file)


def _failed(kind: Any, value: Any, status: int) -> Response:
    error = json.loads(stone_serializers.json_encode(kind, value))
    return Response.json({"error_summary": f"{_summary(error)}/.", "error": error}, status)


def _summary(error: Any) -> str:
    """The tags of an error from the outside in, as Dropbox sums it up."""
    if not isinstance(error, dict):
        return ""
    inner = next((_summary(value) for name, value in error.items() if name != ".tag" and isinstance(value, dict)), "")
    return "/".join(part for part in (str(error.get(".tag", "")), inner) if part)


RunningDropbox = Running[DropboxEmulator]


def running_dropbox(state: Path, port: int = 0) -> AbstractContextManager[RunningDropbox]:
    """Serve on loopback until the block ends."""
    return running(DropboxEmulator(state), port)


def _described(entry: Entry) -> dict[str, Any]:
    kind = "folder" if entry.folder else "file"
    described: dict[str, Any] = {
        ".tag": kind,
        "name": entry.display.rsplit("/", 1)[1],
        "id": entry.id,
        "path_lower": entry.lower,
        "path_display": entry.display,
    }
    if not entry.folder:
        described |= {
            "client_modified": entry.client_modified or entry.modified,
            "server_modified": entry.modified,
            "rev": entry.rev,
            "size": entry.size,
            "content_hash": entry.hash,
            "is_downloadable": True,
        }
    return described


def main() -> None:
    """Serve until interrupted; the first line on stdout is the address."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.dropbox", description="A stand-in for Dropbox.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="the folder where everything is kept")
    options = parser.parse_args()
    server = EmulatorServer(DropboxEmulator(options.state), options.port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(server.url, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()

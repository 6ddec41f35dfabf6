"""An emulated Dropbox account for the contract suite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from adapters.destinations.dropbox import DropboxDestination
from adapters.destinations.dropbox_account import DropboxAccount
from application.ports.destination import Destination
from tests.contract.destination_harness import SMALL_CHUNK
from tests.emulators.dropbox import running_dropbox
from tests.emulators.dropbox_auth import SCOPES

EMAIL = "ada@example.org"
APP, SECRET = "emulated-app-key", "emulated-app-secret"


class DropboxHarness:
    """One account that has authorized one app."""

    def __init__(self, tmp_path: Path) -> None:
        self._stack = ExitStack()
        self.dropbox = self._stack.enter_context(running_dropbox(tmp_path / "dropbox"))
        accounts = self.dropbox.emulator.accounts
        accounts.register_app(APP, SECRET)
        self.account = accounts.register_account(EMAIL)
        self.refresh_token = accounts.grant(APP, self.account)

    def open(self, chunk_size: int = SMALL_CHUNK, timeout: float = 30.0) -> Destination:
        account = DropboxAccount(APP, SECRET, self.refresh_token, self.dropbox.url, timeout=timeout)
        self._stack.callback(account.close)
        return DropboxDestination(account, chunk_size)

    def objects(self) -> dict[str, bytes]:
        store = self.dropbox.emulator.store
        rows = store.run("SELECT display, blob FROM entries WHERE NOT folder")
        return {display: store.blob_path(blob).read_bytes() for display, blob in rows}

    def unfinished(self) -> int:
        return int(self.dropbox.emulator.store.run("SELECT count(*) FROM sessions WHERE NOT closed")[0][0])

    def place(self, path: str, data: bytes) -> None:
        store = self.dropbox.emulator.store
        store.put_file(self.account, path, store.new_blob(data), len(data), "2024-05-16T08:00:00Z")

    def lose_uploads(self) -> None:
        self.dropbox.emulator.forget_uploads()

    @contextmanager
    def losing_commit_reply(self) -> Iterator[None]:
        """The connection closes after the file has appeared."""
        self.dropbox.fault(path="files/upload$|upload_session/finish", close="after")
        yield
        assert any(one["fault"] for one in self.dropbox.requests("POST"))

    def break_credentials(self) -> None:
        self.dropbox.emulator.accounts.revoke(self.account)

    def break_destination(self) -> None:
        self.dropbox.emulator.store.run("UPDATE accounts SET gone = 1")

    @contextmanager
    def forbid_writing(self) -> Iterator[None]:
        accounts = self.dropbox.emulator.accounts
        accounts.limit_scopes(self.account, tuple(one for one in SCOPES if one != "files.content.write"))
        yield
        accounts.limit_scopes(self.account, SCOPES)

    def secrets(self) -> list[str]:
        sessions = [row[0] for row in self.dropbox.emulator.store.run("SELECT id FROM sessions")]
        return [*sessions, SECRET, *self.dropbox.emulator.accounts.tokens()]

    def close(self) -> None:
        self._stack.close()

"""An emulated Google Drive account for the contract suite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from adapters.destinations.folder_ids import MemoryFolderIds
from adapters.destinations.google_drive import DriveDestination
from adapters.destinations.google_drive_account import DriveAccount
from application.ports.destination import Destination
from tests.contract.destination_harness import SMALL_CHUNK
from tests.emulators.google_drive import running_drive
from tests.emulators.google_drive_auth import DRIVE_FILE, READ_ONLY
from tests.emulators.google_drive_store import FOLDER, File

EMAIL = "ada@example.org"
CLIENT, SECRET = "emulated-client.apps.example.org", "emulated-client-secret"


class DriveHarness:
    """One account that has authorized one client."""

    def __init__(self, tmp_path: Path) -> None:
        self._stack = ExitStack()
        self.drive = self._stack.enter_context(running_drive(tmp_path / "drive"))
        accounts = self.drive.emulator.accounts
        accounts.register_client(CLIENT, SECRET)
        accounts.register_account(EMAIL)
        self.refresh_token = accounts.grant(CLIENT, EMAIL)
        self.folder_ids = MemoryFolderIds()

    def authorize(self, email: str) -> None:
        """The owner authorizes again, with another account."""
        accounts = self.drive.emulator.accounts
        accounts.register_account(email)
        self.refresh_token = accounts.grant(CLIENT, email)

    def new_account(self, timeout: float = 30.0, secret: str = SECRET) -> DriveAccount:
        url = self.drive.url
        account = DriveAccount(CLIENT, secret, self.refresh_token, url, url, timeout=timeout)
        self._stack.callback(account.close)
        return account

    def open(self, chunk_size: int = SMALL_CHUNK, timeout: float = 30.0) -> Destination:
        return DriveDestination(self.new_account(timeout), self.folder_ids, "cfg-1", chunk_size)

    def objects(self) -> dict[str, bytes]:
        """By path; two of one name would show as one, so names are counted."""
        store = self.drive.emulator.store
        found = [(self._path(file), file) for file in store.search(EMAIL, "mime != ?", FOLDER)]
        assert len({path for path, _ in found}) == len(found), "two files of one name"
        return {path: store.blob_path(file.blob).read_bytes() for path, file in found}

    def unfinished(self) -> int:
        return int(self.drive.emulator.store.run("SELECT count(*) FROM sessions WHERE finished IS NULL")[0][0])

    def place(self, path: str, data: bytes) -> None:
        store = self.drive.emulator.store
        parent = "root"
        *folders, name = path.split("/")[1:]
        for folder in folders:
            there = store.search(EMAIL, "name = ? AND parent = ?", folder, parent)
            wanted = {"name": folder, "parents": [parent], "mimeType": FOLDER}
            parent = there[0].id if there else store.put(EMAIL, wanted, "", 0).id
        for before in store.search(EMAIL, "name = ? AND parent = ?", name, parent):
            store.delete(EMAIL, before)
        store.put(EMAIL, {"name": name, "parents": [parent]}, store.new_blob(data), len(data))

    def lose_uploads(self) -> None:
        self.drive.emulator.forget_uploads()

    @contextmanager
    def losing_commit_reply(self) -> Iterator[None]:
        """The connection closes after the last byte was taken."""
        self.drive.fault(path="uploadType=multipart|upload_id", close="after")
        yield
        assert any(one["fault"] for one in self.drive.requests())

    def break_credentials(self) -> None:
        self.drive.emulator.accounts.revoke(EMAIL)

    def break_destination(self) -> None:
        self.drive.emulator.store.run("UPDATE accounts SET gone = 1")

    @contextmanager
    def forbid_writing(self) -> Iterator[None]:
        self.drive.emulator.accounts.limit_scopes(EMAIL, READ_ONLY)
        yield
        self.drive.emulator.accounts.limit_scopes(EMAIL, DRIVE_FILE)

    def secrets(self) -> list[str]:
        sessions = [row[0] for row in self.drive.emulator.store.run("SELECT id FROM sessions")]
        return [*sessions, "upload_id", SECRET, *self.drive.emulator.accounts.tokens()]

    def close(self) -> None:
        self._stack.close()

    def _path(self, file: File) -> str:
        store = self.drive.emulator.store
        names = [file.name]
        while file.parent != "root":
            above = store.file(EMAIL, file.parent)
            assert above is not None
            file = above
            names.append(file.name)
        return "/" + "/".join(reversed(names))

"""Paths in Google Drive, which itself knows only ids: a folder's id is agreed on first, then the folder is made."""

from __future__ import annotations

from typing import Any

from googleapiclient.errors import HttpError

from adapters.destinations.folder_ids import FolderIds
from adapters.destinations.google_drive_account import DriveAccount
from adapters.destinations.google_drive_errors import is_status
from domain.errors import RetryLater

FOLDER = "application/vnd.google-apps.folder"
ROOT = "root"
TRIES = 3


class DriveFolders:
    """The folders of one configuration. Methods raise HttpError and what requests raises; classify them."""

    def __init__(self, account: DriveAccount, ids: FolderIds, config_id: str) -> None:
        self._account = account
        self._ids = ids
        self._config_id = config_id
        self._sure: dict[str, str] = {}

    def find(self, path: str) -> str | None:
        """The id of a folder that is there, by its path (`/a/b`; empty: the root). What is within a folder in the trash
        says so itself, so those above one that we know needn't be asked for."""
        if path and (known := self._known(path)):
            return known
        folder = ROOT
        parts: list[str] = []
        for name in path.split("/")[1:]:
            parts.append(name)
            known = self._known("/" + "/".join(parts))
            found = known or self._named(folder, name)
            if found is None:
                return None
            folder = found
        return folder

    def ensure(self, path: str) -> str:
        """The id of a folder, made with those above it where it isn't there."""
        if path and (known := self._known(path)):
            return known
        folder, parts = ROOT, []
        for name in path.split("/")[1:]:
            parts.append(name)
            folder = self._ensure_one(folder, name, "/" + "/".join(parts))
        return folder

    def _ensure_one(self, parent: str, name: str, path: str) -> str:
        if known := self._known(path):
            return known
        for _ in range(TRIES):
            folder = self._ids.agree(self._config_id, path, self._named(parent, name) or self._account.new_id())
            if self._is_made(folder, name, parent):
                self._sure[path] = folder
                return folder
            self._ids.forget(self._config_id, path, folder)
        raise RetryLater("A folder in Google Drive could not be made just now.")

    def _is_made(self, folder: str, name: str, parent: str) -> bool:
        """Whether the folder is there now. An id that was agreed on can be used by nobody when it was another
        account's, or its folder was deleted for good."""
        try:
            self._account.files.create(
                body={"id": folder, "name": name, "mimeType": FOLDER, "parents": [parent]},
                fields="id",
                supportsAllDrives=True,
            ).execute()
        except HttpError as exc:
            if not (is_status(exc, 409) or is_status(exc, 400)):
                raise
            found = self._get(folder)  # somebody has made it: with this id it is the same one
            return found is not None and not found.get("trashed")
        return True

    def _known(self, path: str) -> str | None:
        """The id that was agreed on, if such a folder is there and not in the trash."""
        if path in self._sure:
            return self._sure[path]
        folder = self._ids.known(self._config_id, path)
        if folder is None:
            return None
        found = self._get(folder)
        if found is None or found.get("trashed"):
            if found is not None:  # an id can't be used again; one that was never made can
                self._ids.forget(self._config_id, path, folder)
            return None
        self._sure[path] = folder
        return folder

    def _get(self, folder: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._account.files.get(
                fileId=folder, fields="id,trashed", supportsAllDrives=True
            ).execute()
        except HttpError as exc:
            if is_status(exc, 404):
                return None
            raise
        return found

    def _named(self, parent: str, name: str) -> str | None:
        query = f"name = '{quoted(name)}' and '{parent}' in parents and mimeType = '{FOLDER}' and trashed = false"
        answer = (
            self._account.files
            .list(q=query, fields="files(id)", orderBy="createdTime", pageSize=1, spaces="drive",
                  supportsAllDrives=True, includeItemsFromAllDrives=True)
            .execute()
        )  # fmt: skip
        return answer["files"][0]["id"] if answer["files"] else None


def quoted(text: str) -> str:
    """Text for a search query's string."""
    return text.replace("\\", "\\\\").replace("'", "\\'")

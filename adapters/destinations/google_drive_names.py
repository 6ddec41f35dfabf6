"""Which files have an upload's name in its Drive folder: Drive lets several have one, so it has to be asked."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from adapters.destinations.google_drive_account import DriveAccount
from adapters.destinations.google_drive_errors import classified
from adapters.destinations.google_drive_folders import FOLDER, DriveFolders, quoted
from adapters.destinations.google_drive_uploads import FIELDS
from application.ports.destination import Upload
from domain.errors import StarferryError

Resources = list[dict[str, Any]]

FRESH_SECONDS = 2.0
"""What is older is asked again: meanwhile another file may have come."""


class DriveNames:
    """Looks into the folders of one destination's account. Raises what the SDK raises, but for `expect`."""

    def __init__(self, account: DriveAccount, folders: DriveFolders) -> None:
        self._account = account
        self._folders = folders
        self._expected: dict[str, Resources] = {}
        self._looked: dict[str, float] = {}

    def expect(self, uploads: Sequence[Upload]) -> None:
        """Look for all of them at once; `begun` then knows for a while. What can't be said is asked by `begun`."""
        by_folder: dict[str, dict[str, Upload]] = {}
        for upload in uploads:
            folder, name = _parted(upload)
            by_folder.setdefault(folder, {})[name.casefold()] = upload
        for folder, named in by_folder.items():
            with suppress(StarferryError), classified():
                self._expect_in(folder, named)

    def begun(self, upload: Upload) -> Resources:
        """The files with the upload's name, oldest first, as an upload begins."""
        expected = self._expected.pop(upload.path, None)
        if expected is not None and self.lately(upload):
            return expected
        asked = time.monotonic()
        found = self.now(upload)
        self._looked[upload.path] = asked
        return found

    def lately(self, upload: Upload) -> bool:
        """Whether it was looked for as an upload began, and that is no longer ago than FRESH_SECONDS."""
        return time.monotonic() - self._looked.get(upload.path, float("-inf")) <= FRESH_SECONDS

    def now(self, upload: Upload) -> Resources:
        """The files with the upload's name, oldest first."""
        folder, name = _parted(upload)
        parent = self._folders.find(folder)
        return self._listed(parent, [name])["files"] if parent else []

    def _expect_in(self, folder: str, named: dict[str, Upload]) -> None:
        asked, parent = time.monotonic(), self._folders.find(folder)
        answer = self._listed(parent, [_parted(one)[1] for one in named.values()]) if parent else {"files": []}
        found: dict[str, Resources] = {name: [] for name in named}
        for resource in answer["files"]:
            found.setdefault(str(resource["name"]).casefold(), []).append(resource)
        if answer.get("nextPageToken") or len(found) > len(named):  # too many, or names that Drive compares otherwise
            return
        for name, upload in named.items():
            self._expected[upload.path] = found[name]
            self._looked[upload.path] = asked

    def _listed(self, parent: str, names: Iterable[str]) -> dict[str, Any]:
        wanted = " or ".join(f"name = '{quoted(name)}'" for name in names)
        query = f"({wanted}) and '{parent}' in parents and mimeType != '{FOLDER}' and trashed = false"
        answer: dict[str, Any] = (
            self._account.files
            .list(q=query, fields=f"nextPageToken,files({FIELDS},name)", spaces="drive", orderBy="createdTime",
                  supportsAllDrives=True, includeItemsFromAllDrives=True)
            .execute()
        )  # fmt: skip
        return answer


def _parted(upload: Upload) -> tuple[str, str]:
    folder, _, name = upload.path.rpartition("/")
    return folder, name

"""Somebody's Google Drive, written to with the authorization that they gave (scope drive.file: only what is ours)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, assert_never

from googleapiclient.errors import HttpError

from adapters.destinations.connection_test import run_checks, write_and_remove
from adapters.destinations.folder_ids import FolderIds
from adapters.destinations.google_answers import QUANTUM, Confirmed, Finished, Lost, Progress, Taken
from adapters.destinations.google_drive_account import DriveAccount
from adapters.destinations.google_drive_errors import classified, is_status
from adapters.destinations.google_drive_folders import DriveFolders
from adapters.destinations.google_drive_names import DriveNames
from adapters.destinations.google_drive_uploads import FIELDS, DriveUploads
from adapters.destinations.hash_match import settled, verify
from application.ports.destination import Arrived, Check, Session, Upload
from domain.errors import ChecksumMismatch, GiveUp, Misconfigured, RetryLater

LARGEST_IN_ONE_CALL = 5 << 20


class DriveDestination:
    """Delivers to an account's Drive. `chunk_size` is a multiple of 256 KiB.

    Drive lets two files have one name, so a file's id is reserved before its first byte is sent and kept in the
    session's `state`: `{"id": …, "account": …}`, with `url` of a resumable upload, a capability. Making it twice is
    then refused by Drive, and what an earlier attempt has made is found by its id. With `found` the id is that of an
    equal file that was there before, and is never removed. `account` is the authorization that it was reserved with;
    another one can use neither the id nor the address. `remote_id` is that id.
    """

    keeps_session = True

    def __init__(
        self,
        account: DriveAccount,
        folder_ids: FolderIds,
        config_id: str,
        chunk_size: int = 8 << 20,
        *,
        probe_folder: str = "/",
    ) -> None:
        if chunk_size <= 0 or chunk_size % QUANTUM:
            raise Misconfigured("The chunk size for Google Drive has to be a multiple of 256 KiB.")
        self.chunk_size = chunk_size
        self._account = account
        self._folders = DriveFolders(account, folder_ids, config_id)
        self._names = DriveNames(account, self._folders)
        self._uploads = DriveUploads(account)
        self._probe_folder = probe_folder
        self._finished: dict[str, Arrived] = {}

    def test(self) -> list[Check]:
        """See the port."""
        return run_checks(self._who, self._reach, lambda: write_and_remove(self, self._probe_folder))

    def find(self, upload: Upload) -> Arrived | None:
        """See the port. Of several files with the name, one that is equal is the answer."""
        with classified():
            return _best(upload, self._names.now(upload))

    def look(self, upload: Upload, remote_id: str) -> Arrived | None:
        """See the port. By its id, so that it may have been moved or renamed; else by its name, for somebody may have
        put it back."""
        with classified():
            found = _there(self._by_id(remote_id))
        return _arrived(upload, found) if found else self.find(upload)

    def expect(self, uploads: Sequence[Upload]) -> None:
        """See the port. Their names are looked for at once."""
        self._names.expect(uploads)

    def begin(self, upload: Upload, resume: Session | None) -> Session:
        """See the port. Raises GiveUp when another file is there."""
        with classified():
            if resume is not None and (known := resume.state.get("id")):
                return self._resumed(upload, resume, known)
            there = _best(upload, self._names.begun(upload))
            if there is not None:
                return _found(upload, there)
            return self._started(upload, self._account.new_id())

    def put(self, upload: Upload, session: Session, data: bytes) -> Session:
        """See the port."""
        file_id, url = session.state.get("id", ""), session.state.get("url")
        if not file_id:
            return session
        with classified():
            if url is None:
                self._whole(upload, file_id, data)
                return Session(offset=upload.size, state=session.state)
            if session.offset + len(data) != upload.size:
                data = data[: len(data) - len(data) % QUANTUM]
            progress = self._uploads.send(url, upload, session.offset, data)
        following = self._session(upload, session, progress)
        if following.offset <= session.offset:
            raise RetryLater("Google Drive kept none of the bytes that were sent.")
        return following

    def finish(self, upload: Upload, session: Session) -> Arrived:
        """See the port."""
        file_id = session.state.get("id", "")
        with classified():
            if upload.size == 0 and file_id not in self._finished and self._by_id(file_id) is None:
                self._whole(upload, file_id, b"")
            made = self._finished.pop(file_id, None)
            if made is not None:
                self._must_be_ours(upload, made)
                if not session.state.get("url") and self._names.lately(upload):
                    return made
                return self._alone(upload, made)
            there = settled(upload, self._made_before(upload, session))
            return there if session.state.get("found") else self._alone(upload, there)

    def remove(self, arrived: Arrived) -> None:
        """See the port."""
        with classified():
            try:
                self._account.files.delete(fileId=arrived.remote_id, supportsAllDrives=True).execute()
            except HttpError as exc:
                if not is_status(exc, 404):
                    raise

    def abandon(self, upload: Upload, session: Session) -> None:  # noqa: ARG002
        """See the port."""
        if url := session.state.get("url"):
            with classified():
                self._uploads.cancel(url)

    def close(self) -> None:
        """Nothing: the account's connections are shared."""

    def _who(self) -> None:
        self._account.fetch_token()
        with classified():
            self._account.drive.about().get(fields="user(emailAddress)").execute()

    def _reach(self) -> None:
        """Files can be looked at. A folder that isn't there yet comes with its first file."""
        with classified():
            self._folders.find(self._probe_folder.rstrip("/"))
            self._account.files.list(pageSize=1, fields="files(id)", spaces="drive").execute()

    def _started(self, upload: Upload, file_id: str) -> Session:
        state = {"id": file_id, "account": self._account.mark}
        if upload.size <= min(self.chunk_size, LARGEST_IN_ONE_CALL):
            return Session(offset=0, state=state)
        url = self._uploads.initiate(upload, file_id, self._parent(upload))
        if isinstance(url, Taken):
            return Session(offset=upload.size, state=state)
        return Session(offset=0, state={**state, "url": url})

    def _resumed(self, upload: Upload, resume: Session, file_id: str) -> Session:
        known, state = self._by_id(file_id), resume.state
        if _there(known):
            return Session(offset=upload.size, state={one: state[one] for one in state if one != "url"})
        usable = known is None and state.get("account", self._account.mark) == self._account.mark
        if usable and (url := state.get("url")):
            progress = self._uploads.status(url, upload)
            if isinstance(progress, Confirmed | Taken):
                return self._session(upload, resume, progress)
            usable = isinstance(progress, Lost)  # what it has made was deleted since, and its id with it
        if (named := self.find(upload)) is not None:
            return _found(upload, named)
        return self._started(upload, file_id if usable and not state.get("found") else self._account.new_id())

    def _session(self, upload: Upload, before: Session, progress: Progress) -> Session:
        match progress:
            case Confirmed(offset):
                return Session(offset=offset, state=before.state)
            case Finished(resource):
                self._finished[before.state["id"]] = _arrived(upload, resource, made=True)
                return Session(offset=upload.size, state=before.state)
            case Taken():
                return Session(offset=upload.size, state=before.state)
            case Lost():
                raise RetryLater("Google Drive does not know the upload any more; it begins anew.")
        assert_never(progress)

    def _whole(self, upload: Upload, file_id: str, data: bytes) -> None:
        sent = self._uploads.whole(upload, file_id, self._parent(upload), data)
        if isinstance(sent, Finished):
            self._finished[file_id] = _arrived(upload, sent.resource, made=True)

    def _parent(self, upload: Upload) -> str:
        return self._folders.ensure(upload.path.rsplit("/", 1)[0])

    def _by_id(self, file_id: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._account.files.get(
                fileId=file_id, fields=f"{FIELDS},trashed", supportsAllDrives=True
            ).execute()
        except HttpError as exc:
            if is_status(exc, 404):
                return None
            raise
        return found

    def _made_before(self, upload: Upload, session: Session) -> Arrived:
        """What has the session's id. Raises RetryLater when nothing has, or only in the bin."""
        file_id = session.state.get("id", "")
        found = _there(self._by_id(file_id))
        if found is None and (url := session.state.get("url")):
            progress = self._uploads.status(url, upload)
            if isinstance(progress, Confirmed):
                raise RetryLater(f"Google Drive has {progress.offset} of {upload.size} bytes so far.")
            found = _there(self._by_id(file_id))
        if found is None:
            raise RetryLater("Google Drive does not know the upload any more; it begins anew.")
        return _arrived(upload, found, made=not session.state.get("found"))

    def _must_be_ours(self, upload: Upload, arrived: Arrived) -> None:
        """What was sent just now differs from what arrived: it is taken away again. Raises ChecksumMismatch."""
        try:
            verify(upload, arrived)
        except ChecksumMismatch:
            with suppress(RetryLater):
                self.remove(arrived)
            raise

    def _alone(self, upload: Upload, arrived: Arrived) -> Arrived:
        """Had another file of that name come during a long upload, or between an attempt that made ours without our
        hearing of it and this one, ours makes way: the younger one, so that of two of ours one stays. Raises GiveUp
        when the older one differs."""
        named = self._names.now(upload)
        ours = next((_age(one) for one in named if one["id"] == arrived.remote_id), None)
        older = _best(upload, [one for one in named if ours and _age(one) < ours])
        if older is None:
            return arrived
        self.remove(arrived)
        return settled(upload, older)


def _best(upload: Upload, found: Sequence[Any]) -> Arrived | None:
    """Of several files with the upload's name, one that is equal."""
    arrived = [_arrived(upload, one) for one in found]
    return next((one for one in arrived if _equal(upload, one)), arrived[0] if arrived else None)


def _found(upload: Upload, there: Arrived) -> Session:
    """Nothing is to be sent. Raises GiveUp when it is another file."""
    return Session(offset=upload.size, state={"id": settled(upload, there).remote_id, "found": True})


def _equal(upload: Upload, arrived: Arrived) -> bool:
    try:
        verify(upload, arrived)
    except ChecksumMismatch:
        return False
    return True


def _there(resource: dict[str, Any] | None) -> dict[str, Any] | None:
    """The file of an id, unless its owner has put it into the bin."""
    return None if resource is None or resource.get("trashed") else resource


def _age(resource: Mapping[str, Any]) -> tuple[str, str]:
    """Smaller for what is older; the id decides between two of one millisecond."""
    return str(resource["createdTime"]), str(resource["id"])


def _arrived(upload: Upload, resource: Any, *, made: bool = False) -> Arrived:
    names = {"sha256": "sha256Checksum", "md5": "md5Checksum"}
    hashes = {ours: str(resource[theirs]) for ours, theirs in names.items() if resource.get(theirs)}
    if "size" not in resource:
        raise GiveUp(f"Something that isn't a file is at {upload.path}; it was left as it is.")
    file_id, size = str(resource["id"]), int(resource["size"])
    return Arrived(path=upload.path, remote_id=file_id, size=size, hashes=hashes, made=made)

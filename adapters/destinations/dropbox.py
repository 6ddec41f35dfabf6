"""Somebody's Dropbox, written to with the authorization that they gave."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from dropbox import files
from dropbox.exceptions import ApiError

from adapters.destinations.connection_test import run_checks, write_and_remove
from adapters.destinations.dropbox_account import DropboxAccount
from adapters.destinations.dropbox_errors import (
    classified,
    correct_offset,
    has_file_above,
    session_is_over,
    write_error,
)
from adapters.destinations.hash_match import settled, verify
from application.ports.destination import Arrived, Check, Session, Upload
from domain.errors import ChecksumMismatch, GiveUp, Misconfigured, RetryLater

LARGEST_CHUNK = 150 << 20


class DropboxDestination:
    """Delivers to an account's Dropbox (or to the app's folder in it, as the app was set up).

    A file of one chunk goes up in one call, a larger one in an upload session, chunk after chunk. `chunk_size` is in
    bytes, at most 150 MiB; 8 MiB was the fastest on loopback, 32 or 48 MiB help on lines with a long round trip.

    A session's `state` is Dropbox's id of the upload, a capability: `{"id": …}`, or empty when there is none.
    `remote_id` is the file's revision. Dropbox never replaces other bytes in mode `add`, and takes equal bytes at the
    same path for the same file. It can't drop an upload session; one that is given up is closed and ends by itself
    after seven days.
    """

    keeps_session = False

    def __init__(self, account: DropboxAccount, chunk_size: int = 8 << 20, *, probe_folder: str = "/") -> None:
        if not 0 < chunk_size <= LARGEST_CHUNK:
            raise Misconfigured("The chunk size for Dropbox has to be at most 150 MiB.")
        self.chunk_size = chunk_size
        self._account = account
        self._probe_folder = probe_folder
        self._finished: dict[str, Arrived] = {}

    def test(self) -> list[Check]:
        """See the port."""
        return run_checks(self._who, self._reach, lambda: write_and_remove(self, self._probe_folder))

    def find(self, upload: Upload) -> Arrived | None:
        """See the port. Raises GiveUp when a folder has the name."""
        with classified():
            try:
                found = self._account.call(lambda dropbox: dropbox.files_get_metadata(upload.path))
            except ApiError as exc:
                missing = isinstance(exc.error, files.GetMetadataError) and exc.error.is_path()
                if missing and exc.error.get_path().is_not_found():
                    return None
                raise
        if not isinstance(found, files.FileMetadata):
            raise GiveUp(f"A folder is already at {upload.path}; it was left as it is.")
        return _arrived(upload, found)

    def look(self, upload: Upload, remote_id: str) -> Arrived | None:  # noqa: ARG002
        """See the port. By its path: what was moved or renamed there is missing."""
        arrived = self.find(upload)
        if arrived is None:
            self._reach()
        return arrived

    def expect(self, uploads: Sequence[Upload]) -> None:
        """See the port. Nothing is asked beforehand here."""

    def begin(self, upload: Upload, resume: Session | None) -> Session:
        """See the port. Raises GiveUp when another file is there."""
        if upload.size <= self.chunk_size:
            return Session(offset=0)
        there = self.find(upload)
        if there is not None:
            settled(upload, there)
            return Session(offset=upload.size)
        with classified():
            if resume is not None and (known := resume.state.get("id")):
                offset = self._append(known, resume.offset, b"")
                if offset is not None:
                    return Session(offset=offset, state={"id": known})
            started = self._account.call(lambda dropbox: dropbox.files_upload_session_start(b""))
        return Session(offset=0, state={"id": started.session_id})

    def put(self, upload: Upload, session: Session, data: bytes) -> Session:
        """See the port."""
        known = session.state.get("id")
        if not known:
            if session.offset == 0 and len(data) == upload.size:
                self._upload_whole(upload, data)
                return Session(offset=upload.size)
            return session
        with classified():
            offset = self._append(known, session.offset, data)
        if offset is None:
            raise RetryLater("Dropbox does not know the upload any more; it begins anew.")
        if offset == session.offset and data:
            raise RetryLater("Dropbox kept none of the bytes that were sent.")
        return Session(offset=offset, state=session.state)

    def finish(self, upload: Upload, session: Session) -> Arrived:
        """See the port."""
        known = session.state.get("id")
        if upload.token in self._finished:
            return self._finished.pop(upload.token)
        if not known:
            if upload.size == 0:
                self._upload_whole(upload, b"")
                return self._finished.pop(upload.token)
            return self._settle(upload)
        cursor, modified = files.UploadSessionCursor(known, upload.size), _moment()
        with classified():
            try:
                found = self._account.call(
                    lambda dropbox: dropbox.files_upload_session_finish(b"", cursor, _commit(upload, modified))
                )
            except ApiError as exc:
                reason = write_error(exc.error)
                if reason is not None and reason.is_conflict() and not has_file_above(reason):
                    self.abandon(upload, session)
                    return self._settle(upload)
                if session_is_over(exc.error):
                    return self._settle(upload)
                raise
        return self._checked(upload, _arrived(upload, found, modified))

    def remove(self, arrived: Arrived) -> None:
        """See the port. A file that replaced ours has another revision and stays."""
        with classified():
            try:
                self._account.call(lambda dropbox: dropbox.files_delete_v2(arrived.path, parent_rev=arrived.remote_id))
            except ApiError as exc:
                error = exc.error
                gone = error.is_path_lookup() and error.get_path_lookup().is_not_found()
                replaced = error.is_path_write() and error.get_path_write().is_conflict()
                if not (gone or replaced):
                    raise

    def abandon(self, upload: Upload, session: Session) -> None:  # noqa: ARG002
        """See the port. The session is closed at whatever it has."""
        if known := session.state.get("id"):
            with classified():
                offset = self._append(known, session.offset, b"")
                if offset is not None:
                    cursor = files.UploadSessionCursor(known, offset)
                    self._account.call(lambda dropbox: dropbox.files_upload_session_append_v2(b"", cursor, close=True))

    def close(self) -> None:
        """Nothing: the account's connections are shared."""

    def _who(self) -> None:
        self._account.fetch_token()
        with classified():
            self._account.call(lambda dropbox: dropbox.users_get_current_account())

    def _reach(self) -> None:
        """The account's files can be looked at. A folder that isn't there yet comes with its first file."""
        with classified():
            self._account.call(lambda dropbox: dropbox.files_list_folder("", limit=1))

    def _append(self, session_id: str, offset: int, data: bytes) -> int | None:
        """How many bytes the session has then; None when Dropbox doesn't know it any more."""
        cursor = files.UploadSessionCursor(session_id, offset)
        try:
            self._account.call(lambda dropbox: dropbox.files_upload_session_append_v2(data, cursor))
        except ApiError as exc:
            if (correct := correct_offset(exc.error)) is not None:
                return correct
            if session_is_over(exc.error):
                return None
            raise
        return offset + len(data)

    def _upload_whole(self, upload: Upload, data: bytes) -> None:
        """One call; Dropbox compares the checksum before the file appears."""
        modified = _moment()
        with classified():
            try:
                found = self._account.call(
                    lambda dropbox: dropbox.files_upload(
                        data,
                        upload.path,
                        mode=files.WriteMode.add,
                        autorename=False,
                        client_modified=modified,
                        mute=True,
                        strict_conflict=False,
                        content_hash=upload.hashes.dropbox,
                    )
                )
            except ApiError as exc:
                reason = write_error(exc.error)
                if reason is None or not reason.is_conflict() or has_file_above(reason):
                    raise
                self._finished[upload.token] = self._settle(upload)
                return
        self._finished[upload.token] = _arrived(upload, found, modified)

    def _checked(self, upload: Upload, arrived: Arrived) -> Arrived:
        """`arrived` if it is what was sent; else it is taken away again: chunks are compared one by one on their way,
        the whole only now."""
        try:
            verify(upload, arrived)
        except ChecksumMismatch:
            if arrived.made:
                with suppress(RetryLater):
                    self.remove(arrived)
            raise
        return arrived

    def _settle(self, upload: Upload) -> Arrived:
        """What is at the path, when that decides how an upload went. Raises GiveUp when it isn't this file."""
        arrived = self.find(upload)
        if arrived is None:
            raise RetryLater("Dropbox does not know the upload any more; it begins anew.")
        return settled(upload, arrived)


def _commit(upload: Upload, modified: datetime) -> files.CommitInfo:
    return files.CommitInfo(
        upload.path,
        mode=files.WriteMode.add,
        autorename=False,
        client_modified=modified,
        mute=True,
        strict_conflict=False,
    )


def _moment() -> datetime:
    """Now, as the SDK has it: UTC without saying so, whole seconds."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def _arrived(upload: Upload, found: files.FileMetadata, modified: datetime | None = None) -> Arrived:
    """`modified` is what we gave a file: one that was there with equal bytes, which Dropbox leaves as it is and answers
    with, has another."""
    hashes = {"dropbox": found.content_hash} if found.content_hash else {}
    made = modified is not None and found.client_modified == modified
    return Arrived(path=upload.path, remote_id=found.rev, size=found.size, hashes=hashes, made=made)

"""One attempt at an open destination: its upload begun or gone on with, its bytes sent, its copy compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO, NoReturn

import msgspec

from application.ferry_means import FerryMeans
from application.pacing import Pace
from application.ports.destination import Arrived, Destination, Session, Upload
from application.transfer_news import Sent
from application.upload_sessions import damaged_copy, latest_session, sealed_damage, sealed_session, session_owner
from domain import transfers
from domain.copies import verify
from domain.errors import ChecksumMismatch, GiveUp, NotAllowedNow, RetryLater
from domain.storage_configs import StorageConfig
from domain.transfer_events import TransferRequested
from domain.transfers import Transfer

CHECKPOINT_BYTES = 64 * 1024 * 1024
"""A crash repeats at most this much for providers that don't tell what they have; events stay few."""

LONG_WAIT = 1.0
"""Seconds. After a longer wait for its destination's line a transfer looks whether it is still wanted."""


class MovedOn(Exception):
    """The transfer is no longer ours to carry."""


class Attempt(msgspec.Struct, frozen=True):
    """A start of a transfer that this worker has won."""

    transfer: str
    number: int
    request: TransferRequested


class OneUpload:
    """An attempt, the file on the server, and where it goes.

    `look_at` gives it its `upload`, `begin` its `session`, which with `keeps_session` has to be in the vault before the
    first byte is sent; `send` gives what has `arrived`, and `verified`, its hashes that equal ours.
    """

    upload: Upload
    session: Session
    keeps_session: bool
    arrived: Arrived
    verified: dict[str, str]

    def __init__(self, means: FerryMeans, config: StorageConfig, attempt: Attempt) -> None:
        self.attempt = attempt
        self._means = means
        self._pace = Pace(means.log, means.limits, config, means.wait)

    def look_at(self, source: BinaryIO) -> None:
        """Learn what is to arrive. Raises GiveUp when the file isn't the one that was ingested."""
        self._source, request = source, self.attempt.request
        size, hashes = request.size, request.hashes
        if size is None or hashes is None:  # another program stored the file: nobody has read it yet
            size, hashes = self._means.hash_file(source)
            if hashes.md5 != request.md5.lower():
                raise GiveUp("The file on the server isn't the one that was ingested: its md5 differs.")
        self.upload = Upload(path=request.destination_path, size=size, hashes=hashes, token=self.attempt.transfer)

    def clear_the_way(self, destination: Destination) -> None:
        """Remove the copy that an earlier attempt found damaged, and could not remove."""
        self._destination = destination
        self._kept = self._means.vault.get(self.session_owner) if self.attempt.number > 1 else {}
        if damaged := damaged_copy(self._kept):
            destination.remove(damaged)
            self._means.vault.shred(self.session_owner)
            self._kept = {}

    def begin(self, destination: Destination) -> None:
        """Start the upload, or go on with what an earlier attempt has kept."""
        self.session = destination.begin(self.upload, latest_session(self._kept))
        self.keeps_session = destination.keeps_session or self.upload.size > destination.chunk_size

    def must_be_ours(self, states: Mapping[str, Transfer]) -> None:
        """Raises MovedOn when the transfer, in its present state, has moved on without this worker."""
        state = states[self.attempt.transfer]
        if not (state.status == "in_progress" and state.attempts == self.attempt.number):
            self._leave(state)

    def send(self) -> None:
        """Send what isn't there yet, and compare what has arrived. Raises MovedOn, ChecksumMismatch, and as the
        destination does."""
        destination = self._destination
        saved = self.session.offset
        piece = b""
        while self.session.offset < self.upload.size:
            # The one before is let go of only now: else its memory would go back to the system and come anew each time.
            piece = self._next_piece()
            self._put(piece)
            sent = self.session.offset
            if sent - saved >= CHECKPOINT_BYTES and sent < self.upload.size:
                saved = sent
                self._means.vault.put(self.session_owner, self.sealed_session())
                self._checkpoint()
        arrived = self.arrived = destination.finish(self.upload, self.session)
        md5, upload = self.attempt.request.md5, self.upload
        try:
            self.verified = verify(md5, upload.size, upload.hashes, arrived.size, arrived.hashes)
        except ChecksumMismatch:
            if arrived.made:
                self._take_back(arrived)
            raise

    @property
    def session_owner(self) -> str:
        """Under which name the vault has the session."""
        return session_owner(self.attempt.transfer)

    def sealed_session(self) -> dict[str, str]:
        """The session as the vault has it."""
        return sealed_session(self.attempt.number, self.session)

    def _take_back(self, damaged: Arrived) -> None:
        """Or see that the next attempt does: the name is taken as long as this copy is there."""
        try:
            self._destination.remove(damaged)
        except Exception:
            self._means.vault.put(self.session_owner, sealed_damage(damaged))
            raise

    def _next_piece(self) -> bytes:
        self._source.seek(self.session.offset)
        left = self.upload.size - self.session.offset
        piece = self._source.read(min(self._destination.chunk_size, left))
        if not piece:
            raise GiveUp("The file on the server is shorter than it was when it came in.")
        return piece

    def _put(self, piece: bytes) -> None:
        before = self.session.offset
        if self._pace.before(len(piece)) > LONG_WAIT:
            self.must_be_ours(self._means.streams.states([self.attempt.transfer]))
        self.session = self._destination.put(self.upload, self.session, piece)
        if self.session.offset <= before:
            raise RetryLater("The provider confirmed nothing of what was sent.")
        self._means.tell_progress(
            Sent(self.attempt.transfer, self.attempt.number, self.session.offset, self.upload.size)
        )

    def _checkpoint(self) -> None:
        number, sent = self.attempt.number, self.session.offset
        try:
            self._means.streams.change(self.attempt.transfer, lambda state: transfers.checkpoint(state, number, sent))
        except NotAllowedNow:
            self._leave(self._means.streams.state(self.attempt.transfer))

    def _leave(self, state: Transfer) -> NoReturn:
        if state.status == "cancelled":
            self._destination.abandon(self.upload, self.session)
        if state.status in ("cancelled", "completed"):
            self._means.vault.shred(self.session_owner)
        raise MovedOn

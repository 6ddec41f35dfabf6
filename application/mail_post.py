"""Sends digests of failures by mail."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import msgspec
import structlog

from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.mail import Digest, DigestBook, Mailer
from application.ports.vault import Vault
from application.ports.webhooks import NoticeJobs
from domain import accounts, mail_notices, storage_configs
from domain.errors import GiveUp, RetryLater
from domain.storage_configs import StorageConfig

logger = structlog.get_logger()

FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)
TRIES = 24
"""Nearly a day."""


class MailPost(msgspec.Struct, frozen=True, kw_only=True):
    """What sending needs. `address` is where people reach this service, empty when that isn't set."""

    log: EventLog
    vault: Vault
    book: DigestBook
    mailer: Mailer
    jobs: NoticeJobs
    clock: Clock
    address: str = ""

    def send(self, digest_id: str) -> None:
        """Send a digest if it is due. Raises RetryLater when the database can't be reached: it is due again then."""
        digest = self.book.claim(digest_id, self.clock.now())
        if digest is None:
            return
        to = self._address(digest.username)
        if not to or not digest.transfers:
            self.book.drop(digest, self.clock.now())
            return
        config = storage_configs.fold(self.log.load(storage_configs.stream_of(digest.storage_config)))
        subject, text = letter(digest, config, self.address)
        try:
            self.mailer.send(to, subject, text, _message_id(digest))
        except GiveUp as error:
            self._drop(digest, str(error))
        except RetryLater as error:
            self._again(digest, str(error))
        else:
            more = self.book.sent(digest, self.clock.now())
            if more:
                self.jobs.nudge_notices([(digest.id, more)])

    def sweep(self) -> int:
        """Nudge for what is due and has no job. Returns how many that were."""
        due = self.book.due(self.clock.now())
        if due:
            self.jobs.nudge_notices([(digest, None) for digest in due])
        return len(due)

    def _address(self, username: str) -> str:
        """Where the user wants mail; empty when they don't, or may not come in any more."""
        active = accounts.fold(self.log.load(accounts.stream_of(username))).active
        choice = mail_notices.fold(self.log.load(mail_notices.stream_of(username)))
        if not (active and choice.enabled):
            return ""
        return self.vault.get(mail_notices.vault_owner(username)).get("address", "")

    def _again(self, digest: Digest, reason: str) -> None:
        if digest.attempts >= TRIES:
            self._drop(digest, reason)
            return
        at = self.clock.now() + min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(digest.attempts - 1, 10))
        self.book.again(digest, at, reason)
        self.jobs.nudge_notices([(digest.id, at)])

    def _drop(self, digest: Digest, reason: str) -> None:
        logger.warning("a mail was given up", username=digest.username, reason=reason)
        self.book.drop(digest, self.clock.now(), reason)


def letter(digest: Digest, config: StorageConfig, address: str) -> tuple[str, str]:
    """Subject and text of a mail."""
    name = " ".join(config.settings.display_name.split()) or digest.storage_config
    files = "1 file" if digest.transfers == 1 else f"{digest.transfers} files"
    reasons = "\n".join(f"  {count} × {' '.join(reason.split())}" for reason, count in digest.reasons)
    frames = "\n".join(f"  {frame}" for frame in digest.frames)
    more = digest.transfers - len(digest.frames)
    others = f"\n  and {more} more" if more > 0 else ""
    place = f"{address}/api/v1/transfers?storage_config={digest.storage_config}"
    text = (
        f"{files} on the way to {name!r} failed, or wait for it, since {digest.since:%Y-%m-%d %H:%M} UTC.\n\n"
        f"Why:\n{reasons}\n\nThe first of them:\n{frames}{others}\n\n"
        f"More at {place}\n"
        f"These mails come at most once in a while for each destination. {address}/api/v1/mail-notices ends them.\n"
    )
    return f"Starferry: {files} didn't get to {name}", text


def _message_id(digest: Digest) -> str:
    """The same for the same mail, so that one that is sent twice can be told."""
    return hashlib.sha256(f"{digest.id} {digest.upto}".encode()).hexdigest()[:32]

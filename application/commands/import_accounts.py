"""Users of another archive are taken over with their tokens and passwords, so that their programs go on as they are.

An account that is here already keeps its flags and its password; tokens that it lacks are added.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from application.commands.accounts import hash_token
from application.commands.import_frames import Outcome, added
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.original_archive import OriginalAccount, Refused
from application.ports.passwords import Passwords
from application.transact import transact
from domain import accounts
from domain.accounts import Account, AccountChanged
from domain.errors import InvalidInput
from domain.event import Cause, Event


class AccountImport(msgspec.Struct, frozen=True, kw_only=True):
    """What the import of users needs."""

    log: EventLog
    clock: Clock
    passwords: Passwords
    cause: Cause
    dry_run: bool = False

    def run(self, originals: Sequence[OriginalAccount]) -> Outcome:
        """Take over these users. Raises RetryLater."""
        outcome = Outcome()
        for original in originals:
            try:
                outcome = added(outcome, self._one(original))
            except InvalidInput as error:
                outcome = added(outcome, Outcome(refused=(Refused(f"user {original.username}", str(error)),)))
        return outcome

    def _one(self, original: OriginalAccount) -> Outcome:
        stream = accounts.stream_of(original.username)
        before = accounts.fold(self.log.load(stream))
        events = decide(before, original)
        refused: tuple[Refused, ...] = ()
        if original.password_hash and not before.exists and not self._adopt(original):
            reason = "it is kept in a form that isn't understood here and must be set anew (the tokens work)"
            refused = (Refused(f"password of user {original.username}", reason),)
        if events and not self.dry_run:  # after the password: once the account is here, nobody comes back for that
            transact(
                self.log,
                stream,
                lambda history: decide(accounts.fold(history), original),
                cause=self.cause,
                now=self.clock.now(),
            )
        new = not before.exists
        return Outcome(new, bool(events) and not new, not events, refused)

    def _adopt(self, original: OriginalAccount) -> bool:
        if self.dry_run:
            return self.passwords.understands(original.password_hash)
        return self.passwords.adopt(original.username, original.password_hash)


def decide(account: Account, original: OriginalAccount) -> tuple[Event, ...]:
    """Decide on taking over a user. Raises InvalidInput for a name that can't be one here."""
    events: tuple[Event, ...] = ()
    hashes = tuple(dict.fromkeys(hash_token(token) for token in original.tokens))
    if not account.exists:
        events = accounts.create(account, original.username, is_superuser=original.is_superuser, proposals=())
    issued = tuple(accounts.TokenIssued(hash=token) for token in hashes if token not in account.tokens)
    if account.exists or (original.is_staff == original.is_superuser and original.active):
        return (*events, *issued)
    changed = AccountChanged(
        is_superuser=original.is_superuser, is_staff=original.is_staff, active=original.active, proposals=()
    )
    return (*events, *issued, changed)

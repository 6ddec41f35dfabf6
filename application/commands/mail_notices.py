"""Whether and where somebody wants mail about what failed: their own choice alone."""

from __future__ import annotations

from collections.abc import Sequence

from application.permissions import Principal, must_be_known
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.vault import Vault
from application.transact import transact
from domain import mail_notices
from domain.errors import InvalidInput
from domain.event import Cause, Event, Recorded


def choose_mail_notices(
    log: EventLog, vault: Vault, clock: Clock, cause: Cause, principal: Principal, enabled: bool, address: str
) -> int:
    """Keep the choice; an empty address keeps the one there is. Raises Unauthenticated, InvalidInput."""
    must_be_known(principal)
    owner = mail_notices.vault_owner(principal.username)
    if address:
        mail_notices.check_address(address)
        vault.put(owner, {"address": address})
    elif enabled and not vault.names(owner):
        raise InvalidInput("Say to which address mail is to go.", field="address")
    chosen = mail_notices.MailNoticesChosen(enabled=enabled)
    stream = mail_notices.stream_of(principal.username)
    return transact(log, stream, lambda _: (chosen,), cause=cause, now=clock.now())


def forget_mail_notices(log: EventLog, vault: Vault, clock: Clock, cause: Cause, principal: Principal) -> int:
    """Send no mail any more, and forget the address. Raises Unauthenticated."""
    must_be_known(principal)

    def decide(history: Sequence[Recorded]) -> tuple[Event, ...]:
        wanted = mail_notices.fold(history).enabled
        return (mail_notices.MailNoticesChosen(enabled=False),) if wanted else ()

    stream = mail_notices.stream_of(principal.username)
    position = transact(log, stream, decide, cause=cause, now=clock.now())
    vault.shred(mail_notices.vault_owner(principal.username))
    return position

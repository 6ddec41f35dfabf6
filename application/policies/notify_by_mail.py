"""NotifyByMail: failures are gathered, by person and destination, for those who want mail about them.

One mail tells of many: a broken destination is one mail an hour, not one a file. It goes to those who own the transfer,
manage its destination or may view its observation by name; not to all who might see it, as superusers do.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.mail import Complaint, DigestBook, MailLookup
from application.ports.webhooks import NoticeJobs
from application.transfer_news import news_of
from application.transfer_requests import requests_of
from domain.event import Recorded
from domain.transfer_events import TransferFailed, TransferHeld

STALE = timedelta(days=1)
"""What is older is no news any more, such as after a time without a mail server."""


class NotifyByMail:
    """See the module."""

    name = "NotifyByMail"
    topics = frozenset({TransferFailed.topic, TransferHeld.topic})

    def __init__(self, log: EventLog, lookup: MailLookup, book: DigestBook, jobs: NoticeJobs, clock: Clock) -> None:
        self._log = log
        self._lookup = lookup
        self._book = book
        self._jobs = jobs
        self._clock = clock

    def act(self, batch: Sequence[Recorded]) -> None:
        """See Effect.act."""
        upto, now = batch[-1].position, self._clock.now()
        recent = [recorded for recorded in batch if recorded.at > now - STALE]
        mailboxes = self._lookup.mailboxes(at_least=upto) if recent else ()
        if not mailboxes:
            return
        requests = requests_of(self._log, recent)
        audiences = self._lookup.audiences(list(requests.values()), at_least=upto)
        complaints = []
        for recorded in recent:
            news = news_of(recorded, requests[recorded.stream])
            complaints += [
                Complaint(
                    username=box.username,
                    storage_config=news.storage_config,
                    position=news.position,
                    transfer=news.transfer,
                    frame=news.frame,
                    reason=news.error or "",
                    at=news.at,
                )
                for box in mailboxes
                if news.position > box.since and box.username in audiences[news.transfer].names
            ]
        if complaints:
            self._jobs.nudge_notices(list(self._book.add(complaints, now)))

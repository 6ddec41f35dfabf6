"""The read model of who wants mail. `number` is the position from which on."""

from __future__ import annotations

from collections.abc import Sequence

from domain.event import Recorded
from domain.mail_notices import MailNoticesChosen
from projections.projection import Cursor

TABLES = """
CREATE TABLE mailbox (username text PRIMARY KEY, number bigint NOT NULL, enabled boolean NOT NULL);
"""

INDEXES = ""

_CHOSEN = """
INSERT INTO mailbox AS m VALUES (%s, %s, %s) ON CONFLICT (username) DO UPDATE SET enabled = excluded.enabled,
    number = CASE WHEN m.enabled THEN m.number ELSE excluded.number END
"""


class MailNoticesProjection:
    """See the module."""

    name = "mail_notices"
    version = 1
    tables = TABLES
    indexes = INDEXES
    topics = frozenset({MailNoticesChosen.topic})

    def apply(self, cursor: Cursor, events: Sequence[Recorded]) -> None:
        """See Projection.apply."""
        for recorded in events:
            if isinstance(recorded.event, MailNoticesChosen):
                username = recorded.stream.removeprefix("mail_notices:")
                cursor.execute(_CHOSEN, (username, recorded.position, recorded.event.enabled))

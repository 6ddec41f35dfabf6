"""Lists of webhooks and of what was sent to them; and who is to be told of what, for the policy that tells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from application.permissions import Audience, Principal
from application.ports.mail import Mailbox
from application.ports.webhooks import Subscriber
from domain.errors import RetryLater
from domain.transfer_events import TransferRequested
from projections.lookups import wait_for
from projections.transfer_audience import audience_query, audiences

Rows = list[dict[str, Any]]

_SUBSCRIBERS = """
SELECT w.id, w.number, w.interests, w.storage_config, a.username, a.is_superuser, a.proposals || a.learned
FROM read_webhooks.webhook w JOIN read_accounts.account a ON a.username = w.owner
WHERE NOT w.deleted AND a.active
"""


class WebhookQueries:
    """Answers from read_webhooks and the book of deliveries. Belongs to one event loop."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]) -> None:
        self._pool = pool

    async def webhooks(self, viewer: Principal, *, below: int, limit: int, webhook: str | None = None) -> Rows:
        """The viewer's webhooks, newest first, each with its deliveries counted by status; a superuser's are all."""
        return await self.rows(
            b"SELECT w.number, w.id, w.owner, w.name, w.host, w.interests, nullif(w.storage_config, '') AS "
            b"storage_config, w.created_at, coalesce((SELECT json_object_agg(status, n) FROM (SELECT d.status, "
            b"count(*) AS n FROM starferry.webhook_delivery d WHERE d.webhook = w.id GROUP BY 1) counts), '{}') AS "
            b"deliveries FROM read_webhooks.webhook w WHERE NOT w.deleted AND w.number < %s "
            b"AND (%s OR w.owner = %s) AND (%s::text IS NULL OR w.id = %s) ORDER BY w.number DESC LIMIT %s",
            (below, viewer.is_superuser, viewer.username, webhook, webhook, limit),
        )

    async def rows(self, statement: bytes, parameters: Sequence[object]) -> Rows:
        """What a query gives."""
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(statement, parameters)
            return await cursor.fetchall()


class NoticeLookups:
    """Implements WebhookLookup and MailLookup. Safe to share between threads."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool

    def subscribers(self, *, at_least: int) -> Sequence[Subscriber]:
        """See WebhookLookup."""
        return [
            Subscriber(
                webhook=webhook,
                since=number,
                interests=tuple(interests),
                storage_config=config,
                owner=Principal(username, is_superuser=mighty, proposals=tuple(proposals)),
            )
            for webhook, number, interests, config, username, mighty, proposals in self._rows(
                _SUBSCRIBERS.encode(), (), at_least, "webhooks", "accounts"
            )
        ]

    def webhooks_of(self, owner: str) -> Sequence[str]:
        """See WebhookLookup."""
        statement = b"SELECT id FROM read_webhooks.webhook WHERE owner = %s AND NOT deleted"
        return [row[0] for row in self._rows(statement, (owner,), 0)]

    def mailboxes(self, *, at_least: int) -> Sequence[Mailbox]:
        """See MailLookup."""
        statement = (
            b"SELECT m.username, m.number FROM read_mail_notices.mailbox m JOIN read_accounts.account a "
            b"USING (username) WHERE m.enabled AND a.active"
        )
        return [Mailbox(*row) for row in self._rows(statement, (), at_least, "mail_notices", "accounts")]

    def audiences(self, requests: Sequence[TransferRequested], *, at_least: int) -> Mapping[str, Audience]:
        """See WebhookLookup."""
        statement, parameters = audience_query(requests)
        return audiences(self._rows(statement, parameters, at_least, "storage_configs", "observations", "groups"))

    def _rows(self, statement: bytes, parameters: Sequence[Any], at_least: int, *models: str) -> list[tuple[Any, ...]]:
        try:
            with self._pool.connection() as connection:
                for model in models:
                    wait_for(connection, model, at_least, hurry=False)  # a notice has time
                rows: list[tuple[Any, ...]] = connection.execute(statement, parameters).fetchall()
                return rows
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise RetryLater("The database can't be reached at the moment.") from error

"""The webhooks read model. `number` is the position of the creation: a webhook hears of what comes after it."""

from __future__ import annotations

from collections.abc import Sequence

from domain.event import Recorded
from domain.webhooks import WebhookCreated, WebhookDeleted
from projections.projection import Cursor

TABLES = """
CREATE TABLE webhook (
    id text PRIMARY KEY, number bigint NOT NULL, owner text NOT NULL, name text NOT NULL, host text NOT NULL,
    interests text[] NOT NULL, storage_config text NOT NULL, created_at timestamptz NOT NULL, deleted boolean NOT NULL
);
"""

INDEXES = "CREATE INDEX webhook_owner ON webhook (owner, number DESC);"


class WebhooksProjection:
    """See the module."""

    name = "webhooks"
    version = 1
    tables = TABLES
    indexes = INDEXES
    topics = frozenset({WebhookCreated.topic, WebhookDeleted.topic})

    def apply(self, cursor: Cursor, events: Sequence[Recorded]) -> None:
        """See Projection.apply."""
        for recorded in events:
            match recorded.event:
                case WebhookCreated() as event:
                    cursor.execute(
                        "INSERT INTO webhook VALUES (%s, %s, %s, %s, %s, %s, %s, %s, false) ON CONFLICT DO NOTHING",
                        (
                            event.id,
                            recorded.position,
                            event.owner,
                            event.name,
                            event.host,
                            list(event.interests),
                            event.storage_config,
                            recorded.at,
                        ),
                    )
                case WebhookDeleted():
                    webhook = recorded.stream.removeprefix("webhook:")
                    cursor.execute("UPDATE webhook SET deleted = true WHERE id = %s", (webhook,))
                case _:
                    pass

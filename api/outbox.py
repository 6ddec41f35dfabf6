"""How far the broker is behind the log."""

from __future__ import annotations

import msgspec

from api.serving import Serving
from application.policies.publish_archived import PublishArchived

MOST = 100_000
"""Events that are counted; an outage of weeks must not make a health check slow."""

_WAITING = """
SELECT count(*), min(notification_id) FROM (
    SELECT notification_id FROM starferry.starferry_events
     WHERE notification_id > coalesce((SELECT position FROM starferry.consumer WHERE name = %s), 0) AND topic = ANY (%s)
     ORDER BY notification_id LIMIT %s) AS waiting
"""


class OutboxLag(msgspec.Struct, frozen=True):
    """Archived files that the broker has not confirmed (counted up to MOST), and seconds since the oldest of them."""

    events: int
    seconds: float

    @property
    def note(self) -> str:
        """A sentence for an operator."""
        if not self.events:
            return "The message broker has been told of every archived frame."
        return f"{self.events} archived frames wait for the message broker, the oldest for {self.seconds:.0f} seconds."


async def outbox_lag(serving: Serving) -> OutboxLag | None:
    """The lag now; None when no broker is to be told of anything."""
    settings = serving.core.settings
    if not settings["QUEUE_BROKER_URL"] or not settings["PROCESSED_EXCHANGE_ENABLED"]:
        return None
    parameters = (f"policy:{PublishArchived.name}", list(PublishArchived.topics), MOST)
    async with serving.pool.connection() as connection:
        row = await (await connection.execute(_WAITING, parameters)).fetchone()
    assert row is not None
    events, oldest = row
    if not events:
        return OutboxLag(0, 0.0)
    recorded = await serving.log.event_at(oldest)
    return OutboxLag(events, max(0.0, (serving.core.clock.now() - recorded.at).total_seconds()))

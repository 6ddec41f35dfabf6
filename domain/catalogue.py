"""Every event type there is, by topic. A topic is for ever: it stands in the log."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from domain import (
    accounts,
    frames,
    groups,
    mail_notices,
    observations,
    standing_deliveries,
    storage_configs,
    thumbnails,
    transfer_events,
    webhooks,
)
from domain.event import Event


def _events_of(module: ModuleType) -> dict[str, type[Event]]:
    return {
        value.topic: value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Event) and value is not Event
    }


EVENTS: Mapping[str, type[Event]] = {
    topic: event
    for module in (
        accounts,
        frames,
        groups,
        mail_notices,
        observations,
        standing_deliveries,
        storage_configs,
        thumbnails,
        transfer_events,
        webhooks,
    )
    for topic, event in _events_of(module).items()
}

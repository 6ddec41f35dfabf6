"""Between domain events and stored bytes: msgspec JSON in, compressed state out, one short topic an event type.

The state is a JSON object `{"v": schema, "at": …, "by": {cause}, "e": {event}}`. JSON, not MessagePack: after
compression the sizes are level, a person can read it, and a frame's header can stay raw text until somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from eventsourcing.persistence import Mapper, MapperDeserialisationError, Notification, StoredEvent

from adapters.event_store.compressor import HeaderCompressor
from adapters.event_store.upcasters import upcast
from application.ports.event_log import Commit
from domain.catalogue import EVENTS
from domain.event import Cause, Event, Recorded


class _Body(msgspec.Struct, frozen=True):
    v: int
    at: datetime
    by: Cause
    e: msgspec.Raw


class _Head(msgspec.Struct, frozen=True):
    v: int
    at: datetime
    by: Cause
    e: Event


class EventMapper(Mapper[str]):
    """The library's mapper for events that are msgspec structs. Thread-safe."""

    def __init__(self) -> None:
        super().__init__(transcoder=None, compressor=HeaderCompressor())  # type: ignore[arg-type]
        self._encoder = msgspec.json.Encoder()
        self._body = msgspec.json.Decoder(_Body)
        self._decoders = {topic: msgspec.json.Decoder(cls) for topic, cls in EVENTS.items()}

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """The stored form of a Recorded (its position is ignored: the log gives one)."""
        return self.stored(
            domain_event.stream, domain_event.version, domain_event.at, domain_event.cause, domain_event.event
        )

    def stored(self, stream: str, version: int, at: datetime, cause: Cause, event: Event) -> StoredEvent:
        """The stored form of one event."""
        body = self._encoder.encode(_Head(v=event.schema, at=at, by=cause, e=event))
        return StoredEvent(stream, version, event.topic, self.compressor.compress(body))  # type: ignore[union-attr]

    def stored_commit(self, commit: Commit) -> list[StoredEvent]:
        """All events of a commit, in the order in which they get positions."""
        return [
            self.stored(write.stream, write.expected + number, commit.at, commit.cause, event)
            for write in commit.writes
            for number, event in enumerate(write.events, start=1)
        ]

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """The Recorded again. Raises MapperDeserialisationError, naming topic, stream and version."""
        try:
            state = self.compressor.decompress(bytes(stored_event.state))  # type: ignore[union-attr]
            body = self._body.decode(state)
            cls = EVENTS[stored_event.topic]
            if body.v == cls.schema:
                event = self._decoders[stored_event.topic].decode(body.e)
            else:
                data = upcast(stored_event.topic, body.v, cls.schema, msgspec.json.decode(body.e))
                event = msgspec.convert(data, cls)
        except Exception as error:
            message = (
                f"The event {stored_event.topic} at {stored_event.originator_id} version "
                f"{stored_event.originator_version} can't be read: {error}"
            )
            raise MapperDeserialisationError(message) from error
        position = stored_event.id if isinstance(stored_event, Notification) else 0
        return Recorded(
            str(stored_event.originator_id), stored_event.originator_version, position, body.at, body.by, event
        )

    def recorded(self, stored: Iterable[StoredEvent]) -> Sequence[Recorded]:
        """Many stored events at once."""
        return [self.to_domain_event(event) for event in stored]

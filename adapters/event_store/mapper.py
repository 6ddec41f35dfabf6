"""Between domain events and stored bytes: msgspec JSON in, compressed state out, one short topic an event type.

The state is a JSON object `{"v": schema, "at": …, "by": {cause}, "e": {event}}`. JSON, not MessagePack: after
compression the sizes are level, a person can read it, and a frame's header can stay raw text until somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from eventsourcing.persistence import Mapper, MapperDeserialisationError, Notification, StoredEvent

from adapters.event_store.compressor import HeaderCompressor
from adapters.event_store.names import check_names
from adapters.event_store.upcasters import UPCASTERS, Upcaster, upcast
from application.ports.event_log import Commit
from domain.catalogue import EVENTS
from domain.errors import InvalidInput
from domain.event import Cause, Event, Recorded


class StoredRow(NamedTuple):
    """The library's StoredEvent as a tuple: a third of its cost, and the columns of an append fall out of zip."""

    originator_id: str
    originator_version: int
    topic: str
    state: bytes


class ReadRow(NamedTuple):
    """The library's Notification as a tuple, in the order of the recorder's COLUMNS: a fifth of its cost."""

    id: int
    originator_id: str
    originator_version: int
    topic: str
    state: bytes


class _Head(msgspec.Struct, frozen=True, gc=False):
    v: int
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    by: Cause


class _Body(_Head, frozen=True, gc=False):
    e: msgspec.Raw


def _whole(event: type[Event]) -> msgspec.json.Decoder[Any]:
    """Reads head and event in one go."""
    return msgspec.json.Decoder(msgspec.defstruct("_Whole", [("e", event)], bases=(_Head,), frozen=True, gc=False))


class EventMapper(Mapper[str]):  # type: ignore[misc]
    """The library's mapper for events that are msgspec structs. Thread-safe."""

    def __init__(
        self,
        events: Mapping[str, type[Event]] = EVENTS,
        upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
    ) -> None:
        super().__init__(transcoder=None, compressor=HeaderCompressor())
        self._events = events
        self._upcasters = upcasters
        self._encoder = msgspec.json.Encoder()
        self._head_decoder = msgspec.json.Decoder(_Head)
        self._body = msgspec.json.Decoder(_Body)
        self._decoders = {topic: msgspec.json.Decoder(cls) for topic, cls in events.items()}
        self._wholes = {topic: _whole(cls) for topic, cls in events.items()}

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """The stored form of a Recorded (its position is ignored: the log gives one)."""
        return self.stored(
            domain_event.stream, domain_event.version, domain_event.at, domain_event.cause, domain_event.event
        )

    def stored(self, stream: str, version: int, at: datetime, cause: Cause, event: Event) -> StoredEvent:
        """The stored form of one event. Raises InvalidInput for one that couldn't be read again."""
        return StoredEvent(stream, version, event.topic, self.compressor.compress(self.body(at, cause, event)))

    def body(self, at: datetime, cause: Cause, event: Event) -> bytes:
        """The JSON object that is stored of an event. Raises InvalidInput for an event that couldn't be read again."""
        return self._body_of(self._head(at, cause, event.schema), event)

    def stored_commit(self, commit: Commit) -> list[StoredRow]:
        """All events of a commit, in the order in which they get positions. Raises InvalidInput."""
        check_names(commit)
        compress = self.compressor.compress
        heads = {
            schema: self._head(commit.at, commit.cause, schema)
            for schema in {event.schema for write in commit.writes for event in write.events}
        }
        return [
            StoredRow(write.stream, version, event.topic, compress(self._body_of(heads[event.schema], event)))
            for write in commit.writes
            for version, event in enumerate(write.events, start=write.expected + 1)
        ]

    def _head(self, at: datetime, cause: Cause, schema: int) -> bytes:
        """What stands before the event itself: the same for all events of a commit."""
        try:
            head = self._encoder.encode(_Head(v=schema, at=at, by=cause))
            self._head_decoder.decode(head)
        except (msgspec.MsgspecError, UnicodeEncodeError, TypeError) as error:
            raise InvalidInput(f"This cause or time can't be stored: {error}.") from error
        return head[:-1] + b',"e":'

    def _body_of(self, head: bytes, event: Event) -> bytes:
        """Head and event. The event is read once here, for what is in the log is there for ever: a value of another
        type than its field's, or a number that JSON doesn't have, would stop every reader at this position."""
        try:
            raw = self._encoder.encode(event)
            self._decoders[event.topic].decode(raw)
        except KeyError:
            raise InvalidInput(f"There is no event type {event.topic} in the catalogue.") from None
        except (msgspec.MsgspecError, UnicodeEncodeError, TypeError) as error:
            raise InvalidInput(f"This {event.topic} event can't be stored: {error}.") from error
        return head + raw + b"}"

    def to_domain_event(self, stored_event: StoredEvent | ReadRow) -> Any:
        """The Recorded again. Raises MapperDeserialisationError, naming topic, stream and version."""
        topic = stored_event.topic
        try:
            if topic not in self._events:
                raise ValueError("this program doesn't know its topic")
            at, cause, event = self._read(topic, self.compressor.decompress(bytes(stored_event.state)))
        except Exception as error:
            message = (
                f"The event {topic} at {stored_event.originator_id} version {stored_event.originator_version} "
                f"can't be read: {error}"
            )
            raise MapperDeserialisationError(message) from error
        position = stored_event.id if isinstance(stored_event, ReadRow | Notification) else 0
        return Recorded(str(stored_event.originator_id), stored_event.originator_version, position, at, cause, event)

    def _read(self, topic: str, state: bytes) -> tuple[datetime, Cause, Event]:
        """Of today's schema in one go; what isn't is looked at in two steps, the second after its upcasters."""
        try:
            whole = self._wholes[topic].decode(state)
            if whole.v == self._events[topic].schema:
                return whole.at, whole.by, whole.e
        except msgspec.MsgspecError:
            pass  # of an older schema, or damaged: the two steps tell
        body = self._body.decode(state)
        return body.at, body.by, self._decoders[topic].decode(self._today(topic, body))

    def recorded(self, stored: Iterable[StoredEvent | ReadRow]) -> Sequence[Recorded]:
        """Many stored events at once."""
        return [self.to_domain_event(event) for event in stored]

    def _today(self, topic: str, body: _Body) -> msgspec.Raw | bytes:
        current = self._events[topic].schema
        if body.v == current:
            return body.e
        return self._encoder.encode(upcast(topic, body.v, current, msgspec.json.decode(body.e), self._upcasters))

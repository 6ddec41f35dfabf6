"""Whatever a released program has stored, today's reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
import zstandard
from eventsourcing.persistence import MapperDeserialisationError, StoredEvent

from adapters.event_store.compressor import HeaderCompressor
from adapters.event_store.mapper import EventMapper
from domain.catalogue import EVENTS
from domain.errors import InvalidInput
from domain.event import Event, Recorded
from tests.golden.make import AT, CAUSE, EVENT_SAMPLES, STATE_SAMPLES, body, sample

SAMPLES = sorted(EVENT_SAMPLES.glob("*.json"))
STATES = sorted(STATE_SAMPLES.glob("*.bin"))


def stored(topic: str, body: bytes) -> StoredEvent:
    return StoredEvent("stream", 1, topic, HeaderCompressor().compress(body))


def parts(path: Path) -> tuple[str, int]:
    """Topic and schema, from a sample's name."""
    topic, _, schema = path.name.removesuffix(".json").removesuffix(".bin").partition(".v")
    return topic, int(schema.partition(".")[0])


class TestSamples:
    @pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
    def test_a_stored_event_is_read_and_stays_itself(self, path: Path) -> None:
        topic, schema = parts(path)
        mapper = EventMapper()
        assert msgspec.json.decode(path.read_bytes())["v"] == schema
        recorded: Recorded = mapper.to_domain_event(stored(topic, path.read_bytes()))
        assert type(recorded.event) is EVENTS[topic]
        assert (recorded.at, recorded.cause) == (AT, CAUSE)
        assert mapper.to_domain_event(mapper.to_stored_event(recorded)) == recorded

    def test_every_topic_has_one_for_each_schema_there_ever_was(self) -> None:
        """A new event type, or one whose schema was raised: run `python -m tests.golden.make`."""
        needed = {(topic, schema) for topic, event in EVENTS.items() for schema in range(1, event.schema + 1)}
        assert needed == {parts(path) for path in SAMPLES}

    @pytest.mark.parametrize("topic", EVENTS)
    def test_the_newest_reads_as_what_is_written_today(self, topic: str) -> None:
        """A field that was renamed, dropped or given another meaning raises the schema; one with a default may come."""
        event_type = EVENTS[topic]
        path = EVENT_SAMPLES / f"{topic}.v{event_type.schema}.json"
        old = msgspec.json.decode(path.read_bytes())["e"]
        new = msgspec.json.decode(body(event_type))["e"]
        assert _within(old, new) == old

    def test_topics_are_written_once(self) -> None:
        for topic, event_type in EVENTS.items():
            assert event_type.topic == topic
        assert len(set(EVENTS.values())) == len(EVENTS)


class TestStates:
    def test_there_is_one_with_a_dictionary_and_one_without(self) -> None:
        dictionaries = {path.name.split(".")[-2] for path in STATES}
        assert "none" in dictionaries
        assert len(dictionaries) >= 2

    @pytest.mark.parametrize("path", STATES, ids=lambda path: path.stem)
    def test_a_compressed_state_is_read_with_the_dictionary_that_it_names(self, path: Path) -> None:
        topic, schema = parts(path)
        state = path.read_bytes()
        name = path.name.split(".")[-2]
        assert zstandard.get_frame_parameters(state).dict_id == (0 if name == "none" else int(name))
        sampled = (EVENT_SAMPLES / f"{topic}.v{schema}.json").read_bytes().rstrip(b"\n")
        assert HeaderCompressor().decompress(state) == sampled
        recorded: Recorded = EventMapper().to_domain_event(StoredEvent("stream", 1, topic, state))
        assert recorded.cause == CAUSE

    def test_the_dictionaries_are_those_that_states_name(self) -> None:
        """A dictionary that was trained anew under an old name would make the log unreadable."""
        named = {int(path.name.split(".")[-2]) for path in STATES if ".none." not in path.name}
        assert named <= set(HeaderCompressor().dictionaries)


class Exposed(Event, frozen=True, kw_only=True):
    """Made up: schema 1 had `seconds` as text and `name`; schema 2 `seconds` as a number; 3 calls `name` `target`."""

    topic: ClassVar[str] = "test.exposed"
    schema: ClassVar[int] = 3
    target: str
    seconds: float
    headers: msgspec.Raw


def _to_2(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "seconds": float(data["seconds"])}


def _to_3(data: dict[str, Any]) -> dict[str, Any]:
    return {"target": data["name"], **{key: value for key, value in data.items() if key != "name"}}


class TestUpcasting:
    UPCASTERS: ClassVar = {("test.exposed", 1): _to_2, ("test.exposed", 2): _to_3}

    def mapper(self, upcasters: Any = UPCASTERS) -> EventMapper:
        return EventMapper({"test.exposed": Exposed}, upcasters)

    def state(self, schema: int, **event: Any) -> StoredEvent:
        return stored("test.exposed", msgspec.json.encode({"v": schema, "at": AT, "by": CAUSE, "e": event}))

    @pytest.mark.parametrize(
        ("schema", "event"),
        [
            (1, {"name": "M 31", "seconds": "30.5"}),
            (2, {"name": "M 31", "seconds": 30.5}),
            (3, {"target": "M 31", "seconds": 30.5}),
        ],
    )
    def test_every_schema_reads_as_todays(self, schema: int, event: dict[str, Any]) -> None:
        headers = {"OBJECT": "M 31", "BIG": 123456789012345678901234567890}
        recorded: Recorded = self.mapper().to_domain_event(self.state(schema, **event, headers=headers))
        assert isinstance(recorded.event, Exposed)
        assert (recorded.event.target, recorded.event.seconds) == ("M 31", 30.5)
        assert msgspec.json.decode(recorded.event.headers) == headers

    def test_what_was_upcast_is_stored_as_todays(self) -> None:
        mapper = self.mapper()
        recorded = mapper.to_domain_event(self.state(1, name="M 31", seconds="30.5", headers={}))
        again = mapper.to_stored_event(recorded)
        assert msgspec.json.decode(HeaderCompressor().decompress(again.state))["v"] == 3
        assert mapper.to_domain_event(again) == recorded

    def test_a_missing_step_is_named(self) -> None:
        mapper = self.mapper({("test.exposed", 1): _to_2})
        with pytest.raises(MapperDeserialisationError, match="the upcaster from schema 2 is missing"):
            mapper.to_domain_event(self.state(1, name="M 31", seconds="30.5", headers={}))

    def test_an_event_of_a_newer_program_is_not_guessed_at(self) -> None:
        with pytest.raises(MapperDeserialisationError, match=r"a newer program wrote it \(schema 4;"):
            self.mapper().to_domain_event(self.state(4, target="M 31", seconds=30.5, headers={}))


class TestDamage:
    def test_an_unknown_topic_is_named_with_its_place(self) -> None:
        event = StoredEvent("frame:x", 7, "frame.painted", b"")
        with pytest.raises(MapperDeserialisationError) as unreadable:
            EventMapper().to_domain_event(event)
        assert str(unreadable.value) == (
            "The event frame.painted at frame:x version 7 can't be read: this program doesn't know its topic"
        )

    @pytest.mark.parametrize("offset", [0, 5, 20, -1], ids=["magic", "header", "content", "checksum"])
    def test_a_damaged_state_is_told_from_a_sound_one(self, offset: int) -> None:
        state = bytearray(stored("transfer.held", body(EVENTS["transfer.held"])).state)
        state[offset] ^= 0xFF
        with pytest.raises(MapperDeserialisationError, match=r"transfer\.held at s version 1 can't be read: \w"):
            EventMapper().to_domain_event(StoredEvent("s", 1, "transfer.held", bytes(state)))

    @pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"v": 1', b'{"v":1,"at":"today","by":{},"e":{}}'])
    def test_a_body_that_is_no_event_is_an_error(self, content: bytes) -> None:
        with pytest.raises(MapperDeserialisationError, match="can't be read"):
            EventMapper().to_domain_event(stored("transfer.held", content))

    def test_a_dictionary_that_is_missing_is_named(self) -> None:
        samples: list[Any] = [
            f"a sample of some text {number} and {number * 7919 % 1000}".encode() * 3 for number in range(2000)
        ]
        foreign = zstandard.train_dictionary(4096, samples, dict_id=77)
        state = zstandard.ZstdCompressor(dict_data=foreign).compress(b"{}")
        with pytest.raises(MapperDeserialisationError, match="the dictionary 77 that compressed it isn't among"):
            EventMapper().to_domain_event(StoredEvent("s", 1, "transfer.held", state))

    def test_an_event_above_64_megabytes_is_refused_before_it_is_stored(self) -> None:
        with pytest.raises(InvalidInput, match="67108864 are the most"):
            HeaderCompressor().compress(bytes(64 * 1024 * 1024 + 1))


def test_a_sample_fills_every_field() -> None:
    for event_type in EVENTS.values():
        filled = sample(event_type)
        names = set(msgspec.json.decode(msgspec.json.encode(filled)))
        assert names == {field.encode_name for field in msgspec.structs.fields(event_type)}


def _within(old: Any, new: Any) -> Any:
    """`new` without the fields that `old` doesn't have."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {key: _within(value, new[key]) for key, value in old.items() if key in new}
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [_within(one, other) for one, other in zip(old, new, strict=True)]
    return new

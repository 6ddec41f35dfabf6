"""Whatever event the domain can make comes out of the log as it went in, or is refused at the door."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, get_type_hints

import msgspec
import pytest
import zstandard
from eventsourcing.persistence import StoredEvent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.event_store.compressor import HeaderCompressor
from adapters.event_store.mapper import EventMapper
from adapters.event_store.memory import MemoryEventLog
from application.ports.event_log import Commit, Write
from domain.catalogue import EVENTS
from domain.errors import InvalidInput
from domain.event import Cause, Event, Recorded
from domain.footprint import Footprint
from domain.frame_record import FrameRecord
from domain.frames import FrameVersion
from domain.hashes import Hashes
from domain.storage_configs import Settings

MAPPER = EventMapper()
COMPRESSOR = HeaderCompressor()

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
TIMES = st.datetimes(timezones=st.just(UTC), min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
HEADERS = st.dictionaries(TEXT, JSON, max_size=6).map(lambda value: msgspec.Raw(msgspec.json.encode(value)))

st.register_type_strategy(str, TEXT)
st.register_type_strategy(int, st.integers(-(2**63), 2**63 - 1))
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(datetime, TIMES)
st.register_type_strategy(msgspec.Raw, HEADERS)


def filled(struct: type[Any]) -> st.SearchStrategy[Any]:
    """Structs with any value in every field, also those with a default."""
    hints = get_type_hints(struct)
    fields = {field.name: st.from_type(hints[field.name]) for field in msgspec.structs.fields(struct)}
    return st.builds(struct, **fields)


for part in (Hashes, Footprint, FrameVersion, FrameRecord, Settings, Cause):
    st.register_type_strategy(part, filled(part))

EVENT = st.sampled_from(list(EVENTS.values())).flatmap(filled)
"""Any event of any type, each field by its annotation."""


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(event=EVENT, cause=st.from_type(Cause), at=TIMES, stream=TEXT.filter(lambda name: "\0" not in name))
def test_an_event_comes_back_as_it_was_stored(event: Event, cause: Cause, at: datetime, stream: str) -> None:
    recorded = Recorded(stream, 3, 0, at, cause, event)
    stored = MAPPER.to_stored_event(recorded)
    assert (stored.originator_id, stored.originator_version, stored.topic) == (stream, 3, event.topic)
    assert MAPPER.to_domain_event(stored) == recorded


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(event=EVENT)
def test_storing_twice_gives_the_same_bytes(event: Event) -> None:
    """So that exports and audits can be compared."""
    recorded = Recorded("s", 1, 0, datetime(2024, 3, 10, tzinfo=UTC), Cause("a", "api"), event)
    stored = MAPPER.to_stored_event(recorded)
    assert MAPPER.to_stored_event(MAPPER.to_domain_event(stored)) == stored


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(event=EVENT, data=st.data())
def test_an_event_with_a_wrong_field_is_refused_or_read_again(event: Event, data: st.DataObject) -> None:
    """Nothing gets into the log that a reader would stop at."""
    fields = [field.name for field in msgspec.structs.fields(type(event))]
    if not fields:
        return
    wrong = data.draw(
        st.sampled_from(
            [None, object(), float("nan"), float("inf"), "\ud800", b"bytes", 2**70, [1], {1: 2}, msgspec.Raw(b"{")]
        )
    )
    broken = msgspec.structs.replace(event, **{data.draw(st.sampled_from(fields)): wrong})
    log = MemoryEventLog(MAPPER)
    now = datetime(2024, 3, 10, tzinfo=UTC)
    try:
        log.append(Commit(writes=(Write("s", 0, (broken,)),), cause=Cause("a", "api"), at=now))
    except InvalidInput:
        assert log.head() == 0
        return
    assert type(log.load("s")[0].event) is type(event)


@given(data=st.binary(min_size=1, max_size=20_000))
def test_compressed_bytes_come_back(data: bytes) -> None:
    assert COMPRESSOR.decompress(COMPRESSOR.compress(data)) == data


@settings(max_examples=500, deadline=None)
@given(data=st.binary(min_size=1, max_size=2000), flip=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_never_gives_other_bytes(data: bytes, flip: int, bit: int) -> None:
    state = bytearray(COMPRESSOR.compress(data))
    state[flip % len(state)] ^= 1 << bit
    try:
        read = COMPRESSOR.decompress(bytes(state))
    except zstandard.ZstdError:
        return
    assert read == data


def test_one_compressor_serves_many_threads() -> None:
    texts = [f'{{"FILTER":"{number}","OBJECT":"M {number % 9}"}}'.encode() * (number % 7 + 1) for number in range(2000)]

    def there_and_back(text: bytes) -> bool:
        return COMPRESSOR.decompress(COMPRESSOR.compress(text)) == text

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(there_and_back, texts))


def test_the_dictionary_makes_a_header_a_fraction_of_what_it_is() -> None:
    body = (
        b'{"SIMPLE":true,"BITPIX":-32,"NAXIS":2,"NAXIS1":4096,"NAXIS2":4096,"EXTEND":true,"BSCALE":1.0,"BZERO":0.0,'
        b'"INSTRUME":"kb05","TELESCOP":"1m0-11","FILTER":"rp","EXPTIME":30.0,"DATE-OBS":"2024-03-10T04:05:06.789"}'
    )
    with_dictionary = len(COMPRESSOR.compress(body))
    assert with_dictionary < 0.75 * len(zstandard.compress(body, 3))


@pytest.mark.parametrize("size", [1, 100, 1_000_000])
def test_any_size_is_compressed(size: int) -> None:
    data = bytes(size)
    stored = StoredEvent("s", 1, "t", COMPRESSOR.compress(data))
    assert COMPRESSOR.decompress(stored.state) == data

"""Stores one sample of each event type as today's program writes it: `python -m tests.golden.make`.

Writes only what is missing and never touches what is there: a sample says what some released program has stored, and
today's must read it. So run it once for a new event type or a raised schema, and commit what it wrote.

read_models.json holds a fingerprint of the tables of each version of each read model: a change raises the version.
events/<topic>.v<schema>.json is the body of one event; states/<topic>.v<schema>.<dictionary>.bin is one in its stored,
compressed form, for each dictionary and without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import zstandard

from adapters.event_store.compressor import LEVEL, HeaderCompressor
from adapters.event_store.mapper import EventMapper
from adapters.sky.spherical_sky import SphericalSky
from api.bootstrap import read_models
from domain.catalogue import EVENTS
from domain.event import Cause, Event

FOLDER = Path(__file__).parent
EVENT_SAMPLES = FOLDER / "events"
STATE_SAMPLES = FOLDER / "states"
READ_MODELS = FOLDER / "read_models.json"
STATE_TOPIC = "frame.file_processed"

AT = datetime(2024, 3, 10, 4, 5, 6, 789000, tzinfo=UTC)
CAUSE = Cause(actor="edwin", via="api", correlation="5f0c1a2b", causation=41, reason="as asked by the owner")
HEADERS = b'{"SIMPLE":true,"NAXIS1":4096,"EXPTIME":30.0,"OBJECT":"\xc3\x9c Ori","GAIN":null,"COMMENT":"a\\nb"}'


def main() -> None:
    """Write the missing samples."""
    for topic, event_type in EVENTS.items():
        path = EVENT_SAMPLES / f"{topic}.v{event_type.schema}.json"
        if not path.exists():
            _write(path, body(event_type) + b"\n")
    schema = EVENTS[STATE_TOPIC].schema
    state = body(EVENTS[STATE_TOPIC])
    compressed = HeaderCompressor().compress(state)
    dictionary = zstandard.get_frame_parameters(compressed).dict_id
    _write(STATE_SAMPLES / f"{STATE_TOPIC}.v{schema}.{dictionary}.bin", compressed)
    plain = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(state)
    _write(STATE_SAMPLES / f"{STATE_TOPIC}.v{schema}.none.bin", plain)
    known = msgspec.json.decode(READ_MODELS.read_bytes()) if READ_MODELS.exists() else {}
    READ_MODELS.write_bytes(msgspec.json.format(msgspec.json.encode({**fingerprints(), **known}), indent=2) + b"\n")


def fingerprints() -> dict[str, str]:
    """Of each read model's tables and indexes as they are today, by name and version."""
    return {
        f"{model.name}.v{model.version}": sha256(
            " ".join(f"{model.tables} {model.indexes}".split()).encode()
        ).hexdigest()
        for model in read_models(SphericalSky())
    }


def body(event_type: type[Event]) -> bytes:
    """The stored body of an event of this type."""
    return EventMapper().body(AT, CAUSE, sample(event_type))


def sample(struct: type[Any]) -> Any:
    """A struct with every field filled, none with its default, so that all are stored."""
    hints = get_type_hints(struct)
    values = {}
    for field in msgspec.structs.fields(struct):
        value = _value(hints[field.name], field.name)
        values[field.name] = (not field.default) if isinstance(value, bool) else value
    return struct(**values)


def _value(kind: Any, name: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    simple = {
        str: f"{name} é",
        int: 7,
        float: 1.5,
        bool: True,
        date: AT.date(),
        datetime: AT,
        msgspec.Raw: msgspec.Raw(HEADERS),
    }
    if kind in simple:
        return simple[kind]
    if origin is Literal:
        return arguments[-1]
    if origin in (Union, UnionType):
        return _value(next(one for one in arguments if one is not type(None)), name)
    if origin is tuple and arguments[-1] is Ellipsis:
        return (_value(arguments[0], name), _value(arguments[0], name))
    if origin is tuple:
        return tuple(_value(one, name) for one in arguments)
    if origin in (dict, Mapping):
        return {_value(arguments[0], f"{name} key"): _value(arguments[1], name)}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return sample(kind)
    raise TypeError(f"Say here what a sample of {kind} ({name}) looks like.")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(content)
        print(path.relative_to(FOLDER))


if __name__ == "__main__":
    main()

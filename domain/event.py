"""What an event is: a small frozen struct with a short, stable topic; and what surrounds it in the log."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Something that happened. `topic` and `schema` identify its stored form for ever.

    Nothing in it can lead back to it, so the garbage collector needn't look (`gc=False`, here and in what events hold):
    reading the log takes half of the time.

    A field may be added with a default; any other change raises `schema` and gets an upcaster
    (adapters/event_store/upcasters.py).
    """

    topic: ClassVar[str]
    schema: ClassVar[int] = 1


VIAS = ("api", "ocs", "console", "cli", "listen", "oauth", "worker", "policy", "import")
"""The ways in."""


class Cause(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Who caused an event and through which way in.

    `actor` is a username or `policy:<Name>`; `via` is one of VIAS, of which `import` is: taken over from another
    archive, where it happened long before, so that nobody is told of it as news. `correlation` ties together all that
    one request led to; `causation` is the position of the event that a policy or a worker reacted to; `reason` is free
    text for people.
    """

    actor: str
    via: str
    correlation: str = ""
    causation: int | None = None
    reason: str = ""


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event as the log holds it.

    `version` counts from 1 in its stream; `position` is its place in the one global order; `at` is UTC.
    """

    stream: str
    version: int
    position: int
    at: datetime
    cause: Cause
    event: Event

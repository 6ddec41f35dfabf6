"""Compares the claims beside the log with those that follow from the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from adapters.event_store.findings import Finding
from adapters.event_store.histories import changes_of
from adapters.event_store.mapper import EventMapper, ReadRow
from adapters.event_store.name_sums import NameSums, bucket_of
from adapters.event_store.recorder import COLUMNS
from domain.frames import FileProcessed, FilesRemoved
from domain.thumbnails import ThumbnailAdded, ThumbnailRemoved
from domain.transfer_events import TransferRequested

LOOKED_INTO = 8
"""Buckets whose names are looked at one by one: a few differences are told exactly, and many by example."""

TOLD = 50
_TOPICS = sorted(
    one.topic for one in (FileProcessed, FilesRemoved, ThumbnailAdded, ThumbnailRemoved, TransferRequested)
)
_NEXT = (
    f"SELECT {COLUMNS} FROM starferry.starferry_events WHERE notification_id > %s AND topic = ANY(%s) "
    "ORDER BY notification_id LIMIT 1000"
)


def claim_findings(connection: psycopg.Connection[Any], expected: NameSums) -> Iterator[Finding]:
    """What differs, given the sums of the names that the whole log takes. In a transaction that sees one state."""
    actual = NameSums()
    for name in _claims(connection):
        actual.add((name,))
    differing = sorted(expected.differing(actual))
    if not differing:
        return
    looked = frozenset(differing[:LOOKED_INTO])
    told = 0
    for finding in _differences(connection, looked):
        told += 1
        if told > TOLD:
            break
        yield finding
    if told > TOLD or len(differing) > len(looked):
        yield Finding(kind="claim", what="more names differ in the same way; these are examples")


def _differences(connection: psycopg.Connection[Any], buckets: frozenset[int]) -> Iterator[Finding]:
    taken = _taken(connection, buckets)
    for name in _claims(connection):
        if bucket_of(name) in buckets and not taken.pop(name, []):
            yield Finding(kind="claim", what=f"the name {name} is claimed, and nothing in the log takes it")
    for name, places in sorted(taken.items()):
        position, stream = places[0]
        yield Finding(
            kind="claim", position=position, stream=stream, what=f"takes the name {name}, which isn't claimed any more"
        )


def _taken(connection: psycopg.Connection[Any], buckets: frozenset[int]) -> dict[str, list[tuple[int, str]]]:
    mapper, after = EventMapper(), 0
    taken: dict[str, list[tuple[int, str]]] = {}
    while True:
        cursor = connection.cursor(binary=True, row_factory=tuple_row)
        rows = cursor.execute(_NEXT, (after, _TOPICS)).fetchall()
        if not rows:
            return taken
        after = rows[-1][0]
        events = mapper.recorded(map(ReadRow._make, rows))
        for recorded, changes in zip(events, changes_of(connection, mapper, events), strict=True):
            for name in changes.released:
                taken.pop(name, None)
            for name in changes.taken:
                if bucket_of(name) in buckets:
                    taken.setdefault(name, []).append((recorded.position, recorded.stream))


def _claims(connection: psycopg.Connection[Any]) -> Iterator[str]:
    with connection.cursor("claims", row_factory=tuple_row) as cursor:
        cursor.itersize = 5000
        cursor.execute("SELECT name FROM starferry.claim")
        for (name,) in cursor:
            yield name

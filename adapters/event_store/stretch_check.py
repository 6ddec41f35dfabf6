"""Checks one stretch of the log by itself, so that several processes can share the work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
from eventsourcing.persistence import MapperDeserialisationError, Notification
from psycopg.rows import tuple_row

from adapters.event_store.findings import Finding
from adapters.event_store.histories import changes_of
from adapters.event_store.mapper import EventMapper
from adapters.event_store.name_sums import NameSums
from adapters.event_store.segments import RememberingCompressor, Row, SegmentDigest, stored_rows
from domain.event import Recorded

MOST = 100
"""Findings that are told of one stretch."""

TOLERANCE = timedelta(minutes=5)
"""Clocks of hosts may differ, and a command takes its time before it waits for its turn to be stored."""

_ORDER = (
    "SELECT e.notification_id, e.originator_id, e.originator_version, p.notification_id "
    "FROM starferry.starferry_events e LEFT JOIN starferry.starferry_events p "
    "ON p.originator_id = e.originator_id AND p.originator_version = e.originator_version - 1 "
    "WHERE e.notification_id > %s AND e.notification_id <= %s AND (e.originator_version < 1 OR "
    "(e.originator_version > 1 AND (p.notification_id IS NULL OR p.notification_id > e.notification_id))) "
    "ORDER BY e.notification_id LIMIT %s"
)
_KNOWN = "SELECT notification_id FROM starferry.starferry_events WHERE notification_id = ANY(%s)"


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a stretch holds. `content` is the digest of its segment; times come with the position that has them."""

    since: int
    upto: int
    events: int
    content: bytes
    findings: tuple[Finding, ...]
    more: int
    earliest: tuple[datetime, int] | None
    latest: tuple[datetime, int] | None
    names: list[int]


class StretchChecker:
    """Reads through one connection; for one thread."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._mapper = EventMapper()
        self._unpacker = self._mapper.compressor = RememberingCompressor()

    def check(self, since: int, upto: int) -> Checked:
        """Look at all of (since, upto]."""
        findings = self._order(since, upto)
        segment, names, times = SegmentDigest(), NameSums(), _Times()
        for rows in stored_rows(self._connection, since, upto):
            events = []
            for row in rows:
                read = self._read(row)
                segment.add(row, self._unpacker.last)
                if isinstance(read, Finding):
                    findings.append(read)
                else:
                    events.append(read)
            findings += self._causes(events)
            for recorded in events:
                if late := times.take(recorded):
                    findings.append(late)
            for changes in changes_of(self._connection, self._mapper, events):
                names.add(changes.released, -1)
                names.add(changes.taken)
        findings.sort(key=lambda finding: finding.position or 0)
        return Checked(
            since=since,
            upto=upto,
            events=segment.count,
            content=segment.digest(),
            findings=tuple(findings[:MOST]),
            more=max(0, len(findings) - MOST),
            earliest=times.earliest,
            latest=times.latest,
            names=names.sums,
        )

    def _read(self, row: Row) -> Recorded | Finding:
        stored = Notification(
            id=row.position, originator_id=row.stream, originator_version=row.version, topic=row.topic, state=row.state
        )
        self._unpacker.last = None
        try:
            recorded: Recorded = self._mapper.to_domain_event(stored)
        except MapperDeserialisationError as error:
            return Finding(kind="unreadable", position=row.position, stream=row.stream, what=str(error).rstrip("."))
        return recorded

    def _order(self, since: int, upto: int) -> list[Finding]:
        cursor = self._connection.cursor(row_factory=tuple_row)
        found = []
        for position, stream, version, before in cursor.execute(_ORDER, (since, upto, MOST + 1)):
            if version < 1:
                what = f"is version {version} of its stream; versions begin at 1"
            elif before is None:
                what = f"is version {version} of its stream, which has no version {version - 1}"
            else:
                what = f"is version {version} of its stream, but version {version - 1} stands behind it, at {before}"
            found.append(Finding(kind="order", position=position, stream=stream, what=what))
        return found

    def _causes(self, events: Sequence[Recorded]) -> Iterable[Finding]:
        here = {recorded.position for recorded in events}
        asked = {recorded.cause.causation for recorded in events if recorded.cause.causation is not None} - here
        known = here
        if asked:
            cursor = self._connection.cursor(row_factory=tuple_row)
            known = here | {position for (position,) in cursor.execute(_KNOWN, (sorted(asked),))}
        for recorded in events:
            causation = recorded.cause.causation
            if causation is None:
                if not recorded.cause.actor.startswith("policy:"):
                    continue
                what = f"was written by {recorded.cause.actor}, and says on account of no event"
            elif causation >= recorded.position:
                what = f"says that event {causation} caused it, which isn't before it"
            elif causation not in known:
                what = f"says that event {causation} caused it, which isn't there"
            else:
                continue
            yield Finding(kind="causation", position=recorded.position, stream=recorded.stream, what=what)


class _Times:
    """Follows the events' times; what jumps back is told once a stretch, at its worst."""

    def __init__(self) -> None:
        self.earliest: tuple[datetime, int] | None = None
        self.latest: tuple[datetime, int] | None = None
        self._told = False

    def take(self, recorded: Recorded) -> Finding | None:
        mark = (recorded.at, recorded.position)
        if self.earliest is None or mark < self.earliest:
            self.earliest = mark
        latest = self.latest
        if latest is None or recorded.at > latest[0]:
            self.latest = mark
        if latest is None or self._told:
            return None
        finding = backwards(latest, mark, recorded.stream)
        self._told = finding is not None
        return finding


def backwards(before: tuple[datetime, int], mark: tuple[datetime, int], stream: str = "") -> Finding | None:
    """What to say of an event's time after an earlier event's, if it is too early."""
    if before[0] - mark[0] <= TOLERANCE:
        return None
    seconds = (before[0] - mark[0]).total_seconds()
    what = f"its time is {seconds:.0f} s before that of event {before[1]}, which precedes it"
    return Finding(kind="time", position=mark[1], stream=stream, what=what, warning=True)

"""Which names events take and give up, where that depends on earlier events of their streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from adapters.event_store.mapper import EventMapper, ReadRow
from adapters.event_store.recorder import COLUMNS
from application.names_and_numbers import HISTORY, NameChanges, name_changes, needs_history
from domain.event import Recorded

_HISTORY = (
    f"SELECT {COLUMNS} FROM starferry.starferry_events WHERE originator_id = ANY(%s) AND topic = ANY(%s) "
    "ORDER BY originator_id, originator_version"
)


def changes_of(
    connection: psycopg.Connection[Any], mapper: EventMapper, events: Sequence[Recorded]
) -> Iterator[NameChanges]:
    """For each event what it changes. Earlier events, which must be in the log, are looked up for all at once."""
    streams = sorted({recorded.stream for recorded in events if needs_history(recorded)})
    histories: dict[str, list[Recorded]] = {}
    if streams:
        cursor = connection.cursor(binary=True, row_factory=tuple_row)
        rows = cursor.execute(_HISTORY, (streams, sorted(HISTORY))).fetchall()
        for row in rows:
            try:
                recorded = mapper.to_domain_event(ReadRow._make(row))
            except Exception:  # noqa: S112 - whoever reads that event itself tells of it
                continue
            histories.setdefault(recorded.stream, []).append(recorded)
    for recorded in events:
        if needs_history(recorded):
            earlier = [one for one in histories.get(recorded.stream, ()) if one.version < recorded.version]
            yield name_changes(recorded, earlier)
        else:
            yield name_changes(recorded)

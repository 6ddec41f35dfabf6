"""Brings a read model that stands beside the live one further along the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import psycopg

from application.ports.event_log import EventLog
from projections.builds import Build, Kept, Pace, moved
from projections.projection import Projection

BATCH = 2000

Report = Callable[[int, int], None]
"""Called with the position reached and the position to reach."""

Beside = TypeVar("Beside", Build, Kept)


def catch_up(
    connection: psycopg.Connection[Any],
    log: EventLog,
    projection: Projection,
    beside: Beside,
    upto: int,
    report: Report,
) -> Beside:
    """Apply what comes after the position of `beside`, up to `upto`, and return it as it is then.

    Each batch is one transaction with its position: when this is stopped, it is called again with what
    the database says. What has come further already stays where it is.
    """
    pace = Pace(beside.position)
    while beside.position < upto:
        batch = log.read(beside.position, BATCH, upto=upto, topics=projection.topics)
        position = batch.upto if batch.upto > beside.position else upto  # there is nothing in between
        rate = pace.at(position)
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(b"SET LOCAL synchronous_commit TO off")
            if batch.events:
                cursor.execute(f"SET LOCAL search_path TO {beside.schema}".encode())
                projection.apply(cursor, batch.events)
                cursor.execute(b"SET LOCAL search_path TO DEFAULT")
            moved(cursor, beside, position, upto, rate)
        beside = msgspec.structs.replace(beside, position=position)
        report(position, upto)
    return beside

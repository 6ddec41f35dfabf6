"""Brings a read model that stands beside the live one further along the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import psycopg

from application.ports.event_log import EventLog
from domain.errors import GiveUp, StarferryError
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
    the database says. What has come further already stays where it is. Raises GiveUp for an event that breaks it.
    """
    pace = Pace(beside.position)
    while beside.position < upto:
        with breaking_events(beside):
            beside = _next_batch(connection, log, projection, beside, upto, pace)
        report(beside.position, upto)
    return beside


@contextmanager
def breaking_events(beside: Build | Kept) -> Iterator[None]:
    """Raises GiveUp, with the model's name, for an event that breaks it."""
    try:
        yield
    except (StarferryError, psycopg.OperationalError):
        raise
    except Exception as error:
        raise GiveUp(
            f"{beside.name} stays at event {beside.position}: one of those that come next can't be applied ({error})."
        ) from error


def _next_batch(
    connection: psycopg.Connection[Any],
    log: EventLog,
    projection: Projection,
    beside: Beside,
    upto: int,
    pace: Pace,
) -> Beside:
    batch = log.read(beside.position, BATCH, upto=upto, topics=projection.topics)
    position = batch.upto if batch.upto > beside.position else upto  # there is nothing in between
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(b"SET LOCAL synchronous_commit TO off")
        if batch.events:
            cursor.execute(f"SET LOCAL search_path TO {beside.schema}".encode())
            projection.apply(cursor, batch.events)
            cursor.execute(b"SET LOCAL search_path TO DEFAULT")
        moved(cursor, beside, position, upto, pace.at(position))
    return msgspec.structs.replace(beside, position=position)

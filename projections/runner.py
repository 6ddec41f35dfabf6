"""Keeps the read models up to date: one process at a time, batch by batch, all of them in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import psycopg
import structlog

from application.ports.event_log import EventLog
from domain.errors import RetryLater, StarferryError
from domain.event import Recorded
from projections.projection import Projection, live_schema

logger = structlog.get_logger()

BATCH = 500
"""Large enough for 48 000 events/s in the prototype; small enough that a reader's wait for its write stays short."""
RETRY_SECONDS = 1.0
LEADER_LOCK = 7236837101
CREATE_LOCK = 7236837108
CHANNEL = "starferry_projected"


def create_missing(connection: psycopg.Connection[Any], projections: Sequence[Projection]) -> None:
    """Create the tables of read models that this database doesn't have; they fill from the log's beginning."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (CREATE_LOCK,))
        for projection in projections:
            known = connection.execute("SELECT 1 FROM starferry.projection WHERE name = %s", (projection.name,))
            if known.fetchone():
                continue
            build_schema(connection, projection, live_schema(projection.name), with_indexes=True)
            connection.execute("INSERT INTO starferry.projection (name, position) VALUES (%s, 0)", (projection.name,))


def build_schema(
    connection: psycopg.Connection[Any], projection: Projection, schema: str, *, with_indexes: bool
) -> None:
    """Create a read model's empty tables in a new schema."""
    connection.execute(f"CREATE SCHEMA {schema}".encode())
    connection.execute(f"SET LOCAL search_path TO {schema}".encode())
    connection.execute(projection.tables.encode())
    if with_indexes:
        connection.execute(projection.indexes.encode())
    connection.execute("SET LOCAL search_path TO DEFAULT")


class ProjectionRunner:
    """Call `wake` when the log may have grown; `run` until `stop`. Only the process that holds the lock projects."""

    def __init__(self, conninfo: str, log: EventLog, projections: Sequence[Projection]) -> None:
        self._conninfo = conninfo
        self._log = log
        self._projections = projections
        self._topics = frozenset().union(*(projection.topics for projection in projections))
        self._woken = threading.Event()
        self._stopped = threading.Event()

    def wake(self) -> None:
        """There may be something new."""
        self._woken.set()

    def stop(self) -> None:
        """End after the batch at hand."""
        self._stopped.set()
        self._woken.set()

    def run(self) -> None:
        """Work until stopped; a lost database or a failing batch is tried again."""
        away = False
        while not self._stopped.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as connection:
                    connection.execute("SELECT pg_advisory_lock(%s)", (LEADER_LOCK,))
                    away = False
                    create_missing(connection, self._projections)
                    self._lead(connection)
            except (psycopg.OperationalError, RetryLater) as error:
                if not away:  # once an outage, not once a try
                    logger.warning("projections wait for the database", reason=str(error).strip())
                away = True
                self._stopped.wait(RETRY_SECONDS)
            except (psycopg.Error, StarferryError):
                logger.exception("projections stopped; starting again")
                self._stopped.wait(RETRY_SECONDS)

    def catch_up(self) -> None:
        """Bring the read models to the log's head, unless a running process does so anyway."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (LEADER_LOCK,)).fetchone()
            if row == (True,):
                while self.step(connection):
                    pass

    def _lead(self, connection: psycopg.Connection[Any]) -> None:
        while not self._stopped.is_set():
            self._woken.clear()
            if not self.step(connection):
                self._woken.wait(1.0)

    def step(self, connection: psycopg.Connection[Any]) -> bool:
        """Apply the next batch; false when there was none."""
        rows = connection.execute("SELECT name, position FROM starferry.projection WHERE failure = ''").fetchall()
        names = {projection.name for projection in self._projections}
        positions = {name: position for name, position in rows if name in names}
        if not positions:
            return False
        batch = self._log.read(min(positions.values()), BATCH, topics=self._topics)
        if batch.upto == min(positions.values()):
            return False
        try:
            self._apply(connection, batch.events, batch.upto, self._projections)
        except psycopg.OperationalError:
            raise
        except Exception:
            logger.exception("a batch failed; trying each read model alone", upto=batch.upto)
            for projection in self._projections:
                self._apply_alone(connection, batch.events, batch.upto, projection)
        return True

    def _apply_alone(
        self, connection: psycopg.Connection[Any], events: Sequence[Recorded], upto: int, projection: Projection
    ) -> None:
        """A read model that an event breaks stops, loudly, and shows in status and readiness; the others go on."""
        try:
            self._apply(connection, events, upto, [projection])
        except psycopg.OperationalError:
            raise
        except Exception as error:
            logger.exception("read model stopped", projection=projection.name, upto=upto)
            connection.execute(
                "UPDATE starferry.projection SET failure = %s WHERE name = %s", (str(error)[:500], projection.name)
            )

    def _apply(
        self,
        connection: psycopg.Connection[Any],
        events: Sequence[Recorded],
        upto: int,
        projections: Sequence[Projection],
    ) -> None:
        names = [projection.name for projection in projections]
        with connection.transaction(), connection.cursor() as cursor:
            # what is lost in a crash is projected again: the rows and their position go together
            cursor.execute("SET LOCAL synchronous_commit TO off")
            cursor.execute(
                "SELECT name, position FROM starferry.projection WHERE name = ANY(%s) AND failure = '' "
                "ORDER BY name FOR UPDATE",
                (names,),
            )
            positions = dict(cursor.fetchall())
            for projection in projections:
                position = positions.get(projection.name)
                if position is None or position >= upto:
                    continue
                mine = [
                    recorded
                    for recorded in events
                    if recorded.position > position and recorded.event.topic in projection.topics
                ]
                if mine:
                    cursor.execute(f"SET LOCAL search_path TO {live_schema(projection.name)}".encode())
                    projection.apply(cursor, mine)
            cursor.execute(
                "UPDATE starferry.projection SET position = %s WHERE name = ANY(%s) AND position < %s AND failure = ''",
                (upto, names, upto),
            )
            cursor.execute(f"NOTIFY {CHANNEL}, '{upto}'".encode())

"""Keeps the read models up to date: one process at a time, batch by batch, all of them in one transaction."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
import structlog

from application.ports.event_log import Batch, EventLog
from domain.errors import RetryLater, StarferryError
from projections.projection import Projection, live_schema

logger = structlog.get_logger()

BATCH = 500
"""Large enough for 48 000 events/s in the prototype; small enough that a reader's wait for its write stays short."""
RETRY_SECONDS = 1.0
GATHER_SECONDS = 0.1
"""From one batch to the next, at least: of a steady stream many events share a batch, for nearly the price of one. The
first after a silence is applied at once."""
AWAITED_SECONDS = 0.02
"""The same while somebody waits for the next one (projections/awaited.py)."""
LEADER_LOCK = 7236837101
CREATE_LOCK = 7236837108
CHANNEL = "starferry_projected"
Session = Callable[[str], psycopg.Connection[Any]]
"""Opens a session that commits by itself."""


def _plain_session(conninfo: str) -> psycopg.Connection[Any]:
    return psycopg.connect(conninfo, autocommit=True)


def create_missing(connection: psycopg.Connection[Any], projections: Sequence[Projection]) -> None:
    """Create the tables of read models that this database doesn't have; they fill from the log's beginning."""
    if all(projection.name in _known(connection) for projection in projections):
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (CREATE_LOCK,))
        known = _known(connection)
        for projection in projections:
            if projection.name in known:
                continue
            build_schema(connection, projection, live_schema(projection.name), with_indexes=True)
            connection.execute(
                "INSERT INTO starferry.projection (name, version, position) VALUES (%s, %s, 0)",
                (projection.name, projection.version),
            )


def _known(connection: psycopg.Connection[Any]) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM starferry.projection").fetchall()}


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
    """Call `wake` when the log may have grown, `hurry` when somebody waits; `run` until `stop`. Only the process that
    holds the lock projects.

    `superseded` says why `run` ended by itself: the live read models are of another program's version, which goes on
    with them.
    """

    def __init__(
        self, conninfo: str, log: EventLog, projections: Sequence[Projection], session: Session | None = None
    ) -> None:
        """`session` opens the one that leads, so that the server soon notices a host that is gone without a word."""
        self._conninfo = conninfo
        self._session = session or _plain_session
        self._log = log
        self._projections = projections
        self._versions = {projection.name: projection.version for projection in projections}
        self.superseded = ""
        self._topics = frozenset().union(*(projection.topics for projection in projections))
        self._woken = threading.Event()
        self._awaited = threading.Event()
        self._stopped = threading.Event()

    def wake(self) -> None:
        """There may be something new."""
        self._woken.set()

    def hurry(self) -> None:
        """Somebody waits for what is in the log now."""
        self._awaited.set()

    def stop(self) -> None:
        """End after the batch at hand."""
        self._stopped.set()
        self._woken.set()
        self._awaited.set()

    def run(self) -> None:
        """Work until stopped; a lost database or a failing batch is tried again."""
        away = False
        while not self._stopped.is_set():
            try:
                with self._session(self._conninfo) as connection:
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
                try:
                    while self.step(connection):
                        pass
                finally:  # a session's locks outlive it by some milliseconds, and the next one must not find it held
                    connection.execute("SELECT pg_advisory_unlock(%s)", (LEADER_LOCK,))

    def _lead(self, connection: psycopg.Connection[Any]) -> None:
        while not self._stopped.is_set():
            self._woken.clear()
            self._awaited.clear()
            begun = time.monotonic()
            if not self.step(connection):
                self._woken.wait(1.0)
            else:
                self._stopped.wait(max(0.0, begun + AWAITED_SECONDS - time.monotonic()))
                self._awaited.wait(max(0.0, begun + GATHER_SECONDS - time.monotonic()))

    def step(self, connection: psycopg.Connection[Any]) -> bool:
        """Apply the next batch; false when there was none."""
        rows = connection.execute("SELECT name, version, position, failure FROM starferry.projection").fetchall()
        self._step_aside({name: version for name, version, _, _ in rows})
        positions = {name: position for name, _, position, failure in rows if name in self._versions and not failure}
        if not positions or self.superseded:
            return False
        after = min(positions.values())
        batch = self._log.read(after, BATCH, topics=self._topics)
        if batch.upto == after:
            return False
        try:
            self._apply(connection, batch, after, self._projections)
        except Exception as error:
            if _is_outage(error):
                raise
            logger.exception("a batch failed; trying each read model alone", upto=batch.upto)
            for projection in self._projections:
                self._apply_alone(connection, batch, after, projection)
        return True

    def _step_aside(self, live: Mapping[str, int]) -> None:
        """Tables of another version aren't for this program to write."""
        others = [name for name, version in self._versions.items() if live.get(name, version) != version]
        if others:
            name = others[0]
            self.superseded = (
                f"{name} is version {live[name]} now, and this program makes version {self._versions[name]}"
            )
            logger.error("another program has taken over the read models; this one projects no more", models=others)
            self.stop()

    def _apply_alone(
        self, connection: psycopg.Connection[Any], batch: Batch, after: int, projection: Projection
    ) -> None:
        """A read model that an event breaks stops, loudly, and shows in status and readiness; the others go on."""
        try:
            self._apply(connection, batch, after, [projection])
        except Exception as error:
            if _is_outage(error):
                raise
            logger.exception("read model stopped", projection=projection.name, upto=batch.upto)
            connection.execute(
                "UPDATE starferry.projection SET failure = %s WHERE name = %s", (str(error)[:500], projection.name)
            )

    def _apply(
        self,
        connection: psycopg.Connection[Any],
        batch: Batch,
        after: int,
        projections: Sequence[Projection],
    ) -> None:
        """Apply what follows `after`; not to a read model that came meanwhile and lacks what was before."""
        names = [projection.name for projection in projections]
        with connection.transaction(), connection.cursor() as cursor:
            # what is lost in a crash is projected again: the rows and their position go together
            cursor.execute("SET LOCAL synchronous_commit TO off")
            cursor.execute(
                "SELECT name, version, position FROM starferry.projection WHERE name = ANY(%s) AND failure = '' "
                "ORDER BY name FOR UPDATE",
                (names,),
            )
            rows = cursor.fetchall()
            positions = {
                name: position
                for name, version, position in rows
                if version == self._versions[name] and position >= after
            }
            for projection in projections:
                position = positions.get(projection.name)
                if position is None or position >= batch.upto:
                    continue
                mine = [
                    recorded
                    for recorded in batch.events
                    if recorded.position > position and recorded.event.topic in projection.topics
                ]
                if mine:
                    cursor.execute(f"SET LOCAL search_path TO {live_schema(projection.name)}".encode())
                    projection.apply(cursor, mine)
            cursor.execute(
                "UPDATE starferry.projection SET position = %s WHERE name = ANY(%s) AND position < %s",
                (batch.upto, list(positions), batch.upto),
            )
            cursor.execute(f"NOTIFY {CHANNEL}, '{batch.upto}'".encode())


def _is_outage(error: Exception) -> bool:
    """Whether the same batch will do later. What is beyond PostgreSQL's limits (class 54: a value too long for its
    index, say) never will, though psycopg counts it among the operational errors."""
    return isinstance(error, psycopg.OperationalError) and not (error.sqlstate or "").startswith("54")

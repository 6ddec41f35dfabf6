"""Read models that stand beside the live ones: the one that is being built, and the one that was live before.

Each has a schema of its own and a row that says how far it has come. The row moves in the transaction that moves the
tables, so whoever comes next goes on where the last one was stopped, however that happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec
import psycopg
from psycopg.rows import class_row

from domain.errors import Conflict, RetryLater
from projections.projection import Cursor, Projection

REBUILD_LOCK = 7236837102
LOCK_KEY = REBUILD_LOCK & 0x7FFFFFFF
LOCK_MILLISECONDS = 2000

Stage = Literal["loading", "indexed", "staged", "different"]
"""Being filled; filled and indexed; compared and ready to be swapped in; compared and kept apart for a look."""

T = TypeVar("T")


class Build(msgspec.Struct, frozen=True):
    """A build. `rate` is in events a second; `comparison` is that of Comparison, as JSON."""

    name: str
    version: int
    position: int
    target: int
    stage: Stage
    rate: float
    comparison: Any
    started_at: datetime
    updated_at: datetime
    running: bool
    """Whether some process works on it now."""

    @property
    def schema(self) -> str:
        """Where its tables are."""
        return build_name(self.name)

    @property
    def seconds_left(self) -> float | None:
        """Until the target at the present rate; None while nobody works on it."""
        if not self.running or self.rate <= 0:
            return None
        return max(0, self.target - self.position) / self.rate


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What was live before the last swap."""

    name: str
    version: int
    position: int
    kept_at: datetime

    @property
    def schema(self) -> str:
        """Where its tables are."""
        return kept_name(self.name)


_BUILDS = f"""
SELECT name, version, position, target, stage, rate, comparison, started_at, updated_at,
       EXISTS (SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
                  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                  AND l.classid = {LOCK_KEY} AND l.objid::bigint = hashtext(b.name)::bigint & 4294967295) AS running
  FROM starferry.projection_build b
"""
BUILDS = f"{_BUILDS} ORDER BY name"
"""All builds, in the columns of Build."""


def build_name(name: str) -> str:
    """The schema in which a new version is built."""
    return f"build_{name}"


def kept_name(name: str) -> str:
    """The schema of what was live before."""
    return f"old_{name}"


def builds(connection: psycopg.Connection[Any]) -> list[Build]:
    """All that are under way, or wait."""
    with connection.cursor(row_factory=class_row(Build)) as cursor:
        return cursor.execute(BUILDS.encode()).fetchall()


def build_of(connection: psycopg.Connection[Any], name: str) -> Build | None:
    """That of one read model."""
    with connection.cursor(row_factory=class_row(Build)) as cursor:
        return cursor.execute(f"{_BUILDS} WHERE name = %s".encode(), (name,)).fetchone()


def kept(connection: psycopg.Connection[Any]) -> list[Kept]:
    """All that were live before."""
    with connection.cursor(row_factory=class_row(Kept)) as cursor:
        return cursor.execute("SELECT * FROM starferry.projection_kept ORDER BY name").fetchall()


def sizes(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Bytes on disk of each schema of a read model."""
    rows = connection.execute(
        "SELECT n.nspname, coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_namespace n "
        "LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'm') "
        "WHERE n.nspname ~ '^(read|build|old)_' GROUP BY 1"
    ).fetchall()
    return dict(rows)


@contextmanager
def building(conninfo: str, name: str, *, wait_milliseconds: int | None = None) -> Iterator[psycopg.Connection[Any]]:
    """A connection that is the only one to build, swap or forget this read model.

    Raises Conflict while another does, RetryLater when the database goes away, here or in what is done with it.
    """
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            taken = f"Another rebuild of {name} is running; wait for it to end."
            lock(connection, LOCK_KEY, name, taken, wait_milliseconds=wait_milliseconds)
            yield connection
    except psycopg.OperationalError as error:
        raise RetryLater(f"The database went away; what was done of {name} isn't lost: do the same again.") from error


def lock(
    connection: psycopg.Connection[Any], key: int, name: str, taken: str, *, wait_milliseconds: int | None = None
) -> None:
    """Hold a name until the connection ends; Conflict with the sentence `taken` when another does. It is waited for a
    little: one that has just ended may hold it for some milliseconds more."""
    patience = LOCK_MILLISECONDS if wait_milliseconds is None else wait_milliseconds
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout TO {patience}".encode())
            connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", (key, name))
    except psycopg.errors.LockNotAvailable:
        raise Conflict(taken) from None


def begin(connection: psycopg.Connection[Any], projection: Projection, create: Callable[[str], None]) -> Build:
    """Throw away what there was of a build, and begin one: `create` makes the tables in the schema that it is given."""
    name, schema = projection.name, build_name(projection.name)
    with connection.transaction():
        forget_build(connection, name)
        create(schema)
        connection.execute(
            "INSERT INTO starferry.projection_build (name, version) VALUES (%s, %s)", (name, projection.version)
        )
    return _there(build_of(connection, name))


def enter_stage(connection: psycopg.Connection[Any], build: Build, stage: Stage, *, comparison: Any = None) -> Build:
    """The build has come to a stage; a comparison stays until there is another."""
    connection.execute(
        "UPDATE starferry.projection_build SET stage = %s, comparison = coalesce(%s::jsonb, comparison), "
        "updated_at = now() WHERE name = %s",
        (stage, None if comparison is None else msgspec.json.encode(comparison).decode(), build.name),
    )
    return _there(build_of(connection, build.name))


def forget_build(connection: psycopg.Connection[Any], name: str) -> None:
    """Drop a build. Within the caller's transaction."""
    connection.execute(f"DROP SCHEMA IF EXISTS {build_name(name)} CASCADE".encode())
    connection.execute("DELETE FROM starferry.projection_build WHERE name = %s", (name,))


def forget_kept(connection: psycopg.Connection[Any], name: str) -> None:
    """Drop what was live before. Within the caller's transaction."""
    connection.execute(f"DROP SCHEMA IF EXISTS {kept_name(name)} CASCADE".encode())
    connection.execute("DELETE FROM starferry.projection_kept WHERE name = %s", (name,))


def moved(cursor: Cursor, beside: Build | Kept, position: int, target: int, rate: float) -> None:
    """Note, in the transaction that moves the tables, how far they have come."""
    if isinstance(beside, Kept):
        cursor.execute("UPDATE starferry.projection_kept SET position = %s WHERE name = %s", (position, beside.name))
        return
    cursor.execute(
        "UPDATE starferry.projection_build SET position = %s, target = %s, rate = %s, updated_at = now() "
        "WHERE name = %s",
        (position, target, rate, beside.name),
    )


class Pace:
    """Events a second, of the last ten seconds or so: what it was in the beginning says little about the end."""

    MEMORY_SECONDS = 10.0

    def __init__(self, position: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._marks: list[tuple[float, int]] = [(clock(), position)]

    def at(self, position: int) -> float:
        """The rate, now that this position is reached."""
        now = self._clock()
        self._marks.append((now, position))
        while len(self._marks) > 2 and now - self._marks[1][0] >= self.MEMORY_SECONDS:
            self._marks.pop(0)
        since, begun = self._marks[0]
        return (position - begun) / max(now - since, 1e-6)


def table_names(connection: psycopg.Connection[Any], schema: str) -> Sequence[str]:
    """The tables of a schema."""
    rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", (schema,))
    return [name for (name,) in rows.fetchall()]


def _there(found: T | None) -> T:
    assert found is not None
    return found

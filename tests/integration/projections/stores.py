"""Databases as earlier releases have left them, and a later release's read model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import psycopg

from adapters.event_store.compressor import HeaderCompressor
from adapters.event_store.mapper import EventMapper
from adapters.postgres.migrate import LOCK
from api import bootstrap
from projections.frames.projection import FramesProjection
from projections.projection import Projection, checksum_query
from projections.storage_configs import StorageConfigsProjection
from tests.golden.make import EVENT_SAMPLES

MIGRATIONS = sorted(Path("adapters/postgres/migrations").resolve().glob("*.sql"))
BEFORE_VERSIONS = [path.stem for path in MIGRATIONS if path.stem < "0013"]
ENDINGS = ("deleted", "removed", "expired", "ended", "cleared", "revoked")
BEGINNINGS = ("created", "requested", "submitted", "discovered", "file_processed")
NEW_COLUMN = "shouted text GENERATED ALWAYS AS (upper(basename)) STORED"


def migrated_to(database: str, last: str) -> None:
    """Apply the migrations up to one of them, as the release of that time did it."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        connection.execute("CREATE SCHEMA starferry")
        connection.execute(
            "CREATE TABLE starferry.migration (name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
        )
        for path in MIGRATIONS:
            if path.stem <= last:
                connection.execute(path.read_text())
                connection.execute("INSERT INTO starferry.migration (name) VALUES (%s)", (path.stem,))


def every_sample() -> list[tuple[str, str, bytes]]:
    """Stream, topic and body of one stored event of every version ever released. All samples of a kind are of one
    thing, so what ends it comes first, where it does no harm to what the others leave in the tables. Their texts are
    made up; a hash must be one."""

    def order(path: Path) -> tuple[bool, bool, str]:
        topic = _topic(path)
        return not topic.endswith(ENDINGS), not topic.endswith(BEGINNINGS), path.name

    paths = sorted(EVENT_SAMPLES.glob("*.json"), key=order)
    return [
        (_stream(_topic(path)), _topic(path), path.read_bytes().replace("sha256 é".encode(), b"ab" * 32).rstrip(b"\n"))
        for path in paths
    ]


def write_as_then(database: str, samples: Sequence[tuple[str, str, bytes]]) -> None:
    """Store bodies as rows of the log, whatever is in them."""
    compress = HeaderCompressor().compress
    _insert(database, [(stream, topic, compress(body)) for stream, topic, body in samples])


def write_as_today(database: str, samples: Sequence[tuple[str, str, bytes]]) -> None:
    """Store the same events in the form that today's program gives them."""
    mapper, compress = EventMapper(), HeaderCompressor().compress
    rows = []
    for stream, topic, body in samples:
        stored = mapper.to_domain_event(_Stored(stream, 1, topic, compress(body)))
        rows.append((stream, topic, mapper.to_stored_event(stored).state))
    _insert(database, rows)


def contents(database: str) -> dict[str, Any]:
    """A checksum of every table of every read model."""
    with psycopg.connect(database, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname LIKE 'read_%' ORDER BY 1, 2"
        ).fetchall()
        return {
            f"{schema}.{table}": connection.execute(checksum_query(schema, table)).fetchone()
            for schema, table in tables
        }


class NextFrames(FramesProjection):
    """The frames of a later release: they have a column more."""

    version = FramesProjection.version + 1
    tables = FramesProjection.tables.replace("grams smallint[] NOT NULL", f"grams smallint[] NOT NULL, {NEW_COLUMN}")


class FirstFrames(FramesProjection):
    """The frames of a release before read models had versions, as far as the number goes."""

    version = 1


class FirstStorageConfigs(StorageConfigsProjection):
    """The same of the storage configurations."""

    version = 1


def make_frames_first(database: str) -> None:
    """Turn the frames tables into those of version 1, which knew nothing of the past."""
    twins = ("frame", "version", "thumbnail", "link")
    with psycopg.connect(database) as connection:
        connection.execute("SET LOCAL search_path TO read_frames")
        for table in twins:
            connection.execute(f"DROP FUNCTION {table}_as_of".encode())
            connection.execute(f"DROP TABLE past_{table}".encode())
        for table in (*twins, "waiting"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN since".encode())
        connection.execute("DROP INDEX waiting_frame")
        connection.execute("UPDATE starferry.projection SET version = 1 WHERE name = 'frames'")


@contextmanager
def release_with(*later: Projection) -> Iterator[None]:
    """Within, the program is one whose read models of these names are `later`."""
    now = bootstrap.read_models
    instead = {one.name: one for one in later}

    def read_models(sky: Any) -> list[Projection]:
        return [instead.get(one.name, one) for one in now(sky)]

    with mock.patch("api.bootstrap.read_models", read_models), mock.patch("api.cli.migrate.read_models", read_models):
        yield


class _Stored(msgspec.Struct, frozen=True):
    originator_id: str
    originator_version: int
    topic: str
    state: bytes


def _topic(path: Path) -> str:
    return path.name.partition(".v")[0]


def _stream(topic: str) -> str:
    kind = topic.partition(".")[0]
    return f"{kind}:{'basename' if kind == 'frame' else 'id'} é"


def _insert(database: str, rows: Sequence[tuple[str, str, bytes]]) -> None:
    versions: dict[str, int] = {}
    with psycopg.connect(database, autocommit=True) as connection, connection.cursor() as cursor:
        for stream, topic, state in rows:
            versions[stream] = versions.get(stream, 0) + 1
            cursor.execute(
                "INSERT INTO starferry.starferry_events (originator_id, originator_version, topic, state) "
                "VALUES (%s, %s, %s, %s)",
                (stream, versions[stream], topic, state),
            )

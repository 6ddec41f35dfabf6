"""What an upgrade has to do to the read models, told before it is done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg

from domain.errors import Misconfigured
from projections.builds import Build, build_of, sizes
from projections.projection import Projection, live_schema
from projections.rebuild import resumable
from projections.versions import misfits, sentence

LINGERING_SECONDS = 0.5
"""How long a session that has ended may still be shown; it is some milliseconds."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A read model that is to be built: `live` is the version in service, None when there is none yet."""

    projection: Projection
    live: int | None
    size: int
    """Bytes of the live one; the new one will be about as large."""
    build: Build | None
    """What is there of it already."""

    @property
    def ready(self) -> bool:
        """Whether it only has to be swapped in."""
        return self.build is not None and self.build.stage == "staged"


def steps(connection: psycopg.Connection[Any], projections: Sequence[Projection]) -> list[Step]:
    """What is to be done, also on a database of an older program. Raises Misconfigured on that of a newer one."""
    if connection.execute("SELECT to_regclass('starferry.projection')").fetchone() == (None,):
        return []
    versioned = connection.execute("SELECT to_regclass('starferry.projection_build')").fetchone() != (None,)
    columns = "name, version" if versioned else "name, 1"
    live = dict(connection.execute(f"SELECT {columns} FROM starferry.projection".encode()).fetchall())
    for wrong in misfits({projection.name: projection.version for projection in projections}, list(live.items())):
        if wrong.live > wrong.own:
            raise Misconfigured(sentence(wrong))
    on_disk = sizes(connection)
    found = []
    for projection in projections:
        if live.get(projection.name) == projection.version:
            continue
        build = build_of(connection, projection.name) if versioned else None
        found.append(
            Step(
                projection=projection,
                live=live.get(projection.name),
                size=on_disk.get(live_schema(projection.name), 0),
                build=build if resumable(build, projection) else None,
            )
        )
    return found


def others_connected(connection: psycopg.Connection[Any]) -> int:
    """How many other sessions use this database: an older program's processes, or somebody's psql."""
    others, until = _others(connection), time.monotonic() + LINGERING_SECONDS
    while others and time.monotonic() < until:
        time.sleep(LINGERING_SECONDS / 10)
        others &= _others(connection)
    return len(others)


def _others(connection: psycopg.Connection[Any]) -> set[int]:
    found = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'"
    )
    return {pid for (pid,) in found}

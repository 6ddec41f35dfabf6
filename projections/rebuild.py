"""Builds a read model from the log beside the live one, compares the two, and swaps them in one transaction.

Readers are answered all the time, and live projecting goes on but for moments. It can be stopped at any moment, also by
`kill -9`: the next one goes on where it was (projections/builds.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgspec
import psycopg

from application.ports.event_log import EventLog
from projections.builds import Build, Pace, begin, build_of, building, enter_stage, moved, table_names
from projections.catching_up import Report, breaking_events, catch_up
from projections.comparing import Comparison, compare
from projections.loading import CONNECTIONS, create_indexes, load
from projections.making_way import Readers
from projections.projection import Cursor, Projection
from projections.runner import build_schema
from projections.swapping import live_of, swap_in

FAR_BEHIND = 50_000
"""Events; more are faster applied before there are indexes."""

Tell = Callable[[str], None]
"""Called with what is being done now, in a few words."""


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild did. It began at the position `begun`, when an earlier one was gone on with; `held` is for how
    many seconds live projecting stood still. `comparison` is None where there was nothing to compare with."""

    name: str
    version: int
    begun: int
    position: int
    seconds: float
    held: float
    comparison: Comparison | None
    swapped: bool

    @property
    def tables(self) -> dict[str, tuple[int, bool | None]]:
        """For each table that was compared its rows and whether they equal the old ones."""
        return self.comparison.tables if self.comparison else {}

    @property
    def identical(self) -> bool:
        """Whether the new read model equals the one that it replaced, where it should."""
        return self.comparison is not None and self.comparison.identical


def rebuild(
    conninfo: str,
    log: EventLog,
    projection: Projection,
    report: Report,
    *,
    tell: Tell = lambda _: None,
    keep_different: bool = False,
    restart: bool = False,
    swap: bool = True,
) -> Rebuilt:
    """Rebuild one read model and swap it in, or (without `swap`) leave it ready for that.

    It goes on with a build of this version that was stopped, unless it is told to `restart`. With `keep_different` a
    result that differs from the live model is not swapped in: it stays for a look, and the next rebuild begins anew.
    Raises Conflict while another rebuild of the same model runs.
    """
    started = time.monotonic()
    with building(conninfo, projection.name) as connection:
        build = _begun(connection, projection, restart=restart)
        begun = build.position
        upto = _first_target(connection, log, projection, must_compare=keep_different)
        comparison, held = _compared(build), 0.0
        if comparison is None or build.stage != "staged" or keep_different:
            build, comparison, held = _stage(conninfo, connection, log, projection, build, upto, report, tell)
        tell("catching up")
        build = catch_up(connection, log, projection, build, log.head(), report)
        if keep_different and not (comparison and comparison.identical):
            enter_stage(connection, build, "different")
            swap = False
        elif swap:
            tell("swapping")
            swapped = swap_in(connection, log, projection, build, report)
            build, held = msgspec.structs.replace(build, position=swapped.position), max(held, swapped.held)
    return Rebuilt(
        name=projection.name,
        version=projection.version,
        begun=begun,
        position=build.position,
        seconds=time.monotonic() - started,
        held=held,
        comparison=comparison,
        swapped=swap,
    )


def resumable(build: Build | None, projection: Projection) -> bool:
    """Whether a rebuild goes on with it."""
    return build is not None and build.version == projection.version and build.stage != "different"


def _begun(connection: psycopg.Connection[Any], projection: Projection, *, restart: bool) -> Build:
    build = build_of(connection, projection.name)
    if build is not None and resumable(build, projection) and not restart:
        return build
    return begin(
        connection, projection, lambda schema: build_schema(connection, projection, schema, with_indexes=False)
    )


def _stage(
    conninfo: str,
    connection: psycopg.Connection[Any],
    log: EventLog,
    projection: Projection,
    build: Build,
    upto: int,
    report: Report,
    tell: Tell,
) -> tuple[Build, Comparison | None, float]:
    """Fill, index and compare."""
    gently = True
    if build.stage == "loading":
        tell("reading events")
        readers = Readers(connection)
        build = _load(connection, log, projection, build, upto, report, readers)
        gently = readers.look()
        tell("making indexes")
        build = _index(conninfo, connection, projection, build, gently=gently)
    tell("catching up")
    build = catch_up(connection, log, projection, build, max(upto, _live_position(connection, projection)), report)

    def bring_to(position: int) -> int:
        nonlocal build
        build = catch_up(connection, log, projection, build, position, report)
        return build.position

    tell("comparing")
    comparison, held = compare(conninfo, connection, projection, build, bring_to, gently=gently)
    build = enter_stage(connection, build, "staged", comparison=comparison)
    return build, _compared(build), held


def _compared(build: Build) -> Comparison | None:
    """The last comparison of a build, perhaps made before it was stopped."""
    return None if build.comparison is None else msgspec.convert(build.comparison, Comparison)


def _load(
    connection: psycopg.Connection[Any],
    log: EventLog,
    projection: Projection,
    build: Build,
    upto: int,
    report: Report,
    readers: Readers,
) -> Build:
    """Fill the tables from the build's committed position up to `upto`. They have no secondary indexes yet."""
    pace = Pace(build.position)

    def record(cursor: Cursor, position: int) -> None:
        moved(cursor, build, position, upto, pace.at(position))

    loading = load(connection, log, projection, build.schema, build.position, upto, record, readers.look)
    with closing(loading) as positions:
        while True:
            with breaking_events(build):
                position = next(positions, None)
            if position is None:
                return build
            build = msgspec.structs.replace(build, position=position)
            report(position, upto)


def _index(
    conninfo: str, connection: psycopg.Connection[Any], projection: Projection, build: Build, *, gently: bool
) -> Build:
    create_indexes(conninfo, projection, build.schema, at_a_time=1 if gently else CONNECTIONS)
    build = enter_stage(connection, build, "indexed")
    tables = ", ".join(f"{build.schema}.{table}" for table in table_names(connection, build.schema))
    connection.execute(f"ANALYZE {tables}".encode())
    return build


def _first_target(
    connection: psycopg.Connection[Any], log: EventLog, projection: Projection, *, must_compare: bool
) -> int:
    """Where the live model is: what is further can't be compared with it any more. But one that is far behind, because
    an event has broken it or it has just been made, isn't worth filling the rest with all indexes in place."""
    head, live = log.head(), live_of(connection, projection.name)
    if live is None or (head - live.position > FAR_BEHIND and not must_compare):
        return head
    return live.position


def _live_position(connection: psycopg.Connection[Any], projection: Projection) -> int:
    live = live_of(connection, projection.name)
    return live.position if live else 0

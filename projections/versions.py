"""Does this program fit the read models that are live?

It serves from tables of exactly its own version, or not at all: tables of an older one lack what it asks for, those of
a newer one may mean something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg
import structlog

from application.ports.event_log import EventLog
from domain.errors import Misconfigured
from projections.builds import Build, build_of, building
from projections.projection import Projection
from projections.swapping import live_of, swap_in

logger = structlog.get_logger()

PATIENCE_MILLISECONDS = 600_000
"""For another process that is just swapping in what all wait for."""


class Misfit(msgspec.Struct, frozen=True):
    """A read model whose live version isn't this program's."""

    name: str
    live: int
    own: int


def misfits(versions: dict[str, int], live: Sequence[tuple[str, int]]) -> list[Misfit]:
    """Which of the live read models (name and version) aren't of these versions; what isn't there is none."""
    return [
        Misfit(name, version, versions[name])
        for name, version in live
        if name in versions and versions[name] != version
    ]


def sentence(misfit: Misfit, *, ready: bool = False) -> str:
    """What to do about it; `ready` when the right one waits to be swapped in."""
    if misfit.live > misfit.own:
        return (
            f"The read model {misfit.name} is of a newer program (version {misfit.live}; this one makes {misfit.own}): "
            f"run that program, or go back with `starferry projections rollback {misfit.name}`."
        )
    if ready:
        return (
            f"The read model {misfit.name} is still that of the older program (version {misfit.live}; version "
            f"{misfit.own} is ready): it is swapped in when the processes of this program start, or by "
            "`starferry migrate --swap`."
        )
    return (
        f"The read model {misfit.name} is of an older program (version {misfit.live}; this one makes {misfit.own}): "
        "run `starferry migrate`, which builds the new one."
    )


def fit(conninfo: str, log: EventLog, projections: Sequence[Projection], *, swap: bool = False) -> None:
    """Raises Misconfigured when a read model is live that is of another version. With `swap`, what `starferry migrate`
    has left ready for this program is swapped in first: that ends the older program's time."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for wrong in _misfits(connection, projections):
            projection = next(one for one in projections if one.name == wrong.name)
            ready = _ready(build_of(connection, wrong.name), projection)
            if not (ready and swap):
                raise Misconfigured(sentence(wrong, ready=ready))
            swap_in_ready(conninfo, log, projection)
        for wrong in _misfits(connection, projections):
            raise Misconfigured(sentence(wrong))


def _misfits(connection: psycopg.Connection[Any], projections: Sequence[Projection]) -> list[Misfit]:
    live = connection.execute("SELECT name, version FROM starferry.projection ORDER BY name").fetchall()
    return misfits({projection.name: projection.version for projection in projections}, live)


def _ready(build: Build | None, projection: Projection) -> bool:
    return build is not None and build.stage == "staged" and build.version == projection.version


def swap_in_ready(conninfo: str, log: EventLog, projection: Projection) -> None:
    """Swap in a build that is ready, unless another process has."""
    with building(conninfo, projection.name, wait_milliseconds=PATIENCE_MILLISECONDS) as connection:
        live, build = live_of(connection, projection.name), build_of(connection, projection.name)
        if build is None or not _ready(build, projection) or (live and live.version >= projection.version):
            return  # another process was first
        behind = log.head() - build.position
        logger.info("swapping in a read model that is ready", projection=projection.name, behind=behind)
        swapped = swap_in(connection, log, projection, build, lambda *_: None)
        logger.info(
            "read model swapped in", projection=projection.name, version=swapped.version, position=swapped.position
        )

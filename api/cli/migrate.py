"""`starferry migrate`: the whole upgrade of a release, while the program before goes on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import rich_click as click

from adapters.postgres.migrate import Migration, missing_migrations
from adapters.sky.spherical_sky import SphericalSky
from api.bootstrap import Core, open_core, read_models
from api.cli.build_progress import BuildProgress, duration_text, size_text
from api.cli.opening import data_option, settings_for
from api.database import prepare, running_database
from api.settings import Settings
from domain.errors import Conflict, RetryLater
from projections.rebuild import Rebuilt, rebuild
from projections.upgrade import Step, others_connected, steps

USUAL_RATE = 8_000
"""Events a second, for an estimate before there is a measurement: the frames read model on two cores."""

SOON = 5_000
"""Events that a process applies at its start without being late."""


class Plan(msgspec.Struct, frozen=True):
    """What there is to do. `others` is the number of other sessions on the database."""

    migrations: list[Migration]
    steps: list[Step]
    others: int
    events: int

    @property
    def breaking(self) -> list[str]:
        """The migrations that an older program can't go on after."""
        return [migration.name for migration in self.migrations if not migration.additive]


@click.command()
@click.option("--dry-run", is_flag=True, help="Only tell what is to be done.")
@click.option("--swap/--stage", default=None, help="Swap new read models in now, or leave them ready for the start of "
              "the new program (default: now, unless others use the database).")  # fmt: skip
@click.option("--restart", is_flag=True, help="Begin builds anew that were stopped.")
@data_option
def migrate(dry_run: bool, swap: bool | None, restart: bool, data: Path | None) -> None:
    """Bring a database of an earlier release up to date: tables, then read models, beside those in service."""
    settings = settings_for(data)
    with running_database(settings) as (conninfo, _):
        plan = _plan(conninfo)
        now = plan.others == 0 if swap is None else swap
        _tell_plan(settings, plan, now)
        if dry_run:
            return
        if plan.breaking and plan.others and not swap:
            raise Conflict(
                f"The migration {plan.breaking[0]} changes what an older program needs, and {plan.others} other "
                "connections use this database: stop that program first, or say --swap if it isn't one."
            )
        prepare(conninfo)
        build_read_models(settings, conninfo, swap=now, restart=restart)


def build_read_models(settings: Settings, conninfo: str, *, swap: bool, restart: bool = False) -> None:
    """Build what isn't of this program's versions, on a database whose migrations are done."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        todo = steps(connection, read_models(SphericalSky()))
    if not todo:
        click.echo("All read models are of this program's versions.")
        return
    with open_core(settings, conninfo, any_version=True) as core, BuildProgress() as progress:
        for step in todo:
            progress.begin(step.projection.name)
            _tell(_build(core, step, progress, swap=swap or step.live is None, restart=restart), step)


def needs_building(conninfo: str) -> bool:
    """Whether `build_read_models` has something to do that would make a start too long."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        todo = steps(connection, read_models(SphericalSky()))
        head = _head(connection) if todo else 0
    return any(_takes_long(step, head) for step in todo)


def _takes_long(step: Step, head: int) -> bool:
    """One that isn't there yet would fill by itself, but hold up the others meanwhile."""
    reached = step.build.position if step.build is not None and step.ready else 0
    return head - reached > SOON or (step.live is not None and not step.ready)


def _build(core: Core, step: Step, progress: BuildProgress, *, swap: bool, restart: bool) -> Rebuilt:
    return rebuild(
        core.conninfo, core.log, step.projection, progress.report, tell=progress.tell, restart=restart, swap=swap
    )


def _plan(conninfo: str) -> Plan:
    missing = missing_migrations(conninfo)
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            todo = steps(connection, read_models(SphericalSky()))
            others = others_connected(connection)
            events = _head(connection) if todo else 0
    except psycopg.OperationalError as error:
        raise RetryLater("The database can't be reached at the moment.") from error
    return Plan(missing, todo, others, events)


def _head(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT max(notification_id) FROM starferry.starferry_events").fetchone()
    return row[0] or 0 if row else 0


def _tell_plan(settings: Settings, plan: Plan, now: bool) -> None:
    for migration in plan.migrations:
        told = "an older program can go on" if migration.additive else "an older program can't go on after it"
        click.echo(f"migration {migration.name}: {told}")
    for step in plan.steps:
        click.echo(f"{step.projection.name}: {_what(step, plan.events)}")
    if not plan.steps:
        click.echo("read models: none is to be built")
        return
    if needed := sum(step.size for step in plan.steps):
        room = "" if settings.database_url else f"; {size_text(shutil.disk_usage(settings.data).free)} are free"
        click.echo(f"room: about {size_text(needed)} more, which stays in use for going back{room}")
    if now:
        click.echo("then: swapped in at once")
    else:
        told = f"{plan.others} other connections use the database, so each" if plan.others else "each"
        click.echo(f"then: {told} is left ready, and swapped in when this program's processes start")


def _what(step: Step, events: int) -> str:
    versions = f"version {step.live} -> {step.projection.version}" if step.live else "new"
    if step.build is not None:
        if step.ready:
            return f"{versions}, is ready but for {max(0, events - step.build.position)} events"
        return f"{versions}, goes on at event {step.build.position} of {events}"
    estimate = duration_text(events / USUAL_RATE)
    size = f", {size_text(step.size)}" if step.size else ""
    return f"{versions}{size}, {events} events to read (about {estimate})"


def _tell(rebuilt: Rebuilt, step: Step) -> None:
    what = f"{rebuilt.name}: version {rebuilt.version}, {rebuilt.position - rebuilt.begun} events in "
    click.echo(f"{what}{duration_text(rebuilt.seconds)}, {'swapped in' if rebuilt.swapped else 'ready'}")
    if rebuilt.comparison is None:
        if step.live is not None:
            click.echo(f"{rebuilt.name}: not compared, for the live one is behind it")
        return
    different = [table for table, (_, equal) in rebuilt.tables.items() if equal is False]
    if different:
        click.echo(f"{rebuilt.name}: DIFFERENT from before in {', '.join(different)}")
    else:
        click.echo(f"{rebuilt.name}: the same as before in all that both versions have")

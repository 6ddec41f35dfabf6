"""`starferry projections`: the process that keeps the read models, and what an operator does with them."""

from __future__ import annotations

from pathlib import Path

import psycopg
import rich_click as click
from rich.console import Console
from rich.table import Table

from api.bootstrap import Core
from api.cli.build_progress import BuildProgress, duration_text, pace_text, size_text
from api.cli.opening import data_option, opened
from api.cli.run import run_projections
from domain.errors import Conflict, InvalidInput, NotFound
from projections.builds import Build, build_name, builds, kept, kept_name, sizes
from projections.projection import Projection, live_schema
from projections.rebuild import Rebuilt, rebuild
from projections.swapping import forget, roll_back

FOUND = {True: "identical", False: "DIFFERENT from before", None: "new"}


@click.group(invoke_without_command=True)
@data_option
@click.pass_context
def projections(context: click.Context, data: Path | None) -> None:
    """Without a subcommand: the process that keeps the read models up to date and drives the policies."""
    if context.invoked_subcommand is None:
        run_projections(data)


@projections.command()
@data_option
def status(data: Path | None) -> None:
    """How far each read model and policy has come, what is being built, what is kept, and how large all that is."""
    table = Table("name", "version", "position", "behind", "size", "failure", box=None, pad_edge=False)
    beside: list[str] = []
    with opened(data, any_version=True) as core:
        head = core.log.head()
        with psycopg.connect(core.conninfo) as connection:
            on_disk = sizes(connection)
            models = connection.execute(
                "SELECT name, version, position, failure FROM starferry.projection ORDER BY name"
            )
            for name, version, position, failure in models.fetchall():
                size = size_text(on_disk.get(live_schema(name), 0))
                table.add_row(name, str(version), str(position), str(max(0, head - position)), size, failure)
            policies = connection.execute("SELECT name, position FROM starferry.consumer ORDER BY name")
            for name, position in policies.fetchall():
                table.add_row(name, "", str(position), "", "", "")
            for build in builds(connection):
                size = size_text(on_disk.get(build.schema, 0))
                beside.append(
                    f"{build.name}: version {build.version} {_build_text(build, head)} ({build.schema}, {size})"
                )
            for one in kept(connection):
                size = size_text(on_disk.get(one.schema, 0))
                beside.append(
                    f"{one.name}: version {one.version} was live until {one.kept_at:%Y-%m-%d %H:%M}, and is kept for "
                    f"`starferry projections rollback {one.name}` ({one.schema}, {size})"
                )
    Console().print(table)
    if beside:
        click.echo("\n" + "\n".join(beside))


@projections.command("rebuild")
@click.argument("name")
@click.option("--verify", is_flag=True, help="Keep the old one, and exit with 1, when the result differs.")
@click.option("--restart", is_flag=True, help="Begin anew, where an earlier rebuild was stopped.")
@data_option
def rebuild_command(name: str, verify: bool, restart: bool, data: Path | None) -> None:
    """Build a read model (or `all`) anew from the events, beside the live one, and swap it in.

    A rebuild that was stopped is gone on with. What was live before is kept, for `rollback`.
    """
    with opened(data) as core:
        chosen = _chosen(core, name)
        core.projection_runner().catch_up()
        with BuildProgress() as progress:
            for projection in chosen:
                progress.begin(projection.name)
                rebuilt = rebuild(
                    core.conninfo,
                    core.log,
                    projection,
                    progress.report,
                    tell=progress.tell,
                    keep_different=verify,
                    restart=restart,
                )
                _tell(rebuilt, verify)


@projections.command()
@click.argument("name")
@data_option
def rollback(name: str, data: Path | None) -> None:
    """Put back the read model that was live before the last swap, once it has caught up; the present one is kept.

    To go back to an earlier release, stop this one and run the command with the earlier release's program.
    """
    with opened(data, any_version=True) as core:
        (projection,) = _chosen(core, name, all_too=False)
        with BuildProgress() as progress:
            progress.begin(name)
            progress.tell("going back")
            swapped = roll_back(core.conninfo, core.log, projection, progress.report)
    click.echo(f"{name}: the earlier one is live again (version {swapped.version}), up to event {swapped.position}.")


@projections.command("forget")
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Only tell what would be dropped.")
@data_option
def forget_command(name: str, dry_run: bool, data: Path | None) -> None:
    """Drop what is kept beside a read model (or `all`), the one before and a build that was begun: frees room."""
    with opened(data, any_version=True) as core:
        chosen = _chosen(core, name)
        with psycopg.connect(core.conninfo) as connection:
            on_disk = sizes(connection)
        dropped = 0
        for projection in chosen:
            told = {kept_name(projection.name): "the one before", build_name(projection.name): "an unfinished build"}
            there = {schema: what for schema, what in told.items() if schema in on_disk}
            for schema, what in there.items():
                click.echo(f"{projection.name}: {what} ({schema}, {size_text(on_disk[schema])})")
            dropped += len(there)
            if there and not dry_run:
                forget(core.conninfo, projection.name)
        if not dropped:
            raise NotFound(f"Nothing is kept beside {name}.")
        click.echo("Nothing was dropped: this was a dry run." if dry_run else "Dropped.")


def _chosen(core: Core, name: str, *, all_too: bool = True) -> list[Projection]:
    known = {projection.name: projection for projection in core.projections()}
    if name in known:
        return [known[name]]
    if name == "all" and all_too:
        return list(known.values())
    raise InvalidInput(f"There is no read model {name}; there are {', '.join(known)}{', or all' * all_too}.")


def _build_text(build: Build, head: int) -> str:
    match build.stage:
        case "staged":
            return f"is ready to be swapped in, {max(0, head - build.position)} events behind"
        case "different":
            return "differs from the live one; kept for a look"
        case _:
            share = f"{100 * build.position // max(build.target, 1)} % of {build.target}"
            pace = pace_text(build.rate, build.target - build.position)
            if not build.running:
                return f"was stopped at {share}, and goes on with the next rebuild"
            return f"is being built, {share}{', ' * bool(pace)}{pace}"


def _tell(rebuilt: Rebuilt, verify: bool) -> None:
    for table, (rows, equal) in rebuilt.tables.items():
        click.echo(f"{rebuilt.name}.{table}: {rows} rows, {FOUND[equal]}")
    if rebuilt.comparison is None:
        click.echo(f"{rebuilt.name}: not compared, for the live one is behind it")
    events = rebuilt.position - rebuilt.begun
    rate = events / max(rebuilt.seconds, 1e-6)
    click.echo(
        f"{rebuilt.name}: {events} events in {duration_text(rebuilt.seconds)} ({rate:.0f}/s), live projecting was held "
        f"up for {rebuilt.held * 1000:.0f} ms"
    )
    if verify and not rebuilt.identical:
        raise Conflict(
            f"The rebuilt {rebuilt.name} differs from the live one, or couldn't be compared; the live one stays, "
            f"the new one is in the schema build_{rebuilt.name}."
        )

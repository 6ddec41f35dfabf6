"""`starferry events replay`: the read models as they were, in schemas of their own, to be looked at with SQL."""

from __future__ import annotations

from pathlib import Path

import psycopg
import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from api.cli.opening import data_option, opened
from api.ocs.time_travel import place_of
from application.positions import point_of
from domain.errors import InvalidInput
from projections.replay import Replayed
from projections.replay import forget_replay as forget
from projections.replay import replay as build
from projections.replay import replays as all_replays


@click.command()
@click.option("--to", required=True, help="As of this position, or this time (ISO 8601; UTC without an offset).")
@click.option("--into", required=True, help="The replay's name: small letters and digits.")
@click.option("--model", "models", multiple=True, help="Only this read model; repeatable. All without it.")
@click.option("--replace", is_flag=True, help="Drop a replay of this name first.")
@data_option
def replay(to: str, into: str, models: tuple[str, ...], replace: bool, data: Path | None) -> None:
    """Build the read models as they were, in schemas replay_NAME_MODEL beside the live ones.

    Stopped, it goes on when it is given again with the same position.
    """
    with opened(data) as core:
        known = {projection.name: projection for projection in core.projections()}
        if unknown := [name for name in models if name not in known]:
            raise InvalidInput(f"There is no read model {unknown[0]}; there are {', '.join(known)}.")
        point = point_of(core.log, place_of(to), core.clock.now())
        chosen = [projection for name, projection in known.items() if not models or name in models]
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            tasks: dict[str, TaskID] = {}

            def report(model: str, position: int, upto: int) -> None:
                if model not in tasks:
                    tasks[model] = progress.add_task(model, total=upto)
                progress.update(tasks[model], completed=position)

            built = build(core.conninfo, core.log, chosen, into, point.position, report, replace=replace)
    when = f", the last event of which was recorded {point.at:%Y-%m-%d %H:%M:%S}Z" if point.at else ""
    click.echo(f"As of position {point.position}{when}:")
    _show(built)


@click.command()
@data_option
def replays(data: Path | None) -> None:
    """The replays that there are, with their positions and sizes."""
    with opened(data) as core, psycopg.connect(core.conninfo, autocommit=True) as connection:
        found = all_replays(connection)
    if found:
        _show(found)
    else:
        click.echo("There are none.")


@click.command("forget-replay")
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Only say what would be dropped.")
@data_option
def forget_replay(name: str, dry_run: bool, data: Path | None) -> None:
    """Drop a replay's schemas."""
    with opened(data) as core:
        found = forget(core.conninfo, name, dry_run=dry_run)
    for one in found:
        click.echo(f"{'would drop' if dry_run else 'dropped'} {one.schema} ({_megabytes(one.size)})")


def _show(found: list[Replayed]) -> None:
    table = Table("schema", "as of position", "size", "state", box=None, pad_edge=False)
    for one in found:
        state = "complete" if one.done else f"stopped at {one.position}; give the command again"
        table.add_row(one.schema, str(one.upto), _megabytes(one.size), state)
    Console().print(table)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"

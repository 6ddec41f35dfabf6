"""`starferry projections`: the process that keeps the read models, and what an operator does with them."""

from __future__ import annotations

from pathlib import Path

import psycopg
import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from api.cli.opening import data_option, opened
from api.cli.run import run_projections
from domain.errors import Conflict, InvalidInput
from projections.rebuild import Rebuilt, rebuild


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
    """How far each read model and policy has come."""
    table = Table("name", "position", "behind", "failure", box=None, pad_edge=False)
    with opened(data) as core:
        head = core.log.head()
        with psycopg.connect(core.conninfo) as connection:
            models = connection.execute("SELECT name, position, failure FROM starferry.projection ORDER BY name")
            for name, position, failure in models.fetchall():
                table.add_row(name, str(position), str(max(0, head - position)), failure)
            policies = connection.execute("SELECT name, position FROM starferry.consumer ORDER BY name")
            for name, position in policies.fetchall():
                table.add_row(name, str(position), "", "")
    Console().print(table)


@projections.command("rebuild")
@click.argument("name")
@click.option("--verify", is_flag=True, help="Keep the old one, and exit with 1, when the result differs.")
@data_option
def rebuild_command(name: str, verify: bool, data: Path | None) -> None:
    """Build a read model (or `all`) anew from the events, beside the live one, and swap it in."""
    with opened(data) as core:
        known = {projection.name: projection for projection in core.projections()}
        if name != "all" and name not in known:
            raise InvalidInput(f"There is no read model {name}; there are {', '.join(known)}, or all.")
        chosen = list(known.values()) if name == "all" else [known[name]]
        core.projection_runner().catch_up()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            for projection in chosen:
                task = progress.add_task(projection.name, total=None)

                def report(position: int, upto: int, task: object = task) -> None:
                    progress.update(task, completed=position, total=upto)  # type: ignore[arg-type]

                _tell(rebuild(core.conninfo, core.log, projection, report, keep_different=verify), verify)


def _tell(rebuilt: Rebuilt, verify: bool) -> None:
    for table, (rows, equal) in rebuilt.tables.items():
        click.echo(f"{rebuilt.name}.{table}: {rows} rows, {'identical' if equal else 'DIFFERENT from before'}")
    rate = rebuilt.position / max(rebuilt.seconds, 1e-6)
    click.echo(f"{rebuilt.name}: {rebuilt.position} events in {rebuilt.seconds:.1f} s ({rate:.0f}/s)")
    if verify and not rebuilt.identical:
        raise Conflict(
            f"The rebuilt {rebuilt.name} differs from the live one; the live one stays, "
            f"the new one is in the schema build_{rebuilt.name}."
        )

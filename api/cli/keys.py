"""`starferry keys`: the master keys that seal all credentials, and their rotation while everything runs (S26)."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from api.cli.opening import data_option, opened


@click.group()
def keys() -> None:
    """Master keys: which seal what, and how to move everything to a new one."""


@keys.command()
@data_option
def status(data: Path | None) -> None:
    """How many data keys each master key wraps. One that wraps none can be taken out."""
    table = Table("master key", "data keys", "", box=None, pad_edge=False)
    with opened(data) as core:
        in_use = core.vault.in_use()
        for name in core.vault.master_keys():
            newest = name == core.vault.master_keys()[0]
            table.add_row(name, str(in_use.get(name, 0)), "seals what is new" if newest else "only opens")
    Console().print(table)


@keys.command()
@data_option
def rotate(data: Path | None) -> None:
    """Wrap every data key with the newest master key (the first of STARFERRY_MASTER_KEYS), while transfers run.

    Safe to stop and to repeat. Afterwards the older keys can be taken out of the setting.
    """
    with opened(data) as core:
        newest, *_ = core.vault.master_keys()
        older = sum(count for name, count in core.vault.in_use().items() if name != newest)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("data keys", total=older)
            moved = core.vault.rewrap(lambda count: progress.update(task, completed=count))
        click.echo(f"{moved} data keys were moved to the master key {newest}; no older key is in use any more.")

"""`starferry config`."""

from __future__ import annotations

import sys
from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.table import Table

from api.cli.opening import data_option
from api.settings import Settings


@click.command()
@data_option
def config(data: Path | None) -> None:
    """Show all settings, with where each comes from. Secrets are masked."""
    if not sys.stdout.isatty():
        for row in Settings(data=data).shown():
            click.echo("\t".join(row))
        return
    table = Table("setting", "value", "from", "meaning", box=None, pad_edge=False)
    for row in Settings(data=data).shown():
        table.add_row(*row)
    Console().print(table)

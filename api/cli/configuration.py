"""`starferry config`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.table import Table

from api.cli.opening import data_option
from api.settings import SETTINGS, Settings


@click.command()
@data_option
def config(data: Path | None) -> None:
    """Show all settings, with where each comes from. Secrets are masked."""
    table = Table("setting", "value", "from", "meaning", box=None, pad_edge=False)
    for name, value, source in Settings(data=data).shown():
        table.add_row(name, value, source, SETTINGS[name].meaning)
    Console().print(table)

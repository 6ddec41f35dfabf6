"""`starferry events show`: one event, whole."""

from __future__ import annotations

from pathlib import Path

import msgspec
import rich_click as click

from api.cli.opening import data_option, opened
from domain.errors import NotFound


@click.command("show")
@click.argument("position", type=click.IntRange(1, 2**63 - 1))
@data_option
def show_one(position: int, data: Path | None) -> None:
    """One event, with everything that it holds."""
    with opened(data) as core:
        found = core.log.load_at([position])
    if not found:
        raise NotFound(f"There is no event at position {position}.")
    whole = {"event": found[0].event.topic, "schema": found[0].event.schema, "recorded": found[0]}
    click.echo(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode())

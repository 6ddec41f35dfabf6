"""`starferry events state`: what one thing was as of a position or a time."""

from __future__ import annotations

from pathlib import Path

import msgspec
import rich_click as click

from api.cli.opening import data_option, opened
from api.ocs.time_travel import place_of
from application.states import STATE_KINDS, state_of


@click.command()
@click.argument("kind", type=click.Choice(STATE_KINDS))
@click.argument("name")
@click.option("--at", help="As of this position, or this time (ISO 8601; UTC without an offset); now without it.")
@click.option("--headers", is_flag=True, help="With a frame's headers.")
@click.option("--json", "as_json", is_flag=True, help="On one line.")
@data_option
def state(kind: str, name: str, at: str | None, headers: bool, as_json: bool, data: Path | None) -> None:
    """What a frame, a transfer, an observation, … was: the sum of its events up to a position or a time."""
    with opened(data) as core:
        found = state_of(core.log, kind, name, at=place_of(at) if at else None, headers=headers)
    encoded = msgspec.json.encode(found)
    click.echo((encoded if as_json else msgspec.json.format(encoded, indent=2)).decode())

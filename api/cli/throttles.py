"""`starferry showthrottle`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import psycopg
import rich_click as click
from rich.console import Console
from rich.table import Table

from adapters.throttle_counts import standing
from api.cli.opening import data_option, opened


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; the first has the rates.")
@data_option
def showthrottle(as_json: bool, data: Path | None) -> None:
    """Show the rates, and how many requests each user and address has made in its present window."""
    with opened(data) as core:
        anonymous, user = (core.settings.texts[f"STARFERRY_THROTTLE_{kind}"] for kind in ("ANONYMOUS", "USER"))
        with psycopg.connect(core.conninfo) as connection:
            counted = standing(connection)
    if as_json:
        click.echo(json.dumps({"anonymous": anonymous, "user": user}))
        for one in counted:
            ends = round(one.until - time.time())
            click.echo(json.dumps({"who": one.who, "requests": one.requests, "seconds_left": ends}))
        return
    click.echo(f"Anonymous addresses: {anonymous}. Users: {user}. Staff and superusers are never throttled.")
    table = Table("who", "requests", "window ends in", box=None, pad_edge=False)
    for one in counted:
        table.add_row(one.who, str(one.requests), f"{max(0, round(one.until - time.time()))} s")
    Console().print(table)

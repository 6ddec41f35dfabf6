"""`starferry cacheaggregates`: a command of the OCS archive that cron tables may still hold."""

from __future__ import annotations

import rich_click as click


@click.command()
@click.option("--data", hidden=True, expose_value=False)
def cacheaggregates() -> None:
    """Does nothing, as `/frames/aggregate/` is always up to date; here for the cron tables of the OCS archive."""
    click.echo("Nothing to do: /frames/aggregate/ follows every change by itself. You may take this out of cron.")

"""The command line: `starferry`, also `python -m api.cli`."""

from __future__ import annotations

import sys

import rich_click as click

from api.cli import (
    accounts,
    aggregates,
    configuration,
    deleteframes,
    deliver,
    events,
    history,
    import_ocs,
    ingest,
    keys,
    listen,
    migrate,
    projections,
    retention,
    run,
    standing,
    throttles,
    transfers,
)
from domain.errors import StarferryError

click.rich_click.USE_RICH_MARKUP = False


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="starferry")
def cli() -> None:
    """Starferry keeps an observatory's FITS frames and ferries verified copies to where their owners want them."""


for command in (
    run.up,
    run.api,
    run.worker,
    run.demo,
    projections.projections,
    migrate.migrate,
    ingest.ingest,
    import_ocs.import_ocs,
    deleteframes.deleteframes,
    deleteframes.expireguideframes,
    deliver.deliver,
    standing.standing_deliveries,
    retention.retention,
    listen.listen,
    accounts.user,
    accounts.token,
    throttles.showthrottle,
    events.events,
    history.history,
    configuration.config,
    keys.keys,
    transfers.transfers,
    aggregates.cacheaggregates,
):
    cli.add_command(command)


def main() -> None:
    """Run a command; an error of the tree is one sentence on standard error and exit code 1."""
    try:
        cli.main(standalone_mode=True)
    except StarferryError as error:
        sys.stderr.write(f"starferry: {error}\n")
        sys.exit(1)

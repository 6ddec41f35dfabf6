"""`starferry transfers`: copies at destinations checked, and failed transfers cleared away, in the operator's name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import rich_click as click

from api.bootstrap import Core
from api.cli.caught_up import catch_up
from api.cli.opening import data_option, opened, operator
from application.commands.checks import check_config, check_observation, check_transfer
from application.commands.transfers import clear_failed_of_config, clear_transfer
from application.permissions import Principal

config_option = click.option("--storage-config", "config", help="All of this configuration.")


@click.group()
def transfers() -> None:
    """Copies that were delivered, and transfers that failed."""


@transfers.command()
@click.argument("ids", nargs=-1)
@config_option
@click.option("--observation", help="All of this observation's files.")
@data_option
def verify(ids: Sequence[str], config: str | None, observation: str | None, data: Path | None) -> None:
    """Have copies checked by the workers: are they still there and unchanged? `starferry history transfer ID` tells."""
    _one_of(ids, config, observation)
    with opened(data) as core:
        catch_up(core, "transfers")
        cause, who = operator(), _superuser()
        asked = len(ids)
        if config:
            asked = check_config(core.log, core.lookups, core.clock, cause, who, config)
        elif observation:
            asked = check_observation(core.log, core.lookups, core.clock, cause, who, observation)
        for transfer in ids:
            check_transfer(core.log, core.clock, cause, who, transfer)
    click.echo(f"{asked} copies are going to be checked.")


@transfers.command()
@click.argument("ids", nargs=-1)
@config_option
@data_option
def clear(ids: Sequence[str], config: str | None, data: Path | None) -> None:
    """Take failed transfers out of the lists. They can still be retried, and keep their files on the server."""
    _one_of(ids, config)
    with opened(data) as core:
        catch_up(core, "transfers")
        cleared = _clear_all(core, config) if config else list(ids)
        for transfer in ids:
            clear_transfer(core.log, core.clock, operator(), _superuser(), transfer)
    click.echo(f"{len(cleared)} transfers were cleared.")


def _clear_all(core: Core, config: str) -> list[str]:
    return clear_failed_of_config(core.log, core.lookups, core.clock, operator(), _superuser(), config)


def _one_of(*choices: object) -> None:
    if sum(bool(choice) for choice in choices) != 1:
        raise click.UsageError("Say which: ids, or one of the options.")


def _superuser() -> Principal:
    return Principal(username=operator().actor, is_superuser=True)

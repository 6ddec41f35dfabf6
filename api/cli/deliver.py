"""`starferry deliver`: frames that are in the archive already go to a destination."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import rich_click as click

from api.bootstrap import Core
from api.cli.caught_up import catch_up
from api.cli.opening import data_option, opened, operator
from api.frame_query import parse_query
from api.operations import backfill
from application.commands.deliver_frames import Backfill, Tally
from application.commands.storage_configs import load_config
from application.permissions import Principal, principal_of
from domain import accounts
from domain.errors import InvalidInput, NotFound
from domain.frame_query import FrameQuery

UNITS = ("bytes", "kB", "MB", "GB", "TB")


@click.command()
@click.argument("storage_config")
@click.option("--observation", help="The files of this observation.")
@click.option("--query", help="What this query of /frames/ finds, such as 'site_id=coj&reduction_level=0'.")
@click.option("--as", "username", help="In whose name; the destination's owner by default.")
@click.option("--dry-run", is_flag=True, help="Request nothing; count what would be.")
@click.option("--yes", is_flag=True, help="Don't ask on a terminal.")
@data_option
def deliver(
    storage_config: str,
    observation: str | None,
    query: str | None,
    username: str | None,
    dry_run: bool,
    yes: bool,
    data: Path | None,
) -> None:
    """Deliver frames that are in the archive already to STORAGE_CONFIG: those that its owner (or --as) may see.

    What was delivered or is queued already is counted and left alone, so run it again to go on after a stop.
    """
    if (observation is None) == (query is None):
        raise InvalidInput("Say what to deliver: either --observation or --query.")
    with opened(data) as core:
        catch_up(core)
        wanted = _query(core, query or "") if observation is None else observation
        who = _principal(core, storage_config, username)
        carrying = backfill(core, operator("backfill"), who, storage_config, wanted, dry_run=dry_run)
        if not dry_run and not yes and sys.stdin.isatty():
            counted = _run(core, msgspec.structs.replace(carrying, dry_run=True))
            if not counted.files or not click.confirm(f"Deliver {described(counted)}?", err=True):
                click.echo("Nothing was requested.", err=True)
                return
        click.echo(f"{'Would request' if dry_run else 'Requested'} {described(_run(core, carrying))}.")


def described(tally: Tally) -> str:
    """The sum for people."""
    unknown = f" and {tally.files_of_unknown_size} of unknown size" if tally.files_of_unknown_size else ""
    left = [
        *(f"{count} {status.replace('_', ' ')}" for status, count in sorted(tally.already.items())),
        *((f"{tally.unwanted} of another kind",) if tally.unwanted else ()),
        *((f"{tally.gone} no longer on the server",) if tally.gone else ()),
    ]
    besides = f"; left alone: {', '.join(left)}" if left else ""
    return f"{tally.files} files, {_size(tally.bytes)}{unknown}, of {tally.frames} frames{besides}"


def _run(core: Core, carrying: Backfill) -> Tally:
    """All batches; what the user may see is asked anew for each."""
    tally, after = Tally(), 0
    while step := next(_with_rights_of_now(core, carrying).batches(after), None):
        after, batch, _ = step
        tally += batch
        if sys.stderr.isatty():
            click.echo(f"{tally.frames} frames, {tally.files} files…", err=True)
    return tally


def _with_rights_of_now(core: Core, carrying: Backfill) -> Backfill:
    principal = _principal(core, carrying.storage_config, carrying.principal.username)
    return msgspec.structs.replace(carrying, principal=principal)


def _size(number: float) -> str:
    for unit in UNITS[:-1]:
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} {UNITS[-1]}"


def _query(core: Core, text: str) -> FrameQuery:
    settings = core.settings
    types, science = settings["CONFIGURATION_TYPES"], settings["SCIENCE_CONFIGURATION_TYPES"]
    return parse_query(text, core.sky, types=types, science_types=science)


def _principal(core: Core, storage_config: str, username: str | None) -> Principal:
    config = load_config(core.log, storage_config)
    if not config.exists or config.deleted:
        raise NotFound(f"There is no storage configuration {storage_config}.")
    name = username or config.owner
    principal = principal_of(accounts.fold(core.log.load(accounts.stream_of(name))))
    if not principal.authenticated:
        raise NotFound(f"There is no active user {name}.")
    return principal

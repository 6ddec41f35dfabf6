"""`starferry deleteframes` and `expireguideframes`: many frames go, with their versions, thumbnails and files."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import msgspec
import rich_click as click

from api.bootstrap import Core
from api.cli.caught_up import catch_up
from api.cli.deletion_options import (
    ListCommand,
    Night,
    agreed,
    dry_run_option,
    found_batches,
    tell,
    words,
    yes_option,
)
from api.cli.opening import data_option, opened, operator
from api.operations import frame_deletion
from domain.errors import InvalidInput
from domain.frame_selection import FrameSelection
from domain.retention import GUIDE_TYPE

GUIDE_DAYS = 365
"""As the OCS archive had it."""


@click.command(cls=ListCommand)
@click.option("--days-old", type=click.IntRange(min=0), help="Observed more than so many days ago.")
@click.option("--start", type=Night(), help="Nights after this one, with --end.")
@click.option("--end", type=Night(), help="Nights before this one, with --start.")
@click.option("--reduction-level", type=int, help="Only this level; 0 is raw.")
@click.option("--request-id", type=int, help="Only of this request.")
@click.option("--observation-id", type=int, help="Only of this observation.")
@click.option("--site", default="", help="Only from this site, upper or lower case.")
@click.option("--telescope", default="", help="Only from this telescope, upper or lower case.")
@click.option("--include-types", multiple=True, help="Only these configuration types.")
@click.option("--exclude-types", multiple=True, help="But not these configuration types.")
@click.option("--include-proposals", multiple=True, help="Only of these proposals.")
@click.option("--exclude-proposals", multiple=True, help="But not of these proposals.")
@click.option("--include-instruments", multiple=True, help="Only from these instruments.")
@click.option("--exclude-instruments", multiple=True, help="But not from these instruments.")
@dry_run_option
@yes_option
@data_option
def deleteframes(
    days_old: int | None,
    start: date | None,
    end: date | None,
    reduction_level: int | None,
    request_id: int | None,
    observation_id: int | None,
    site: str,
    telescope: str,
    include_types: tuple[str, ...],
    exclude_types: tuple[str, ...],
    include_proposals: tuple[str, ...],
    exclude_proposals: tuple[str, ...],
    include_instruments: tuple[str, ...],
    exclude_instruments: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    data: Path | None,
) -> None:
    """Delete frames by age (--days-old) or nights (--start and --end, both excluded), narrowed by the other options.

    Lists take several words or commas. Each frame is told in a line (id, basename). Run it again to go on after a stop.
    The files go when `starferry projections`, which `up` runs, sees the deletions; unfinished transfers are cancelled.
    """
    if (days_old is None) == (start is None and end is None):
        raise InvalidInput("Say how old: either --days-old, or --start and --end.")
    if days_old is None and (start is None or end is None):
        raise InvalidInput("--start and --end go together; both nights themselves are left out.")
    selection = FrameSelection(
        after_night=start,
        before_night=end,
        reduction_level=reduction_level,
        request_id=request_id,
        observation_id=observation_id,
        site=site,
        telescope=telescope,
        types=words(include_types),
        not_types=words(exclude_types),
        proposals=words(include_proposals),
        not_proposals=words(exclude_proposals),
        instruments=words(include_instruments),
        not_instruments=words(exclude_instruments),
    )
    with opened(data) as core:
        _delete(core, selection, days_old, "deleteframes", dry_run=dry_run, yes=yes)


@click.command()
@click.option("--days-old", type=click.IntRange(min=0), default=GUIDE_DAYS, show_default=True)
@click.option("--site", default="", help="Only from this site, upper or lower case.")
@dry_run_option
@yes_option
@data_option
def expireguideframes(days_old: int, site: str, dry_run: bool, yes: bool, data: Path | None) -> None:
    """Delete old guide frames, but for those of the cameras in GUIDE_CAMERAS_TO_PERSIST."""
    with opened(data) as core:
        persist = core.settings["GUIDE_CAMERAS_TO_PERSIST"]
        selection = FrameSelection(types=(GUIDE_TYPE,), site=site, not_instruments=persist)
        _delete(core, selection, days_old, "expireguideframes", dry_run=dry_run, yes=yes)


def _delete(
    core: Core, selection: FrameSelection, days_old: int | None, command: str, *, dry_run: bool, yes: bool
) -> None:
    catch_up(core)
    if days_old is not None:
        try:
            observed_before = core.clock.now() - timedelta(days=days_old)
        except OverflowError:
            raise InvalidInput(f"There was nothing {days_old} days ago.") from None
        selection = msgspec.structs.replace(selection, observed_before=observed_before)
    deletion = frame_deletion(core, selection, operator(command), dry_run=dry_run)
    count = deletion.finder.count(selection)
    if not dry_run and not agreed(count, yes=yes):
        click.echo("Nothing was deleted.", err=True)
        return
    tell((deletion.run(found) for found in found_batches(deletion.finder, selection)), expected=count, dry_run=dry_run)
    catch_up(core)  # what is gone isn't found any more

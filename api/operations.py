"""The wiring of what is done now and then: taking over another archive, deleting or delivering many frames."""

from __future__ import annotations

from collections.abc import Callable

from adapters.one_at_a_time import RETENTION_LOCK, OneAtATime
from api.bootstrap import Core
from api.correlation import new_correlation
from application.commands.delete_frames import FrameDeletion
from application.commands.deliver_frames import Backfill
from application.commands.import_accounts import AccountImport
from application.commands.import_frames import FrameImport
from application.commands.verify_import import Verification
from application.frame_matching import FrameMatcher
from application.permissions import Principal
from application.ports.original_archive import OriginalArchive
from application.retention import PeriodicRetention, Retention
from application.transfer_expiry import TransferExpiry
from domain.event import Cause
from domain.frame_query import FrameQuery
from domain.frame_selection import FrameSelection
from domain.retention import RetentionRule, guide_rule
from projections.frames.finder import ReadModelFinder
from projections.frames.imported import ReadModelIds
from projections.frames.matching import ReadModelMatches


def frame_import(
    core: Core, source: OriginalArchive, cause: Cause, *, shared_ids: int, dry_run: bool = False
) -> FrameImport:
    """What takes over the frames of another archive; ids up to `shared_ids` may be in use here."""
    return FrameImport(
        log=core.log,
        clock=core.clock,
        ids=ReadModelIds(core.pool),
        headers=source.headers,
        file_path=core.record_path,
        thumbnail_path=core.thumbnail_path,
        cause=cause,
        shared_ids=shared_ids,
        dry_run=dry_run,
    )


def account_import(core: Core, cause: Cause, *, dry_run: bool = False) -> AccountImport:
    """What takes over its users."""
    return AccountImport(log=core.log, clock=core.clock, passwords=core.passwords, cause=cause, dry_run=dry_run)


def verification(
    core: Core, source: OriginalArchive, tell: Callable[[str], None], *, files: bool = False
) -> Verification:
    """What checks afterwards that all of it is here, with `files` in the file store too."""
    return Verification(
        log=core.log,
        ids=ReadModelIds(core.pool),
        headers=source.headers,
        tell=tell,
        store=core.store if files else None,
    )


def frame_deletion(core: Core, selection: FrameSelection, cause: Cause, *, dry_run: bool = False) -> FrameDeletion:
    """What deletes the frames that an operator selects."""
    return FrameDeletion(
        log=core.log,
        finder=ReadModelFinder(core.pool),
        clock=core.clock,
        cause=cause,
        selection=selection,
        dry_run=dry_run,
    )


def retention(core: Core) -> Retention:
    """What carries out the operator's retention rules, the one for guide frames among them."""
    rules: tuple[RetentionRule, ...] = core.settings["STARFERRY_RETENTION"]
    if days := core.settings["STARFERRY_GUIDE_DAYS"]:
        rules = (*rules, guide_rule(days, core.settings["GUIDE_CAMERAS_TO_PERSIST"]))
    return Retention(log=core.log, finder=ReadModelFinder(core.pool), clock=core.clock, rules=rules)


def transfer_expiry(core: Core) -> TransferExpiry:
    """What lets go of the records of transfers that were completed long ago."""
    return TransferExpiry(
        log=core.log,
        lookup=core.lookups,
        clock=core.clock,
        days=core.settings["STARFERRY_TRANSFER_DAYS"],
        new_correlation=new_correlation,
    )


def periodic_retention(core: Core) -> PeriodicRetention:
    """The same for a worker, one of them at a time."""
    return PeriodicRetention(retention(core), OneAtATime(core.conninfo, RETENTION_LOCK).run, new_correlation)


def matching_frames(core: Core) -> ReadModelMatches:
    """What finds the frames of somebody's query."""
    return ReadModelMatches(core.pool, core.sky)


def backfill(
    core: Core,
    cause: Cause,
    principal: Principal,
    storage_config: str,
    wanted: FrameQuery | str,
    *,
    dry_run: bool = False,
) -> Backfill:
    """What delivers frames that are there already: of a query, or of an observation."""
    return Backfill(
        log=core.log,
        found=matching_frames(core),
        matcher=FrameMatcher(core.sky),
        clock=core.clock,
        cause=cause,
        principal=principal,
        storage_config=storage_config,
        wanted=wanted,
        dry_run=dry_run,
    )

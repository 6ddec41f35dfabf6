"""`starferry events import`: a log from the files it was exported to."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path

import psycopg
import rich_click as click
from rich.console import Console

from adapters.event_store.importing import Importer, alone
from api.cli.event_progress import along_the_log
from api.cli.opening import data_option, opened
from api.cli.run import NOTICE_LOCK, OUTBOX_LOCK, POLICY_LOCK
from application.policies.notify_by_mail import NotifyByMail
from application.policies.notify_webhooks import NotifyWebhooks
from application.policies.publish_archived import PublishArchived
from application.policies.runner import checkpoint_of

ANNOUNCING = tuple(checkpoint_of(policy.name) for policy in (PublishArchived, NotifyWebhooks, NotifyByMail))
"""What tells others of events as news: of imported ones they hear only what the original had yet to tell."""


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Only read the files, compare them with the store, and count.")
@data_option
def import_(files: tuple[Path, ...], dry_run: bool, data: Path | None) -> None:
    """Import FILES made by `events export`, parts in order, into a store that is empty or holds a beginning of the same
    log. Nothing else may use the store meanwhile. After a stop, give the same files again: it goes on.

    Files of frames, passwords and credentials aren't in an export. Read models fill when Starferry is started.
    """
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    began = time.monotonic()
    with opened(data) as core, psycopg.connect(core.conninfo, autocommit=True) as connection:
        locked = nullcontext() if dry_run else alone(connection, (POLICY_LOCK, OUTBOX_LOCK, NOTICE_LOCK))
        with locked, along_the_log("importing", console) as report:
            imported = Importer(connection, core.numbers, ANNOUNCING, report).run(files, dry_run=dry_run)
    seconds = time.monotonic() - began
    would = " would be imported (nothing was done: this was a dry run)" if dry_run else " imported"
    rate = (imported.events + imported.known) / max(seconds, 1e-6)
    click.echo(
        f"{imported.events} events{would}, {imported.known} were here already; "
        f"the log ends at {imported.upto} ({seconds:.1f} s, {rate:.0f}/s)"
    )

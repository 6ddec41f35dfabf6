"""`starferry import-ocs`: takes over an archive of the OCS, with its ids, and checks that all of it is here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.bootstrap import Core
from api.cli.caught_up import catch_up
from api.cli.opening import data_option, opened, operator
from api.operations import account_import, frame_import, verification
from application.commands.import_frames import VIA, Outcome, added
from application.commands.verify_import import Checked
from application.ports.original_archive import OriginalArchive, Totals
from domain.errors import InvalidInput
from domain.event import Cause

ROOM = 1_000_000
"""Ids that stay free above the original's: it may go on taking in frames until the last import."""

SETTLE_SECONDS = 3.0
"""Until no process here uses ids that it took before they were reserved: they look every second, and a request that
has taken one is done by then."""


@click.command("import-ocs")
@click.option(
    "--database",
    envvar="STARFERRY_IMPORT_DATABASE",
    help="The original's database: postgresql://user:password@host/archive",
)
@click.option(
    "--dump", type=click.Path(path_type=Path, dir_okay=False), help="A plain SQL dump of it; - reads standard input."
)
@click.option("--api-root", help="The original's address, such as https://archive.example.org/ (shows less: no users).")
@click.option("--token", envvar="STARFERRY_IMPORT_TOKEN", help="A superuser's token for --api-root.")
@click.option("--connections", default=8, show_default=True, help="Requests at a time for --api-root.")
@click.option("--dry-run", is_flag=True, help="Only count what would be taken over.")
@click.option("--check-files", is_flag=True, help="Also look each file up in the file store.")
@click.option("--verify-only", is_flag=True, help="Import nothing; only check that all is here.")
@data_option
@click.pass_context
def import_ocs(
    context: click.Context,
    database: str | None,
    dump: Path | None,
    api_root: str | None,
    token: str | None,
    connections: int,
    dry_run: bool,
    check_files: bool,
    verify_only: bool,
    data: Path | None,
) -> None:
    """Take over an archive of the OCS (science-archive 2.x): frames, versions, thumbnails and links with their ids,
    headers, users with their tokens and passwords. Run it again to go on after a stop, or for what has come since.

    The files themselves stay where they are: set the same file store as the original has. The original is only read.
    What can't be taken over, and each difference found afterwards, is told in a line of its own; exit code 1 then.
    """
    if [database, dump, api_root].count(None) != 2:
        raise InvalidInput("Give one of --database, --dump and --api-root.")
    with opened(data) as core, _source(core, database, dump, api_root, token, connections) as source:
        import_ = _Import(core, source, dry_run=dry_run)
        if not verify_only:
            import_.run()
        if not dry_run:
            import_.verify(check_files=check_files)
    context.exit(1 if import_.complaints else 0)


@contextmanager
def _source(
    core: Core, database: str | None, dump: Path | None, api_root: str | None, token: str | None, connections: int
) -> Iterator[OriginalArchive]:
    if dump is not None:
        from adapters.ocs_archive.dump import loaded

        with loaded(dump, core.conninfo) as archive:
            yield archive
    elif database is not None:
        from adapters.ocs_archive import database as database_

        with database_.opened(database) as archive:
            yield archive
    else:
        from adapters.ocs_archive.http_api import ApiArchive

        if not token:
            raise InvalidInput("--api-root needs a superuser's token: give --token or set STARFERRY_IMPORT_TOKEN.")
        api = ApiArchive(str(api_root), token, connections=connections)
        try:
            yield api
        finally:
            api.close()


class _Import:
    """One run of the command."""

    def __init__(self, core: Core, source: OriginalArchive, *, dry_run: bool) -> None:
        self._core = core
        self._source = source
        self._dry_run = dry_run
        self._totals = source.totals()
        self._console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
        self.complaints = 0

    def run(self) -> None:
        """Take over what isn't here yet, and tell how much of it there was."""
        core, why = self._core, self._cause()
        shared = core.numbers.reserve(0 if self._dry_run else self._source.largest_id() + ROOM)
        if shared and not self._dry_run:
            time.sleep(SETTLE_SECONDS)
        self._catch_up()
        frames = frame_import(core, self._source, why, shared_ids=shared, dry_run=self._dry_run)
        accounts = account_import(core, why, dry_run=self._dry_run)
        people = accounts.run(self._source.accounts())
        self._told(people)
        total = Outcome()
        with self._progress() as progress:
            task = progress.add_task("importing", total=self._totals.frames)
            for page in self._source.pages():
                outcome = added(frames.run(page.frames), Outcome(refused=tuple(page.refused)))
                self._told(outcome)
                total = added(total, msgspec.structs.replace(outcome, refused=()))
                progress.advance(task, len(page.frames) + len(page.refused))
        self._summary("frames", total)
        self._summary("users", people)

    def verify(self, *, check_files: bool) -> None:
        """Compare what is here with the original, and tell the result."""
        self._catch_up()
        check = verification(self._core, self._source, self._complain, files=check_files)
        before = self.complaints
        checked = Checked()
        with self._progress() as progress:
            task = progress.add_task("checking", total=self._totals.frames)
            for page in self._source.pages():
                checked = check.check_frames(page.frames, checked)
                progress.advance(task, len(page.frames) + len(page.refused))
        check.check_accounts(self._source.accounts())
        for difference in _miscounted(self._totals, checked):
            self._complain(difference)
        files = f", {checked.files} files in the store" if check_files else ""
        click.echo(
            f"checked: {checked.frames} frames, {checked.versions} versions, {checked.thumbnails} thumbnails and "
            f"{checked.links} links by id, {checked.whole} frames whole{files}: {self.complaints - before} differences."
        )

    def _cause(self) -> Cause:
        return msgspec.structs.replace(operator(f"import from {self._source.name}"), via=VIA)

    def _catch_up(self) -> None:
        with self._console.status("waiting for the read models") as status:
            catch_up(
                self._core, tell=lambda behind: status.update(f"waiting for the read models: {behind} events to come")
            )

    def _told(self, outcome: Outcome) -> None:
        for refused in outcome.refused:
            self._complain(f"{refused.what}: {refused.reason}")

    def _complain(self, sentence: str) -> None:
        self.complaints += 1
        self._console.print(sentence)

    def _summary(self, what: str, outcome: Outcome) -> None:
        would = " (nothing was done: this was a dry run)" if self._dry_run else ""
        click.echo(f"{what}: {outcome.new} new, {outcome.changed} changed, {outcome.known} known already{would}.")

    def _progress(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        return Progress(*columns, console=self._console)


def _miscounted(totals: Totals, checked: Checked) -> Iterator[str]:
    """What the original counts and doesn't show: rows that belong to no frame, or frames hidden from the API."""
    pairs = (
        ("frames", totals.frames, checked.frames),
        ("versions", totals.versions, checked.versions),
        ("thumbnails", totals.thumbnails, checked.thumbnails),
    )
    for name, counted, shown in pairs:
        if counted is not None and counted != shown:
            yield f"the original counts {counted} {name}, and shows {shown}"

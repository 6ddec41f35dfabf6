"""Options that deleting commands share: lists as the OCS archive's commands take them, a dry run, the confirmation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from application.commands.delete_frames import BATCH, Fate
from application.ports.frame_finder import Found, FrameFinder
from domain.frame_selection import FrameSelection

dry_run_option: Callable[..., Any] = click.option(
    "--dry-run", is_flag=True, help="Delete nothing; list exactly what would be."
)
yes_option: Callable[..., Any] = click.option("--yes", is_flag=True, help="Don't ask on a terminal.")


class ListCommand(click.RichCommand):
    """A command whose multiple options take several words too: `--include-types BIAS DARK`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give each word its own option before click sees them."""
        lists = {
            name
            for parameter in self.params
            if isinstance(parameter, click.Option) and parameter.multiple
            for name in parameter.opts
        }
        return super().parse_args(ctx, list(_spread(args, lists)))


def _spread(args: Sequence[str], lists: set[str]) -> Iterator[str]:
    option, first = "", False
    for word in args:
        if word.startswith("--"):
            option, first = (word, True) if word in lists else ("", False)
            yield word
        else:
            if option and not first:
                yield option
            first = False
            yield word


def words(given: Sequence[str]) -> tuple[str, ...]:
    """The items of a list option, those in commas too."""
    return tuple(item for word in given for item in (part.strip() for part in word.split(",")) if item)


class Night(click.ParamType[date]):
    """A night as 2024-01-31 or 20240131."""

    name = "night"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """See click.ParamType."""
        try:
            return value if isinstance(value, date) else date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value} isn't a night such as 2024-01-31.", param, ctx)


def agreed(count: int, *, yes: bool) -> bool:
    """Whether to go on; asks where there is somebody to ask."""
    if yes or not count or not _on_a_terminal():
        return True
    return click.confirm(f"Delete {count} frames, with all their versions and files?", err=True)


def _on_a_terminal() -> bool:
    return sys.stdin.isatty()


def found_batches(finder: FrameFinder, selection: FrameSelection) -> Iterator[Sequence[Found]]:
    """All frames that a selection means, by id, some at a time."""
    after = 0
    while found := finder.find(selection, after=after, limit=BATCH):
        after = found[-1].id
        yield found


def tell(batches: Iterator[list[Fate]], *, expected: int, dry_run: bool, what: str = "frames") -> None:
    """Carry out what yields fates: one line a frame on standard output, progress and sum on standard error."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    gone = kept = 0
    with Progress(*columns, console=console, redirect_stdout=False) as progress:
        task = progress.add_task("looking" if dry_run else "deleting", total=expected)
        for fates in batches:
            for fate in fates:
                click.echo(f"{fate.frame.id}\t{fate.frame.basename}" + (f"\tkept: {fate.kept}" if fate.kept else ""))
                gone += not fate.kept
                kept += bool(fate.kept)
            progress.advance(task, len(fates))
    spared = f", {kept} kept" if kept else ""
    click.echo(f"{gone} {what} {'would be deleted' if dry_run else 'deleted'}{spared}.", err=True)

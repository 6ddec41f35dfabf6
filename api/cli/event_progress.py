"""How far work along the log has come, and how fast: on a terminal only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        events, seconds = task.fields["events"], task.elapsed or 0.0
        return Text(f"{events} events, {events / seconds if seconds else 0:.0f}/s")


@contextmanager
def along_the_log(description: str, console: Console) -> Iterator[Callable[[int, int, int], None]]:
    """A bar from position to position; call the result with position, last position and events so far."""
    columns = (TextColumn("{task.description}"), BarColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, redirect_stdout=False) as progress:
        task = progress.add_task(description, total=None, events=0)

        def report(position: int, upto: int, events: int) -> None:
            progress.update(task, completed=position, total=upto, events=events)

        yield report

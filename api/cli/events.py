"""`starferry events`: the event log. Each subcommand has a file of its own."""

from __future__ import annotations

import rich_click as click

from api.cli import event_list, event_show


@click.group()
def events() -> None:
    """The event log."""


for command in (
    event_list.list_,
    event_show.show_one,
):
    events.add_command(command)

"""`starferry events`: the event log. Each subcommand has a file of its own."""

from __future__ import annotations

import rich_click as click

from api.cli import (
    event_export,
    event_import,
    event_list,
    event_replay,
    event_show,
    event_state,
    event_verify,
)


@click.group()
def events() -> None:
    """The event log."""


for command in (
    event_list.list_,
    event_show.show_one,
    event_verify.verify,
    event_verify.seal,
    event_export.export,
    event_import.import_,
    event_state.state,
    event_replay.replay,
    event_replay.replays,
    event_replay.forget_replay,
):
    events.add_command(command)

"""`starferry history`: the whole life of one thing."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from api.bootstrap import Core
from api.cli.caught_up import catch_up
from api.cli.event_output import Output, as_story, form_of, output_options, time_of
from api.cli.opening import data_option, opened
from application.history import KINDS, frame_life, stream_history


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
@click.option("--at", help="Only up to this time (ISO 8601; UTC without an offset).")
@output_options
@data_option
def history(kind: str, name: str, at: str | None, as_json: bool, as_csv: bool, data: Path | None) -> None:
    """The whole life of one thing: what happened to it, when, who did it and why.

    A frame's comes with that of its transfers.
    """
    until, form = time_of("--at", at), form_of(as_json, as_csv)
    with opened(data) as core:
        if kind == "frame":
            catch_up(core, "transfers")  # which transfers a frame has is asked of a read model
            told = frame_life(core.log, _transfers_of(core, name), name, at=until)
        else:
            told = stream_history(core.log, kind, name, at=until)
    Output(form, as_story).write(told)


def _transfers_of(core: Core, basename: str) -> list[str]:
    with core.pool.connection() as connection:
        rows = connection.execute(
            "SELECT id FROM read_transfers.transfer WHERE frame = %(frame)s UNION ALL "
            "SELECT 'v' || version_id || '-' || storage_config FROM read_transfers.delivered_copy "
            "WHERE frame = %(frame)s",
            {"frame": basename},
        ).fetchall()
    return [row[0] for row in rows]

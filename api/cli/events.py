"""`starferry events` and `starferry history`: what happened, told from the log."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import rich_click as click

from api.bootstrap import Core
from api.cli import event_export, event_import, event_replay, event_state, event_verify
from api.cli.opening import data_option, opened
from api.ocs.filters import moment
from application.history import KINDS, Entry, entries, frame_life, stream_history
from domain.errors import InvalidInput, NotFound

LEFT_OUT = frozenset({"record", "versions", "hashes", "store_path", "store_key", "headers"})


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
@click.option("--at", help="Only up to this time (ISO 8601; UTC without an offset).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@data_option
def history(kind: str, name: str, at: str | None, as_json: bool, data: Path | None) -> None:
    """The whole life of a transfer, frame (with its transfers), observation, storage_config or account."""
    try:
        until = moment(at) if at else None
    except ValueError:
        raise InvalidInput(f"{at} isn't a time such as 2026-11-20T12:00:00Z.") from None
    with opened(data) as core:
        if kind == "frame":
            core.projection_runner().catch_up()  # which transfers a frame has is asked of a read model
            told = frame_life(core.log, _transfers_of(core, name), name, at=until)
        else:
            told = stream_history(core.log, kind, name, at=until)
    show(told, as_json)


@click.group()
def events() -> None:
    """The event log."""


@events.command("list")
@click.option("--after", default=0, help="Begin after this position.")
@click.option("--limit", default=100, help="At most so many.")
@click.option("--kind", help="Only events of this kind, such as transfer or transfer.completed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@data_option
def list_(after: int, limit: int, kind: str | None, as_json: bool, data: Path | None) -> None:
    """Events in their one order."""
    found: list[Entry] = []
    with opened(data) as core:
        while len(found) < limit:
            batch = core.log.read(after, 1000)
            if batch.upto == after:
                break
            after = batch.upto
            found += [
                entry
                for entry in entries(batch.events)
                if not kind or entry.event == kind or entry.event.startswith(f"{kind}.")
            ]
    show(found[:limit], as_json)


@events.command("show")
@click.argument("position", type=int)
@data_option
def show_one(position: int, data: Path | None) -> None:
    """One event, with everything that it holds."""
    with opened(data) as core:
        batch = core.log.read(position - 1, 1)
    if not batch.events or batch.events[0].position != position:
        raise NotFound(f"There is no event at position {position}.")
    recorded = batch.events[0]
    whole = {"event": recorded.event.topic, "schema": recorded.event.schema, "recorded": recorded}
    click.echo(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode())


for command in (
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


def show(told: Sequence[Entry], as_json: bool) -> None:
    """Events as JSON lines, or two lines an event for people: when, what, who and why; then its content."""
    if as_json:
        for entry in told:
            sys.stdout.write(msgspec.json.encode(entry).decode() + "\n")
        return
    for entry in told:
        because = f", because of event {entry.causation}" if entry.causation else ""
        reason = f": {entry.reason}" if entry.reason else ""
        when = f"{entry.at:%Y-%m-%d %H:%M:%S.%f}"[:-3]
        click.echo(
            f"{when}Z  {entry.event}  by {entry.actor} via {entry.via}{because}{reason}  (event {entry.position})"
        )
        what = "  ".join(f"{name}={_brief(value)}" for name, value in entry.data.items() if name not in LEFT_OUT)
        click.echo(f"    {entry.stream}  {what}")


def _transfers_of(core: Core, basename: str) -> list[str]:
    with core.pool.connection() as connection:
        rows = connection.execute(
            "SELECT id FROM read_transfers.transfer WHERE frame = %(frame)s UNION ALL "
            "SELECT 'v' || version_id || '-' || storage_config FROM read_transfers.delivered_copy "
            "WHERE frame = %(frame)s",
            {"frame": basename},
        ).fetchall()
    return [row[0] for row in rows]


def _brief(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else f"{text[:77]}..."

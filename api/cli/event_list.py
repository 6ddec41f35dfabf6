"""`starferry events list`: which events there are, by what surrounds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import rich_click as click

from api.bootstrap import Core
from api.cli.caught_up import catch_up
from api.cli.event_output import Output, as_table, form_of, output_options, time_of
from api.cli.opening import data_option, opened
from application.event_search import LAST
from application.history import entries
from application.ports.audit import EventFilter
from domain.errors import InvalidInput
from domain.event import Recorded

BATCH = 1000
POSITION = click.IntRange(0, LAST)


@click.command("list")
@click.option(
    "--kind", "kinds", multiple=True, help="Only this kind, such as transfer or transfer.completed; again for more."
)
@click.option("--actor", default="", help="Only what this user, worker or policy did.")
@click.option("--via", default="", help="Only what came this way: api, ocs, console, cli, listen, worker, policy, …")
@click.option("--stream", default="", help="Only of this stream, such as frame:coj1m011-fa12-20261119-0005-e00.")
@click.option("--correlation", default="", help="Only what this request led to (X-Request-ID of its answer).")
@click.option("--since", help="Not before this time (ISO 8601; UTC without an offset).")
@click.option("--until", help="Not after this time.")
@click.option("--after", default=0, type=POSITION, help="Begin after this position.")
@click.option("--to", "upto", default=LAST, type=POSITION, help="End with this position.", show_default=False)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(min=1), help="At most so many.")
@click.option("--reverse", is_flag=True, help="The newest first.")
@output_options
@data_option
def list_(
    kinds: tuple[str, ...],
    actor: str,
    via: str,
    stream: str,
    correlation: str,
    since: str | None,
    until: str | None,
    after: int,
    upto: int,
    limit: int,
    reverse: bool,
    as_json: bool,
    as_csv: bool,
    data: Path | None,
) -> None:
    """Events in their one order. What is left out of the table is in --json and --csv."""
    form = form_of(as_json, as_csv)
    wanted = EventFilter(
        kinds=kinds,
        actor=actor,
        via=via,
        stream=stream,
        correlation=correlation,
        since=time_of("--since", since),
        until=time_of("--until", until),
    )
    wanted.check()
    if after >= upto:
        raise InvalidInput(f"No event is after position {after} and not after {upto}.")
    output = Output(form, as_table)
    with opened(data) as core:
        if reverse or not (wanted.wants_all or wanted.stream):
            catch_up(core, "audit")
        pages = _backward if reverse else _forward
        for events in pages(core, wanted, after, upto, limit):
            output.write(entries(events))


def _forward(core: Core, wanted: EventFilter, after: int, upto: int, limit: int) -> Iterator[Sequence[Recorded]]:
    search, end = core.event_search(), min(upto, core.log.head())
    while True:
        found = search.forward(wanted, after=after, upto=end, limit=min(limit, BATCH))
        yield found.events
        limit -= len(found.events)
        if limit <= 0 or found.next >= end or found.next == after:
            return
        after = found.next


def _backward(core: Core, wanted: EventFilter, after: int, upto: int, limit: int) -> Iterator[Sequence[Recorded]]:
    search, before = core.event_search(), min(upto, core.log.head()) + 1
    while True:
        found = search.backward(wanted, before=before, after=after, limit=min(limit, BATCH))
        yield found.events
        limit -= len(found.events)
        if limit <= 0 or found.next == after:
            return
        before = found.next

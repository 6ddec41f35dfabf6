"""`starferry events export`: the log as a file that outlives the database."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psycopg
import rich_click as click
from rich.console import Console

from adapters.event_store.export_format import Header
from adapters.event_store.exporting import Exporter, export_to
from api.cli.event_progress import along_the_log
from api.cli.opening import data_option, opened
from domain.errors import InvalidInput


@click.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--since", type=click.IntRange(min=0), default=0, help="Only what follows the last seal up to here.")
@click.option("--to", type=click.IntRange(min=1), help="End at this position; otherwise at the log's end.")
@click.option(
    "--stream", "streams", multiple=True, help="Only this stream (repeatable); such a file can't be imported."
)
@click.option("--resume", is_flag=True, help="Go on with an export to this file that was stopped.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
@data_option
def export(
    file: Path,
    since: int,
    to: int | None,
    streams: tuple[str, ...],
    resume: bool,
    overwrite: bool,
    data: Path | None,
) -> None:
    """Write the log to FILE (- is standard output), in a documented format that needs no database to be read.

    It holds no secrets, but names, e-mail addresses in usernames and headers, and all headers of all frames: keep it
    as you keep the database. It can run beside everything else. What isn't sealed yet is sealed first.
    """
    stdout = str(file) == "-"
    if resume and (stdout or since or to or streams):
        raise InvalidInput("--resume goes on with what was begun: give it the same FILE, and no range.")
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    began = time.monotonic()
    with (
        opened(data) as core,
        psycopg.connect(core.conninfo, autocommit=True) as connection,
        along_the_log("exporting", console) as report,
    ):
        end = to or core.log.head()
        exporter = Exporter(connection, lambda position, events: report(position, end, events))

        def planned() -> Header:
            if to is None and not streams:
                core.sealer().seal_all()  # so that a later part can begin where this one ends
            header = exporter.plan(since, to, streams)
            if header.since != since:
                console.print(f"It begins behind position {header.since}, where a seal ends.")
            return header

        if stdout:
            trailer = exporter.write(planned(), sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            trailer = export_to(file, exporter, planned, overwrite=overwrite, resume=resume)
    seconds = time.monotonic() - began
    rate = trailer.events / max(seconds, 1e-6)
    console.print(f"{trailer.events} events up to position {trailer.upto} in {seconds:.1f} s ({rate:.0f}/s)")
    console.print(f"digest of the file's contents: {trailer.digest}")
    if streams:
        console.print("This is a part of some streams, for looking at; it can't be imported.")

"""`starferry events verify` and `events seal`: whether the log is what it was."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console

from adapters.event_store.check import LogCheck, Summary
from adapters.event_store.findings import Finding
from adapters.event_store.seals import seal_named
from api.cli.event_progress import along_the_log
from api.cli.opening import data_option, opened


@click.command()
@click.option("--since", type=click.IntRange(min=0), default=0, help="Begin behind this position.")
@click.option("--to", type=click.IntRange(min=0), help="End at this position; otherwise at the log's end.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that share the work.")
@click.option("--expect", metavar="DIGEST@POSITION", help="A seal that was noted elsewhere, as verify shows it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a finding, and one for the summary.")
@data_option
@click.pass_context
def verify(
    context: click.Context,
    since: int,
    to: int | None,
    jobs: int,
    expect: str | None,
    as_json: bool,
    data: Path | None,
) -> None:
    """Check the log: order, readability, causes, times, seals, names claimed beside it. Exit code 1 on findings.

    Nothing is changed. With --since and --to, whole sealed segments are checked around them; claims are compared when
    all of the log is checked. It can run beside everything else.
    """
    expected = seal_named(expect) if expect else None
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    began = time.monotonic()
    with opened(data) as core, along_the_log("checking", console) as report:
        end = to or core.log.head()
        check = LogCheck(
            core.conninfo,
            lambda finding: _show(finding, as_json),
            lambda position, events: report(position - since, end - since, events),
        )
        summary = check.run(since, to, jobs=jobs, expected=expected)
    _sum_up(summary, time.monotonic() - began, as_json)
    context.exit(1 if summary.findings else 0)


@click.command()
@data_option
def seal(data: Path | None) -> None:
    """Seal the log up to its end now; `starferry projections` does it by itself every few minutes."""
    with opened(data) as core:
        made = core.sealer().seal_all()
    click.echo(f"{made} new seal{'s' if made != 1 else ''}.")


def _show(finding: Finding, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"finding": finding, "advice": finding.advice}).decode())
        return
    where = "log" if finding.position is None else f"position {finding.position}"
    if finding.upto is not None:
        where += f" to {finding.upto}"
    stream = f"  {finding.stream}" if finding.stream else ""
    kind = "warning" if finding.warning else finding.kind.upper()
    click.echo(f"{kind}  {where}{stream}: {finding.what}.\n    What to do: {finding.advice}.")


def _sum_up(summary: Summary, seconds: float, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"summary": summary, "seconds": round(seconds, 3)}).decode())
        return
    rate = summary.events / max(seconds, 1e-6)
    click.echo(
        f"checked: {summary.events} events of positions {summary.since + 1} to {summary.upto} "
        f"(the log ends at {summary.head}) in {seconds:.1f} s ({rate:.0f}/s)"
    )
    click.echo(
        f"seals: {summary.seals_agreeing} of {summary.seals} agree; {summary.unsealed} of these events aren't sealed"
    )
    click.echo(f"claims: {'compared with the log' if summary.claims_compared else 'not compared'}")
    if summary.seal:
        click.echo(f"last seal, to note elsewhere: {summary.seal}")
    click.echo(f"{summary.findings} findings, {summary.warnings} warnings")

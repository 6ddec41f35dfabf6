"""`starferry retention`: the operator's rules for old frames, shown, tried and carried out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import rich_click as click

from api import operations
from api.cli.caught_up import catch_up
from api.cli.deletion_options import agreed, dry_run_option, tell, yes_option
from api.cli.opening import data_option, opened, operator
from application.retention import Retention
from domain.errors import NotFound
from domain.retention import RetentionRule


@click.group()
def retention() -> None:
    """Rules for old frames: STARFERRY_RETENTION and STARFERRY_GUIDE_DAYS. Workers carry them out once an hour."""


@retention.command()
@data_option
def show(data: Path | None) -> None:
    """Each rule with how many frames are due by it now."""
    with opened(data) as core:
        catch_up(core)
        carrying = operations.retention(core)
        for rule in carrying.rules:
            due = carrying.finder.count(rule.selection(core.clock.now()))
            click.echo(f"{rule.described()}: {due} frames due.")
    if not carrying.rules:
        click.echo("There are no retention rules; nothing is deleted for its age.")


@retention.command()
@click.option("--rule", "name", help="Only this rule.")
@dry_run_option
@yes_option
@data_option
def run(name: str | None, dry_run: bool, yes: bool, data: Path | None) -> None:
    """Carry the rules out now. Each frame is told in a line; what a destination is still to get is kept, and told."""
    with opened(data) as core:
        catch_up(core)
        catch_up(core, "transfers")
        carrying = operations.retention(core)
        for rule in _chosen(carrying.rules, name):
            due = carrying.finder.count(rule.selection(core.clock.now()))
            if not dry_run and not agreed(due, yes=yes):
                click.echo("Nothing was deleted.", err=True)
                continue
            _carry_out(carrying, rule, due, dry_run=dry_run)
        catch_up(core)  # what is gone isn't found any more


def _carry_out(carrying: Retention, rule: RetentionRule, due: int, *, dry_run: bool) -> None:
    fates = carrying.fates(rule, operator(), dry_run=dry_run)
    tell(fates, expected=due, dry_run=dry_run, what=f"frames of the rule {rule.name}")


def _chosen(rules: Sequence[RetentionRule], name: str | None) -> list[RetentionRule]:
    chosen = [rule for rule in rules if name in (None, rule.name)]
    if name is not None and not chosen:
        raise NotFound(f"There is no retention rule {name}; `starferry retention show` lists them.")
    return chosen

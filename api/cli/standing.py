"""`starferry standing-deliveries`: what is delivered as it arrives, seen and stopped by the operator."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from api.cli.opening import data_option, opened, operator
from application.commands.standing_deliveries import change_standing_delivery, end_standing_delivery
from application.permissions import Principal
from application.standing_deliveries import load_listing, load_means


@click.group("standing-deliveries")
def standing_deliveries() -> None:
    """Saved queries with destinations, to which frames that match go as they arrive."""


@standing_deliveries.command("list")
@data_option
def list_(data: Path | None) -> None:
    """All of them, one a line: id, owner, scope, state, destinations, query, name, and what is wrong."""
    with opened(data) as core:
        rules = load_listing(core.log).rules
        means = load_means(core.log, rules)
        for rule in rules:
            scope = f"{rule.scope}:{rule.scope_id}" if rule.scope_id else rule.scope
            state = "paused" if rule.paused else "active"
            where = ",".join(rule.destinations)
            click.echo(
                "\t".join([rule.id, rule.owner, scope, state, where, rule.query, rule.name, means.problem(rule)])
            )


@standing_deliveries.command()
@click.argument("standing_delivery")
@data_option
def pause(standing_delivery: str, data: Path | None) -> None:
    """Deliver nothing of what arrives until `resume`."""
    _pause(standing_delivery, data, paused=True)


@standing_deliveries.command()
@click.argument("standing_delivery")
@data_option
def resume(standing_delivery: str, data: Path | None) -> None:
    """Deliver what arrives from now on. What came during the pause: `starferry deliver --query`."""
    _pause(standing_delivery, data, paused=False)


@standing_deliveries.command()
@click.argument("standing_delivery")
@data_option
def end(standing_delivery: str, data: Path | None) -> None:
    """End it for good. What it has requested goes on."""
    why = operator()
    with opened(data) as core:
        end_standing_delivery(core.log, core.clock, why, _operator(why.actor), standing_delivery)


def _pause(standing_delivery: str, data: Path | None, *, paused: bool) -> None:
    why = operator()
    with opened(data) as core:
        change_standing_delivery(core.log, core.clock, why, _operator(why.actor), standing_delivery, paused=paused)


def _operator(name: str) -> Principal:
    return Principal(name, is_superuser=True)

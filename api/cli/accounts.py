"""`starferry user` and `starferry token`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psycopg
import rich_click as click
from rich.console import Console
from rich.table import Table

from adapters.ids import new_token
from api.cli.opening import data_option, opened, operator
from application.commands.accounts import change_account, create_token, create_user, revoke_token, set_password
from domain.errors import InvalidInput
from projections.accounts import accounts


@click.group()
def user() -> None:
    """Who may come in."""


@user.command("create")
@click.argument("name")
@click.option("--superuser", is_flag=True, help="May ingest, and sees everything.")
@click.option("--password-stdin", is_flag=True, help="Read a password from standard input; without one, tokens only.")
@click.option("--proposal", "proposals", multiple=True, help="A proposal of the user's; repeat for more.")
@data_option
def create(name: str, superuser: bool, password_stdin: bool, proposals: tuple[str, ...], data: Path | None) -> None:
    """Create a user."""
    password = sys.stdin.readline().rstrip("\n") if password_stdin else None
    if password_stdin and not password:
        raise InvalidInput("There was no password on standard input.")
    with opened(data) as core:
        create_user(
            core.log,
            core.passwords,
            core.clock,
            operator(),
            name,
            password=password,
            is_superuser=superuser,
            proposals=proposals,
        )
    click.echo(f"Created {'superuser' if superuser else 'user'} {name}.", err=True)


@user.command("password")
@click.argument("name")
@data_option
def password(name: str, data: Path | None) -> None:
    """Set a user's password, read from standard input."""
    fresh = sys.stdin.readline().rstrip("\n")
    with opened(data) as core:
        set_password(core.log, core.passwords, core.clock, operator(), name, fresh)
        core.sessions.end_all(name)
    click.echo(f"The password of {name} is set.", err=True)


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@data_option
def list_users(as_json: bool, data: Path | None) -> None:
    """List the users with their flags and proposals; a star marks proposals that the portal lists."""
    with opened(data) as core:
        core.projection_runner().catch_up()
        with psycopg.connect(core.conninfo) as connection:
            rows = accounts(connection)
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
        return
    table = Table("name", "may", "tokens", "from portal", "proposals", box=None, pad_edge=False)
    for row in rows:
        proposals = [*row["proposals"], *(f"{proposal}*" for proposal in row["learned"])]
        table.add_row(
            row["username"], _may(row), str(row["tokens"]), "yes" if row["synced"] else "", " ".join(proposals)
        )
    Console().print(table)


def _may(row: dict[str, Any]) -> str:
    if not row["active"]:
        return "nothing"
    return "everything" if row["is_superuser"] else "see versions" if row["is_staff"] else ""


@user.command("change")
@click.argument("name")
@click.option("--superuser/--no-superuser", default=None, help="May ingest, and sees everything.")
@click.option("--staff/--no-staff", default=None, help="May list versions.")
@data_option
def change(name: str, superuser: bool | None, staff: bool | None, data: Path | None) -> None:
    """Give a user a flag, or take it away. The portal's next word on the user counts for more."""
    _change(data, f"{name} is changed.", name, is_superuser=superuser, is_staff=staff)


@user.command("proposals")
@click.argument("name")
@click.argument("proposals", nargs=-1)
@data_option
def proposals(name: str, proposals: tuple[str, ...], data: Path | None) -> None:
    """Set the proposals that are granted to a user here, in place of those before; none take all away."""
    _change(data, f"{name} has {len(set(proposals))} granted proposals.", name, proposals=proposals)


@user.command("deactivate")
@click.argument("name")
@data_option
def deactivate(name: str, data: Path | None) -> None:
    """Shut a user out: tokens, passwords and sessions are no longer good."""
    _change(data, f"{name} may no longer come in.", name, active=False)


@user.command("activate")
@click.argument("name")
@data_option
def activate(name: str, data: Path | None) -> None:
    """Let a user in again, with the tokens and the password of before."""
    _change(data, f"{name} may come in.", name, active=True)


def _change(data: Path | None, done: str, name: str, **changes: Any) -> None:
    with opened(data) as core:
        change_account(core.log, core.clock, operator(), name, **changes)
        if changes.get("active") is False:
            core.sessions.end_all(name)
    click.echo(done, err=True)


@click.group()
def token() -> None:
    """Tokens for programs."""


@token.command("create")
@click.argument("name")
@data_option
def create_for(name: str, data: Path | None) -> None:
    """Make a token for a user and print it, alone. It can't be shown again."""
    fresh = new_token()
    with opened(data) as core:
        create_token(core.log, core.clock, operator(), name, fresh)
    click.echo(fresh)


@token.command("revoke")
@click.argument("name")
@data_option
def revoke(name: str, data: Path | None) -> None:
    """End a user's token, read from standard input."""
    with opened(data) as core:
        revoke_token(core.log, core.clock, operator(), name, sys.stdin.readline().strip())
    click.echo(f"That token of {name} is no longer good.", err=True)

"""`starferry user` and `starferry token`."""

from __future__ import annotations

import sys
from pathlib import Path

import rich_click as click

from adapters.ids import new_token
from api.cli.opening import data_option, opened, operator
from application.commands.accounts import create_token, create_user, revoke_token, set_password
from domain.errors import InvalidInput


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
    click.echo(f"The password of {name} is set.", err=True)


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

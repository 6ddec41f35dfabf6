"""Makes a new cluster, so that whatever kills us on the way, it is there whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from adapters.embedded_postgres.binaries import MAJOR
from adapters.embedded_postgres.identity import Identity, makers
from adapters.embedded_postgres.layout import Layout
from adapters.embedded_postgres.ownership import give
from adapters.embedded_postgres.private_file import replace_file, sync
from adapters.embedded_postgres.program import Launch, first_able, launch
from domain.errors import Misconfigured

ROLE = "starferry"
SETTINGS_FILE = "starferry.conf"
_HBA = "# Only our own socket, and only with the password.\nlocal all all scram-sha-256\n"
_CONFIGURATION = f"# Settings of your own go below this line, which reads Starferry's.\ninclude = '{SETTINGS_FILE}'\n"


def ensure_cluster(layout: Layout, server: Identity, programs: Path, *, durable: bool) -> None:
    """Have a cluster that this PostgreSQL can run. Call it with the start lock held and no server alive.

    Raises Misconfigured when what is there is of another version or no cluster, or when initdb fails.
    """
    if _is_empty_or_absent(layout.cluster):
        _make(layout, server, programs, durable=durable)
        return
    try:
        version = (layout.cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise Misconfigured(f"{layout.cluster} holds something else than a database: move it away.") from None
    if version != str(MAJOR):
        raise Misconfigured(
            f"The database in {layout.cluster} is of PostgreSQL {version}, and the embedded one is {MAJOR}: "
            "convert it with pg_upgrade, or dump it with its own version and load it into an empty directory."
        )
    if not layout.password.exists():
        raise Misconfigured(f"The password of the database is gone: put {layout.password} back from a backup.")


def _is_empty_or_absent(folder: Path) -> bool:
    try:
        return next(folder.iterdir(), None) is None
    except FileNotFoundError:
        return True


def _make(layout: Layout, server: Identity, programs: Path, *, durable: bool) -> None:
    maker = first_able(makers(server), programs, [layout.directory])
    password = secrets.token_urlsafe(32)
    replace_file(layout.password, password)
    for_maker = layout.directory / "password.initdb"
    shutil.rmtree(layout.unfinished, ignore_errors=True)
    layout.unfinished.mkdir(mode=0o700)
    try:
        replace_file(for_maker, password)
        give(for_maker, maker.uid, maker.gid)
        give(layout.unfinished, maker.uid, maker.gid)
        _initdb(layout, maker, programs, for_maker, durable=durable)
    finally:
        for_maker.unlink(missing_ok=True)
    replace_file(layout.unfinished / "pg_hba.conf", _HBA)
    replace_file(layout.unfinished / "postgresql.conf", _CONFIGURATION)
    give(layout.unfinished, server.uid, server.gid)
    layout.unfinished.replace(layout.cluster)
    sync(layout.directory)


def _initdb(layout: Layout, maker: Identity, programs: Path, password: Path, *, durable: bool) -> None:
    argv = (
        str(programs / "initdb"),
        f"--pgdata={layout.unfinished}",
        f"--username={ROLE}",
        f"--pwfile={password}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        # The same order and letter case on every machine; this build has no ICU, and a C library may change its mind.
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--data-checksums",
        "--no-instructions",
        *(() if durable else ("--no-sync",)),
    )
    if not launch(Launch(argv=argv, identity=maker, lock=str(layout.server_lock)), layout.start_output):
        said = layout.start_output.read_text(errors="replace").strip().splitlines()
        raise Misconfigured(
            f"The embedded database couldn't be made in {layout.directory}: "
            f"{said[-1] if said else 'initdb gave no reason'} (more in {layout.start_output})."
        )

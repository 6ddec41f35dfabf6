"""`starferry import-ocs` of 50 000 frames with full headers, checked afterwards, into a new installation."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from tests.benchmarks.installation import Installation
from tests.benchmarks.report import Row
from tests.benchmarks.session import Session
from tests.original_archive import Original
from tests.postgres import fresh_database

FRAMES, GOAL = 50_000, 60.0


def run(session: Session) -> Iterator[Row]:
    """See the module. The time is that of the whole command: import, read models, comparison."""
    folder = Path(tempfile.mkdtemp(prefix="import-", dir=session.installation.data))
    here = Installation(folder)
    try:
        with fresh_database(session.installation.conninfo) as conninfo:
            original = Original(conninfo)
            original.fill([session.generator.frame(number) for number in range(FRAMES)])
            original.execute("ANALYZE")
            session.say(f"made an original of {FRAMES} frames ({conninfo_to_dict(conninfo)['dbname']})")
            finished = here.command("import-ocs", environment={"STARFERRY_IMPORT_DATABASE": conninfo})
            if "0 differences" not in finished.output:
                raise RuntimeError(finished.output)
    finally:
        here.close_database()
        shutil.rmtree(folder)
    yield Row(
        name=f"import of {FRAMES} frames from an OCS archive's database",
        figure=finished.seconds,
        unit="s",
        goal=f"<= {GOAL:.0f}",
        reached=finished.seconds <= GOAL,
        note=f"{FRAMES / finished.seconds:.0f} frames/s with read models and check",
    )

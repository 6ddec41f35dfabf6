"""What the server said last, for the sentence that tells why it didn't start."""

from __future__ import annotations

import re
from pathlib import Path

from adapters.embedded_postgres.layout import Layout

# A mistake in the settings is told first in a LOG line; the FATAL one after it says only that there is one.
_GRAVE = re.compile(r"(?:PANIC: |FATAL: |could not run:|LOG: (?= (?:unrecognized|invalid|parameter|syntax)))\s*(.+)")
_EMPTY = "contains errors"


def complaint(layout: Layout) -> str:
    """The latest grave line of the server and where to read more."""
    logs = [layout.start_output, *sorted((layout.cluster / "log").glob("postgres-*.log"), key=_changed)[-1:]]
    for log in logs:
        said = log.read_text(errors="replace").splitlines() if log.exists() else []
        grave = [found[1] for found in map(_GRAVE.search, said) if found and not found[1].endswith(_EMPTY)]
        if grave:
            return f"{grave[-1]} (more in {log})."
    return f"it gave no reason (see {logs[-1]})."


def _changed(file: Path) -> float:
    return file.stat().st_mtime

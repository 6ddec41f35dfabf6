"""The Content-Disposition header that makes a browser save a file under its name."""

from __future__ import annotations

import re
from urllib.parse import quote


def attachment(filename: str) -> str:
    """`attachment; filename=<name>` as OCS writes it; any but a plain token is quoted or encoded (RFC 6266)."""
    name = re.sub(r"[\x00-\x1f\x7f]", "_", filename)
    if re.fullmatch(r"[A-Za-z0-9!#$&+.^_`|~-]+", name):
        return f"attachment; filename={name}"
    plain = name.encode("ascii", "replace").decode("ascii").replace('"', "_").replace("\\", "_")
    exact = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    return f'attachment; filename="{plain}"{exact}'

"""What is told of an archived frame: the body of the `archived_fits` message (contracts: OCS archive 1.12).

Pipelines have read this message for years, so it is the original's to the byte: JSON with a space behind each comma and
colon, everything beyond ASCII escaped, the headers first and in their order.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Literal

from domain.footprint import Footprint
from domain.frames import FileProcessed

AreaForm = Literal["string", "object"]
"""How a footprint is sent: as a text that holds GeoJSON (OCS from 2.4 on), or as GeoJSON itself (2.3, photonranch)."""

DECIMALS = 15
"""What GDAL writes of a coordinate."""

_NOISE = re.compile(r"(0{5}.|9{5}.|(0{7}|9{7})..)$")


def archived_message(event: FileProcessed, area: AreaForm = "string") -> bytes:
    """The message's body. Keys of ours replace headers of the same name, at their place."""
    message: dict[str, Any] = json.loads(bytes(event.headers))
    footprint = event.record.area
    message["area"] = footprint and (area_text(footprint) if area == "string" else _area_object(footprint))
    message["basename"] = event.record.basename
    message["version_set"] = [
        {"key": version.key, "md5": version.md5, "extension": version.extension} for version in event.versions
    ]
    message["filename"] = event.record.basename + event.versions[0].extension
    message["frameid"] = event.frame_id
    return json.dumps(message).encode()


def area_text(footprint: Footprint) -> str:
    """The footprint as GDAL, which the original uses, writes GeoJSON: `{ "type": "Polygon", "coordinates": [ … ] }`."""
    rings = (
        _listed(_listed(_coordinate(value) for value in position) for position in ring)
        for ring in footprint.coordinates
    )
    return f'{{ "type": "Polygon", "coordinates": {_listed(rings)} }}'


def _area_object(footprint: Footprint) -> dict[str, Any]:
    return {"type": footprint.type, "coordinates": footprint.coordinates}


def _listed(items: Any) -> str:
    return f"[ {', '.join(items)} ]"


def _coordinate(value: float) -> str:
    """Fifteen decimals without what looks like rounding noise: a long run of noughts or nines at the end and what
    follows it. (Compared with GDAL 3.6 and 3.12 on 252 000 numbers below 1000: all agree.)"""
    text = f"{value:.{DECIMALS}f}"
    run = _NOISE.search(text)
    if run:
        text = f"{Decimal(text):.{DECIMALS - len(run[0])}f}"
    text = text.rstrip("0")
    return text + "0" if text.endswith(".") else text

"""How long after the end of its exposure a frame was archived (contracts: OCS ingester 3.6)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import msgspec

from domain.frames import Frame

_TIME = re.compile(r"(\d{1,2}):(\d{2}):(\d{2}(?:\.\d*)?)")
_STOP = re.compile(rb'"UTSTOP":\s*"([^"]*)"')


def ended_at(observed: datetime, utstop: str, exposure: float | None) -> datetime:
    """When an exposure that began at `observed` (UTC) ended: at the header's UTSTOP, on the next day when the hours
    differ by more than 12; without a readable UTSTOP after `exposure` seconds; else at once."""
    match = _TIME.fullmatch(utstop.strip())
    if match and int(match[1]) < 24 and int(match[2]) < 60 and float(match[3]) < 61:
        midnight = observed.replace(hour=0, minute=0, second=0, microsecond=0)
        end = midnight + timedelta(hours=int(match[1]), minutes=int(match[2]), seconds=float(match[3]))
        return end + timedelta(days=1) if abs(observed.hour - int(match[1])) > 12 else end
    try:
        return observed + timedelta(seconds=exposure or 0.0)
    except OverflowError:
        return observed


def ingest_lag(frame: Frame, now: datetime) -> float | None:
    """Seconds from the end of the exposure until `now`; None when nobody knows when it was."""
    record = frame.record
    if record is None or record.observation_date is None:
        return None
    found = _STOP.search(bytes(frame.headers))  # a whole header would cost more to decode than all the rest
    utstop = msgspec.json.decode(b'"' + found[1] + b'"', type=str) if found and b"\\" not in found[1] else ""
    return (now - ended_at(record.observation_date, utstop, record.exposure_time)).total_seconds()

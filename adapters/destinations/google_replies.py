"""The error format that Google's JSON APIs share, and when their daily limits end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any


def error_in(content: bytes) -> Mapping[str, Any] | None:
    """The `error` object of a reply, None when the reply isn't Google's."""
    try:
        error = json.loads(content).get("error")
    except (ValueError, AttributeError):
        return None
    return error if isinstance(error, dict) else None


def reason_of(error: Mapping[str, Any]) -> str:
    """The first of the reasons, empty when there is none."""
    errors = error.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else {}
    return str(first.get("reason", "")) if isinstance(first, dict) else ""


def seconds_to_midnight(now: datetime) -> float:
    """Until the next day begins in UTC, when a daily limit is a new one (S46)."""
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - now).total_seconds()

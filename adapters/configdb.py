"""The observatory's configuration types: from its ConfigDB where it has one, else from the settings (ocs.md 1.13)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import requests
import structlog

logger = structlog.get_logger()

REFRESH_SECONDS = 3600.0
RETRY_SECONDS = 60.0
TIMEOUT_SECONDS = 5.0
"""The API's start waits for the first answer; one that hangs must not hold it up for long."""


class ConfigurationTypes:
    """The types that frames may have. Until ConfigDB has answered, and where it doesn't, those of the settings."""

    def __init__(self, configured: Sequence[str], url: str = "") -> None:
        self._known = tuple(configured)
        self._url = url.rstrip("/")

    @property
    def changing(self) -> bool:
        """Whether there is a ConfigDB to ask."""
        return bool(self._url)

    def known(self) -> tuple[str, ...]:
        """The types as last heard of."""
        return self._known

    def refresh(self) -> float:
        """Ask ConfigDB and return the seconds until it should be asked again. Its faults are logged: what was known
        stays known."""
        try:
            answer = requests.get(f"{self._url}/instruments/", timeout=TIMEOUT_SECONDS)
            answer.raise_for_status()
            found = _codes(answer.json())
        except (requests.RequestException, ValueError, TypeError, KeyError, AttributeError) as error:
            logger.warning("ConfigDB can't be read; the types known so far stay", error=type(error).__name__)
            return RETRY_SECONDS
        if not found:
            logger.warning("ConfigDB names no configuration type; the types known so far stay")
            return RETRY_SECONDS
        self._known = found
        return REFRESH_SECONDS


def _codes(document: Any) -> tuple[str, ...]:
    """The codes in ConfigDB's list of instruments, each once, in its order."""
    return tuple(
        dict.fromkeys(
            str(kind["code"])
            for instrument in document["results"]
            for kind in instrument["instrument_type"]["configuration_types"]
        )
    )

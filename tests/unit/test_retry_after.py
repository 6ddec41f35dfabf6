"""adapters.destinations.retry_after"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.destinations.retry_after import seconds_to_wait

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Sun, 01 Mar 2026 12:05:00 GMT", 300.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("99999999999", 86_400.0),
        ("Mon, 01 Mar 2027 12:00:00 GMT", 86_400.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("²", None),
    ],
)
def test_seconds_and_dates_are_understood_and_junk_is_ignored(header: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(header, NOW) == seconds

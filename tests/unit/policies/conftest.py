"""Policies say loudly what they set aside; here nobody has to read it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep log lines off the screen."""
    with capture_logs():
        yield

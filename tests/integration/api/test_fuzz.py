"""Requests made up from the OpenAPI documents meet no server error, and answers are as described (row A41)."""

from __future__ import annotations

import pytest

from tests.fuzz.fuzzing import fuzz
from tests.site import Site


@pytest.mark.timeout(300)
def test_a41_no_request_made_up_from_the_documents_breaks_anything(site: Site) -> None:
    """A thousand here, always the same ones; `make fuzz` sends twenty thousand others each time."""
    outcome = fuzz(site, 1500, derandomize=True)
    assert not outcome.faults, "\n\n".join(outcome.faults.values())
    assert outcome.requests > 900
    assert {200, 400, 401, 403, 404} <= set(outcome.statuses)
    assert not site.failures()

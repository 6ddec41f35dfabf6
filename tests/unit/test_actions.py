"""What people are offered to do is what their request would be taken for (S62, S63)."""

from __future__ import annotations

from typing import Any

import pytest

from projections.delivery_queries import config_actions, transfer_actions


@pytest.mark.parametrize(
    ("row", "actions"),
    [
        ({"status": "pending"}, ["cancel"]),
        ({"status": "in_progress"}, ["cancel"]),
        ({"status": "completed"}, ["verify"]),
        ({"status": "completed", "copy": "verified"}, ["verify"]),
        ({"status": "completed", "copy": "missing"}, ["retry", "cancel", "clear", "verify"]),
        ({"status": "completed", "copy": "changed"}, ["cancel", "clear", "verify"]),
        ({"status": "failed"}, ["retry", "cancel", "clear"]),
        ({"status": "cancelled"}, []),
    ],
)
def test_s62_a_transfers_actions_follow_from_its_state(row: dict[str, Any], actions: list[str]) -> None:
    assert transfer_actions({"copy": None, **row}) == actions


@pytest.mark.parametrize("provider", ["dropbox", "google_drive", "google_cloud_storage", "s3", "folder"])
def test_s63_only_accounts_that_are_asked_for_consent_are_authorized(provider: str) -> None:
    offered = config_actions({"enabled": False, "provider": provider}, manages=True)
    assert ("authorize" in offered) is (provider in ("dropbox", "google_drive"))
    assert "select" not in offered

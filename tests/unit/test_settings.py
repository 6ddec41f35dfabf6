"""Values of settings that can't be right stop the start with a sentence that names the setting."""

from __future__ import annotations

import pytest

from api.settings import Settings
from domain.errors import Misconfigured


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STARFERRY_RETRY_SCHEDULE", "300,-1"),
        ("STARFERRY_RETRY_SCHEDULE", "nan"),
        ("STARFERRY_WEBHOOK_SCHEDULE", "inf"),
        ("STARFERRY_SWEEP_SECONDS", "0"),
        ("STARFERRY_SWEEP_SECONDS", "-5"),
        ("STARFERRY_SWEEP_SECONDS", "nan"),
        ("STARFERRY_SWEEP_SECONDS", "often"),
        ("STARFERRY_SWEEP_SECONDS", "601"),
        ("STARFERRY_WORKERS", "0"),
        ("STARFERRY_SITE_ID_LENGTH", "201"),
        ("STARFERRY_FOLDER_ROOTS", "/deliveries:deliveries"),
        ("STARFERRY_RETENTION", '[{"name": "a", "days": 1}, {"name": "a", "days": 2}]'),
        ("STARFERRY_RETENTION", "old ones"),
        ("STARFERRY_ZIP_MODE", "both"),
        ("ZIP_DOWNLOAD_FILENAME_BASE", "../up"),
        ("FILESYSTEM_STORAGE_BASE_URL", "https://files.example.org/?a=b"),
        ("OAUTH_PROFILE_URL", "https://user@portal.example.org/"),
        ("STARFERRY_DROPBOX_URL", "https://dropbox.example.org"),
        ("PROCESSED_EXCHANGE_ENABLED", "perhaps"),
        ("STARFERRY_MAIL_FROM", "starferry"),
        ("STARFERRY_MAIL_PAUSE_SECONDS", "-1"),
    ],
)
def test_a_value_that_cant_be_right_stops_the_start(name: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=f"^{name} can't be "):
        Settings({name: value})


@pytest.mark.parametrize(
    ("name", "value", "parsed"),
    [
        ("STARFERRY_RETRY_SCHEDULE", "300, 600,", (300.0, 600.0)),
        ("STARFERRY_RETRY_SCHEDULE", "", ()),
        ("STARFERRY_SWEEP_SECONDS", "0.5", 0.5),
        ("STARFERRY_SWEEP_SECONDS", "600", 600.0),
        ("STARFERRY_TRANSFER_DAYS", "", None),
        ("S3_DAYS_TO_IA_STORAGE", "off", None),
        ("FILESYSTEM_STORAGE_BASE_URL", "https://files.example.org/frames", "https://files.example.org/frames/"),
        ("STARFERRY_DROPBOX_URL", "http://[::1]:8080/", "http://[::1]:8080"),
        ("PROCESSED_EXCHANGE_ENABLED", "False", False),
        ("QUEUE_BROKER_URL", "memory://localhost", ""),
    ],
)
def test_a_value_becomes_what_it_means(name: str, value: str, parsed: object) -> None:
    assert Settings({name: value})[name] == parsed

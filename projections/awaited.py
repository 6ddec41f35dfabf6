"""Whoever waits for the read models says so, and they gather no more events before the next batch."""

from __future__ import annotations

CHANNEL = "starferry_awaited"
TELL = f"SELECT pg_notify('{CHANNEL}', '') WHERE NOT pg_is_in_recovery()"
"""A statement that tells whichever process makes the read models. A replica can't tell anybody anything: those who ask
one wait a moment longer."""

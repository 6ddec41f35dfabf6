"""The connection test of every destination: three checks, and the tiny file that the last one writes and removes."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

import google_crc32c

from adapters.destinations.hash_match import verify
from application.ports.destination import Check, Destination, Upload
from domain.errors import StarferryError
from domain.hashes import Hashes

TEXT = b"Starferry wrote this to test the connection. It may be deleted.\n"


def run_checks(
    credentials: Callable[[], object], destination: Callable[[], object], upload: Callable[[], object]
) -> list[Check]:
    """One Check a step, under the step's name, ending at the first that raises a StarferryError."""
    checks: list[Check] = []
    for name, step in (("credentials", credentials), ("destination", destination), ("upload", upload)):
        try:
            step()
        except StarferryError as exc:
            checks.append(Check(name, ok=False, reason=str(exc)))
            break
        checks.append(Check(name, ok=True))
    return checks


def write_and_remove(destination: Destination, folder: str) -> None:
    """Send a tiny file into `folder` as every file is sent, and remove it. Raises what the destination raises."""
    token = secrets.token_hex(8)
    sha256 = hashlib.sha256(TEXT)
    upload = Upload(
        path=f"{folder.rstrip('/')}/.starferry-probe-{token}",
        size=len(TEXT),
        hashes=Hashes(
            md5=hashlib.md5(TEXT, usedforsecurity=False).hexdigest(),
            sha256=sha256.hexdigest(),
            crc32c=f"{google_crc32c.value(TEXT):08x}",
            dropbox=hashlib.sha256(sha256.digest()).hexdigest(),
        ),
        token=token,
        content_type="text/plain",
    )
    session = destination.begin(upload, None)
    session = destination.put(upload, session, TEXT)
    arrived = destination.finish(upload, session)
    try:
        verify(upload, arrived)
    finally:
        destination.remove(arrived)

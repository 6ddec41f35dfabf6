"""Random names that nobody can guess, from the operating system's generator."""

from __future__ import annotations

import base64
import os

_LETTERS = 20


def new_id(prefix: str) -> str:
    """`<prefix>-` and 20 lower-case base32 characters (100 random bits): `new_id("cfg")` → `cfg-k3v…`."""
    letters = base64.b32encode(os.urandom(_LETTERS * 5 // 8 + 1)).decode("ascii").lower()
    return f"{prefix}-{letters[:_LETTERS]}"


def new_token() -> str:
    """A bearer token: 40 lower-case hex characters (160 random bits), the form that OCS clients expect."""
    return os.urandom(20).hex()

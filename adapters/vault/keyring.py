"""The master keys: from a setting, or from a file that the first start makes.

Form: `id:key`, separated by commas or line breaks; `id` is 1 to 64 of letters, digits, `.`, `_` and `-`; `key` is
32 random bytes in base64 (`openssl rand -base64 32`). THE FIRST ONE IS THE NEWEST: it encrypts; all of them decrypt.

To rotate while everything runs: put the new key second, on every host; then first, on every host; then
`starferry keys rotate`; then take the old one out.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from adapters.vault.envelope import KEY_LENGTH, CannotOpen, DataKey, MasterKey
from domain.errors import Misconfigured

VARIABLE = "STARFERRY_MASTER_KEYS"
KEY_FILE = Path("keys", "master.keys")
"""Below the data directory."""


class Keyring:
    """All master keys, newest first; at least one."""

    def __init__(self, keys: Sequence[MasterKey]) -> None:
        self.newest = keys[0]
        self._keys = {key.id: key for key in keys}

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"

    @property
    def ids(self) -> tuple[str, ...]:
        """The keys' ids, newest first."""
        return tuple(self._keys)

    def unwrap(self, owner: str, master_key_id: str, wrapped: bytes) -> DataKey:
        """The owner's data key. Raises Misconfigured when the master key is missing or is another one."""
        try:
            key = self._keys[master_key_id]
        except KeyError:
            raise Misconfigured(
                f"Stored secrets need the master key '{master_key_id}', which isn't there; "
                f"add it to {VARIABLE} or to the key file. Nothing was changed."
            ) from None
        try:
            return key.unwrap(owner, wrapped)
        except CannotOpen:
            raise Misconfigured(
                f"The master key '{master_key_id}' isn't the one that sealed the stored secrets; "
                f"put the right one into {VARIABLE} or the key file. Nothing was changed."
            ) from None


def open_keyring(setting: str, data: Path) -> Keyring:
    """The keys of the setting; when it is empty, those of the key file below `data`, made when it isn't there.

    Raises Misconfigured, naming the variable or the file and never a key.
    """
    if setting.strip():
        return parse(setting, VARIABLE)
    file = data / KEY_FILE
    try:
        if not file.exists():
            _create(file)
        with file.open(encoding="ascii") as source:
            open_to_others = os.fstat(source.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO)
            text = source.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"The key file {KEY_FILE} in the data directory can't be read or made.") from error
    if open_to_others:
        raise Misconfigured(f"The key file {KEY_FILE} in the data directory is open to others; set its mode to 600.")
    return parse(text, f"the key file {KEY_FILE}")


def parse(text: str, where: str) -> Keyring:
    """The keys of a setting or file; `where` names it in the sentence of a Misconfigured."""
    entries = [entry for part in re.split(r"[,\n]", text) if (entry := part.strip())]
    if not entries:
        raise Misconfigured(f"There is no master key in {where}.")
    ids: set[str] = set()
    secrets: set[bytes] = set()
    keys: list[MasterKey] = []
    for number, entry in enumerate(entries, 1):
        id, colon, encoded = entry.partition(":")
        if not colon or not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", id):
            raise Misconfigured(f"Master key {number} in {where} must be written as id:base64.")
        secret = _decoded(encoded.strip())
        if secret is None or len(secret) != KEY_LENGTH:
            raise Misconfigured(f"Master key {number} in {where} must be {KEY_LENGTH} bytes in base64.")
        if id in ids or secret in secrets:
            raise Misconfigured(f"Master key {number} in {where} is there twice.")
        ids.add(id)
        secrets.add(secret)
        keys.append(MasterKey(id, secret))
    return Keyring(keys)


def _decoded(encoded: str) -> bytes | None:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None


def _create(file: Path) -> None:
    """Make the file with one random key. When several processes start at once, the first one's stays."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = base64.b64encode(os.urandom(KEY_LENGTH)).decode("ascii")
    line = f"{datetime.now(UTC):%Y%m%d}-{os.urandom(3).hex()}:{key}\n"
    draft = file.with_name(f".{os.urandom(8).hex()}.draft")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(line)
            out.flush()
            os.fsync(out.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink(missing_ok=True)
    for folder in (file.parent, file.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

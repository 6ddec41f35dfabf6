"""Envelope encryption: a random data key seals one owner's secrets, a master key wraps the data key.

Both steps are AES-256-GCM with random 96-bit nonces (NIST SP 800-38D). The additional data says what a ciphertext is
for: one that was moved to another owner, field, version or master key fails to open.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_LENGTH = 32
NONCE_LENGTH = 12


class CannotOpen(Exception):
    """The ciphertext isn't what this key sealed for this place. Never leaves this package."""


class MasterKey:
    """A key that wraps data keys. Its bytes can't be read back from it and aren't shown."""

    __slots__ = ("_cipher", "id")

    def __init__(self, id: str, secret: bytes) -> None:
        self.id = id
        self._cipher = AESGCM(secret)

    def __repr__(self) -> str:
        return f"MasterKey({self.id!r})"

    def wrap(self, data_key: DataKey) -> bytes:
        """The data key in a form that may be stored: nonce and ciphertext."""
        nonce = os.urandom(NONCE_LENGTH)
        return nonce + self._cipher.encrypt(nonce, data_key._secret, self._place(data_key.owner))

    def unwrap(self, owner: str, wrapped: bytes) -> DataKey:
        """The owner's data key. Raises CannotOpen."""
        return DataKey(owner, _open(self._cipher, wrapped[:NONCE_LENGTH], wrapped[NONCE_LENGTH:], self._place(owner)))

    def _place(self, owner: str) -> bytes:
        return _place("data key", owner, self.id)


class DataKey:
    """The key of one owner's secrets. Its bytes aren't shown."""

    __slots__ = ("_cipher", "_secret", "owner")

    def __init__(self, owner: str, secret: bytes) -> None:
        self.owner = owner
        self._secret = secret
        self._cipher = AESGCM(secret)

    @classmethod
    def new(cls, owner: str) -> DataKey:
        """A random key."""
        return cls(owner, os.urandom(KEY_LENGTH))

    def __repr__(self) -> str:
        return f"DataKey({self.owner!r})"

    def seal(self, field: str, version: int, secret: str) -> tuple[bytes, bytes]:
        """Nonce and ciphertext of a secret. Raises UnicodeEncodeError for text that UTF-8 doesn't have."""
        nonce = os.urandom(NONCE_LENGTH)
        return nonce, self._cipher.encrypt(nonce, secret.encode(), self._place(field, version))

    def open(self, field: str, version: int, nonce: bytes, ciphertext: bytes) -> str:
        """The secret in the clear. Raises CannotOpen."""
        return _open(self._cipher, nonce, ciphertext, self._place(field, version)).decode()

    def _place(self, field: str, version: int) -> bytes:
        return _place("secret", self.owner, field, str(version))


def _open(cipher: AESGCM, nonce: bytes, ciphertext: bytes, place: bytes) -> bytes:
    try:
        return cipher.decrypt(nonce, ciphertext, place)
    except (InvalidTag, ValueError):
        raise CannotOpen from None


def _place(*parts: str) -> bytes:
    """The parts with their lengths, so that no two lists of parts give the same bytes."""
    encoded = [part.encode() for part in ("starferry vault 1", *parts)]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)

"""What both vaults do with an owner's data key: seal what is put, open what is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from adapters.vault.envelope import CannotOpen, DataKey
from domain.errors import GiveUp, InvalidInput


class Sealed(msgspec.Struct, frozen=True):
    """One secret as it is stored. `version` is the owner's when it was put."""

    field: str
    version: int
    nonce: bytes
    ciphertext: bytes


def check_names(owner: str, fields: Iterable[str]) -> None:
    """Refuse, with InvalidInput, what the stores couldn't all keep as a name."""
    for name in (owner, *fields):
        if not name or "\0" in name or not name.isprintable():
            raise InvalidInput("The name of a secret and of its owner must be printable text.")


def seal_all(data_key: DataKey, version: int, secrets: Mapping[str, str]) -> list[Sealed]:
    """The secrets as they are stored. Raises InvalidInput, naming the field, for text that can't be kept."""
    sealed: list[Sealed] = []
    for field, secret in sorted(secrets.items()):
        try:
            nonce, ciphertext = data_key.seal(field, version, secret)
        except UnicodeEncodeError:
            raise InvalidInput(f"The value of '{field}' isn't valid text.", field=field) from None
        sealed.append(Sealed(field, version, nonce, ciphertext))
    return sealed


def open_all(data_key: DataKey, sealed: Iterable[Sealed]) -> dict[str, str]:
    """The secrets in the clear. Raises GiveUp for one that was altered or belongs somewhere else."""
    opened: dict[str, str] = {}
    for one in sealed:
        try:
            opened[one.field] = data_key.open(one.field, one.version, one.nonce, one.ciphertext)
        except CannotOpen:
            raise GiveUp(
                f"The stored secret '{one.field}' of {data_key.owner} was altered or moved; enter it again."
            ) from None
    return opened

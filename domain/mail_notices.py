"""The MailNotices aggregate: whether a user wants mail about what failed. The address is kept sealed, outside the log,
so that it can be forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar

import msgspec

from domain.errors import InvalidInput
from domain.event import Event, Recorded

ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
ADDRESS_LENGTH = 254


class MailNoticesChosen(Event, frozen=True, kw_only=True):
    """The user wants these mails, or none any more; also when only the address changed."""

    topic: ClassVar[str] = "mail_notices.chosen"
    enabled: bool


class MailNotices(msgspec.Struct, frozen=True):
    """What a sender needs to know."""

    enabled: bool = False


def stream_of(username: str) -> str:
    """The stream of a user's choice."""
    return f"mail_notices:{username}"


def vault_owner(username: str) -> str:
    """Under which name the vault keeps the address."""
    return f"mail:{username}"


def fold(history: Iterable[Recorded]) -> MailNotices:
    """The choice that a stream tells of."""
    choice = MailNotices()
    for recorded in history:
        if isinstance(recorded.event, MailNoticesChosen):
            choice = MailNotices(recorded.event.enabled)
    return choice


def check_address(address: str) -> None:
    """Raise InvalidInput for what isn't one plain mail address."""
    if len(address) > ADDRESS_LENGTH or not ADDRESS.fullmatch(address):
        raise InvalidInput("The address is one such as ada@example.org.", field="address")

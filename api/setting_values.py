"""How the texts of settings become values. What can't be right raises ValueError."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from domain.mail_notices import ADDRESS
from domain.retention import GUIDE_RULE, RetentionRule


def days(value: str) -> int | None:
    """A number of days, or `off` for None."""
    return None if value == "off" else int(value)


def text(value: str) -> str:
    """The text itself."""
    return value


def positive(value: str) -> int:
    """A whole number from 1 on."""
    number = int(value)
    if number < 1:
        raise ValueError
    return number


def code_length(value: str) -> int:
    """The codes of sites and telescopes are parts of paths and are indexed."""
    number = positive(value)
    if number > 200:
        raise ValueError
    return number


def seconds(value: str) -> tuple[float, ...]:
    """Seconds, none negative, separated by commas."""
    return tuple(not_negative(part) for part in value.split(",") if part.strip())


def paths(value: str) -> tuple[Path, ...]:
    """Absolute paths, separated by `:`."""
    given = tuple(Path(part) for part in value.split(":") if part)
    if any(not path.is_absolute() for path in given):
        raise ValueError
    return given


def days_or_never(value: str) -> int | None:
    """A number of days; nothing for None."""
    return positive(value) if value else None


def rules(value: str) -> tuple[RetentionRule, ...]:
    """Retention rules as JSON, each with a name of its own."""
    try:
        given = msgspec.json.decode(value, type=tuple[RetentionRule, ...]) if value else ()
    except msgspec.MsgspecError as error:
        raise ValueError from error
    if len({rule.name for rule in given}) < len(given) or any(rule.name == GUIDE_RULE for rule in given):
        raise ValueError
    return given


def words(value: str) -> tuple[str, ...]:
    """Words, separated by commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def word(value: str) -> str:
    """A part of a file name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
        raise ValueError
    return value


def http_folder(value: str) -> str:
    """An address that ends with a slash, or nothing."""
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise ValueError
    return f"{value.rstrip('/')}/" if value else ""


def loopback_url(value: str) -> str:
    """Only loopback: these send credentials to whoever answers there."""
    parts = urlsplit(value)
    host = parts.hostname or ""
    if value and (parts.scheme not in ("http", "https") or not (host == "localhost" or ip_address(host).is_loopback)):
        raise ValueError
    return value.rstrip("/")


def web_url(value: str) -> str:
    """An address without a user in it, or nothing."""
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username):
        raise ValueError
    return value


def truth(value: str) -> bool:
    """OCS reads Python literals."""
    truths = {"true": True, "1": True, "false": False, "0": False, "": False}
    if value.strip().lower() not in truths:
        raise ValueError
    return truths[value.strip().lower()]


def broker_url(value: str) -> str:
    """AMQP only; what OCS calls `memory://localhost` is none."""
    url = value.strip()
    if url.startswith("memory://"):
        return ""
    if url and (urlsplit(url).scheme not in ("amqp", "amqps", "pyamqp") or not urlsplit(url).hostname):
        raise ValueError
    return url


def mail_address(value: str) -> str:
    """An e-mail address, or nothing."""
    if value and not ADDRESS.fullmatch(value):
        raise ValueError
    return value


def not_negative(value: str) -> float:
    """A number from 0 on."""
    number = float(value)
    if not 0 <= number < 1e9:
        raise ValueError
    return number


def interval(value: str) -> float:
    """Seconds, from a tenth to the ten minutes after which what is stuck has to be found (S57)."""
    number = not_negative(value)
    if not 0.1 <= number <= 600:
        raise ValueError
    return number


def one_of(*choices: str) -> Callable[[str], str]:
    """One of these words."""

    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError
        return value

    return parse

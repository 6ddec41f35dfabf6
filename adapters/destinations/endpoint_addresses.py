"""Which addresses may be called where a user has given the name."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from adapters.public_internet import Network, is_public, unwrapped


def may_call(address: str, allowed: Sequence[Network], *, encrypted: bool) -> bool:
    """Whether a connection to this address, as numbers, may be made: to those that the operator allows, and with
    encryption to every public one."""
    parsed = unwrapped(ip_address(address))
    return any(parsed in network for network in allowed) or (encrypted and is_public(parsed))


def as_numbers(host: str) -> str | None:
    """The host when it is an address in numbers, None when it is a name."""
    try:
        return str(ip_address(host))
    except ValueError:
        return None

"""Which addresses may be called where a user has given the name.

A user's endpoint must not lead to what only this server reaches: its own services, its neighbours, a cloud's metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

_NAT64 = ip_network("64:ff9b::/96")
"""RFC 6052: an IPv4 address in the last four bytes."""


def may_call(address: str, allowed: Sequence[Network], *, encrypted: bool) -> bool:
    """Whether a connection to this address, as numbers, may be made: to those that the operator allows, and with
    encryption to every public one."""
    parsed = _plain(ip_address(address))
    if any(parsed in network for network in allowed):
        return True
    return encrypted and parsed.is_global and not parsed.is_multicast


def as_numbers(host: str) -> str | None:
    """The host when it is an address in numbers, None when it is a name."""
    try:
        return str(ip_address(host))
    except ValueError:
        return None


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address out of its wrappings."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address

"""Which address a request comes from, where proxies that we trust may stand before us."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from litestar import Request

Network = IPv4Network | IPv6Network
UNKNOWN = "unknown"


def parse_networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks, separated by commas. Raises ValueError."""
    return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def from_this_machine(request: Request[Any, Any, Any]) -> bool:
    """Whether the request was made on this machine itself, by no proxy."""
    if "x-forwarded-for" in request.headers:
        return False
    client = request.scope.get("client")
    if client is None:
        return True  # a Unix socket
    if client[0] == "127.0.0.1":
        return True
    address = _parsed(client[0])
    return address is not None and address.is_loopback


def client_address(request: Request[Any, Any, Any], trusted: Sequence[Network]) -> str:
    """The right-most address that isn't a trusted proxy's: what stands left of it, anybody can write. Clients of IPv6
    are told apart by their network of 64 bits, for they change the rest at will."""
    client = request.scope.get("client")
    address = _parsed(client[0]) if client else None
    hops = [hop for value in request.headers.getall("x-forwarded-for", []) for hop in value.split(",")]
    while hops and (address is None or _any_holds(trusted, address)):
        if (hop := _parsed(hops.pop().strip())) is None:
            return UNKNOWN
        address = hop
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return UNKNOWN if address is None else str(address)


def _any_holds(networks: Sequence[Network], address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in networks)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An address, without brackets and port."""
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address

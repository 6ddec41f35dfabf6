"""Which addresses a webhook may reach: public ones, and those that the operator allows."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

Address = IPv4Address | IPv6Address

NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 addresses behind a translator (RFC 6052)."""
SPECIAL = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments, the metadata of one cloud among them
        "192.88.99.0/24",  # relays of 6to4
        "168.63.129.16/32",  # the host of a virtual machine, in one cloud
        "2001::/23",  # Teredo and other protocols: where these lead can't be told
        "64:ff9b:1::/48",  # translators within one network (RFC 8215)
        "100::/64",
        "3fff::/20",
        "5f00::/16",
    )
)
"""What the library calls global, or did in some version, and isn't (IANA's registries of special-purpose addresses)."""


class Allowed(msgspec.Struct, frozen=True):
    """Hosts by name, wherever their names lead, and networks."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def names(self, host: str) -> bool:
        """Whether the operator allows a host by its name, or by the address that it is."""
        try:
            return self.holds(ip_address(host))
        except ValueError:
            return host.lower() in self.hosts

    def holds(self, address: Address) -> bool:
        """Whether the operator allows an address."""
        return any(address in network for network in self.networks if network.version == address.version)


def parse_allowed(value: str) -> Allowed:
    """Names, addresses and networks, separated by commas. Raises ValueError for what can't be either."""
    hosts, networks = set(), []
    for word in (part.strip().lower() for part in value.split(",")):
        if not word:
            continue
        try:
            networks.append(ip_network(word))
        except ValueError:
            if not word.isascii() or "/" in word or ":" in word or " " in word:
                raise
            hosts.add(word)
    return Allowed(frozenset(hosts), tuple(networks))


def may_reach(address: Address, allowed: Allowed) -> bool:
    """Whether a webhook may connect there."""
    return allowed.holds(address) or _is_public(address)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(inner)
        if address.is_site_local:
            return False
    special = any(address in network for network in SPECIAL if network.version == address.version)
    return address.is_global and not (special or address.is_multicast or address.is_reserved)

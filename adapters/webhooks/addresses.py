"""Which addresses a webhook may reach: public ones, and those that the operator allows."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import msgspec

from adapters.public_internet import Address, Network, is_public


class Allowed(msgspec.Struct, frozen=True):
    """Hosts by name, wherever their names lead, and networks."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

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
    return allowed.holds(address) or is_public(address)

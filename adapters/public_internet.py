"""Which addresses belong to everybody's internet: what a user names must not lead to what only this server reaches, its
own services, its neighbours, a cloud's metadata."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

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


def unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for; any other as it is."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_public(address: Address) -> bool:
    """Whether anybody could connect there too."""
    address = unwrapped(address)
    if isinstance(address, IPv6Address) and address.is_site_local:
        return False
    special = any(address in network for network in SPECIAL if network.version == address.version)
    return address.is_global and not (special or address.is_multicast or address.is_reserved)

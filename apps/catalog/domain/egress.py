"""Which network addresses a tool server may be reached at.

The address that is judged is the one that will be connected to, after the name was looked up: a
name that points elsewhere tomorrow gains nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

IP = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
# Never reached, whatever is listed: they lead to the machine's own cloud account, or to nobody in
# particular. 100.100.100.200, fd00:ec2::254 and 192.0.0.192 are metadata services of clouds that
# don't use a link-local address for them.
NEVER: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "100.100.100.200/32",
        "192.0.0.192/32",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "fe80::/10",
        "fd00:ec2::/32",
        "ff00::/8",
    )
)
NAT64 = ip_network("64:ff9b::/96")
COMPATIBLE = ip_network("::/96")  # the old way to write an IPv4 address as an IPv6 one
OWN_NAT64 = ip_network("64:ff9b:1::/48")  # RFC 8215: where it leads is the network's own affair
_HOST = re.compile(r"(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?)+")


@dataclass(frozen=True, slots=True)
class Egress:
    """What a server's ``allow_hosts`` says. ``names``: hosts, or ``*.suffix``; ``networks``:
    addresses that may be private. ``is_default``: nobody wrote a list, so any public address will
    do, and this machine's own when the address names it."""

    names: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    is_default: bool = True

    def refusal(self, host: str, address: IP) -> str:
        """Why ``address``, which ``host`` stands for, may not be connected to; empty if it may."""
        seen = unwrapped(address)
        where = f"{host} is at {address}" if host != str(address) else f"{address} is"
        if any(seen in network for network in NEVER if network.version == seen.version):
            return f"{where}, a link-local, metadata or broadcast address, which is never called"
        if any(seen in network for network in self.networks if network.version == seen.version):
            return ""
        if not seen.is_global or seen in OWN_NAT64:
            return f"{where}, a private address that “allow_hosts” doesn't list"
        if self.is_default or self.names_host(host):
            return ""
        return f"{host} is not one of the hosts that “allow_hosts” lists"

    def may_name(self, host: str) -> bool:
        """Whether this host may be called at some address; which one it has isn't known yet."""
        return self.is_default or bool(self.networks) or self.names_host(host)

    def names_host(self, host: str) -> bool:
        """Whether the list names this host."""
        wanted = host.rstrip(".").lower()
        return any(
            wanted == name or (name.startswith("*.") and wanted.endswith(name[1:]))
            for name in self.names
        )


def default_for(host: str) -> Egress:
    """The list of an address that has none: this machine, if the address says so by itself."""
    return Egress(networks=LOOPBACK if is_loopback(host) else ())


def is_loopback(host: str) -> bool:
    """Whether a host, as written in an address, is this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def unwrapped(address: IP) -> IP:
    """The IPv4 address that an IPv6 one carries, else itself."""
    if not isinstance(address, IPv6Address):
        return address
    carried = address.ipv4_mapped or address.sixtofour
    is_plain = address in COMPATIBLE and int(address) > 1  # which "::" and "::1" are not
    if carried is None and (is_plain or address in NAT64):
        carried = IPv4Address(int(address) & 0xFFFFFFFF)
    return carried or address


def hosts_of(text: str) -> list[str]:
    """A list of hosts with commas. Raises ValueError that says what to write."""
    found = [host.strip() for host in text.split(",") if host.strip()]
    if wrong := read_hosts(found)[1]:
        raise ValueError(
            "must be host names, *.suffixes, addresses or networks, with commas, like"
            f" api.example.com, 10.0.0.0/8; has {wrong[0]!r}."
        )
    return found


def read_hosts(written: Iterable[object]) -> tuple[Egress, list[str]]:
    """A list of hosts as people write it, and the entries that can't be read."""
    names: list[str] = []
    networks: list[Network] = []
    wrong: list[str] = []
    for entry in written:
        text = entry.strip() if isinstance(entry, str) else ""
        try:
            networks.append(ip_network(text.strip("[]"), strict=False))
        except ValueError:
            if text.lower() == "localhost":
                networks.extend(LOOPBACK)
            if text and _HOST.fullmatch(text) and not text.replace(".", "").isdigit():
                names.append(text.rstrip(".").lower())
            else:
                wrong.append(str(entry)[:80])
    return Egress(tuple(names), tuple(networks), is_default=False), wrong

"""Addresses: to listen on, and those that requests come from."""

from __future__ import annotations

import ipaddress

import pytest

from destinations.errors import UsageError
from destinations.server.network_addresses import (
    Address,
    parse_address,
    parse_network,
    peer_of,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9100", Address("127.0.0.1", 9100)),
        ("[::1]:9100", Address("::1", 9100)),
        ("[::]:0", Address("::", 0)),
        ("localhost:65535", Address("localhost", 65_535)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    """A host and a port, written again as they were read."""
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "issue"),
    [
        ("", "lacks a port"),
        ("9100", "lacks a port: expected HOST:PORT, such as 127.0.0.1:9100 or [::1]:9100"),
        ("localhost", "lacks a port"),
        ("[::1]", "lacks a port"),
        (":9100", "lacks a host"),
        ("localhost:", "has the invalid port ''"),
        ("localhost:http", "has the invalid port 'http': expected 0 to 65535"),
        ("localhost:65536", "has the invalid port"),
        ("localhost:-1", "has the invalid port"),
        ("localhost:\u0661", "has the invalid port"),
        ("::1:9100", "put an IPv6 address in brackets"),
        ("[::x]:9100", "is not an IPv6 address"),
        ("[localhost]:9100", "is not an IPv6 address"),
        ("http://localhost:9100", "put an IPv6 address in brackets"),
        ("user@localhost:9100", "has an invalid host"),
        ("local host:9100", "has an invalid host"),
    ],
)
def test_what_is_not_an_address(text: str, issue: str) -> None:
    """It is said what is wrong, and what was expected."""
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert issue in str(caught.value)


@pytest.mark.parametrize("text", ["10.0.0.0/8", "192.0.2.1", "::1", "2001:db8::/32", "0.0.0.0/0"])
def test_networks(text: str) -> None:
    """CIDR, or a single address."""
    assert parse_network(text) == ipaddress.ip_network(text)


@pytest.mark.parametrize(
    "text", ["", "10.0.0.1/8", "10.0.0.0/33", "localhost", "10.0.0.0-10.1.0.0"]
)
def test_what_is_not_a_network(text: str) -> None:
    """It is refused, also where bits of it would be left out in silence."""
    with pytest.raises(UsageError):
        parse_network(text)


PROXIES = ("10.0.0.0/8", "::1")


@pytest.mark.parametrize(
    ("client", "forwarded", "peer"),
    [
        ("192.0.2.1", [b"198.51.100.7"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"192.0.2.66, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"192.0.2.66", b"198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [b"198.51.100.7:4711"], "198.51.100.7"),
        ("::1", [b"[2001:db8::7]:4711"], "2001:db8::7"),
        ("::1", [b"2001:db8::7"], "2001:db8::7"),
        ("::ffff:10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"198.51.100.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.7, <b>\xff\n, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b""], "10.0.0.1"),
        ("", [b"198.51.100.7"], ""),
    ],
)
def test_where_a_request_came_from(client: str, forwarded: list[bytes], peer: str) -> None:
    """The last address that no proxy of ours has; never what strangers wrote before it."""
    assert peer_of(client, forwarded, [parse_network(each) for each in PROXIES]) == peer

"""The address that browsers reach, as the settings of analytics.js have it."""

from __future__ import annotations

import pytest

from destinations.server.network_addresses import parse_network
from destinations.server.public_address import public_address

TRUSTED = [parse_network("10.0.0.0/8")]
PROXY, STRANGER = "10.0.0.7", "203.0.113.7"


def _headers(**headers: str) -> dict[bytes, bytes]:
    return {name.replace("_", "-").encode(): text.encode() for name, text in headers.items()}


@pytest.mark.parametrize(
    ("headers", "client", "address"),
    [
        pytest.param({}, PROXY, ("https", "e.example"), id="a trusted proxy with TLS"),
        pytest.param(
            {"x_forwarded_proto": "http"},
            PROXY,
            ("http", "e.example"),
            id="a trusted proxy without TLS",
        ),
        pytest.param(
            {"host": "127.0.0.1:8787", "x_forwarded_host": "e.example:8443"},
            PROXY,
            ("https", "e.example:8443"),
            id="a trusted proxy that sends its own Host",
        ),
        pytest.param(
            {"x_forwarded_proto": "http, https", "x_forwarded_host": "evil.example, e.example"},
            PROXY,
            ("https", "e.example"),
            id="strangers wrote the first",
        ),
        pytest.param(
            {"x_forwarded_proto": "gopher"}, PROXY, ("http", "e.example"), id="no scheme of the web"
        ),
        pytest.param(
            {"x_forwarded_host": "evil.example"},
            STRANGER,
            ("http", "e.example"),
            id="a stranger is not believed",
        ),
        pytest.param(
            {"x_forwarded_proto": "http", "sec_fetch_mode": "cors"},
            STRANGER,
            ("https", "e.example"),
            id="the browser came over https",
        ),
        pytest.param(
            {"origin": "https://www.example.com"},
            STRANGER,
            ("https", "e.example"),
            id="the page came over https",
        ),
        pytest.param(
            {"origin": "http://www.example.com"},
            STRANGER,
            ("http", "e.example"),
            id="all came over http",
        ),
        *(
            pytest.param(
                {"host": host, "sec_fetch_mode": "cors", "origin": "https://www.example.com"},
                STRANGER,
                ("http", host),
                id=f"{host} is this machine",
            )
            for host in ("127.0.0.1:8787", "localhost:8787", "[::1]:8787", "a.localhost")
        ),
        pytest.param({"host": "e.example/x?"}, STRANGER, ("http", ""), id="no host"),
        pytest.param({"host": ""}, STRANGER, ("http", ""), id="an empty host"),
    ],
)
def test_addresses(headers: dict[str, str], client: str, address: tuple[str, str]) -> None:
    """Trusted proxies are believed, and else what browsers do only over https."""
    given = {"host": "e.example", "x_forwarded_proto": "https", **headers}
    assert public_address(_headers(**given), client, TRUSTED) == address

"""Addresses that a setting chooses, such as those of a region."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.definition import DestinationDefinition
from destinations.definition.url_pieces import chosen_urls
from destinations.errors import ResolveError
from destinations.http.address import Address
from destinations.runtime.destination import Destination

URLS = {
    "us": "https://api.example.com/v1",
    "eu": {"@template": "https://{{settings.account}}.eu.example.com"},
}
CHOICE = {"setting": "region", "urls": URLS}


def _context(**settings: Any) -> dict[str, Any]:
    return {"event": {}, "payload": {"id": "a/b"}, "settings": {"account": "acme", **settings}}


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("us", "https://api.example.com/v1/users/a%2Fb"),
        ("eu", "https://acme.eu.example.com/users/a%2Fb"),
    ],
)
def test_the_setting_chooses(region: str, url: str) -> None:
    """The path of a request is below the URL of the setting's value."""
    address = Address(CHOICE, ["users", {"@path": "$.payload.id"}])
    assert address.url(_context(region=region)) == url
    assert Address(CHOICE).is_fixed


def test_a_setting_of_an_odd_name() -> None:
    """A dot in its name does not lead into another setting."""
    address = Address({"setting": "a.b", "urls": {"us": URLS["us"]}})
    assert address.url(_context(**{"a.b": "us"})) == URLS["us"]


@pytest.mark.parametrize("region", ["ue", None, ["us"]])
def test_a_value_without_a_url(region: object) -> None:
    """Settings that were never checked are told what they may say."""
    with pytest.raises(ResolveError, match=r"/url: has no URL for this setting; known: us, eu"):
        Address(CHOICE).url(_context(region=region))


@pytest.mark.parametrize(
    "source",
    [{"setting": "a"}, {"setting": "a", "urls": {}, "b": 1}, {"setting": 1, "urls": {}}, "x"],
)
def test_what_chooses_nothing(source: object) -> None:
    """Any other object is a mapping as ever."""
    assert chosen_urls(source) is None


def test_the_endpoint_is_that_of_the_region(
    bind: Callable[..., Destination], load: Callable[..., DestinationDefinition]
) -> None:
    """What is shown as the endpoint, and what accounts are told apart by, is the chosen URL."""

    def change(documents: Any) -> None:
        destination = documents["destination"]
        destination["settings"]["properties"]["region"] = {
            "title": "Region",
            "description": "Where the account is.",
            "type": "string",
            "enum": ["us", "eu"],
            "default": "us",
        }
        urls = {"us": URLS["us"], "eu": "https://api.eu.example.com/v1"}
        destination["transport"]["baseUrl"] = {"setting": "region", "urls": urls}

    assert load(change).transport.base_url
    assert bind(change).endpoint == URLS["us"]
    assert bind(change, region="eu").endpoint == "https://api.eu.example.com/v1"

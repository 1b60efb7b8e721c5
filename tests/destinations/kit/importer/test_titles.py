from __future__ import annotations

import pytest

from destinations.kit.importer.titles import camel_case, numbered, title_of


@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("ope_user_id", "Ope user id"),
        ("externalId", "External id"),
        ("userID", "User ID"),
        ("IPAddress", "IP address"),
        ("syncAudienceToCSV", "Sync audience to CSV"),
        ("événement", "Événement"),
        ("__", "__"),
    ],
)
def test_titles(key: str, title: str) -> None:
    """A label has the words of its key."""
    assert title_of(key) == title


@pytest.mark.parametrize(
    ("slug", "name"),
    [("trackEvent", "trackEvent"), ("save_user", "saveUser"), ("Track-V2", "trackV2"), ("a", "a")],
)
def test_request_names(slug: str, name: str) -> None:
    """A request's name has the form that definitions want."""
    assert camel_case(slug) == name


def test_numbers_keep_names_apart() -> None:
    """A name that is taken gets the first free number."""
    assert numbered("a", []) == "a"
    assert numbered("a", ["a", "a 2"]) == "a 3"
    assert numbered("a", ["a"], join="") == "a2"

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import DefinitionError, SettingsError, UsageError
from destinations.kit.testing.subject import Subject, open_subject, subject_in
from destinations.sandbox.placeholders import placeholder_settings


def test_an_installed_destination_and_a_folder(template: Path) -> None:
    """Both are found, the one with the code of its plugin."""
    kana = open_subject("kana")
    assert (kana.slug, list(kana.code.generators)) == ("kana", ["identify", "merge"])
    partner = open_subject(str(template))
    assert (partner.slug, partner.plugin, dict(partner.code.generators)) == ("partner", None, {})


def test_what_cannot_be_opened(template: Path) -> None:
    """A name that is none, and a definition with issues."""
    with pytest.raises(UsageError, match="unknown destination 'nobody'"):
        open_subject("nobody")
    (template / "trackEvent.yaml").unlink()
    with pytest.raises(DefinitionError, match="holds no action"):
        subject_in(template)


def test_a_sandbox_without_a_plugin(partner: Subject) -> None:
    """It is made from the definition, and has no data that a seed could fill."""
    with partner.start_sandbox() as sandbox:
        assert partner.settings(sandbox.settings)["endpoint"] == sandbox.url
        reached = partner.reaching(sandbox).bind(placeholder_settings(partner.definition))
        assert reached.endpoint == sandbox.url
    with pytest.raises(UsageError, match=r"Partner is made from its definition .* takes no seed"):
        partner.start_sandbox(Path("seed.yaml"))


def test_settings_are_checked(partner: Subject) -> None:
    """As those of a run are, with defaults and secrets."""
    settings = partner.settings({"apiKey": "0123456789"})
    assert settings["endpoint"] == "https://api.example.com"
    assert str(settings["apiKey"]) == "***"
    with pytest.raises(SettingsError, match="no such setting"):
        partner.settings({"apiKey": "0123456789", "other": 1})


def test_presets_can_be_replaced(partner: Subject) -> None:
    """Other subscriptions than those of the definition."""
    settings = placeholder_settings(partner.definition)
    assert len(partner.bind(settings).subscriptions) == 1
    assert partner.bind(settings, ()).subscriptions == ()


def _setting(**spec: Any) -> Callable[[dict[str, Any]], None]:
    def change(documents: dict[str, Any]) -> None:
        settings = documents["destination"]["settings"]
        settings["properties"]["apiKey"] = {
            **settings["properties"]["apiKey"],
            "minLength": 1,
            **spec,
        }

    return change


@pytest.mark.parametrize(
    ("spec", "placeholder"),
    [
        ({}, "placeholder-apiKey"),
        ({"pattern": "^https://"}, "https://placeholder-apikey.example.com"),
        ({"pattern": "^sk_", "examples": ["wrong", "sk_example"]}, "sk_example"),
    ],
    ids=str,
)
def test_a_placeholder_fits_its_setting(
    make_subject: Callable[..., Subject], spec: dict[str, Any], placeholder: str
) -> None:
    """The first of examples, a word and a URL that the setting takes."""
    settings = placeholder_settings(make_subject(_setting(**spec)).definition)
    assert "".join(settings["apiKey"]) == placeholder


def test_no_placeholder_fits(make_subject: Callable[..., Subject]) -> None:
    """The message says what to add."""
    subject = make_subject(_setting(pattern="^sk_"))
    with pytest.raises(UsageError, match="'apiKey' of Sample: give it `examples`"):
        placeholder_settings(subject.definition)


def test_what_is_given_is_kept_unless_it_is_a_secret(make_subject: Callable[..., Subject]) -> None:
    """A case shows other settings as they were."""
    given = {"apiKey": "sk_live_0123456789", "limit": 3}
    settings = placeholder_settings(make_subject().definition, given)
    assert "".join(settings["apiKey"]) == "placeholder-apiKey"
    assert settings["limit"] == 3

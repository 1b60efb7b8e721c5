from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "examples" / "kana.settings.yaml").read_text(encoding="utf-8")


def test_the_key_comes_from_the_environment() -> None:
    """The example holds no key, and sets nothing that has a default."""
    assert yaml.safe_load(TEXT) == {"apiKey": "${KANA_API_KEY}"}


def test_it_shows_every_setting() -> None:
    """With its comments taken as settings, the example has all that the definition knows."""
    text = (ROOT / "definitions/kana/destination.yaml").read_text("utf-8")
    definition = yaml.load(text, yaml.CSafeLoader)
    shown = yaml.safe_load(TEXT.replace("# endpoint:", "endpoint:"))
    assert shown.keys() == definition["settings"]["properties"].keys()

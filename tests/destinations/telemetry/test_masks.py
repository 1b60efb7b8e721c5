from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from destinations.secrets import MASK, Secret
from destinations.telemetry import Masks

CANARY = 'canary-"7f3a'


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (f"with {CANARY}.", f"with {MASK}."),
        (json.dumps(CANARY), f'"{MASK}"'),
        ({CANARY: [CANARY, 1, None, True, 1.5]}, {MASK: [MASK, 1, None, True, 1.5]}),
        (("a", CANARY), ["a", MASK]),
        (ValueError(CANARY), MASK),
        (Secret("another"), MASK),
        ({1: {CANARY}}, {"1": [MASK]}),
        (b"raw " + CANARY.encode(), f"b'raw {MASK}'"),
    ],
)
def test_secrets_of_any_shape(value: Any, shown: Any) -> None:
    """Whatever a value is, it becomes JSON without the secret; numbers stay as they are."""
    assert Masks([Secret(CANARY)]).plain(value) == shown


def test_an_encoded_secret() -> None:
    """A secret is found as HTTP's Basic scheme writes it, too."""
    encoded = base64.b64encode(f"{CANARY}:".encode()).decode()
    assert CANARY not in base64.b64decode(
        Masks([CANARY]).text(encoded).replace("*", "") + "=="
    ).decode(errors="replace")


def test_secrets_that_come_later() -> None:
    """After a reload the new secrets are masked, and those before still are."""
    masks = Masks(["first-secret"])
    assert masks.text("second-secret") == "second-secret"
    masks.add(["second-secret"])
    assert masks.text("first-secret second-secret") == f"{MASK} {MASK}"

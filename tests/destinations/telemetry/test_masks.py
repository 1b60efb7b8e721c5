from __future__ import annotations

import base64
import gc
import json
import tracemalloc
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
    masks.exchange(["second-secret"])
    assert masks.text("first-secret second-secret") == f"{MASK} {MASK}"


def test_many_exchanged_secrets() -> None:
    """However often secrets change, the current ones and the last former ones are masked.

    Memory stays level: a server may be given new keys every hour for years.
    """
    masks = Masks()
    held = []
    tracemalloc.start()
    try:
        for turn in range(300):
            masks.exchange(["constant-secret", f"rotating-secret-{turn:04}"])
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    last = " ".join(f"rotating-secret-{turn:04}" for turn in range(250, 300))
    assert masks.text(f"constant-secret {last}") == " ".join([MASK] * 51)
    # Some 2 KB each are left of the patterns of 512 secrets, which `re` keeps.
    assert held[-1] - held[100] < 200 * 5 * 1024
    assert held[100] < 5 * 1024 * 1024

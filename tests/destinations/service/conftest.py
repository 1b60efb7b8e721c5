"""A destination for a configuration: pure data, so that no plugin is needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def _without_code(documents: dict[str, Any]) -> None:
    del documents["sync"]
    destination = documents["destination"]
    destination["presets"] = [
        preset for preset in destination["presets"] if preset["partnerAction"] != "sync"
    ]


@pytest.fixture
def sample(write_definition: Callable[..., Path]) -> Path:
    """The folder ``sample`` beside the configuration."""
    return write_definition(_without_code)

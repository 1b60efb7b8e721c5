"""The destinations of this repository."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["DEFINITIONS", "SHIPPED"]

DEFINITIONS: Final = Path(__file__).resolve().parents[1] / "definitions"

SHIPPED: Final = sorted(path.parent.name for path in DEFINITIONS.glob("*/destination.yaml"))
"""Their slugs: each is a folder."""

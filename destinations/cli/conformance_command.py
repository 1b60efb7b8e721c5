"""``destinations conformance``."""

from __future__ import annotations

__all__ = ["command"]

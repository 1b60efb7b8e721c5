"""Check that an open destination is Kana: only Kana has the requests that its functions make."""

from __future__ import annotations

from destinations import OpenDestination, UsageError
from kana_destination.plugin import SLUG

__all__ = ["check_is_kana"]


def check_is_kana(opened: OpenDestination) -> None:
    """Raise `UsageError` if another destination is open."""
    slug = opened.destination.definition.slug
    if slug != SLUG:
        raise UsageError(f"{slug} is not a Kana destination: expected open_destination({SLUG!r})")

"""Name the categories of Segment's catalog."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

__all__ = ["CATEGORIES", "nearest_categories"]

CATEGORIES: Final = (
    *("A/B Testing", "Advertising", "Analytics", "Attribution", "CRM", "Customer Success"),
    *("Deep Linking", "Email Marketing", "Enrichment", "Feature Flagging"),
    *("Heatmaps & Recordings", "Livechat", "Marketing Automation", "Performance Monitoring"),
    *("Personalization", "Raw Data", "Referrals", "Security & Fraud"),
    *("SMS & Push Notifications", "Surveys", "Tag Managers", "Video"),
)
"""The categories that a partner can choose from, as its guide for contributors lists them."""


def nearest_categories(name: str) -> list[str]:
    """Return up to three categories that are near a name, by its letters or one of its words."""
    folded = {one.casefold(): one for one in CATEGORIES}
    near = [folded[one] for one in get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)]
    words = {word for word in name.casefold().replace("&", " ").split() if len(word) > 2}
    shared = [one for one in CATEGORIES if words & set(one.casefold().split())]
    return list(dict.fromkeys([*near, *shared]))[:3]

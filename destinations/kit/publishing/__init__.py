"""Check what a destination's pull request, page and catalog entry need, and put it together."""

from destinations.kit.publishing.categories import CATEGORIES
from destinations.kit.publishing.finding import Finding, Rule
from destinations.kit.publishing.pack import Pack, make_pack, stale_files, write_pack
from destinations.kit.publishing.publication import Publication, read_publication
from destinations.kit.publishing.rules import RULES, check

__all__ = [
    "CATEGORIES",
    "RULES",
    "Finding",
    "Pack",
    "Publication",
    "Rule",
    "check",
    "make_pack",
    "read_publication",
    "stale_files",
    "write_pack",
]

"""The pages of Kana in the console: unmapped events, mapping rules, and flagged users."""

from destinations.console import ConsolePage
from kana_destination.console.flagged import flagged
from kana_destination.console.rules_pages import remove, rules, save
from kana_destination.console.unmapped_page import unmapped

__all__ = ["PAGES"]

_PACKAGE = "kana_destination.console"

PAGES = (
    ConsolePage("/kana/unmapped", unmapped, title="Unmapped", package=_PACKAGE),
    ConsolePage("/kana/rules", rules, save, title="Rules", package=_PACKAGE),
    ConsolePage("/kana/rules/remove", act=remove, package=_PACKAGE),
    ConsolePage("/kana/users", flagged, title="Users", package=_PACKAGE),
)

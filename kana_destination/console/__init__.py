"""The pages of Kana in the console: unmapped events, mapping rules, and flagged users."""

from destinations.console import ConsolePage, Parameter
from kana_destination.console.flagged import flagged
from kana_destination.console.rules_pages import FIELDS, remove, rules, save
from kana_destination.console.unmapped_page import unmapped

__all__ = ["PAGES"]

_PACKAGE = "kana_destination.console"
_RULE = (*FIELDS, "tenant")

PAGES = (
    ConsolePage(
        "/kana/unmapped", unmapped, title="Unmapped", package=_PACKAGE, parameters=("tenant",)
    ),
    ConsolePage(
        *("/kana/rules", rules, save),
        title="Rules",
        package=_PACKAGE,
        parameters=(*_RULE, Parameter("try", ["1"])),
        fields=_RULE,
    ),
    ConsolePage("/kana/rules/remove", act=remove, package=_PACKAGE, fields=("name", "tenant")),
    ConsolePage(
        *("/kana/users", flagged),
        title="Users",
        package=_PACKAGE,
        parameters=("destination", Parameter("ask", ["1"])),
    ),
)

"""The sub-commands of ``destinations kana``."""

from kana_destination.cli.flags import flags
from kana_destination.cli.merge import merge
from kana_destination.cli.rules import rules
from kana_destination.cli.status import status
from kana_destination.cli.unmapped import unmapped

__all__ = ["COMMANDS"]

COMMANDS = (status, rules, unmapped, flags, merge)

"""Check partner pages against the rules for Segment's docs.

The rules of prose are files in the format of Vale (styles/), so that Segment's newest can take
their place; those of structure are listed in structure.yaml, with the functions in checks/.
"""

from destinations.kit.lint.configuration import Configuration, configuration_of, read_configuration
from destinations.kit.lint.finding import Finding, Level
from destinations.kit.lint.page import example_message, fix_page, lint_page
from destinations.kit.lint.rule import Rule
from destinations.kit.lint.rules import load_rules, with_own_rules

__all__ = [
    "Configuration",
    "Finding",
    "Level",
    "Rule",
    "configuration_of",
    "example_message",
    "fix_page",
    "lint_page",
    "load_rules",
    "read_configuration",
    "with_own_rules",
]

"""Check partner pages against the rules for Segment's docs; the rules are data (rules.yaml)."""

from destinations.kit.lint.configuration import Configuration, read_configuration
from destinations.kit.lint.finding import Finding, Level
from destinations.kit.lint.page import lint_page
from destinations.kit.lint.rules import Rule, load_rules

__all__ = [
    "Configuration",
    "Finding",
    "Level",
    "Rule",
    "lint_page",
    "load_rules",
    "read_configuration",
]

"""Make the pages of the reference from the code: one module for each kind of page."""

from typing import Final

__all__ = ["MADE"]

MADE: Final = "<!-- Made by docs/generate.py from "
"""How the comment of each page begins that is made, not written."""

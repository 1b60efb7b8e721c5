"""The reference: what a definition and a configuration may say, and what the commands do.

Its pages are docs/reference/ in the tree, most of them made from the code by docs/generate.py, and
the package `destinations.reference.pages` once installed.
"""

from destinations.reference.hints import help_line, help_on_codes
from destinations.reference.terminal import lines_of
from destinations.reference.topic import Topic
from destinations.reference.topics import Topics, read_topics

__all__ = ["Topic", "Topics", "help_line", "help_on_codes", "lines_of", "read_topics"]

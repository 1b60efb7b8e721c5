"""Import packages in tests as they were compiled when they were installed.

Of each package that brings a plugin, such as this one, pytest compiles all modules once more, to
explain their assertions: in a new environment every worker does so at the same time. Those of these
packages only tell mypy what holds anyway.
"""

from __future__ import annotations

import sys

for _finder in sys.meta_path:
    if _marked := getattr(_finder, "_must_rewrite", None):
        _marked -= {"destinations", "kana_destination", "hypothesis", "anyio"}

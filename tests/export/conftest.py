"""Lets the tests use what installs packages of npm for the benchmarks, which no wheel has."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

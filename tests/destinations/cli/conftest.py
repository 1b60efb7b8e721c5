"""A definition of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def kana_folder(tmp_path: Path) -> Path:
    """A copy of Kana's definition that a test may break."""
    folder = tmp_path / "kana"
    shutil.copytree(ROOT / "definitions" / "kana", folder)
    return folder

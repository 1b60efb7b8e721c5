"""Log messages name what happened in one form, and the documentation lists each of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
METHODS = {"debug", "info", "warning", "error", "exception", "log", "_group", "_retry"}
LOGGERS = {"_LOG", "logger", "self._logger", "self.logger", "observation.logger", "self"}


def _messages() -> Iterator[str]:
    """Yield the beginning of each message that is written in the code, up to its first comma."""
    for path in sorted((ROOT / "destinations").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            if call.func.attr not in METHODS or ast.unparse(call.func.value) not in LOGGERS:
                continue
            for part in call.args[:2]:
                found = part.body if isinstance(part, ast.IfExp) else part
                if isinstance(found, ast.Constant) and isinstance(found.value, str):
                    named = re.sub("%[sr]", "NAME", found.value)
                    yield re.split("[:;,]", named)[0]
                    break


def test_the_page_has_each_message() -> None:
    """Each message begins in lower case, and stands in the table of the documentation."""
    page = (ROOT / "docs" / "reference" / "logs.md").read_text("utf-8")
    listed = "\n".join(
        re.findall(r"^\| ([^|]+) \| (?:debug|info|warning|error)", page, re.MULTILINE)
    )
    messages = [message for message in _messages() if message != "NAME"]
    assert len(messages) > 20
    assert [one for one in messages if one not in listed] == []
    assert [one for one in messages if one[0].isupper()] == []
    assert re.findall(r"^(?!NAME)[A-Z].*", listed, re.MULTILINE) == []

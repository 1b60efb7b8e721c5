"""Read the rules, which are data, and compile them once."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from destinations.definition.document import read_document
from destinations.kit.lint.finding import Level

__all__ = ["Rule", "load_rules"]

View = Literal["prose", "markup", "headings"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, with either ``patterns`` and their replacements or the name of a check.

    ``message`` is formatted with ``found`` and ``swap``. ``good`` and ``bad`` are examples, each
    followed by ``context``, and ``files`` describes the images that they name.
    """

    id: str
    level: Level
    message: str
    good: str
    bad: str
    view: View = "prose"
    patterns: tuple[tuple[re.Pattern[str], str], ...] = ()
    check: str | None = None
    flavours: tuple[str, ...] = ("published", "submission")
    allowed: tuple[str, ...] = ()
    context: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


@cache
def load_rules() -> tuple[Rule, ...]:
    """Return all rules in the order of rules.yaml."""
    path = importlib.resources.files("destinations.kit.lint") / "rules.yaml"
    data = read_document(path.read_text(encoding="utf-8"), name=str(path)).data
    return tuple(_rule(spec) for spec in data["rules"])


def _rule(spec: Mapping[str, Any]) -> Rule:
    flags = re.MULTILINE if spec.get("case") else re.MULTILINE | re.IGNORECASE
    patterns = [(re.compile(pattern, flags), "") for pattern in spec.get("patterns", ())]
    for pattern, instead in spec.get("swap", {}).items():
        # There may be a line break between two words.
        spaced = pattern.replace(" ", r"\s+")
        patterns.append((re.compile(rf"\b(?:{spaced})(?!\w)", flags), instead))
    return Rule(
        id=spec["id"],
        level=spec["level"],
        message=spec["message"],
        good=spec["good"],
        bad=spec["bad"],
        view=spec.get("view", "prose"),
        patterns=tuple(patterns),
        check=spec.get("check"),
        flavours=tuple(spec.get("flavours", ("published", "submission"))),
        allowed=tuple(spec.get("allowed", ())),
        context=spec.get("context", ""),
        files=spec.get("files", {}),
    )

"""The generated types, against what Segment's own tool writes.

Its files are not kept here. A folder of Segment's destinations, each with its ``metadata.json`` and
its ``generated-types.ts``, as they are below ``src/destinations`` of its repository, is given by
SEGMENT_DESTINATIONS; then each file is compared byte for byte. The table has cases of our own; what
the tool writes for them was seen once, with json-schema-to-typescript 10.1.5 and Prettier 2.4.1.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from destinations.kit.exporter.types import types_source

HEAD = "// Generated file. DO NOT MODIFY IT BY HAND.\n\nexport interface Payload "

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("none", {}, "{}"),
    (
        "scalars",
        {
            "a": {"type": "string", "required": True},
            "b": {"type": "text", "required": False},
            "c": {"type": "password"},
            "d": {"type": "number"},
            "e": {"type": "integer"},
            "f": {"type": "boolean"},
            "g": {"type": "datetime"},
        },
        """{
  a: string
  b?: string
  c?: string
  d?: number
  e?: number
  f?: boolean
  g?: string | number
}""",
    ),
    (
        "choices are not in the types",
        {"a": {"type": "string", "choices": [{"label": "X", "value": "x"}], "allowNull": True}},
        "{\n  a?: string | null\n}",
    ),
    (
        "lists: null is lost, and that a datetime is a list",
        {
            "a": {"type": "string", "multiple": True, "allowNull": True},
            "b": {"type": "datetime", "multiple": True, "required": True},
            "c": {"type": "datetime", "allowNull": True},
            "d": {"type": "object", "multiple": True},
        },
        """{
  a?: string[]
  b: string | number
  c?: string | number | null
  d?: {
    [k: string]: unknown
  }[]
}""",
    ),
    (
        "a list of datetimes within an object is one",
        {
            "a": {
                "type": "object",
                "properties": {
                    "at": {"type": "datetime", "multiple": True},
                    "since": {"type": "datetime", "allowNull": True},
                },
            }
        },
        """{
  a?: {
    at?: (string | number)[]
    since?: string | number | null
  }
}""",
    ),
    (
        "objects: null is lost beside properties",
        {
            "a": {"type": "object", "allowNull": True},
            "b": {
                "type": "object",
                "allowNull": True,
                "properties": {"x": {"type": "number", "required": True}},
            },
            "c": {
                "type": "object",
                "multiple": True,
                "additionalProperties": True,
                "properties": {"x": {"type": "number"}},
            },
            "d": {"type": "object", "properties": {}},
            "e": {"type": "object", "properties": {}, "additionalProperties": True},
        },
        """{
  a?: {
    [k: string]: unknown
  } | null
  b?: {
    x: number
  }
  c?: {
    x?: number
    [k: string]: unknown
  }[]
  d?: {}
  e?: {
    [k: string]: unknown
  }
}""",
    ),
    (
        "nothing is required beside a property that is required under conditions",
        {
            "a": {
                "type": "object",
                "properties": {
                    "x": {"type": "string", "required": True},
                    "y": {
                        "type": "string",
                        "required": {
                            "conditions": [{"fieldKey": "x", "operator": "is", "value": "1"}]
                        },
                    },
                },
            },
            "b": {
                "type": "string",
                "required": {"conditions": [{"fieldKey": "a", "operator": "is", "value": "1"}]},
            },
            "c": {"type": "string", "required": True},
        },
        """{
  a?: {
    x?: string
    y?: string
  }
  b?: string
  c: string
}""",
    ),
    (
        "an object is of any type around an object with such a property",
        {
            "a": {
                "type": "object",
                "properties": {
                    "x": {
                        "type": "object",
                        "properties": {
                            "y": {
                                "type": "string",
                                "required": {
                                    "conditions": [
                                        {"fieldKey": "a", "operator": "is", "value": "1"}
                                    ]
                                },
                            }
                        },
                    }
                },
            }
        },
        """{
  a?: {
    [k: string]: unknown
  }
}""",
    ),
    (
        "but not where a property of its own is required under conditions",
        {
            "a": {
                "type": "object",
                "properties": {
                    "w": {"type": "string", "required": {"conditions": []}},
                    "x": {
                        "type": "object",
                        "properties": {"y": {"type": "string", "required": {"conditions": []}}},
                    },
                },
            }
        },
        """{
  a?: {
    w?: string
    x?: {
      y?: string
    }
  }
}""",
    ),
    (
        "the type of a default that is a constant is one more",
        {
            "a": {"type": "number", "default": "5"},
            "b": {"type": "string", "default": False},
            "c": {"type": "string", "multiple": True, "default": "x"},
            "d": {"type": "object", "default": "x"},
            "e": {"type": "object", "multiple": True, "default": 1},
            "f": {"type": "number", "allowNull": True, "default": "5"},
            "g": {"type": "datetime", "default": "2024-01-01"},
            "h": {"type": "integer", "default": 5},
            "i": {"type": "number", "default": {"@path": "$.x"}},
        },
        """{
  a?: number & string
  b?: boolean & string
  c?: string & string[]
  d?: string
  e?: number &
    {
      [k: string]: unknown
    }[]
  f?: number | null
  g?: string | number
  h?: number
  i?: number
}""",
    ),
    (
        "comments",
        {
            "a": {"type": "string", "description": "Ends */ here. /* begins"},
            "b": {"type": "string", "description": "Two \n\n   lines.\n"},
            "c": {"type": "string", "description": ""},
            "d": {"type": "string", "description": "`${x}` \\ \"q\" 'p' \u00e4"},
            "e": {"type": "string", "description": "One.\r\nTwo.\u00a0"},
        },
        """{
  /**
   * Ends * / here. /* begins
   */
  a?: string
  /**
   * Two
   *
   *    lines.
   *
   */
  b?: string
  c?: string
  /**
   * `${x}` \\ "q" 'p' \u00e4
   */
  d?: string
  /**
   * One.
   * Two.
   */
  e?: string
}""",
    ),
    (
        "names",
        {
            key: {"type": "string"}
            for key in (
                "a-b",
                "1a",
                "$x",
                "_y",
                "default",
                'say "it"',
                "it's",
                "a b",
                "\u00e4",
                "back\\",
            )
        },
        """{
  'a-b'?: string
  '1a'?: string
  $x?: string
  _y?: string
  default?: string
  'say "it"'?: string
  "it's"?: string
  'a b'?: string
  \u00e4?: string
  'back\\\\'?: string
}""",
    ),
]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [pytest.param(fields, expected, id=name) for name, fields, expected in CASES],
)
def test_types(fields: dict[str, Any], expected: str) -> None:
    """Types are those of Segment's tool, byte for byte."""
    assert types_source("Payload", fields) == f"{HEAD}{expected}\n"


# -- Segment's own files -------------------------------------------------------------------------

NOT_OURS = {
    "algolia-insights/generated-types.ts": "its metadata.json also has a setting of its browser"
    " plugin, which is in another package",
}
COUNTS = {"settings": 219, "actions": 608, "actions without a file": 11}


def _files(folder: Path) -> Iterator[tuple[str, Path | None, str]]:
    """Yield the kind, the file and the text of our types of each part of all destinations."""
    for metadata in sorted(folder.rglob("metadata.json")):
        raw = json.loads(metadata.read_text(encoding="utf-8"))
        if raw["mode"] != "cloud":
            continue
        text = types_source("Settings", (raw["authentication"] or {}).get("fields", {}))
        audience = (raw["audienceConfig"] or {}).get("audienceFields")
        text += types_source("AudienceSettings", audience) if audience else ""
        yield "settings", metadata.parent / "generated-types.ts", text
        for slug, action in raw["actions"].items():
            text = types_source("Payload", action["fields"])
            for name, hook in (action["hooks"] or {}).items():
                upper = name[0].upper() + name[1:]
                text += types_source(f"{upper}Inputs", hook["inputFields"])
                text += types_source(f"{upper}Outputs", hook["outputFields"])
            yield "actions", _of_action(metadata.parent, slug), text


def _of_action(folder: Path, slug: str) -> Path | None:
    """Return the file of an action; some folders are named in other letters than the action."""
    names = {f"{slug}/generated-types.ts".lower(), f"{slug}.types.ts".lower()}
    found = (*folder.glob("*/generated-types.ts"), *folder.glob("*.types.ts"))
    return next((one for one in found if str(one.relative_to(folder)).lower() in names), None)


def test_types_of_segments_destinations() -> None:
    """All generated types of the public destinations are ours, but those named."""
    given = os.environ.get("SEGMENT_DESTINATIONS")
    if not given:
        pytest.skip("set SEGMENT_DESTINATIONS to the folder of Segment's destinations")
    same, different = Counter[str](), []
    for kind, file, text in _files(Path(given)):
        if file is None:
            same[f"{kind} without a file"] += 1
        elif file.read_text(encoding="utf-8") == text:
            same[kind] += 1
        else:
            different.append(str(file.relative_to(given)))
    assert different == list(NOT_OURS)
    assert same == COUNTS

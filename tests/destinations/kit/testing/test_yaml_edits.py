from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from destinations.definition.document import read_document
from destinations.kit.testing.yaml_edits import edited

TEXT = """\
# What it shows.
name: one  # the first
body: |-
  two
  lines
# What follows.
nested:
  list:
    - a: 1  # a number
      b: 'text'
    # The second.
    - c: {d: 1, e: [1, 2]}
  empty: []
last: true
"""

# What is replaced in the data, by JSON pointer (None removes it), and what of the text changes.
EDITS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "nothing": ({}, []),
    "a text": ({"name": "two"}, [("name: one", "name: two")]),
    "a text that needs quotes": ({"name": "no"}, [("name: one", "name: 'no'")]),
    "a number in a list": ({"nested/list/0/a": 2}, [("a: 1", "a: 2")]),
    "a number that is a text now": ({"nested/list/0/a": "1"}, [("a: 1", "a: '1'")]),
    "in braces": ({"nested/list/1/c/d": "x"}, [("{d: 1, e: [1, 2]}", "{d: x, e: [1, 2]}")]),
    "a block": ({"body": "three\nlines\n"}, [("|-\n  two", "|\n  three")]),
    "a block that is a word now": ({"body": "word"}, [("|-\n  two\n  lines", "word")]),
    "a word that is a block now": (
        {"last": "two\nlines"},
        [("last: true", "last: |-\n  two\n  lines")],
    ),
    "a list that was empty": ({"nested/empty": [{"x": 1}]}, [("empty: []", "empty:\n  - x: 1")]),
    "a key that is gone": ({"nested/empty": None}, [("  empty: []\n", "")]),
    "a key beside others": (
        {"nested/list/0/z": {"y": [1]}},
        [("b: 'text'\n", "b: 'text'\n      z:\n        'y':\n        - 1\n")],
    ),
    "an item more": ({"nested/list/2": {"f": 1}}, [("2]}\n", "2]}\n    - f: 1\n")]),
    "an item that is gone": ({"nested/list/1": None}, [("    - c: {d: 1, e: [1, 2]}\n", "")]),
    "everything below a key": ({"nested": "gone"}, []),
}


def _changed(data: Any, changes: dict[str, Any]) -> Any:
    new = copy.deepcopy(data)
    for path, value in changes.items():
        *parents, last = path.split("/")
        target = new
        for key in parents:
            target = target[int(key) if isinstance(target, list) else key]
        place: Any = int(last) if isinstance(target, list) else last
        if value is None:
            del target[place]
        elif isinstance(target, list) and place == len(target):
            target.append(value)
        else:
            target[place] = value
    return new


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@pytest.mark.parametrize(("changes", "replaced"), EDITS.values(), ids=EDITS)
def test_only_what_differs_is_written(
    changes: dict[str, Any], replaced: list[tuple[str, str]]
) -> None:
    """All else stays as it is, with its comments, quotes and indentation."""
    new = _changed(read_document(TEXT, "t").data, changes)
    text = edited(TEXT, new)
    assert _same(read_document(text, "t").data, new)
    assert text.startswith("# What it shows.\nname: ")
    if replaced or not changes:
        expected = TEXT
        for old, now in replaced:
            assert expected.count(old) == 1
            expected = expected.replace(old, now)
        assert text == expected


def test_json_is_written_as_json() -> None:
    """It has no comments to keep."""
    assert edited('{"a": 1}\n', {"a": 2}) == '{\n  "a": 2\n}\n'
    assert edited('{"a":1}', {"a": 1}) == '{"a":1}'


VALUES: list[Any] = [
    "x",
    "two\nlines",
    " a\n b\n",
    "true",
    "1",
    1,
    1.5,
    None,
    [],
    {},
    "a: b #c",
    "",
]
VALUES += [{"a": 1, "b": [1, {"c": 2}]}, ["x", {"y": 1}]]


def _mutated(value: Any, chance: random.Random) -> Any:
    """Return a JSON value with one place replaced, removed or added."""
    whole = chance.random() < 0.1
    if isinstance(value, dict) and value and not whole:
        key, kind = chance.choice(list(value)), chance.random()
        if kind < 0.15:
            return {name: one for name, one in value.items() if name != key}
        if kind < 0.3:
            items = list(value.items())
            items.insert(chance.randrange(len(items) + 1), ("new key", chance.choice(VALUES)))
            return dict(items)
        return {**value, key: _mutated(value[key], chance)}
    if isinstance(value, list) and value and not whole:
        place, kind = chance.randrange(len(value)), chance.random()
        if kind < 0.15:
            return [*value[:place], *value[place + 1 :]]
        if kind < 0.3:
            return [*value[:place], chance.choice(VALUES), *value[place:]]
        return [*value[:place], _mutated(value[place], chance), *value[place + 1 :]]
    return chance.choice(VALUES)


@pytest.mark.parametrize("seed", range(5))
def test_any_change_of_a_case(template: Path, seed: int) -> None:
    """What is read again is the new value, and the head of the file is kept."""
    chance = random.Random(seed)
    text = (template / "cases" / "track.yaml").read_text(encoding="utf-8")
    data = read_document(text, "t").data
    for _ in range(60):
        new = _mutated(_mutated(data, chance), chance)
        if not isinstance(new, dict) or "$schema" not in new:
            continue
        written = edited(text, new)
        assert _same(read_document(written, "t").data, new)
        assert written.startswith(text.partition("$schema")[0])

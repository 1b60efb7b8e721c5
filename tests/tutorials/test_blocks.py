"""The runner of the tutorials: what it takes, and what it finds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.tutorials.blocks import BlockError, blocks_of
from tests.tutorials.terminals import play

WHOLE = """---
topic: x
---
# A page

<!-- install -->
```sh
pip install .
```

Save this as `a/name.txt`:

<!-- file: a/name.txt -->
```yaml
one: 1
port: 4321
two: 2
```

<!-- shows: a/name.txt -->
```yaml
one: 1
...
two: 2
```

In `a/name.txt`, change a line:

<!-- change: a/name.txt -->
```diff
 one: 1
-port: 4321
+address: 127.0.0.1:4321
```

```sh
export NAME=Ada
cd a
```

```sh
echo "$NAME   is in $PWD"; grep address name.txt
```

<!-- prints -->
```
Ada is in .../a
address: 127.0.0.1:4321
```

<!-- ends with 3 -->
```sh
(exit 3)
```

In another terminal:

<!-- another terminal -->
```sh
echo "begin ${NAME-without a name}"; read -r line < <(sleep 100); echo "$line"
```

<!-- prints -->
```
begin without a name
```

<!-- repeat -->
```sh
echo x >> tries; wc -l < tries
```

<!-- prints -->
```text
3
```

<!-- stop -->

<!-- another terminal -->
```sh
echo again
```

<!-- prints -->
```
again
```
"""


READ = """echo "begin ${NAME-without a name}"; read -r line < <(sleep 100); echo "$line\""""


def _play(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    play(blocks_of(page), tmp_path, dict(os.environ))


def test_whole_page(tmp_path: Path) -> None:
    """Files, commands, other terminals and what they print: in order, in one shell each."""
    _play(tmp_path, WHOLE)
    assert (tmp_path / "tutorial" / "a" / "tries").read_text() == "x\n" * 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("export NAME=Ada", "export NAME=Bob", "page.md:46: not printed: 'Ada is in .../a'"),
        ("(exit 3)", "(exit 4)", r"page.md:52: ended with 4, failed: \[4\]"),
        ("export NAME=Ada", "false\nexport NAME=Ada", r"page.md:36: ended with 0, failed: \[1\]"),
        ("(exit 3)", "false; (exit 3)", r"page.md:52: ended with 3, failed: \[1, 3\]"),
        (READ, "echo other", "page.md:64: not printed: 'begin without"),
        ("two: 2\n```\n\nIn `a", "three: 3\n```\n\nIn `a", "page.md:21: not in a/name.txt"),
        (" one: 1\n-", " other: 1\n-", "page.md:30: 0 times in a/name.txt, not once"),
        ("<!-- stop -->\n", "", "page.md:80: what runs in the terminal 'another'"),
    ],
)
def test_what_is_not_so(old: str, new: str, message: str, tmp_path: Path) -> None:
    """A page that does not do what it says is named with the line of the block."""
    assert WHOLE.count(old) == 1
    with pytest.raises(BlockError, match=message):
        _play(tmp_path, WHOLE.replace(old, new))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```yaml\na: 1\n```", "page.md:1: a block without a mark"),
        ("```\na: 1\n```", "page.md:1: a block without a mark"),
        ("<!-- prints -->\n```sh\na\n```", "page.md:2: a block `sh` that is not run"),
        ("<!-- repeat -->\n```console\na\n```", "page.md:2: a block without a mark"),
        ("<!-- install -->\n```yaml\na\n```", "page.md:2: commands belong into a block `sh`"),
        ("<!-- install -->\n```sh\npip install x\n```", "page.md:2: other than on other pages"),
        ("<!-- print -->\n```\na\n```", "page.md:2: unknown mark 'print'"),
        ("<!-- install -->\n<!-- prints -->\n```\na\n```", "page.md:3: two things at once"),
        ("- a\n\n  ```sh\n  a\n  ```", "page.md:3: a block in a list"),
        ("<!-- prints -->\na", "page.md:2: a block has to follow the mark 'prints'"),
        ("Save it.\n\n<!-- file: a -->\n```\na\n```", "does not tell the reader about `a`"),
        ("`a`\n\nSave it.\n\n<!-- file: a -->\n```\na\n```", "does not tell the reader"),
        ("<!-- another terminal -->\n```sh\na\n```", "page.md:2: nothing says what is waited for"),
        ("<!-- repeat -->\n```sh\na\n```", "page.md:2: nothing says what is waited for"),
        ("<!-- instead -->\n```sh\na\n```", "page.md:2: `instead` follows the commands"),
    ],
)
def test_blocks_that_are_refused(text: str, message: str, tmp_path: Path) -> None:
    """No block is left out silently: what is neither run nor compared is refused."""
    page = tmp_path / "page.md"
    page.write_text(f"{text}\n", encoding="utf-8")
    with pytest.raises(BlockError, match=message):
        blocks_of(page)


@pytest.mark.parametrize(("instead", "texts"), [(False, "acbe"), (True, "acDPe")])
def test_two_ways(instead: bool, texts: str, tmp_path: Path) -> None:
    """A page is played with the commands, or with those that stand in their place."""
    shown = "<!-- prints -->\n```\n{}\n```\n"
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\na\n```\n"
        + shown.format("c")
        + "```sh\nb\n```\n<!-- instead -->\n```sh\nD\n```\n"
        + shown.format("P")
        + "```sh\ne\n```\n",
        encoding="utf-8",
    )
    found = [block.text.strip() for block in blocks_of(page, instead=instead)]
    assert found == list(texts)

"""Read the fenced blocks of a tutorial, in their order, with the marks right before them.

A mark is an HTML comment, which readers do not see:

=========================  =========================================================================
mark                       what the block is
=========================  =========================================================================
``file: NAME``             the contents of a file, in the folder in which the reader is; the
                           sentence before it names the file
``change: NAME``           ``diff`` lines: those with ``-`` become those with ``+`` in the file
``shows: NAME``            lines of a file, among others
(a block ``sh``)           commands of the reader's terminal
``another terminal``       commands ``sh`` that go on, at first in the same folder. ``prints``
                           follows, and is waited for. ``another terminal: NAME`` if there are more
``prints``                 lines that the last commands print, among others; ``...`` stands for what
                           differs, and a time for any. ``prints in NAME`` waits for them in that
                           terminal
``instead``                commands ``sh``, with what they print, in place of those of the block
                           ``sh`` before: the page is played with either
``repeat``                 commands ``sh`` that are repeated until they print what follows
``ends with N``            the last command ends with this exit code
``install``                commands ``sh`` that need a network, which the tests have not
``stop``                   no block: Ctrl-C in all other terminals; ``stop: NAME`` in one
=========================  =========================================================================
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["INSTALLS", "Block", "BlockError", "blocks_of"]

ROOT: Final = Path(__file__).parents[2]
_FENCE: Final = re.compile(r"(\s*)(`{3,}|~{3,})(\S*)\s*")
_MARK: Final = re.compile(r"<!-- (.+) -->")
_KNOWN: Final = re.compile(
    r"(?P<kind>file|change|shows): (?P<name>\S+)"
    r"|(?P<terminal>another terminal)(?:: (?P<named>\S+))?"
    r"|(?P<prints>prints)(?: in (?P<where>\S+))?"
    r"|(?P<repeat>repeat)|(?P<instead>instead)|ends with (?P<code>[0-9]+)|(?P<install>install)"
    r"|(?P<stop>stop)(?:: (?P<stopped>\S+))?"
)
_NAMES: Final = ("name", "named", "where", "stopped")
_KINDS: Final = frozenset({"kind", "terminal", "prints", "install", "stop"})

_CONTAINER: Final = (
    "docker run --detach --name tutorial-postgres --env POSTGRES_PASSWORD=tutorial"
    " --publish 127.0.0.1:5432:5432 postgres:17"
)

INSTALLS: Final = frozenset(
    {
        "cd kana-destination",
        "python3 -m venv .venv",
        ". .venv/bin/activate",
        "pip install .",
        "pip install '.[kit]'",
        "pip install '.[kit,liquid]'",
        "pip install '.[sealing]'",
        "pip install '.[postgres]'",
        "pip install segment-analytics-python",
        _CONTAINER,
    }
)
"""The lines that blocks ``install`` may have, so that all pages say the same."""


class BlockError(AssertionError):
    """A block that cannot be run as it stands, or that does not do what its page says."""


@dataclass
class Block:
    """A fenced block, or a mark that needs none."""

    page: str
    line: int
    kind: str
    """file, change, shows, run, terminal, prints, install, or stop."""
    text: str = ""
    name: str = ""
    """That of a file, or of a terminal other than the reader's first."""
    code: int = 0
    is_repeated: bool = False
    is_instead: bool = False
    before: str = field(default="")
    """The paragraph before it."""

    def error(self, message: str) -> BlockError:
        """Return an error that names the place."""
        return BlockError(f"{self.page}:{self.line}: {message}")


def blocks_of(path: Path, *, instead: bool = False) -> list[Block]:
    """Return the blocks of a page; raises `BlockError` for one that would be left out.

    Where the page has two ways, they are those of the first one, or ``instead`` of the second.
    """
    page = path.name
    found = list(_blocks(page, path.read_text(encoding="utf-8").splitlines()))
    blocks = list(_of_one_way(found, instead=instead))
    for number, block in enumerate(blocks):
        following = blocks[number + 1].kind if number + 1 < len(blocks) else ""
        if (block.kind == "terminal" or block.is_repeated) and following != "prints":
            raise block.error("nothing says what is waited for: a block `prints` has to follow")
    return blocks


def _of_one_way(blocks: list[Block], *, instead: bool) -> Iterator[Block]:
    """Yield the blocks without those of the other way, each with what it prints."""
    of_other = False
    for number, block in enumerate(blocks):
        following = blocks[number + 1] if number + 1 < len(blocks) else None
        is_first = block.kind == "run" and following is not None and following.is_instead
        if block.is_instead and (number == 0 or blocks[number - 1].kind != "run"):
            raise block.error("`instead` follows the commands in whose place it stands")
        if block.is_instead or is_first:
            of_other = block.is_instead != instead
        elif block.kind != "prints":
            of_other = False
        if not of_other:
            yield block


def _blocks(page: str, lines: list[str]) -> Iterator[Block]:
    marks: list[str] = []
    rest = iter(enumerate(lines, 1))
    if lines[:1] == ["---"]:
        next(number for number, line in rest if number > 1 and line == "---")
    for number, line in rest:
        block = Block(page, number, "", before=_paragraph(lines[: number - 1]))
        if (found := _MARK.fullmatch(line)) and found[1].partition(":")[0] == "stop":
            _read_marks(block, [found[1]])
            yield block
        elif found:
            marks.append(found[1])
        elif fence := _FENCE.fullmatch(line):
            if fence[1]:
                raise block.error("a block in a list is not read; indent nothing")
            contents = itertools.takewhile(fence[2].__ne__, (inner for _, inner in rest))
            block.text = "\n".join([*contents, ""])
            _read_marks(block, marks)
            _check(block, fence[3])
            yield block
            marks = []
        elif marks:
            raise block.error(f"a block has to follow the mark {marks[-1]!r}")


def _paragraph(lines: list[str]) -> str:
    """Return the last paragraph of these lines, without marks."""
    text = "\n".join(lines)
    while (stripped := re.sub(r"<!-- .+ -->\Z", "", text.rstrip())) != text:
        text = stripped
    return text.rpartition("\n\n")[2]


def _read_marks(block: Block, marks: list[str]) -> None:
    for mark in marks:
        known = _KNOWN.fullmatch(mark)
        if known is None:
            raise block.error(f"unknown mark {mark!r}")
        said = {name: value for name, value in known.groupdict().items() if value is not None}
        block.name = next((said[one] for one in _NAMES if one in said), block.name)
        block.code = int(said.get("code", block.code))
        block.is_repeated |= "repeat" in said
        block.is_instead |= "instead" in said
        for one in _KINDS & said.keys():
            if block.kind:
                raise block.error(f"two things at once: {', '.join(marks)}")
            block.kind = "terminal" if one == "terminal" else said[one]


def _check(block: Block, language: str) -> None:
    is_shell = language == "sh"
    block.kind = block.kind or ("run" if is_shell else "")
    if block.kind in {"run", "terminal", "install"} and not is_shell:
        raise block.error("commands belong into a block `sh`")
    if block.kind not in {"run", "terminal", "install", "file", "shows"} and is_shell:
        raise block.error("a block `sh` that is not run")
    if not block.kind:
        raise block.error("a block without a mark: is it a file, or what commands print?")
    if block.kind in {"file", "change"} and f"`{block.name}`" not in block.before:
        raise block.error(f"the sentence before it does not tell the reader about `{block.name}`")
    if block.kind == "terminal" and not block.name:
        block.name = "another"
    if block.kind == "install":
        unknown = set(block.text.splitlines()) - INSTALLS
        if unknown:
            raise block.error(f"other than on other pages: {', '.join(sorted(unknown))}")

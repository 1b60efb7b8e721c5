"""Python source under construction: functions, their lines, and the objects that they name."""

from __future__ import annotations

import builtins
import hashlib
import keyword
import linecache
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["Function", "Source"]

_INDENT: Final = "    "
# Names that end in a number are given out by `Source.bind` and `Function.local`.
_PLAIN_NAME: Final = re.compile(r"(?!.*_\d+$)[a-z][a-z0-9_]{,40}", re.ASCII)
_OWN_NAMES: Final = frozenset({"event", "item", "value", "payload", "made"})


class Source:
    """The text of a module of functions. Text of a definition gets into it by ``repr`` only."""

    def __init__(self, **names: object) -> None:
        """``names`` are the objects that the code may name."""
        self._names: dict[str, object] = dict(names)
        self._counts: dict[str, int] = {}
        self._functions: list[Function] = []

    def bind(self, kind: str, value: object) -> str:
        """Return a new name, ``kind`` with a number, that stands for ``value``."""
        name = self._fresh(kind)
        self._names[name] = value
        return name

    def function(self, kind: str, argument: str) -> Function:
        """Return a new function of one argument; what begins first comes last in the text."""
        made = Function(self._fresh(kind), argument, _OWN_NAMES | self._names.keys())
        self._functions.insert(0, made)
        return made

    @property
    def text(self) -> str:
        """The source."""
        return "\n\n\n".join(function.text for function in self._functions) + "\n"

    def compile(self) -> dict[str, Any]:
        """Return the functions by name. Tracebacks show their lines."""
        text = self.text
        file = f"<fast path {hashlib.sha256(text.encode()).hexdigest()[:12]}>"
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        names = dict(self._names)
        exec(compile(text, file, "exec"), names)  # noqa: S102 - all that is foreign in it is quoted
        return names

    def _fresh(self, kind: str) -> str:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}_{self._counts[kind]}"


class Function:
    """A function of one argument, an object of JSON."""

    def __init__(self, name: str, argument: str, taken: frozenset[str]) -> None:
        self.name = name
        self.argument = argument
        self._taken = {*taken, *vars(builtins)}
        self._head = [f"if type({argument}) is not dict:", f"{_INDENT}raise Miss"]
        self._lines: list[str] = []
        self._depth = 1
        self._parts: dict[tuple[str, ...], str] = {(): argument}

    def line(self, text: str) -> None:
        """Add a line at the present depth."""
        self._lines.append(_INDENT * self._depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Indent the lines that are added within by one level, below ``head``."""
        self.line(f"{head}:")
        self._depth += 1
        yield
        self._depth -= 1

    def local(self, kind: str) -> str:
        """Return a new local name."""
        number = 1
        while f"{kind}_{number}" in self._taken:
            number += 1
        self._taken.add(f"{kind}_{number}")
        return f"{kind}_{number}"

    def part(self, keys: Sequence[str]) -> str:
        """Return the local name of the object at ``keys`` of the argument, found only once.

        An object that is not there counts as empty; anything else but an object is a miss.
        """
        path = tuple(keys)
        if path not in self._parts:
            around = self.part(path[:-1])
            name = self._name_of(path)
            self._parts[path] = name
            self._head += [
                f"{name} = {around}.get({path[-1]!r}, EMPTY)",
                f"if type({name}) is not dict:",
                f"{_INDENT}raise Miss",
            ]
        return self._parts[path]

    @property
    def text(self) -> str:
        """The source of the function."""
        head = [_INDENT + line for line in self._head]
        return "\n".join([f"def {self.name}({self.argument}):", *head, *self._lines])

    def _name_of(self, path: tuple[str, ...]) -> str:
        name = "_".join(path)
        is_free = name not in self._taken and not keyword.iskeyword(name)
        if not (is_free and _PLAIN_NAME.fullmatch(name)):
            return self.local("part")
        self._taken.add(name)
        return name

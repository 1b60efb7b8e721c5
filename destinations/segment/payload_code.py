"""Print what `fill` does for one set of members as Python, which saves most of its time.

The code says nothing that `fill` does not: it has the same steps, written out, and calls the same
functions. What is known of a member when it is printed is not asked again for each event: the types
that fit, the keys of a path, the objects that several paths share.
"""

from __future__ import annotations

import hashlib
import linecache
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

from destinations.segment.javascript.members import plain_keys
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping.nodes import Constant
from destinations.segment.validation.filling import Member, fill
from destinations.segment.validation.fits import Fit, Unfit

__all__ = ["MOST_MEMBERS", "Fill", "compile_fill"]

MOST_MEMBERS: Final = 500
"""Code for more takes longer to make than it ever saves."""

Fill = Callable[[Any, dict[str, Any], list[str]], None]
"""`fill` for one set of members: takes the data, the object to fill, the keys that do not fit."""


def compile_fill(members: Sequence[Member]) -> Fill:
    """Return `fill` for one set of members, as code where that is worth it."""

    def loop(data: Any, into: dict[str, Any], unsettled: list[str]) -> None:
        fill(members, data, into, unsettled)

    if len(members) > MOST_MEMBERS:
        return loop
    printer = _Printer(loop)
    for member in members:
        printer.member(member)
    return printer.compile()


class _Printer:
    """Text of a definition gets into the code by ``repr`` only, everything else by a name."""

    def __init__(self, loop: Fill) -> None:
        self._names: dict[str, object] = {
            "UNDEFINED": UNDEFINED,
            "NOTHING": {},
            "Unfit": Unfit,
            "fill_in_a_loop": loop,
        }
        self._parts: dict[tuple[str, ...], str] = {(): "data"}
        self._head: list[str] = []
        self._lines: list[str] = []

    def member(self, member: Member) -> None:
        """Print the lines of one member."""
        key = repr(member.key)
        settle = self._name("settle", member.settle)
        self._lines += [
            f"value = {self._value(member.get)}",
            f"if {self._test(member.fit)}:",
            f"    into[{key}] = value",
            "elif value is not UNDEFINED:",
            f"    value = {settle}(value)",
            "    if type(value) is Unfit:",
            f"        into[{key}] = value.value",
            f"        unsettled.append({key})",
            "    elif value is not UNDEFINED:",
            f"        into[{key}] = value",
        ]

    @property
    def text(self) -> str:
        """The code."""
        body = "\n    ".join([*_or_loop("data"), *self._head, *self._lines])
        return f"def fill(data, into, unsettled):\n    {body}\n"

    def compile(self) -> Fill:
        """Return the function. Tracebacks show its lines."""
        text = self.text
        file = f"<payload {hashlib.sha256(text.encode()).hexdigest()[:12]}>"
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        exec(compile(text, file, "exec"), self._names)  # noqa: S102 - all that is foreign in it is quoted
        made: Fill = self._names["fill"]  # type: ignore[assignment]  # the code defines it
        weakref.finalize(made, linecache.cache.pop, file, None).atexit = False
        return made

    def _name(self, kind: str, value: object) -> str:
        name = f"{kind}_{len(self._names)}"
        self._names[name] = value
        return name

    def _value(self, get: Callable[[Any], Any]) -> str:
        if isinstance(get, Constant) and not isinstance(get.value, dict | list):
            return self._name("constant", get.value)
        keys = plain_keys(get)
        if keys is None:
            return f"{self._name('get', get)}(data)"
        return f"{self._part(keys[:-1])}.get({keys[-1]!r}, UNDEFINED)"

    def _part(self, keys: tuple[str, ...]) -> str:
        """Return the name of what stands at ``keys`` of the data, which is found only once."""
        if keys not in self._parts:
            around = self._part(keys[:-1])
            self._parts[keys] = name = f"part_{len(self._parts)}"
            self._head += [f"{name} = {around}.get({keys[-1]!r}, NOTHING)", *_or_loop(name)]
        return self._parts[keys]

    def _test(self, fit: Fit) -> str:
        if len(fit.kinds) == 1:
            (kind,) = fit.kinds
            self._names[kind.__name__] = kind
            tests = [f"type(value) is {kind.__name__}"]
        else:
            tests = [f"type(value) in {self._name('kinds', fit.kinds)}"]
        tests += [
            "value" if check is bool else f"{self._name('holds', check)}(value)"
            for check in dict.fromkeys(fit.checks)
        ]
        return " and ".join(tests)


def _or_loop(name: str) -> list[str]:
    """Return the lines that leave data without an object there to the loop."""
    return [
        f"if type({name}) is not dict:",
        "    return fill_in_a_loop(data, into, unsettled)",
    ]

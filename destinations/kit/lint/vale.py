"""Read rule files in the format of Vale, the prose linter of Segment's docs.

A file has what the rule ``extends``: ``existence`` (tokens that must not be there),
``substitution`` (what to say instead), ``occurrence`` (how often a token may be there) or
``spelling``. The comment at its head may hold examples, as YAML: ``good``, ``bad``, ``context``,
``files``, ``flavours``. Vale takes it for a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from destinations.definition.document import Document, read_document
from destinations.definition.input_files import read_text_input
from destinations.errors import DefinitionError, Issue, UsageError
from destinations.kit.lint.finding import Level
from destinations.kit.lint.rule import FLAVOURS, Found, Rule
from destinations.kit.lint.source import SCOPES, Source
from destinations.segment.json_pointer import pointer

__all__ = ["Occurrence", "Tokens", "read_rule", "read_text", "rule_id"]

_KINDS: Final = ("existence", "substitution", "occurrence", "spelling")
_HEAD: Final = ("good", "bad", "context", "files", "flavours")
_LEVELS: Final = tuple(level for level in get_args(Level) if level != "off")
# A space in a pattern may be a line break in a page; those in brackets stand for themselves, and
# what a pattern looks back at has a fixed width.
_SPACE: Final = re.compile(
    r"(?P<kept>\\.|\[(?:\\.|[^\]\\])*\])|(?P<lookbehind>\(\?<[!=][^()]*\))|(?P<space> )(?![?*+{])"
)
# Words of a pattern are of one paragraph: one line break at most is between them.
_GAP: Final = r"(?:[^\S\n]+|[^\S\n]*\n[^\S\n]*)"
# Python takes flags for a whole pattern only at its start, Vale anywhere.
_FLAGS: Final = re.compile(r"^\(\?([ims]+)\)(.*)$", re.DOTALL)
_BOUNDARY: Final = (r"\b(?:", r")(?!\w)")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Patterns that must not be found in a scope, each with what to say instead, if anything."""

    scope: str
    patterns: tuple[tuple[re.Pattern[str], str], ...]
    exceptions: re.Pattern[str] | None = None
    replaces: bool = False
    edit: tuple[re.Pattern[str], str] | None = None

    def __call__(self, source: Source) -> Iterator[Found]:
        """Yield every place; two patterns that match at one place make one finding."""
        for start, text in source.scope(self.scope):
            matches = [
                (match, swap)
                for pattern, swap in self.patterns
                for match in pattern.finditer(text)
                if match.end() > match.start() and not self._is_exception(match[0])
            ]
            end = 0
            for match, swap in sorted(matches, key=lambda item: (item[0].start(), -item[0].end())):
                at = start + match.start()
                if match.start() >= end and not source.is_in_name(at, start + match.end()):
                    end = match.end()
                    fix = self._fix(match[0], swap)
                    shown = " ".join(match[0].split())
                    yield Found(at, shown, swap, start + end, fix)

    def _is_exception(self, text: str) -> bool:
        return self.exceptions is not None and self.exceptions.fullmatch(text) is not None

    def _fix(self, text: str, swap: str) -> str | None:
        if self.edit is not None:
            pattern, instead = self.edit
            changed = pattern.sub(instead, text)
            return changed if changed != text else None
        # What offers several words leaves the choice to the author.
        if not self.replaces or re.search(r"[,|]", swap):
            return None
        return swap[:1].upper() + swap[1:] if text[:1].isupper() else swap


@dataclass(frozen=True, slots=True)
class Occurrence:
    """The limits of how often a token may be in each part of a scope."""

    scope: str
    token: re.Pattern[str]
    most: int | None
    least: int

    def __call__(self, source: Source) -> Iterator[Found]:
        """Yield the start of every part with too many or too few."""
        for start, text in source.scope(self.scope):
            number = sum(1 for _ in self.token.finditer(text))
            if (self.most is not None and number > self.most) or number < self.least:
                yield Found(start + len(text) - len(text.lstrip()), str(number))


def rule_id(path: Path) -> str:
    """Return the id of the rule in a file: its name without the ending, in lower case."""
    return path.stem.lower()


def read_text(path: Path, what: str) -> str:
    """Return the text of a file; raises `UsageError` that names it as ``what``."""
    try:
        return read_text_input(path, pipes=True)
    except UnicodeDecodeError as error:
        raise UsageError(f"the {what} {path} is not UTF-8 text: {error.reason}") from None
    except OSError as error:
        raise UsageError(f"cannot read the {what} {path}: {error.strerror or error}") from None


def read_rule(path: Path, known: Rule | None = None) -> Rule:
    """Return the rule in a file; it keeps flavours and examples of a ``known`` one of that id.

    Raises `UsageError` for an unreadable file, `DefinitionError` with every issue in it.
    """
    text = read_text(path, "rule file")
    document = read_document(text, name=str(path))
    reader = _Reader(document)
    rule = reader.rule(rule_id(path), _head(text), known)
    if reader.issues:
        raise DefinitionError(reader.issues)
    return rule


def _head(text: str) -> Mapping[str, Any]:
    """Return what the comment at the head of a rule file says; nothing if it is mere prose."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[1:].removeprefix(" "))
    try:
        data = read_document("\n".join(lines), name="", may_be_empty=True).data
    except DefinitionError:
        return {}
    return data if isinstance(data, dict) and set(data) <= set(_HEAD) else {}


class _Reader:
    """Makes a rule of a document, and collects the issues in it."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.data: Mapping[str, Any] = document.data if isinstance(document.data, dict) else {}
        self.issues: list[Issue] = []
        if not self.data:
            self._issue("", "must be a mapping with the key extends: a rule in Vale's format")

    def rule(self, name: str, head: Mapping[str, Any], known: Rule | None) -> Rule:
        kind = self._text("extends")
        if self.data and kind not in _KINDS:
            expected = ", ".join(_KINDS)
            self._issue(
                "/extends", f"must be one of {expected}, not {kind!r}; docs lint --vale runs others"
            )
        level = self._text("level", "warning")
        if level not in _LEVELS:
            self._issue("/level", f"must be one of {', '.join(_LEVELS)}, not {level!r}")
        scope = self._text("scope", "text")
        if scope not in SCOPES:
            self._issue("/scope", f"must be one of {', '.join(SCOPES)}, not {scope!r}")
        search = None
        if not self.issues and kind != "spelling":
            search = self._occurrence(scope) if kind == "occurrence" else self._tokens(scope, kind)
        return Rule(
            id=name,
            level=level,  # type: ignore[arg-type] # one of _LEVELS, or there is an issue
            message=_message(self._text("message", "'%s'"), is_swap=kind == "substitution"),
            search=search,
            check="spelling" if kind == "spelling" else None,
            good=head.get("good", known.good if known else ""),
            bad=head.get("bad", known.bad if known else ""),
            flavours=tuple(head.get("flavours", known.flavours if known else FLAVOURS)),
            allowed=tuple(self._filters()) if kind == "spelling" else (),
            context=head.get("context", known.context if known else ""),
            files=head.get("files", known.files if known else {}),
            source=self.document.name,
        )

    def _tokens(self, scope: str, kind: str) -> Tokens:
        case = re.MULTILINE if not self.data.get("ignorecase") else re.MULTILINE | re.IGNORECASE
        before, after = ("(?:", ")") if self.data.get("nonword") else _BOUNDARY
        if kind == "substitution":
            swaps = self._mapping("swap")
            patterns = [
                (self._compile(f"{before}{_spaced(key)}{after}", case, pointer("swap", key)), swap)
                for key, swap in swaps.items()
            ]
        else:
            patterns = [
                (self._compile(f"{before}{_spaced(token)}{after}", case, place), "")
                for place, token in self._list("tokens")
            ]
            # The items of "raw" are the parts of one pattern.
            if raw := "".join(part for _, part in self._list("raw")):
                patterns.append((self._compile(_spaced(raw), case, "/raw"), ""))
        if not patterns:
            key = "swap" if kind == "substitution" else "tokens"
            self._issue("", f"has nothing to look for: add {key}")
        exceptions = [_spaced(item) for _, item in self._list("exceptions")]
        edit = self._edit()
        return Tokens(
            scope=scope,
            patterns=tuple(patterns),
            exceptions=self._compile("|".join(exceptions), re.IGNORECASE, "/exceptions")
            if exceptions
            else None,
            replaces=kind == "substitution" and self._action("name") == "replace",
            edit=edit,
        )

    def _occurrence(self, scope: str) -> Occurrence:
        limits = {key: self.data.get(key) for key in ("max", "min")}
        for key, value in limits.items():
            if value is not None and not (isinstance(value, int) and value >= 0):
                self._issue(pointer(key), f"must be a number of times, not {value!r}")
        token = self._compile(self._text("token", r"\S+"), re.MULTILINE, "/token")
        return Occurrence(scope, token, limits["max"], limits["min"] or 0)

    def _filters(self) -> Iterator[str]:
        for place, text in self._list("filters"):
            self._compile(text, 0, place)
            yield text

    def _edit(self) -> tuple[re.Pattern[str], str] | None:
        """Return what an action edits: params are regex, a pattern, and ``$1`` for its groups."""
        parameters = self._action("params")
        if self._action("name") != "edit" or not isinstance(parameters, list):
            return None
        match parameters:
            case ["regex", str(pattern), str(instead)]:
                found = self._compile(pattern, 0, "/action/params")
                template = re.sub(r"\$(\d)", r"\\\1", instead)
                try:
                    found.sub(template, "")
                except (re.error, IndexError) as error:  # such as a group that is not there
                    self._issue(
                        "/action/params", f"{instead!r} cannot replace what is found: {error}"
                    )
                return found, template
        return None

    def _action(self, key: str) -> Any:
        action = self.data.get("action")
        return action.get(key) if isinstance(action, dict) else None

    def _text(self, key: str, default: str = "") -> str:
        value = self.data.get(key, default)
        if not isinstance(value, str):
            self._issue(pointer(key), f"must be text, not {value!r}")
            return default
        return value

    def _list(self, key: str) -> Iterator[tuple[str, str]]:
        values = self.data.get(key) or []
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            self._issue(pointer(key), "must be a list of texts")
            return
        for index, value in enumerate(values):
            yield pointer(key, index), value

    def _mapping(self, key: str) -> Mapping[str, str]:
        values = self.data.get(key) or {}
        if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
            self._issue(pointer(key), "must be a mapping of patterns to what to say instead")
            return {}
        return values

    def _compile(self, pattern: str, flags: int, place: str) -> re.Pattern[str]:
        try:
            return re.compile(pattern, flags)
        except re.error as error:
            self._issue(place, f"is not a regular expression: {error.msg}")
            return re.compile("")

    def _issue(self, place: str, message: str) -> None:
        self.issues.append(self.document.issue(place, message))


def _spaced(pattern: str) -> str:
    """Return a pattern in which each space takes any white space, and flags are local."""
    if flags := _FLAGS.match(pattern):
        pattern = f"(?{flags[1]}:{flags[2]})"
    return _SPACE.sub(_space, pattern)


def _space(found: re.Match[str]) -> str:
    if found["lookbehind"]:
        return found["lookbehind"].replace(" ", r"\s")
    return found["kept"] or _GAP


def _message(text: str, *, is_swap: bool) -> str:
    """Return a message with names for its places: Vale fills ``%s`` from left to right."""
    text = text.replace("{", "{{").replace("}", "}}")
    names = ["{swap}", "{found}"] if is_swap else ["{found}"]
    for name in names:
        text = text.replace("%s", name, 1)
    return text.replace("%s", "{found}")

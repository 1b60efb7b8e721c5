"""Say which values a mapping of a definition can give, without an event.

A value is described by a JSON Schema, a text by its pieces: what the definition and the secrets of
the stand-in say, and gaps for the rest. What a mapping does not tell is anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from destinations.definition import DestinationDefinition
from destinations.definition.request_model import JsonSchema
from destinations.definition.settings import Settings
from destinations.definition.url_pieces import (
    AddressChoice,
    AddressMapping,
    AddressTemplate,
    AddressText,
    AddressValue,
    AddressWhole,
    read_address,
)
from destinations.secrets import Secret, reveal
from destinations.segment.javascript import to_string
from destinations.segment.mapping.parts import Split, members, split
from destinations.segment.mapping.paths import split_path, strip_root

__all__ = [
    "ANYTHING",
    "Gap",
    "Piece",
    "PossibleValue",
    "PossibleValues",
    "Text",
    "pattern_of",
    "shown_text",
    "values_of",
]


@dataclass(frozen=True, slots=True)
class Gap:
    """A part of a text that may be anything; ``name`` says where it comes from."""

    name: str


Piece = str | Gap
Text = Sequence[Piece]


class PossibleValue(NamedTuple):
    """The values of a mapping; ``optional`` says that there may be none."""

    schema: JsonSchema
    optional: bool


ANYTHING: Final = PossibleValue({}, optional=True)


@dataclass(frozen=True, slots=True)
class PossibleValues:
    """The values of mappings with these settings: secrets are exact, other settings not.

    ``payload`` has the fields of a payload, None if it may be any. ``given`` are the shapes of
    further roots, by path. ``settled`` are the names of settings that always have a value.
    """

    settings: Settings
    settled: frozenset[str] = frozenset()
    payload: Mapping[str, PossibleValue] | None = None
    given: Mapping[str, PossibleValue] = field(default_factory=dict)

    def of(self, mapping: object) -> PossibleValue:
        """Return the shape of a mapping's value."""
        own = members(mapping)
        if own is not None:
            return PossibleValue(
                _object({name: self.of(value) for name, value in own.items()}), optional=False
            )
        found = split(mapping)
        if found is not None:
            return self._of_directive(mapping, found)
        if isinstance(mapping, list):
            return PossibleValue({"type": "array"}, optional=False)
        return (
            ANYTHING
            if isinstance(mapping, dict)
            else PossibleValue({"const": mapping}, optional=False)
        )

    def texts(self, mapping: object) -> list[Text]:
        """Return the texts that a mapping can give."""
        return list(self._texts(read_address(mapping), mapping))

    def _of_directive(self, mapping: object, found: Split) -> PossibleValue:
        name, code = found.directive.name, found.part("code")
        if name == "@path" and code is not None and isinstance(code.value, str):
            return self._at(code.value)
        if name == "@template":
            texts = self.texts(mapping)
            patterns = "|".join(map(pattern_of, texts))
            shown = " or ".join(map(shown_text, texts))
            schema = {"type": "string", "pattern": rf"\A(?:{patterns})\Z", "title": shown}
            return PossibleValue(schema, optional=False)
        if name == "@merge":
            return self._merged(found)
        results = [self.of(part.value) for part in found.results() if part.on == "data"]
        if results and len(results) == len(found.results()):
            # Of an `@if` without `else`, there may be none.
            is_choice = found.part("input") is not None
            optional = any(one.optional for one in results) or (is_choice and len(results) < 2)
            schemas = [one.schema for one in results]
            return PossibleValue(schemas[0] if len(schemas) == 1 else {"anyOf": schemas}, optional)
        return ANYTHING

    def _at(self, path: str) -> PossibleValue:
        plain = strip_root(path)
        if plain in self.given:
            return self.given[plain]
        keys = split_path(plain)
        if keys == ("payload",) and self.payload is not None:
            return PossibleValue({"type": "object"}, optional=False)
        if len(keys) != len(("root", "its key")):
            return ANYTHING
        root, key = keys
        if root == "payload" and self.payload is not None:
            # What the fields do not declare may still be there.
            return self.payload.get(key, ANYTHING)
        if root == "settings":
            value = self.settings.get(key)
            if isinstance(value, Secret):
                return PossibleValue({"const": reveal(value)}, optional=False)
            return PossibleValue({}, optional=key not in self.settled)
        return ANYTHING

    def _merged(self, found: Split) -> PossibleValue:
        """Return the members of objects that are merged; later ones may hide earlier ones."""
        parts = [part.value for part in found.parts if part.place.startswith("/@merge/objects")]
        objects = [members(part) for part in parts]
        shapes = [
            {} if own is None else {name: self.of(value) for name, value in own.items()}
            for own in objects
        ]
        names = {name: None for shape in shapes for name in shape}
        merged = {
            name: _either([shape[name] for shape in shapes if name in shape]) for name in names
        }
        if None not in objects:
            return PossibleValue(_object(merged), optional=False)
        # The value of a member may be that of an object which only the event has.
        required = [name for name, shape in merged.items() if not shape.optional]
        return PossibleValue({"type": "object", "required": required}, optional=False)

    def _texts(self, address: AddressMapping, mapping: object) -> Iterator[Text]:
        match address:
            case AddressTemplate():
                yield [self._piece(one) for one in address.pieces]
            case AddressChoice():
                for branch in address.branches.values():
                    yield from self._texts(branch, mapping)
            case AddressWhole(source=bool() | int() | float() as value):
                yield [to_string(value)]
            case _:
                yield [Gap("any")]

    def _piece(self, piece: AddressText | AddressValue) -> Piece:
        if isinstance(piece, AddressText):
            return piece.text
        keys = split_path(strip_root(piece.path))
        value = self.settings.get(keys[-1]) if piece.of_settings and len(keys) == 2 else None
        return value if isinstance(value, Secret) else Gap(".".join(keys))


def _object(shapes: Mapping[str, PossibleValue]) -> JsonSchema:
    return {
        "type": "object",
        "properties": {name: shape.schema for name, shape in shapes.items()},
        "required": [name for name, shape in shapes.items() if not shape.optional],
        "additionalProperties": False,
    }


def _either(shapes: Sequence[PossibleValue]) -> PossibleValue:
    if len(shapes) == 1:
        return shapes[0]
    schemas = [shape.schema for shape in shapes]
    return PossibleValue({"anyOf": schemas}, any(shape.optional for shape in shapes))


def values_of(definition: DestinationDefinition, settings: Settings, name: str) -> PossibleValues:
    """Return what mappings of the request ``name`` give with these settings."""
    properties: Mapping[str, Mapping[str, object]] = definition.settings["properties"]
    settled = {*definition.settings.get("required", ())}
    settled |= {key for key, spec in properties.items() if "default" in spec}
    return PossibleValues(settings, frozenset(settled), _payload_of(definition, name))


def _payload_of(definition: DestinationDefinition, name: str) -> Mapping[str, PossibleValue] | None:
    """Return the fields of the payloads with which a request is made; None if they may be any.

    So they are where code makes them, where a test of the credentials or a question about another
    request has none of its own, and where several actions make the request.
    """
    actions = definition.all_actions.values()
    authentication = definition.authentication
    asked = {request.reconcile.ask for request in definition.requests.values() if request.reconcile}
    asked |= {request.listed.request for request in definition.requests.values() if request.listed}
    asked |= {authentication.test} if authentication is not None else set()
    asked |= {one for action in actions if action.perform.generator for one in action.perform.names}
    own = [action for action in actions if name in action.perform.with_payload]
    if name in asked or len(own) != 1:
        return None
    fields = own[0].fields
    properties: Mapping[str, Mapping[str, Any]] = fields["properties"]
    return {
        key: PossibleValue(
            {word: spec[word] for word in ("type", "enum") if word in spec},
            optional=key not in fields.get("required", ()),
        )
        for key, spec in properties.items()
    }


def pattern_of(text: Text, gap: str = r"[\s\S]*") -> str:
    """Return the regular expression that the whole text fits; ``gap`` is that of a gap."""
    return "".join(gap if isinstance(one, Gap) else re.escape(reveal(one)) for one in text)


def shown_text(text: Text) -> str:
    """Return the text to show: names for gaps, and no secret."""
    return "".join(f"{{{one.name}}}" if isinstance(one, Gap) else f"{one}" for one in text)

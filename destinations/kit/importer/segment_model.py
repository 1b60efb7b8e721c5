"""A destination as Segment describes it, from any of its file formats.

Fields have the shape of Segment's action library (``{key: {type, label, default, ...}}``, types in
lower case), which `destinations.segment.fields` reads. Each part keeps its JSON pointer in the
file, for messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["SegmentAction", "SegmentDestination", "SegmentOption", "SegmentPreset"]


@dataclass(frozen=True, slots=True)
class SegmentAction:
    """An action: its fields by key, in the order in which people see them.

    ``remarks`` are comments for the author, on what Segment runs and nothing here does.
    """

    slug: str
    fields: Mapping[str, Any]
    path: str
    name: str | None = None
    description: str | None = None
    default_subscription: str | None = None
    hidden: bool = False
    remarks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SegmentPreset:
    """A preset or a customer's subscription.

    ``mapping`` is None for the defaults of the fields. ``aside`` is the reason in the file why it
    cannot be a subscription here.
    """

    action: str
    path: str
    mapping_path: str
    name: str | None = None
    subscribe: str | None = None
    subscribe_path: str = ""
    mapping: Mapping[str, Any] | None = None
    aside: str | None = None


@dataclass(frozen=True, slots=True)
class SegmentOption:
    """A setting; ``type`` is Segment's word for it, in lower case.

    ``default_key`` is how the file calls the default. ``form`` has what forms show of it, and the
    conditions that require it, by keyword.
    """

    name: str
    type: str
    path: str
    label: str | None = None
    description: str | None = None
    required: bool = False
    default: Any = None
    default_key: str = "default"
    choices: Sequence[Any] = ()
    form: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SegmentDestination:
    """A destination; ``options`` is None if the file has no settings at all.

    ``remarks`` are comments for the author, on what the file says of authentication.
    """

    slug: str
    actions: Sequence[SegmentAction]
    presets: Sequence[SegmentPreset]
    path: str
    name: str | None = None
    id: str | None = None
    description: str | None = None
    website: str | None = None
    categories: Sequence[str] = ()
    maintainer: Mapping[str, str] | None = None
    platforms: Mapping[str, bool] = field(default_factory=dict)
    options: Sequence[SegmentOption] | None = None
    remarks: Sequence[str] = ()

"""Write a destination's YAML: ``destination.yaml``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from destinations.kit.importer.findings import Findings
from destinations.kit.importer.presets import PlannedPreset
from destinations.kit.importer.segment_model import SegmentDestination
from destinations.kit.importer.titles import NO_DESCRIPTION, title_of
from destinations.kit.importer.yaml_text import comment, yaml_text

__all__ = ["MISSING", "destination_text", "preset_text"]

MISSING: Final = "what is sent to the partner; Segment's file does not say it."
"""The missing information of every imported request."""

_HEAD: Final = (
    "Imported from Segment's definition. Fields, mappings and presets are those of Segment. What "
    "its file does not say is left to you: the requests and their address, the credentials and how "
    "they are tested (authentication), and how the partner's errors are read (errorRules)."
)
_NO_NAME: Final = (
    "The file has no name, so this one is made from the slug. It is also the key by which events "
    "switch the destination on and off (integrations)."
)
_NO_SETTINGS: Final = (
    "The file has no settings: add what the requests need. Strings with the format password are "
    "secrets."
)
_TRANSPORT: Final = (
    "What all requests have in common, in seconds. Add the partner's address (baseUrl) and the "
    "headers with the credentials."
)
_REQUESTS: Final = (
    "One request for each action. To write it, put rest or graphql in the place of pending; their "
    "mappings see event, payload and settings. The path is a list of segments, each encoded: "
    "path: [v1, users, {'@path': $.payload.userId}]. Until then, nothing is sent. Say that it is "
    "idempotent only if the partner takes a repeat for the same event."
)
_ASIDE: Final = "Presets that cannot be subscriptions here unchanged."
_TIMES: Final[Mapping[str, Any]] = {
    "timeout": {"connect": 5, "read": 10, "total": 30},
    "concurrency": 4,
    "retry": {"backoff": {"base": 0.5, "cap": 120}, "maxRetryAfter": 3600},
}


def destination_text(
    destination: SegmentDestination,
    slug: str,
    settings: Mapping[str, Any],
    requests: Mapping[str, str],
    presets: Sequence[PlannedPreset],
    findings: Findings,
) -> str:
    """Return the text of ``destination.yaml`` for the definition ``slug``.

    ``requests`` are the titles of the actions by the names of their requests.
    """
    return "\n".join(
        [
            _head(destination, slug, findings),
            _settings(settings),
            comment(_TRANSPORT) + yaml_text({"transport": _TIMES}),
            comment(_REQUESTS) + _requests(requests),
            *_presets(presets),
        ]
    )


def _head(destination: SegmentDestination, slug: str, findings: Findings) -> str:
    data: dict[str, Any] = {
        "slug": slug,
        "version": "0.1.0",
        "id": destination.id,
        "description": destination.description or NO_DESCRIPTION,
        "website": _website(destination, findings),
        "maintainer": destination.maintainer and dict(destination.maintainer),
        "categories": list(destination.categories) or None,
        "connectionModes": {
            name: "cloud" if takes else "none" for name, takes in destination.platforms.items()
        }
        or None,
    }
    name = destination.name or title_of(destination.slug).title()
    return (
        comment(_HEAD)
        + "".join(map(comment, destination.remarks))
        + yaml_text({"$schema": "schemas/destination.schema.json"})
        + ("" if destination.name else comment(_NO_NAME))
        + yaml_text({"name": name})
        + yaml_text({key: value for key, value in data.items() if value is not None})
    )


def _website(destination: SegmentDestination, findings: Findings) -> str | None:
    website = destination.website
    if website is None:
        return None
    try:
        parts = urlsplit(website)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and " " not in website
    except ValueError:
        is_url = False
    if is_url:
        return website
    findings.note(
        f"{destination.path}/website", f"{website!r} is not an http or https URL: left out"
    )
    return None


def _settings(settings: Mapping[str, Any]) -> str:
    if not settings["properties"]:
        return comment(_NO_SETTINGS) + yaml_text({"settings": settings})
    return yaml_text({"settings": settings})


def _requests(requests: Mapping[str, str]) -> str:
    data = {
        name: {"description": f"Performs {title}.", "idempotent": False, "pending": MISSING}
        for name, title in requests.items()
    }
    blocks = (yaml_text({name: spec}, indent=2) for name, spec in data.items())
    return "requests:\n" + "\n".join(blocks)


def _presets(presets: Sequence[PlannedPreset]) -> Iterator[str]:
    taken = [preset for preset in presets if preset.aside is None]
    aside = [preset for preset in presets if preset.aside is not None]
    if taken:
        yield "presets:\n" + "".join(preset_text(preset) for preset in taken)
    if aside:
        yield comment(_ASIDE) + "".join(_commented_out(aside))


def preset_text(preset: PlannedPreset, *, indent: int = 2) -> str:
    """Return one item of the list of presets, below its comments."""
    first, *rest = yaml_text(preset.entry, indent=indent + 2).splitlines(keepends=True)
    above = "".join(comment(text, indent=indent) for text in preset.comments)
    return f"{above}{' ' * indent}- {first.lstrip()}{''.join(rest)}"


def _commented_out(presets: Iterable[PlannedPreset]) -> Iterator[str]:
    for preset in presets:
        yield comment(f"- {preset.aside}:")
        # Not wrapped, so that removing the comment signs gives YAML again.
        for line in preset_text(PlannedPreset(preset.entry)).splitlines():
            yield f"# {line}".rstrip() + "\n"

"""Say what of Segment's files has no place in a definition, and why.

Each object of a file has keys that are imported. The others are named in a note, unless they mean
nothing here: `MEANS_NOTHING` has those, each with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal

from destinations.kit.importer.findings import Findings
from destinations.segment.json_pointer import pointer

__all__ = ["MEANS_NOTHING", "Kind", "is_empty", "note_left_out"]

Kind = Literal["destination", "authentication", "action", "field", "choice", "setting", "preset"]
"""What an object of a file describes."""

MEANS_NOTHING: Final[Mapping[Kind, Mapping[str, str]]] = {
    "destination": {
        "logos": "pictures of Segment's catalog",
        "status": "how far its listing in Segment's catalog is",
        "components": "the parts of Segment's own code",
        "previousNames": "former names in Segment's catalog",
        "supportedMethods": "the calls of its actions, which their subscriptions say",
        "supportedFeatures": "what Segment's app can do with it",
        "supportedRegions": "the regions of Segment that offer it",
        "regionEndpoints": "the regions of Segment that it runs in",
        "multiInstanceSupportedVersion": "how often Segment's app lets people add it",
        "partnerOwned": "who maintains Segment's code of it",
    },
    "authentication": {
        "scheme": "where it is custom: code makes the headers, and transport holds them here",
    },
    "action": {
        "id": "the id at Segment; its slug is the name here",
        "perform": "code in place of which the action has a request that is pending",
        "version": "the version of Segment's code of it",
    },
    "field": {
        "id": "the id at Segment; its key is the name here",
        "sortOrder": "its place among the others, which it has here too",
    },
    "choice": {},
    "setting": {},
    "preset": {
        "eventSlug": "which of Segment's own events starts it; the note on its type says so",
    },
}

_BY_CODE: Final[Mapping[Kind, Mapping[str, str]]] = {
    "destination": {
        "audienceConfig": "code of Segment's creates and fills audiences, which nothing does here",
        "audienceFields": "settings of audiences, which nothing creates here",
        "onDelete": "code of Segment's deletes users: write onDelete",
        "extendRequest": "code of Segment's sets addresses and headers: write transport",
    },
    "authentication": {
        "testAuthentication": "code of Segment's tests credentials: write authentication.test",
        "refreshAccessToken": "code of Segment's renews tokens: write authentication.oauth2",
    },
    "action": {
        "hasPerformBatch": "code of Segment's sends batches of it: give its request a batch",
        "performBatch": "code of Segment's sends batches of it: give its request a batch",
        "performPoll": "code of Segment's polls the result of a job, which nothing does here",
    },
    "field": {},
    "choice": {},
    "setting": {
        "dynamic": "code of Segment's asks the partner for its choices, which settings cannot",
    },
    "preset": {},
}

_UNKNOWN: Final = "has no place in a definition"


def is_empty(value: object) -> bool:
    """Return whether a value says nothing: null, false, empty text, an empty list or object."""
    return value is None or value is False or value in ("", [], {})


def note_left_out(
    raw: Mapping[str, Any], kind: Kind, read: Collection[str], path: str, findings: Findings
) -> None:
    """Note each key of an object that is not ``read`` and not without meaning here."""
    for key, value in raw.items():
        if key in read or key in MEANS_NOTHING[kind] or is_empty(value):
            continue
        reason = _BY_CODE[kind].get(key, _UNKNOWN)
        findings.note(path + pointer(key), f"{reason}: left out")

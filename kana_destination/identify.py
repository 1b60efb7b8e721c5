"""What an identify does at Kana, as code without I/O: it asks, decides, and asks again."""

from __future__ import annotations

from destinations import Call, Generated, IntegrationError, Payload

__all__ = ["identify"]

_FIELDS = ("name", "email", "billingId")


def identify(payload: Payload) -> Generated:
    """Creates the user with the payload's ``id``, or updates the fields that differ.

    Every step may be repeated: a run that was cut off at any point ends the same when the event
    is sent again.
    """
    found = yield Call("findUser", {"id": payload["id"]})
    if found.name == "missing":
        created = yield Call("createUser", payload)
        if created.name == "ok":
            return "created"
        # Somebody else created the user since it was looked up.
        found = yield Call("findUser", {"id": payload["id"]})
        if found.name == "missing":
            message = f"Kana neither finds nor creates the user {payload['id']!r}"
            raise IntegrationError(message, "CONFLICT", 409)
    changes = {
        key: payload[key] for key in _FIELDS if key in payload and payload[key] != found.data[key]
    }
    if not changes:
        return "nothing to change"
    # The id in the input is the user's new one: it stays.
    changes["id"] = payload["id"]
    yield Call("updateUser", {"id": payload["id"], "changes": changes})
    return f"updated {', '.join(key for key in _FIELDS if key in changes)}"

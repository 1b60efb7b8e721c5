"""A partner that keeps users as Kana does, and costs little apart from its pause.

Run as a program, it prints its port and answers until it is ended, each request after as many
seconds as its argument says. It looks users up, lists, creates and updates them, in documents of
one user or many; a user who is missing hides the others of a document.
"""

import json
from typing import Any

from benchmarks.partner_process import serve

_USER = {"billingId": None, "name": None, "email": None, "metadata": None}
_FIELDS = {"inputFields": [{"name": name} for name in ("id", *_USER)]}

_users: dict[str, dict[str, Any]] = {}


class _MissingError(Exception):
    """The user of a root field is missing."""


def _answer(body: dict[str, Any]) -> dict[str, Any]:
    query, variables = body["query"], body.get("variables") or {}
    if "__type" in query:
        return {"data": {"e0": _FIELDS}}
    if "features" in query:
        return {"data": {"e0": []}}
    if "users" in query:
        return {"data": {"e0": list(_users.values())}}
    run = _create if "createUser" in query else _update if "updateUser" in query else _find
    key = "input" if run is _create else "id"
    data: dict[str, Any] = {}
    for index in range(sum(name.startswith(f"{key}_") for name in variables)):
        try:
            data[f"e{index}"] = run(variables, index)
        except _MissingError:
            extensions = {"exception": {"name": "UserNotFoundError"}}
            error = {"message": "User not found", "path": [f"e{index}"], "extensions": extensions}
            return {"data": None, "errors": [error]}
    return {"data": data}


def _find(variables: dict[str, Any], index: int) -> dict[str, Any]:
    found = _users.get(variables[f"id_{index}"])
    if found is None:
        raise _MissingError
    return found


def _create(variables: dict[str, Any], index: int) -> dict[str, Any]:
    made = variables[f"input_{index}"]
    return _users.setdefault(made["id"], {**_USER, **made})


def _update(variables: dict[str, Any], index: int) -> dict[str, Any]:
    user = _find(variables, index)
    user.update(variables[f"input_{index}"])
    return user


def _body(request: bytes) -> bytes:
    return json.dumps(_answer(json.loads(request)), separators=(",", ":")).encode()


if __name__ == "__main__":
    serve(_body)

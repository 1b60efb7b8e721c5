"""A partner that keeps users as Kana does, and costs little apart from its pause.

Run as a program, it prints its port and answers until it is ended, each request after as many
seconds as its argument says. It looks users up, lists, creates and updates them, in documents of
one user or many; a user who is missing hides the others of a document.
"""

import asyncio
import json
import re
import sys
from typing import Any

_SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
_HEAD = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
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


class _Partner(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        length = _HEAD.search(head)
        if not found or length is None or len(body) < int(length.group(1)):
            return
        self._data = b""
        asyncio.get_running_loop().call_later(_SECONDS, self._reply, _answer(json.loads(body)))

    def _reply(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer, separators=(",", ":")).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        self._transport.write(head.encode() + b"\r\n\r\n" + body)


async def _main() -> None:
    server = await asyncio.get_running_loop().create_server(_Partner, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())

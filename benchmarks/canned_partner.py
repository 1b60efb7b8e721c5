"""A partner that costs almost nothing: every event of every request is a success.

Run as a program it prints its port, and answers until it is ended: at once, or after as many
seconds as its argument says. What it answers has the shape of Kana's API: counted usage, and
amounts of 0 where it is asked for them.
"""

import asyncio
import functools
import json
import re
import sys

_SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
_HEAD = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_COUNTED = {"recorded": True, "reason": None}
_SHOWN = {
    "current": {
        "periodStart": "2022-01-01T00:00:00Z",
        "periodEnd": "2099-01-01T00:00:00Z",
        "consumption": {"used": 0},
    }
}


@functools.cache
def _answer(counted: int, shown: int) -> bytes:
    values = [_COUNTED] * counted + [_SHOWN] * shown
    if len(values) == 1:
        name = "recordUsage" if counted else "showUsage"
        data: dict[str, object] = {name: values[0], "e0": values[0]}
    else:
        data = {f"e{index}": value for index, value in enumerate(values)}
    return _reply(data)


def _reply(data: dict[str, object]) -> bytes:
    body = json.dumps({"data": data}).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


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
        if b"TestCredentials" in body:
            self._transport.write(_reply({"e0": []}))
            return
        counted, shown = body.count(b": recordUsage("), body.count(b": showUsage(")
        if not counted and not shown:
            counted, shown = b"recordUsage(" in body, b"showUsage(" in body
        answer = _answer(int(counted), int(shown))
        if _SECONDS:
            asyncio.get_running_loop().call_later(_SECONDS, self._transport.write, answer)
        else:
            self._transport.write(answer)


async def _main() -> None:
    server = await asyncio.get_running_loop().create_server(_Partner, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())

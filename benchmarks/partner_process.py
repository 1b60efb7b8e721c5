"""Answer requests of HTTP in a process of its own, at a cost that is small beside the sender's.

Only what the benchmarks send is understood: a head with ``Content-Length``, and a body, one request
at a time on a connection.
"""

import asyncio
import re
import sys
from collections.abc import Callable

__all__ = ["serve"]

_HEAD = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class _Partner(asyncio.Protocol):
    def __init__(self, answer: Callable[[bytes], bytes], seconds: float) -> None:
        self._answer = answer
        self._seconds = seconds

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
        if self._seconds:
            asyncio.get_running_loop().call_later(self._seconds, self._reply, self._answer(body))
        else:
            self._reply(self._answer(body))

    def _reply(self, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        self._transport.write(head.encode() + b"\r\n\r\n" + body)


def serve(answer: Callable[[bytes], bytes]) -> None:
    """Print the port, and answer until the process is ended.

    ``answer`` returns the body for the body of a request. It is sent at once, or after as many
    seconds as the program's argument says.
    """
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(
            lambda: _Partner(answer, seconds), "127.0.0.1", 0
        )
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(run())

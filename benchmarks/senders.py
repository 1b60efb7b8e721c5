"""Posts prepared requests through raw sockets: a client library would be slower than the server.

``python senders.py PORT SENDERS RATE FILE``: the file holds whole requests, each after its length
(four bytes, big-endian). Each sender has one connection that stays open, and one request under way.
RATE requests a second are due; if it is 0, the next is as soon as a sender is free. Prints a line
of JSON: seconds in all, and those of each request from when it was due.
"""

import json
import re
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class _Sender:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self._answer = b""

    def send(self, request: bytes) -> None:
        """Sends a whole request."""
        self._answer = b""
        self.socket.sendall(request)

    def has_answer(self) -> bool:
        """Reads on; True once the answer is whole. Ends the program if it is not a success."""
        self._answer += self.socket.recv(65536)
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found:
            return False
        length = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200") or length is None:
            raise SystemExit(f"not accepted: {self._answer!r}")
        return len(body) >= int(length.group(1))


def _requests(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    position = 0
    while position < len(data):
        begin = position + 4
        position = begin + int.from_bytes(data[position:begin], "big")
        yield data[begin:position]


def main(port: int, senders: int, rate: float, path: Path) -> None:
    """Posts all of them."""
    requests = list(_requests(path))
    total = len(requests)
    requests.reverse()
    took: list[float] = []
    with selectors.DefaultSelector() as selector:
        idle = [_Sender(port) for _ in range(senders)]
        for sender in idle:
            selector.register(sender.socket, selectors.EVENT_READ, sender)
        began = time.perf_counter()
        while len(took) < total:
            wait = None
            while requests and idle:
                now = time.perf_counter()
                due = began + (total - len(requests)) / rate if rate else now
                if due > now:
                    wait = due - now
                    break
                sender = idle.pop()
                sender.due = due
                sender.send(requests.pop())
            for key, _ in selector.select(wait):
                sender = key.data
                if sender.has_answer():
                    took.append(time.perf_counter() - sender.due)
                    idle.append(sender)
        seconds = time.perf_counter() - began
        for sender in idle:
            sender.socket.close()
    print(json.dumps({"seconds": seconds, "took": took}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))

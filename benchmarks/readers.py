"""People who look at a console: ``python readers.py LINK READERS SECONDS PAGE...``.

Each of READERS opens one page after another, SECONDS after the one before was there. Ends when its
input is closed, and prints a line of JSON: for each page, the seconds that each answer took.
"""

import http.client
import json
import sys
import threading
import time
from urllib.parse import urlsplit


class _Readers:
    def __init__(self, link: str, seconds: float, pages: list[str]) -> None:
        parts = urlsplit(link)
        self._host, self._port = parts.hostname or "", parts.port
        self._pages, self._seconds = pages, seconds
        self._cookie = self._sign_in(parts.path)
        self._is_over = threading.Event()
        self._took: dict[str, list[float]] = {page: [] for page in pages}
        self._fault = ""

    def _sign_in(self, path: str) -> str:
        connection = http.client.HTTPConnection(self._host, self._port)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.headers["Set-Cookie"].partition(";")[0]

    def _read(self, number: int) -> None:
        connection = http.client.HTTPConnection(self._host, self._port)
        # They did not all come at once.
        self._is_over.wait(self._seconds * number / 10)
        while not self._is_over.is_set():
            page = self._pages[number % len(self._pages)]
            number += 1
            began = time.perf_counter()
            connection.request("GET", page, headers={"Cookie": self._cookie})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                self._fault = f"{page} answered {answer.status}"
                return
            self._took[page].append(time.perf_counter() - began)
            self._is_over.wait(self._seconds)

    def run(self, readers: int) -> None:
        """Read until the input is closed."""
        threads = [threading.Thread(target=self._read, args=(one,)) for one in range(readers)]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        self._is_over.set()
        for thread in threads:
            thread.join()
        if self._fault:
            raise SystemExit(self._fault)
        print(json.dumps(self._took))


if __name__ == "__main__":
    _Readers(sys.argv[1], float(sys.argv[3]), sys.argv[4:]).run(int(sys.argv[2]))

"""Serve the preview of a page on this machine, and reload it when the definition changes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources.abc import Traversable
from typing import Final
from urllib.parse import unquote, urlsplit

from destinations.definition import load_definition
from destinations.errors import DestinationsError
from destinations.kit.partner_page.build import render_page
from destinations.kit.partner_page.flavour import PUBLISHED, SUBMISSION
from destinations.kit.partner_page.html import error_html, preview_html
from destinations.kit.partner_page.images import IMAGES, image_format, page_images
from destinations.runtime.plugins import find_plugin

__all__ = ["Preview", "fingerprint"]

_HOST: Final = "127.0.0.1"
_NAMES: Final = frozenset({"127.0.0.1", "localhost"})
_SECONDS_BETWEEN_LOOKS: Final = 0.5
_PATHS: Final = {"/": PUBLISHED, "/submission": SUBMISSION}
_LINKS: Final = {flavour.name: path for path, flavour in _PATHS.items()}
_CHANGES: Final = "/changes"


class Preview:
    """A server on the loopback address; ``port`` 0 takes a free one.

    The definition is read again for every request. Browsers keep ``/changes`` open, a stream of
    server-sent events with one ``change`` whenever a file in the definition's folder has changed.
    ``look`` is called between two checks of the folder, and returns True to end the stream.
    """

    def __init__(
        self, folder: Traversable, *, port: int = 0, look: Callable[[], bool] | None = None
    ) -> None:
        self.folder = folder
        self.stopped = threading.Event()
        self.look = look or (lambda: self.stopped.wait(_SECONDS_BETWEEN_LOOKS))
        preview = self

        class Handler(_Handler):
            owner = preview

        self._server = ThreadingHTTPServer((_HOST, port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{_HOST}:{self._server.server_address[1]}/"

    def serve(self) -> None:
        """Serve until `close` is called from elsewhere."""
        self._server.serve_forever(poll_interval=0.1)

    def close(self) -> None:
        """Stop serving and end all streams."""
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def page(self, path: str) -> str | None:
        """Return the document at ``path``, or None; issues are shown in place of a page."""
        flavour = _PATHS.get(path)
        if flavour is None:
            return None
        try:
            page_images(self.folder)
            definition = load_definition(self.folder)
            plugin = find_plugin(definition.slug, self.folder)
            text = render_page(self.folder, definition, plugin, flavour)
        except DestinationsError as error:
            return error_html(str(error), flavour.name, links=_LINKS, reload_from=_CHANGES)
        return preview_html(text, links=_LINKS, reload_from=_CHANGES)

    def image(self, path: str) -> bytes | None:
        """Return the image at ``path``, or None."""
        if not path.startswith(f"/{IMAGES}/"):
            return None
        try:
            return page_images(self.folder).get(unquote(path[1:]))
        except DestinationsError:  # the page shows it
            return None


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for the two flavours, their images and the stream of changes."""

    owner: Preview
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        # Another host name may belong to another site, which must not read this page.
        if urlsplit(f"//{self.headers.get('Host', '')}").hostname not in _NAMES:
            self._send(403, b"This preview only answers to 127.0.0.1.")
            return
        path = urlsplit(self.path).path
        if path == _CHANGES:
            self._stream()
            return
        image = self.owner.image(path)
        page = None if image is not None else self.owner.page(path)
        if image is not None:
            self._send(200, image, f"image/{image_format(image)}")
        elif page is not None:
            self._send(200, page.encode(), "text/html; charset=utf-8")
        else:
            self._send(404, b"Not found; the pages are / and /submission.")

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Log nothing: the terminal shows only the address."""

    def _send(self, status: int, data: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _stream(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command == "HEAD":
            return
        seen = fingerprint(self.owner.folder)
        try:
            self.wfile.write(b"retry: 500\n\n")
            while not self.owner.look():
                now = fingerprint(self.owner.folder)
                if now != seen:
                    seen = now
                    self.wfile.write(b"event: change\ndata: definition\n\n")
                else:
                    self.wfile.write(b": still here\n\n")  # fails if the browser has gone
                self.wfile.flush()
        except ConnectionError:
            return


def fingerprint(folder: Traversable) -> str:
    """Return a digest of a folder: the names and contents of all its files."""
    digest = hashlib.sha256()

    def add(place: Traversable, name: str) -> None:
        for entry in sorted(place.iterdir(), key=lambda entry: entry.name):
            if entry.is_dir():
                add(entry, f"{name}{entry.name}/")
            elif entry.is_file():
                digest.update(f"{name}{entry.name}\0".encode())
                digest.update(hashlib.sha256(entry.read_bytes()).digest())

    add(folder, "")
    return digest.hexdigest()

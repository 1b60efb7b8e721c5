from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from destinations.kit.partner_page.server import Preview, fingerprint


class Looks:
    """Stands for the time between two looks: each waits for the test, which may end the stream."""

    def __init__(self) -> None:
        self._go = threading.Semaphore(0)
        self._end = False

    def __call__(self) -> bool:
        self._go.acquire(timeout=30)
        return self._end

    def next(self) -> None:
        self._go.release()

    def end(self) -> None:
        self._end = True
        self._go.release()


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
def preview(page_folder: Callable[..., Path], looks: Looks) -> Iterator[Preview]:
    """A preview that serves; the generator of the small destination is not installed."""
    folder = page_folder()
    text = (folder / "sync.yaml").read_text(encoding="utf-8")
    text = text.replace("generator: sync", "request: create")
    (folder / "sync.yaml").write_text(text.partition("  requests:")[0], encoding="utf-8")
    server = Preview(folder, look=looks)
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server
    looks.end()
    server.close()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize(("path", "flavour"), [("", "published"), ("submission", "submission")])
def test_both_flavours_are_served(preview: Preview, path: str, flavour: str) -> None:
    """Each at its address, never from a cache."""
    answer = requests.get(preview.url + path, timeout=30)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert f'aria-current="page">{flavour.capitalize()}</a>' in answer.text


@pytest.mark.parametrize("path", ["", "submission", "changes", "nowhere"])
def test_heads_are_those_of_the_pages(preview: Preview, path: str) -> None:
    """HEAD answers like GET, without a body."""
    answer = requests.head(preview.url + path, timeout=30)
    assert answer.status_code == (404 if path == "nowhere" else 200)
    assert answer.content == b""
    if path != "changes":
        whole = requests.get(preview.url + path, timeout=30)
        assert answer.headers["Content-Length"] == whole.headers["Content-Length"]


def test_it_listens_on_loopback_alone(preview: Preview) -> None:
    """The address is that of this machine, and other host names are refused."""
    assert preview.url.startswith("http://127.0.0.1:")
    answer = requests.get(preview.url, headers={"Host": "docs.example.com"}, timeout=30)
    assert answer.status_code == 403


def test_what_is_not_there(preview: Preview) -> None:
    """Any other address is answered with those that are there."""
    answer = requests.get(preview.url + "nothing", timeout=30)
    assert (answer.status_code, answer.text) == (404, "Not found; the pages are / and /submission.")


def test_images_are_served(preview: Preview) -> None:
    """Those of the folder, at the place that the pages name; a file that is none is told there."""
    image = b"GIF89a" + bytes([32, 3, 144, 1])
    folder = Path(str(preview.folder)) / "page" / "images"
    folder.mkdir(parents=True)
    (folder / "a rule.gif").write_bytes(image)
    answer = requests.get(preview.url + "images/a%20rule.gif", timeout=30)
    assert (answer.status_code, answer.content) == (200, image)
    assert answer.headers["Content-Type"] == "image/gif"
    for path in ("images/other.gif", "images/..%2f..%2fcount.yaml", "images/"):
        assert requests.get(preview.url + path, timeout=30).status_code == 404
    (folder / "a rule.gif").write_bytes(b"no image")
    assert requests.get(preview.url + "images/a%20rule.gif", timeout=30).status_code == 404
    page = requests.get(preview.url, timeout=30).text
    assert "page/images/a rule.gif is not an image: expected a PNG or GIF file" in page


def test_a_change_of_the_definition_is_told_and_shown(preview: Preview, looks: Looks) -> None:
    """A stream has one event for each change, and none without; the page is then the new one."""
    with requests.get(preview.url + "changes", stream=True, timeout=30) as stream:
        lines = stream.iter_lines(chunk_size=1, decode_unicode=True)
        assert next(lines) == "retry: 500"
        path = Path(str(preview.folder)) / "count.yaml"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("Count a thing.", "Count one thing."), encoding="utf-8")
        looks.next()
        told = [next(lines) for _ in range(3)]
        assert [line for line in told if line] == ["event: change", "data: definition"]
        looks.next()
        assert next(line for line in lines if line) == ": still here"
    assert "Count one thing." in requests.get(preview.url, timeout=30).text


def test_an_issue_is_shown_in_place_of_the_page(preview: Preview) -> None:
    """A definition that is broken while it is edited says where; mended, the page is back."""
    path = Path(str(preview.folder)) / "count.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("title: Count", "titel: Count"), encoding="utf-8")
    answer = requests.get(preview.url, timeout=30)
    assert answer.status_code == 200
    assert "count.yaml:" in answer.text
    assert "titel: is not a key here" in answer.text
    path.write_text(text, encoding="utf-8")
    assert "titel" not in requests.get(preview.url, timeout=30).text


def test_fingerprints(tmp_path: Path) -> None:
    """Changed contents, new files, new names and files in folders are told apart."""
    seen = {fingerprint(tmp_path)}
    (tmp_path / "a").write_text("1", encoding="utf-8")
    seen.add(fingerprint(tmp_path))
    (tmp_path / "a").write_text("2", encoding="utf-8")
    seen.add(fingerprint(tmp_path))
    (tmp_path / "a").rename(tmp_path / "b")
    seen.add(fingerprint(tmp_path))
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "c").write_text("3", encoding="utf-8")
    seen.add(fingerprint(tmp_path))
    assert len(seen) == 5
    assert fingerprint(tmp_path) in seen

"""The committed pages of all shipped destinations: samples of life, no table twice, true claims."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations.http.json_bytes import encode_json
from destinations.kit.partner_page import read_page
from destinations.kit.partner_page.markdown import Table
from destinations.runtime.installed import find_folder
from tests.shipped import SHIPPED

DOCS = Path(__file__).resolve().parents[4] / "docs"
PAGES = sorted(path for slug in SHIPPED for path in (DOCS / slug).glob(f"{slug}*.md"))


@pytest.fixture(params=PAGES, ids=lambda path: path.name)
def text(request: pytest.FixtureRequest) -> str:
    """Each flavour of each page."""
    path: Path = request.param
    return path.read_text(encoding="utf-8")


def test_no_table_is_there_twice(text: str) -> None:
    """Where several methods are read alike, one section has the table."""
    page = read_page(text)
    tables = [block.content.rows for block in page.blocks if isinstance(block.content, Table)]
    assert len(tables) == len(set(tables))


def test_every_cell_says_something(text: str) -> None:
    """No cell of a table is empty, as that of a field which becomes several of the partner's."""
    page = read_page(text)
    tables = [block.content for block in page.blocks if isinstance(block.content, Table)]
    assert tables
    assert [row for table in tables for row in table.rows if not all(map(str.strip, row))] == []


def test_samples_are_of_a_customer(text: str) -> None:
    """No value in a sample is made of the name of its field."""
    samples = "".join(fence.text for fence in read_page(text).fences)
    assert not re.search(r"\bexample [a-z]|Example Event|: ''|: \{\}", samples)


def test_words_are_those_of_the_style_guide(text: str) -> None:
    """It is an ID, and what a user interface says is bold, not in quotes."""
    prose = re.sub(
        r"```.*?```|`[^`]*`|\]\([^)]*\)|^---.*?^---", "", text, flags=re.DOTALL | re.MULTILINE
    )
    assert re.findall(r"\bids?\b|\bmay\b", prose) == []
    assert re.findall(r"\"[A-Z][^\"]*\"", prose) == []


OPTIONAL = {
    # a page, and what it says of its settings
    "webhook": ["- **Shared secret**: The secret that signs requests. ", "`X-Signature`"],
    "braze": ["   - **REST API Key**: A key with the permission `users.track`"],
    "slack": ["   - **Webhook URL**: The URL of an incoming webhook"],
}


@pytest.mark.parametrize("suffix", ["", "-submission"])
@pytest.mark.parametrize("slug", OPTIONAL)
def test_settings_are_explained(slug: str, suffix: str) -> None:
    """Required ones in a step, optional ones below."""
    page = (DOCS / slug / f"{slug}{suffix}.md").read_text(encoding="utf-8")
    for part in OPTIONAL[slug]:
        assert part in page


@pytest.mark.parametrize(
    ("slug", "said"),
    [
        ("slack", "Made from the template `{{userId}}: {{event}}`."),
        ("braze", "Falls back to `receivedAt`."),
        ("braze", "| `traits` | A field for each, of the same name | Optional |"),
        ("webhook", "| The whole event | Required | The object to send as JSON. |"),
        ("kana", "Falls back to `traits.billingId`."),
    ],
)
def test_what_is_computed_is_explained(slug: str, said: str) -> None:
    """What a value is made of where it is not one part of the event."""
    page = (DOCS / slug / f"{slug}-submission.md").read_text(encoding="utf-8")
    assert said in page


def test_the_signature_of_the_page_is_that_of_the_webhook() -> None:
    """The receiver's code of the page accepts what the destination signs, and nothing else."""
    page = (DOCS / "webhook" / "webhook.md").read_text(encoding="utf-8")
    (code,) = [one.text for one in read_page(page).fences if one.language == "python"]
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - the sample that readers copy
    # What the destination sends, in a case that the tests of definitions replay.
    case = yaml.safe_load(find_folder("webhook").joinpath("cases/signed-event.yaml").read_text())
    (sent,) = [one["request"] for one in case["interactions"]]
    body, signature = encode_json(sent["json"]), sent["headers"]["X-Signature"]
    secret = case["settings"]["sharedSecret"]
    assert names["is_signed"](body, signature, secret)
    assert not names["is_signed"](body, signature, "another secret")
    assert not names["is_signed"](body + b" ", signature, secret)

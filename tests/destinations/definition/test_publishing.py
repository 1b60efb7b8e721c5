"""The key `publishing` of a definition: what it may say, and what comes of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations.definition import check_folder, load_definition
from destinations.definition.comparison import Bump, compare

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def slack(tmp_path: Path) -> Callable[..., Path]:
    """Writes a copy of Slack's definition with `publishing`."""

    def write(publishing: Any, place: str = "new") -> Path:
        folder = tmp_path / place / "slack"
        shutil.copytree(ROOT / "definitions" / "slack", folder)
        path = folder / "destination.yaml"
        data = yaml.safe_load(path.read_text("utf-8"))
        if publishing is not None:
            data["publishing"] = publishing
        path.write_text(yaml.safe_dump(data), "utf-8")
        return folder

    return write


@pytest.mark.parametrize(
    "publishing",
    [
        {},
        {"as": "actions"},
        {"as": "direct", "endpoint": "https://events.example.com/v1/slack"},
        {"support": "support@example.com"},
        {"testAccount": {"request": "Write to us."}},
        {"testAccount": {"request": "Write to us.", "fields": {"webhookUrl": "In Slack."}}},
    ],
)
def test_what_it_may_say(slack: Callable[..., Path], publishing: Any) -> None:
    """All of it is in the catalog's part of the definition, unchanged."""
    definition = load_definition(slack(publishing))
    assert definition.catalog["publishing"] == publishing


@pytest.mark.parametrize(
    ("publishing", "path", "message"),
    [
        ({"as": "web"}, "/publishing/as", "must be one of"),
        ({"endpoint": "https://a.example"}, "/publishing/endpoint", "set `as: direct`"),
        (
            {"as": "actions", "endpoint": "https://a.example"},
            "/publishing/endpoint",
            "only a Direct Destination has an endpoint",
        ),
        (
            {"as": "direct", "endpoint": "http://a.example"},
            "/publishing/endpoint",
            "an https URL",
        ),
        ({"support": "nobody"}, "/publishing/support", "email"),
        ({"testAccount": {}}, "/publishing/testAccount", "request"),
        ({"testAccount": {"request": ""}}, "/publishing/testAccount/request", ""),
        (
            {"testAccount": {"request": "Write.", "fields": {"webhookURL": "There."}}},
            "/publishing/testAccount/fields/webhookURL",
            "did you mean webhookUrl?",
        ),
        (
            {"testAccount": {"request": "Write.", "password": "x"}},
            "/publishing/testAccount/password",
            "",
        ),
        ({"logo": "logo.svg"}, "/publishing/logo", ""),
    ],
)
def test_what_is_wrong(
    slack: Callable[..., Path], publishing: Any, path: str, message: str
) -> None:
    """Each mistake is named with its place."""
    issues = check_folder(slack(publishing))
    assert [issue.path for issue in issues] == [path], [str(issue) for issue in issues]
    assert message in issues[0].message
    assert issues[0].line is not None


def test_a_change_of_it(slack: Callable[..., Path]) -> None:
    """It changes nothing for those who use the destination."""
    before = load_definition(slack(None, "old"))
    after = load_definition(slack({"support": "support@example.com"}))
    assert [(one.bump, one.path) for one in compare(before, after)] == [(Bump.PATCH, "/publishing")]

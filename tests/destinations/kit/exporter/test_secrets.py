"""No secret of a case or of a definition gets into an exported folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from destinations.kit.exporter import export_segment
from destinations.kit.exporter.findings import RefusedExportError
from tests.destinations.kit.exporter.folders import Definition

LIVE: Final = "sk_live_" + "51H8xK2eZvKYlo2C"


def _with_key(definition: Definition, key: str) -> None:
    definition.cases["sent"]["settings"]["apiKey"] = key


@pytest.mark.parametrize(
    "key",
    [
        LIVE,
        "xoxb-" + "1234567890-abcdef",
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "key-" + "9f8a7b6c5d4e3f2a1b0c",
        "9f8a7b6c5d4e3f2a1b0c9f8a7b6c5d4e",
    ],
)
def test_real_keys(tmp_path: Path, key: str) -> None:
    """A case with one is refused by name; a partial export leaves its tests out."""
    definition = Definition()
    _with_key(definition, key)
    acme = definition.write(tmp_path / "acme")
    with pytest.raises(RefusedExportError) as error:
        export_segment(acme, tmp_path / "out")
    (issue,) = error.value.issues
    assert issue.path == "/settings/apiKey"
    assert issue.file == str(acme / "cases" / "sent.yaml")
    assert issue.line is not None
    assert "the setting apiKey holds what looks like a real secret" in issue.message
    assert "placeholder-apiKey" in issue.message
    assert not (tmp_path / "out").exists()
    exported = export_segment(acme, tmp_path / "out", partial=True)
    assert key not in "".join(exported.files.values())
    assert exported.refused == (issue,)


@pytest.mark.parametrize(
    "key", ["placeholder-apiKey-2", "sk_test_example", "key-1", "your-api-key"]
)
def test_placeholders(tmp_path: Path, key: str) -> None:
    """What is no key is exported."""
    definition = Definition()
    _with_key(definition, key)
    acme = definition.write(tmp_path / "acme")
    assert key in export_segment(acme, tmp_path / "out").files["__tests__/cases.test.ts"]


def test_keys_elsewhere_in_cases(tmp_path: Path) -> None:
    """Events and answers are looked at, too."""
    definition = Definition()
    definition.cases["sent"]["events"][0]["context"] = {"key": [LIVE]}
    with pytest.raises(RefusedExportError) as error:
        export_segment(definition.write(tmp_path / "acme"), tmp_path / "out")
    assert [issue.path for issue in error.value.issues] == ["/events/0/context/key/0"]


@pytest.mark.parametrize("default", [LIVE, "anything"])
def test_defaults(tmp_path: Path, default: Any) -> None:
    """The default of a secret would be public."""
    definition = Definition()
    definition.destination["settings"]["properties"]["apiKey"]["default"] = default
    with pytest.raises(RefusedExportError) as error:
        export_segment(definition.write(tmp_path / "acme"), tmp_path / "out")
    (issue,) = error.value.issues
    assert issue.path == "/settings/properties/apiKey/default"
    assert "its default would be public, in index.ts and metadata.json" in issue.message

"""Definitions, settings and cases with anything wrong are refused with issues that say where."""

# ruff: noqa: PT017 - random input may be refused or not; what is refused must be so in good words
from __future__ import annotations

import copy
import importlib.resources
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destinations.definition import DestinationDefinition, check_folder, load_definition
from destinations.definition.document import Document, read_document
from destinations.definition.settings import check_settings, read_settings
from destinations.errors import DefinitionError, DestinationsError, Issue, SettingsError, UsageError
from destinations.http import compile_request
from destinations.kit.testing.case_reading import build_case
from destinations.runtime.action import Action, Subscription
from tests.case_tables import each_value
from tests.shipped import SHIPPED as NAMES

pytestmark = pytest.mark.fuzz

SHIPPED = importlib.resources.files("kana_destination.definitions")
FEW = settings(
    settings.get_profile("fuzz"), max_examples=settings.get_profile("fuzz").max_examples // 2
)


@dataclass
class File:
    """A file in memory, as the loader sees it."""

    name: str
    text: str

    def __str__(self) -> str:
        return self.name

    def is_file(self) -> bool:
        return True

    def is_dir(self) -> bool:
        return False

    def read_bytes(self) -> bytes:
        return self.text.encode("utf-8", "surrogatepass")


@dataclass
class Folder:
    """A folder in memory."""

    name: str
    files: list[File]

    def is_dir(self) -> bool:
        return True

    def iterdir(self) -> Iterator[File]:
        return iter(self.files)


def _folder(name: str, documents: Mapping[str, object]) -> Any:
    """A folder with these files, as JSON."""
    return Folder(
        name, [File(f"{key[:-5]}.json", json.dumps(data)) for key, data in documents.items()]
    )


@pytest.fixture(scope="module")
def texts() -> dict[str, dict[str, str]]:
    """The files of each shipped definition by name."""
    return {
        name: {
            file.name: file.read_text(encoding="utf-8")
            for file in SHIPPED.joinpath(name).iterdir()
            if file.name.endswith(".yaml")
        }
        for name in NAMES
    }


@pytest.fixture(scope="module")
def documents(texts: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
    """What each of these files holds."""
    return {
        name: {file: read_document(text, file).data for file, text in files.items()}
        for name, files in texts.items()
    }


@pytest.fixture(scope="module")
def kana() -> DestinationDefinition:
    """The definition of Kana."""
    return load_definition(SHIPPED.joinpath("kana"))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in ``value`` with each of its keys."""
    items = list(value.items() if isinstance(value, dict) else enumerate(value))
    for key, item in items:
        yield value, key
        if isinstance(item, dict | list):
            yield from _places(item)


def _damage(data: st.DataObject, value: Any, junk: st.SearchStrategy[Any]) -> Any:
    """A copy of ``value`` with one to three places changed at random."""
    value = copy.deepcopy(value)
    for _ in range(data.draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places:
            return data.draw(junk)
        container, key = places[data.draw(st.integers(0, len(places) - 1))]
        how = data.draw(st.sampled_from(["delete", "replace", "copy", "rename", "wrap"]))
        if how == "delete":
            del container[key]
        elif how == "replace":
            container[key] = copy.deepcopy(data.draw(junk))
        elif how == "wrap":
            container[key] = data.draw(st.sampled_from([[container[key]], {"@x": container[key]}]))
        elif how == "rename" and isinstance(container, dict):
            container[data.draw(st.text(max_size=3))] = container.pop(key)
        else:
            other, name = places[data.draw(st.integers(0, len(places) - 1))]
            container[key] = copy.deepcopy(other[name]) if name in _keys(other) else None
    return value


def _keys(container: Any) -> Any:
    return container if isinstance(container, dict) else range(len(container))


def _sound(issues: tuple[Issue, ...]) -> None:
    for issue in issues:
        assert issue.message
        assert issue.file
        assert len(issue.message) < 3000
    assert len(set(issues)) == len(issues)


def _try(folder: Any) -> None:
    issues = check_folder(folder)
    _sound(issues)
    if not issues:
        _use(load_definition(folder))


def _use(definition: DestinationDefinition) -> None:
    """What loads without an issue can be bound: requests and subscriptions compile."""
    for request in definition.requests.values():
        compile_request(request, definition.transport, definition.error_rules)
    for preset in definition.presets:
        action = Action(definition.actions[preset.partner_action], {})
        subscription = Subscription(preset, action)
        subscription.payload({"type": "track", "event": "a", "userId": "b"})


@FEW
@given(data=st.data())
def test_damaged_definitions(
    data: st.DataObject, documents: dict[str, dict[str, Any]], strategies: Any
) -> None:
    """A shipped definition with random changes has issues with places, or can be used."""
    name = data.draw(st.sampled_from(NAMES))
    files = dict(documents[name])
    changed = data.draw(st.sampled_from(sorted(files)))
    files[changed] = _damage(data, files[changed], strategies.json)
    _try(_folder(name, files))


@each_value
@pytest.mark.parametrize("name", ["amplitude", "elasticsearch", "hubspot"])
@pytest.mark.parametrize("junk", [None, True, 5, [None], [[]], {"a": 1}], ids=json.dumps)
def test_damaged_schemas(name: str, junk: object, documents: dict[str, dict[str, Any]]) -> None:
    """The JSON Schemas in a definition may be wrong anywhere: what reads them comes after."""
    files = documents[name]
    whole = files["destination.yaml"]
    schemas = [whole["settings"], *(one.get("expect", {}) for one in whole["requests"].values())]
    for container, key in [place for schema in schemas for place in _places(schema)]:
        kept = container[key]
        container[key] = junk
        try:
            _try(_folder(name, files))
        finally:
            container[key] = kept


def test_damaged_lines(documents: dict[str, dict[str, Any]]) -> None:
    """Each line of NDJSON is a mapping of its own, and is refused by its place."""
    files = copy.deepcopy(documents["elasticsearch"])
    lines = next(
        request["rest"]["ndjson"]
        for request in files["destination.yaml"]["requests"].values()
        if "ndjson" in request.get("rest", {})
    )
    lines[1] = {"@transform": {"apply": {}, "mapping": -1.5}}
    found = check_folder(_folder("elasticsearch", files))
    assert "/rest/ndjson/1/@transform/mapping: should be an object" in "\n".join(map(str, found))


@FEW
@given(data=st.data())
def test_damaged_texts(data: st.DataObject, texts: dict[str, dict[str, str]]) -> None:
    """The same where the text of a file is damaged."""
    name = data.draw(st.sampled_from(["slack", "webhook"]))
    files = dict(texts[name])
    changed = data.draw(st.sampled_from(sorted(files)))
    text = files[changed]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        piece = data.draw(
            st.sampled_from(
                ["", "\n", "  ", "- ", ": ", "'", '"', "{", "[", "&a ", "*a", "!!int ", "!!bool ",
                 "!!binary ", "!x ", "? ", "---\n", "%YAML 1.1\n", "\t", "#", "|\n", ">", "\x00",
                 "<<: ", "1:1", "0x", ".inf", "2001-01-01", "~", "\ufeff", "\u0085", "=", "`"]
            )
        )  # fmt: skip
        text = text[:at] + piece + text[at + data.draw(st.integers(0, 4)) :]
    files[changed] = text
    _try(Folder(name, [File(*item) for item in files.items()]))


@settings(settings.get_profile("fuzz"))
@given(data=st.data())
def test_random_documents(data: st.DataObject, strategies: Any) -> None:
    """Random JSON and random text instead of a definition are refused."""
    text = data.draw(
        st.one_of(
            strategies.json.map(json.dumps),
            st.text(alphabet="ab:-?[]{}&*!|>'\"%@#, \n\t01.~<=", max_size=30),
        )
    )
    issues = check_folder(Folder("a", [File("destination.yaml", text)]))  # type: ignore[arg-type]
    assert issues
    _sound(issues)


@settings(settings.get_profile("fuzz"))
@given(data=st.data())
def test_random_settings(
    data: st.DataObject,
    kana: DestinationDefinition,
    strategies: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Settings are refused with issues, or are checked; secrets are in no message."""
    names = st.one_of(st.sampled_from(list(kana.settings["properties"])), strategies.keys)
    given = data.draw(
        st.one_of(st.dictionaries(names, strategies.json, max_size=3), strategies.json)
    )
    if isinstance(given, dict):
        secrets = ["${A}", "prv_secret", "Bearer prv_secret", "pub_secret", "pub_secret\n", "${B}"]
        given["apiKey"] = data.draw(st.sampled_from(secrets))
    path: Path = tmp_path_factory.getbasetemp() / "settings.yaml"
    path.write_text(json.dumps(given), encoding="utf-8")
    try:
        checked = check_settings(kana, read_settings(path, {"A": "prv_secret"}))
    except (SettingsError, DefinitionError) as error:
        assert error.issues
        assert "prv_secret" not in str(error)
        assert "pub_secret" not in str(error)
    except UsageError as error:
        assert str(path) in str(error)
    else:
        assert "prv_secret" not in repr(checked)


@FEW
@given(data=st.data())
def test_damaged_cases(data: st.DataObject, kana: DestinationDefinition, strategies: Any) -> None:
    """A recorded case with random changes has issues with places, or is a case."""
    folder = SHIPPED.joinpath("kana").joinpath("cases")
    file = data.draw(st.sampled_from(sorted(folder.iterdir(), key=lambda file: file.name)))
    value = read_document(file.read_text(encoding="utf-8"), file.name).data
    document = Document(file.name, _damage(data, value, strategies.json), {})
    try:
        case = build_case(document, "case", kana)
    except DefinitionError as error:
        _sound(error.issues)
    else:
        assert case.name == "case"


@pytest.mark.parametrize(
    ("file", "old", "new", "issue"),
    [
        (
            "destination.yaml",
            "slug: webhook",
            "slug: Webhook",
            "joined by -, such as my-destination, not 'Webhook'",
        ),
        ("destination.yaml", "name: Webhook", "nam: Webhook", "/nam: is not a key here; known"),
        ("send.yaml", "title: ", "titel: ", "/titel: is not a key here; known: "),
        ("send.yaml", "slug: send", "slug: post", "/slug: must be the name of the file, 'send'"),
    ],
)
def test_issues_name_the_place(
    texts: dict[str, dict[str, str]], file: str, old: str, new: str, issue: str
) -> None:
    """An issue in a definition says in which file and line it is, and what would be right."""
    files = {**texts["webhook"]}
    files[file] = files[file].replace(old, new, 1)
    assert files != texts["webhook"]
    found = check_folder(Folder("webhook", [File(*item) for item in files.items()]))  # type: ignore[arg-type]
    assert all(isinstance(one.line, int) for one in found)
    assert any(issue in str(one) and str(one).startswith(f"{file}:") for one in found), found


def test_all_files_report_at_once(texts: dict[str, dict[str, str]]) -> None:
    """Issues in several files and several places are reported together."""
    files = dict(texts["webhook"])
    files["destination.yaml"] = files["destination.yaml"].replace("name:", "nam:", 1) + "\nx: 1\n"
    action = next(name for name in files if name != "destination.yaml")
    files[action] = files[action].replace("title:", "titel:", 1)
    with pytest.raises(DestinationsError) as caught:
        load_definition(Folder("webhook", [File(*item) for item in files.items()]))  # type: ignore[arg-type]
    text = str(caught.value)
    assert {"/nam", "/x", "/titel"} <= set(text.replace(":", "").split())

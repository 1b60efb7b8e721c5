"""What a pack holds for each kind of destination, and when none is written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import DefinitionError, UsageError
from destinations.kit.partner_page import read_page
from destinations.kit.publishing import Pack, make_pack, stale_files, write_pack
from destinations.secrets import Secret
from tests.destinations.kit.publishing.conftest import Change, destination_of, field_of

CODE = "action-destinations/packages/destination-actions/src/destinations/acme"
PAGE = "segment-docs/src/connections/destinations/catalog/actions-acme/index.md"

Written = Callable[..., Path]


def _texts(pack: Pack) -> Mapping[str, str]:
    return {name: data.decode() for name, data in pack.files.items()}


def _contents(folder: Path) -> Mapping[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _without_images(files: dict[str, Any]) -> None:
    for name in ("logo", "mark"):
        del files[f"publishing/{name}.svg"]
    del destination_of(files)["publishing"]
    del destination_of(files)["maintainer"]


def test_a_pack_for_actions(written: Written, tmp_path: Path) -> None:
    """It has the folder, the page, the texts of both pull requests, the mail and the checklist."""
    pack = make_pack(written(), tmp_path / "pack")
    texts = _texts(pack)
    assert {name for name in texts if not name.startswith(CODE)} == {
        *("CHECKLIST.md", "docs-pull-request.md", "logo.svg", "mail.md", "mark.svg"),
        *("pack.json", "pull-request.md", PAGE),
    }
    assert {f"{CODE}/index.ts", f"{CODE}/metadata.json", f"{CODE}/trackEvent/index.ts"} <= {*texts}
    assert read_page(texts[PAGE]).front_matter == {"title": "Acme Destination"}
    request = texts["pull-request.md"]
    assert request.startswith("# Add the destination Acme\n")
    assert '| `trackEvent` | Record an event of a user. | `type = "track"` | up to 100' in request
    assert "| `apiKey` | `password` | yes |" in request
    assert "`versioning-info.ts` has all versions of the API: 'v2'." in request
    assert "has 2 tests, made from 2 recorded cases" in request
    mail = texts["mail.md"]
    for line in (
        "| **Slug** | `actions-acme` |",
        "| **Primary category** | Analytics |",
        "| **Secondary category** | none |",
        "| **Logo** | attached (`logo.svg`) |",
        "| **Support address** | integrations@example.com |",
        "| **Test account** | Write to partners@example.com. |",
        "| API key | On the page Settings. |",
    ):
        assert f"{line}\n" in mail
    checklist = texts["CHECKLIST.md"]
    assert "## Open" not in checklist
    for command in (
        *("yarn build", "yarn types", "yarn generate:metadata-payload", "yarn validate"),
        *("yarn lint", "yarn cloud test --testPathPattern=src/destinations/acme"),
    ):
        assert f"`{command}`" in checklist
    # What is pasted has no instructions on how to paste it.
    assert not [name for name in texts if name.endswith(".md") and "The heading is" in texts[name]]
    assert checklist.count("its heading is the title") == 2


def _left_out(files: dict[str, Any]) -> None:
    destination = destination_of(files)
    destination["events"] = {"requires": ["userId"]}
    destination["transport"]["rateLimit"] = {"requests": 10, "per": 1}
    destination["settings"]["properties"]["apiKey"]["pattern"] = "^place"


def test_what_the_reviewer_is_told(written: Written, tmp_path: Path) -> None:
    """The pull request says what is left out as facts, in whole sentences with their subjects."""
    pack = make_pack(written(_left_out), tmp_path / "pack", force=True)
    request = _texts(pack)["pull-request.md"]
    part = request.partition("Left to Segment or the partner:")[2].partition("## ")[0]
    assert {line for line in part.splitlines() if line} == {
        "- Segment keeps no rate: it sends again what the partner refuses with 429.",
        "- Segment does not check pattern, minLength of the setting apiKey.",
        "- A number as the time is refused.",
        (
            "- Segment sends no halves of a batch that is refused as a whole: all of its events are"
            " refused."
        ),
    }


def test_items_name_what_they_are_about(written: Written, tmp_path: Path) -> None:
    """An item has an action by its slug, and a place where the message names no subject."""

    def change(files: dict[str, Any]) -> None:
        files["publishing/mark.svg"] = files["publishing/logo.svg"]
        del destination_of(files)["requests"]["sendEvents"]["batch"]
        for name in ("sent", "refused"):
            files[f"cases/{name}.yaml"]["interactions"][0]["request"]["json"] = {
                "id": "m-1",
                "user": "user_1",
                "time": "2026-01-15T11:59:58Z",
                "name": "Order Completed",
            }
        field_of(files, "name")["description"] = "The name, e.g. of a page."

    pack = make_pack(written(change), tmp_path / "pack", force=True)
    checklist = _texts(pack)["CHECKLIST.md"]
    for item in (
        "The action `trackEvent` sends each event in a request of its own. ",
        "`mark.svg` is not square: its viewBox is 240 by 64. ",
        "`trackEvent.yaml`, line ",
    ):
        assert f"\n- [ ] {item}" in checklist, checklist


BATCHES: Mapping[str, tuple[Change, str, bool]] = {
    "with results": (lambda _: None, "up to 100, a result for each event", False),
    "as a whole": (
        lambda files: destination_of(files)["requests"]["sendEvents"]["batch"].pop("failures"),
        "up to 100, which succeed or fail as a whole",
        True,
    ),
    "all or nothing": (
        lambda files: destination_of(files)["requests"]["sendEvents"].update(
            batch={"size": 50, "allOrNothing": True}
        ),
        "up to 50, which succeed or fail as a whole",
        False,
    ),
    "none": (
        lambda files: destination_of(files)["requests"]["sendEvents"].pop("batch"),
        "no",
        False,
    ),
}


@pytest.mark.parametrize(("change", "said", "warns"), BATCHES.values(), ids=BATCHES.keys())
def test_batches(
    written: Written, tmp_path: Path, change: Change, said: str, *, warns: bool
) -> None:
    """The pull request and the checklist say the same of the results of batches."""
    texts = _texts(make_pack(written(change), tmp_path / "pack", force=True))
    assert f' | `type = "track"` | {said} |\n' in texts["pull-request.md"]
    assert ("succeed or fail as a whole" in texts["CHECKLIST.md"]) is warns


def _oauth2(grant: str) -> Change:
    def change(files: dict[str, Any]) -> None:
        destination = destination_of(files)
        properties = destination["settings"]["properties"]
        names = ("acmeClient", "acmeKey", "acmeToken")
        for name in names:
            properties[name] = {**properties["apiKey"], "title": f"The {name}"}
        properties["host"] = {
            "title": "Host",
            "description": "The host that is asked.",
            "type": "string",
            "default": "https://api.example.com",
            "x-catalog": False,
        }
        del properties["apiKey"], destination["transport"]["auth"]
        destination["settings"]["required"] = list(names)
        destination["authentication"] = {
            "scheme": "oauth2",
            "fields": list(names),
            "test": "whoAmI",
            "oauth2": {
                "grant": grant,
                "tokenUrl": {"@template": "{{settings.host}}/token"},
                "clientId": "acmeClient",
                "clientSecret": "acmeKey",
                "scopes": ["events:write"],
            },
        }
        fields = dict.fromkeys((*names, "host"), "On the page Settings.")
        destination["publishing"]["testAccount"]["fields"] = fields
        if grant == "refreshToken":
            destination["authentication"]["oauth2"]["refreshToken"] = "acmeToken"
        for name in ("sent", "refused"):
            case = files[f"cases/{name}.yaml"]
            case["settings"] = {one: f"placeholder-{one}" for one in names}

    return change


@pytest.mark.parametrize("grant", ["clientCredentials", "refreshToken"])
def test_credentials_of_oauth2(written: Written, tmp_path: Path, grant: str) -> None:
    """What customers enter is everywhere; what they authorize, Segment has to be told of."""
    pack = make_pack(written(_oauth2(grant)), tmp_path / "pack")
    texts = _texts(pack)
    is_entered = grant == "clientCredentials"
    for name in ("acmeClient", "acmeKey", "acmeToken"):
        assert (f"| `{name}` | `password` | yes |" in texts["pull-request.md"]) is is_entered
        assert (f"| The {name} | On the page Settings. |" in texts["mail.md"]) is is_entered
        assert (f"**The {name}**" in texts[PAGE]) is is_entered
        assert (name in texts[f"{CODE}/metadata.json"]) is is_entered
    for name in ("CHECKLIST.md", "mail.md", PAGE, f"{CODE}/metadata.json"):
        assert "host" not in texts[name].lower()
    portal = "client ID and client secret, the authorization URL, and the token URL"
    assert (
        f"{portal} (`https://api.example.com/token`), and the scopes `events:write`"
        in (texts["CHECKLIST.md"])
    ) is not is_entered
    kept = "Segment keeps client ID, client secret and refresh token itself"
    assert (kept in texts["pull-request.md"]) is not is_entered
    assert ("authorize Segment" in texts[PAGE]) is not is_entered


def test_what_can_follow(written: Written, tmp_path: Path) -> None:
    """What a mail can bring later is open in the checklist and in the mail, and stops nothing."""
    pack = make_pack(written(_without_images), tmp_path / "pack")
    texts = _texts(pack)
    assert [one.rule.id for one in pack.open_findings] == [
        *("support", "test-account", "logo-missing", "mark-missing"),
    ]
    assert texts["CHECKLIST.md"].count("\n- [ ] There is no ") == 3
    assert "| **Logo** | **(to be added)** |" in texts["mail.md"]
    assert "logo.svg" not in texts


def test_written_whole_and_made_anew(written: Written, tmp_path: Path) -> None:
    """A pack is up to date once it is written; the next one takes out what it no longer has."""
    into = tmp_path / "pack"
    first = make_pack(written(), into)
    assert stale_files(first) == list(first.files)
    write_pack(first)
    assert _contents(into) == first.files
    assert stale_files(make_pack(tmp_path / "acme", into)) == []
    (into / "notes.txt").write_text("mine", "utf-8")
    (tmp_path / "acme" / "publishing" / "logo.svg").unlink()
    second = make_pack(tmp_path / "acme", into)
    assert sorted(stale_files(second)) == ["CHECKLIST.md", "logo.svg", "mail.md", "pack.json"]
    write_pack(second)
    assert not (into / "logo.svg").exists()
    assert (into / "notes.txt").read_text("utf-8") == "mine"


def test_code_by_hand_stays(written: Written, tmp_path: Path) -> None:
    """What is between the marks of an exported file is in the next pack."""
    into = tmp_path / "pack"
    write_pack(make_pack(written(), into))
    index = into / CODE / "index.ts"
    text = index.read_text("utf-8").replace("// By hand: end", "const mine = 1\n// By hand: end")
    index.write_text(text, "utf-8")
    assert stale_files(make_pack(tmp_path / "acme", into)) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("// By hand: begin\n", "// by hand: begin\n", "has a mark|has the line"),
        (
            "// By hand: begin\n// By hand: end\n",
            "//By hand: begin\nconst a = 1\n//By hand: end\n",
            "has the line",
        ),
        ("// By hand: begin\n// By hand: end\n", "const a = 1\n", "has no marks"),
        (
            "const destination",
            "const a = 1\nconst destination",
            "has changes outside of the places",
        ),
        ("// Exported by", "// Written by", "was not written by"),
    ],
)
def test_changed_code(written: Written, tmp_path: Path, old: str, new: str, message: str) -> None:
    """Code by hand elsewhere in an exported file is refused, not thrown away."""
    into = tmp_path / "pack"
    write_pack(make_pack(written(), into))
    index = into / CODE / "index.ts"
    index.write_text(index.read_text("utf-8").replace(old, new, 1), "utf-8")
    before = _contents(into)
    with pytest.raises(UsageError, match=message):
        make_pack(tmp_path / "acme", into)
    assert _contents(into) == before


def test_changes_by_force(written: Written, tmp_path: Path) -> None:
    """A check names them, and with force they are dropped."""
    into = tmp_path / "pack"
    write_pack(make_pack(written(), into))
    before = _contents(into)
    with (into / CODE / "index.ts").open("a") as file:
        file.write("const a = 1\n")
    acme = tmp_path / "acme"
    assert stale_files(make_pack(acme, into, check_only=True)) == [f"{CODE}/index.ts"]
    write_pack(make_pack(acme, into, force=True))
    assert _contents(into) == before


def test_a_secret_in_a_case(written: Written, tmp_path: Path) -> None:
    """It is in no pack, with force neither."""
    key = "sk_live_" + "51H8xK2eZvKY"

    def change(files: dict[str, Any]) -> None:
        files["cases/sent.yaml"]["settings"]["apiKey"] = key

    for force in (False, True):
        with pytest.raises(DefinitionError, match="the setting apiKey holds what looks like"):
            make_pack(written(change), tmp_path / "pack", force=force)


@pytest.mark.parametrize("name", ["publishing/logo.svg", "publishing/mark.svg"])
@pytest.mark.parametrize("kind", ["pipe", "device", "large"])
def test_images_that_are_no_files(written: Written, tmp_path: Path, name: str, kind: str) -> None:
    """A pipe is not waited for, and no more is read than an image may have."""
    path = written() / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(20_000_000)
    with pytest.raises(UsageError, match=r"it is a pipe|leads out|has more than 15 MB"):
        make_pack(tmp_path / "acme", tmp_path / "pack")


def _manifest(**changes: Any) -> str:
    made = {"madeBy": "destinations publish pack", "destination": "acme", "files": []}
    return json.dumps({**made, **changes})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"notes.txt": "mine"}, "is not a pack of `destinations publish pack`"),
        ({"pack.json": "{"}, "is not a pack"),
        ({"pack.json": "[]"}, "is not a pack"),
        ({"pack.json": _manifest(madeBy="me")}, "is not a pack"),
        ({"pack.json": _manifest(files=None)}, "is not a pack"),
        ({"pack.json": _manifest(destination="other")}, "is the pack of other"),
    ],
)
def test_a_foreign_folder(
    written: Written, tmp_path: Path, files: Mapping[str, str], message: str
) -> None:
    """It is refused and stays; with force, what the pack has is written into it."""
    into = tmp_path / "pack"
    into.mkdir()
    for name, text in files.items():
        (into / name).write_text(text, "utf-8")
    before = _contents(into)
    folder = written()
    with pytest.raises(UsageError, match=message):
        make_pack(folder, into)
    assert _contents(into) == before
    write_pack(make_pack(folder, into, force=True))
    assert before.keys() | {"CHECKLIST.md"} <= _contents(into).keys()


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["destination.yaml", "destination.json"])
def test_the_folder_of_a_definition(
    written: Written, tmp_path: Path, name: str, *, force: bool
) -> None:
    """A pack never mixes with a definition, with force neither."""
    folder = written()
    into = tmp_path / "other"
    into.mkdir()
    (into / name).write_text("{}", "utf-8")
    for place in (folder, into):
        before = _contents(place)
        with pytest.raises(UsageError, match="holds a definition"):
            make_pack(folder, place, force=force)
        assert _contents(place) == before


def test_a_version_by_hand(written: Written, tmp_path: Path) -> None:
    """A version in a header is asked for until it is in the file, where the next pack keeps it."""

    def change(files: dict[str, Any]) -> None:
        destination_of(files)["transport"]["headers"] = {"Acme-Version": "basil"}

    into = tmp_path / "pack"
    first = make_pack(written(change), into)
    assert "api-versions" in [one.rule.id for one in first.findings]
    write_pack(first)
    path = into / CODE / "versioning-info.ts"
    line = "export const HEADER_VERSION = 'basil'\n"
    text = path.read_text("utf-8").replace("// By hand: end", f"{line}// By hand: end")
    path.write_text(text, "utf-8")
    second = make_pack(tmp_path / "acme", into)
    assert "api-versions" not in [one.rule.id for one in second.findings]
    assert line in _texts(second)[f"{CODE}/versioning-info.ts"]
    assert "all versions of the API: 'v2', 'basil'." in _texts(second)["pull-request.md"]


def test_a_manifest_names_files_elsewhere(written: Written, tmp_path: Path) -> None:
    """No file outside of the pack is taken out, whatever its list says."""
    into = tmp_path / "pack"
    into.mkdir()
    (tmp_path / "mine.txt").write_text("mine", "utf-8")
    names = ["../mine.txt", str(tmp_path / "mine.txt"), 1]
    (into / "pack.json").write_text(_manifest(files=names), "utf-8")
    pack = make_pack(written(), into)
    assert pack.obsolete == ()
    write_pack(pack)
    assert (tmp_path / "mine.txt").exists()


def test_a_file_in_its_place(written: Written, tmp_path: Path) -> None:
    """A file where the folder would be is named."""
    (tmp_path / "pack").write_text("", "utf-8")
    with pytest.raises(UsageError, match="is a file: expected a folder"):
        make_pack(written(), tmp_path / "pack")


def _convert(files: dict[str, Any]) -> None:
    convert = {"@convert": {"value": {"@path": "$.messageId"}, "to": "uuid"}}
    field_of(files, "id")["default"] = convert


def _image(name: str, text: str) -> Change:
    def change(files: dict[str, Any]) -> None:
        files[f"publishing/{name}.svg"] = text

    return change


@pytest.mark.parametrize(
    ("change", "error", "messages"),
    [
        (_image("mark", "<svg"), DefinitionError, ("mark.svg:1: is not XML", "Export it again")),
        (
            lambda files: destination_of(files).update(categories=["Analytic", "CMR"]),
            DefinitionError,
            ("'Analytic'; near it: Analytics", "'CMR'; near it: CRM"),
        ),
        (_convert, DefinitionError, ("trackEvent.yaml:", "@convert has no counterpart")),
        (
            lambda files: files.update({"page/overview.md.j2": "{{ nothing_like_it }}"}),
            DefinitionError,
            ("the page of acme", "nothing_like_it"),
        ),
        (
            lambda files: destination_of(files).update(description="Acme. " * 90),
            DefinitionError,
            ("has 539 characters", "Shorten"),
        ),
    ],
)
def test_what_stops_a_pack(
    written: Written, tmp_path: Path, change: Change, error: type[Exception], messages: list[str]
) -> None:
    """An error that cannot follow later is told with its place and its cure; nothing is written."""
    with pytest.raises(error) as caught:
        make_pack(written(change), tmp_path / "pack")
    assert all(one in str(caught.value) for one in messages), str(caught.value)
    assert not (tmp_path / "pack").exists()


@pytest.mark.parametrize(
    ("change", "is_written"),
    [
        (lambda files: destination_of(files).update(categories=["Analytic"]), True),
        (_convert, False),
        (lambda files: files.update({"page/overview.md.j2": "{{ nothing_like_it }}"}), False),
    ],
)
def test_force(written: Written, tmp_path: Path, change: Change, *, is_written: bool) -> None:
    """It writes despite errors, but neither a part of the code nor a pack without a page."""
    folder = written(change)
    if not is_written:
        with pytest.raises((DefinitionError, UsageError)) as caught:
            make_pack(folder, tmp_path / "pack", force=True)
        is_of_export = isinstance(caught.value, DefinitionError)
        assert ("--force writes no pack of a part" in str(caught.value)) is is_of_export
        return
    pack = make_pack(folder, tmp_path / "pack", force=True)
    assert "no category 'Analytic'" in _texts(pack)["CHECKLIST.md"]


def test_an_update(written: Written, tmp_path: Path, live: Path) -> None:
    """With what is live, the pull request says that it was compared, and what changes."""

    def change(files: dict[str, Any]) -> None:
        field_of(files, "user")["default"] = {"@path": "$.anonymousId"}
        for name in ("sent", "refused"):
            files[f"cases/{name}.yaml"]["events"][0]["anonymousId"] = "user_1"

    request = _texts(make_pack(written(change), tmp_path / "pack", published=live))[
        "pull-request.md"
    ]
    assert request.startswith("# Update the destination Acme\n")
    assert "no action, field, setting or choice is gone" in request
    assert "- The default of the field user of trackEvent has changed" in request


def test_a_breaking_update(written: Written, tmp_path: Path, live: Path) -> None:
    """It is refused; with force, the pull request says what it breaks."""

    def change(files: dict[str, Any]) -> None:
        field_of(files, "plan")["enum"] = ["free"]

    folder = written(change)
    with pytest.raises(DefinitionError, match="no longer has the choice 'pro'"):
        make_pack(folder, tmp_path / "pack", published=live)
    pack = make_pack(folder, tmp_path / "pack", published=live, force=True)
    request = _texts(pack)["pull-request.md"]
    assert "this breaks what customers have set up" in request
    assert "- The field plan of trackEvent no longer has the choice 'pro'" in request


def test_options_of_the_other_kind(written: Written, tmp_path: Path) -> None:
    """A seed and a key are for an endpoint, and cannot be given together."""
    folder, into = written(), tmp_path / "pack"
    with pytest.raises(UsageError, match="--seed is for the endpoint"):
        make_pack(folder, into, seed=tmp_path / "seed.yaml")
    with pytest.raises(UsageError, match="--key is for the endpoint"):
        make_pack(folder, into, key=Secret("a-key"))


def _direct(files: dict[str, Any]) -> None:
    destination_of(files)["publishing"] |= {"as": "direct"}


def test_direct_refusals(written: Written, tmp_path: Path) -> None:
    """What an endpoint cannot be checked with is said before anything is started."""
    folder, into = written(_direct), tmp_path / "pack"
    with pytest.raises(UsageError, match="cannot be used with --key"):
        make_pack(folder, into, seed=tmp_path / "seed.yaml", key=Secret("a-key"))
    with pytest.raises(UsageError, match=r"there is no publishing\.endpoint"):
        make_pack(folder, into, key=Secret("a-key"))
    with pytest.raises(UsageError, match="has no setting that leads to a sandbox"):
        make_pack(folder, into)

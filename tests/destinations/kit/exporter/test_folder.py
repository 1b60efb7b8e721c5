"""An exported folder is written whole or not at all, and what people wrote in it stays."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from destinations.errors import DefinitionError, UsageError
from destinations.folder_lock import folder_locked
from destinations.kit.exporter import Exported, export_segment
from tests.case_tables import each_value
from tests.destinations.kit.exporter.folders import Definition
from tests.forked import run_forked

BEGIN: Final = "// By hand: begin\n"
END: Final = "// By hand: end\n"
CODE: Final = "const LIMIT = 5\n// more\n\nexport const twice = LIMIT * 2\n"

KILLER: Final = Path(__file__).with_name("killed_export.py")

Tree = Mapping[str, bytes]


def _tree(folder: Path) -> Tree:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"folder"
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """A definition."""
    definition = Definition()
    definition.add_action("identify", "setUser")
    return definition.write(tmp_path / "acme")


@pytest.fixture
def into(acme: Path, tmp_path: Path) -> Path:
    """Its export."""
    folder = tmp_path / "out"
    export_segment(acme, folder)
    return folder


def _replace(path: Path, old: str, new: str) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count(old) == 1
    path.write_bytes(source.replace(old, new).encode())


def _write_by_hand(path: Path, code: str = CODE) -> None:
    _replace(path, BEGIN + END, BEGIN + code + END)


def _set_version(acme: Path, version: str = "1.0.1") -> None:
    _replace(acme / "destination.yaml", "version: 1.0.0", f"version: {version}")


def _rename_action(acme: Path) -> None:
    path = acme / "identify.yaml"
    path.with_name("update.yaml").write_text(
        path.read_text("utf-8").replace("slug: identify", "slug: update"), "utf-8"
    )
    path.unlink()


def test_again(acme: Path, into: Path) -> None:
    """The second export of a definition changes nothing, and the files are not written again."""
    before = {path: path.stat().st_mtime_ns for path in into.rglob("*")}
    exported = export_segment(acme, into)
    assert exported.changed == ()
    assert {path: path.stat().st_mtime_ns for path in into.rglob("*")} == before


def test_names_of_each_file(tmp_path: Path) -> None:
    """An action has another name in `index.ts` only beside what that file imports."""
    definition = Definition()
    for slug, request in (("setUser", "setUser"), ("ping", None), ("send", None)):
        definition.add_action(slug, request)
    index = export_segment(definition.write(tmp_path / "acme"), tmp_path / "out").files["index.ts"]
    assert "import setUser from './setUser'\n" in index
    assert "\n    setUser,\n" in index
    assert "import { ping } from './requests'\n" in index
    for name in ("ping", "send"):
        assert f"import {name}2 from './{name}'\n" in index
        assert f"    {name}: {name}2" in index


def test_check(acme: Path, into: Path) -> None:
    """It names what would change, and writes nothing."""
    assert export_segment(acme, into, check=True).changed == ()
    (into / "requests.ts").unlink()
    with (into / "metadata.json").open("a") as file:
        file.write(" ")
    _rename_action(acme)
    before = _tree(into)
    exported = export_segment(acme, into, check=True)
    assert sorted(exported.changed) == [
        "identify/generated-types.ts",
        "identify/index.ts",
        "index.ts",
        "metadata.json",
        "requests.ts",
        "update/generated-types.ts",
        "update/index.ts",
    ]
    assert _tree(into) == before
    missing = into.with_name("missing")
    assert set(export_segment(acme, missing, check=True).changed) == set(exported.files)
    assert not missing.exists()


def test_stale_files(acme: Path, into: Path) -> None:
    """Files of an action that is gone are removed with their folder; other files stay."""
    (into / "notes.md").write_text("mine")
    (into / "helpers").mkdir()
    (into / "helpers" / "mine.ts").write_text("export {}\n")
    _rename_action(acme)
    exported = export_segment(acme, into)
    assert "identify/index.ts" in exported.changed
    assert not (into / "identify").exists()
    assert (into / "update" / "index.ts").is_file()
    assert (into / "notes.md").read_text() == "mine"
    assert (into / "helpers" / "mine.ts").read_text() == "export {}\n"


def test_stale_code_by_hand(acme: Path, into: Path) -> None:
    """A stale file in which somebody wrote code is not thrown away."""
    _write_by_hand(into / "identify" / "index.ts")
    _rename_action(acme)
    before = _tree(into)
    with pytest.raises(UsageError, match=r"identify/index\.ts has code that was written by hand"):
        export_segment(acme, into)
    assert _tree(into) == before


OTHERS: Final = ("one", "two/three", "__tests__", "identify/deep", ".hidden")
"""Where others have exports within a folder."""


@pytest.mark.parametrize("slug", ["acme", "other"])
@pytest.mark.parametrize("parent", ["an export", "no export"])
def test_exports_in_subfolders(acme: Path, tmp_path: Path, slug: str, parent: str) -> None:
    """Exports in folders of this one are not stale, also of the same definition and by force."""
    into = tmp_path / "out"
    definition = Definition()
    definition.destination["slug"] = slug
    other = definition.write(tmp_path / "definition" / slug)
    if parent == "an export":
        export_segment(acme, into)
    for name in OTHERS:
        if name != "__tests__":
            export_segment(other, into / name)
    if slug == "other":
        export_segment(other, into / "__tests__", force=True)
    before = {path: path.read_bytes() for name in OTHERS for path in (into / name).rglob("*.ts")}
    force = parent == "no export"
    if parent == "an export":
        _rename_action(acme)
    exported = export_segment(acme, into, force=force)
    export_segment(acme, into, force=True)
    gone = [name for name in exported.changed if name not in exported.files]
    removed = ["identify/generated-types.ts", "identify/index.ts"]
    assert gone == ([] if parent == "no export" else removed)
    kept = {
        path: content
        for path, content in before.items()
        if path.relative_to(into).as_posix() not in exported.files
        and path.relative_to(into).as_posix() not in removed
    }
    assert len(kept) > 20
    assert {path: path.read_bytes() for path in kept} == kept


def test_files_of_another_destination_are_not_stale(acme: Path, into: Path) -> None:
    """A file that was copied from another export stays."""
    copied = (into / "http.ts").read_text("utf-8").replace("from acme ", "from other ")
    for name in ("mine.ts", "helpers/index.ts"):
        (into / name).parent.mkdir(exist_ok=True)
        (into / name).write_text(copied, encoding="utf-8")
    _rename_action(acme)
    export_segment(acme, into)
    assert (into / "mine.ts").read_text("utf-8") == copied
    assert (into / "helpers" / "index.ts").read_text("utf-8") == copied


def test_a_stale_file_that_was_changed(acme: Path, into: Path) -> None:
    """It is not removed, unless one insists."""
    _replace(into / "identify" / "index.ts", "default action", "default action // mine")
    _rename_action(acme)
    before = _tree(into)
    with pytest.raises(UsageError, match=r"identify/index\.ts has changes outside"):
        export_segment(acme, into)
    assert _tree(into) == before
    export_segment(acme, into, force=True)
    assert not (into / "identify").exists()


@pytest.mark.parametrize(
    "name", ["index.ts", "track/index.ts", "requests.ts", "versioning-info.ts"]
)
@pytest.mark.parametrize(
    "code", [CODE, "import a from 'a'\r\n", "// By hand: begin by hand\n", "  \n\n"], ids=ascii
)
def test_code_by_hand_stays(acme: Path, into: Path, name: str, code: str) -> None:
    """It survives the next exports, also of another version, with our line ends."""
    _write_by_hand(into / name, code)
    expected = (into / name).read_text(encoding="utf-8")
    exported = export_segment(acme, into)
    assert exported.changed == ((name,) if "\r" in code else ())
    assert (into / name).read_bytes() == expected.encode()
    _set_version(acme)
    export_segment(acme, into)
    assert code.replace("\r", "") in (into / name).read_bytes().decode()
    assert "from acme 1.0.1." in (into / name).read_text(encoding="utf-8")
    assert export_segment(acme, into).changed == ()


def test_versions_by_hand_without_others(tmp_path: Path) -> None:
    """A file that names no version has a place for those that people know."""
    definition = Definition()
    definition.destination["transport"]["baseUrl"] = "https://api.example.com"
    definition.cases.clear()
    acme, into = definition.write(tmp_path / "acme"), tmp_path / "out"
    export_segment(acme, into)
    path = into / "versioning-info.ts"
    assert "export {}\n" in path.read_text("utf-8")
    _write_by_hand(path, "export const API_VERSION = 'basil'\n")
    assert export_segment(acme, into).changed == ()
    assert "'basil'" in path.read_text("utf-8")


EDITS: Final[Mapping[str, tuple[str, str, str]]] = {
    "a title": ("track/index.ts", "title: 'Track'", "title: 'Trace'"),
    "a line more": ("requests.ts", END, END + "const mine = 1\n"),
    "a space": ("http.ts", "import ", "import  "),
    "the first line": ("index.ts", "from acme 1.0.0.", "from acme 1.0.0, and mine."),
    "no digest": ("http.ts", "// Digests: ", "// Digest: "),
    "types": ("track/generated-types.ts", "Payload", "Payloads"),
    "the catalog": ("metadata.json", '"mode": "cloud"', '"mode": "device"'),
    "a helper of tests": ("__tests__/__helpers__/partner.ts", "import nock", "import  nock"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_edits_elsewhere(acme: Path, into: Path, edit: str) -> None:
    """What somebody changed outside of the marked places is refused by name, unless one insists."""
    name, old, new = EDITS[edit]
    path = into / name
    source = path.read_text(encoding="utf-8")
    assert old in source
    path.write_text(source.replace(old, new, 1), encoding="utf-8")
    before = _tree(into)
    exported = export_segment(acme, into, check=True)
    assert (exported.changed, exported.edited) == ((name,), (name,))
    for _ in range(2):
        with pytest.raises(UsageError, match=rf"{name} has changes outside of the places") as error:
            export_segment(acme, into)
        assert "move your code between `// By hand: begin` and `// By hand: end`" in str(
            error.value
        )
        assert _tree(into) == before
        if "1.0.0" in (acme / "destination.yaml").read_text("utf-8"):
            _set_version(acme)
    export_segment(acme, into, force=True)
    assert export_segment(acme, into, check=True).edited == ()


def test_several_edits(acme: Path, into: Path) -> None:
    """All are named at once."""
    for name in ("index.ts", "track/index.ts"):
        with (into / name).open("a") as file:
            file.write("export const mine = 1\n")
    with pytest.raises(UsageError, match=r"index\.ts, .*track/index\.ts have changes .* them: "):
        export_segment(acme, into)


def test_the_same_change_in_both(acme: Path, into: Path) -> None:
    """A change that the definition has by now, too, is not in the way."""
    _replace(into / "track" / "index.ts", "title: 'Track'", "title: 'Trace'")
    _replace(into / "metadata.json", '"title": "Track"', '"title": "Trace"')
    _replace(acme / "track.yaml", "title: Track\n", "title: Trace\n")
    export_segment(acme, into)
    assert "title: 'Trace'" in (into / "track" / "index.ts").read_text("utf-8")


def test_line_ends(acme: Path, into: Path) -> None:
    """Other line ends are no change of somebody's, and the next export mends them."""
    _write_by_hand(into / "index.ts")
    expected = _tree(into)
    for path in (into / "index.ts", into / "http.ts", into / "metadata.json"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    exported = export_segment(acme, into, check=True)
    assert exported.changed == ("http.ts", "index.ts", "metadata.json")
    assert exported.edited == ()
    export_segment(acme, into)
    assert _tree(into) == expected


@pytest.mark.parametrize(
    "marks",
    [
        ("// By hand: begin -- keep\n", "// By hand: end -- keep\n"),
        ("//By hand: begin\n", "//By hand: end\n"),
        ("// by hand: begin\n", "// by hand: end\n"),
        ("// BY HAND: BEGIN\n", "// BY HAND: END\n"),
        ("/* By hand: begin */\n", "/* By hand: end */\n"),
        ("// By-hand begin\n", "// By-hand end\n"),
        ("// By hand: begin.\n", END),
        ("", ""),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("name", ["index.ts", "versioning-info.ts"])
def test_changed_marks(acme: Path, into: Path, name: str, marks: tuple[str, str]) -> None:
    """Marks that somebody changed lose no code, with `force` neither."""
    _replace(into / name, BEGIN + END, marks[0] + CODE + marks[1])
    before = _tree(into)
    for force in (False, True):
        with pytest.raises(UsageError, match=rf"{name} has (the line|a mark|no marks)"):
            export_segment(acme, into, force=force)
        assert _tree(into) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (BEGIN, ""),
        (END, ""),
        (BEGIN + END, END + BEGIN),
        (BEGIN, BEGIN + BEGIN),
        (END, END + END),
        (BEGIN + END, BEGIN + BEGIN + END + END),
        (BEGIN + END, BEGIN + END + BEGIN + END),
    ],
    ids=["no begin", "no end", "turned", "two begin", "two end", "nested", "two places"],
)
@pytest.mark.parametrize("force", [False, True])
def test_damaged_marks(acme: Path, into: Path, old: str, new: str, *, force: bool) -> None:
    """Where it is not clear what was written by hand, nothing is written, with `force` neither."""
    path = into / "index.ts"
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace(old, new), encoding="utf-8")
    before = _tree(into)
    with pytest.raises(UsageError, match=r"index\.ts has"):
        export_segment(acme, into, force=force)
    assert _tree(into) == before


def test_marks_without_a_last_line_end(acme: Path, into: Path) -> None:
    """An editor that drops the last line end of a file damages no mark."""
    path = into / "versioning-info.ts"
    source = path.read_text(encoding="utf-8")
    assert source.endswith(END)
    path.write_text(source.removesuffix(END) + CODE + END.rstrip(), encoding="utf-8")
    export_segment(acme, into)
    found = path.read_text(encoding="utf-8")
    assert CODE in found
    assert found.replace(CODE, "") == source


def test_descriptions_like_marks(tmp_path: Path) -> None:
    """Texts of the definition that look like marks are none."""
    definition = Definition()
    definition.destination["errorRules"][0]["description"] = "By hand: begin"
    marks = "It has // By hand: end\n// By hand: end\n."
    definition.destination["description"] = marks
    definition.request["description"] = "// By hand: begin\n// By hand: begin\n"
    acme, into = definition.write(tmp_path / "acme"), tmp_path / "out"
    export_segment(acme, into)
    _write_by_hand(into / "requests.ts")
    _write_by_hand(into / "index.ts")
    assert export_segment(acme, into).changed == ()


def _file(folder: Path) -> None:
    folder.write_text("a file")


def _other_folder(folder: Path) -> None:
    folder.mkdir()
    (folder / "index.ts").write_text("export default {}\n")


def _folder_without_index(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.md").write_text("mine")


@pytest.mark.parametrize("make", [_file, _other_folder, _folder_without_index])
def test_folders_of_others(acme: Path, tmp_path: Path, make: Callable[[Path], None]) -> None:
    """What no export wrote is not overwritten, unless one insists; a file never is."""
    folder = tmp_path / "other"
    make(folder)
    before = _tree(tmp_path)
    with pytest.raises(UsageError, match="is not an export of"):
        export_segment(acme, folder)
    assert _tree(tmp_path) == before
    if folder.is_file():
        with pytest.raises(UsageError, match=r"cannot (write|read) .*: Not a directory"):
            export_segment(acme, folder, force=True)
        assert _tree(tmp_path) == before
        return
    export_segment(acme, folder, force=True)
    assert (folder / "track" / "index.ts").is_file()
    assert export_segment(acme, folder).changed == ()


def test_the_export_of_another_destination(acme: Path, into: Path, tmp_path: Path) -> None:
    """It is not replaced, unless one insists; another version of the same destination is."""
    other = Definition()
    other.destination["slug"] = "other"
    folder = other.write(tmp_path / "other")
    before = _tree(into)
    with pytest.raises(UsageError, match=r"is the export of acme, not of other, .* add --force"):
        export_segment(folder, into)
    with pytest.raises(UsageError, match="is the export of acme"):
        export_segment(folder, into, check=True)
    assert _tree(into) == before
    assert "identify/index.ts" in export_segment(folder, into, force=True).changed
    with pytest.raises(UsageError, match="is the export of other, not of acme"):
        export_segment(acme, into)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["destination.yaml", "destination.yml", "destination.json"])
def test_the_folder_of_a_definition(acme: Path, tmp_path: Path, name: str, *, force: bool) -> None:
    """An export never mixes with a definition, with `force` neither."""
    other = tmp_path / "other"
    other.mkdir()
    (other / name).write_text("{}")
    for folder in (acme, other):
        before = _tree(folder)
        with pytest.raises(UsageError, match="holds a definition"):
            export_segment(acme, folder, force=force)
        assert _tree(folder) == before


def test_an_empty_folder(acme: Path, tmp_path: Path) -> None:
    """An empty folder is nobody's."""
    (tmp_path / "empty").mkdir()
    assert export_segment(acme, tmp_path / "empty").changed


@pytest.mark.parametrize("name", ["http.ts", "track/index.ts"])
def test_a_file_of_others_in_an_export(acme: Path, into: Path, name: str) -> None:
    """A file that somebody put in the place of one of ours stays, unless one insists."""
    (into / name).write_text("export const mine = 1\n")
    before = _tree(into)
    with pytest.raises(UsageError, match=r"was not written by `destinations export segment`"):
        export_segment(acme, into)
    assert _tree(into) == before
    export_segment(acme, into, force=True)
    assert (into / name).read_text() != "export const mine = 1\n"


class _Full:
    """Stands for `os.fsync`, and fails as on a full disk when it is called for the n-th time."""

    def __init__(self, at: int) -> None:
        self.at, self.calls = at, 0

    def __call__(self, _handle: int) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("at", [1, 4, 9])
@pytest.mark.parametrize("is_new", [True, False], ids=["new", "there"])
def test_a_full_disk(
    acme: Path, into: Path, monkeypatch: pytest.MonkeyPatch, at: int, *, is_new: bool
) -> None:
    """Nothing is half-written: all is as it was, and the message names the folder."""
    folder = into.with_name("fresh") if is_new else into
    _rename_action(acme)
    before = _tree(into.parent)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", _Full(at))
        with pytest.raises(UsageError, match=rf"cannot write {folder}: No space left"):
            export_segment(acme, folder)
    assert _tree(into.parent) == before
    assert export_segment(acme, folder).changed


@pytest.mark.parametrize("owner", ["folder", "file"])
def test_no_right(acme: Path, into: Path, monkeypatch: pytest.MonkeyPatch, owner: str) -> None:
    """A folder that cannot be written, or a file that cannot be read, is named."""
    error = OSError(errno.EACCES, os.strerror(errno.EACCES))

    def fail(*_given: Any, **_more: Any) -> Any:
        raise error

    before = _tree(into)
    (into / "requests.ts").unlink()
    with monkeypatch.context() as patched:
        if owner == "folder":
            patched.setattr(Path, "mkdir", fail)
        else:
            patched.setattr("destinations.kit.exporter.folder.read_text_input", fail)
        with pytest.raises(UsageError, match=r"cannot (write|read) .*: Permission denied"):
            export_segment(acme, into)
    assert {**_tree(into), "requests.ts": before["requests.ts"]} == before


@pytest.mark.parametrize("name", ["http.ts", "index.ts", "metadata.json", "stale.ts"])
def test_a_pipe_in_the_folder(acme: Path, into: Path, name: str) -> None:
    """What is no file is not waited for."""
    (into / name).unlink(missing_ok=True)
    os.mkfifo(into / name)
    if name == "stale.ts":
        assert export_segment(acme, into).changed == ()
        return
    if name == "metadata.json":
        assert export_segment(acme, into, check=True).changed == (name,)
        return
    with pytest.raises(UsageError, match=r"is not an export of|it is a pipe"):
        export_segment(acme, into)


@pytest.mark.parametrize("name", ["a" * 300, "in/" + "b" * 300])
def test_a_name_that_is_too_long(acme: Path, tmp_path: Path, name: str) -> None:
    """A name that the file system does not take is said, and nothing is made."""
    before = _tree(tmp_path)
    with pytest.raises(UsageError, match="File name too long"):
        export_segment(acme, tmp_path / name)
    assert _tree(tmp_path) == before


def test_the_folder_is_not_text(acme: Path, into: Path) -> None:
    """A file that is not UTF-8 is named."""
    (into / "track" / "index.ts").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"cannot read .*index\.ts: it is not UTF-8"):
        export_segment(acme, into)


def test_a_faulty_definition(acme: Path, into: Path) -> None:
    """A definition that is not valid leaves an export as it is."""
    before = _tree(into)
    (acme / "track.yaml").write_text("slug: track\n")
    with pytest.raises(DefinitionError):
        export_segment(acme, into, partial=True, force=True)
    assert _tree(into) == before


def test_a_link(acme: Path, tmp_path: Path) -> None:
    """A link to a folder stays one, and the folder is written."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real", target_is_directory=True)
    exported: Exported = export_segment(acme, link)
    assert link.is_symlink()
    assert set(exported.files) <= set(_tree(tmp_path / "real"))


# -- interruptions and others --------------------------------------------------------------------


def _killed(definition: Path, into: Path, at: int) -> int:
    """Export in a process that ends before it puts so many-th a file in its place."""
    return run_forked(
        [sys.executable, "-P", str(KILLER), str(at), str(definition), str(into)], timeout=60
    ).returncode


@each_value
@pytest.mark.parametrize("at", range(1, 13))
@pytest.mark.parametrize("then", ["the same", "the former"])
def test_a_killed_export(acme: Path, into: Path, tmp_path: Path, at: int, then: str) -> None:
    """Wherever it is killed, the next export makes the folder whole, of one version."""
    _write_by_hand(into / "index.ts")
    first = _tree(into)
    former = shutil.copytree(acme, tmp_path / "former" / "acme")
    _rename_action(acme)
    _set_version(acme)
    expected = export_segment(acme, tmp_path / "expected").files
    assert _killed(acme, into, at) == -signal.SIGKILL
    assert list(into.glob(".*.new"))
    assert "metadata.json" in export_segment(acme, into, check=True).files
    if then == "the former":
        export_segment(former, into)
        assert _tree(into) == first
        return
    export_segment(acme, into)
    assert set(_files(into)) == set(expected)
    assert _files(into) == {
        **{name: text.encode() for name, text in expected.items()},
        "index.ts": expected["index.ts"].replace(BEGIN, BEGIN + CODE).encode(),
    }
    assert not list(into.glob(".*"))


def _files(folder: Path) -> Tree:
    return {name: content for name, content in _tree(folder).items() if content != b"folder"}


def test_an_edit_after_a_killed_export(acme: Path, into: Path) -> None:
    """Code that somebody wrote since stays."""
    _set_version(acme)
    assert _killed(acme, into, 7) == -signal.SIGKILL
    _write_by_hand(into / "http.ts" if BEGIN in _text(into / "http.ts") else into / "index.ts")
    _write_by_hand(into / "requests.ts")
    export_segment(acme, into)
    assert CODE in _text(into / "requests.ts")
    assert sum(CODE in _text(path) for path in into.glob("*.ts")) == 2


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_two_at_once(acme: Path, into: Path) -> None:
    """While another one writes into the folder, that is said, and nothing is written."""
    _set_version(acme)
    before = _tree(into)
    with folder_locked(into):
        with pytest.raises(UsageError, match=rf"cannot write {into}: another process is writing"):
            export_segment(acme, into)
        assert _tree(into) == before
        assert export_segment(acme, into, check=True).changed
    assert export_segment(acme, into).changed


def test_a_folder_that_another_one_has_made(
    acme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that make a folder, one wins, and the other one says so."""
    into, real = tmp_path / "out", Path.rename

    def rename(path: Path, target: Path) -> Path:
        into.mkdir()
        (into / "index.ts").write_text("mine")
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(UsageError, match=r"cannot write .*out: another process has written it"):
        export_segment(acme, into)
    assert [path.name for path in into.rglob("*")] == ["index.ts"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["acme", "out"]

"""Folders are written whole or not at all, by whatever command, and whatever fails meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import DefinitionError
from destinations.folder_lock import folder_locked
from destinations.kit.importer import import_segment
from destinations.kit.partner_page import write_files
from destinations.whole_files import (
    files_written,
    folder_made,
    is_interrupted,
    replace_file,
    roll_back,
)

FILES = {"a.yaml": b"new a", "cases/b.yaml": b"new b", "c/d/e.yaml": b"new e"}
OLD = {"a.yaml": b"old a", "kept": b"kept", "images/former.png": b"png"}
SEGMENT = Path(__file__).parents[1] / "fixtures" / "segment"

Tree = Mapping[str, tuple[int, bytes | str | None]]


def _tree(folder: Path) -> Tree:
    """Return all that is in a folder, hidden or not: modes, and contents or where links lead."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            str(path.readlink())
            if path.is_symlink()
            else path.read_bytes()
            if path.is_file()
            else None,
        )
        for path in sorted(folder.rglob("*"))
    }


def _make(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


class _Failing:
    """Stands for a function, and raises when it is called for the n-th time."""

    def __init__(self, wrapped: Callable[..., Any], at: int, error: BaseException) -> None:
        self.wrapped, self.at, self.error, self.calls = wrapped, at, error, 0

    def __get__(self, instance: object, owner: type) -> Callable[..., Any]:
        return lambda *given, **more: self(instance, *given, **more)

    def __call__(self, *given: Any, **more: Any) -> Any:
        self.calls += 1
        if self.calls == self.at:
            raise self.error
        return self.wrapped(*given, **more)


FULL = OSError(errno.ENOSPC, "No space left on device", "somewhere")


def _raised(folder: Path, obsolete: list[str]) -> BaseException | None:
    try:
        with files_written(folder, FILES, obsolete=obsolete):
            pass
    except BaseException as error:  # noqa: BLE001 - an interruption is one of them
        return error
    return None


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt()], ids=["full", "interrupted"])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("owner", "name"),
    [(os, "fsync"), (Path, "replace"), (Path, "rename"), (Path, "mkdir")],
    ids=["fsync", "replace", "rename", "mkdir"],
)
@pytest.mark.parametrize("before", [None, {}, OLD], ids=["no folder", "an empty one", "a full one"])
def test_nothing_is_left(
    before: Mapping[str, bytes] | None,
    *,
    owner: Any,
    name: str,
    at: int,
    error: BaseException,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wherever it fails, all is as it was; else all files are there, and nothing else."""
    folder = tmp_path / "parent" / "folder"
    if before is not None:
        folder.mkdir(parents=True)
        _make(folder, before)
    (tmp_path / "bystander").touch()
    former = _tree(tmp_path)
    obsolete = ["images/former.png"] if before else []
    failing = _Failing(getattr(owner, name), at, error)
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, failing)
        raised = _raised(folder, obsolete)
    assert (raised is None) == (failing.calls < at)
    assert raised is None or type(raised) is type(error)
    if isinstance(raised, OSError):
        assert raised.filename == str(folder)
    if failing.calls >= at:
        assert _tree(tmp_path) == former
    else:
        left = {key: value for key, value in (before or {}).items() if key not in obsolete}
        found = {key: content for key, (_, content) in _tree(folder).items() if content is not None}
        assert found == {**left, **FILES}


@pytest.mark.parametrize("before", [None, {}, OLD], ids=["no folder", "an empty one", "a full one"])
def test_the_body_fails(before: Mapping[str, bytes] | None, tmp_path: Path) -> None:
    """What was written is taken back, as where a check of the whole finds something."""
    folder = tmp_path / "folder"
    if before is not None:
        folder.mkdir()
        _make(folder, before)
    former = _tree(tmp_path)
    with pytest.raises(DefinitionError), files_written(folder, FILES):
        raise DefinitionError([])
    assert _tree(tmp_path) == former


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("before", [None, OLD], ids=["no folder", "a full one"])
def test_a_process_that_is_killed(
    before: Mapping[str, bytes] | None, at: int, tmp_path: Path
) -> None:
    """It leaves a hidden folder at most; the next one writes all."""
    folder = tmp_path / "folder"
    if before is not None:
        _make(folder, before)
    former = _tree(tmp_path)
    code = (
        "import os, pathlib, signal\n"
        "from destinations.whole_files import files_written\n"
        "real, calls = os.fsync, []\n"
        "def fsync(handle):\n"
        "    calls.append(handle)\n"
        f"    len(calls) == {at} and os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(handle)\n"
        "os.fsync = fsync\n"
        f"with files_written(pathlib.Path({str(folder)!r}), {FILES!r}): pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    left = {key: value for key, value in _tree(tmp_path).items() if ".new" not in key}
    assert left == former
    with files_written(folder, FILES):
        pass
    assert (folder / "c" / "d" / "e.yaml").read_bytes() == b"new e"


KILLER = """
import os, pathlib, signal, sys
from destinations.whole_files import files_written
calls = []
real = pathlib.Path.replace
def replace(path, target):
    calls.append(path)
    len(calls) == int(sys.argv[2]) and os.kill(os.getpid(), signal.SIGKILL)
    return real(path, target)
pathlib.Path.replace = replace
new = {"a.yaml": b"new a", "cases/b.yaml": b"new b", "c/d/e.yaml": b"new e"}
with files_written(pathlib.Path(sys.argv[1]), new, obsolete=["images/former.png"]):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _kill(folder: Path, at: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(folder), str(at)], check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_rolled_back(tmp_path: Path, at: int) -> None:
    """What a killed process left half done is undone, wherever it was killed."""
    folder = tmp_path / "folder"
    _make(folder, OLD)
    former = _tree(tmp_path)
    _kill(folder, at)
    assert is_interrupted(folder)
    roll_back(folder)
    assert _tree(tmp_path) == former
    assert not is_interrupted(folder)
    roll_back(folder)
    assert _tree(tmp_path) == former


def test_a_change_since(tmp_path: Path) -> None:
    """What somebody wrote into a half-written folder since stays."""
    folder = tmp_path / "folder"
    _make(folder, OLD)
    _kill(folder, 3)
    assert (folder / "a.yaml").read_bytes() == b"new a"
    (folder / "a.yaml").write_bytes(b"mine")
    roll_back(folder)
    assert {path.name for path in folder.iterdir()} == {"a.yaml", "kept", "images"}
    assert (folder / "a.yaml").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "journal",
    [
        b"",
        b"{",
        b"[]",
        b'{"files": [["../outside", "x", true]], "obsolete": ["../outside"], "folders": [".."]}',
        b'{"files": [[1]], "obsolete": [], "folders": []}',
        b'{"files": [], "obsolete": ["/etc/none"], "folders": []}',
    ],
)
def test_a_journal_of_somebody_else(tmp_path: Path, journal: bytes) -> None:
    """Nothing outside of the folder is touched, whatever a journal says."""
    folder = tmp_path / "folder"
    left = folder / ".files.0123abcd.new"
    _make(folder, {"a.yaml": b"old", ".files.0123abcd.new/journal.json": journal})
    (left / "old").mkdir()
    (left / "old" / "0").write_bytes(b"evil")
    (tmp_path / "outside").write_bytes(b"mine")
    roll_back(folder)
    assert (folder / "a.yaml").read_bytes() == b"old"
    assert (tmp_path / "outside").read_bytes() == b"mine"


def test_hidden_folders_of_the_living(tmp_path: Path) -> None:
    """What another process still writes is left alone, and said."""
    folder, left = tmp_path / "folder", tmp_path / ".folder.0123abcd.new"
    _make(folder, {"a.yaml": b"old", ".files.0123abcd.new/journal.json": b"{}"})
    left.mkdir()
    with folder_locked(folder), folder_locked(left):
        with pytest.raises(OSError, match="another process is writing there"):
            roll_back(folder)
        assert left.is_dir()
    roll_back(folder)
    assert not left.exists()
    assert [path.name for path in folder.iterdir()] == ["a.yaml"]


def test_links_and_modes(tmp_path: Path) -> None:
    """A link to a file, and to the folder, stays one; a file that is replaced keeps its mode."""
    real = tmp_path / "real"
    _make(real, {"a.yaml": b"old", "b.yaml": b"old"})
    (real / "a.yaml").chmod(0o640)
    (real / "link.yaml").symlink_to("b.yaml")
    (tmp_path / "linked").symlink_to("real")
    with files_written(tmp_path / "linked", {"a.yaml": b"new", "link.yaml": b"new"}):
        pass
    assert (tmp_path / "linked").is_symlink()
    assert (real / "link.yaml").is_symlink()
    assert (real / "b.yaml").read_bytes() == b"new"
    assert (real / "a.yaml").stat().st_mode & 0o777 == 0o640
    replace_file(real / "link.yaml", b"newer")
    replace_file(real / "a.yaml", b"newer")
    assert (real / "link.yaml").is_symlink()
    assert (real / "b.yaml").read_bytes() == b"newer"
    assert (real / "a.yaml").stat().st_mode & 0o777 == 0o640


def test_a_folder_within_one_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder that is there suffices, such as a volume of a container."""
    if os.geteuid() == 0:
        pytest.skip("root can write everywhere")
    folder = tmp_path / "parent" / "folder"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o500)
    try:
        with files_written(folder, FILES):
            pass
    finally:
        folder.parent.chmod(0o700)
    assert (folder / "a.yaml").is_file()


def test_a_file_in_its_place(tmp_path: Path) -> None:
    """It is told by the name that was given."""
    (tmp_path / "f").touch()
    with pytest.raises(NotADirectoryError, match=r"Not a directory.*/f'"):
        files_written(tmp_path / "f", FILES).__enter__()


def test_folders_of_one_file(tmp_path: Path) -> None:
    """Folders that were made for it go with it; those that others use by now stay."""
    with pytest.raises(ValueError, match="no"), folder_made(tmp_path / "a" / "b"):
        raise ValueError("no")
    assert _tree(tmp_path) == {}
    with contextlib.suppress(FileNotFoundError), folder_made(tmp_path / "a" / "b"):
        (tmp_path / "a" / "other").touch()
        (tmp_path / "none").read_bytes()
    assert list(_tree(tmp_path)) == ["a", "a/other"]


# -- commands --------------------------------------------------------------------------------------


def _subscriptions(folder: Path) -> None:
    import_segment(SEGMENT / "metadata.json", out=folder / "sample")


def _page(folder: Path) -> None:
    write_files({"slack.md": b"old", "images/old.png": b"png"}, folder / "docs" / "slack")


def _schemas(folder: Path) -> None:
    import_segment(SEGMENT / "metadata.json", out=folder / "sample")
    for path in (folder / "sample" / "schemas").iterdir():
        path.write_bytes(b"{}\n")


def _several(folder: Path) -> None:
    _make(folder / "sample", {"mine.txt": b"mine", "destination.yaml": b"old"})


COMMANDS: Mapping[str, tuple[Callable[[Path], None] | None, tuple[str, ...]]] = {
    "init": (None, ("init", "acme")),
    "init elsewhere": (None, ("init", "acme", "--path", "a/b")),
    "init of a package": (None, ("init", "acme", "--plugin")),
    "import": (None, ("import", "segment", str(SEGMENT / "metadata.json"), "--out", "a/sample")),
    "import over files": (
        _several,
        ("import", "segment", str(SEGMENT / "metadata.json"), "--out", "sample", "--force"),
    ),
    "import of subscriptions": (
        _subscriptions,
        ("import", "segment", str(SEGMENT / "subscriptions.json"), "--into", "sample"),
    ),
    "a new page": (None, ("docs", "build", "slack")),
    "a page": (_page, ("docs", "build", "slack")),
    "schemas": (_schemas, ("validate", "sample", "--update-schemas")),
}


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("name", COMMANDS)
def test_commands(
    name: str,
    at: int,
    command: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A command on a full disk leaves the folder as it was, and says which one it was."""
    before, line = COMMANDS[name]
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    if before is not None:
        before(place)
    former = _tree(place)
    with monkeypatch.context() as patched:
        failing = _Failing(os.fsync, at, FULL)
        patched.setattr(os, "fsync", failing)
        done = command(*line)
    if failing.calls < at:  # it writes one file only
        assert name == "import of subscriptions"
        return
    assert done.code != 0
    assert "No space left on device" in done.err
    assert ".new" not in done.err
    assert _tree(place) == former
    assert command(*line).code == 0


def test_an_import_that_does_not_fit(command: Callable[..., Any], tmp_path: Path) -> None:
    """Where other files of the folder are in its way, nothing of it is written."""
    folder = tmp_path / "sample"
    _make(folder, {"other.yaml": b"slug: other\ntitle: Other\nfields: 1\nperform: {}\n"})
    former = _tree(tmp_path)
    given = ("import", "segment", SEGMENT / "metadata.json", "--out", folder, "--force")
    done = command(*given)
    assert done.code == 2
    assert "other.yaml" in done.err
    assert _tree(tmp_path) == former

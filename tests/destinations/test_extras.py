from __future__ import annotations

import ast
import importlib
import importlib.metadata
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from destinations.errors import MissingExtraError
from destinations.extras import libraries_of, missing_library, pip_install

ROOT = Path(__file__).parents[2]
# Only pytest loads its plugin and the tests to inherit, and only the directive @liquid, which says
# the same, the package that renders its templates. What opens a store in a database says it, too,
# and so does what serves the console.
LOADED_WITH_A_LIBRARY = {
    ("destinations/postgres", "psycopg"),
    ("destinations/kit/testing", "pytest"),
    ("destinations/segment/mapping/liquid", "liquid"),
    ("destinations/console", "starlette"),
    ("destinations/console", "argon2"),
    ("destinations/console", "jinja2"),
}


def _listed(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _setup() -> ConfigParser:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


SETUP = _setup()
EXTRAS = {name: _listed(text) for name, text in SETUP["options.extras_require"].items()}


def _name(requirement: str) -> str:
    """The name of a distribution, in the form in which names are compared (PEP 503)."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def test_all_holds_every_extra() -> None:
    """The extra `all` leaves nothing out, and `test` has all of it."""
    ours = EXTRAS.keys() - {"all", "test"}
    assert set(EXTRAS["all"]) == {f"kana-destination[{name}]" for name in ours}
    assert "kana-destination[all]" in EXTRAS["test"]


def _library_imports(path: Path) -> Iterator[tuple[str, str | None, int]]:
    """Each import that needs a library: its module, the extra it names around it, and the line."""

    def walk(node: ast.AST, extra: str | None) -> Iterator[tuple[str, str | None, int]]:
        for child in ast.iter_child_nodes(node):
            inner = extra
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.With):
                for item in child.items:
                    call = item.context_expr
                    if isinstance(call, ast.Call) and ast.unparse(call.func) == "libraries_of":
                        inner = ast.literal_eval(call.args[0])
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield alias.name.partition(".")[0], extra, child.lineno
            elif isinstance(child, ast.ImportFrom) and not child.level:
                yield (child.module or "").partition(".")[0], extra, child.lineno
            yield from walk(child, inner)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), None)


def test_what_the_base_does_not_have_is_imported_with_its_extra() -> None:
    """A library outside the base is only imported where its absence becomes the one message."""
    base = {_name(line) for line in _listed(SETUP["options"]["install_requires"]) if line[0] != " "}
    providers = importlib.metadata.packages_distributions()
    wrong = []
    for package in ("destinations", "kana_destination", "definitions"):
        for path in sorted((ROOT / package).rglob("*.py")):
            place = str(path.relative_to(ROOT))
            for module, extra, line in _library_imports(path):
                if module in sys.stdlib_module_names or module in {package, "destinations"}:
                    continue
                if any(
                    place.startswith(f"{folder}/") and module == library
                    for folder, library in LOADED_WITH_A_LIBRARY
                ):
                    continue
                names = {_name(name) for name in providers.get(module, [module])}
                allowed = base if extra is None else {_name(each) for each in EXTRAS[extra]}
                if not names & allowed:
                    wrong.append(f"{place}:{line}: {module}")
    assert wrong == []


# Prints the commands whose --help does not end with 0 where none of these libraries is installed.
HELPS = """
import sys
sys.modules.update(dict.fromkeys({libraries!r}))
import click
from destinations.cli.group import cli, run

def names(group, context):
    for name in group.list_commands(context):
        yield (name,)
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((name, *rest) for rest in names(command, click.Context(command)))

failed = []
paths = [(), ("kana",)]
try:
    paths += names(cli, click.Context(cli))
    paths += [("kana", *rest) for rest in names(cli.get_command(click.Context(cli), "kana"), None)]
except Exception as error:
    failed.append(str(error))
failed += [path for path in paths if run([*path, "--help"], lambda: None) != 0]
sys.exit(str(failed) if failed or len(paths) < 40 else 0)
"""


def test_help_needs_no_extra() -> None:
    """Whoever has no extra installed can read what each command does, `test` and `record` too."""
    base = {_name(line) for line in _listed(SETUP["options"]["install_requires"]) if line[0] != " "}
    extra = {_name(line) for name in EXTRAS.keys() - {"all", "test"} for line in EXTRAS[name]}
    libraries = [
        module
        for module, found in importlib.metadata.packages_distributions().items()
        if (names := set(map(_name, found))) & extra and not names & base
    ]
    assert {"responses", "jinja2", "liquid"} <= set(libraries)
    done = subprocess.run(
        [sys.executable, "-c", HELPS.format(libraries=sorted(libraries))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _came_from(monkeypatch: pytest.MonkeyPatch, note: dict[str, object] | None) -> None:
    """Make it seem that pip noted this origin of the package."""

    class Distribution:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return None if note is None else json.dumps(note)

    monkeypatch.setattr(importlib.metadata, "distribution", lambda _name: Distribution())


@pytest.mark.parametrize(
    ("note", "arguments"),
    [
        pytest.param(None, ["kana-destination[kit]"], id="index"),
        pytest.param(
            {"url": "https://example.com/k-1.whl", "archive_info": {}},
            ["kana-destination[kit] @ https://example.com/k-1.whl"],
            id="archive",
        ),
        pytest.param(
            {"url": "https://example.com/k.git", "vcs_info": {"vcs": "git", "commit_id": "ab12"}},
            ["kana-destination[kit] @ git+https://example.com/k.git@ab12"],
            id="repository",
        ),
    ],
)
def test_where_it_came_from_without_a_file(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    note: dict[str, object] | None,
    arguments: list[str],
) -> None:
    """The command installs from the index, the archive or the commit that the package is from."""
    _came_from(monkeypatch, note)
    monkeypatch.setattr("destinations.extras.__file__", str(tmp_path / "package" / "extras.py"))
    command = str(missing_library("jinja2", "kit")).partition("kit: ")[2]
    assert shlex.split(command) == [sys.executable, "-m", "pip", "install", *arguments]


@pytest.mark.parametrize(
    ("details", "options"),
    [
        pytest.param({"dir_info": {}}, [], id="checkout"),
        pytest.param({"dir_info": {"editable": True}}, ["--editable"], id="editable"),
        pytest.param({"archive_info": {}}, [], id="wheel"),
    ],
)
def test_where_it_came_from_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    details: dict[str, object],
    options: list[str],
) -> None:
    """The command names the checkout or wheel, whatever its path; one that is gone is not named."""
    place = tmp_path / "a place"
    _came_from(monkeypatch, {"url": place.as_uri(), **details})
    gone = str(missing_library("jinja2", "kit"))
    assert gone.endswith(f"from a checkout of this package: {pip_install('.[kit]')}")
    place.mkdir()
    command = str(missing_library("jinja2", "kit")).partition("kit: ")[2]
    assert shlex.split(command)[4:] == [*options, f"{place}[kit]"]


def _started_in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("destinations.extras.__file__", str(ROOT / "destinations" / "extras.py"))


@pytest.mark.parametrize("with_metadata", [True, False], ids=["after a build", "never built"])
def test_a_checkout_that_was_never_installed(
    monkeypatch: pytest.MonkeyPatch, *, with_metadata: bool
) -> None:
    """Started with `python -m` in a checkout, the command installs that checkout."""
    _came_from(monkeypatch, None)
    _started_in_the_checkout(monkeypatch)
    if not with_metadata:

        def missing(name: str) -> importlib.metadata.Distribution:
            raise importlib.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(importlib.metadata, "distribution", missing)
    assert str(missing_library("jinja2", "kit")).endswith(pip_install(f"{ROOT}[kit]"))


def test_a_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is one line that names the library and what needs it."""
    _came_from(monkeypatch, None)
    _started_in_the_checkout(monkeypatch)
    with pytest.raises(MissingExtraError) as caught, libraries_of("kit"):
        importlib.import_module("no_such_library.inner")
    assert str(caught.value) == (
        "this command needs the library no_such_library, which is not installed; "
        "install the extra kit: " + pip_install(f"{ROOT}[kit]")
    )
    assert str(missing_library("x", "otel", "@y")).startswith("@y needs the library x, ")


def test_a_fault_of_this_package_is_no_missing_library() -> None:
    """A module of ours that is not there stays an error of ours: no extra brings it."""
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), libraries_of("kit"):
        importlib.import_module("destinations.no_such_module")

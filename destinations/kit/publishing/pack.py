"""Put together all that a partner hands to Segment: a folder, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from destinations.definition import is_definition
from destinations.definition.input_files import read_input
from destinations.errors import DefinitionError, Issue, UsageError
from destinations.kit.exporter import exported_slug
from destinations.kit.exporter.folder import check_edits, check_owned
from destinations.kit.partner_page import PUBLISHED, SUBMISSION, render_page
from destinations.kit.portal import CHECKS, Row
from destinations.kit.publishing import texts
from destinations.kit.publishing.endpoint import checked_endpoint
from destinations.kit.publishing.finding import Finding
from destinations.kit.publishing.publication import Publication, read_publication
from destinations.kit.publishing.rules import check
from destinations.secrets import Secret
from destinations.whole_files import files_written, roll_back

__all__ = ["Pack", "make_pack", "pack_places", "stale_files", "write_pack"]

_MANIFEST: Final = "pack.json"
_MADE_BY: Final = "destinations publish pack"
_CALLS: Final = ("identify", "track", "page", "screen", "group", "alias")


@dataclass(frozen=True, slots=True)
class Pack:
    """The files of a pack by path, what is still open, and what reviewers may ask about."""

    folder: Path
    files: Mapping[str, bytes]
    findings: tuple[Finding, ...]
    obsolete: tuple[str, ...]

    @property
    def open_findings(self) -> list[Finding]:
        """Return what has to be done before the pack is complete."""
        return [one for one in self.findings if one.level == "error"]


class PartialPackError(DefinitionError):
    """A definition cannot be exported whole, and Segment merges no part; ``issues`` say why."""

    def __init__(self, issues: Iterable[Issue]) -> None:
        super().__init__(issues)
        self.args = (f"{self}\n{_WHOLE}",)


_WHOLE: Final = (
    "Nothing is written: --force writes no pack of a part of the code. For the part alone, use"
    " `destinations export segment --partial`"
)


def make_pack(  # noqa: PLR0913 - what the command takes
    folder: Path,
    into: Path,
    *,
    published: Path | None = None,
    force: bool = False,
    seed: Path | None = None,
    key: Secret | None = None,
    check_only: bool = False,
) -> Pack:
    """Return the pack of the definition in ``folder``, which is not written yet.

    ``seed`` fills the sandbox behind the endpoint of a Direct Destination; with ``key`` its own
    endpoint is checked. With ``check_only``, what is half written in ``into`` stays, and so do
    changes there. Raises `DefinitionError` with what breaks a rule and cannot follow later, and
    `UsageError` for a folder that is not a pack of this destination, or whose code somebody changed
    outside of the places for it. With ``force`` only what an export refuses, a page that cannot be
    made, and a folder with a definition are refused.
    """
    if not check_only:
        try:
            roll_back(into)
        except OSError as error:
            raise UsageError(f"cannot write {into}: {error.strerror}") from error
    former = _former(into, folder.name, force=force)
    code = into / texts.Places(_folder_name(folder.name), "").code
    publication = read_publication(folder, published, into=code)
    if publication.exported is not None and not (force or check_only):
        check_owned(code, publication.exported.files)
        check_edits(code, publication.exported.edited)
    findings = check(publication)
    if publication.kind == "direct":
        if seed is not None and key is not None:
            raise UsageError("--seed fills a sandbox: it cannot be used with --key")
    elif seed is not None or key is not None:
        option = "--seed" if seed is not None else "--key"
        raise UsageError(
            f"{option} is for the endpoint of a Direct Destination (`publishing: {{as: direct}}`)"
        )
    wrong = [one for one in findings if one.level == "error" and not one.rule.can_follow]
    if wrong and not force:
        raise DefinitionError(
            replace(one.issue, message=f"{one.issue.message}. {one.rule.fix}") for one in wrong
        )
    if publication.exported is not None and publication.exported.refused:
        raise PartialPackError(publication.exported.refused)
    if publication.page_issue:
        raise UsageError(publication.page_issue)
    files = (
        _direct(publication, findings, seed, key)
        if publication.kind == "direct"
        else _actions(publication, findings)
    )
    files |= publication.images
    definition = publication.definition
    manifest = {
        "madeBy": _MADE_BY,
        "destination": definition.slug,
        "version": definition.version,
        "kind": publication.kind,
        "files": sorted([*files, _MANIFEST]),
    }
    files[_MANIFEST] = (json.dumps(manifest, indent=2) + "\n").encode()
    obsolete = tuple(name for name in former if name not in files and (into / name).is_file())
    return Pack(into, dict(sorted(files.items())), tuple(findings), obsolete)


def pack_places(slug: str) -> texts.Places:
    """Return where the parts of a pack belong in Segment's repositories."""
    return texts.Places(_folder_name(slug), exported_slug(slug))


def _folder_name(slug: str) -> str:
    return slug.removeprefix("actions-")


def stale_files(pack: Pack) -> list[str]:
    """Return the files on the disk that differ from a pack, or no longer belong to it."""
    changed = [
        name
        for name, data in pack.files.items()
        if not (pack.folder / name).is_file() or (pack.folder / name).read_bytes() != data
    ]
    return [*changed, *pack.obsolete]


def write_pack(pack: Pack) -> None:
    """Write a pack, all of it or nothing; raises `OSError`."""
    with files_written(pack.folder, pack.files, obsolete=pack.obsolete):
        pass
    for name in pack.obsolete:
        parent = (pack.folder / name).parent
        while parent != pack.folder and parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
            parent = parent.parent


def _former(into: Path, slug: str, *, force: bool) -> Sequence[str]:
    """Return the files of the pack that is there; raises `UsageError` for any other folder."""
    if into.exists() and not into.is_dir():
        raise UsageError(f"{into} is a file: expected a folder for the pack")
    if is_definition(into):
        raise UsageError(
            f"{into} holds a definition, and a pack would mix with it: name another folder"
        )
    if not into.is_dir() or not any(into.iterdir()):
        return ()
    manifest = _manifest(into / _MANIFEST)
    if manifest is not None and manifest.get("destination") == slug:
        return [name for name in manifest["files"] if _is_within(name)]
    if force:
        return ()
    what = "is not a pack of `destinations publish pack`"
    if manifest is not None:
        what = f"is the pack of {manifest.get('destination')}"
    raise UsageError(
        f"{into} {what}, and would be overwritten: name another folder, or add --force"
    )


def _manifest(path: Path) -> Mapping[str, Any] | None:
    try:
        found = json.loads(read_input(path))
    except (OSError, ValueError, RecursionError):
        return None
    is_ours = isinstance(found, dict) and found.get("madeBy") == _MADE_BY
    if not is_ours or not isinstance(found.get("files"), list):
        return None
    return found  # type: ignore[no-any-return]  # JSON


def _is_within(name: object) -> bool:
    path = PurePosixPath(str(name))
    return isinstance(name, str) and not path.is_absolute() and ".." not in path.parts


def _actions(publication: Publication, findings: Sequence[Finding]) -> dict[str, bytes]:
    slug = publication.definition.slug
    places = pack_places(slug)
    exported = publication.exported
    code = {} if exported is None else exported.files
    written = {f"{places.code}/{name}": text for name, text in code.items()} | {
        f"{places.docs}/index.md": publication.page,
        "pull-request.md": texts.pull_request(publication, places, findings),
        "docs-pull-request.md": texts.docs_pull_request(publication, places),
        "mail.md": texts.mail(publication, exported_slug(slug)),
        "CHECKLIST.md": texts.actions_checklist(publication, places, exported_slug(slug), findings),
    }
    images = {f"{places.docs}/{name}": data for name, data in publication.page_images.items()}
    return {name: text.encode() for name, text in written.items()} | images


def _direct(
    publication: Publication, findings: Sequence[Finding], seed: Path | None, key: Secret | None
) -> dict[str, bytes]:
    definition = publication.definition
    rows = checked_endpoint(publication, seed=seed, key=key)
    place = (
        "the key of a test account"
        if key is not None
        else "`destinations serve` on one machine, and the destination's sandbox behind it"
    )
    pages = {
        f"documentation/{definition.slug}{flavour.suffix}.md": render_page(
            publication.folder, definition, publication.subject.plugin, flavour
        )
        for flavour in (PUBLISHED, SUBMISSION)
    }
    written = pages | {
        "portal.md": texts.portal(publication, _calls(rows)),
        "portal-check.md": texts.portal_check(publication, rows, place),
        "CHECKLIST.md": texts.direct_checklist(publication, rows, findings),
    }
    images = {f"documentation/{name}": data for name, data in publication.page_images.items()}
    return {name: text.encode() for name, text in written.items()} | images


def _calls(rows: Sequence[Row]) -> list[str]:
    """Return the calls that the endpoint accepts, in the order of Segment's Spec."""
    known = {check.name for check in CHECKS}
    accepted = {row.name for row in rows if row.name in known and 200 <= row.status < 300}
    return [call for call in _CALLS if call in accepted]

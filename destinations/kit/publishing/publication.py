"""Read all that is published of a definition: its export, page and images, and what is live."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from destinations.definition import DefinitionFiles, DestinationDefinition
from destinations.definition.document import Document, read_document
from destinations.definition.input_files import read_input
from destinations.definition.request_model import RestDefinition
from destinations.errors import DefinitionError, Issue, UsageError
from destinations.kit.exporter import Exported, export_segment
from destinations.kit.exporter.settings import kept_by_segment, missing_there
from destinations.kit.partner_page import PUBLISHED, render_page
from destinations.kit.partner_page.images import page_images
from destinations.kit.publishing.published import Published, read_published
from destinations.kit.testing.subject import Subject, subject_in

__all__ = [
    "DESTINATION",
    "FOLDER",
    "LOGO",
    "MARK",
    "Batching",
    "Kind",
    "Publication",
    "read_publication",
]

Kind = Literal["actions", "direct"]
Batching = Literal["none", "each", "whole"]
"""How an action sends: no batches, with a result for each event, or with one for all of them."""

DESTINATION: Final = "destination"
"""The stem of the file that describes the destination."""

FOLDER: Final = "publishing"
LOGO: Final = "logo.svg"
MARK: Final = "mark.svg"

_MAX_IMAGE_BYTES: Final = 15_000_000
_NOWHERE: Final = Path("/nonexistent-export")


@dataclass(frozen=True, slots=True)
class Publication:
    """A definition with all that is published of it.

    ``documents`` are its files by stem. ``exported`` is what Segment merges, as far as it can be
    said; None for a Direct Destination. ``page`` is the documentation page, and ``page_issue`` says
    why there is none. ``images`` has the logo and the mark, by name, as far as there are any.
    """

    folder: Path
    definition: DestinationDefinition
    documents: Mapping[str, Document]
    subject: Subject
    exported: Exported | None
    page: str
    page_issue: str
    page_images: Mapping[str, bytes]
    images: Mapping[str, bytes]
    published: Published | None = None

    @property
    def kind(self) -> Kind:
        """Return the kind of destination at Segment."""
        return "direct" if self.publishing.get("as") == "direct" else "actions"

    @property
    def publishing(self) -> Mapping[str, Any]:
        """Return what the definition says of publishing."""
        found: Mapping[str, Any] = self.definition.catalog.get("publishing", {})
        return found

    @property
    def support(self) -> str:
        """Return the address for Segment's support; empty if there is none."""
        maintainer = self.definition.catalog.get("maintainer", {})
        return str(self.publishing.get("support") or maintainer.get("email", ""))

    @property
    def categories(self) -> list[str]:
        """Return the categories of the catalog."""
        return list(self.definition.catalog.get("categories", ()))

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Return the exported ``metadata.json``; empty for a Direct Destination."""
        if self.exported is None:
            return {}
        found: Mapping[str, Any] = json.loads(self.exported.files["metadata.json"])
        return found

    def batching(self, slug: str) -> Batching:
        """Return what becomes of the events of an action's batches at Segment."""
        action = self.metadata["actions"].get(slug, {})
        name = self.definition.actions[slug].perform.request
        if not action.get("hasPerformBatch") or name is None:
            return "none"
        call = self.definition.requests[name].call
        has_results = isinstance(call, RestDefinition) and call.failed_items is not None
        return "each" if has_results else "whole"

    @property
    def catalog_settings(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the settings that customers enter at Segment."""
        missing = {*missing_there(self.definition)}
        if self.kind == "direct":  # where an endpoint of ours asks for credentials
            missing -= kept_by_segment(self.definition)
        properties: Mapping[str, Mapping[str, Any]] = self.definition.settings["properties"]
        return {key: one for key, one in properties.items() if key not in missing}

    def issue(self, message: str, path: str = "", stem: str = DESTINATION) -> Issue:
        """Return an issue at a JSON pointer of a file; its line is that of what is there."""
        document = self.documents[stem]
        place = path
        while place and place not in document.lines:
            place = place.rpartition("/")[0]
        return Issue(message, path, document.name, document.lines.get(place))

    def source(self, name: str) -> Sequence[str]:
        """Return the lines of a file of the definition; none if it cannot be read again."""
        try:
            return Path(name).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return ()

    def image_issue(self, name: str, message: str, line: int | None = None) -> Issue:
        """Return an issue in the logo or the mark."""
        return Issue(message, file=str(self.folder / FOLDER / name), line=line)


def read_publication(
    folder: Path, published: Path | None = None, *, into: Path | None = None
) -> Publication:
    """Read a definition, and what is ``published`` of it.

    What is written by hand in an export at ``into`` is kept. Raises `DefinitionError` for a
    definition, its cases and a ``metadata.json`` that have issues, and `UsageError` for what cannot
    be read.
    """
    files = DefinitionFiles.read(folder)
    definition = files.load()
    subject = subject_in(folder)
    subject.cases()
    is_direct = definition.catalog.get("publishing", {}).get("as") == "direct"
    if is_direct and published is not None:
        raise UsageError(
            f"{definition.name} is a Direct Destination, which has no metadata.json:"
            " leave out --published"
        )
    exported = None
    if not is_direct:
        exported = export_segment(folder, into or _NOWHERE, partial=True, check=True, force=True)
    page, page_issue, images = _page(folder, definition, subject)
    found = Publication(
        folder,
        definition,
        _documents(files),
        subject,
        exported,
        page,
        page_issue,
        images,
        _images(folder),
    )
    if published is None:
        return found
    live = Published(published, read_published(published), found.metadata)
    _check_same(live)
    return replace(found, published=live)


def _check_same(published: Published) -> None:
    """Raise `UsageError` for the file of another destination."""
    live, exported = published.live, published.exported
    if live["slug"] == exported["slug"] or live["name"] == exported["name"]:
        return
    if live["actions"].keys() & exported["actions"].keys():
        return
    raise UsageError(
        f"{published.path} is the file of another destination: {live['name']} ({live['slug']}),"
        f" not {exported['name']} ({exported['slug']})"
    )


def _page(
    folder: Path, definition: DestinationDefinition, subject: Subject
) -> tuple[str, str, Mapping[str, bytes]]:
    try:
        page = render_page(folder, definition, subject.plugin, PUBLISHED)
        return page, "", page_images(folder)
    except UsageError as error:
        return "", str(error), {}


def _documents(files: DefinitionFiles) -> Mapping[str, Document]:
    found = {}
    for name, text in files.contents.items():
        try:
            found[name.rpartition(".")[0]] = read_document(text, name=f"{files.path}/{name}")
        except DefinitionError:  # a file that is no part of the definition
            continue
    return found


def _images(folder: Path) -> Mapping[str, bytes]:
    found = {}
    for name in (LOGO, MARK):
        path = folder / FOLDER / name
        if path.exists() and not path.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"{path} leads out of the definition's folder")
        try:
            found[name] = read_input(path, limit=_MAX_IMAGE_BYTES + 1)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from None
        if len(found[name]) > _MAX_IMAGE_BYTES:
            raise UsageError(f"{path} has more than {_MAX_IMAGE_BYTES // 1_000_000} MB")
    return found

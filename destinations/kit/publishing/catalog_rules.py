"""Find what the catalog lacks: texts, addresses, categories, images, secrets, the page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from destinations.errors import Issue
from destinations.kit.lint import configuration_of, lint_page
from destinations.kit.publishing.categories import CATEGORIES, nearest_categories
from destinations.kit.publishing.page_places import PagePlaces
from destinations.kit.publishing.publication import FOLDER, LOGO, MARK, Publication
from destinations.kit.publishing.svg import FaultKind, Svg, read_svg
from destinations.kit.real_secrets import has_token, keys_in, secrets_in_cases
from destinations.segment.json_pointer import pointer

__all__ = [
    "account_fields",
    "account_secrets",
    "case_secrets",
    "catalog_description",
    "catalog_description_length",
    "categories_missing",
    "categories_too_many",
    "categories_unknown",
    "description_length",
    "description_missing",
    "description_period",
    "docs_lint_errors",
    "docs_lint_warnings",
    "docs_page",
    "endpoint",
    "image_bitmaps",
    "image_external",
    "image_invalid",
    "image_scripts",
    "image_sizes",
    "image_texts",
    "image_view_boxes",
    "key_setting",
    "logo_lockup",
    "logo_missing",
    "mark_missing",
    "mark_square",
    "secret_defaults",
    "secret_fields",
    "secret_types",
    "support_missing",
    "test_account",
    "website",
]

_MAX_DESCRIPTION: Final = 500
_MIN_DESCRIPTION: Final = 40
_LONGEST_HELP: Final = 400
_SHORTEST_HELP: Final = 10
_MAX_IMAGE_BYTES: Final = 100_000
_SQUARE: Final = 0.01
_SECRET_WORDS: Final = frozenset(
    {
        *("key", "token", "secret", "password", "credential", "credentials", "bearer"),
        "passphrase",
    }
)
_NO_SECRET: Final = frozenset({"id", "ids", "name", "url", "header", "field", "type"})
_REFUSED_BY_CI: Final = re.compile(
    r"(?:^|[^A-Za-z0-9])(key|token|secret|password|code)(?:$|[^A-Za-z0-9])", re.IGNORECASE
)
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


# -- secrets ---------------------------------------------------------------------------------------


def secret_types(publication: Publication) -> Iterator[Issue]:
    """Yield the settings that are secrets by their name, and are shown as text.

    Those that are sent as credentials are passwords: no definition is valid otherwise.
    """
    definition = publication.definition
    for key, spec in definition.settings["properties"].items():
        if spec.get("format") == "password":
            continue
        place = pointer("settings", "properties", key)
        if word := _secret_word(key, is_text=spec.get("type") == "string"):
            message = f"the setting {key} is a secret by its name ({word}), and is not a password"
            yield publication.issue(message, place)


def _secret_word(key: str, *, is_text: bool) -> str:
    """Return the word of a name that says that it is a secret; empty if none does.

    Segment's own check does not look into names such as apiKey, nor at the type.
    """
    found = _REFUSED_BY_CI.search(key)
    if found is not None:
        return found[1].lower()
    words = [word.lower() for word in _WORD.findall(key)] if is_text else []
    if words and words[-1] in _NO_SECRET:  # accessKeyId
        return ""
    return next((word for word in words if word in _SECRET_WORDS), "")


def secret_defaults(publication: Publication) -> Iterator[Issue]:
    """Yield the secret settings with a default, which everybody would read."""
    definition = publication.definition
    for key in definition.secret_settings:
        if "default" in definition.settings["properties"][key]:
            place = pointer("settings", "properties", key, "default")
            message = f"the secret setting {key} has a default, which the catalog would show"
            yield publication.issue(message, place)


def case_secrets(publication: Publication) -> Iterator[Issue]:
    """Yield what looks like a real secret in the cases."""
    found = secrets_in_cases(publication.subject.folder, publication.definition)
    yield from (issue for issues in found.values() for issue in issues)


def secret_fields(publication: Publication) -> Iterator[Issue]:
    """Yield the fields of actions that ask for secrets: mappings are not kept as such."""
    for slug, action in publication.definition.event_actions.items():
        for key in action.fields["properties"]:
            words = {word.lower() for word in _WORD.findall(key)}
            if words & {"secret", "password", "token", "credential", "credentials", "passphrase"}:
                place = pointer("fields", "properties", key)
                message = f"the field {key} is a secret by its name"
                yield publication.issue(message, place, slug)


# -- descriptions ----------------------------------------------------------------------------------


def _described(publication: Publication) -> Iterator[tuple[str, str, str, str]]:
    """Yield what has a description: what it is, the text, its place and its file."""
    definition = publication.definition
    for key, spec in definition.settings["properties"].items():
        place = pointer("settings", "properties", key)
        yield f"the setting {key}", _text(spec), place, "destination"
    if publication.kind == "direct":
        return
    for slug, action in definition.event_actions.items():
        yield f"the action {slug}", " ".join(action.description.split()), "", slug
        for key, spec in action.fields["properties"].items():
            place = pointer("fields", "properties", key)
            yield f"the field {key} of {slug}", _text(spec), place, slug


def _text(spec: Mapping[str, Any]) -> str:
    return " ".join(str(spec.get("description", "")).split())


def description_missing(publication: Publication) -> Iterator[Issue]:
    """Yield the settings, actions and fields without a description."""
    for what, text, place, stem in _described(publication):
        if not text:
            yield publication.issue(f"{what} has no description", place, stem)


def description_length(publication: Publication) -> Iterator[Issue]:
    """Yield descriptions that are too short to help, or too long to read."""
    for what, text, place, stem in _described(publication):
        if text and not _SHORTEST_HELP <= len(text) <= _LONGEST_HELP:
            message = (
                f"the description of {what} has {len(text)} characters:"
                f" expected {_SHORTEST_HELP} to {_LONGEST_HELP}"
            )
            yield publication.issue(message, f"{place}/description", stem)


def description_period(publication: Publication) -> Iterator[Issue]:
    """Yield descriptions that do not end as sentences do."""
    for what, text, place, stem in _described(publication):
        if text and not text.endswith((".", "?", ".)")):
            message = f"the description of {what} does not end with a period"
            yield publication.issue(message, f"{place}/description", stem)


# -- the entry in the catalog ----------------------------------------------------------------------


def catalog_description(publication: Publication) -> Iterator[Issue]:
    """Yield that the description does not fit into the catalog."""
    length = len(" ".join(publication.definition.description.split()))
    if length > _MAX_DESCRIPTION:
        message = f"the description has {length} characters: expected at most {_MAX_DESCRIPTION}"
        yield publication.issue(message, "/description")


def catalog_description_length(publication: Publication) -> Iterator[Issue]:
    """Yield that the description says hardly anything."""
    length = len(" ".join(publication.definition.description.split()))
    if length < _MIN_DESCRIPTION:
        message = f"the description has {length} characters: what is it for?"
        yield publication.issue(message, "/description")


def website(publication: Publication) -> Iterator[Issue]:
    """Yield that there is no website, or none that is safe to open."""
    address = publication.definition.catalog.get("website")
    if address is None:
        yield publication.issue("the destination has no website", "/website")
    elif urlsplit(address).scheme != "https":
        yield publication.issue(f"the website {address} is not an https URL", "/website")


def categories_missing(publication: Publication) -> Iterator[Issue]:
    """Yield that there is no category."""
    if not publication.categories:
        yield publication.issue("the destination has no category", "/categories")


def categories_too_many(publication: Publication) -> Iterator[Issue]:
    """Yield that there are more than a primary and a secondary category."""
    if len(publication.categories) > 2:
        message = f"there are {len(publication.categories)} categories: expected one or two"
        yield publication.issue(message, "/categories")


def categories_unknown(publication: Publication) -> Iterator[Issue]:
    """Yield the categories that the catalog does not have, with those that are near."""
    for index, name in enumerate(publication.categories):
        if name not in CATEGORIES:
            near = nearest_categories(name)
            hint = f"; near it: {', '.join(near)}" if near else ""
            message = f"the catalog has no category {name!r}{hint}"
            yield publication.issue(message, pointer("categories", index))


def support_missing(publication: Publication) -> Iterator[Issue]:
    """Yield that Segment's support has nobody to write to."""
    if not publication.support:
        yield publication.issue("there is no support address", "/publishing/support")


def test_account(publication: Publication) -> Iterator[Issue]:
    """Yield that reviewers do not learn how to get an account."""
    if "testAccount" not in publication.publishing:
        message = "nothing says how reviewers get a test account"
        yield publication.issue(message, "/publishing/testAccount")


def account_fields(publication: Publication) -> Iterator[Issue]:
    """Yield the settings whose values reviewers would not find."""
    account = publication.publishing.get("testAccount")
    if account is None:
        return
    properties = publication.catalog_settings
    for key in publication.definition.settings.get("required", ()):
        if key not in properties or "default" in properties[key]:
            continue
        if key not in account.get("fields", {}):
            message = f"nothing says where reviewers find {key}"
            yield publication.issue(message, "/publishing/testAccount/fields")


def account_secrets(publication: Publication) -> Iterator[Issue]:
    """Yield what looks like a secret in the texts on the test account."""
    account: Mapping[str, Any] = publication.publishing.get("testAccount", {})
    texts = [("/publishing/testAccount/request", str(account.get("request", "")))]
    for key, text in account.get("fields", {}).items():
        texts.append((f"/publishing/testAccount/fields{pointer(key)}", str(text)))
    for place, text in texts:
        without_urls = re.sub(r"https?://\S+|\S+@\S+", "", text)
        if has_token(without_urls) or any(keys_in(text)):
            yield publication.issue("the text holds what looks like a secret", place)


# -- a Direct Destination --------------------------------------------------------------------------


def endpoint(publication: Publication) -> Iterator[Issue]:
    """Yield that the portal is not told where to send events."""
    if "endpoint" not in publication.publishing:
        yield publication.issue("there is no endpoint", "/publishing/endpoint")


def key_setting(publication: Publication) -> Iterator[Issue]:
    """Yield that no setting, or more than one, is the key that events come with."""
    secret = [
        key for key, one in publication.catalog_settings.items() if one.get("format") == "password"
    ]
    if len(secret) != 1:
        named = ", ".join(secret) or "none"
        message = f"one secret setting is the customer's key: there are {len(secret)} ({named})"
        yield publication.issue(message, "/settings")


# -- images ----------------------------------------------------------------------------------------


def _read(publication: Publication) -> Iterator[tuple[str, Svg]]:
    for name, data in publication.images.items():
        yield name, read_svg(data)


def _missing(publication: Publication, name: str) -> Iterator[Issue]:
    if name not in publication.images:
        yield publication.image_issue(name, f"there is no {FOLDER}/{name}")


def logo_missing(publication: Publication) -> Iterator[Issue]:
    """Yield that there is no logo."""
    yield from _missing(publication, LOGO)


def mark_missing(publication: Publication) -> Iterator[Issue]:
    """Yield that there is no mark."""
    yield from _missing(publication, MARK)


def _faults(publication: Publication, kind: FaultKind) -> Iterator[Issue]:
    for name, svg in _read(publication):
        for fault in svg.of(kind):
            yield publication.image_issue(name, fault.message, fault.line)


def image_invalid(publication: Publication) -> Iterator[Issue]:
    """Yield images that are not SVG."""
    yield from _faults(publication, "invalid")


def image_scripts(publication: Publication) -> Iterator[Issue]:
    """Yield the code in images, and what moves."""
    yield from _faults(publication, "script")


def image_external(publication: Publication) -> Iterator[Issue]:
    """Yield what images load from elsewhere."""
    yield from _faults(publication, "external")


def image_bitmaps(publication: Publication) -> Iterator[Issue]:
    """Yield the bitmaps in images."""
    yield from _faults(publication, "bitmap")


def image_texts(publication: Publication) -> Iterator[Issue]:
    """Yield text in images, which needs a font."""
    yield from _faults(publication, "text")


def image_view_boxes(publication: Publication) -> Iterator[Issue]:
    """Yield the images that cannot be scaled."""
    for name, svg in _read(publication):
        if svg.view_box is None and not svg.of("invalid"):
            yield publication.image_issue(name, "has no viewBox", 1)


def image_sizes(publication: Publication) -> Iterator[Issue]:
    """Yield the images that have too many bytes."""
    for name, data in publication.images.items():
        if len(data) > _MAX_IMAGE_BYTES:
            message = f"has {len(data):,} bytes: expected at most {_MAX_IMAGE_BYTES:,}"
            yield publication.image_issue(name, message)


def mark_square(publication: Publication) -> Iterator[Issue]:
    """Yield that the mark is not square."""
    for name, svg in _read(publication):
        if name != MARK:
            continue
        for what, size in (("viewBox", svg.view_box), ("width and height", svg.size)):
            if size is not None and abs(size[0] / size[1] - 1) > _SQUARE:
                message = f"is not square: its {what} say {size[0]:g} by {size[1]:g}"
                message = message.replace("its viewBox say", "its viewBox is")
                yield publication.image_issue(name, message, 1)


def logo_lockup(publication: Publication) -> Iterator[Issue]:
    """Yield that the logo is not a horizontal lockup."""
    for name, svg in _read(publication):
        if name == LOGO and svg.ratio is not None and svg.ratio <= 1:
            yield publication.image_issue(name, "is not wider than high", 1)


# -- the page --------------------------------------------------------------------------------------


def docs_page(publication: Publication) -> Iterator[Issue]:
    """Yield that the documentation page cannot be made."""
    if publication.page_issue:
        yield publication.issue(publication.page_issue, "/documentation")


def _lint(publication: Publication, level: str) -> Iterator[Issue]:
    if not publication.page:
        return
    slug = publication.definition.slug
    page = Path("docs") / slug / f"{slug}.md"
    found = [
        one
        for one in lint_page(publication.page, page, configuration_of(page))
        if one.level == level
    ]
    if not found:
        return
    places = PagePlaces(publication)
    # The page shows some texts several times.
    yield from dict.fromkeys(issue for one in found for issue in places.issues(one))


def docs_lint_errors(publication: Publication) -> Iterator[Issue]:
    """Yield the errors that `docs lint` finds in the page."""
    yield from _lint(publication, "error")


def docs_lint_warnings(publication: Publication) -> Iterator[Issue]:
    """Yield the warnings that `docs lint` finds in the page."""
    yield from _lint(publication, "warning")

"""Write the texts of a pack: pull requests, the mail, what the portal asks, and the checklist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final

from destinations.kit.exporter.settings import kept_by_segment, with_constants
from destinations.kit.portal import Row, Verdict
from destinations.kit.publishing.finding import Finding
from destinations.kit.publishing.publication import LOGO, MARK, Batching, Publication

__all__ = [
    "Places",
    "actions_checklist",
    "direct_checklist",
    "docs_pull_request",
    "mail",
    "portal",
    "portal_check",
    "pull_request",
]

SUPPORT: Final = "partner-support@segment.com"
_LATER: Final = "**(to be added)**"
_BATCHING: Final[Mapping[Batching, str]] = {
    "none": "no",
    "each": "a result for each event",
    "whole": "which succeed or fail as a whole",
}
_PLATFORMS: Final = {"browser": "websites", "mobile": "mobile apps", "server": "servers"}


class Places:
    """The places of a pack's parts in Segment's repositories."""

    def __init__(self, slug: str, exported_slug: str) -> None:
        self.tests = f"src/destinations/{slug}"
        self.folder = f"packages/destination-actions/{self.tests}"
        self.page = f"src/connections/destinations/catalog/{exported_slug}"
        self.code = f"action-destinations/{self.folder}"
        self.docs = f"segment-docs/{self.page}"


# -- tables and lists ------------------------------------------------------------------------------


def _cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|") or " "


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _joined(*parts: str) -> str:
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def _sentence(message: str) -> str:
    return f"{message[:1].upper()}{message[1:]}."


def _description(publication: Publication) -> str:
    return " ".join(publication.definition.description.split())


# -- pull requests ---------------------------------------------------------------------------------


def pull_request(publication: Publication, places: Places, findings: Sequence[Finding]) -> str:
    """Return the text of the pull request to the repository of action destinations."""
    definition = publication.definition
    is_live = publication.published is not None
    title = f"{'Update' if is_live else 'Add'} the destination {definition.name}"
    exported = publication.exported
    left_out = () if exported is None else exported.left_out
    return _joined(
        f"# {title}",
        "## Summary",
        _description(publication),
        _actions(publication),
        f"All of it is in `{places.folder}`: one integration, and no change of anything else.",
        _compatibility(findings) if is_live else "",
        _left_out([issue.message for issue in left_out]),
        "## Testing",
        _tests(publication),
        "\n".join(
            [
                "- [ ] Added unit tests for new functionality: run them, then tick this.",
                "- [ ] Tested end-to-end using the local server, with a real account.",
                *(["- [ ] Tested for backward compatibility of the live destination."] * is_live),
            ]
        ),
        "## Security Review",
        _table(
            ["setting", "type", "required"],
            [
                (f"`{key}`", f"`{one['type']}`", "yes" if one["required"] is True else "no")
                for key, one in _settings(publication.metadata).items()
            ],
        ),
        "- [ ] **Reviewed all field definitions** for sensitive data (API keys, tokens, passwords,"
        " client secrets) and confirmed they use `type: 'password'`",
        "## New Destination Checklist",
        _versions(publication),
    )


def _settings(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (metadata.get("authentication") or {}).get("fields", {})
    return found


def _actions(publication: Publication) -> str:
    rows = []
    for slug, action in publication.metadata["actions"].items():
        presets = [
            f"`{preset['subscribe']}`"
            for preset in publication.metadata["presets"]
            if preset["partnerAction"] == slug
        ]
        batching = publication.batching(slug)
        batches = _BATCHING[batching]
        if batching != "none":
            batches = f"up to {action['fields']['batch_size']['default']:,}, {batches}"
        rows.append((f"`{slug}`", action["description"], ", ".join(presets) or "none", batches))
    return _table(["action", "what it does", "events of its presets", "batches"], rows)


def _compatibility(findings: Sequence[Finding]) -> str:
    live = [one for one in findings if one.rule.id.startswith("live-")]
    broken = [f"- {_sentence(one.issue.message)}" for one in live if one.level == "error"]
    notes = [f"- {_sentence(one.issue.message)}" for one in live if one.level == "warning"]
    text = (
        "Compared with the `metadata.json` that is live, this breaks what customers have set up:"
        if broken
        else "Compared with the `metadata.json` that is live: no action, field, setting or choice"
        " is gone, no type has changed, and nothing is required that was not."
    )
    return _joined("## Backward compatibility", text, "\n".join(broken), "\n".join(notes))


def _left_out(messages: Sequence[str]) -> str:
    if not messages:
        return ""
    lines = [f"- {_sentence(message)}" for message in dict.fromkeys(messages)]
    return _joined("Left to Segment or the partner:", "\n".join(lines))


def _tests(publication: Publication) -> str:
    exported = publication.exported
    source = "" if exported is None else exported.files.get("__tests__/cases.test.ts", "")
    number = source.count("\n  it(")
    if not number:
        return ""
    cases = len(publication.subject.cases())
    return (
        f"`__tests__/cases.test.ts` has {number} test{'s' * (number != 1)}, made from {cases}"
        f" recorded case{'s' * (cases != 1)}. They deliver events through the framework, and"
        " compare each request (method, URL, headers, body) and what becomes of each event:"
        " delivered, tried again, or rejected."
    )


def _versions(publication: Publication) -> str:
    exported = publication.exported
    source = "" if exported is None else exported.files["versioning-info.ts"]
    names = [line.split("=")[-1].strip() for line in source.splitlines() if "const " in line]
    if not names:
        return "- [x] No request names a version of the API: `versioning-info.ts` has none."
    return f"- [x] `versioning-info.ts` has all versions of the API: {', '.join(names)}."


def docs_pull_request(publication: Publication, places: Places) -> str:
    """Return the text of the pull request to the repository of Segment's docs."""
    definition = publication.definition
    return _joined(
        f"# Add the page of the destination {definition.name}",
        f"The page says how to set up {definition.name}, and what each of its actions does. It is"
        f" made from the destination's definition, and every code sample on it was run.",
        f"Location: `{places.page}/index.md`"
        + (", with its images." if publication.page_images else "."),
    )


# -- the mail --------------------------------------------------------------------------------------


def mail(publication: Publication, exported_slug: str) -> str:
    """Return the mail with what the catalog shows, and what Segment's support needs."""
    definition = publication.definition
    categories = publication.categories
    rows = [
        ("Name", definition.name),
        ("Slug", f"`{exported_slug}`"),
        ("Pull request", "**(its link)**"),
        ("Description", _description(publication)),
        ("Website", definition.catalog.get("website", _LATER)),
        ("Primary category", categories[0] if categories else _LATER),
        ("Secondary category", categories[1] if len(categories) > 1 else "none"),
        ("Logo", _attached(publication, LOGO)),
        ("Mark", _attached(publication, MARK)),
        ("Support address", publication.support or _LATER),
        ("Test account", _account(publication)),
    ]
    return _joined(
        f"To: {SUPPORT}\nSubject: Catalog entry of {definition.name}",
        f"Please find below what the catalog needs for {definition.name}.",
        _table(["", ""], [(f"**{name}**", value) for name, value in rows]),
        _account_fields(publication),
        "The credentials of the test account come in another way, not with this mail.",
    )


def _attached(publication: Publication, name: str) -> str:
    return f"attached (`{name}`)" if name in publication.images else _LATER


def _account(publication: Publication) -> str:
    return str(publication.publishing.get("testAccount", {}).get("request", _LATER))


def _account_fields(publication: Publication) -> str:
    fields = publication.publishing.get("testAccount", {}).get("fields", {})
    properties = publication.catalog_settings
    rows = [
        (properties[key].get("title", key), text)
        for key, text in fields.items()
        if key in properties
    ]
    if not rows:
        return ""
    return _joined(
        "Where reviewers find the settings in the test account:", _table(["setting", "where"], rows)
    )


# -- a Direct Destination --------------------------------------------------------------------------


def portal(publication: Publication, calls: Sequence[str]) -> str:
    """Return what the portal asks for, in its order, and what to enter."""
    definition = publication.definition
    catalog = definition.catalog
    modes: Mapping[str, str] = catalog.get("connectionModes", {})
    platforms = [
        f"{_PLATFORMS[platform]} ({mode} mode)"
        for platform, mode in modes.items()
        if mode != "none"
    ]
    rows = [
        ("Name", definition.name),
        ("Slug", f"`{definition.slug}`; it cannot be changed later"),
        ("Description", _description(publication)),
        ("Website", catalog.get("website", _LATER)),
        ("Categories", ", ".join(publication.categories) or _LATER),
        ("Logo", _attached(publication, LOGO)),
        ("Mark", _attached(publication, MARK)),
        ("Endpoint", _endpoint(publication)),
        ("Supported calls", ", ".join(calls)),
        ("Requests to delete a user", _deletion(publication)),
        ("Platforms", ", ".join(platforms) or _LATER),
        ("Support address", publication.support or _LATER),
        ("Documentation page", f"`documentation/{definition.slug}-submission.md`"),
        ("Test account", _account(publication)),
    ]
    return _joined(
        f"# {definition.name} at Segment's Developer Portal",
        "The portal asks for this under *Build a direct destination*.",
        _table(["field", "what to enter"], rows),
        "## Settings",
        "The API key is there from the start: Segment sends it as the user of HTTP Basic. Add the"
        " others in the settings editor: they come in `X-Segment-Settings`.",
        _table(
            ["setting", "key", "required", "description"],
            [
                (
                    one.get("title", key),
                    f"`{key}`" + (" (the API key)" if one.get("format") == "password" else ""),
                    "yes" if key in definition.settings.get("required", ()) else "no",
                    one.get("description", ""),
                )
                for key, one in publication.catalog_settings.items()
            ],
        ),
        "## For reviewers" if "testAccount" in publication.publishing else "",
        _account_fields(publication),
    )


def _endpoint(publication: Publication) -> str:
    address = publication.publishing.get("endpoint")
    return f"`{address}`" if address else _LATER


def _deletion(publication: Publication) -> str:
    if publication.definition.deletion is not None:
        return "supported"
    return "answered 501: tell Segment how users are deleted"


def portal_check(publication: Publication, rows: Sequence[Row], place: str) -> str:
    """Return the result of `destinations portal-check` as a page."""
    numbers = {verdict: sum(row.verdict is verdict for row in rows) for verdict in Verdict}
    notes = [row for row in rows if row.verdict is not Verdict.OK and row.message]
    table = _table(
        ["check", "sent", "answered", "expected", "verdict"],
        [(f"`{r.name}`", r.sent, _statuses(r), r.expected, str(r.verdict)) for r in rows],
    )
    return _joined(
        f"# The endpoint of {publication.definition.name}",
        f"`destinations portal-check`, made with {place}:"
        f" {numbers[Verdict.OK]} ok, {numbers[Verdict.NOTE]} notes,"
        f" {numbers[Verdict.FAULT]} faults, {numbers[Verdict.SKIPPED]} skipped.",
        table,
        "## Notes" if notes else "",
        "\n".join(f"- `{row.name}`: {row.message}" for row in notes),
    )


def _statuses(row: Row) -> str:
    return ", ".join(dict.fromkeys(str(one) if one else "none" for one in row.statuses))


# -- checklists ------------------------------------------------------------------------------------


def _item(finding: Finding) -> str:
    """Return a finding as an item, with its file where the message does not name its subject."""
    issue, message = finding.issue, finding.issue.message
    name = PurePath(issue.file or "").name
    if finding.rule.id.startswith("image-") or finding.rule.id in {"mark-square", "logo-lockup"}:
        message = f"`{name}` {message}"
    elif finding.rule.id.startswith("docs-") and name:
        message = f"`{name}`, line {issue.line}: {message}"
    return f"- [ ] {_sentence(message)} {finding.rule.fix}"


def _open(findings: Sequence[Finding]) -> str:
    """Return what the definition still lacks, as items."""
    lines = [_item(one) for one in findings if one.level == "error"]
    if not lines:
        return ""
    return _joined("## Open", "`destinations publish check` found this:", "\n".join(lines))


def _warned(findings: Sequence[Finding]) -> str:
    lines = [_item(one) for one in findings if one.level == "warning"]
    if not lines:
        return ""
    return _joined("## To look at", "Reviewers may ask about these:", "\n".join(lines))


def _items(*lines: str) -> str:
    return "\n".join(f"- [ ] {line}" for line in lines)


def actions_checklist(
    publication: Publication, places: Places, exported_slug: str, findings: Sequence[Finding]
) -> str:
    """Return what only a person can do for a folder of TypeScript."""
    name = publication.definition.name
    is_live = publication.published is not None
    return _joined(
        f"# Publish {name}",
        "What only a person can do, in this order. The rest is in this folder.",
        _open(findings),
        _warned(findings),
        "## Before the first pull request" if not is_live else "",
        ""
        if is_live
        else _items(
            "Become a Segment partner, and agree to its program.",
            f"Make sure that the catalog has no destination `{exported_slug}` yet; the slug, and"
            " the names of actions, cannot be changed later.",
        ),
        "## The code",
        _items(
            "Fork `segmentio/action-destinations`, and install it as its `docs/create.md` says.",
            "Copy the folder `action-destinations` over the checkout.",
            "Run `yarn build`, and what Segment's CI runs: `yarn types`,"
            " `yarn generate:metadata-payload`, `yarn validate`, `yarn lint`, and"
            f" `yarn cloud test --testPathPattern={places.tests}`. None of them changes a file of"
            " the folder; then `git status` shows only this folder.",
            "Send events of each action with the local server (`./bin/run serve`) and a real"
            " account, and look at them in your product.",
            "Open the pull request with `pull-request.md`: its heading is the title, and the rest"
            " the text. Tick what you did. It must hold one integration, and no change of the list"
            " of all destinations: Segment adds it.",
        ),
        "## The page",
        _items(
            "Fork `segmentio/segment-docs`, and copy the folder `segment-docs` over the checkout.",
            "Open a pull request of its own with `docs-pull-request.md`: its heading is the title,"
            " and the rest the text.",
        ),
        "## The catalog",
        _items(
            f"Send `mail.md` to {SUPPORT}, with the link of the pull request, and with `{LOGO}` and"
            f" `{MARK}` attached.",
            "Hand over the test account in the way that Segment names: no secret goes by mail.",
        ),
        _oauth2(publication),
        "## After the merge",
        _items(
            "Open the destination in a workspace of yours, and look at the entry and its forms.",
            "Have a customer try it in the private beta; then ask for the public release.",
            f"Keep the merged `{places.folder}/metadata.json`: the next version is checked"
            " with `--published metadata.json`.",
        ),
    )


def _oauth2(publication: Publication) -> str:
    """Return what Segment's portal has to know of a partner whom customers authorize it at."""
    oauth2 = with_constants(publication.definition).oauth2
    if oauth2 is None or not kept_by_segment(publication.definition):
        return ""
    url = oauth2.token_url
    known = f" (`{url}`)" if isinstance(url, str) else ""
    scopes = f", and the scopes `{' '.join(oauth2.scopes)}`" if oauth2.scopes else ""
    return _joined(
        "## Access tokens",
        "Customers authorize Segment at your OAuth2 server, and Segment keeps the tokens.",
        _items(
            "Register Segment as a client of your OAuth2 server, with the redirect URL that Segment"
            " names.",
            "Once Segment has invited you to manage the destination in its Developer Portal, enter"
            f" there client ID and client secret, the authorization URL, and the token URL{known}"
            f"{scopes}.",
        ),
    )


def _faults(number: int) -> str:
    counted = "1 fault" if number == 1 else f"{number} faults"
    return f"Correct what `portal-check.md` says of {counted}."


def direct_checklist(
    publication: Publication, rows: Sequence[Row], findings: Sequence[Finding]
) -> str:
    """Return what only a person can do for a Direct Destination."""
    faults = sum(row.verdict is Verdict.FAULT for row in rows)
    definition = publication.definition
    needs = [_faults(faults)] if faults else []
    return _joined(
        f"# Publish {definition.name}",
        "What only a person can do, in this order. The rest is in this folder.",
        _open(findings),
        _warned(findings),
        "## The endpoint",
        _items(
            *needs,
            "Run `destinations serve` behind a proxy that speaks HTTPS, with a store that is backed"
            " up.",
            "Check it with the key of a test account:"
            " `destinations portal-check URL --key env:TEST_ACCOUNT_KEY`.",
            "Look into the test account for the events of the checks that `portal-check.md` notes.",
        ),
        "## The portal",
        _items(
            "Become a Segment partner, and ask for access to the Developer Portal.",
            "Create the destination, and enter what `portal.md` says.",
            "Send test events at the portal, then events of a source in a workspace of yours, and"
            " look at them in your product.",
            "Tell Segment how users are deleted."
            if definition.deletion is None
            else "Try a request to delete a user.",
        ),
        "## The page and the review",
        _items(
            f"Paste `documentation/{definition.slug}-submission.md` into a note at HackMD, share it"
            f" with {SUPPORT}, and send the original images.",
            "Hand over the test account in the way that Segment names: no secret goes by mail.",
            "Submit the destination for review.",
        ),
        "## After the release",
        _items(
            "Watch the customers and refused events: `destinations tenants list`,"
            " `destinations refused list`.",
            "Keep the endpoint's path and the slug.",
        ),
    )

"""List the rules of publishing, and check a definition by them."""

from __future__ import annotations

from typing import Final

from destinations.kit.publishing import actions_rules as actions
from destinations.kit.publishing import breaking
from destinations.kit.publishing import catalog_rules as catalog
from destinations.kit.publishing.finding import BOTH, Find, Finding, Level, Rule
from destinations.kit.publishing.publication import Publication

__all__ = ["RULES", "check"]

_VALIDATE: Final = "action-destinations: packages/cli/src/commands/validate.ts"
_TYPES: Final = "action-destinations: packages/cli/src/commands/generate/types.ts"
_SECRETS: Final = "action-destinations: .github/workflows/required-secret-check.yml"
_REQUIRED: Final = "action-destinations: .github/workflows/required-field-check.yml"
_README: Final = "action-destinations: README.md"
_CONTRIBUTING: Final = "action-destinations: CONTRIBUTING.md"
_LIVE: Final = "action-destinations: CONTRIBUTING.md, on integrations that are live"
_CATALOG: Final = "action-destinations: CONTRIBUTING.md, on metadata for the catalog"
_REVIEWS: Final = "reviews of pull requests to action-destinations"
_GUIDELINES: Final = "action-destinations: docs/pr-guidelines"
_MULTISTATUS: Final = "action-destinations: docs/multistatus.md"
_TEMPLATE: Final = "action-destinations: .github/PULL_REQUEST_TEMPLATE.md"
_TESTING: Final = "action-destinations: docs/testing.md"
_DOCS: Final = "the style guide and the linter of Segment's docs"
_PORTAL: Final = "Segment's guide to Direct Destinations"
_PARTNERS: Final = "Segment's guides for partners"


def _breaking(
    name: str, find: Find, fix: str, *, level: Level = "error", source: str = _LIVE
) -> Rule:
    """Return a rule for a destination that is live."""
    why = (
        "Customers who have set up the destination would lose events, or see errors."
        if level == "error"
        else "Customers would see a difference, or be told something that is no longer true."
    )
    return Rule(name, level, why, fix, source, find)


RULES: Final = (
    # -- presets, batches, times, tests --------------------------------------------------------
    Rule(
        "presets",
        "error",
        "Without presets a customer who adds the destination has nothing that sends events.",
        "Add `presets` to destination.yaml: one for each action that most customers want.",
        _REVIEWS,
        actions.no_presets,
    ),
    Rule(
        "presets-of-actions",
        "warning",
        "Customers do not find an action that no preset sets up.",
        "Add a preset for the action, or say on the page when to use it.",
        _REVIEWS,
        actions.presets_of_actions,
    ),
    Rule(
        "preset-fields",
        "error",
        "Every event of such a preset is refused.",
        "Map the field in the preset, or give it a default.",
        _VALIDATE,
        actions.preset_fields,
    ),
    Rule(
        "export",
        "error",
        "The folder that Segment merges would lack this, and its actions would fail.",
        "Say it in another way (a conversion in the mapping of the request, which is exported as"
        " code), or publish a Direct Destination (`publishing: {as: direct}`).",
        "`destinations export segment`",
        actions.exports,
    ),
    Rule(
        "batching",
        "warning",
        "One request for each of many events costs time, and runs into limits of the partner.",
        "If the partner has an API for batches, use it with `batch` in the request.",
        _REVIEWS,
        actions.batches,
    ),
    Rule(
        "batch-results",
        "warning",
        "One event that the partner refuses makes all events of its batch fail.",
        "If the answer names the failed events, say where in `batch.failures` of the request.",
        _MULTISTATUS,
        actions.batch_results,
    ),
    Rule(
        "batch-keys",
        "error",
        "Segment refuses a list of more than three keys, and keys other than fields.",
        "Name at most three fields of the action.",
        _VALIDATE,
        actions.batch_keys,
    ),
    Rule(
        "event-time",
        "error",
        "Events that come late, or are replayed, would have a wrong time.",
        "Read `$.timestamp`; another time is only what it falls back to.",
        _REVIEWS,
        actions.own_time,
    ),
    Rule(
        "event-time-missing",
        "warning",
        "The partner takes the time of arrival, which is wrong for replayed events.",
        "If the partner takes a time, add a field with the default `{'@path': $.timestamp}`.",
        _REVIEWS,
        actions.event_time,
    ),
    Rule(
        "cases",
        "error",
        "The tests of the pull request are made from the cases, and reviews ask for tests.",
        "Record one with `destinations record`.",
        _TESTING,
        actions.cases,
    ),
    Rule(
        "failing-cases",
        "warning",
        "Nothing shows what becomes of an event that the partner refuses.",
        "Record a case with an error, such as one with a wrong key.",
        _TESTING,
        actions.failing_cases,
    ),
    Rule(
        "authentication-test",
        "warning",
        "A customer with a wrong key learns of it only from events that fail.",
        "Add `authentication` with a request that succeeds only with good credentials.",
        "action-destinations: docs/authentication.md",
        actions.authentication_test,
    ),
    # -- names ---------------------------------------------------------------------------------
    Rule(
        "reserved-settings",
        "error",
        "Segment's own tools refuse the names under which it keeps tokens.",
        "Give the setting another name.",
        _TYPES,
        actions.reserved_settings,
    ),
    Rule(
        "action-names",
        "warning",
        "A file of the folder, or another action, has this name. `yarn types` looks for a folder"
        " of the name itself, and writes a file beside it that belongs to no pull request.",
        "Give the action another slug, before it is published: later it cannot be changed.",
        "`destinations export segment`",
        actions.action_names,
    ),
    Rule(
        "field-names",
        "error",
        "The types that Segment generates, paths in mappings and its own fields need these names.",
        "Rename it: ASCII letters, digits, _, $ and -, but no name that JavaScript or Segment has.",
        _TYPES,
        actions.field_names,
    ),
    Rule(
        "api-versions",
        "warning",
        "Segment keeps all versions of an API that a destination uses in versioning-info.ts.",
        "Put the version into the URL if the API allows it, or write it into that file of the pack,"
        " between the marks `// By hand`.",
        _TEMPLATE,
        actions.api_versions,
    ),
    # -- secrets and descriptions --------------------------------------------------------------
    Rule(
        "secret-type",
        "error",
        "Segment shows other settings as text, and keeps them in logs and in version control.",
        "Give the setting `format: password`; if it is not a secret, give it another name.",
        _SECRETS,
        catalog.secret_types,
        BOTH,
    ),
    Rule(
        "secret-default",
        "error",
        "It would be in the code and in the catalog, for everybody to read and to use.",
        "Remove `default`, and have each customer enter a key of their own.",
        _README,
        catalog.secret_defaults,
        BOTH,
    ),
    Rule(
        "case-secret",
        "error",
        "Cases are in the repository, and become tests in Segment's public one.",
        "Put a placeholder there, and have the key replaced by its owner: others may know it.",
        _README,
        catalog.case_secrets,
        BOTH,
    ),
    Rule(
        "secret-field",
        "warning",
        "Segment keeps mappings, and shows their values in the log of events.",
        "Ask for secrets in `settings`; if it is none, give the field another name.",
        _README,
        catalog.secret_fields,
    ),
    Rule(
        "description-missing",
        "error",
        "Segment's form shows it below the field, and its CI refuses an action without one.",
        "Write a `description`: what it is for, in a sentence.",
        _VALIDATE,
        catalog.description_missing,
        BOTH,
    ),
    Rule(
        "description-length",
        "warning",
        "The form has room for a sentence or two.",
        "Say what it is for, and leave the rest to the page.",
        _GUIDELINES,
        catalog.description_length,
        BOTH,
    ),
    Rule(
        "description-period",
        "warning",
        "Reviews ask for sentences.",
        "End the description with a period.",
        _GUIDELINES,
        catalog.description_period,
        BOTH,
    ),
    # -- the catalog ---------------------------------------------------------------------------
    Rule(
        "catalog-description",
        "error",
        "The catalog has room for about 500 characters.",
        "Shorten `description`; the page has room for more.",
        _CATALOG,
        catalog.catalog_description,
        BOTH,
    ),
    Rule(
        "catalog-description-length",
        "warning",
        "It is all that a customer reads before choosing the destination.",
        "Say in `description` what the partner is for, and what the destination does.",
        _CATALOG,
        catalog.catalog_description_length,
        BOTH,
    ),
    Rule(
        "website",
        "error",
        "The catalog links it.",
        "Add `website: https://...` to destination.yaml.",
        _CATALOG,
        catalog.website,
        BOTH,
    ),
    Rule(
        "categories-missing",
        "error",
        "Customers find destinations by category.",
        "Add `categories` with a primary one, and perhaps a secondary one.",
        _CATALOG,
        catalog.categories_missing,
        BOTH,
    ),
    Rule(
        "categories-too-many",
        "error",
        "The catalog shows a destination in its primary and a secondary category.",
        "Keep the two that fit best, the primary one first.",
        _CATALOG,
        catalog.categories_too_many,
    ),
    Rule(
        "categories-unknown",
        "error",
        "The catalog has a fixed list of categories.",
        "Choose one of the list: `destinations publish check --list` shows it.",
        _CATALOG,
        catalog.categories_unknown,
        BOTH,
    ),
    Rule(
        "support",
        "error",
        "Segment's support forwards what customers ask.",
        "Add `publishing: {support: ...}`, or `maintainer` with an email address.",
        _CATALOG,
        catalog.support_missing,
        BOTH,
        can_follow=True,
    ),
    Rule(
        "test-account",
        "error",
        "Reviewers try the destination with an account of yours.",
        "Add `publishing: {testAccount: {request: ..., fields: {...}}}`, without secrets.",
        _PARTNERS,
        catalog.test_account,
        BOTH,
        can_follow=True,
    ),
    Rule(
        "test-account-fields",
        "error",
        "Reviewers have to enter each required setting.",
        "Say in `publishing.testAccount.fields` where its value is found.",
        _PARTNERS,
        catalog.account_fields,
        BOTH,
    ),
    Rule(
        "test-account-secret",
        "error",
        "What is in the definition is in its repository, and in the mail to Segment.",
        "Say how to get the value, and hand it over in another way.",
        _PARTNERS,
        catalog.account_secrets,
        BOTH,
    ),
    Rule(
        "endpoint",
        "error",
        "The portal asks where Segment sends events.",
        "Add `publishing: {endpoint: https://...}`.",
        _PORTAL,
        catalog.endpoint,
        ("direct",),
        can_follow=True,
    ),
    Rule(
        "key-setting",
        "error",
        "Segment sends one API key with each event, as the user of HTTP Basic.",
        "Have exactly one setting of `format: password` that the catalog asks for.",
        _PORTAL,
        catalog.key_setting,
        ("direct",),
    ),
    # -- logo and mark -------------------------------------------------------------------------
    Rule(
        "logo-missing",
        "error",
        "The catalog shows it: the name of the company beside its mark.",
        "Put the logo into publishing/logo.svg, next to destination.yaml.",
        _CATALOG,
        catalog.logo_missing,
        BOTH,
        can_follow=True,
    ),
    Rule(
        "mark-missing",
        "error",
        "The catalog and the app show it where a logo is too wide.",
        "Put the mark into publishing/mark.svg: square, and without the company's name.",
        _CATALOG,
        catalog.mark_missing,
        BOTH,
        can_follow=True,
    ),
    Rule(
        "image-invalid",
        "error",
        "Browsers would not show it.",
        "Export it again as plain SVG.",
        _CATALOG,
        catalog.image_invalid,
        BOTH,
    ),
    Rule(
        "image-script",
        "error",
        "Code in an image runs where the image is opened, so it is refused.",
        "Export it again as plain SVG, without scripts and animations.",
        _CATALOG,
        catalog.image_scripts,
        BOTH,
    ),
    Rule(
        "image-external",
        "error",
        "What it loads from elsewhere is not there, or tells others who looks at it.",
        "Put everything into the file.",
        _CATALOG,
        catalog.image_external,
        BOTH,
    ),
    Rule(
        "image-bitmap",
        "error",
        "A bitmap is blurred when it is enlarged, which is why an SVG is asked for.",
        "Draw it as paths.",
        _CATALOG,
        catalog.image_bitmaps,
        BOTH,
    ),
    Rule(
        "image-text",
        "warning",
        "Without its font, text looks different on each machine.",
        "Convert text to paths.",
        _CATALOG,
        catalog.image_texts,
        BOTH,
    ),
    Rule(
        "image-view-box",
        "error",
        "Without it the image is cut off, not scaled.",
        "Add viewBox to <svg>, such as viewBox='0 0 64 64'.",
        _CATALOG,
        catalog.image_view_boxes,
        BOTH,
    ),
    Rule(
        "image-size",
        "warning",
        "Each visitor of the catalog loads it.",
        "Simplify the paths, and leave out the metadata of the drawing program.",
        _CATALOG,
        catalog.image_sizes,
        BOTH,
    ),
    Rule(
        "mark-square",
        "error",
        "The catalog shows marks in a square.",
        "Make the sides of its viewBox equal, with the drawing in the middle.",
        _CATALOG,
        catalog.mark_square,
        BOTH,
    ),
    Rule(
        "logo-lockup",
        "warning",
        "A horizontal lockup, the name beside the mark, fits best.",
        "Use the horizontal form of the logo.",
        _CATALOG,
        catalog.logo_lockup,
        BOTH,
    ),
    # -- the page ------------------------------------------------------------------------------
    Rule(
        "docs-page",
        "error",
        "The page is a pull request of its own, and customers set up the destination by it.",
        "Correct what the message names; `destinations docs preview` shows the page.",
        _CONTRIBUTING,
        catalog.docs_page,
        BOTH,
    ),
    Rule(
        "docs-lint",
        "error",
        "The linter of Segment's docs refuses the page.",
        "Change the definition or its templates; `destinations docs build` makes the page anew.",
        _DOCS,
        catalog.docs_lint_errors,
        BOTH,
    ),
    Rule(
        "docs-style",
        "warning",
        "The editors of Segment's docs ask for it.",
        "Change the definition or its templates; `destinations docs build` makes the page anew.",
        _DOCS,
        catalog.docs_lint_warnings,
        BOTH,
    ),
    # -- what is live --------------------------------------------------------------------------
    _breaking(
        "live-identity",
        breaking.identity_changed,
        "Keep name and slug; to rename it, write to partner-support@segment.com.",
    ),
    _breaking(
        "live-action-removed",
        breaking.action_removed,
        "Keep the action and its slug; Segment cannot delete an action.",
    ),
    _breaking(
        "live-required-field",
        breaking.field_required,
        "Make it optional, and use a default where it is missing.",
        source=_REQUIRED,
    ),
    _breaking(
        "live-type",
        breaking.field_type_changed,
        "Keep the type, and add another field for the new one.",
        source=_GUIDELINES,
    ),
    _breaking(
        "live-field-removed",
        breaking.field_removed,
        "Keep it, hidden if need be (`x-hidden: true`), for those who use it.",
    ),
    _breaking(
        "live-choice-removed",
        breaking.choice_removed,
        "Keep the choice, and treat it as the one that replaces it.",
    ),
    _breaking(
        "live-stricter",
        breaking.field_stricter,
        "Keep the limits, and let the partner refuse what it does not take.",
    ),
    Rule(
        "live-unseen",
        "warning",
        "Values that the live version takes may be refused, and nothing that is published tells.",
        "Compare with the definition of the live version: `destinations diff OLD NEW`.",
        _LIVE,
        breaking.limits_unseen,
    ),
    _breaking(
        "live-object-closed",
        breaking.object_closed,
        "Keep `additionalProperties: true`, and let the partner ignore what it does not know.",
    ),
    _breaking(
        "live-scheme",
        breaking.scheme_changed,
        "Keep the way to authenticate, or agree on a migration with Segment.",
    ),
    _breaking(
        "live-default",
        breaking.default_changed,
        "Check that the former default still works.",
        level="warning",
    ),
    _breaking(
        "live-batching",
        breaking.batching_removed,
        "Keep `batch` in the request.",
        level="warning",
    ),
    _breaking(
        "live-preset",
        breaking.preset_removed,
        "Keep the preset, unless another one does the same.",
        level="warning",
    ),
    _breaking(
        "live-preset-changed",
        breaking.preset_changed,
        "Give the new preset another name, or see that both ways of sending work.",
        level="warning",
    ),
)
"""All rules, in the order in which findings are shown."""


def check(publication: Publication) -> list[Finding]:
    """Return what breaks a rule, errors first."""
    found = [
        Finding(rule, issue)
        for rule in RULES
        if publication.kind in rule.kinds
        for issue in rule.find(publication)
    ]
    return sorted(found, key=lambda one: one.level != "error")

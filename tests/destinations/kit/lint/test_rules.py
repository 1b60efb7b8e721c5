from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from destinations.kit.lint import Rule, load_rules
from destinations.kit.lint.checks import CHECKS
from destinations.kit.lint.vale import Tokens

RULES = {rule.id: rule for rule in load_rules()}
# The nine rules of the prose linter of Segment's docs, with its levels.
OF_SEGMENT = {
    "latin": "error",
    "exclamation": "error",
    "spelling": "error",
    "subs": "error",
    "alt-tag": "warning",
    "inclusivity": "warning",
    "links": "warning",
    "relative-url": "warning",
    "third-person-specific": "warning",
}


def _page(rule: Rule, example: str, front: str) -> str:
    text = example if not rule.context else f"{example}\n\n{rule.context}\n"
    return text if text.startswith("---") else front + text


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_a_good_example_passes(rule: Rule, lint: Callable[..., Any], published: str) -> None:
    """What a rule shows as right is not reported by it."""
    found = lint(_page(rule, rule.good, published), rule.files)
    assert [str(finding) for finding in found if finding.rule == rule.id] == []


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_a_bad_example_is_reported(rule: Rule, lint: Callable[..., Any], published: str) -> None:
    """What a rule shows as wrong is reported by it, at its level and below the front matter."""
    text = _page(rule, rule.bad, published)
    found = [finding for finding in lint(text, rule.files) if finding.rule == rule.id]
    assert found
    assert {finding.level for finding in found} == {rule.level}
    assert not [one for one in found if "{found}" in one.message or "{swap}" in one.message]
    assert all(1 <= finding.line <= text.count("\n") + 1 for finding in found)


def test_rules_are_told_apart() -> None:
    """Ids are there once, and each rule has a search or a check that exists, not both."""
    assert [
        name for name, count in Counter(rule.id for rule in load_rules()).items() if count > 1
    ] == []
    for rule in RULES.values():
        assert (rule.search is not None) != (rule.check is not None), rule.id
        assert rule.good, rule.id
        assert rule.bad, rule.id
    assert {rule.check for rule in RULES.values() if rule.check} == set(CHECKS)


def test_the_rules_of_segments_own_linter_are_there() -> None:
    """All nine, each with the level that it has there."""
    assert {name: RULES[name].level for name in OF_SEGMENT} == OF_SEGMENT


def test_inclusivity_has_all_terms() -> None:
    """The list of Segment's linter has fourteen terms."""
    search = RULES["inclusivity"].search
    assert isinstance(search, Tokens)
    assert len(search.patterns) == 14


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("numerals", "Kana has two boxes."),
        ("numerals", "There are rules, three in all."),
        ("setup-verb", "First, setup the source."),
        ("setup-verb", "You can setup rules."),
        ("setup-noun", "During set-up, copy the key."),
        ("easy", "This is simple."),
        ("their", "Kana and their dashboard."),
        ("latin", "Some traits (i.e. names)."),
        ("subs", "It utilizes rules."),
        ("third-person-specific", "Write to us."),
        ("third-person-specific", "Let's begin."),
        ("first-person", "I'm here."),
        ("will", "It won't work."),
        ("contractions", "Events can not\nbe deleted."),
        ("call-name", "Use analytics.track() for it."),
        ("call-name", "The `.identify()` method."),
        ("call-name", "An identify call."),
        ("call-name", "A `track` event."),
        ("http-status", "It answers `400`."),
        ("http-status", "It fails with status 401."),
        ("http-status", "A 404 error."),
        ("mode-hyphen", "A device mode destination."),
        ("mode-hyphen", "All cloud mode sources."),
        ("image-alt", "![api-keys.png](api-keys.png)"),
        ("image-alt", '<img src="api-keys.png" alt="Screenshot 2">'),
        ("image-host", '<img src="https://img.example.com/a.png" alt="The API keys page">'),
        ("image-host", "![The page][keys]\n\n[keys]: https://img.example.com/a.png"),
        ("image-name", "![The API keys page](images/a.png)"),
        ("image-name", "![The API keys page](Screen%20Shot%202022-10-01.png)"),
        ("alt-tag", '<img src="api-keys.png">'),
        ("alt-tag", '<img alt="" src="api-keys.png">'),
        ("dead-link", '<img src="nothing.png" alt="The API keys page">'),
        ("dead-link", "[Rules][r]\n\n[r]: nothing.md"),
        ("liquid", "`{% raw %}` `{{ userId }}`"),
        ("liquid", "Text {% include content/plan-grid.md %}"),
        ("liquid", "`{% comment %}` `{{ userId }}`"),
        ("liquid", "{% capture note %}Beta.{% endcapture %} {{ userId }}"),
        ("liquid", "`{{ page.title }}`"),
        ("setup-verb", "Install and setup rules."),
        ("setup-noun", "The setup is long."),
        ("secret", "The key `prv_live_YOUR8c1d4b2f90aa`."),
        ("secret", "```js\nload('sk_live_51Hx8Kk2eZvKYlo2C');\n```"),
        (
            "secret",
            "[Hook](https://hooks.slack.com/services/T0A1B2C3D/B0A1B2C3D/aBcDeFgHiJkLmNoPqRsTuVwX)",
        ),
        ("spelling", "Kana and Salesforse have a sucessfull integratoin."),
        ("unknown-word", "Kana frobnitzes users."),
        (
            "repeated-paragraph",
            "- Rules map the events of your source to features.\n" * 2,
        ),
        ("long-paragraph", "Rules map events to features. " * 25),
        ("code-sample", "## Screen\n\n```\nscreen(1)\n```"),
        ("first-person", "This key is mine."),
        ("doubled-determiner", "Defaults to the any."),
        ("repeated-word", "in in the table"),
        ("announced-image", "The diagram below explains it."),
        ("announced-image", "See the following screenshot."),
        ("announced-image", "Here's a flow chart."),
        ("link-target-value", '[Kana](https://example.com){:target="_self"}'),
        ("dead-link", "[Kana](ftp://example.com)"),
        ("dead-link", "[Kana](mailto:nobody)"),
        ("dead-link", "[Kana](/catalog/kana)"),
        ("dead-link", "[Kana]()"),
        ("hint-form", '> info ""\n> Text\nthat goes on.'),
        ("hint-form", "> warning\n> Text."),
        ("table-shape", "| A | B |\n| - | - |\n| `a|b` |"),
        ("sentence-case", "## Getting started With Rules"),
        ("sentence-case", "## rules"),
        ("spelling", "Send the webhok\u2019s secret."),
        ("alt-tag", "[![ ](x.png)](https://example.com)"),
        ("ampersand", "Users &amp; features"),
        ("bare-url", "See https://docs.example.com/a."),
        ("missing-subject", "**Send**: Sends the event to the URL."),
        ("missing-subject", "Rules map events.\n\nCreates or updates a user."),
    ],
)
def test_more_that_is_reported(
    rule: str, text: str, lint: Callable[..., Any], published: str
) -> None:
    """Forms that the example of a rule does not show."""
    assert rule in {finding.rule for finding in lint(published + text + "\n")}


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("numerals", "Two boxes. Three rules."),
        ("numerals", "1. Open Segment.\n2. Two rules."),
        ("numerals", "Kana has one box of 2 kinds."),
        ("setup-verb", "Set up the source."),
        ("setup-noun", "Set up the source to set up rules."),
        ("latin", "The ID is big."),
        ("third-person-specific", "Users in the US use it."),
        ("first-person", "Case I.D. and the iOS app"),
        ("will", "Your goodwill counts."),
        ("will", "```js\n// it will\nanalytics.track('will');\n```"),
        ("will", "The property `will`."),
        ("call-name", "Track calls and Identify calls."),
        ("call-name", "Keep track of calls."),
        ("http-status", "`400 Bad Request` and 400 pixels"),
        ("mode-hyphen", "All sources use cloud-mode, or device mode."),
        ("call-name", "Use `analytics.track()` for it."),
        ("call-name", "Segment sends it as an `identify` event."),
        ("doubled-determiner", "of the one, and a name of any user"),
        ("repeated-word", "He said that that had had no effect."),
        ("announced-image", "An image of a company. The following table."),
        ("link-target", "[Write](mailto:team@example.com) and [read](/docs/) [on](#a)"),
        ("dead-link", '[Kana](https://www.example.com/a_(b)){:target="_blank"}'),
        ("dead-link", "`[Kana](nowhere)`"),
        ("hint-form", '> info ""\n> Text.\n\nMore.'),
        ("table-shape", "| A | B |\n| - | - |\n| `a|b` | c\\|d |"),
        ("sentence-case", "## Identify for Segment and Stripe, with an API key"),
        ("spelling", "Kana's webhooks and `wehbooks` at wehbooks.example.com, in JSON"),
        ("double-space", "| `a`  | b |\n| --- |  --- |\n\n- one\n  - two"),
        ("exclamation", "a != b, ![Alt text](x.png)"),
        ("bare-url", "`https://example.com` [a](https://example.com)"),
        ("contractions", "Sends it as it is to a server."),
        ("subs", "A lever, a viaduct, and a drop in temperature."),
        ("spelling", "The add-ons of ClearBrain's GitHub SDKs upsert a messageId."),
        ("unknown-word", "The add-ons of ClearBrain's GitHub SDKs upsert a messageId."),
        ("spelling", "Jebbit and Totango organise the colours."),
        ("first-person", "Mine the data."),
        ("first-person", "#### Why can't I see my events?\n\nWait for an hour."),
        ("missing-subject", "Records of users and updates: Kana sends the events."),
        ("missing-subject", "Updates are sent.\n\nPosts that users write."),
        ("missing-subject", "A rule:\n\n- Sends the event.\n- **Sets**: Updates the user."),
        (
            "missing-subject",
            "| Case | Outcome |\n| - | - |\n| 1 | Updates the user |\n|2|Adds an email|",
        ),
        ("missing-subject", "**Send**: Send the event. `a`: Sends the event."),
        ("inclusivity", "Open **Master account**."),
        ("their", "Kana finds webhooks by their ID."),
        ("image-name", "![The API keys page](images/step-1-api-keys.png)"),
        ("image-alt", "![The image of a company](api-keys.png)"),
        ("liquid", "{% raw %}{{ userId }}{% endraw %}"),
        ("liquid", "{% include components/actions-fields.html %}"),
        ("liquid", '{% include content/plan-grid.md name="actions" %}'),
        ("secret", "Write `prv_...`, `sk_live_...`, or `YOUR_API_KEY`."),
        ("dead-anchor", "See [the settings](#settings)."),
        (
            "code-sample",
            '## Screen\n\n```objc\n[[SEGAnalytics sharedAnalytics] screen:@"Home"];\n```',
        ),
        ("code-sample", '## Screen\n\n```swift\nanalytics.screen(title: "Home")\n```'),
        ("code-sample", '## Track\n\n```kotlin\nanalytics.track("Used")\n```'),
        ("code-sample", '## Track\n\n```python\nanalytics.track("u", "Used", {})\n```'),
        ("code-sample", '## Track\n\n```ruby\nAnalytics.track(user_id: "u", event: "Used")\n```'),
        ("code-sample", '## Track\n\n```php\nSegment::track(array("userId" => "u"));\n```'),
        ("code-sample", '## Track\n\n```go\nclient.Enqueue(analytics.Track{Event: "Used"})\n```'),
        ("code-sample", '## Track\n\n```json\n{"type": "track", "event": "Used"}\n```'),
        (
            "code-sample",
            '## Identify\n\n```java\na.enqueue(IdentifyMessage.builder().userId("u"));\n```',
        ),
        (
            "code-sample",
            '## Page\n\n```java\nanalytics.enqueue(PageMessage.builder("Home").userId("u"));\n```',
        ),
        ("code-sample", "## Page\n\n```\nanalytics.page()\n```"),
        ("code-sample", "## Page\n\n```\n(analytics/page client {})\n```"),
        ("code-sample", "## Page\n\n```clojure\n(analytics/page client {})\n```"),
        ("code-sample", '## Page\n\n```\n[[SEGAnalytics sharedAnalytics] page:@"A"];\n```'),
        ("liquid", "{% capture note %}Beta.{% endcapture %}\n\n{{ note }}"),
        ("liquid", "{{ page.title }} is at {{ site.baseurl }}."),
        ("code-sample-call", "```js\nanalytics.track({userId: 'u', event: 'Used'});\n```"),
        ("code-sample-call", "```js\nanalytics.track('Used', {at: new Date()});\n```"),
        ("repeated-word", "### Mobile\n\nMobile apps send it."),
        ("sentence-case", "### 1. Open the catalog"),
        ("sentence-case", "### Connect Google Analytics and GitHub"),
        ("template", "Kana support has a warning and a hint."),
        ("passive-voice", "This destination is maintained by Kana."),
    ],
)
def test_what_is_not_reported(
    rule: str, text: str, lint: Callable[..., Any], published: str
) -> None:
    """What looks like a breach and is none."""
    found = [str(finding) for finding in lint(published + text + "\n") if finding.rule == rule]
    assert found == []

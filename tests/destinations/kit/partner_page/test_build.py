from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations.definition import load_definition
from destinations.errors import UsageError
from destinations.kit.lint import lint_page
from destinations.kit.partner_page import (
    FLAVOURS,
    PUBLISHED,
    SUBMISSION,
    Flavour,
    page_files,
    read_page,
    render_page,
    stale_files,
    write_files,
)

Render = Callable[..., str]


def _outline(text: str) -> list[tuple[int, str]]:
    return [(heading.level, heading.text) for heading in read_page(text).headings]


def test_the_published_outline(render: Render) -> None:
    """Front matter instead of a title, set-up steps first, methods below the supported ones."""
    text = render(PUBLISHED)
    assert text.startswith("---\ntitle: Sample Destination\nid: 0123456789abcdef01234567\n---\n\n")
    assert _outline(text) == [
        (2, "Getting Started"),
        (2, "Supported methods"),
        (3, "Identify"),
        (3, "Track"),
        (3, "Page"),
    ]


def test_the_outline_of_a_submission(render: Render) -> None:
    """A title, methods and set-up below Getting Started, and a section for each method."""
    text = render(SUBMISSION)
    assert _outline(text) == [
        (1, "Sample Destination"),
        (2, "Getting Started"),
        (3, "Supported Methods"),
        (3, "Setup"),
        (2, "Identify"),
        (2, "Track"),
        (2, "Page"),
    ]
    assert "{:target" not in text
    assert "(https://segment.com/docs/connections/spec/track/)" in text


@pytest.mark.parametrize("identifier", ["545215254721832472239912", "5452152547218324722399e2"])
def test_front_matter_is_text_to_every_reader(
    identifier: str, page_folder: Callable[..., Path], plugin: Any
) -> None:
    """A name with a colon, and an id that looks like a number, are in quotes."""
    folder = page_folder()
    path = folder / "destination.yaml"
    text = path.read_text(encoding="utf-8").replace("0123456789abcdef01234567", identifier)
    text = re.sub("^name: .*$", "name: 'Sample: One'", text, flags=re.MULTILINE)
    path.write_text(re.sub("^id: .*$", f"id: '{identifier}'", text, flags=re.MULTILINE), "utf-8")
    page = render_page(folder, load_definition(folder), plugin(), PUBLISHED)
    front = page.split("---\n")[1]
    assert yaml.safe_load(front) == {"title": "Sample: One Destination", "id": identifier}
    assert read_page(page).front_matter == yaml.safe_load(front)


def test_beta_stands_there_only_while_it_lasts(render: Render) -> None:
    """Front matter has the key in beta alone."""
    assert "beta: true" in render(PUBLISHED, beta=True)
    assert "beta" not in render(PUBLISHED, beta=False)


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: flavour.name)
def test_a_page_of_pure_data_has_no_error_and_no_warning(flavour: Flavour, render: Render) -> None:
    """What the framework writes by itself passes the linter in both flavours."""
    findings = lint_page(render(flavour), Path("sample.md"))
    assert [str(one) for one in findings if one.level != "suggestion"] == []


def test_everything_comes_from_the_definition(render: Render) -> None:
    """Settings, modes, methods, fields with marks and defaults, the refusal, the maintainer."""
    text = render(PUBLISHED)
    for part in (
        "enter the **API Key**. The key.",
        "Events from browser and server sources reach Sample over cloud-mode connections.",
        "- [Page](/docs/connections/spec/page/)",
        "| `properties.by` | Required | What it is. |",
        "| `properties.thing` | Optional | What it is. |",
        "answers with `400 Bad Request`",
        "write to [team@example.com](mailto:team@example.com)",
        '(https://www.example.com?utm_source=segment&utm_medium=docs){:target="_blank"}',
        "analytics.track('Example Event', {\n  by: 1,\n  thing: 'example thing'\n});",
    ):
        assert part in text, part
    assert "**Limit**" not in text  # a setting that nobody needs


def test_templates_of_the_definition_come_first(render: Render) -> None:
    """They see the plugin's tables, the samples' payloads and the helpers of the flavour."""
    page = {
        "track.md.j2": (
            "{{ data.limit }} at most; {{ samples.track.results[0].payload.by }} here.\n\n"
            "{% call hint('info') %}\nOne.\n\nTwo.\n{% endcall %}\n\n"
            "{{ heading('More', published=4, submission=3) }}\n\n"
            "{{ external('A', 'https://a.example.com/?b=c') }} {{ segment('B', '/docs/b/') }} "
            "{{ partner('C', 'https://c.example.com/?d=e') }}\n"
        )
    }
    published = render(PUBLISHED, page, {"limit": 7})
    assert "7 at most; 1 here." in published
    assert '> info ""\n> One.\n>\n> Two.\n\n#### More\n' in published
    assert '[A](https://a.example.com/?b=c){:target="_blank"} [B](/docs/b/) ' in published
    assert "https://c.example.com/?d=e&utm_source=segment&utm_medium=docs" in published
    submission = render(SUBMISSION, page, {"limit": 7})
    assert ":::info\nOne.\n\nTwo.\n:::\n\n### More\n" in submission
    assert "[A](https://a.example.com/?b=c) [B](https://segment.com/docs/b/) " in submission


def test_steps_of_the_definition_are_templates(render: Render) -> None:
    """They name settings, and replace the generic steps behind the choice of the source."""
    text = render(
        PUBLISHED, setup=["Copy the key.", "Enter it as **{{ settings.apiKey.title }}**."]
    )
    assert "4. Copy the key.\n5. Enter it as **API Key**.\n" in text


@pytest.mark.parametrize(
    ("page", "documentation", "message"),
    [
        ({"track.md.j2": "{{ nothing }}"}, {}, "cannot be rendered: 'nothing' is undefined"),
        ({"track.md.j2": "{% if %}"}, {}, r"cannot be rendered \(track\.md\.j2:1\): Expected"),
        ({"track.md.j2": "{{ ''.__class__.__mro__ }}"}, {}, "unsafe"),
        ({}, {"setup": ["{{ nothing }}"]}, "step of /documentation/setup cannot be rendered"),
        ({}, {"samples": {"track": "analytics.track(name)"}}, "the sample track: line 1 of the"),
        ({}, {"samples": {"track": "// later"}}, "the sample track has no call"),
        (
            {},
            {"samples": {"track": "analytics.track('A', {by: 'many', thing: 't'})"}},
            "the sample track does not work: .*correct it in destination.yaml at /documentation/",
        ),
        ({}, {"samples": {"more": "analytics.screen('A')"}}, "the sample more does not work: no"),
    ],
)
def test_what_keeps_a_page_from_being_built(
    page: dict[str, str], documentation: dict[str, Any], message: str, render: Render
) -> None:
    """A wrong template or a sample that does not do what it shows ends with its place."""
    with pytest.raises(UsageError, match=message):
        render(PUBLISHED, page, **documentation)


def test_a_destination_of_unknown_calls(page_folder: Callable[..., Path], plugin: Any) -> None:
    """Without a method and a subscription there is nothing to say, and the message says so."""
    folder = page_folder()
    for action in ("count", "save", "sync"):
        path = folder / f"{action}.yaml"
        text = path.read_text(encoding="utf-8").replace('type = "track"', 'event != "A"')
        path.write_text(text.replace("method: page\n", ""), encoding="utf-8")
    path = folder / "destination.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("subscribe: type = ", "subscribe: name = "), encoding="utf-8")
    with pytest.raises(UsageError, match="no action of Sample tells which calls it takes"):
        page_files(folder, load_definition(folder), plugin())


def test_files_are_written_and_compared(
    page_folder: Callable[..., Path], plugin: Any, tmp_path: Path
) -> None:
    """Three files, stale when missing or changed by a byte, and the same each time."""
    folder = page_folder()
    files = page_files(folder, load_definition(folder), plugin())
    assert list(files) == ["sample.md", "sample-submission.md", "sample.html"]
    target = tmp_path / "docs" / "sample"
    assert stale_files(files, target) == [str(target / name) for name in files]
    write_files(files, target)
    assert stale_files(files, target) == []
    (target / "sample.md").write_bytes((target / "sample.md").read_bytes() + b"\n")
    (target / "sample.html").unlink()
    assert stale_files(files, target) == [str(target / "sample.md"), str(target / "sample.html")]
    assert page_files(folder, load_definition(folder), plugin()) == files

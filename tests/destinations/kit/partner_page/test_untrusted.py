"""Pages of definitions that anybody may have written: no file, no end of work, no code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
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
    page_files,
    preview_html,
    render_page,
    rendering,
)
from destinations.kit.partner_page.rendering import Limits
from tests.case_tables import ALL_CASES, each_value

Render = Callable[..., str]
Folder = Callable[..., Path]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the bounds be met soon."""
    monkeypatch.setattr(Limits, "seconds", 1)
    monkeypatch.setattr(Limits, "memory", 512 * 1024**2)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that no definition has anything to do with."""
    path = tmp_path / "secret.md.j2"
    path.write_text("the secret", encoding="utf-8")
    return path


@each_value
@pytest.mark.parametrize(
    "name",
    [
        "../../secret.md.j2",
        "../../../../../../../../etc/passwd",
        "/etc/passwd",
        "{secret}",
        "./../../secret.md.j2",
        "..\\..\\secret.md.j2",
        "page/../../../secret.md.j2",
        "../destination.yaml",
        "destination.yaml",
        "preview.html.j2",
        "../templates/preview.css",
    ],
)
@pytest.mark.parametrize(
    "template",
    [
        '{{% include "{name}" %}}',
        '{{% include ["{name}"] %}}',
        '{{% import "{name}" as it %}}{{{{ it }}}}',
        '{{% from "{name}" import it %}}',
        '{{% extends "{name}" %}}',
    ],
)
def test_a_template_reads_no_other_file(
    render: Render, secret: Path, name: str, template: str
) -> None:
    """There are the templates of the folder and of the framework, and nothing else by any name."""
    name = name.format(secret=secret).replace("\\", "\\\\")
    with pytest.raises(UsageError, match="cannot be rendered"):
        render(PUBLISHED, {"track.md.j2": template.format(name=name)})


@pytest.mark.usefixtures("rendering_process")
@pytest.mark.parametrize("is_folder", [False, True])
def test_a_link_leads_to_no_other_file(
    page_folder: Folder, plugin: Any, secret: Path, *, is_folder: bool
) -> None:
    """A template that is a link out of the folder is refused, and so is a linked folder."""
    folder = page_folder()
    if is_folder:
        outside = secret.parent / "outside"
        outside.mkdir()
        secret.rename(outside / "track.md.j2")
        (folder / "page").symlink_to(outside, target_is_directory=True)
    else:
        (folder / "page").mkdir()
        (folder / "page" / "track.md.j2").symlink_to(secret)
    message = r"page/track\.md\.j2 leads out of the definition's folder"
    with pytest.raises(UsageError, match=message):
        render_page(folder, load_definition(folder), plugin(), PUBLISHED)


UNBOUNDED: Mapping[str, Sequence[str]] = {
    "a loop": (
        "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(9999) %}{{ 'xxxxxxxxxxxxxxxx' * 9999 }}{% endfor %}",
    ),
    "a long text": (
        "{{ 'x' * 300000000 }}{{ 'x' * 300000000 }}",
        "{{ 'x' * 999999999999 }}",
        "{{ 'x'|center(999999999) }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ lipsum(n=9999, html=False) * 99999 }}",
    ),
    "a text that grows": (
        "{% set n = namespace(s='x') %}{% for a in range(99) %}{% set n.s = n.s*2 %}{% endfor %}",
        "{% set n = namespace(s='x') %}{% for a in [0]*99 %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    ),
    "a number": ("{{ 9**(9**9) }}", "{{ (9**999999) ** 99 }}"),
    "itself": (
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        '{% include "track.md.j2" %}',
    ),
    "a list": (
        "{{ ['x'] * 999999999 }}",
        "{{ range(99999)|map('string')|join('x' * 99999) }}",
        "{{ ('a' * 99999)|replace('a', 'a' * 99999) }}",
        "{{ ('a' * 40 ~ 'b')|wordwrap(1)|urlize * 9999999 }}",
    ),
}
"""What runs without an end, or makes too much, by what it makes.

Each takes up to a second of the processor, so the short form has the first of each kind.
"""


def _unbounded(*kinds: str) -> list[str]:
    """Return the templates of these kinds; in the long form those of all kinds."""
    if ALL_CASES:
        return [template for templates in UNBOUNDED.values() for template in templates]
    return [UNBOUNDED[kind][0] for kind in kinds]


@pytest.mark.fuzz
@pytest.mark.usefixtures("rendering_process")
@pytest.mark.parametrize("template", _unbounded(*UNBOUNDED))
def test_a_template_ends(render: Render, template: str) -> None:
    """What runs without an end, or makes too much, is an issue in the definition."""
    with pytest.raises(UsageError, match=r"the page of sample: "):
        render(PUBLISHED, {"track.md.j2": template})


@pytest.mark.fuzz
@pytest.mark.usefixtures("rendering_process")
@pytest.mark.parametrize("template", _unbounded("a number", "a text that grows"))
def test_a_step_that_is_a_template_ends(render: Render, template: str) -> None:
    """Templates in the words of a definition are rendered within the same bounds."""
    with pytest.raises(UsageError, match=r"the page of sample: "):
        render(PUBLISHED, setup=[template])


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ heading.__globals__ }}",
        "{{ heading.__func__.__globals__.sys }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ lipsum.__globals__['os'].popen('id').read() }}",
        "{{ ''|attr('__class__') }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ ('{0.__class__}'|string).format_map({'0': ''}) }}",
        "{% set _ = settings.update({'a': 1}) %}",
        "{% set _ = methods.append(1) %}",
        "{{ definition.transport.headers.__class__ }}",
    ],
)
def test_a_template_is_no_code(render: Render, template: str) -> None:
    """It sees values, and neither Python's objects nor a way to change anything."""
    with pytest.raises(UsageError):
        render(PUBLISHED, {"track.md.j2": f"x{template}x"})


EVIL = "Use {{ site.secret }} and {% include x %}, <script>alert(1)</script> <img src=x onerror=y>"


@pytest.fixture
def evil_folder(page_folder: Folder) -> Callable[[str], Path]:
    """Writes a definition all of whose words are these."""

    def write(words: str) -> Path:
        folder = page_folder(setup=None)
        for path in folder.glob("*.yaml"):
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
            if path.stem == "destination":
                document["documentation"] = {}
                document["description"] = words
                document["maintainer"]["name"] = words
                for spec in document["settings"]["properties"].values():
                    spec |= {"title": words, "description": words}
            else:
                document["title"] = document["description"] = words
                for spec in document["fields"]["properties"].values():
                    spec |= {"title": words, "description": words}
            path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return folder

    return write


@pytest.mark.parametrize(
    "words",
    [
        EVIL,
        "{{{% x %}",
        "{% raw %}{{ a }}{% endraw %}",
        "{{ '{{' }}{{ '{%' }}{{ b }}",
        "`{{ a }}` and `<script>`",
        "a ` b <script>alert(1)</script> ` c",
        "``a` <script>alert(1)</script>",
        "<SCRIPT\nsrc=x>",
        "</td><iframe src=x>",
        "<!-- <script> --> <?php ?>",
    ],
)
@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: flavour.name)
def test_words_of_a_definition_are_text(
    evil_folder: Callable[[str], Path], plugin: Any, words: str, flavour: Any
) -> None:
    """Jekyll carries out none of it, a browser neither, and the linter finds nothing left."""
    folder = evil_folder(words)
    page = render_page(folder, load_definition(folder), plugin(), flavour)
    rules = {finding.rule for finding in lint_page(page, folder / "page.md")}
    assert not rules & {"active-content", "liquid"}
    if flavour is PUBLISHED:
        left = page.replace("{{ '{{' }}", "").replace("{{ '{%' }}", "")
        assert "{{" not in left
        assert "{%" not in left
    shown = preview_html(page)
    body = shown.partition("<main")[2]
    assert "<script>alert" not in body.lower()
    assert "<iframe" not in body
    assert "onerror=y>" not in body.replace("onerror=y&gt;", "")


@pytest.mark.usefixtures("rendering_process")
def test_words_are_shown_as_they_are(evil_folder: Callable[[str], Path], plugin: Any) -> None:
    """A reader sees what the definition says, in code as well."""
    folder = evil_folder("A `{{ path }}` of `<tag>`, {% and %} <b>")
    made = page_files(folder, load_definition(folder), plugin())
    files = {name: content.decode() for name, content in made.items()}
    assert "A `{{ '{{' }} path }}` of `<tag>`, {{ '{%' }} and %} &lt;b>" in files["sample.md"]
    assert "A `{{ path }}` of `<tag>`, {% and %} &lt;b>" in files["sample-submission.md"]
    assert "<code>{{ path }}</code> of <code>&lt;tag&gt;</code>, {% and %}" in files["sample.html"]


@pytest.mark.parametrize(
    "template",
    [
        "<script>alert(1)</script>",
        "x <SCRIPT src=x></SCRIPT>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](<javascript:alert(1)>)",
        "[x]: javascript:alert(1)",
        '<a href="javascript:alert(1)">x</a>',
        "<svg onload=alert(1)>",
        # Browsers, and other readers of Markdown, take these for the same.
        "a <svg/onload=alert(1)>",
        "<img/src=x/onerror=alert(1)>",
        "a <img/src=x/onerror=alert(1)>",
        "a <x/onclick=alert(1)>",
        'a <img src="x"onerror=alert(1)>',
        'a <img alt=">" onerror=alert(1)>',
        '<a href="java&#115;cript:alert(1)">x</a>',
        'a <a href="&#x6A;avascript&#58alert(1)">x</a>',
        'a <a href="javascript&colon;alert(1)">x</a>',
        'a <a href="java\tscript:alert(1)">x</a>',
        'a <a href=" java&Tab;script&#x3a;alert(1)">x</a>',
        "[x](java&#115;cript:alert(1))",
        "[x](javascript&colon;alert(1))",
        "[x](<java\tscript:alert(1)>)",
        r"[x](javascript\:alert(1))",
        "`{{ documentation.dashboard }}`",
    ],
)
def test_a_template_carries_out_nothing_in_a_browser(render: Render, template: str) -> None:
    """Not its own words, and no value that ends the code in which it put it."""
    with pytest.raises(UsageError, match="HTML that a browser would execute"):
        render(
            SUBMISSION,
            {"track.md.j2": template},
            dashboard="https://a.example/`<script>alert(1)</script>`",
        )


def test_a_sample_stays_in_its_block(render: Render) -> None:
    """Neither a fence in it nor Liquid ends the block of code."""
    code = "// ```\n// {{ site.secret }}\nanalytics.track('<script>', {by: 1, thing: 't'});"
    page = render(PUBLISHED, samples={"track": code})
    assert "````js\n// ```\n// {{ '{{' }} site.secret }}\nanalytics.track('<script>'" in page


LINES: Mapping[str, str | None] = {
    "{{ secret }}": "liquid",
    "`{{ site.baseurl }}`": "liquid",
    "{% include secret/x.md %}": "liquid",
    "{% include content/../x.md %}": "liquid",
    "{{ site.baseurl }}": None,  # Segment's own pages have both
    "{% include content/x.md %}": None,
    "`{{ code }}`": "liquid",
    "```js\n{{ code }}\n```": "liquid",
    "{{ '{{' }} code }}": None,
    "`{{ '{%' }} code %}`": None,
    'A [link](/docs/){:target="_blank"}': None,
    "<script>alert(1)</script>": "active-content",
    "a <iframe src=x>": "active-content",
    "<img src=x onerror=y>": "active-content",
    "[x](javascript:alert)": "active-content",
    "a <x/onclick=y>": "active-content",
    "[x](javascript&colon;alert)": "active-content",
    '<a href="java&#115;cript:alert">x</a>': "active-content",
    "`<x/onclick=y>`": None,
    "[x](https://example.com/javascript:on/online=1)": None,
    "`<script>`": None,
    "```html\n<script>\n```": None,
    "&lt;script>": None,
}


@pytest.mark.parametrize("line", LINES)
def test_the_linter_finds_it(line: str, tmp_path: Path) -> None:
    """In a page that somebody wrote, or changed by hand."""
    page = f"---\ntitle: Sample Destination\n---\n\nA page.\n\n{line}\n"
    rules = {finding.rule for finding in lint_page(page, tmp_path / "page.md")}
    assert rules & {"liquid", "active-content"} == ({LINES[line]} if LINES[line] else set())


ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.usefixtures("rendering_process")
@pytest.mark.skipif(os.name != "posix", reason="only time is bounded there")
def test_the_processor_is_bounded(render: Render) -> None:
    """A loop without an end is cut by the time of the processor that it takes."""
    with pytest.raises(UsageError, match="need more than 1 s of processor time"):
        render(PUBLISHED, {"track.md.j2": ENDLESS})


@pytest.mark.usefixtures("rendering_process")
@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded only there")
def test_memory_is_bounded(render: Render) -> None:
    """Much memory is an issue also where little is written, and soon."""
    with pytest.raises(UsageError, match="MiB"):
        render(PUBLISHED, {"track.md.j2": "{{ ('x' * 700000000)|length }}"})


@pytest.mark.usefixtures("rendering_process")
def test_time_is_bounded(render: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes no processor, and no memory, ends as well."""
    monkeypatch.setattr(rendering, "_WALL_SECONDS", 0.001)
    with pytest.raises(UsageError, match=r"its templates take longer than 0\.001 s"):
        render(PUBLISHED, {"track.md.j2": "a"})


@pytest.mark.usefixtures("rendering_process")
@pytest.mark.parametrize("place", ["page", "setup"])
def test_the_length_of_a_page_is_bounded(render: Render, place: str) -> None:
    """A page is no longer than its limit, nor is a step of its setup."""
    template = "{{ 'x' * 1000001 }}"
    page = {"track.md.j2": template} if place == "page" else {}
    steps = {"setup": [template]} if place == "setup" else {}
    with pytest.raises(UsageError, match="make more than 1,000,000 characters"):
        render(PUBLISHED, page, **steps)


@pytest.mark.usefixtures("rendering_process")
def test_code_that_does_not_end_takes_no_time(render: Render) -> None:
    """A page of nothing but beginnings of code is made as fast as any other."""
    page = {"track.md.j2": "{{ '```a\\n' * 150000 }}"}
    assert render(SUBMISSION, page).count("```a") == 150000

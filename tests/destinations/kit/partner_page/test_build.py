from __future__ import annotations

import json
import re
import struct
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
from destinations.kit.partner_page.html import preview_html
from tests.destinations.pipeline.metering import metered

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


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: flavour.name)
def test_windows_of_actions(
    flavour: Flavour, page_folder: Callable[..., Path], plugin: Any
) -> None:
    """Each action says in a paragraph of its own which events it does not take."""
    folder = page_folder()
    for action, window in (
        ("save", "{grace: 72h, ahead: 60s, then: hold}"),
        ("count", "{grace: 36h, then: reject}"),
        ("sync", "{grace: {'@path': $.settings.grace}, ahead: 5m, then: reject}"),
    ):
        path = folder / f"{action}.yaml"
        path.write_text(f"{path.read_text('utf-8')}\nwindow: {window}\n", "utf-8")
    path = folder / "destination.yaml"
    document = yaml.safe_load(path.read_text("utf-8"))
    document["settings"]["properties"]["grace"] = {
        "title": "Grace Period",
        "description": "How old an event can be.",
        "type": "string",
        "default": "12h",
    }
    path.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    page = render_page(folder, load_definition(folder), plugin(), flavour)
    for sentence in (
        (
            "**Save** holds events that are more than 3 days old or more than 1 minute in the"
            " future when it sends them, until an operator decides about them."
        ),
        "**Count** rejects events that are more than 1 day and 12 hours old when it sends them.",
        (
            "**Sync** rejects events that are older than the setting **Grace Period** says (12"
            " hours by default) or more than 5 minutes in the future when it sends them."
        ),
    ):
        assert sentence in page
    findings = lint_page(page, Path("sample.md"))
    assert [str(one) for one in findings if one.level != "suggestion"] == []


def _keyed(documents: dict[str, Any], *, asks: bool = False, header: str | None = None) -> None:
    metered(asks=asks, batch=1, header=header)(documents)


KEY_LINES: dict[str, tuple[Any, str]] = {
    "a field": (
        _keyed,
        (
            "**Count** sends each event with a key, in the field `key`. By that, Sample recognizes"
            " the event for 1 day, so a retry within 1 day can't count twice. If it is still"
            " unknown after that whether Sample has the event, an operator decides."
        ),
    ),
    "a header": (
        lambda documents: _keyed(documents, header="Idempotency-Key"),
        "sends each event with a key, in the header `Idempotency-Key`.",
    ),
    "a partner that is asked": (
        lambda documents: _keyed(documents, asks=True),
        "whether Sample has the event, this destination asks Sample about it.",
    ),
}


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: flavour.name)
@pytest.mark.parametrize(("change", "line"), KEY_LINES.values(), ids=KEY_LINES)
def test_keys_of_actions(
    flavour: Flavour, page_folder: Callable[..., Path], plugin: Any, change: Any, line: str
) -> None:
    """Customers read for how long a retry cannot count twice, and what follows after that."""
    folder = _changed(page_folder(), change)
    page = render_page(folder, load_definition(folder), plugin(), flavour)
    assert line in page
    findings = lint_page(page, Path("sample.md"))
    assert [str(one) for one in findings if one.level != "suggestion"] == []


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: flavour.name)
def test_usage_of_actions(flavour: Flavour, page_folder: Callable[..., Path], plugin: Any) -> None:
    """An action whose usage can be compared says so; the others do not."""
    folder = page_folder()
    sentence = (
        "The command `destinations usage reconcile` compares what **Count** sent with what Sample"
        " counted, for each user and feature."
    )
    assert sentence not in render_page(folder, load_definition(folder), plugin(), flavour)
    with (folder / "count.yaml").open("a", encoding="utf-8") as file:
        file.write(_USAGE)
    path = folder / "destination.yaml"
    data = yaml.safe_load(path.read_text("utf-8"))
    data["requests"]["used"] = yaml.safe_load(_USED)
    path.write_text(yaml.safe_dump(data, sort_keys=False), "utf-8")
    page = render_page(folder, load_definition(folder), plugin(), flavour)
    assert page.count(sentence) == 1
    findings = lint_page(page, Path("sample.md"))
    assert [str(one) for one in findings if one.level != "suggestion"] == []


def _steps(documents: dict[str, Any], **more: Any) -> None:
    requests = documents["destination"]["requests"]
    save = requests["save"]
    requests["make"] = {**save, "idempotent": False, "description": "Makes a page."}
    requests["find"] = {
        **save,
        "description": "Finds a page.",
        "answers": [{"name": "absent", "when": {"status": 404}}],
    }
    requests["alter"] = {**save, "description": "Changes a page."}
    schema = {"type": "object", "required": ["id"]}
    documents["save"]["perform"] = {
        "steps": [
            {"name": "look", "request": "find"},
            {"name": "create", "request": "make", "when": {"look": "absent"}},
            {"name": "change", "request": "alter", "when": {"look": schema}},
            {"name": "again", "request": "alter", "when": {"look": "absent", "create": "ok"}},
        ],
        **more,
    }
    del requests["save"]


STEPS = """For each event, **Save** makes these requests, in this order:

1. Finds a page.
2. Makes a page. Only if the answer to step 1 is `absent`.
3. Changes a page. Depends on the answer to step 1.
4. Changes a page. Only if the answer to step 1 is `absent` and if step 2 succeeds.

"""


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: flavour.name)
@pytest.mark.parametrize(
    ("more", "lost"),
    [
        (
            {},
            (
                "If the answer to a step of **Save** doesn't arrive, and another attempt could"
                " count twice, an operator decides about the event."
            ),
        ),
        (
            {"repeatable": {"after": 30}},
            (
                "If an answer doesn't arrive, **Save** begins again with step 1, after 30 seconds"
                " or more, which can't count twice."
            ),
        ),
    ],
)
def test_steps_of_actions(
    flavour: Flavour,
    page_folder: Callable[..., Path],
    plugin: Any,
    more: dict[str, Any],
    lost: str,
) -> None:
    """Customers read which requests are made, in which order, when, and after a lost answer."""
    folder = _changed(page_folder(), lambda documents: _steps(documents, **more))
    page = render_page(folder, load_definition(folder), plugin(), flavour)
    assert STEPS + lost in page
    assert "<ol>" in preview_html(page)
    findings = lint_page(page, Path("sample.md"))
    assert [str(one) for one in findings if one.level != "suggestion"] == []


def _changed(folder: Path, change: Any) -> Path:
    """Change the files of a definition, by their names without endings."""
    files = sorted(folder.glob("*.yaml"))
    documents = {one.stem: yaml.safe_load(one.read_text("utf-8")) for one in files}
    change(documents)
    for one in files:
        plain = json.loads(json.dumps(documents[one.stem]))  # as the same value twice is an alias
        one.write_text(yaml.safe_dump(plain, sort_keys=False), "utf-8")
    return folder


_USAGE = """
usage:
  user: {'@path': $.payload.thing}
  feature: things
  ask: {request: used, shown: {'@path': $.answer.used}}
"""
_USED = """
description: What was counted.
idempotent: true
rest:
  method: GET
  url: http://127.0.0.1:9/usage
  query: {of: {'@path': $.usage.user}, from: {'@path': $.usage.from}, to: {'@path': $.usage.to}}
"""


def test_everything_comes_from_the_definition(render: Render) -> None:
    """Settings, modes, methods, fields with marks and defaults, the refusal, the maintainer."""
    text = render(PUBLISHED)
    for part in (
        "In the destination's settings in Segment, enter this value:\n   - **API Key**: The key.",
        (
            "These settings are optional:\n\n"
            "- **Endpoint**: The URL. Defaults to `http://127.0.0.1:9/graphql`.\n"
            "- **Limit**: A number.\n"
        ),
        "Events from browser and server sources reach Sample over cloud-mode connections.",
        "- [Page](/docs/connections/spec/page/)",
        "| `properties.by` | Required | What it is. |",
        "| `properties.thing` | Optional | What it is. |",
        "refuses events without one with `400 Bad Request`, and sends nothing to Sample.",
        "write to [team@example.com](mailto:team@example.com)",
        '(https://www.example.com?utm_source=segment&utm_medium=docs){:target="_blank"}',
        "analytics.track('Order Completed', {\n  by: 1,\n  thing: 'Thing'\n});",
    ):
        assert part in text, part


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
        (
            {"track.md.j2": "{{ nothing }}"},
            {},
            r"cannot be rendered \(track\.md\.j2:1\): 'nothing' is undefined",
        ),
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
    with pytest.raises(UsageError, match="no action of Sample says which calls it takes"):
        page_files(folder, load_definition(folder), plugin())


PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 800, 400)
GIF = b"GIF89a" + struct.pack("<HH", 800, 400)


@pytest.fixture
def with_images(page_folder: Callable[..., Path]) -> Callable[..., Path]:
    """Writes the small destination with files in its folder of images."""

    def write(**images: bytes) -> Path:
        folder = page_folder()
        place = folder / "page" / "images"
        place.mkdir(parents=True)
        for name, content in images.items():
            (place / name.replace("_", ".")).write_bytes(content)
        return folder

    return write


@pytest.mark.parametrize(
    ("subscribe", "titles"),
    [
        ('type="track"', ["Track"]),
        ('type != "identify" and type != "page"', ["Track", "Screen", "Group", "Alias"]),
        ('(type = "group" or type = "page") and userId != null', ["Page", "Group"]),
        ('(type = "group" or type = "page") and type != "page"', ["Group"]),
    ],
)
def test_the_calls_of_an_action_are_those_that_its_subscription_can_take(
    subscribe: str, titles: list[str], page_folder: Callable[..., Path], plugin: Any
) -> None:
    """All that FQL can say of the type counts, however it is written."""
    folder = page_folder()
    for action in ("count", "save", "sync"):
        path = folder / f"{action}.yaml"
        text = path.read_text(encoding="utf-8").replace('type = "track"', subscribe)
        path.write_text(text.replace("method: page\n", ""), encoding="utf-8")
    path = folder / "destination.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub("subscribe: .*", f"subscribe: {subscribe}", text), encoding="utf-8")
    page = page_files(folder, load_definition(folder), plugin())["sample.md"].decode()
    assert [text for level, text in _outline(page) if level == 3] == titles


def test_files_are_written_and_compared(
    with_images: Callable[..., Path], plugin: Any, tmp_path: Path
) -> None:
    """Pages, previews and images: stale when missing or changed by a byte, the same each time."""
    folder = with_images(keys_png=PNG, rule_gif=GIF)
    files = page_files(folder, load_definition(folder), plugin())
    assert list(files) == [
        "sample.md",
        "sample-submission.md",
        "sample.html",
        "sample-submission.html",
        "images/keys.png",
        "images/rule.gif",
    ]
    target = tmp_path / "docs" / "sample"
    assert stale_files(files, target) == [str(target / name) for name in files]
    write_files(files, target)
    assert stale_files(files, target) == []
    assert (target / "images" / "keys.png").read_bytes() == PNG
    for name in ("sample.md", "images/keys.png"):
        (target / name).write_bytes((target / name).read_bytes() + b"\n")
    (target / "sample.html").unlink()
    changed = ["sample.md", "sample.html", "images/keys.png"]
    assert stale_files(files, target) == [str(target / name) for name in changed]
    assert page_files(folder, load_definition(folder), plugin()) == files


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("keys_png", b"", "keys.png is not an image: expected a PNG or GIF file"),
        ("keys_png", b"<html>", "keys.png is not an image: expected a PNG or GIF file"),
        ("keys_png", PNG[:20], "keys.png is not an image: expected a PNG or GIF file"),
        ("keys_png", PNG[:16] + bytes(8), "keys.png is not an image: expected a PNG or GIF file"),
        ("keys_gif", GIF[:8], "keys.gif is not an image: expected a PNG or GIF file"),
        ("keys_jpg", b"\xff\xd8\xff", "keys.jpg is not an image: expected a PNG or GIF file"),
        ("keys_gif", PNG, "keys.gif is a PNG image: expected a name that ends in .png"),
        ("keys_jpg", GIF, "keys.jpg is a GIF image: expected a name that ends in .gif"),
        ("keys_png", PNG + bytes(15_000_000), "keys.png has more than 15 MB"),
    ],
)
def test_an_image_that_is_none(
    name: str, content: bytes, message: str, with_images: Callable[..., Path], plugin: Any
) -> None:
    """One message that names the file, what is wrong and what was expected."""
    folder = with_images(**{name: content})
    with pytest.raises(UsageError) as raised:
        page_files(folder, load_definition(folder), plugin())
    assert str(raised.value) == f"page/images/{message}"


def test_images_are_files_of_the_folder(
    with_images: Callable[..., Path], plugin: Any, tmp_path: Path
) -> None:
    """A link out of the definition's folder is refused, and so is a folder of images."""
    folder = with_images()
    (tmp_path / "other.png").write_bytes(PNG)
    link = folder / "page" / "images" / "keys.png"
    link.symlink_to(tmp_path / "other.png")
    with pytest.raises(UsageError, match=r"keys\.png leads out of the definition's folder"):
        page_files(folder, load_definition(folder), plugin())
    link.unlink()
    link.mkdir()
    with pytest.raises(UsageError, match=r"keys\.png is not a file: expected PNG and GIF images"):
        page_files(folder, load_definition(folder), plugin())


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: flavour.name)
def test_code_stays_as_it_is(flavour: Flavour, render: Render) -> None:
    """Empty lines go between blocks alone, not within code, whatever fence it has."""
    blocks = ["```python\nimport hmac\n\n\ndef f(): ...\n```", "````\n```\n\n\n\n````"]
    section = "\n\n\n\nA.  \n\n\n\n".join(["B.", *blocks, "C."])
    text = render(flavour, {"after-setup.md.j2": section})
    assert "\n\nA.\n\n".join(["B.", *blocks, "C."]) in text


SLOTS: dict[str, tuple[str | None, str | None]] = {
    # slot: (the heading behind it on the published page, in the submission); None if it is absent
    "after-setup": ("Supported methods", "Identify"),
    "after-identify": ("Track", "Track"),
    "after-page": ("", ""),
    "for-review": (None, "Identify"),
}


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: flavour.name)
@pytest.mark.parametrize("slot", SLOTS)
def test_slots_for_more_sections(slot: str, flavour: Flavour, render: Render) -> None:
    """A template of this name stands in its place; what is for reviewers is not published."""
    section = "{{ heading('More', published=4, submission=3) }}\n\nMuch more.\n"
    text = render(flavour, {f"{slot}.md.j2": section})
    outline = [name for _, name in _outline(text)]
    follows = SLOTS[slot][flavour is SUBMISSION]
    assert ("Much more." in text) is (follows is not None)
    if follows is not None:
        place = outline.index("More")
        assert outline[place + 1 : place + 2] == [follows] * bool(follows)


def test_an_action_of_several_methods_has_one_table(
    page_folder: Callable[..., Path], plugin: Any
) -> None:
    """The first method shows it, the others lead there; each has its sample."""
    folder = page_folder()
    for name, key in (("count", "defaultSubscription"), ("destination", "subscribe")):
        path = folder / f"{name}.yaml"
        text = path.read_text(encoding="utf-8")
        both = f'{key}: type = "track" or type = "screen"'
        path.write_text(text.replace(f'{key}: type = "track"', both), encoding="utf-8")
    page = render_page(folder, load_definition(folder), plugin(), PUBLISHED)
    assert page.count("| `properties.by` |") == 1
    assert "Sample reads the same parts of a Screen call as of [a Track call](#track)." in page
    assert "analytics.screen('Pricing', {" in page


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("after-trak.md.j2", "page/after-trak.md.j2: no template includes it; did you mean after-"),
        ("zzz.md.j2", "page/zzz.md.j2: no template includes it; known: after-alias.md.j2, after-"),
    ],
)
def test_a_template_that_nothing_includes(name: str, message: str, render: Render) -> None:
    """A mistyped slot is an error, as its text would be missing; one of an include is none."""
    with pytest.raises(UsageError, match=re.escape(message)):
        render(PUBLISHED, {name: "Lost."})
    assert "Found." in render(
        PUBLISHED, {name: "Found.", "after-setup.md.j2": f'{{% include "{name}" %}}'}
    )


def test_the_line_of_a_mistake(render: Render) -> None:
    """The message names the template and the line where it is, not the one that includes it."""
    with pytest.raises(UsageError, match=r"\(after-setup\.md\.j2:3\): 'foo' is undefined"):
        render(PUBLISHED, {"after-setup.md.j2": "One.\n\n{{ foo }}\n"})


@pytest.mark.parametrize("path", ["/docs/connections/spec/", "/connections/spec/"])
def test_a_path_of_segments_docs(path: str, render: Render) -> None:
    """All paths begin with /docs/, so a template may leave that out."""
    slot = {"after-setup.md.j2": f'{{{{ segment("Spec", "{path}") }}}}'}
    assert "[Spec](/docs/connections/spec/)" in render(PUBLISHED, slot)
    assert "[Spec](https://segment.com/docs/connections/spec/)" in render(SUBMISSION, slot)


def test_images_of_an_earlier_page(tmp_path: Path) -> None:
    """They are reported and removed; other files in the folder are not of the build."""
    files = {"sample.md": b"A page.", "images/now.png": b"new"}
    write_files({"images/now.png": b"old", "images/before.png": b"old"}, tmp_path)
    (tmp_path / "images" / "notes.txt").write_text("Mine.", encoding="utf-8")
    stale = ["sample.md", "images/now.png", "images/before.png"]
    assert stale_files(files, tmp_path) == [str(tmp_path / name) for name in stale]
    write_files(files, tmp_path)
    assert stale_files(files, tmp_path) == []
    assert sorted(one.name for one in (tmp_path / "images").iterdir()) == ["notes.txt", "now.png"]


def test_the_folder_of_images_goes_with_the_last(tmp_path: Path) -> None:
    """A page without images has no folder for them."""
    write_files({"images/before.png": b"old"}, tmp_path)
    write_files({"sample.md": b"A page."}, tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["sample.md"]


@pytest.mark.parametrize("flavour", [PUBLISHED, SUBMISSION], ids=str)
def test_requests_to_delete_a_user(
    page_folder: Callable[..., Path], plugin: Any, flavour: Flavour
) -> None:
    """The page says that they are carried out, if the definition can."""
    folder = page_folder()
    told = "Sample also carries out requests to delete a user"
    assert told not in render_page(folder, load_definition(folder), plugin(), flavour)
    path = folder / "destination.yaml"
    document = yaml.safe_load(path.read_text("utf-8"))
    document["requests"]["remove"] = {
        "description": "Deletes a user.",
        "idempotent": True,
        "rest": {
            "method": "DELETE",
            "url": "http://127.0.0.1:9/users",
            "path": [{"@path": "$.payload.userId"}],
        },
    }
    document["onDelete"] = {"request": "remove"}
    path.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    page = render_page(folder, load_definition(folder), plugin(), flavour)
    assert told in page
    assert list(lint_page(page, Path("sample.md"))) == []

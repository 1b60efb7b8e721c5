"""What is read of a logo: its size, and what it must not have, with the line."""

from __future__ import annotations

import pytest

from destinations.kit.publishing.svg import read_svg

HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    ' viewBox="0 0 8 8">'
)

PATH = "<path d='M0 0h8v8z'/>"

FAULTS = [
    ("", "invalid", "the file is empty"),
    ("PNG", "invalid", "is not XML"),
    (f"{HEAD}<g>", "invalid", "is not XML: no element found"),
    ('<html xmlns="http://www.w3.org/1999/xhtml"/>', "invalid", "begins with <html>"),
    ('<svg viewBox="0 0 8 8"/>', "invalid", "begins with <svg> without its namespace"),
    (f"<!DOCTYPE svg [<!ENTITY a 'b'>]>{HEAD}&a;</svg>", "invalid", "has a document type"),
    (HEAD.replace("0 0 8 8", "0 0 8") + "</svg>", "invalid", "has viewBox '0 0 8'"),
    (HEAD.replace("0 0 8 8", "0 0 -8 8") + "</svg>", "invalid", "has viewBox"),
    (f"{HEAD}<script/></svg>", "script", "has <script>"),
    (f"{HEAD}<a xlink:href='JavaScript:a()'/></svg>", "script", "a link that runs code"),
    (f"{HEAD}<path onclick='a()'/></svg>", "script", "has the attribute onclick"),
    (f"{HEAD}<foreignObject/></svg>", "script", "has <foreignObject>"),
    (f"{HEAD}<animate/></svg>", "script", "has <animate>"),
    (f"{HEAD}<use xlink:href='a.svg#b'/></svg>", "external", "leads out of the file, to a.svg#b"),
    (f"{HEAD}<g fill='url(https://a.example/b)'/></svg>", "external", "to https://a.example/b"),
    (f"{HEAD}<g style='fill: url(\"c.svg#d\")'/></svg>", "external", "to c.svg#d"),
    (f"{HEAD}<style>@import 'a.css';</style></svg>", "external", "loads a style sheet"),
    (f"{HEAD}<style>g {{fill: url(a.svg)}}</style></svg>", "external", "to a.svg"),
    (f"<?xml-stylesheet href='a.css'?>{HEAD}</svg>", "external", "loads a style sheet"),
    (f"{HEAD}<image href='a.png'/></svg>", "bitmap", "has an embedded <image>"),
    (f"{HEAD}<use href='data:image/png;base64,AA'/></svg>", "bitmap", "has embedded data"),
    (f"{HEAD}<text>a</text></svg>", "text", "has <text>"),
    (f"{HEAD}</svg>", "invalid", "draws nothing: expected paths"),
    (f"{HEAD}<g><path d=' '/></g></svg>", "invalid", "draws nothing"),
    (f"{HEAD}<title>Acme</title><defs><path d='M0 0h8'/></defs></svg>", "invalid", "draws nothing"),
]


@pytest.mark.parametrize(("text", "kind", "message"), FAULTS)
def test_faults(text: str, kind: str, message: str) -> None:
    """Each is found once, and nothing else with it."""
    found = read_svg(text.encode()).faults
    assert [(one.kind, one.line) for one in found] == [(kind, 1)]
    assert message in found[0].message


def test_lines() -> None:
    """A fault has the line of its element."""
    svg = read_svg(f"{HEAD}\n<g/>\n<script>\n1\n</script>\n<text/></svg>".encode())
    assert [one.line for one in svg.faults] == [3, 6]


@pytest.mark.parametrize(
    ("attributes", "view_box", "ratio"),
    [
        ("viewBox='0 0 64 32'", (64, 32), 2),
        ("viewBox='0,0,64,64'", (64, 64), 1),
        ("viewBox='-8 -8 1e1 5.0'", (10, 5), 2),
        ("width='64' height='16px'", None, 4),
        ("width='100%' height='100%'", None, None),
        ("width='0' height='16'", None, None),
        ("", None, None),
    ],
)
def test_sizes(attributes: str, view_box: object, ratio: float | None) -> None:
    """The size is that of the viewBox, else of width and height where they are numbers."""
    svg = read_svg(f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>{PATH}</svg>'.encode())
    assert svg.faults == []
    assert (svg.view_box, svg.ratio) == (view_box, ratio)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}<defs><g id='a'/></defs><use href='#a'/><use xlink:href='#a'/></svg>",
        f"{HEAD}<g fill='url(#a)' style=\"stroke: url('#a')\"/>{PATH}</svg>",
        f"{HEAD}<style>g {{fill: url(#a)}}</style>{PATH}</svg>",
        f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- made by hand -->\n{HEAD}{PATH}</svg>',
        f"\ufeff{HEAD}<title>Acme</title>{PATH}</svg>",
    ],
)
def test_what_is_right(text: str) -> None:
    """References within the file, comments and titles are no faults."""
    assert read_svg(text.encode()).faults == []

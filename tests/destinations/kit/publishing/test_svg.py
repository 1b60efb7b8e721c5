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
    (f"{HEAD}<text>a<tspan>b</tspan></text></svg>", "text", "has <text>"),
    (f"{HEAD}<tspan>a</tspan></svg>", "text", "has <tspan>"),
    (f"{HEAD}<textPath href='#a'>a</textPath></svg>", "text", "has <textPath>"),
    (HEAD.replace("0 0 8 8", "0 0 1e999 1e999") + "</svg>", "invalid", "expected sides from 0.01"),
    (HEAD.replace("0 0 8 8", "0 0 1e-320 1e308") + "</svg>", "invalid", "expected sides from"),
    (HEAD.replace("0 0 8 8", "1e999 0 8 8") + "</svg>", "invalid", "expected sides from"),
    (HEAD.replace("0 0 8 8", "0 0 0 8") + "</svg>", "invalid", "expected sides from"),
    (f"{HEAD}<animateColor/></svg>", "script", "has <animateColor>"),
    (f"{HEAD}<discard/></svg>", "script", "has <discard>"),
    (f"{HEAD}<a href='java&#10;script:a()'/></svg>", "script", "a link that runs code"),
    (f"{HEAD}<i xmlns='http://www.w3.org/1999/xhtml'/></svg>", "script", "has <i> of HTML"),
    (
        f"{HEAD}<g style=\"background: image-set('https://a.example/b' 1x)\"/></svg>",
        "external",
        "loads something by image-set()",
    ),
    (f"{HEAD}<style>g {{x: src('a')}}</style></svg>", "external", "loads something by src()"),
    (f"{HEAD}<style>@\\69mport 'a.css';</style></svg>", "external", "(@import)"),
    (f"{HEAD}<style>@im/**/port 'a.css';@\\49 MPORT 'b';</style></svg>", "external", "(@import)"),
    (f"{HEAD}<style>a {{fill: u\\72l(b.svg)}}</style></svg>", "external", "to b.svg"),
    (f"{HEAD}<style>a {{fill: u\\000072 l(b.svg)}}</style></svg>", "external", "to b.svg"),
    (f"{HEAD}<g fill='\\75rl(b.svg)'/></svg>", "external", "to b.svg"),
    (f"{HEAD}<style><![CDATA[@import 'a.css';]]></style></svg>", "external", "(@import)"),
    (f"{HEAD}<g xml:base='https://a.example/'/></svg>", "external", "to https://a.example/"),
    (f"{HEAD}<g id='a'><use href='#a'/></g></svg>", "invalid", "shows itself (#a)"),
    (
        f"{HEAD}<g id='a'><use href='#b'/></g><g id='b'><use href='#a'/></g></svg>",
        "invalid",
        "has an element that shows itself",
    ),
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


def _nested(levels: int, times: int, reference: str = "<use href='#a{}'/>") -> str:
    """Return an image of which each level shows the one before so many times."""
    shown = "".join(
        f"<g id='a{level}'>{reference.format(level - 1) * times}</g>" for level in range(1, levels)
    )
    return f"{HEAD}<g id='a0'><path d='M0 0h8'/></g>{shown}</svg>"


@pytest.mark.parametrize(
    ("text", "is_too_much"),
    [
        (_nested(10, 10), True),
        (_nested(40, 2), True),
        (_nested(10, 10, "<path fill='url(#a{})'/>"), True),
        (_nested(10, 10, "<path style='fill: u\\72l(#a{})'/>"), True),
        (_nested(3, 10), False),
        (_nested(2000, 1), True),
        (_nested(200, 1), False),
        (HEAD + "<path d='M0 0h8'/>" * 5000 + "</svg>", False),
    ],
    ids=["10 by 10", "2 by 40", "by url", "by escapes", "few", "deep", "a chain", "plain"],
)
def test_bombs(text: str, *, is_too_much: bool) -> None:
    """An image of a few lines that shows a billion elements is found."""
    messages = [one.message for one in read_svg(text.encode()).faults]
    assert (
        messages == ["shows more than 100,000 elements, most of them by references"] * is_too_much
    )

"""Pages on the public Python names, from their signatures and docstrings."""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any, Final

from making.page import Page, cell, table

__all__ = ["library_pages"]

_FACES: Final = {
    "destinations": "Open, explain and deliver from a program.",
    "destinations.operations": "Look after a store from a program.",
    "kana_destination": "What only the Kana destination offers.",
}


def library_pages() -> Iterator[Page]:
    """Yield a page for each documented package."""
    for package, summary in _FACES.items():
        module = importlib.import_module(package)
        names = [one for one in module.__all__ if one != "__version__"]
        text = f"# {package}\n\n{summary}\n"
        rows = []
        body = ""
        for name in names:
            value = getattr(module, name)
            first = _inline(cell(_doc(value).partition("\n\n")[0]))
            rows.append((f"[`{name}`](#{name.lower()})", first))
            body += _entry(name, value)
        text += "\n" + table(("name", "what it is"), rows) + "\n" + body
        yield Page(
            f"python/{package}.md",
            f"python {package}",
            summary,
            text,
            f"the docstrings of {package}",
            (package,),
        )


def _entry(name: str, value: Any) -> str:
    text = f"\n## {name}\n\n"
    if inspect.isclass(value) or inspect.isfunction(value):
        text += f"```python\n{_signature(name, value)}\n```\n\n"
    text += _markdown(_doc(value)) + "\n"
    if inspect.isclass(value):
        for member, found in _members(value):
            text += f"\n- `{member}`: {found}" if found else f"\n- `{member}`"
        text += "\n"
    return text


def _doc(value: Any) -> str:
    """Return the docstring of what has one of its own."""
    if inspect.isclass(value) or inspect.isfunction(value):
        return inspect.getdoc(value) or ""
    return f"The type `{value}`.".replace("typing.", "").replace("collections.abc.", "")


def _signature(name: str, value: Any) -> str:
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return f"class {name}"
    bare = found.replace(
        parameters=[
            one.replace(annotation=_bare(one.annotation)) for one in found.parameters.values()
        ],
        return_annotation=_bare(found.return_annotation),
    )
    shown = re.sub(r" at 0x[0-9a-f]+", "", str(bare)).replace("<factory>", "...")
    is_class = inspect.isclass(value)
    line = f"class {name}{shown.removesuffix(' -> None')}" if is_class else f"def {name}{shown}"
    return "\n".join(textwrap.wrap(line, 96, subsequent_indent="    ", break_long_words=False))


class _Bare(str):
    """An annotation that is shown as it was written, without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _bare(annotation: Any) -> Any:
    return _Bare(annotation) if isinstance(annotation, str) else annotation


def _members(value: type) -> Iterator[tuple[str, str]]:
    for name, member in sorted(vars(value).items()):
        if name.startswith("_"):
            continue
        if isinstance(member, property) or inspect.isfunction(member):
            doc = cell((inspect.getdoc(member) or "").partition("\n\n")[0])
            shown = name if isinstance(member, property) else f"{name}()"
            yield shown, _inline(doc)


def _markdown(doc: str) -> str:
    return _inline(doc.replace("::\n", "\n"))


def _inline(text: str) -> str:
    """Return a docstring's text with double quotes of code as Markdown's single ones."""
    return text.replace("``", "`")

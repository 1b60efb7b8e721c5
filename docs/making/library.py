"""Pages on the public Python names, from their signatures and docstrings."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
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
            first = _inline(cell(_doc(module, name).partition("\n\n")[0]))
            rows.append((f"[`{name}`](#{name.lower()})", first))
            body += _entry(module, name)
        text += "\n" + table(("name", "what it is"), rows) + "\n" + body
        yield Page(
            f"python/{package}.md",
            f"python {package}",
            summary,
            text,
            f"the docstrings of {package}",
            (package,),
        )


def _entry(module: ModuleType, name: str) -> str:
    value = getattr(module, name)
    text = f"\n## {name}\n\n"
    if inspect.isclass(value) or inspect.isfunction(value):
        text += f"```python\n{_signature(name, value)}\n```\n\n"
    text += _markdown(_doc(module, name)) + "\n"
    if inspect.isclass(value):
        for member, found in _members(value):
            text += f"\n- `{member}`: {found}" if found else f"\n- `{member}`"
        text += "\n"
    return text


def _doc(module: ModuleType, name: str) -> str:
    """Return what the code says of a public name: its docstring, or the text below a constant."""
    value = getattr(module, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        return inspect.getdoc(value) or ""
    said = _below(_home(module, name), name)
    if isinstance(value, bool | int | float | str):
        return f"{said} Its value is `{value!r}`.".strip()
    if not said:
        raise LookupError(f"nothing below {name} says what it is")
    return said


def _home(module: ModuleType, name: str) -> ast.Module:
    """Return the code that defines a name: stubs and imports say where it comes from."""
    file = Path(module.__file__ or "")
    stub = file.with_suffix(".pyi")
    code = ast.parse((stub if stub.exists() else file).read_text(encoding="utf-8"))
    for node in code.body:
        if not isinstance(node, ast.ImportFrom):
            continue
        if name in {one.asname or one.name for one in node.names}:
            place = "." * node.level + (node.module or "")
            return _home(importlib.import_module(place, module.__package__), name)
    return code


def _below(code: ast.Module, name: str) -> str:
    """Return the text right below the line that gives a name its value; empty without one."""
    for one, after in itertools.pairwise([*code.body, ast.Pass()]):
        targets = one.targets if isinstance(one, ast.Assign) else []
        targets = [one.target] if isinstance(one, ast.AnnAssign) else targets
        if any(isinstance(each, ast.Name) and each.id == name for each in targets):
            match after:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    return inspect.cleandoc(text)
    return ""


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

"""Pages on what becomes of an event: outcomes, states, effects."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from destinations.outcome import Effect, Outcome, State
from making.page import Page, cell

__all__ = ["documented", "word_pages"]

ROOT = Path(__file__).resolve().parents[2]


_MORE: Mapping[str, str] = {
    State.HELD: " [Read held and decide](../how-to/decide-held.md) has the steps.",
    State.UNKNOWN: " [Why](../explanations/lost-answers.md) it is not simply sent again.",
    Outcome.DEAD: " [Feed back](../how-to/feed-back.md) says how it is sent again.",
    Outcome.INVALID: " [Feed back](../how-to/feed-back.md) says how it is corrected.",
    Outcome.REJECTED: " [Feed back](../how-to/feed-back.md) says how it is corrected.",
}
"""What readers of an outcome or a state do next."""


def documented(path: str, name: str) -> Mapping[str, str]:
    """Return the members of an enumeration in a file, with the text below each."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    (found,) = (one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == name)
    members: dict[str, str] = {}
    member = ""
    for line in found.body:
        match line:
            case ast.Assign(targets=[ast.Name(id=each)], value=ast.Constant(value=str(value))):
                member = value if each.isupper() else ""
            case ast.Expr(value=ast.Constant(value=str(text))) if member:
                members[member], member = cell(text), ""
    return members


def word_pages() -> Iterator[Page]:
    """Yield the page on outcomes, states and effects."""
    path = "destinations/outcome.py"
    text = "# Outcomes, states and effects\n\n"
    text += (
        "An event has a row for each subscription that takes it. Each row ends in one outcome.\n"
    )
    for title, name, kind, more in (
        ("Outcomes", "Outcome", Outcome, ""),
        ("States", "State", State, "Until a row has its outcome, it is in one of these states."),
        ("Effects", "Effect", Effect, "What a delivery has changed at the partner so far."),
    ):
        found = documented(path, name)
        if set(found) != set(kind):
            raise LookupError(f"not all of {name} say what they are")
        text += f"\n## {title}\n" + (f"\n{more}\n" if more else "")
        text += "".join(
            f"\n### {value}\n\n{meaning}{_MORE.get(value, '')}\n"
            for value, meaning in found.items()
        )
    yield Page(
        "outcomes.md",
        "outcomes",
        "What becomes of an event: outcomes, states, effects.",
        text,
        path,
        ("outcome", "state", "states", "effect", "effects", "status"),
    )

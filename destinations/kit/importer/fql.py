"""Rewrite subscriptions in proper FQL with the same meaning for Segment's runtime.

Segment's own presets have text such as ``type = "track" AND event = "Signed Up"``, which its
runtime accepts although it is not FQL. A definition must have FQL, so the text is rewritten,
provided that both texts are read as the same conditions.
"""

from __future__ import annotations

from destinations.segment.fql import check_fql
from destinations.segment.fql.parser import parse
from destinations.segment.fql.syntax import Condition, FqlError, Group, Node
from destinations.segment.fql.tokens import Kind, Token, lex

__all__ = ["proper_fql"]


def proper_fql(text: str) -> str | None:
    """Return ``text`` if it is FQL, else FQL that matches the same events; None if not found."""
    if not check_fql(text):
        return text
    try:
        tokens = lex(text)
        meant = _meaning(parse(text, tokens))
    except FqlError:
        return None
    # Stray words are skipped, and terms without a word between them are joined by "and".
    for joined in ("", "and"):
        candidate = _rewritten(text, tokens, joined)
        if not check_fql(candidate) and _meaning(parse(candidate, lex(candidate))) == meant:
            return candidate
    return None


def _rewritten(text: str, tokens: list[Token], joined: str) -> str:
    """Write AND and OR in lowercase letters, or all of them as ``joined``; quote bare words."""
    parts = []
    at = 0
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.kind is Kind.END:
            break
        word = token.text
        if word.lower() in {"and", "or"} and word != word.lower():
            word = joined or word.lower()
        elif before is not None and before.kind is Kind.OPERATOR and before.text != "!":
            is_bare = token.kind is Kind.IDENT and word not in {"true", "false"}
            word = f'"{word}"' if is_bare else text[token.start : token.end]
        else:
            word = text[token.start : token.end]
        parts += [text[at : token.start], word]
        at = token.end
    return "".join([*parts, text[at:]])


def _meaning(node: Node) -> object:
    """Return the conditions without their source text, for comparison."""
    if isinstance(node, Group):
        return (node.operator, tuple(map(_meaning, node.children)))
    if isinstance(node, Condition):
        return (node.path, node.operator, type(node.operand), node.operand)
    return None

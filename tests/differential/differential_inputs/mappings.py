"""Mappings: every directive in every other, with arguments that fit and arguments that do not."""

from __future__ import annotations

from typing import Any, Final

from differential_inputs.json_values import json_values, keys, one_in, scalars, texts
from hypothesis import strategies as st

__all__ = ["mapping_values", "mappings", "paths", "templates"]

_PARTS: Final = (
    "properties", "traits", "context", "items", "type", "event", "name", "userId", "a", "b", "c",
    "email", "0", "1", "length", "é", "user id", "A",
)  # fmt: skip
_MOULDS: Final = (
    ".{}",
    ".{}",
    ".{}",
    "[0]",
    "[{}]",
    "['{}']",
    '["{}"]',
    "['a.b']",
    "..{}",
    ".'{}'",
    "[1].{}",
)
_ODD_PATHS: Final = (
    "", ".", "$", "$.", "$", "$.$.", "properties.$.a", "[", "]", "[]", "['", "a\\.b", "a\\[0\\]",
    "properties['a.b']", "properties.a\\.b", "items[0]].a", "items[[0]]", "'type'", "\"type\"",
    "items[-1]", "items.0.a", "properties.toString", "items.map", "type.length", "type[0]",
    "userId.trim", "a]", " type", "type ", "items['0']['a']", "properties.constructor.name",
)  # fmt: skip


@st.composite
def paths(draw: st.DrawFn) -> str:
    """A path: mostly to what events have, in every notation; sometimes to nothing."""
    if one_in(draw, 6):
        return draw(st.one_of(st.sampled_from(_ODD_PATHS), texts))
    path = draw(st.sampled_from(("$.", "$.", "", "$"))) + draw(st.sampled_from(_PARTS))
    for _ in range(draw(st.integers(0, 3))):
        path += draw(st.sampled_from(_MOULDS)).format(draw(st.sampled_from(_PARTS)))
    return path


@st.composite
def templates(draw: st.DrawFn) -> str:
    """Text with placeholders in it, some of them broken."""
    moulds = (
        "{{%s}}",
        "{{ %s }}",
        "{{{%s}}}",
        "{{{ %s }}}",
        "{%s}",
        "{{%s",
        "%s}}",
        "{{%s}}}",
        "{{{%s}}",
    )
    parts = draw(
        st.lists(
            st.one_of(
                texts, st.builds(lambda mould, path: mould % path, st.sampled_from(moulds), paths())
            ),
            max_size=4,
        )
    )
    return "".join(parts)


def _argument(
    required: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[Any]:
    """An object of these fields; now and then one of them is missing or anything at all."""

    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        argument = draw(st.fixed_dictionaries(required, optional=optional))
        if argument and one_in(draw, 40):
            name = draw(st.sampled_from(sorted(argument)))
            if draw(st.booleans()):
                del argument[name]
            else:
                argument[name] = draw(json_values)
        return argument

    return build()


def _is_directive(value: object) -> bool:
    return isinstance(value, dict) and any(key.startswith("@") for key in value)


def _directives(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Each directive but ``@liquid``, around values of ``inner``."""
    short = st.one_of(
        st.sampled_from(
            ["a", "e", ".", "$", "a.", "[", " ", "İ", "ß", "i", "\\", "^", "/", "é", "\n"]
        ),
        st.text(min_size=1, max_size=6),
        st.text(max_size=11),
    )
    path = paths().map(lambda path: {"@path": path})
    directive = st.one_of(path, inner.filter(_is_directive))
    text = st.one_of(texts, directive, directive)
    objects = st.one_of(st.dictionaries(keys, inner, max_size=4), directive)
    arguments: dict[str, st.SearchStrategy[Any]] = {
        "@path": st.one_of(paths(), paths(), paths(), directive),
        "@template": st.one_of(templates(), templates(), directive),
        "@literal": st.one_of(json_values, inner),
        "@if": st.one_of(
            _argument({"exists": inner}, {"then": inner, "else": inner}),
            _argument({"blank": inner}, {"then": inner, "else": inner, "exists": inner}),
        ),
        "@case": _argument(
            {
                "operator": st.sampled_from(
                    ["lower", "upper", "lower", "upper", "Lower", "title", ""]
                )
            },
            {"value": text},
        ),
        "@replace": _argument(
            {"pattern": short, "value": text},
            {
                "replacement": st.one_of(
                    short, st.sampled_from(["$&$&", "$$", "$1", "$`", "$'", "$<a>"])
                ),
                "pattern2": short,
                "replacement2": short,
                "global": st.booleans(),
                "ignorecase": st.booleans(),
            },
        ),
        "@arrayPath": st.one_of(
            st.tuples(text, objects).map(list),
            st.tuples(st.just("$.items"), objects).map(list),
            st.tuples(text).map(list),
        ),
        "@json": _argument(
            {
                "mode": st.sampled_from(["encode", "decode", "Encode", "DECODE"]),
                "value": st.one_of(inner, texts),
            },
            {},
        ),
        "@flatten": _argument(
            {"separator": st.one_of(st.sampled_from([".", "_", "", "é"]), inner), "value": objects},
            {"omitArrays": st.one_of(st.booleans(), scalars)},
        ),
        "@merge": _argument(
            {
                "direction": st.sampled_from(["left", "right", "left", "right", "Left", "up"]),
                "objects": st.lists(objects, max_size=3),
            },
            {},
        ),
        "@transform": _argument({"apply": objects, "mapping": objects}, {}),
        "@excludeWhenNull": inner,
    }
    one = st.one_of(
        *(
            st.builds(lambda value, name=name: {name: value}, value)
            for name, value in arguments.items()
        )
    )

    @st.composite
    def spoiled(draw: st.DrawFn) -> Any:
        directive = dict(draw(one))
        oddity = draw(st.integers(0, 49))
        if oddity == 46:
            directive["_metadata"] = draw(json_values)
        elif oddity == 47:
            directive[draw(keys)] = draw(scalars)
        elif oddity == 48:
            directive = {
                draw(st.sampled_from(["@nope", "@", "@Path", "@path ", "@1"])): draw(inner)
            }
        elif oddity == 49:
            directive.update(draw(one))
        return directive

    return spoiled()


mapping_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(paths().map(lambda path: {"@path": path}), json_values),
    lambda inner: st.one_of(
        _directives(inner),
        _directives(inner),
        _directives(inner),
        st.dictionaries(keys, inner, max_size=3),
        st.lists(inner, max_size=3),
    ),
    max_leaves=8,
)


@st.composite
def mappings(draw: st.DrawFn) -> dict[str, Any]:
    """The mapping of a subscription, sometimes one directive as a whole or one around the root."""
    mapping: dict[str, Any] = draw(st.dictionaries(keys, mapping_values, min_size=1, max_size=3))
    oddity = draw(st.integers(0, 19))
    if oddity == 18:
        whole = draw(_directives(mapping_values))
        return whole if isinstance(whole, dict) else mapping
    if oddity == 19:
        root = draw(
            st.one_of(
                st.just(
                    {
                        "@transform": {
                            "apply": {"a": {"@path": "$.properties"}, "items": {"@path": "items"}}
                        }
                    }
                ),
                st.just({"@if": {"exists": {"@path": "$.userId"}, "then": 1}}),
                _directives(mapping_values),
            )
        )
        return {**mapping, "__segment_internal_directive": root}
    return mapping

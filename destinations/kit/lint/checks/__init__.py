"""List the checks that patterns cannot express, by the names that structure.yaml uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from destinations.kit.lint.checks.active import active_html, liquid
from destinations.kit.lint.checks.headings import (
    empty_sections,
    first_level,
    heading_order,
    sentence_case,
    title_case,
    top_level_sections,
)
from destinations.kit.lint.checks.images import (
    image_alt,
    image_format,
    image_host,
    image_name,
    image_size,
    image_width,
)
from destinations.kit.lint.checks.links import dead_anchors, dead_links, link_target
from destinations.kit.lint.checks.samples import (
    method_samples,
    sample_calls,
    sample_fields,
    secrets,
)
from destinations.kit.lint.checks.shape import (
    fence_language,
    front_matter,
    front_matter_id,
    front_matter_keys,
    hints,
    table_shape,
    trailing_space,
)
from destinations.kit.lint.checks.template import (
    introduction,
    maintainer,
    required_sections,
    section_order,
    spec_links,
)
from destinations.kit.lint.checks.words import (
    missing_subjects,
    repeated_paragraphs,
    spelling,
    unknown_words,
)
from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.rule import Found, Rule
from destinations.kit.lint.source import Source

__all__ = ["CHECKS", "Check", "Found"]

Check = Callable[[Source, Rule, Configuration], Iterator[Found]]

CHECKS: Final[Mapping[str, Check]] = {
    check.__name__: check
    for check in (
        active_html,
        dead_anchors,
        dead_links,
        empty_sections,
        fence_language,
        first_level,
        front_matter,
        front_matter_id,
        front_matter_keys,
        heading_order,
        hints,
        image_alt,
        image_format,
        image_host,
        image_name,
        image_size,
        image_width,
        introduction,
        link_target,
        liquid,
        maintainer,
        method_samples,
        missing_subjects,
        repeated_paragraphs,
        required_sections,
        sample_calls,
        sample_fields,
        secrets,
        section_order,
        sentence_case,
        spec_links,
        spelling,
        table_shape,
        title_case,
        top_level_sections,
        trailing_space,
        unknown_words,
    )
}
"""Each yields its findings in a page; the rule has the message and the exceptions."""

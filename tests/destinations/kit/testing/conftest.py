"""Destinations under test: the small one with a generator, and the one that `init` makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations.definition import load_definition
from destinations.definition.document import read_document
from destinations.kit.init import create_destination
from destinations.kit.testing.case import Case
from destinations.kit.testing.case_reading import build_case
from destinations.kit.testing.subject import Subject, subject_in
from destinations.runtime.action import Call, Done
from destinations.runtime.destination import Code


def _sync(payload: dict[str, Any]) -> Any:
    found = yield Call("find", payload)
    if found.name != "missing":
        return Done(f"found {found.data['name']}")
    yield Call("create", payload)
    return Done("created")


@pytest.fixture
def make_subject(write_definition: Callable[..., Path]) -> Callable[..., Subject]:
    """The small destination with its generator, changed as for ``write_definition``."""

    def make(change: Any = None) -> Subject:
        folder = write_definition(change)
        return Subject(folder, load_definition(folder), Code({"sync": _sync}))

    return make


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """The folder of the destination ``partner`` that ``init`` makes."""
    create_destination("partner", tmp_path)
    return tmp_path / "partner"


@pytest.fixture
def partner(template: Path) -> Subject:
    """The destination that ``init`` makes."""
    return subject_in(template)


@pytest.fixture
def case_data(template: Path) -> dict[str, Any]:
    """What the case of that destination says."""
    text = (template / "cases" / "track.yaml").read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    return data


@pytest.fixture
def make_case(partner: Subject, case_data: dict[str, Any]) -> Callable[..., Case]:
    """The case of that destination, changed by a function of what its file says."""

    def make(change: Callable[[dict[str, Any]], object] | None = None) -> Case:
        if change is not None:
            change(case_data)
        text = json.dumps(case_data, indent=1)
        return build_case(read_document(text, "case.yaml"), "case", partner.definition)

    return make

"""What is wrong with steps is told with file and line, and what changes of them is told by diff."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import DestinationDefinition, check_folder
from destinations.definition.comparison import Bump, compare

Write = Callable[..., Path]
Load = Callable[..., DestinationDefinition]

STEPS = "sync.perform.steps"


def _set(path: str, value: object) -> Callable[[Any], None]:
    """Sets what a dotted path leads to; ``...`` removes it."""

    def change(documents: Any) -> None:
        *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        place = documents
        for key in parents:
            place = place[key]
        if value is ...:
            del place[last]
        else:
            place[last] = value

    return change


def _reads(request: str, step: str) -> Callable[[Any], None]:
    path = ["contacts", {"@template": f"{{{{answers.{step}.id}}}}"}]
    return _set(f"destination.requests.{request}.rest.path", path)


def _path(template: str) -> Callable[[Any], None]:
    return _set("destination.requests.alter.rest.path", ["contacts", {"@template": template}])


def _all(*changes: Callable[[Any], Any]) -> Callable[[Any], None]:
    def change(documents: Any) -> None:
        for one in changes:
            one(documents)

    return change


def _also_outside(documents: Any) -> None:
    documents["save"]["perform"]["request"] = "alter"


def _in_two_places(documents: Any) -> None:
    """A second action makes the same request without the step that it reads."""
    documents["save"]["perform"] = {
        "steps": [{"name": "look", "request": "search"}, {"name": "change", "request": "alter"}]
    }


ISSUES: dict[str, tuple[Callable[[Any], object], str, str, str]] = {
    "a name twice": (
        _set(f"{STEPS}.2.name", "find"),
        "sync.yaml",
        "/perform/steps/2/name",
        "step 1 is called 'find' as well; give each its own name",
    ),
    "a mistyped request": (
        _set(f"{STEPS}.1.request", "ad"),
        "sync.yaml",
        "/perform/steps/1/request",
        "unknown request 'ad'; known: find, create, count, save, search, add, alter; did you mean",
    ),
    "a mistyped step": (
        _set(f"{STEPS}.1.when", {"fnid": "ok"}),
        "sync.yaml",
        "/perform/steps/1/when/fnid",
        "unknown step 'fnid'; steps before create: find; did you mean find?",
    ),
    "a later step": (
        _set(f"{STEPS}.1.when", {"change": "ok"}),
        "sync.yaml",
        "/perform/steps/1/when/change",
        "the step change does not come before create; steps before it: find",
    ),
    "itself": (
        _set(f"{STEPS}.1.when", {"create": "ok"}),
        "sync.yaml",
        "/perform/steps/1/when/create",
        "a step cannot wait for its own answer",
    ),
    "a circle": (
        lambda documents: (
            _set(f"{STEPS}.1.when", {"change": "ok"})(documents),
            _set(f"{STEPS}.2.when", {"create": "ok"})(documents),
        ),
        "sync.yaml",
        "/perform/steps/1/when/change",
        "create and change wait for each other: remove one of the two conditions",
    ),
    "a condition of the first": (
        _set(f"{STEPS}.0.when", {"nobody": "ok"}),
        "sync.yaml",
        "/perform/steps/0/when/nobody",
        "unknown step 'nobody'; steps before find: none, as it is the first one",
    ),
    "an answer that the request does not have": (
        _set(f"{STEPS}.1.when", {"find": "missing"}),
        "sync.yaml",
        "/perform/steps/1/when/find",
        "the request of find has no answer 'missing'; it has: ok",
    ),
    "a broken schema": (
        _set(f"{STEPS}.1.when", {"find": {"type": "objekt"}}),
        "sync.yaml",
        "/perform/steps/1/when/find/type",
        "",
    ),
    "no condition": (
        _set(f"{STEPS}.1.when", {}),
        "sync.yaml",
        "/perform/steps/1/when",
        "",
    ),
    "neither name nor schema": (
        _set(f"{STEPS}.1.when", {"find": 1}),
        "sync.yaml",
        "/perform/steps/1/when/find",
        "",
    ),
    "a name with a space": (
        _set(f"{STEPS}.0.name", "look up"),
        "sync.yaml",
        "/perform/steps/0/name",
        "a name of letters",
    ),
    "not repeatable": (
        _set("sync.perform.repeatable", value=False),
        "sync.yaml",
        "/perform/repeatable",
        "true, or a mapping such as {after: 60}",
    ),
    "a wait that is none": (
        _set("sync.perform.repeatable", {"after": -1}),
        "sync.yaml",
        "/perform/repeatable/after",
        "",
    ),
    "an end without steps": (
        _set("count.perform.otherwise", "filtered"),
        "count.yaml",
        "/perform/otherwise",
        "has no effect without steps",
    ),
    "another end": (_set("sync.perform.otherwise", "dead"), "sync.yaml", "/perform/otherwise", ""),
    "repeatable without steps": (
        _set("count.perform.repeatable", value=True),
        "count.yaml",
        "/perform/repeatable",
        "has no effect without steps",
    ),
    "an answer of a later step": (
        _reads("search", "change"),
        "destination.yaml",
        "/requests/search/rest/path/1/@template",
        "the step change does not come before the step find of sync, which makes this request",
    ),
    "an answer of its own step": (
        _reads("alter", "change"),
        "destination.yaml",
        "/requests/alter/rest/path/1/@template",
        "the step change does not come before the step change of sync",
    ),
    "a mistyped answer": (
        _reads("alter", "fnid"),
        "destination.yaml",
        "/requests/alter/rest/path/1/@template",
        "unknown step 'fnid'; known: find, create; did you mean find?",
    ),
    "a mistyped key of an answer": (
        _path("{{answers.find.resluts.0.id}}"),
        "destination.yaml",
        "/requests/alter/rest/path/1/@template",
        "unknown key of the answer 'resluts'; known: results; did you mean results?",
    ),
    "a mistyped key of an item": (
        _path("{{answers.find.results.0.idd}}"),
        "destination.yaml",
        "/requests/alter/rest/path/1/@template",
        "unknown key of the answer 'idd'; known: id; did you mean id?",
    ),
    "a list without an index": (
        _path("{{answers.find.results.id}}"),
        "destination.yaml",
        "/requests/alter/rest/path/1/@template",
        "reads 'id' of a list: say of which item, such as [0].id",
    ),
    "the body of an answer": (
        _path("{{answers.find.body.results.0.id}}"),
        "destination.yaml",
        "/requests/alter/rest/path/1/@template",
        "unknown key of the answer 'body', which is the body itself; known: results",
    ),
    "a key that neither expect nor example has": (
        _path("{{answers.find.bodyy}}"),
        "destination.yaml",
        "/requests/alter/rest/path/1/@template",
        "unknown key of the answer 'bodyy'; known: results",
    ),
    "a mistyped key of an answer without an example": (
        _all(
            _path("{{answers.find.resluts.0.id}}"),
            _set("destination.requests.search.example", ...),
        ),
        "destination.yaml",
        "/requests/alter/rest/path/1/@template",
        "unknown key of the answer 'resluts'; did you mean results?",
    ),
    "answers without steps": (
        _reads("save", "find"),
        "destination.yaml",
        "/requests/save/rest/path/1/@template",
        "must not read answers: these are of the steps before a request",
    ),
    "a request that is made without steps as well": (
        _also_outside,
        "destination.yaml",
        "/requests/alter/rest/path/1/@path",
        "must not read answers: the action save makes this request as well, without steps",
    ),
    "a request that another action makes without the step": (
        _in_two_places,
        "destination.yaml",
        "/requests/alter/rest/path/1/@path",
        "the step find does not come before the step change of save",
    ),
    "an answer in the address of all": (
        _set("destination.transport.headers.X-Id", {"@path": "$.answers.find.id"}),
        "destination.yaml",
        "/transport/headers/X-Id/@path",
        "must not read answers",
    ),
    "an answer in a field": (
        _set("sync.fields.properties.id.default", {"@path": "$.answers.find.id"}),
        "sync.yaml",
        "/fields/properties/id/default/@path",
        "must not read answers",
    ),
    "an unknown field of the payload": (
        _set("destination.requests.add.rest.json", {"email": {"@path": "$.payload.emial"}}),
        "destination.yaml",
        "/requests/add/rest/json/email/@path",
        "unknown field 'emial'; known: id, email, name; did you mean email?",
    ),
    "it only reads, but not twice": (
        _set("destination.requests.search.idempotent", value=False),
        "destination.yaml",
        "/requests/search/readOnly",
        "search must be idempotent, as it only reads",
    ),
    "it only reads anyway": (
        lambda documents: (
            _set("destination.requests.search.rest.method", "GET")(documents),
            _set("destination.requests.search.rest.json", ...)(documents),
        ),
        "destination.yaml",
        "/requests/search/readOnly",
        "has no effect: a GET request only reads anyway",
    ),
}


@pytest.mark.parametrize(("change", "file", "place", "message"), ISSUES.values(), ids=ISSUES)
def test_what_is_wrong(
    write_definition: Write,
    with_steps: Any,
    change: Any,
    file: str,
    place: str,
    message: str,
) -> None:
    """Each issue has its file, its line, its place, and what would be right."""

    def changed(documents: Any) -> None:
        with_steps(documents)
        change(documents)

    issues = check_folder(write_definition(changed))
    found = [one for one in issues if one.path.startswith(place) and message in one.message]
    assert found, list(map(str, issues))
    assert Path(found[0].file or "").name == file
    assert found[0].line is not None


def test_an_amount_is_not_added_again(write_definition: Write, with_steps: Any) -> None:
    """Where a balance settles lost answers, steps cannot be repeatable."""

    def change(documents: Any) -> None:
        with_steps(documents)
        documents["sync"]["perform"]["repeatable"] = True
        documents["destination"]["requests"]["add"]["reconcile"] = {
            "ask": "find",
            "key": {"@path": "$.payload.id"},
            "amount": 1,
            "shown": {"@path": "$.answer.name"},
        }

    (issue,) = check_folder(write_definition(change))
    assert issue.path == "/perform/repeatable"
    assert issue.message.startswith("must not be set: add adds to an amount")


def test_steps_are_valid(write_definition: Write, with_steps: Any) -> None:
    """The definition of the other tests has no issue, and no warning."""
    assert check_folder(write_definition(with_steps)) == ()


def _without_alter(change: Callable[[Any], None]) -> Callable[[Any], None]:
    """Removes the request that reads an answer as well, as nothing makes it any more."""

    def changed(documents: Any) -> None:
        del documents["destination"]["requests"]["alter"]
        change(documents)

    return changed


AGAIN = "after a lost answer, its steps are made again from the first one on"


def _no_expect(documents: Any) -> None:
    del documents["destination"]["requests"]["search"]["expect"]


def _named(*whens: object, answers: tuple[str, ...] = ("missing",)) -> Callable[[Any], None]:
    """Let the search have named answers, and the other steps these conditions."""

    def change(documents: Any) -> None:
        asked = documents["destination"]["requests"]["search"]
        asked["answers"] = [
            {"name": name, "when": {"status": 404 + at}} for at, name in enumerate(answers)
        ]
        for step, when in zip(documents["sync"]["perform"]["steps"][1:], whens, strict=True):
            step["when"] = {"find": when}

    return change


READS_FINE: dict[str, Callable[[Any], None]] = {
    "an item": _path("{{answers.find.results.0.id}}"),
    "the length": _path("{{answers.find.results.length}}"),
    "an answer of which nothing is known": _all(
        _path("{{answers.find.anything}}"),
        _set("destination.requests.search.example", ...),
        _set("destination.requests.search.expect", {"not": {"type": "string"}}),
    ),
    "an open answer without an example": _all(
        _path("{{answers.find.total}}"), _set("destination.requests.search.example", ...)
    ),
}


@pytest.mark.parametrize("change", READS_FINE.values(), ids=READS_FINE)
def test_keys_of_answers_that_may_be_there(
    write_definition: Write, with_steps: Any, change: Callable[[Any], None]
) -> None:
    """What is not known is not judged."""
    assert not check_folder(write_definition(_all(with_steps, change)))


def _looks_twice(documents: Any) -> None:
    """A second look-up, by an answer of the first, decides."""
    requests = documents["destination"]["requests"]
    gone = [{"name": "gone", "when": {"status": 410}}]
    requests["look"] = {**requests["search"], "answers": gone}
    steps = documents["sync"]["perform"]["steps"]
    steps.insert(1, {"name": "look", "request": "look", "when": steps[1]["when"]})
    steps[2]["when"] = {"look": "gone"}


SOME = {"type": "object", "required": ["results"]}
MEANT: Callable[[Any], None] = _set("sync.perform.otherwise", "filtered")

DEAD_ENDS: dict[str, tuple[Callable[[Any], object], str, str]] = {
    "each has a step": (lambda _: None, "", ""),
    "names, each with a step": (_named("missing", "ok"), "", ""),
    "a name without a step": (
        _named("missing", "missing"),
        "/perform/steps/0",
        "an event ends here if the answer is ok, and nothing is changed: add a step for it, or say",
    ),
    "another name without a step": (
        _named("missing", "ok", answers=("missing", "locked")),
        "/perform/steps/0",
        "an event ends here if the answer is locked, and nothing is changed",
    ),
    "it is meant": (_all(_named("missing", "missing"), MEANT), "", ""),
    "an answer of any form": (
        _no_expect,
        "/perform/steps/0",
        "search has no expect, so its answer may not fit create or change, and the event",
    ),
    # What comes with a success may be an error: it must not be left out without a word.
    "an expect that takes anything": (
        _set("destination.requests.search.expect", {}),
        "/perform/steps/0",
        "search has no expect",
    ),
    "an answer of any form, and an end": (
        _all(_no_expect, MEANT),
        "/perform/steps/0",
        "give search an expect",
    ),
    "an answer of any form, and a step for it": (
        _all(_no_expect, _named(SOME, "ok", answers=())),
        "",
        "",
    ),
    "a second look-up": (
        _looks_twice,
        "/perform/steps/1",
        "an event ends here if the answer is ok, and nothing is changed",
    ),
    "a step that is always made": (
        _set(f"{STEPS}.1", {"name": "create", "request": "add"}),
        "",
        "",
    ),
    "only steps that read": (
        _all(
            _set("destination.requests.add", ...),
            _set("destination.requests.alter", ...),
            _set("sync.perform.steps", [{"name": "find", "request": "search"}]),
        ),
        "",
        "",
    ),
}


@pytest.mark.parametrize(("change", "place", "message"), DEAD_ENDS.values(), ids=DEAD_ENDS)
def test_answers_after_which_nothing_is_sent(
    write_definition: Write, with_steps: Any, change: Any, place: str, message: str
) -> None:
    """An event that would end after a look-up is found before there is one."""
    issues = check_folder(write_definition(_all(with_steps, change)))
    # What only reads may leave a field of the payload unread, which is another thing.
    issues = tuple(one for one in issues if "is never sent" not in one.message)
    if not place:
        assert not issues
        return
    (issue,) = issues
    assert issue.path == place
    assert message in issue.message
    assert issue.line is not None


def test_very_many_ways(write_definition: Write, with_steps: Any) -> None:
    """Twenty look-ups with ten answers each have more ways than anybody can go."""

    def change(documents: Any) -> None:
        with_steps(documents)
        names = tuple(f"answer_{'abcdefghij'[at]}" for at in range(10))
        _named("answer_a", "answer_b", answers=names)(documents)
        steps = documents["sync"]["perform"]["steps"]
        looks = [{"name": f"look{at}", "request": "search"} for at in range(17)]
        documents["sync"]["perform"]["steps"] = [steps[0], *looks, *steps[1:]]

    assert check_folder(write_definition(change))


CHANGES: dict[str, tuple[Callable[[Any], object], list[tuple[str, str]]]] = {
    "nothing": (lambda _: None, []),
    "a step less": (
        _without_alter(_set(f"{STEPS}.2", ...)),
        [
            (
                "/actions/sync/perform/steps",
                "the step 'change' is gone, which made the request 'alter'",
            )
        ],
    ),
    "a step more": (
        lambda documents: documents["sync"]["perform"]["steps"].append(
            {"name": "again", "request": "search"}
        ),
        [
            (
                "/actions/sync/perform/steps/3",
                "the step 'again' is new: it makes the request 'search'",
            )
        ],
    ),
    "another request": (
        _without_alter(_set(f"{STEPS}.2.request", "add")),
        [
            (
                "/actions/sync/perform/steps/2/request",
                "the step 'change' makes the request 'add', and 'alter' until now",
            )
        ],
    ),
    "another condition": (
        _set(f"{STEPS}.2.when", {"find": "ok"}),
        [
            (
                "/actions/sync/perform/steps/2/when",
                (
                    "the step 'change' is made if the answer to find is a success, and until now "
                    'if the answer to find fits {"type": "object", "required": ["results"], '
                    '"properties": {"results": {"type": "array", "minItems": 1}}}'
                ),
            )
        ],
    ),
    "another order": (
        lambda documents: documents["sync"]["perform"]["steps"].append(
            documents["sync"]["perform"]["steps"].pop(1)
        ),
        [
            (
                "/actions/sync/perform/steps",
                (
                    "the order of its steps was 'find', 'create', 'change' and is 'find', "
                    "'change', 'create'"
                ),
            )
        ],
    ),
    "repeatable": (
        _set("sync.perform.repeatable", value=True),
        [
            (
                "/actions/sync/perform/repeatable",
                f"{AGAIN}, 2 minutes later",
            )
        ],
    ),
    "an end": (
        _set("sync.perform.otherwise", "filtered"),
        [
            (
                "/actions/sync/perform/otherwise",
                "where no step fits that changes something, an event is filtered",
            )
        ],
    ),
    "a wait": (
        _set("sync.perform.repeatable", {"after": 5}),
        [
            (
                "/actions/sync/perform/repeatable",
                f"{AGAIN}, 5 seconds later",
            )
        ],
    ),
    "batches": (
        _set("sync.perform.batch", {"size": 3}),
        [
            (
                "/actions/sync/perform/batch/size",
                "the most events that go through its requests together was 1 and is 3",
            )
        ],
    ),
    "one request": (
        _without_alter(_set("sync.perform", {"request": "add"})),
        [
            (
                "/actions/sync/perform",
                "it makes the request 'add', and the steps 'find', 'create', 'change' until now",
            )
        ],
    ),
}


@pytest.mark.parametrize(("change", "differences"), CHANGES.values(), ids=CHANGES)
def test_what_changes(
    load: Load, with_steps: Any, change: Any, differences: list[tuple[str, str]]
) -> None:
    """Users see which steps are made otherwise; none of it needs them to act."""
    before = load(with_steps)

    def changed(documents: Any) -> None:
        with_steps(documents)
        change(documents)

    found = [one for one in compare(before, load(changed)) if one.path.startswith("/actions")]
    assert [(one.path, one.message) for one in found] == differences
    assert all(one.bump in {Bump.MINOR, Bump.PATCH} for one in found)

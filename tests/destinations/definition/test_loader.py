"""A definition's folder is read, and every issue in it is reported with its place."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations.definition import (
    DestinationDefinition,
    GraphQLDefinition,
    ReconcileDefinition,
    RestDefinition,
    RetryDefinition,
    Timeouts,
    check_folder,
    is_definition,
    load_definition,
    loader,
    other_files,
)
from destinations.errors import DefinitionError

Write = Callable[..., Path]


def test_a_definition_is_loaded(load: Callable[..., DestinationDefinition]) -> None:
    """What the files say is in the model, with the defaults that the schema names."""
    definition = load()
    assert (definition.name, definition.slug, definition.version) == ("Sample", "sample", "1.2.3")
    assert definition.integrations_key == "Sample"
    assert definition.required_event_fields == ("userId",)
    assert definition.secret_settings == ("apiKey",)
    assert definition.transport.timeouts == Timeouts(connect=1, read=2, total=3)
    assert definition.transport.retry == RetryDefinition(base=1, cap=8, max_retry_after=20)
    assert definition.transport.concurrency == 2
    assert list(definition.actions) == ["count", "save", "sync"]
    assert [rule.when.code for rule in definition.error_rules[1:]] == ["BUSY", "BROKEN", "BAD"]
    count, save = definition.requests["count"], definition.requests["save"]
    assert isinstance(count.call, GraphQLDefinition)
    assert isinstance(save.call, RestDefinition)
    assert (count.batch_size, save.batch_size) == (4, 1)
    assert definition.actions["sync"].perform.requests == ("find", "create")
    assert definition.presets[0].mapping == {
        "by": {"@path": "$.properties.by"},
        "thing": {"@path": "$.properties.thing"},
    }


def test_what_tests_load_once_is_the_same_everywhere(
    write_definition: Write, tmp_path: Path
) -> None:
    """Tests share definitions of the same contents, as a sound one does not know its place."""
    folder = write_definition()
    other = tmp_path / "elsewhere" / folder.name
    shutil.copytree(folder, other)
    shared = vars(loader)["_load_files"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loader, "_load_files", shared.load)
        one, another = load_definition(folder), load_definition(other)
    assert one is not another
    assert one == another
    assert load_definition(folder) is load_definition(other)


def test_defaults(load: Callable[..., DestinationDefinition]) -> None:
    """What may be left out has the value that the documentation says."""

    def change(documents: Any) -> None:
        transport = documents["destination"]["transport"]
        del transport["concurrency"], transport["retry"]
        del documents["destination"]["authentication"], documents["destination"]["events"]
        documents["destination"]["presets"] = []

    definition = load(change)
    assert definition.transport.concurrency == 4
    retry = RetryDefinition(base=0.5, cap=120, max_retry_after=3600)
    assert definition.transport.retry == retry
    assert definition.requests["count"].reconcile is None
    assert definition.authentication is None
    assert definition.required_event_fields == ()
    assert definition.placeholders == ()
    assert definition.blank_traits is None
    assert definition.presets == ()


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        ({}, RetryDefinition(0.5, 120, 3600)),
        ({"backoff": {}}, RetryDefinition(0.5, 120, 3600)),
        ({"backoff": {"cap": 10}}, RetryDefinition(0.5, 10, 3600)),
        ({"backoff": {"base": 2}, "maxRetryAfter": 7}, RetryDefinition(2, 120, 7)),
        # What had an effect once may stay, and has none.
        ({"attempts": 3, "deadline": 30}, RetryDefinition(0.5, 120, 3600)),
    ],
)
def test_how_long_is_waited(
    load: Callable[..., DestinationDefinition], retry: dict[str, Any], expected: RetryDefinition
) -> None:
    """Each time that is not given has its own default."""

    def change(documents: Any) -> None:
        documents["destination"]["transport"]["retry"] = retry

    assert load(change).transport.retry == expected


RECONCILE: dict[str, Any] = {
    "ask": "find",
    "key": [{"@path": "$.payload.thing"}],
    "amount": {"@path": "$.payload.by"},
    "shown": {"@path": "$.answer.name"},
    "period": {"@path": "$.answer.from"},
    "until": {"@path": "$.answer.to"},
    "nothing": ["missing"],
}


@pytest.mark.parametrize("name", ["reconcile", "settle"])
def test_how_a_lost_answer_is_settled(
    load: Callable[..., DestinationDefinition], name: str
) -> None:
    """What the partner is asked is read, under the former name of it as well."""

    def change(documents: Any) -> None:
        documents["destination"]["requests"]["count"][name] = RECONCILE

    expected = ReconcileDefinition(**{**RECONCILE, "nothing": ("missing",)})
    assert load(change).requests["count"].reconcile == expected


@pytest.mark.parametrize("name", ["reconcile", "settle"])
@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ({"ask": "look"}, "/ask", "unknown request 'look'; known: find, create, count"),
        ({"ask": "create"}, "/ask", "create must be idempotent, as it only asks"),
        ({"nothing": ["missing", "none"]}, "/nothing/1", "find has no answer 'none'; it has: "),
        ({"ask": "save"}, "/nothing/0", "save has no answer 'missing'; it has: none"),
        ({"amount": {"@path": 1}}, "/amount", ""),
        ({"shown": {"@nope": 1}}, "/shown", "@nope"),
        ({"until": {"@path": "$.settings.nope"}}, "/until/@path", "unknown root 'settings'"),
        ({"moer": 1}, "/moer", "is not a key here"),
    ],
)
def test_what_cannot_settle_a_lost_answer(
    write_definition: Write, *, name: str, changes: dict[str, Any], place: str, message: str
) -> None:
    """The request must exist and only ask, and each mapping is checked, under either name."""

    def change(documents: Any) -> None:
        documents["destination"]["requests"]["count"][name] = {**RECONCILE, **changes}

    issues = check_folder(write_definition(change))
    place = f"/requests/count/{name}{place}"
    found = [issue for issue in issues if issue.path.startswith(place) and message in issue.message]
    assert found, list(map(str, issues))
    assert found[0].line is not None


def test_a_lost_answer_is_settled_in_one_way(write_definition: Write) -> None:
    """The former name beside the new one is an issue: it would be read in silence, or not."""

    def change(documents: Any) -> None:
        documents["destination"]["requests"]["count"].update(
            reconcile=RECONCILE, settle={**RECONCILE, "ask": "save"}
        )

    (issue,) = check_folder(write_definition(change))
    assert issue.path == "/requests/count/settle"
    assert issue.message == "is the old name of reconcile: keep only reconcile"


@pytest.mark.parametrize(
    ("document", "field", "known"),
    [
        (None, "count", "none"),  # it has one root field alone
        ("mutation M($by: Int) { a: count(by: $by) { done } b: ping }", "count", "a, b"),
        ("mutation M($by: Int) { a: count(by: $by) { done } b: ping }", "c", "a, b"),
    ],
)
@pytest.mark.parametrize("kind", ["answers", "errorRules"])
def test_an_error_of_a_root_field_that_is_not_there(
    write_definition: Write, kind: str, document: str | None, field: str, known: str
) -> None:
    """A rule for one of several root fields names one of them by its alias."""

    def change(documents: Any) -> None:
        request = documents["destination"]["requests"]["count"]
        if document is not None:
            request["graphql"]["document"] = document
        rule = {"class": "invalid", "retryable": False, "nothingApplied": True}
        named = {"name": "gone"} if kind == "answers" else rule
        request[kind] = [{"when": {"rootField": field}, **named}]

    (issue,) = check_folder(write_definition(change))
    assert issue.path == f"/requests/count/{kind}/0/when/rootField"
    assert issue.message.endswith(f"known: {known}")


def test_a_rule_for_one_of_several_root_fields(
    load: Callable[..., DestinationDefinition],
) -> None:
    """It is read, and shown by its alias."""

    def change(documents: Any) -> None:
        request = documents["destination"]["requests"]["count"]
        request["graphql"]["document"] = "mutation M($by: Int) { a: count(by: $by) { done } b }"
        request["answers"] = [{"name": "gone", "when": {"code": "BAD", "rootField": "b"}}]

    (answer,) = load(change).requests["count"].answers
    assert answer.when.root_field == "b"
    assert str(answer.when) == "code BAD and root field b"


def test_a_preset_may_have_a_mapping_of_its_own(
    load: Callable[..., DestinationDefinition],
) -> None:
    """It replaces the defaults of the fields as a whole."""

    def change(documents: Any) -> None:
        documents["destination"]["presets"][0]["mapping"] = {"by": 7}

    assert load(change).presets[0].mapping == {"by": 7}


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        (
            "event.json",
            b'{"type": "track", "event": "A", "properties": {"fields": 1}}',
            "it lacks the key perform of an action",
        ),
        (
            "events.json",
            b'{"type": "track"}\n{"type": "track"}\n',
            "not YAML: expected '<document start>', but found '{' (line 2)",
        ),
        (
            "settings.yaml",
            b"apiKey: NO\n",
            "/apiKey: YAML readers disagree on what `NO` is: quote it, or write false (line 1)",
        ),
        ("open.yaml", b"a: [1", "not YAML: expected ',' or ']', but got '<stream end>' (line 1)"),
        ("empty.yml", b"", "the file is empty (line 1)"),
        ("binary.json", b"\xff\xfe\x00", "is not UTF-8: invalid start byte"),
        ("list.yaml", b"[perform]\n", "it lacks the key perform of an action"),
        ("slug.yaml", b"slug: a\ntitle: B\nname: C\n", "it lacks the key perform of an action"),
    ],
)
def test_what_is_no_action_is_left_alone(
    write_definition: Write, name: str, content: bytes, why: str
) -> None:
    """Events, settings and other files beside the actions are none, and the reason is told."""
    folder = write_definition()
    expected = load_definition(folder)
    (folder / name).write_bytes(content)
    assert check_folder(folder) == ()
    assert dataclasses.asdict(load_definition(folder)) == dataclasses.asdict(expected)
    assert other_files(folder) == {name: why}


@pytest.mark.parametrize(
    ("content", "issue"),
    [
        ("$schema: schemas/action.schema.json\ntitle: A\n", "lacks 'slug', 'description'"),
        ("slug: more\nperfrm: {request: save}\n", "/perfrm: is not a key here"),
        ("fields: {}\nperfrm: {}\n", "did you mean perform?"),
        ("slug: more\nfeilds: {}\n", "did you mean fields?"),
        ("$schema: ../x/action.schema.json\na: [1", "not YAML: "),
    ],
)
def test_a_mistyped_action_is_told(write_definition: Write, content: str, issue: str) -> None:
    """A file with the schema or two keys of an action is meant as one."""
    folder = write_definition()
    (folder / "more.yaml").write_text(content, "utf-8")
    found = [str(one) for one in check_folder(folder)]
    assert any("more.yaml:" in one and issue in one for one in found), found
    assert other_files(folder) == {}


def test_json_files_are_read(write_definition: Write) -> None:
    """A definition in JSON is the same definition."""
    folder = write_definition()
    expected = load_definition(folder)
    for path in folder.glob("*.yaml"):
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.with_suffix(".json").write_text(json.dumps(data, indent="\t"), encoding="utf-8")
        path.unlink()
    assert is_definition(folder)
    assert dataclasses.asdict(load_definition(folder)) == dataclasses.asdict(expected)


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


@pytest.mark.parametrize(
    ("change", "place", "message"),
    [
        (
            _set("destination.version", "1"),
            "/version",
            "must be a version of three numbers, such as 1.0.0",
        ),
        (_set("destination.name", ...), "", "lacks 'name'"),
        (_set("destination.nmae", 1), "/nmae", "is not a key here; known: $schema, name"),
        (_set("destination.slug", "other"), "/slug", "must be the name of the folder, 'sample'"),
        (_set("destination.transport.concurrency", "4"), "/transport/concurrency", "an int"),
        (_set("destination.transport.timeout.read", 0), "/transport/timeout/read", "over 0"),
        (_set("destination.transport.baseUrl", ...), "/requests/find", "has no url, and transport"),
        (
            _set("destination.transport.url", "http://a/"),
            "/transport/url",
            "old name of baseUrl",
        ),
        (
            _set("destination.transport.baseUrl", {"@template": "http://a/{{payload.page}}"}),
            "/transport/baseUrl",
            "must read only settings: put values into rest.path",
        ),
        *(
            (
                _set("destination.requests.save.rest.path", path),
                f"/requests/save/rest/path/{at}",
                message,
            )
            for path, at, message in (
                (["v1/users"], 0, "'v1/users' is several segments"),
                (["v1", ".."], 1, "'..' would lead to another path"),
                (["", "v1"], 0, "must not be empty: only the last segment may be"),
                (["v1", ["a"]], 1, "must be text or a mapping directive"),
                (["v1", None], 1, "must be text or a mapping directive"),
                (["v1", {"id": {"@path": "$.payload.page"}}], 1, "must be text or a mapping"),
                (["v1", {"@nope": 1}], 1, "unknown directive"),
            )
        ),
        (_set("destination.requests.save.rest.path", []), "/requests/save/rest/path", "empty"),
        (
            _set("destination.transport.url", {"@path": 1, "x": 2}),
            "/transport/url",
            "",
        ),
        (
            _set("destination.transport.headers.X", {"@nope": 1}),
            "/transport/headers/X",
            "@nope",
        ),
        (_set("destination.requests.find.idempotent", ...), "/requests/find", "lacks 'idempotent'"),
        (
            _set("destination.requests.find.rest", {"method": "GET"}),
            "/requests/find",
            "must have exactly one of: graphql | rest",
        ),
        (
            _set("destination.requests.find.graphql.document", "query { x: a }"),
            "/requests/find/graphql/document",
            "must not give its only root field an alias",
        ),
        (
            _set("destination.requests.count.graphql.variables", {"by": {"@case": {}}}),
            "/requests/count/graphql/variables/by",
            "",
        ),
        (
            _set("destination.requests.count.expect", {"type": "objekt"}),
            "/requests/count/expect",
            "",
        ),
        (
            _set("destination.requests.count.refusals.0.when", {"type": "objekt"}),
            "/requests/count/refusals/0/when",
            "",
        ),
        (
            _set("destination.errorRules.0.when", {"body": {"type": "objekt"}}),
            "/errorRules/0/when/body",
            "",
        ),
        (
            _set("destination.requests.find.answers.0.when", {"body": {"type": "objekt"}}),
            "/requests/find/answers/0/when/body",
            "",
        ),
        (
            _set("destination.requests.find.answers.0.name", "ok"),
            "/requests/find/answers/0/name",
            "",
        ),
        (
            _set("destination.requests.save.rest.method", "FETCH"),
            "/requests/save/rest/method",
            "must be one of GET, POST, PUT, PATCH, DELETE, not 'FETCH'",
        ),
        (_set("destination.errorRules.0.when", {}), "/errorRules/0/when", "must not be empty"),
        (
            _set("destination.errorRules.0.when", {"message": "("}),
            "/errorRules/0/when/message",
            "must be a regular expression, not '('",
        ),
        (_set("destination.errorRules.0.class", "odd"), "/errorRules/0/class", "must be one of"),
        (
            _set("destination.authentication.fields", ["key"]),
            "/authentication/fields/0",
            "unknown setting 'key'",
        ),
        (
            _set("destination.authentication.test", "ask"),
            "/authentication/test",
            "unknown request 'ask'",
        ),
        (
            _set("destination.settings.required", ["key"]),
            "/settings/required/0",
            "unknown setting 'key' to require",
        ),
        (
            _set("destination.presets.0.partnerAction", "cuont"),
            "/presets/0/partnerAction",
            "unknown action 'cuont'; known: count, save, sync",
        ),
        (_set("destination.presets.0.subscribe", "type ="), "/presets/0/subscribe", "at character"),
        (
            _set("destination.presets.0.subscribe", 'type = "track" AND event = "x"'),
            "/presets/0/subscribe",
            "at character 16",
        ),
        (
            _set("destination.presets.0.mapping", {"by": {"@path": 1}}),
            "/presets/0/mapping/by",
            "",
        ),
        (
            _set("sync.operator", value=True),
            "/presets/2/partnerAction",
            "this action is only for operators: no subscription may have it",
        ),
        (
            _set("count.operator", value=True),
            "/defaultSubscription",
            "this action is only for operators",
        ),
        (_set("count.operator", value=True), "/unmapped", "must not be set: this action is"),
        (_set("count.operator", value=False), "/operator", "must be true, not false"),
        (_set("count.slug", "cuont"), "/slug", "must be the name of the file, 'count'"),
        (_set("count.perform.request", "cuont"), "/perform/request", "unknown request 'cuont'"),
        (_set("sync.perform.requests.1", "make"), "/perform/requests/1", "unknown request 'make'"),
        (_set("count.unmapped.missing", "x"), "/unmapped/missing", "unknown field 'x'"),
        (_set("count.fields.required", ["x"]), "/fields/required/0", "unknown field 'x'"),
        (_set("count.defaultSubscription", "type"), "/defaultSubscription", "at character"),
        (
            _set("count.fields.properties.by.default", {"@if": {}}),
            "/fields/properties/by/default",
            "",
        ),
        (_set("count.fields.properties.by.type", "int"), "/fields/properties/by/type", ""),
    ],
)
def test_issues_are_reported_with_their_place(
    write_definition: Write, change: Callable[[Any], None], place: str, message: str
) -> None:
    """Each issue names file, line and path, and says what would be right."""
    folder = write_definition(change)
    issues = check_folder(folder)
    found = [issue for issue in issues if issue.path.startswith(place) and message in issue.message]
    assert found, list(map(str, issues))
    assert found[0].file is not None
    assert found[0].line is not None
    line = Path(found[0].file).read_text(encoding="utf-8").splitlines()[found[0].line - 1]
    keys = [key for key in found[0].path.split("/") if key]
    if keys and not keys[-1].isdigit() and not message.startswith("has no url"):
        assert keys[-1] in line
    with pytest.raises(DefinitionError) as caught:
        load_definition(folder)
    assert caught.value.issues == issues


def test_all_issues_are_reported_at_once(write_definition: Write) -> None:
    """Whoever writes a definition sees everything that one kind of check finds, in all files."""

    def change(documents: Any) -> None:
        documents["destination"]["version"] = "1"
        documents["destination"]["requests"]["find"]["idempotent"] = "yes"
        documents["count"]["title"] = 7

    issues = check_folder(write_definition(change))
    assert [issue.path for issue in issues] == ["/title", "/requests/find/idempotent", "/version"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("destination.yaml", b"", "the file is empty"),
        ("more.yaml", b"perform: \xff", "is not UTF-8"),
        ("more.yaml", b"fields: {\n", "not YAML"),
        ("more.json", b'{"title": "x", "perform": {', "not YAML"),
        ("more.yaml", b"slug: more\nfields: {}\n", "lacks"),
        ("count.json", b'{"perform": 1}', "count.json has the same name; keep one"),
        ("more.yml", b"perform: {}", "lacks"),
    ],
)
def test_files_that_cannot_be_read(
    write_definition: Write, name: str, text: bytes, message: str
) -> None:
    """A file that is no document, or stands twice, is reported by its name."""
    folder = write_definition()
    (folder / name).write_bytes(text)
    issues = check_folder(folder)
    assert any(message in issue.message and name in str(issue) for issue in issues)


def test_other_files_are_left_alone(write_definition: Write) -> None:
    """A folder may hold a README, Python files and folders."""
    folder = write_definition()
    (folder / "README.md").write_text("# Sample", encoding="utf-8")
    (folder / "__init__.py").write_text("", encoding="utf-8")
    (folder / "more.yaml").mkdir()
    assert check_folder(folder) == ()


def test_a_folder_without_a_destination(tmp_path: Path) -> None:
    """What is no definition is told so, and so is what is not there."""
    assert not is_definition(tmp_path)
    (issue,) = check_folder(tmp_path)
    assert "there is no destination.yaml in this folder" in issue.message
    (issue,) = check_folder(tmp_path / "nowhere")
    assert "there is no such folder" in issue.message


def test_a_destination_without_actions(write_definition: Write) -> None:
    """A destination without an action can do nothing."""

    def change(documents: Any) -> None:
        for name in ("count", "save", "sync"):
            del documents[name]
        documents["destination"]["presets"] = []

    (issue,) = check_folder(write_definition(change))
    assert "the folder holds no action" in issue.message


def _misspelt_setting(documents: Any) -> None:
    documents["destination"]["transport"]["headers"]["X-Key"] = {"@path": "$.settings.apikey"}


def _setting_in_a_template(documents: Any) -> None:
    documents["destination"]["transport"]["headers"]["X-Key"] = {"@template": "{{settings.nope}}"}


def _batch_with_an_own_url(documents: Any) -> None:
    request = documents["destination"]["requests"]["save"]
    request["batch"] = {"size": 5}
    request["rest"]["url"] = {"@template": "https://{{payload.host}}/"}


def _batch_with_an_own_path(documents: Any) -> None:
    documents["destination"]["requests"]["save"]["batch"] = {"size": 5}


def _batch_without_json(documents: Any) -> None:
    request = documents["destination"]["requests"]["save"]
    request["batch"] = {"size": 5}
    request["rest"].pop("json", None)


def _basic_of_one_setting(documents: Any) -> None:
    documents["destination"]["authentication"]["scheme"] = "basic"
    documents["destination"]["transport"]["headers"] = {}


def _two_presets_of_one_name(documents: Any) -> None:
    presets = documents["destination"]["presets"]
    presets.append(dict(presets[0]))


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        (_misspelt_setting, "/transport/headers", "unknown setting 'apikey'; known: "),
        (_basic_of_one_setting, "/authentication/fields", "must name two settings, the user and"),
        (_setting_in_a_template, "/transport/headers", "unknown setting 'nope'"),
        (_batch_with_an_own_url, "/requests/save/rest/url", "must not use event or payload"),
        (_batch_with_an_own_path, "/requests/save/rest/path", "must not use event or payload"),
        (_batch_without_json, "/requests/save/batch", "needs rest.json"),
        (_two_presets_of_one_name, "/presets/", "give it its own name"),
    ],
)
def test_what_would_go_wrong_in_silence(
    write_definition: Write, change: Callable[[Any], None], path: str, message: str
) -> None:
    """A mapping that would read nothing, and a batch that would use one event for all."""
    issues = check_folder(write_definition(change))
    found = [issue for issue in issues if message in issue.message]
    assert found, issues
    assert found[0].path.startswith(path)
    assert found[0].line is not None


@pytest.mark.parametrize(
    ("url", "is_right"),
    [
        ({"@template": "http://127.0.0.1:9/{{payload.page}}"}, False),
        ({"@template": "{{settings.endpoint}}/{{{$.event.name}}}/x"}, False),
        ({"@template": "http://a/?page={{ payload.page }}"}, False),
        ({"@path": "$.payload.page"}, False),
        ({"@path": "event['name']"}, False),
        ({"@path": ""}, False),
        ({"@if": {"exists": True, "then": {"@template": "http://a/{{payload.page}}"}}}, False),
        ("http://a/event/payload", True),
        ({"@literal": "http://a/{{payload.page}}"}, True),
        ({"@template": "{{settings.endpoint}}/event"}, True),
        ({"@template": "{{$.settings.endpoint}}/{{ settings.limit }}"}, True),
        (
            {"@if": {"exists": {"@path": "$.event.a"}, "then": "http://a/", "else": "http://b/"}},
            True,
        ),
        ({"@case": {"operator": "lower", "value": {"@path": "$.settings.endpoint"}}}, True),
        ({"@liquid": "http://a/{{ payload.page | url_decode }}"}, False),
        ({"@case": {"operator": "lower", "value": {"@template": "http://{{event.name}}"}}}, False),
        ({"@path": {"@path": "$.payload.page"}}, False),
        ({"@template": {"@path": "$.payload.page"}}, False),
        ({"@replace": {"pattern": "a", "value": {"@path": "$.payload.page"}}}, False),
        ({"@json": {"mode": "decode", "value": {"@path": "$.payload.page"}}}, False),
        ({"@excludeWhenNull": {"@path": "$.payload.page"}}, False),
        (
            {
                "@transform": {
                    "apply": {"a": {"@path": "$.event.name"}},
                    "mapping": {"@path": "$.a"},
                }
            },
            False,
        ),
        ({"@if": {"exists": 1, "then": {"@arrayPath": ["$.payload.page"]}}}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("key", ["url of a request", "url of all"])
def test_a_url_that_holds_a_value_of_the_event(
    write_definition: Write, url: object, key: str, *, is_right: bool
) -> None:
    """It is an issue in the definition, which is used all the same, with a warning."""

    def change(documents: Any) -> None:
        destination = documents["destination"]
        if key == "url of all":
            del destination["transport"]["baseUrl"]
            destination["transport"]["url"] = url
            destination["requests"] = {"save": destination["requests"]["save"]}
            del destination["requests"]["save"]["rest"]["url"], destination["authentication"]
            destination["presets"] = destination["presets"][1:2]
            del documents["count"], documents["sync"]
        else:
            destination["requests"]["save"]["rest"]["url"] = url

    folder = write_definition(change)
    place = "/transport/url" if key == "url of all" else "/requests/save/rest/url"
    issues = check_folder(folder)
    assert [issue.path for issue in issues] == ([] if is_right else [place])
    definition = load_definition(folder)
    assert definition.warnings == issues
    assert all("transport.baseUrl and rest.path" in issue.message for issue in issues)
    assert all(issue.line is not None for issue in issues)


@pytest.mark.parametrize(
    ("field", "keywords", "place", "message"),
    [
        ("by", {"x-identifier": True}, "/x-identifier", "is for fields of type string, but"),
        ("thing", {"x-wholeNumber": True}, "/x-wholeNumber", "is for fields of type integer, but"),
        ("by", {"x-otherwise": "many"}, "/x-otherwise", "must be an integer"),
        ("by", {"x-otherwise": "0x1", "x-wholeNumber": True}, "/x-otherwise", "must be a whole"),
        ("by", {"x-otherwise": None}, "/x-otherwise", ""),
        ("by", {"x-wholeNumber": "yes"}, "/x-wholeNumber", ""),
        ("thing", {"x-labels": ["A"]}, "/x-labels", "needs enum beside it"),
        ("by", {"enum": [5, 6], "x-labels": ["A"]}, "/x-labels", "has 1 labels for 2 values"),
        (
            "by",
            {"x-dependsOn": {"conditions": [{"field": "thin", "operator": "is", "value": "a"}]}},
            "/x-dependsOn/conditions/0/field",
            "unknown field 'thin'; known: by, thing, o, note; did you mean thing?",
        ),
        (
            "by",
            {"x-dependsOn": {"conditions": [{"field": "by", "operator": "is"}]}},
            "/x-dependsOn/conditions/0/field",
            "is the field itself",
        ),
        (
            "note",
            {"x-requiredWhen": {"conditions": [{"field": "o.b", "operator": "is_not"}]}},
            "/x-requiredWhen/conditions/0/field",
            "'o' has no property 'b'; it has: a",
        ),
        (
            "thing",
            {"x-requiredWhen": {"conditions": [{"field": "by", "operator": "is", "value": 5}]}},
            "/x-requiredWhen",
            "has no effect: the field 'thing' is always required",
        ),
        (
            "by",
            {"x-requiredWhen": {"conditions": [{"field": "thing", "operator": "has"}]}},
            "/x-requiredWhen/conditions/0/operator",
            "must be one of is, is_not",
        ),
        (
            "by",
            {"x-requiredWhen": {"conditions": []}},
            "/x-requiredWhen/conditions",
            "must not be empty",
        ),
        ("by", {"x-hidden": "yes"}, "/x-hidden", ""),
        ("by", {"x-display": "large"}, "/x-display", "must be one of expanded, normal, collapsed"),
        ("by", {"x-disabledInputs": ["text"]}, "/x-disabledInputs/0", "literal"),
        (
            "by",
            {"x-choices": {"request": "fnd", "items": {"@path": "$.answer"}, "value": 1}},
            "/x-choices/request",
            "unknown request 'fnd'",
        ),
        (
            "by",
            {"x-choices": {"request": "count", "items": {"@path": "$.answer"}, "value": 1}},
            "/x-choices/request",
            "count must be idempotent, as it only asks for choices",
        ),
        (
            "by",
            {"x-choices": {"request": "save", "items": {"@path": "$.answer"}, "value": 1}},
            "/x-choices/request",
            "save must change nothing, as it only asks for choices: use GET, or say readOnly: true",
        ),
        (
            "by",
            {
                "x-choices": {
                    "request": "find",
                    "items": {"@path": "$.anser.all"},
                    "value": {"@path": "$.id"},
                }
            },
            "/x-choices/items/@path",
            "unknown root 'anser'",
        ),
        ("by", {"x-choices": {"request": "find"}}, "/x-choices", ""),
        (
            "by",
            {
                "x-choices": {
                    "request": "find",
                    "items": {"@path": "$.answer"},
                    "value": {"@path": "$.id"},
                    "next": {"@path": "$.answer.next"},
                }
            },
            "/x-choices/next",
            "has no effect: no mapping of find reads $.page, so each page is the same",
        ),
    ],
)
def test_keywords_of_fields_that_make_no_sense(
    write_definition: Write, field: str, keywords: dict[str, Any], place: str, message: str
) -> None:
    """They are refused where they stand, when the definition is loaded."""

    def change(documents: Any) -> None:
        fields = documents["count"]["fields"]["properties"]
        inner = {"a": {"title": "A", "description": "An a.", "type": "string"}}
        words = {"title": "Title", "description": "What it is.", "type": "object"}
        fields["o"] = {**words, "additionalProperties": False, "properties": inner}
        fields["note"] = {"title": "Note", "description": "A note.", "type": "string"}
        fields[field].update(keywords)

    with pytest.raises(DefinitionError) as caught:
        load_definition(write_definition(change))
    wanted = f"/fields/properties/{field}{place}"
    (issue,) = (issue for issue in caught.value.issues if issue.path == wanted)
    assert message in issue.message


@pytest.mark.parametrize(
    ("rest", "read_only", "is_fine"),
    [
        ({"method": "GET"}, False, True),
        ({"method": "POST", "json": {}}, True, True),
        ({"method": "POST", "json": {}}, False, False),
        ({"method": "PUT", "json": {}}, False, False),
    ],
)
@pytest.mark.parametrize("kind", ["reconcile", "x-choices"])
def test_what_only_asks(
    write_definition: Write, kind: str, rest: Any, read_only: bool, is_fine: bool
) -> None:
    """A question must not change anything at the partner, however often it is asked."""

    def change(documents: Any) -> None:
        requests = documents["destination"]["requests"]
        url = "http://127.0.0.1:9/balance"
        requests["balance"] = {
            "description": "Asks.",
            "idempotent": True,
            "rest": {"url": url, **rest},
            **({"readOnly": True} if read_only else {}),
        }
        if kind == "reconcile":
            requests["count"]["reconcile"] = {
                "ask": "balance",
                "key": [{"@path": "$.payload.thing"}],
                "amount": {"@path": "$.payload.by"},
                "shown": {"@path": "$.answer.used"},
            }
        else:
            documents["count"]["fields"]["properties"]["thing"]["x-choices"] = {
                "request": "balance",
                "items": {"@path": "$.answer.things"},
                "value": {"@path": "$.id"},
            }

    issues = check_folder(write_definition(change))
    assert [
        one.message.partition(" change nothing, as it only asks")[1] != "" for one in issues
    ] == ([] if is_fine else [True])
    assert all(one.line is not None for one in issues)


def test_what_is_no_id_and_what_is_no_trait(load: Callable[..., DestinationDefinition]) -> None:
    """Both are lists of the definition."""

    def change(documents: Any) -> None:
        documents["destination"]["events"].update(placeholders=["undefined"], blankTraits=[])

    definition = load(change)
    assert definition.placeholders == ("undefined",)
    assert definition.blank_traits == ()

"""Settings are read from files and the environment, checked, and their secrets are secrets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import DestinationDefinition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings, read_settings
from destinations.errors import DestinationsError, SettingsError, UsageError
from destinations.secrets import Secret

Load = Callable[..., DestinationDefinition]


@pytest.fixture
def settings_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a settings file."""

    def write(text: str) -> Path:
        path = tmp_path / "settings.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("apiKey: plain", {"apiKey": "plain"}),
        ("apiKey: ${KEY}", {"apiKey": "secret"}),
        ("apiKey: a-${KEY}-${HOST}", {"apiKey": "a-secret-example.com"}),
        ("apiKey: '-${EMPTY}'", {"apiKey": "-"}),
        ("apiKey: {env: KEY}", {"apiKey": "secret"}),
        ("apiKey: {file: key}", {"apiKey": "${KEY}"}),
        ("apiKey: $KEY", {"apiKey": "$KEY"}),
        ("apiKey: ${not a name}", {"apiKey": "${not a name}"}),
        ("apiKey: ${INDIRECT}", {"apiKey": "${KEY}"}),
        ("limit: 5\nactive: true", {"limit": 5, "active": True}),
        ('{"apiKey": "${KEY}"}', {"apiKey": "secret"}),
    ],
)
def test_settings_are_read(
    settings_file: Callable[[str], Path], text: str, data: dict[str, Any]
) -> None:
    """What a value names is put in its place once, also ``${NAME}`` in a text; all else stays."""
    environment = {
        "KEY": "secret",
        "HOST": "example.com",
        "EMPTY": "",
        "INDIRECT": "${KEY}",
    }
    path = settings_file(text)
    (path.parent / "key").write_text("${KEY}\n")
    assert read_settings(path, environment).data == data


def test_all_that_cannot_be_had_is_named(settings_file: Callable[[str], Path]) -> None:
    """Each variable that is not set, and each file that is not there, is named with its line."""
    text = "apiKey: ${ONE}\nendpoint: ${TWO}${THREE}-${TWO}\nlimit: {file: gone}\na: ${EMPTY}"
    path = settings_file(text)
    with pytest.raises(SettingsError) as caught:
        read_settings(path, {"EMPTY": ""})
    assert [(issue.path, issue.line, issue.message) for issue in caught.value.issues] == [
        ("/apiKey", 1, "the environment variable ONE is not set"),
        ("/endpoint", 2, "environment variables are not set: TWO, THREE"),
        ("/limit", 3, f"cannot read the file {path.parent / 'gone'}: No such file or directory"),
        ("/a", 4, "the environment variable EMPTY is empty"),
    ]
    replaced = {"apiKey", "endpoint", "limit", "a"}
    assert read_settings(path, {}, replaced=replaced).data.keys() == replaced


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "must be a mapping of settings"),
        ("text", "must be a mapping of settings"),
        ("", "the file is empty"),
        ("a: [", "not YAML"),
    ],
)
def test_what_is_no_settings_file(
    settings_file: Callable[[str], Path], text: str, message: str
) -> None:
    """A file of another form is refused, by name."""
    with pytest.raises(DestinationsError, match=message) as caught:
        read_settings(settings_file(text), {})
    assert "settings.yaml" in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, and one that is not text, are the caller's mistakes."""
    with pytest.raises(UsageError, match="No such file"):
        read_settings(tmp_path / "nowhere.yaml", {})
    (tmp_path / "latin.yaml").write_bytes(b"apiKey: \xe4")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_settings(tmp_path / "latin.yaml", {})


def _document(**data: Any) -> Document:
    return Document("settings.yaml", data, {"": 1, "/apiKey": 2})


def test_settings_have_their_defaults_and_secrets(load: Load, api_key: str) -> None:
    """Defaults are filled in, values are coerced, and what is a password is a `Secret`."""
    settings = check_settings(load(), _document(apiKey=api_key, limit="5"))
    assert settings == {"apiKey": api_key, "endpoint": "http://127.0.0.1:9/graphql", "limit": 5}
    assert isinstance(settings["apiKey"], Secret)
    assert api_key not in f"{settings} {settings!r} {settings['apiKey']}"
    assert settings.masker.text(f"the key {api_key}!") == "the key ***!"


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        ({}, "/apiKey", "is required but missing"),
        ({"apiKey": "sk_test_1", "endpiont": "x"}, "/endpiont", "no such setting; it has: apiKey"),
        ({"apiKey": "sk_test_1", "limit": "many"}, "/limit", "integer"),
        ({"apiKey": "sk_1"}, "/apiKey", "8 characters"),
        ({"apiKey": {"sk_test_1": 1}}, "/apiKey", "must be a string, got an object"),
    ],
)
def test_wrong_settings_are_refused(
    load: Load, data: dict[str, Any], path: str, message: str
) -> None:
    """Every issue is reported with its place, and no message shows a secret."""
    with pytest.raises(SettingsError, match=message) as caught:
        check_settings(load(), _document(**data))
    assert path in [issue.path for issue in caught.value.issues]
    assert "sk_" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://bob:hunter2@example.com/graphql",
        "HTTP://hunter2@127.0.0.1:9/graphql",
        "ftp://bob:hunter2@example.com/",
        "//bob:hunter2@example.com/",
        " https://bob:hunter2@example.com",
        "https://bob:hunter2@[::1/",
        "https://bob:hunter2\u200b@example.com/",
    ],
)
def test_credentials_in_an_address(load: Load, endpoint: str) -> None:
    """They are refused, whatever else is wrong with it: only secrets are masked everywhere."""
    with pytest.raises(SettingsError) as caught:
        check_settings(load(), _document(apiKey="sk_test_12345", endpoint=endpoint))
    (issue,) = caught.value.issues
    assert issue.path == "/endpoint"
    assert "must not have a user or a password before its host" in issue.message
    assert "credentials belong in apiKey" in issue.message
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint", ["https://example.com/@bob", "https://example.com?a=b@c", "http://h.com/a:b@c#d@e"]
)
def test_an_address_may_hold_an_at_sign(load: Load, endpoint: str) -> None:
    """Behind the host, it is a character as any other."""
    checked = check_settings(load(), _document(apiKey="sk_test_12345", endpoint=endpoint))
    assert checked["endpoint"] == endpoint


def test_a_setting_may_be_refused_with_advice(load: Load) -> None:
    """A value that is known to be a mistake is refused with words that say what is right."""

    def change(documents: Any) -> None:
        documents["destination"]["settings"]["properties"]["apiKey"]["x-refuse"] = [
            {"pattern": "^pub_", "message": "this is a public key; use the secret one"}
        ]

    definition = load(change)
    with pytest.raises(SettingsError, match=r"settings\.yaml:2: /apiKey: this is a public key"):
        check_settings(definition, _document(apiKey="pub_12345678"))
    assert check_settings(definition, _document(apiKey="prv_12345678"))["apiKey"] == "prv_12345678"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("prv_\u200btest_key", "character 5 is U+200B (ZERO WIDTH SPACE), which is invisible"),
        ("\ufeffprv_test_key", "character 1 is U+FEFF (ZERO WIDTH NO-BREAK SPACE), which is"),
        ("prv\u00a0test_key", "character 4 is U+00A0 (NO-BREAK SPACE), which is invisible"),
        ("prv_test\u00ad_key", "character 9 is U+00AD (SOFT HYPHEN), which is invisible"),
        ("prv\x1b_test_key", "character 4 is U+001B (a control character), which is invisible"),
        ("prv\u202e_test_key", "character 4 is U+202E (RIGHT-TO-LEFT OVERRIDE), which is"),
    ],
)
def test_what_nobody_sees_in_a_secret(load: Load, value: str, message: str) -> None:
    """It is found before the first event, and named without the secret."""
    with pytest.raises(SettingsError) as caught:
        check_settings(load(), Document("s.yaml", {"apiKey": value}, {}))
    (issue,) = caught.value.issues
    assert issue.path == "/apiKey"
    assert message in issue.message
    assert "test" not in issue.message


@pytest.mark.parametrize("value", ["pass word", "pässwörd", "ключ-секрет", "密码密码密码密码"])
def test_what_everybody_sees_in_a_secret(load: Load, value: str) -> None:
    """Words of any language, and a space within, are what somebody has typed."""
    assert check_settings(load(), Document("s", {"apiKey": value}, {}))["apiKey"] == value


def _typed(load: Load, kind: str, **spec: Any) -> DestinationDefinition:
    def change(documents: Any) -> None:
        setting = {"type": kind, "title": "Given", "description": "One that is given.", **spec}
        documents["destination"]["settings"]["properties"]["given"] = setting

    return load(change)


TYPES: dict[str, list[Any]] = {
    "string": ["5", "true", "text"],
    "number": [5, 5.5, "5", "5.5"],
    "integer": [5, 5.0, "5"],
    "boolean": [True, False, "true", "false"],
}
OTHERS: dict[str, list[Any]] = {
    "string": [5, 0, 5.5, True, False, ["text"], [], {"text": 1}],
    "number": [True, False, [5], ["5"], {"a": 5}],
    "integer": [True, False, [5], {}],
    "boolean": [1, 0, 1.5, [True], ["true"], {}],
}


@pytest.mark.parametrize("kind", TYPES)
def test_what_a_setting_may_be_given_as(load: Load, api_key: str, kind: str) -> None:
    """Its type, or text that holds it, as the environment has nothing else; null is no value."""
    definition = _typed(load, kind)
    expected: dict[str, Callable[[Any], Any]] = {
        "number": float,
        "integer": int,
        "boolean": lambda v: v in {True, "true"},
    }
    for value in TYPES[kind]:
        settings = check_settings(definition, _document(apiKey=api_key, given=value))
        assert settings["given"] == expected.get(kind, str)(value)
    assert "given" not in check_settings(definition, _document(apiKey=api_key, given=None))


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("secret", [False, True], ids=["plain", "secret"])
def test_no_setting_is_coerced_silently(
    load: Load, api_key: str, kind: str, *, secret: bool
) -> None:
    """A value of another type is an issue that says what is expected, and not what it is."""
    nouns = {"string": "a string", "boolean": "true or false"}
    definition = _typed(load, kind, **({"format": "password"} if secret else {}))
    for value in OTHERS[kind]:
        with pytest.raises(SettingsError) as caught:
            check_settings(definition, _document(apiKey=api_key, given=value))
        (issue,) = caught.value.issues
        assert issue.path == "/given"
        assert issue.message.startswith(f"must be {nouns.get(kind, 'a')}")
        assert ", got a" in issue.message
        assert str(value) not in issue.message or not str(value)


@pytest.mark.parametrize("value", [1, True, ["eu"], "mars"])
def test_a_choice_is_not_coerced(load: Load, api_key: str, value: object) -> None:
    """What is none of the choices is an issue, also where its text or its item would be one."""
    definition = _typed(load, "string", enum=["eu", "1", "true"])
    with pytest.raises(SettingsError, match=r"/given: must be (a string|one of)"):
        check_settings(definition, _document(apiKey=api_key, given=value))


@pytest.mark.parametrize("spec", [{"pattern": "^prv_"}, {"maxLength": 8}, {"enum": ["a"]}], ids=str)
def test_a_long_secret_is_not_shown_in_part(load: Load, spec: dict[str, Any]) -> None:
    """A message that cuts a value shows none of a secret; it says what is expected."""

    def change(documents: Any) -> None:
        documents["destination"]["settings"]["properties"]["apiKey"] |= spec

    value = "sk_test_" + "0123456789" * 30
    definition = load(change)
    with pytest.raises(SettingsError) as caught:
        check_settings(definition, _document(apiKey=value))
    assert "must" in str(caught.value)
    assert "sk_test" not in str(caught.value)
    assert "0123" not in str(caught.value)

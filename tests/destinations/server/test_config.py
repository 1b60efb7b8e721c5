"""The configuration: typed, with the place of every issue, and no secret in it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest

from destinations.errors import (
    DefinitionError,
    MissingExtraError,
    SecretMissingError,
    TemporaryError,
)
from destinations.operations import Periods
from destinations.outcome import Outcome
from destinations.secrets import Secret
from destinations.server import (
    AdminConfig,
    DeliveryConfig,
    ListenConfig,
    LogConfig,
    ReceiverConfig,
    SealingConfig,
    StoreConfig,
    read_config,
)
from destinations.server.network_addresses import Address
from destinations.telemetry import Form, Level

Write = Callable[[str, Any], Path]

SMALL = """\
store: {path: store.sqlite3}
destinations:
  - name: one
    destination: kana
"""
WHOLE = """\
listen: {host: 0.0.0.0, port: 0, maxBodyBytes: 2048, bodySeconds: 2}
store: {path: /data/s.sqlite3, maxBytes: 2000000, keepDays: 3, dedupeDays: 0.5}
queue: {maxEvents: 7}
drainSeconds: 1.5
log: {level: debug, form: text}
destinations:
  - name: one
    destination: ./folder
    settings: {apiKey: {env: KEY}, region: 'x-${REGION}', text: plain, other: {file: key.txt}}
    account: main
    receiver: {keys: [{env: KEY}, '${KEY2}'], signatureSecrets: [{file: key.txt}]}
    delivery:
      {deadlineSeconds: 60, reconcileAfterSeconds: 5, concurrency: 2, allowPrivate: true,
       waitForSeconds: 90}
"""
TOML = """\
drainSeconds = 1.5
[listen]
host = "0.0.0.0"
port = 0
maxBodyBytes = 2048
bodySeconds = 2
[store]
path = "/data/s.sqlite3"
maxBytes = 2000000
keepDays = 3
dedupeDays = 0.5
[queue]
maxEvents = 7
[log]
level = "debug"
form = "text"
[[destinations]]
name = "one"
destination = "./folder"
account = "main"
receiver = {keys = [{env = "KEY"}, "${KEY2}"], signatureSecrets = [{file = "key.txt"}]}
[destinations.delivery]
deadlineSeconds = 60
reconcileAfterSeconds = 5
concurrency = 2
allowPrivate = true
waitForSeconds = 90
[destinations.settings]
apiKey = {env = "KEY"}
region = "x-${REGION}"
text = "plain"
other = {file = "key.txt"}
"""
FROM_FILE = "a-secret-from-a-file"
KEY, KEY2 = "the-first-key-there-is", "the-second-key-there-is"
ENVIRONMENT = {"KEY": KEY, "KEY2": KEY2, "REGION": "eu", "EMPTY": ""}


def test_the_schema_is_one() -> None:
    """It is valid, and every key in it is described."""
    text = (files("destinations.definition") / "schemas" / "serve.schema.json").read_text("utf-8")
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)

    def undescribed(part: Any, place: str) -> list[str]:
        found = []
        for key, spec in part.get("properties", {}).items():
            found += [] if "description" in spec else [f"{place}/{key}"]
            found += undescribed(spec, f"{place}/{key}")
        return found

    assert undescribed(schema, "") == []
    assert undescribed(schema["$defs"]["destination"], "") == []


def test_defaults(write: Write, tmp_path: Path) -> None:
    """What is not said is bound to this machine, with the defaults that the schema tells."""
    config = read_config(write("c.yaml", SMALL), {})
    assert config.listen == ListenConfig("127.0.0.1", 8787, 512_000, 10)
    assert config.store == StoreConfig(tmp_path / "store.sqlite3", None, 30, 7)
    assert (config.max_events, config.drain_seconds) == (1_000_000, 30)
    assert config.log == LogConfig("info", "auto")
    assert config.sealing is None
    assert config.warnings == []
    (one,) = config.destinations
    assert (one.name, one.destination, one.settings.data) == ("one", "kana", {})
    assert (one.receiver, one.delivery) == (ReceiverConfig(), DeliveryConfig(14_400, None))
    assert one.account is None


def test_defaults_are_those_of_the_schema() -> None:
    """The schema tells editors what the program does."""
    text = (files("destinations.definition") / "schemas" / "serve.schema.json").read_text("utf-8")
    schema = json.loads(text)
    listen = schema["properties"]["listen"]["properties"]
    assert [spec["default"] for spec in listen.values()] == [
        "127.0.0.1",
        8787,
        512_000,
        10,
        4_096,
        [],
    ]
    log = schema["properties"]["log"]["properties"]
    assert [(spec["default"], spec["enum"]) for spec in log.values()] == [
        ("info", list(get_args(Level))),
        ("auto", ["auto", "json", "text"]),
    ]
    assert set(log["form"]["enum"]) == set(get_args(Form))
    store = schema["properties"]["store"]["properties"]
    assert [store[key]["default"] for key in ("keepDays", "dedupeDays")] == [30, 7]
    delivery = schema["$defs"]["destination"]["properties"]["delivery"]["properties"]
    assert {key: spec["default"] for key, spec in delivery.items() if "default" in spec} == {
        "deadlineSeconds": 14_400,
        "soleWriter": True,
        "allowPrivate": False,
    }


def test_other_addresses(write: Write) -> None:
    """Where operators look is read as an address, and proxies as networks."""
    text = _faulty("admin: {listen: '[::1]:9100'}\nlisten: {trustedProxies: [10.0.0.0/8, '::1']}\n")
    config = read_config(write("c.yaml", text), {})
    assert config.admin == AdminConfig(Address("::1", 9_100))
    assert list(map(str, config.listen.trusted_proxies)) == ["10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(("name", "text"), [("c.yaml", WHOLE), ("c.toml", TOML)])
def test_all_of_it(write: Write, tmp_path: Path, name: str, text: str) -> None:
    """YAML and TOML mean the same; secrets come from where they are named."""
    write("key.txt", FROM_FILE + "\n")
    config = read_config(write(name, text), ENVIRONMENT)
    assert config.listen == ListenConfig("0.0.0.0", 0, 2_048, 2)  # noqa: S104 - read, not bound
    assert config.store == StoreConfig(Path("/data/s.sqlite3"), 2_000_000, 3, 0.5)
    assert (config.max_events, config.drain_seconds) == (7, 1.5)
    assert config.log == LogConfig("debug", "text")
    (one,) = config.destinations
    assert one.destination == str(tmp_path / "folder")
    assert one.account == "main"
    assert one.settings.data == {
        "apiKey": KEY,
        "region": "x-eu",
        "text": "plain",
        "other": FROM_FILE,
    }
    assert one.in_text == {"region", "text"}
    assert one.receiver == ReceiverConfig((Secret(KEY), Secret(KEY2)), (Secret(FROM_FILE),))
    assert one.delivery == DeliveryConfig(
        60, 5, concurrency=2, allow_private=True, wait_for_seconds=90
    )
    assert KEY not in repr(config)
    assert FROM_FILE not in repr(config)


@pytest.mark.parametrize(
    ("delivery", "seconds"),
    [
        ("{}", None),
        ("{reconcileAfterSeconds: 5}", 5),
        ("{settleAfterSeconds: 5}", 5),
        ("{settleAfterSeconds: 0}", 0),
    ],
)
def test_when_lost_answers_are_asked_about(
    write: Write, delivery: str, seconds: float | None
) -> None:
    """It is up to the definition unless it is said, by either name of the key."""
    config = read_config(write("c.yaml", _faulty(f"    delivery: {delivery}\n")), {})
    (one,) = config.destinations
    assert one.delivery == DeliveryConfig(settle_after_seconds=seconds)
    warned = [
        "5: /destinations/0/delivery/reconcileAfterSeconds: deprecated; use settleAfterSeconds"
    ]
    found = [str(warning).rpartition("c.yaml:")[2] for warning in config.warnings]
    assert found == (warned if "reconcile" in delivery else [])


@pytest.mark.parametrize(
    ("days", "periods"),
    [
        ("3", Periods(3)),
        ("{}", Periods()),
        (
            "{dead: 90, filtered: 0.5}",
            Periods(by_outcome={Outcome.DEAD: 90, Outcome.FILTERED: 0.5}),
        ),
    ],
)
def test_days_by_outcome(write: Write, days: str, periods: Periods) -> None:
    """They are a number for finished deliveries, or one for each outcome."""
    text = SMALL.replace("sqlite3}", f"sqlite3, keepDays: {days}}}")
    assert read_config(write("c.yaml", text), {}).periods == periods


@pytest.mark.parametrize(
    ("days", "issue"),
    [
        ("{held: 3}", "/store/keepDays/held: is not a key here; known: delivered, filtered"),
        ("{deda: 3}", "did you mean dead?"),
        ("{dead: -1}", "/store/keepDays/dead: must be a number from 0 to 3650, not -1"),
        ("{dead: soon}", "/store/keepDays/dead: must be a number"),
        ("'30'", "/keepDays: must be a number or a mapping, not '30'; write 30 without quotes"),
        ("{dead: '30'}", "/keepDays/dead: must be a number, not '30'; write 30 without quotes"),
        ("'4000'", "/store/keepDays: must be a number or a mapping, not text"),
        ("'NaN'", "/store/keepDays: must be a number or a mapping, not text"),
        ("1e400", "YAML readers disagree on what `1e400` is"),
        (".inf", "/store/keepDays: must be a finite number"),
        (".nan", "/store/keepDays: must be a finite number"),
        ("9" * 400, "/store/keepDays: must be a number below 1e+308"),
        ("9" * 5_000, "/store/keepDays: cannot be read"),
        ("soon", "/store/keepDays: must be a number or a mapping, not text"),
        ("-1", "/store/keepDays: must be a number from 0 to 3650, not -1"),
    ],
)
def test_wrong_days(write: Write, days: str, issue: str) -> None:
    """They name the place, and what was expected."""
    text = SMALL.replace("sqlite3}", f"sqlite3, keepDays: {days}}}")
    with pytest.raises(DefinitionError, match=re.escape(issue)):
        read_config(write("c.yaml", text), {})


def _faulty(line: str) -> str:
    return SMALL + line


WAYS = "must be {env: NAME}, {file: PATH} or ${NAME}, not the secret itself"


@pytest.mark.parametrize(
    ("text", "issue"),
    [
        ("{}", "1: lacks 'store', 'destinations'"),
        (_faulty("other: 1\n"), "5: /other: is not a key here; known: $schema, listen"),
        (_faulty("drainSeconds: soon\n"), "5: /drainSeconds: must be a number"),
        (
            _faulty("drainSeconds: -1\n"),
            "5: /drainSeconds: must be a number from 0 to 3600, not -1",
        ),
        (
            _faulty("listen: {port: 70000}\n"),
            "5: /listen/port: must be a number from 0 to 65535, not 70000",
        ),
        (_faulty("listen: {port: 8787.0}\n"), "/port: must be an integer, not 8787.0; write 8787"),
        (_faulty('listen: {host: "a\\0b"}\n'), r"5: /listen/host: invalid host 'a\x00b': expected"),
        (_faulty(f"listen: {{host: {'ä' * 80}}}\n"), "5: /listen/host: invalid host 'ääää"),
        (
            _faulty(f"admin: {{listen: '127.0.0.1:{'9' * 5_000}'}}\n"),
            "has the invalid port '999",
        ),
        (_faulty("admin: {listen: '9100'}\n"), "5: /admin/listen: '9100' lacks a port: expected"),
        (
            _faulty("admin: {}\n"),
            "5: /admin: lacks 'listen'; expected a mapping with the address, such as {listen",
        ),
        (
            _faulty("admin: {listen: '127.0.0.1:8787'}\n"),
            "5: /admin/listen: is where events are received (listen): expected another port",
        ),
        (
            _faulty("listen: {trustedProxies: [10.0.0.1/8]}\n"),
            "5: /listen/trustedProxies/0: '10.0.0.1/8' has bits beyond its prefix: did you mean",
        ),
        (
            _faulty("    receiver: {keys: [plain-key]}\n"),
            f"/receiver/keys/0: {WAYS}",
        ),
        (
            _faulty("    receiver: {keys: [{env: A, file: b}]}\n"),
            "/receiver/keys/0: must have exactly one of env and file",
        ),
        (
            _faulty("    settings: {apiKey: {env: A, file: b}}\n"),
            "/settings/apiKey: must have exactly one of env and file",
        ),
        (
            _faulty("    settings: {apiKey: {env: EMPTY}}\n"),
            "/settings/apiKey: the environment variable EMPTY is empty",
        ),
        (
            _faulty("    settings: {apiKey: '${EMPTY}'}\n"),
            "/settings/apiKey: the environment variable EMPTY is empty",
        ),
        (_faulty("    receiver: {keys: [7]}\n"), f"/receiver/keys/0: {WAYS}"),
        (_faulty("    receiver: {signatureSecrets: [a-secret]}\n"), f"/signatureSecrets/0: {WAYS}"),
        (_faulty("    receiver: {keys: []}\n"), "/receiver/keys: must not be empty"),
        (
            _faulty("    receiver: {keys: [{env: NOT_SET}]}\n"),
            "/receiver/keys/0: the environment variable NOT_SET is not set",
        ),
        (
            _faulty("    receiver: {keys: [{env: EMPTY}]}\n"),
            "/keys/0: the environment variable EMPTY is empty",
        ),
        (_faulty("    receiver: {keys: [{file: none}]}\n"), "none: No such file or directory"),
        (
            _faulty("    settings:\n      a: 1\n      apiKey: ${NOT_SET}\n"),
            "7: /destinations/0/settings/apiKey: the environment variable NOT_SET is not set",
        ),
        (
            _faulty("  - {name: one, destination: kana}\n"),
            "5: /destinations/1/name: the name",
        ),
        (
            SMALL.replace("one", "a/b"),
            "3: /destinations/0/name: must be a name of at most 64 letters",
        ),
        (
            _faulty("listen: {host: 0.0.0.0}\n"),
            "3: /destinations/0: lacks keys or signatureSecrets in receiver: other machines can",
        ),
        (
            _faulty("    delivery:\n      reconcileAfterSeconds: 5\n      settleAfterSeconds: 5\n"),
            "6: /destinations/0/delivery/reconcileAfterSeconds: is another name of settleAfter",
        ),
        (
            _faulty("    delivery: {settleAfterSeconds: -1}\n"),
            "5: /destinations/0/delivery/settleAfterSeconds: must be a number from 0 to 86400",
        ),
        (_faulty("    account: ''\n"), "5: /destinations/0/account: must not be empty"),
        (_faulty(f"    account: {'a' * 65}\n"), "5: /destinations/0/account: "),
        (_faulty("    account: '  '\n"), "5: /destinations/0/account: the name is empty"),
        (
            _faulty('    account: "a\\eb"\n'),
            "5: /destinations/0/account: the name has a line break",
        ),
        (_faulty("    account: 7\n"), "5: /destinations/0/account: must be text, not a number"),
        (_faulty("log: {level: loud}\n"), "5: /log/level: must be one of debug, info, warning"),
        (
            SMALL.replace("store.sqlite3", '"a\\0b"'),
            r"1: /store/path: 'a\x00b' holds a NUL character (U+0000), which no path can hold",
        ),
        (
            SMALL.replace("kana", '"./a\\0b"'),
            r"4: /destinations/0/destination: './a\x00b' holds a NUL character",
        ),
        (
            _faulty('    settings: {apiKey: {file: "a\\0b"}}\n'),
            r"5: /destinations/0/settings/apiKey: the path 'a\x00b' holds a NUL character",
        ),
        ("destinations: [", "not YAML"),
    ],
)
def test_issues(write: Write, text: str, issue: str) -> None:
    """Each has its file, line and path, says what would be right, and shows no secret."""
    path = write("c.yaml", text)
    with pytest.raises(DefinitionError) as caught:
        read_config(path, ENVIRONMENT)
    shown = str(caught.value)
    assert issue in shown
    assert str(path) in shown
    assert "plain-key" not in shown
    assert "a-secret" not in shown


SEALING_KEY, FORMER_KEY = f"{'b' * 42}Y=", f"{'_-' * 21}8"


@pytest.mark.parametrize(
    ("text", "former"),
    [
        ("sealing: {key: {env: NEW}}\n", ()),
        ("sealing: {key: '${NEW}', formerKeys: [{file: former.txt}]}\n", (f"{FORMER_KEY} ",)),
        (
            "sealing: {key: {file: new.txt}, formerKeys: [{file: former.txt}, {env: NEW}]}\n",
            (f"{FORMER_KEY} ", SEALING_KEY),
        ),
    ],
)
def test_sealing_keys(write: Write, text: str, former: tuple[str, ...]) -> None:
    """They come from where they are named, open what they have sealed, and are not shown."""
    write("new.txt", SEALING_KEY + "\n").chmod(0o600)
    write("former.txt", FORMER_KEY + " \n").chmod(0o600)
    config = read_config(write("c.yaml", _faulty(text)), {"NEW": SEALING_KEY})
    assert config.sealing == SealingConfig(Secret(SEALING_KEY), tuple(map(Secret, former)))
    sealer = config.sealing.sealer()
    assert len(sealer.key_ids) == len({SEALING_KEY, *former})
    for key in (SEALING_KEY, *former):
        sealed = SealingConfig(Secret(key)).sealer().seal("x", row="a")
        assert sealer.open(sealed, row="a").reveal() == "x"
        assert sealer.is_current(sealed) is (key == SEALING_KEY)
    assert not [key for key in (SEALING_KEY, FORMER_KEY) if key[:8] in repr(config)]


SEALING_ISSUES: list[tuple[str, str]] = [
    ("{}", "5: /sealing: lacks 'key'"),
    ("{key: a-secret-key}", f"5: /sealing/key: {WAYS}"),
    ("{key: 7}", f"5: /sealing/key: {WAYS}"),
    (f"{{key: {SEALING_KEY}}}", f"5: /sealing/key: {WAYS}"),
    ("{key: {env: A, file: b}}", "5: /sealing/key: must have exactly one of env and file"),
    ("{key: {env: EMPTY}}", "5: /sealing/key: the environment variable EMPTY is empty"),
    (
        "{key: {env: KEY}}",
        (
            "5: /sealing/key: the environment variable KEY is not a sealing key: expected 32 bytes "
            "as Base64, which are 44 characters; destinations store new-key makes a key"
        ),
    ),
    ("{key: {file: key.txt}}", "key.txt is not a sealing key: expected 32 bytes"),
    ("{key: {env: GOOD}, formerKeys: []}", "5: /sealing/formerKeys: must not be empty"),
    ("{key: {env: GOOD}, formerKeys: {env: GOOD}}", "5: /sealing/formerKeys: must be a list"),
    ("{key: {env: GOOD}, formerKeys: [a-secret]}", f"5: /sealing/formerKeys/0: {WAYS}"),
    (
        "{key: {env: GOOD}, formerKeys: [{env: GOOD}, {env: KEY2}]}",
        "5: /sealing/formerKeys/1: the environment variable KEY2 is not a sealing key",
    ),
    ("{key: {env: GOOD}, keys: []}", "5: /sealing/keys: is not a key here"),
    (
        "{key: {env: NOT_SET}, formerKeys: [{env: KEY}]}",
        "5: /sealing/key: the environment variable NOT_SET is not set",
    ),
]


@pytest.mark.parametrize(("text", "issue"), SEALING_ISSUES)
def test_issues_of_sealing_keys(write: Write, text: str, issue: str) -> None:
    """They come with their place, and what was given for a key is never shown."""
    write("key.txt", FROM_FILE + "\n")
    path = write("c.yaml", _faulty(f"sealing: {text}\n"))
    with pytest.raises(DefinitionError) as caught:
        read_config(path, {**ENVIRONMENT, "GOOD": SEALING_KEY})
    assert not isinstance(caught.value, TemporaryError)
    shown = str(caught.value)
    assert issue in shown
    assert not [one for one in (SEALING_KEY, KEY, KEY2, FROM_FILE, "a-secret") if one in shown]


NOT_THERE = (
    "sealing: {key: {env: NOT_SET}}\n",
    "sealing: {key: {env: KEY3}, formerKeys: [{file: none}]}\n",
    "    receiver: {keys: [{env: NOT_SET}]}\n",
    "    receiver: {signatureSecrets: [{file: none}]}\n",
    "    receiver: {keys: ['${NOT_SET}']}\n",
    "    settings: {apiKey: {env: NOT_SET}}\n",
    "    settings: {apiKey: {file: none/none}}\n",
    "    settings: {apiKey: {file: none}, endpoint: 'http://${NOT_SET}/'}\n",
)


@pytest.mark.parametrize("text", NOT_THERE)
def test_a_secret_that_is_not_there_yet(write: Write, text: str) -> None:
    """It may come by itself."""
    with pytest.raises(SecretMissingError) as caught:
        read_config(write("c.yaml", _faulty(text)), {**ENVIRONMENT, "KEY3": SEALING_KEY})
    assert isinstance(caught.value, TemporaryError)


@pytest.mark.parametrize(
    "text",
    [
        "    receiver: {keys: [{env: EMPTY}]}\n",
        "    receiver: {keys: [{file: '.'}]}\n",
        "    settings: {apiKey: {env: A, file: b}}\n",
        "    settings: {apiKey: {env: EMPTY}, endpoint: '${NOT_SET}'}\n",
        "    receiver: {keys: [{env: NOT_SET}]}\n  - {name: one, destination: kana}\n",
    ],
)
def test_a_secret_that_is_wrong(write: Write, text: str) -> None:
    """That does not pass by itself, nor does what is wrong beside one that is not there."""
    with pytest.raises(DefinitionError) as caught:
        read_config(write("c.yaml", _faulty(text)), ENVIRONMENT)
    assert not isinstance(caught.value, TemporaryError)


@pytest.mark.parametrize(
    ("text", "issue"),
    [
        ("a = ", "not TOML: Invalid value (at "),
        (f"drainSeconds = {'9' * 400}", "/drainSeconds: must be a number below 1e+308"),
        (f"drainSeconds = {'9' * 5_000}", "not TOML: "),
        (f"a = {'[' * 5_000}", "not TOML: "),
        ("drainSeconds = inf", "/drainSeconds: must be a finite number"),
        ("drainSeconds = 2020-01-01", "/drainSeconds: must be text, a number, true or false"),
        ("[store]\npath = 1", "/store/path: must be text, not a number"),
    ],
)
def test_issues_of_toml(write: Write, text: str, issue: str) -> None:
    """What TOML has and JSON has not is refused, and what is wrong is told with its path."""
    with pytest.raises(DefinitionError) as caught:
        read_config(write("c.toml", text), {})
    assert issue in str(caught.value)


@pytest.mark.parametrize(
    ("content", "issue"),
    [(None, r"c\.yaml: cannot be read: No such file"), (b"\xff", r"c\.yaml: is not UTF-8")],
)
def test_files_that_cannot_be_read(
    write: Write, tmp_path: Path, content: bytes | None, issue: str
) -> None:
    """The error names the file."""
    path = tmp_path / "c.yaml" if content is None else write("c.yaml", content)
    with pytest.raises(DefinitionError, match=issue):
        read_config(path, {})


GOOD_KEY = "a-key-of-16-char"
OF_FILE = "receiver: {keys: [{file: key.txt}], signatureSecrets: [{file: key.txt}]}"


@pytest.mark.parametrize(
    "content", [GOOD_KEY, f"{GOOD_KEY}\n", f"{GOOD_KEY}\r\n", "a key: with ~ and !"]
)
def test_keys_that_can_be_used(write: Write, content: str) -> None:
    """From 16 characters on; one line break at the end of a file is none of the key."""
    path = write("c.yaml", _faulty(f"    {OF_FILE}\n"))
    write("key.txt", content)
    (one,) = read_config(path, {}).destinations
    for secret in (*one.receiver.keys, *one.receiver.signature_secrets):
        assert "".join(secret) == content.rstrip("\r\n")


@pytest.mark.parametrize(
    ("content", "issue"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("  ", "holds only white space"),
        (" " * 20 + "\n", "holds only white space"),
        (f"{GOOD_KEY}\n{GOOD_KEY}\n", "has several lines; it must hold one key"),
        (f"{GOOD_KEY}\n\n", "begins or ends with white space"),
        (f" {GOOD_KEY} \n", "begins or ends with white space"),
        (f"\t{GOOD_KEY}", "begins or ends with white space"),
        (f"{GOOD_KEY}\x00x", "has characters that a header cannot carry: expected printable ASCII"),
        (f"{GOOD_KEY}ä", "has characters that a header cannot carry: expected printable ASCII"),
        ("k", "has 1 character; a key needs at least 16"),
        (GOOD_KEY[1:], "has 15 characters; a key needs at least 16"),
    ],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - read, not bound
def test_keys_that_nobody_should_use(write: Write, content: str, issue: str, host: str) -> None:
    """What no header carries, or can be guessed, is refused wherever it listens, and not shown."""
    path = write("c.yaml", _faulty(f"    {OF_FILE}\nlisten: {{host: {host}}}\n"))
    file = write("key.txt", content)
    with pytest.raises(DefinitionError) as caught:
        read_config(path, {})
    shown = str(caught.value)
    for key in ("keys", "signatureSecrets"):
        assert f"/destinations/0/receiver/{key}/0: the file {file} {issue}" in shown
    assert GOOD_KEY not in shown


def test_files_that_everybody_can_read(write: Write) -> None:
    """Files that others than their owner's group can read are noted, by what they hold."""
    path = write(
        "c.yaml", _faulty(f"    {OF_FILE}\n    settings: {{apiKey: {{file: open.txt}}}}\n")
    )
    write("key.txt", GOOD_KEY).chmod(0o640)
    file = write("open.txt", GOOD_KEY)
    file.chmod(0o604)
    (one,) = read_config(path, {}).destinations
    assert one.exposed == {"/settings/apiKey": file}


def test_sealing_keys_that_everybody_can_read(write: Write) -> None:
    """They can be used, with a warning that names the file and what to do."""
    text = "sealing: {key: {file: mine.txt}, formerKeys: [{file: open.txt}]}\n"
    for name, mode in (("mine.txt", 0o640), ("open.txt", 0o644)):
        write(name, SEALING_KEY).chmod(mode)
    config = read_config(write("c.yaml", _faulty(text)), {})
    (warning,) = config.warnings
    assert warning.startswith("/sealing/formerKeys/0: every user of this machine can read ")
    assert "open.txt; only its owner should be able to (chmod 600); then seal with" in warning


def test_sealing_without_its_library(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that could not open its secrets does not start, and says what to install."""
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    path = write("c.yaml", _faulty("sealing: {key: {env: NEW}}\n"))
    with pytest.raises(MissingExtraError, match=r"needs the library cryptography.*\[sealing\]"):
        read_config(path, {"NEW": SEALING_KEY})
    assert read_config(path, {}, secrets=False).sealing is None


@pytest.mark.parametrize(
    ("name", "text", "issue"),
    [
        ("c.json", '{"store": {"path": "s"},}', "c.json:1: not JSON: "),
        ("c.json", "store: {path: s}", "c.json:1: not JSON: Expecting value at column 1"),
        ("c.json", f'{{"store": {"9" * 5_000}}}', "c.json: must be a number below 1e+308"),
        ("c.json", "[" * 100_000, "c.json: not JSON: nested too deeply"),
        ("c.conf", TOML, "c.conf: holds TOML; give it a name that ends in .toml"),
        ("c.yaml", "drainSeconds = 3", "c.yaml: holds TOML; give it a name that ends in .toml"),
    ],
)
def test_the_name_says_the_form(write: Write, name: str, text: str, issue: str) -> None:
    """A broken file is told in words of what it is meant to be."""
    with pytest.raises(DefinitionError) as caught:
        read_config(write(name, text), ENVIRONMENT)
    assert issue in str(caught.value)


@pytest.mark.parametrize("name", ["serve.yaml", "tenants.yaml"])
def test_the_examples(write: Write, tmp_path: Path, name: str) -> None:
    """Each can be used as it stands, with secrets where it names them."""
    example = Path(__file__).parents[3] / "examples" / "serving" / name
    (tmp_path / "secrets").mkdir()
    write("secrets/kana-api-key", "prv_test_x\n")
    write("secrets/receiver-key", "the-key-of-receivers\n")
    write("secrets/sealing-key", f"{SEALING_KEY}\n")
    write("secrets/webhook-signing", f"whsec_{'a' * 43}=\n")
    config = read_config(write("serve.yaml", example.read_text("utf-8")), {})
    assert [each.name for each in config.destinations] == ["kana"]
    assert config.store.max_bytes == 20_000_000_000

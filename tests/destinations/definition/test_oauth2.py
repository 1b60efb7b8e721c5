"""The key ``authentication.oauth2``: what is read, and what is wrong with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations.definition import (
    AccessTokenAuth,
    OAuth2Definition,
    check_folder,
    load_definition,
)
from destinations.definition.comparison import Bump, compare
from destinations.definition.setting_uses import address_settings, host_settings
from tests.oauth2_samples import oauth2_files, write_oauth2

Change = Callable[[dict[str, Any]], None]

REGION = {"title": "Region", "description": "Where.", "type": "string", "enum": ["eu", "us"]}
URLS = {"eu": "https://eu.example/token", "us": "https://us.example/token"}


def test_what_is_read(tmp_path: Path) -> None:
    """Each key has its place in the model; the transport knows that requests have a token."""
    folder = write_oauth2(
        tmp_path / "ledgerly",
        "refreshToken",
        clientAuthentication="body",
        parameters={"audience": "a"},
        tokenUrl="https://p.example/token",
    )
    definition = load_definition(folder)
    assert definition.oauth2 == OAuth2Definition(
        "refreshToken",
        "https://p.example/token",
        "clientId",
        "clientSecret",
        "refreshToken",
        ("usage:write",),
        "body",
        {"audience": "a"},
    )
    assert isinstance(definition.transport.auth, AccessTokenAuth)
    assert definition.warnings == ()


def test_a_url_by_a_setting(tmp_path: Path) -> None:
    """A choice among URLs is read as one, and its setting counts as one of addresses."""
    data = oauth2_files(tokenUrl={"setting": "region", "urls": URLS})
    data["settings"]["properties"]["region"] = {**REGION, "default": "eu"}
    definition = load_definition(_written(tmp_path, data))
    assert definition.oauth2 is not None
    assert definition.oauth2.token_url == {"setting": "region", "urls": URLS}
    assert "region" in address_settings(definition)
    assert host_settings(definition) == {"endpoint", "region"}


def test_settings_that_choose_the_host_of_the_token_endpoint(tmp_path: Path) -> None:
    """A customer who may set them may choose where the secret of the client goes."""
    data = oauth2_files(tokenUrl={"@template": "{{settings.where}}/token"})
    data["settings"]["properties"]["where"] = {
        "title": "Where",
        "description": "The URL.",
        "type": "string",
        "default": "https://a.example",
    }
    assert host_settings(load_definition(_written(tmp_path, data))) == {"endpoint", "where"}


def _oauth2(**changes: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        oauth2 = data["authentication"]["oauth2"]
        oauth2 |= changes
        for key in [key for key, value in oauth2.items() if value is None]:
            del oauth2[key]

    return change


def _chosen(urls: dict[str, Any], setting: str = "region", **spec: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        _oauth2(tokenUrl={"setting": setting, "urls": urls})(data)
        data["settings"]["properties"]["region"] = {**REGION, "default": "eu"} | spec
        region = data["settings"]["properties"]["region"]
        for key in [key for key, value in region.items() if value is None]:
            del region[key]

    return change


def _header(data: dict[str, Any]) -> None:
    data["transport"]["headers"] = {"authorization": "Bearer x"}


def _header_of_request(data: dict[str, Any]) -> None:
    data["requests"]["record"]["rest"]["headers"] = {"Authorization": "Bearer x"}


def _other_scheme(data: dict[str, Any]) -> None:
    data["authentication"]["scheme"] = "custom"


def _no_oauth2(data: dict[str, Any]) -> None:
    del data["authentication"]["oauth2"]


def _fields(data: dict[str, Any]) -> None:
    data["authentication"]["fields"] = ["clientId"]


AT = "/authentication/oauth2"
BAD: dict[str, tuple[Change, str, str]] = {
    "a scheme without keys": (_no_oauth2, "/authentication/scheme", "has no oauth2 that says how"),
    "keys without the scheme": (_other_scheme, AT, "has no effect: expected scheme: oauth2"),
    "an unknown key": (_oauth2(tokenURL="x"), f"{AT}/tokenURL", "did you mean tokenUrl?"),
    "an unknown grant": (_oauth2(grant="password"), f"{AT}/grant", "clientCredentials"),
    "a near grant": (_oauth2(grant="refreshtoken"), f"{AT}/grant", "did you mean refreshToken?"),
    "a missing URL": (_oauth2(tokenUrl=None), AT, "tokenUrl"),
    "a relative URL": (_oauth2(tokenUrl="/token"), f"{AT}/tokenUrl", "must be an absolute URL"),
    "a URL of an event": (
        _oauth2(tokenUrl={"@path": "$.event.where"}),
        f"{AT}/tokenUrl/@path",
        "must read only settings",
    ),
    "a URL of an unknown setting": (
        _oauth2(tokenUrl={"@path": "$.settings.endpont"}),
        f"{AT}/tokenUrl/@path",
        "did you mean endpoint?",
    ),
    "an unknown setting": (
        _oauth2(clientId="clientID"),
        f"{AT}/clientId",
        "unknown setting 'clientID'; known: clientId, clientSecret, endpoint; did you mean clientI",
    ),
    "a secret that is shown": (
        _oauth2(clientSecret="endpoint"),
        f"{AT}/clientSecret",
        "is endpoint, which is not secret: give that setting format: password",
    ),
    "a credential that is not one": (
        _fields,
        f"{AT}/clientSecret",
        "is clientSecret, which authentication.fields lacks",
    ),
    "a grant without its token": (
        _oauth2(grant="refreshToken"),
        f"{AT}/grant",
        "expected the setting that holds it, as refreshToken: NAME",
    ),
    "a token without its grant": (
        _oauth2(refreshToken="clientSecret"),
        f"{AT}/refreshToken",
        "is only for grant: refreshToken",
    ),
    "a client without a secret": (_oauth2(clientSecret=None), f"{AT}/grant", "as clientSecret: NA"),
    "scopes as text": (_oauth2(scopes="a b"), f"{AT}/scopes", "must be a list"),
    "a scope with a space": (_oauth2(scopes=["a b"]), f"{AT}/scopes/0", "a scope"),
    "another place of credentials": (
        _oauth2(clientAuthentication="header"),
        f"{AT}/clientAuthentication",
        "basic",
    ),
    "a parameter of an event": (
        _oauth2(parameters={"user": {"@path": "$.event.userId"}}),
        f"{AT}/parameters/user/@path",
        "must read only settings",
    ),
    "a header of the transport": (_header, "/transport/headers/authorization", "must not be set"),
    "a header of a request": (
        _header_of_request,
        "/requests/record/rest/headers/Authorization",
        "scheme oauth2 makes this header",
    ),
    "an unknown setting that chooses": (
        _chosen(URLS, setting="regoin"),
        f"{AT}/tokenUrl/setting",
        "did you mean region?",
    ),
    "a setting that may be anything": (
        _chosen(URLS, enum=None),
        f"{AT}/tokenUrl/setting",
        "must be a setting of type string with an enum",
    ),
    "a setting that may be missing": (
        _chosen(URLS, default=None),
        f"{AT}/tokenUrl/setting",
        "must be required or have a default",
    ),
    "a choice without a URL": (
        _chosen({"eu": URLS["eu"]}),
        f"{AT}/tokenUrl/urls",
        "has no URL for 'us', a value of the setting region",
    ),
    "a URL without a choice": (
        _chosen({**URLS, "ue": URLS["eu"]}),
        f"{AT}/tokenUrl/urls/ue",
        "unknown value of the setting region 'ue'; known: eu, us",
    ),
    "a chosen URL that is none": (
        _chosen({**URLS, "us": "us.example"}),
        f"{AT}/tokenUrl/urls/us",
        "must be an absolute URL",
    ),
}


@pytest.mark.parametrize(("change", "place", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong(tmp_path: Path, change: Change, place: str, message: str) -> None:
    """Each mistake is named with its place and line, and what would be right."""
    data = oauth2_files()
    change(data)
    found = check_folder(_written(tmp_path, data))
    assert [issue.path for issue in found if message in issue.message] == [place], found
    assert all(issue.line for issue in found)


def test_a_credential_that_reaches_no_request(tmp_path: Path) -> None:
    """Those of the token request are used; any other that is used nowhere is warned of."""
    data = oauth2_files()
    data["settings"]["properties"]["pin"] = {"title": "P", "description": "P.", "type": "string"}
    data["authentication"]["fields"].append("pin")
    (warning,) = load_definition(_written(tmp_path, data)).warnings
    assert warning.path == "/authentication/fields/2"
    assert "pin is in no request" in warning.message


def _written(tmp_path: Path, data: dict[str, Any]) -> Path:
    folder = write_oauth2(tmp_path / "ledgerly")
    (folder / "destination.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return folder


MORE = ["usage:write", "users:read"]


@pytest.mark.parametrize(
    ("grant", "changes", "bump", "place", "says"),
    [
        (
            "clientCredentials",
            {"scopes": MORE},
            Bump.MINOR,
            "/scopes",
            "further scopes: users:read",
        ),
        (
            "refreshToken",
            {"scopes": MORE},
            Bump.MAJOR,
            "/scopes",
            "further scopes: users:read; refresh tokens without them have to be authorized again",
        ),
        (
            "clientCredentials",
            {"clientAuthentication": "body"},
            Bump.PATCH,
            "/clientAuthentication",
            "in requests for tokens was 'basic' and is 'body'",
        ),
        ("clientCredentials", {"scopes": None}, Bump.PATCH, "/scopes", "no longer asks for"),
    ],
)
def test_what_a_new_version_changes(
    tmp_path: Path, grant: str, changes: dict[str, Any], bump: Bump, place: str, says: str
) -> None:
    """`diff` says whose credentials no longer do, and what is only another request."""
    old = load_definition(write_oauth2(tmp_path / "old" / "ledgerly", grant))
    new = load_definition(write_oauth2(tmp_path / "new" / "ledgerly", grant, **changes))
    (found,) = compare(old, new)
    assert (found.bump, found.path) == (bump, f"{AT}{place}")
    assert says in found.message
    assert compare(new, new) == []


def test_another_grant(tmp_path: Path) -> None:
    """Credentials of the one grant are of no use for the other."""
    old = load_definition(write_oauth2(tmp_path / "old" / "ledgerly"))
    new = load_definition(write_oauth2(tmp_path / "new" / "ledgerly", "refreshToken"))
    found = {one.path: one for one in compare(old, new)}[AT]
    assert found.bump is Bump.MAJOR
    assert "it uses the grant refreshToken from now on, and the grant clientCred" in found.message


@pytest.mark.parametrize(
    ("url", "is_open"),
    [
        ("https://p.example/token", False),
        ("http://127.0.0.1:9/token", False),
        ("http://localhost:9/token", False),
        ("http://p.example.com/token", True),
        # The client secret is sent there, so no network is one's own.
        ("http://10.0.0.7/token", True),
        ("http://tokens/token", True),
        ("http://tokens.internal/token", True),
    ],
)
def test_tokens_that_are_asked_for_without_encryption(
    tmp_path: Path, url: str, is_open: bool
) -> None:
    """OAuth2 requires https (RFC 6749, 3.2): anything else is told, with its line."""
    issues = check_folder(_written(tmp_path, oauth2_files(tokenUrl=url)))
    found = [one for one in issues if one.path == "/authentication/oauth2/tokenUrl"]
    assert bool(found) is is_open
    assert all("is not encrypted" in one.message and one.line is not None for one in found)

"""Write ``index.ts`` of a destination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from destinations.definition import (
    AccessTokenAuth,
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    DestinationDefinition,
    OAuth2Definition,
    Preset,
)
from destinations.kit.exporter.addresses import UnsayableAddressError, url_code
from destinations.kit.exporter.findings import DESTINATION, Findings
from destinations.kit.exporter.literals import (
    WIDTH,
    Code,
    is_identifier,
    literal,
    member,
    name_of,
    text,
    throwing,
)
from destinations.kit.exporter.requests import RequestFile, is_of_request
from destinations.segment.json_pointer import pointer

__all__ = ["IndexFile", "kept_by_segment", "scheme"]

_OWN_NAMES: Final = (
    *("destination", "request", "payload", "settings", "auth", "context", "urls", "url", "data"),
    *("DestinationDefinition", "Settings", "IntegrationError", "defaultValues", "headersOf"),
    *("send", "encode", "resolve", "segment", "text", "Buffer", "URLSearchParams", "Record"),
    *("basic", "credential", "settingsOf", "valueAt", "DEFAULTS"),
)
"""Names that the file has beside those of actions and requests."""


def kept_by_segment(definition: DestinationDefinition) -> frozenset[str]:
    """Return the settings that Segment keeps itself: the credentials of OAuth2."""
    oauth2 = definition.oauth2
    return frozenset() if oauth2 is None else frozenset(oauth2.credentials)


def scheme(definition: DestinationDefinition) -> str:
    """Return the name of Segment's scheme that authenticates with such settings."""
    return "custom" if definition.oauth2 is None else "oauth2"


class IndexFile:
    """Writes the file; ``presets`` are those that can be said, each with its whole mapping."""

    def __init__(  # noqa: PLR0913, PLR0917 - what the file is made of
        self,
        definition: DestinationDefinition,
        slug: str,
        settings: Mapping[str, Any],
        folders: Mapping[str, str],
        presets: Sequence[tuple[Preset, bool]],
        requests: RequestFile,
        findings: Findings,
    ) -> None:
        self._definition = definition
        self._slug = slug
        self._settings = settings
        self._presets = presets
        self._requests = requests
        self._findings = findings
        self._core: set[str] = set()
        self._uses: dict[str, set[str]] = {}
        self._actions: dict[str, str] = {}
        self._folders = folders
        taken = {*_OWN_NAMES, *requests.names.values()}
        for action in folders:
            self._actions[action] = name_of(action, taken)
            taken.add(self._actions[action])

    def source(self) -> str:
        """Return the text of the file."""
        definition = self._definition
        members: dict[str, Any] = {
            "name": definition.name,
            "slug": self._slug,
            "mode": "cloud",
            "description": definition.description,
        }
        if self._settings or definition.authentication is not None:
            members["authentication"] = self._authentication()
        extension = self._extension()
        if extension is not None:
            members["extendRequest"] = extension
        deletion = definition.deletion
        if deletion is not None:
            members["onDelete"] = self._deletion(deletion.perform.request or "")
        if self._presets:
            members["presets"] = [self._preset(*one) for one in self._presets]
        members["actions"] = Code(self._action_list())
        body = literal(members, 0, 200)
        return (
            self._head()
            + f"\nconst destination: DestinationDefinition<Settings> = {body}\n"
            + "\nexport default destination\n"
        )

    def _head(self) -> str:
        lines = []
        if self._core:
            lines.append(
                f"import {{ {', '.join(sorted(self._core))} }} from '@segment/actions-core'\n"
            )
        lines.append("import type { DestinationDefinition } from '@segment/actions-core'\n")
        lines.append("import type { Settings } from './generated-types'\n")
        lines += [
            f"import {{ {', '.join(sorted(self._uses[module]))} }} from '{module}'\n"
            for module in sorted(self._uses)
        ]
        lines += [
            f"import {name} from {text('./' + self._folders[action])}\n"
            for action, name in self._actions.items()
        ]
        return "".join(lines)

    def _action_list(self) -> str:
        parts = [
            name if name == action else f"{member(action)}: {name}"
            for action, name in self._actions.items()
        ]
        return "{\n  " + ",\n  ".join(parts) + "\n}"

    def _use(self, module: str, *names: str) -> None:
        self._uses.setdefault(module, set()).update(names)

    # -- authentication --------------------------------------------------------------------------

    def _authentication(self) -> Mapping[str, Any]:
        authentication = self._definition.authentication
        found: dict[str, Any] = {"scheme": scheme(self._definition), "fields": self._settings}
        if authentication is None:
            return found
        test = authentication.test
        constant = self._requests.names.get(test)
        if constant is not None and test not in self._requests.refused:
            self._use("./http", "send")
            self._use("./requests", constant)
            found["testAuthentication"] = Code(
                f"(request, {{ settings }}) => send(request, {constant}, settings, {{}})"
            )
        if authentication.oauth2 is not None:
            found["refreshAccessToken"] = self._refresh(authentication.oauth2)
        return found

    def _refresh(self, oauth2: OAuth2Definition) -> Code:
        try:
            url = url_code(oauth2.token_url)
        except UnsayableAddressError as error:
            self._findings.refuse(DESTINATION, "/authentication/oauth2/tokenUrl", str(error))
            return Code("undefined")
        is_refresh = oauth2.grant == "refreshToken"
        parameters: dict[str, Any] = {
            "grant_type": "refresh_token" if is_refresh else "client_credentials"
        }
        if is_refresh:
            parameters["refresh_token"] = Code("auth.refreshToken")
        if oauth2.scopes:
            parameters["scope"] = " ".join(oauth2.scopes)
        for name, value in oauth2.parameters.items():
            if not isinstance(value, str):
                place = f"/authentication/oauth2/parameters{pointer(name)}"
                self._findings.refuse(DESTINATION, place, "a computed parameter has no counterpart")
            else:
                parameters[name] = value
        headers = ""
        if oauth2.client_authentication == "basic":
            headers = (
                "    headers: {\n      authorization: `Basic ${Buffer.from("
                "`${auth.clientId}:${auth.clientSecret}`).toString('base64')}`\n    },\n"
            )
        else:
            parameters |= {
                "client_id": Code("auth.clientId"),
                "client_secret": Code("auth.clientSecret"),
            }
        for name in url.uses:
            self._use("./http", name)
        needs_context = "context" in url.source
        settings = ", settings" if needs_context else ""
        context = ""
        if needs_context:
            member = f"settings: {self._with_defaults()}"
            context = f"  const context = {{ payload: {{}}, {member} }}\n"
        setup = f"  {url.setup}" if url.setup else ""
        answer = "{ access_token: string; refresh_token?: string }"
        return Code(
            f"async (request, {{ auth{settings} }}) => {{\n{context}{setup.rstrip(' ')}"
            f"  const url = {url.source}\n"
            f"  const {{ data }} = await request<{answer}>(url, {{\n"
            f"    method: 'POST',\n{headers}"
            f"    body: new URLSearchParams({literal(parameters, 4, 32)})\n"
            "  })\n"
            "  return { accessToken: data.access_token, refreshToken: data.refresh_token }\n}"
        )

    def _extension(self) -> Code | None:
        """Return what adds the headers that all requests have, but those of one event."""
        transport = self._definition.transport
        fixed = {
            name: value for name, value in transport.headers.items() if not is_of_request(value)
        }
        credential, needs = self._credential()
        if not fixed and not credential:
            return None
        if fixed:
            needs.add("settings")
            self._use("./http", "headersOf")
        given = f"{{ {', '.join(sorted(needs))} }}"
        if not fixed and isinstance(credential, Code):
            return _of_headers(given, credential.source)
        if not fixed:
            return Code(f"({given}) => ({{\n  headers: {literal(credential, 2, 12)}\n}})")
        own = f"headersOf({literal(fixed, 2, 36)}, {{ settings: {self._with_defaults()} }})"
        if not credential:
            return _of_headers(given, own)
        parts = (
            f"...{credential.source}"
            if isinstance(credential, Code)
            else ",\n    ".join(f"{member(k)}: {literal(one)}" for k, one in credential.items())
        )
        return Code(f"({given}) => ({{\n  headers: {{\n    {parts},\n    ...{own}\n  }}\n}})")

    def _with_defaults(self) -> str:
        """Return the settings with the defaults of those that have no value, as code."""
        self._use("./http", "settingsOf")
        if not self._requests.has_defaults:
            return "settingsOf(settings)"
        self._use("./requests", "DEFAULTS")
        return "settingsOf(settings, DEFAULTS)"

    def _optional(self, name: str) -> str | None:
        """Return the code of a setting that may have no value; None if it always has one."""
        spec = self._definition.settings["properties"].get(name, {})
        if spec.get("default") not in {None, ""}:
            return self._with_defaults() + _setting(name).removeprefix("settings")
        return None if name in self._definition.settings.get("required", ()) else _setting(name)

    def _credential(self) -> tuple[dict[str, Any] | Code, set[str]]:
        """Return the header with the credentials, and what it reads."""
        auth = self._definition.transport.auth
        if auth is None or auth.header is None:
            return {}, set()
        if isinstance(auth, BasicAuth):
            self._use("./http", "basic")
            given = [self._optional(one) or _setting(one) for one in auth.settings]
            return Code(f"basic({', '.join(given)})"), {"settings"}
        if isinstance(auth, BearerAuth | ApiKeyAuth):
            optional = self._optional(auth.setting)
            if optional is not None:
                self._use("./http", "credential")
                before = ", 'Bearer '" if isinstance(auth, BearerAuth) else ""
                header = text(auth.header.lower())
                return Code(f"credential({header}, {optional}{before})"), {"settings"}
        if isinstance(auth, BearerAuth):
            return {"authorization": Code(f"`Bearer ${{{_setting(auth.setting)}}}`")}, {"settings"}
        if isinstance(auth, AccessTokenAuth):
            return {"authorization": Code("`Bearer ${auth?.accessToken}`")}, {"auth"}
        return {auth.header.lower(): Code(f"`${{{_setting(auth.setting)}}}`")}, {"settings"}

    def _deletion(self, request: str) -> Code:
        constant = self._requests.names.get(request)
        if constant is None or request in self._requests.refused:
            self._core.add("IntegrationError")
            reason = self._requests.refused.get(request, "it cannot be said")
            return throwing(f"Deleting is not there: {reason}.")
        self._use("./http", "send")
        self._use("./requests", constant)
        return Code(
            f"(request, {{ payload, settings }}) => send(request, {constant}, settings, payload)"
        )

    def _preset(self, preset: Preset, is_default: bool) -> Mapping[str, Any]:  # noqa: FBT001 - a pair
        mapping: Any = preset.mapping
        if is_default:
            self._core.add("defaultValues")
            mapping = Code(f"defaultValues({self._actions[preset.partner_action]}.fields)")
        return {
            "name": preset.name,
            "subscribe": preset.subscribe,
            "partnerAction": preset.partner_action,
            "mapping": mapping,
            "type": "automatic",
        }


def _of_headers(given: str, headers: str) -> Code:
    flat = f"({given}) => ({{ headers: {headers} }})"
    is_long = len(flat) + len("  extendRequest: ,") > WIDTH
    return Code(f"({given}) => ({{\n  headers: {headers}\n}})" if is_long else flat)


def _setting(name: str) -> str:
    return f"settings.{name}" if is_identifier(name) else f"settings[{text(name)}]"

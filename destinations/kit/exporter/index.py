"""Write ``index.ts`` of a destination."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
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
from destinations.definition.reads import Shape
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
from destinations.kit.exporter.settings import (
    has_default,
    kept_by_segment,
    missing_there,
    settings_shape,
    unreadable_settings,
)
from destinations.segment.json_pointer import pointer

__all__ = ["IndexFile", "scheme"]

_OWN_NAMES: Final = (
    *("destination", "request", "payload", "settings", "auth", "context", "urls"),
    *("DestinationDefinition", "Settings", "IntegrationError", "defaultValues", "headersOf"),
    *("send", "encode", "resolve", "segment", "text", "Record", "authorization", "accessToken"),
    *("accessTokenOf", "askToken", "RequestClient", "Promise", "withHeaders", "checks"),
    *("checkUser", "basic", "credential", "settingsOf", "valueAt", "DEFAULTS"),
)
"""Names that the file has beside those of actions and the requests that it reads."""

_GIVEN: Final = "request: RequestClient, settings: Settings"


def scheme(definition: DestinationDefinition) -> str:
    """Return the name of Segment's scheme that authenticates with such settings."""
    if definition.oauth2 is None:
        return "custom"
    return "oauth-managed" if kept_by_segment(definition) else "oauth2"


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
        self._core_types = {"DestinationDefinition"}
        self._functions: list[str] = []
        self._uses: dict[str, set[str]] = {}
        self._actions: dict[str, str] = {}
        self._folders = folders
        taken = {*_OWN_NAMES, *self._imported_requests()}
        for action in folders:
            self._actions[action] = name_of(action, taken)
            taken.add(self._actions[action])

    def _imported_requests(self) -> Iterator[str]:
        """Yield the constants of `requests.ts` that the file reads."""
        authentication, deletion = self._definition.authentication, self._definition.deletion
        tested = None if authentication is None else authentication.test
        for name in (tested, None if deletion is None else deletion.perform.request):
            if name is not None and name in self._requests.names:
                yield self._requests.names[name]

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
            + "".join(f"\n{one}" for one in self._functions)
            + f"\nconst destination: DestinationDefinition<Settings> = {body}\n"
            + "\nexport default destination\n"
        )

    @property
    def modules(self) -> set[str]:
        """Return the modules that the file needs, once it is written."""
        return {one.removeprefix("./") for one in self._uses} - {"requests"}

    def _head(self) -> str:
        lines = []
        if self._core:
            lines.append(
                f"import {{ {', '.join(sorted(self._core))} }} from '@segment/actions-core'\n"
            )
        types = ", ".join(sorted(self._core_types))
        lines.append(f"import type {{ {types} }} from '@segment/actions-core'\n")
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
        oauth2 = authentication.oauth2
        token = [] if oauth2 is None else self._token(oauth2)
        is_client = oauth2 is not None and oauth2.grant == "clientCredentials"
        if token and is_client:
            self._core_types.add("RequestClient")
            lines = "".join(f"  {line}\n" for line in [*token, "return accessToken"])
            self._functions.append(
                f"async function accessTokenOf({_GIVEN}): Promise<string> {{\n{lines}}}\n"
            )
        test = authentication.test
        constant = self._requests.names.get(test)
        if constant is not None and test not in self._requests.refused:
            self._use("./http", "send", *(["withHeaders"] if token and is_client else []))
            self._use("./requests", constant)
            # When customers enter their own credentials, Segment has no token yet.
            found["testAuthentication"] = Code(
                "async (request, { settings }) => {\n"
                "  const authorization = `Bearer ${await accessTokenOf(request, settings)}`\n"
                f"  return send(withHeaders(request, {{ authorization }}), {constant},"
                " settings, {})\n}"
                if token and is_client
                else f"(request, {{ settings }}) => send(request, {constant}, settings, {{}})"
            )
        if token and is_client:
            found["refreshAccessToken"] = Code(
                "async (request, { settings }) => ({\n"
                "  accessToken: await accessTokenOf(request, settings)\n})"
            )
        elif token:
            given = "auth, settings" if any("settings" in line for line in token) else "auth"
            lines = "".join(f"  {line}\n" for line in token)
            found["refreshAccessToken"] = Code(f"(request, {{ {given} }}) => {{\n{lines}}}")
        return found

    def _token(self, oauth2: OAuth2Definition) -> list[str]:
        """Return the lines that ask for a token; none if they cannot be written."""
        place = "/authentication/oauth2"
        settings = settings_shape(self._definition)
        roots = Shape("root", {"settings": settings}, is_open=True, of_url=True)
        for at, message in unreadable_settings(oauth2.token_url, f"{place}/tokenUrl", roots):
            self._findings.refuse(DESTINATION, at, message)
        try:
            url = url_code(oauth2.token_url)
        except UnsayableAddressError as error:
            self._findings.refuse(DESTINATION, f"{place}/tokenUrl", str(error))
            return []
        for name in url.uses:
            self._use("./http", name)
        self._use("./tokens", "askToken")
        lines = []
        if "context" in url.source:
            lines.append(f"const context = {{ payload: {{}}, settings: {self._with_defaults()} }}")
        lines += url.setup.rstrip().replace("\n  ", "\n").splitlines()
        asked = self._token_request(oauth2, place, Code(url.source))
        call = f"askToken(request, {literal(asked, 0, WIDTH)})"
        is_client = oauth2.grant == "clientCredentials"
        start = "const { accessToken } = await " if is_client else "return "
        return [*lines, *(start + call).splitlines()]

    def _token_request(self, oauth2: OAuth2Definition, place: str, url: Code) -> Mapping[str, Any]:
        """Return what is said of the request for a token."""
        if oauth2.grant == "refreshToken":
            client = {"id": Code("auth.clientId"), "secret": Code("auth.clientSecret")}
            fields: dict[str, Any] = {
                "grant_type": "refresh_token",
                "refresh_token": Code("auth.refreshToken"),
            }
        else:
            missing = missing_there(self._definition)
            named = (("clientId", oauth2.client_id), ("clientSecret", oauth2.client_secret))
            for key, name in named:
                if name is not None and name in missing:
                    self._findings.refuse(DESTINATION, f"{place}/{key}", missing[name])
            client = {
                key: Code(_setting(name or ""))
                for key, (_, name) in zip(("id", "secret"), named, strict=True)
            }
            fields = {"grant_type": "client_credentials"}
        if oauth2.scopes:
            fields["scope"] = " ".join(oauth2.scopes)
        given: dict[str, Any] = dict(client)
        if oauth2.client_secret is None:
            del given["secret"]
        elif oauth2.client_authentication == "body":
            given["isInBody"] = True
        made = fields.keys() | ({"client_id", "client_secret"} if "isInBody" in given else set())
        found: dict[str, Any] = {
            "url": url,
            "timeout": round(self._definition.transport.timeouts.total * 1000),
            "fields": self._parameters(oauth2, place, made) | fields,
            "client": given,
        }
        # What all other requests have, Segment's client adds to this one as well.
        others = sorted(self._added_headers())
        return found | ({"without": others} if others else {})

    def _parameters(
        self, oauth2: OAuth2Definition, place: str, made: AbstractSet[str]
    ) -> dict[str, Any]:
        """Return the further fields of the request for a token, which has those ``made``."""
        own: dict[str, Any] = {}
        for name, value in oauth2.parameters.items():
            at = f"{place}/parameters{pointer(name)}"
            if not isinstance(value, str):
                message = "a computed parameter has no counterpart: write it as text"
                self._findings.refuse(DESTINATION, at, message)
            elif name in made:
                message = f"the request has a field {name} by itself: remove the parameter"
                self._findings.refuse(DESTINATION, at, message)
            else:
                own[name] = value
        return own

    def _added_headers(self) -> set[str]:
        """Return the names of the headers that all requests have."""
        auth = self._definition.transport.auth
        own = None if auth is None else auth.header
        fixed = {name.lower() for name in self._fixed_headers()}
        return fixed | ({own.lower()} if own is not None else set())

    def _fixed_headers(self) -> dict[str, Any]:
        """Return the headers of all requests that read no event."""
        headers = self._definition.transport.headers
        return {name: value for name, value in headers.items() if not is_of_request(value)}

    def _extension(self) -> Code | None:
        """Return what adds the headers that all requests have, but those of one event."""
        fixed = self._fixed_headers()
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

    def _value(self, name: str) -> str:
        """Return the code of a setting, or of its default."""
        if not has_default(self._definition.settings["properties"].get(name, {})):
            return _setting(name)
        return self._with_defaults() + _setting(name).removeprefix("settings")

    def _credential(self) -> tuple[dict[str, Any] | Code, set[str]]:
        """Return the header with the credentials, and what it reads."""
        auth = self._definition.transport.auth
        missing = missing_there(self._definition)
        for name in () if auth is None else auth.settings:
            if name in missing:
                place = pointer("settings", "properties", name)
                self._findings.refuse(DESTINATION, place, missing[name])
        if isinstance(auth, BasicAuth | BearerAuth | ApiKeyAuth) and not self._has(auth.settings):
            return {}, set()  # nothing asks for it there, or its name is none that code can have
        if auth is None or auth.header is None:
            return {}, set()
        if isinstance(auth, BasicAuth):
            self._use("./http", "basic")
            return Code(f"basic({', '.join(map(self._value, auth.settings))})"), {"settings"}
        if isinstance(auth, AccessTokenAuth):
            return {"authorization": Code("`Bearer ${auth?.accessToken}`")}, {"auth"}
        self._use("./http", "credential")
        before = ", 'Bearer '" if isinstance(auth, BearerAuth) else ""
        header = text(auth.header.lower())
        return Code(f"credential({header}, {self._value(auth.setting)}{before})"), {"settings"}

    def _has(self, settings: Iterable[str]) -> bool:
        return all(name in self._settings for name in settings)

    def _deletion(self, request: str) -> Code:
        constant = self._requests.names.get(request)
        if constant is None or request in self._requests.refused:
            self._core.add("IntegrationError")
            reason = self._requests.refused.get(request, "it cannot be said")
            return throwing(f"Deleting is not there: {reason}.")
        self._use("./http", "send")
        self._use("./requests", constant)
        payload = "payload"
        if self._definition.placeholders:
            self._use("./checks", "checks")
            rule = {"userId": {"placeholders": list(self._definition.placeholders)}}
            self._functions.append(f"const checkUser = checks({literal(rule, 0, 26)})\n")
            payload = "checkUser(payload)"
        head = "(request, { payload, settings }) =>"
        call = f"send(request, {constant}, settings, {payload})"
        is_long = len("  onDelete: ") + len(f"{head} {call},") > WIDTH
        return Code(f"{head}\n  {call}" if is_long else f"{head} {call}")

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

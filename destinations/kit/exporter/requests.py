"""Write ``requests.ts``: the requests of a definition, with the mappings that it has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote

from destinations.definition import (
    DestinationDefinition,
    ErrorRule,
    FailedItems,
    RequestDefinition,
    RestDefinition,
)
from destinations.definition.mapping_places import reconcile_key
from destinations.definition.reads import Shape, unreadable
from destinations.definition.url_pieces import is_fixed, read_address, varies
from destinations.kit.exporter.addresses import UnsayableAddressError, url_code
from destinations.kit.exporter.dotted_keys import (
    UNSAID,
    dotted_code,
    dotted_keys,
    setting_path,
    value_code,
    with_paths,
)
from destinations.kit.exporter.expressions import (
    UnsayablePatternError,
    javascript_pattern,
    javascript_patterns,
)
from destinations.kit.exporter.findings import (
    DESTINATION,
    Findings,
    lost_names,
    lost_numbers,
)
from destinations.kit.exporter.literals import (
    WIDTH,
    Code,
    comment,
    line_comment,
    literal,
    name_of,
    text,
)
from destinations.kit.exporter.settings import has_default, settings_shape, unreadable_settings
from destinations.kit.exporter.versioning import VersionFile
from destinations.segment.json_pointer import pointer, with_value
from destinations.segment.mapping.directive import Part
from destinations.segment.mapping.parts import Split, beyond_segment, split

__all__ = ["RequestFile", "can_repeat", "is_of_request", "write_requests"]

_RETRIED_SECONDS: Final = 4 * 3600.0
"""For how long Segment sends an event again."""

_ROOTS: Final = Shape(
    "root",
    dict.fromkeys(("payload", "settings")),
    elsewhere={
        "event": "reads the event, and Segment's perform sees only the payload: add a hidden field"
        " for it",
        "answers": "reads the answer of a step, and there are no steps",
    },
    of_url=True,
)
_DELETION_ROOTS: Final = replace(
    _ROOTS,
    elsewhere={
        **_ROOTS.elsewhere,
        "event": "reads the event, and Segment's onDelete sees only the IDs of the user: read"
        " $.payload.userId or $.payload.anonymousId",
    },
)
_LONG: Final = 120 - len("  url:  => ,")
_HEADER: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_SCHEMA_KEYWORDS_TEXT: Final = """
    type const enum required properties additionalProperties items contains minItems maxItems
    minLength maxLength pattern minimum maximum exclusiveMinimum exclusiveMaximum anyOf allOf oneOf
    not title description default examples
"""
_SCHEMA_KEYWORDS: Final = frozenset(_SCHEMA_KEYWORDS_TEXT.split())


@dataclass(slots=True)
class RequestFile:
    """The file, and what the other files have to know of it.

    ``names`` are the constants of the requests, ``refused`` the messages of those that cannot be
    said. ``batched`` are the names of requests for several events. ``modules`` are the files that
    it needs. It ``has_defaults`` of settings in the constant ``DEFAULTS``.
    """

    source: str = ""
    names: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    batched: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)
    has_defaults: bool = False


def write_requests(
    definition: DestinationDefinition,
    names: Iterable[str],
    findings: Findings,
    versions: VersionFile,
    asked: AbstractSet[str] = frozenset(),
) -> RequestFile:
    """Return the file with the requests of these names; the ``asked`` ones give choices."""
    file = RequestFile()
    wanted = list(dict.fromkeys(names))
    taken = {*_OWN_NAMES, *_IMPORTS}
    for name in wanted:
        file.names[name] = name_of(name, taken)
        taken.add(file.names[name])
    writer = _Writer(definition, findings, file, versions, asked)
    blocks = [block for name in wanted if (block := writer.block(name))]
    file.has_defaults = bool(wanted and writer.defaults)
    is_empty = not blocks and not file.has_defaults
    file.source = "export {}\n" if is_empty else writer.head() + "\n".join(blocks)
    return file


_OWN_NAMES: Final = (
    *("action", "destination", "baseUrl", "BASE_URL", "DEFAULTS", "ERRORS", "ESCAPES", "check"),
    *("checks", "basic", "credential", "settingsOf", "WHOLE_NUMBERS", "wholeNumbers"),
    *("choicesOf", "context", "defaultValues", "escaped", "headersOf", "inTime", "send"),
    *("sendBatch", "within", "request", "payload", "settings", "bundle", "one", "urls", "auth"),
    *("url", "data", "IntegrationError", "ActionDefinition", "DestinationDefinition", "Settings"),
    *("Payload", "Buffer", "URLSearchParams", "RegExp", "Record", "accessToken", "client"),
    *("RequestClient", "Promise", "withHeaders", "checkUser", "accessTokenOf", "askToken"),
    "authorization",
)
"""Names that the other files have beside those of requests."""

_IMPORTS: Final[Mapping[str, str]] = {
    "below": "http",
    "encode": "http",
    "resolve": "http",
    "segment": "http",
    "text": "http",
    "valueAt": "http",
    "convert": "conversions",
    "failedItems": "batches",
    "fits": "schemas",
    "parameters": "parameters",
    "signature": "signing",
}


def is_of_request(header: object) -> bool:
    """Return whether a header of all requests is written in each, for what it reads or computes."""
    return varies(header) or any(beyond_segment(header)) or any(dotted_keys(header))


def can_repeat(request: RequestDefinition) -> bool:
    """Return whether a request may be sent again as long as Segment does, its answer lost."""
    if request.idempotent or request.read_only or request.on_lost_answer == "resend":
        return True
    key = request.idempotency_key
    return key is not None and key.seconds >= _RETRIED_SECONDS


class _Writer:
    """Writes the requests of one definition."""

    def __init__(
        self,
        definition: DestinationDefinition,
        findings: Findings,
        file: RequestFile,
        versions: VersionFile,
        asked: AbstractSet[str],
    ) -> None:
        self._asked = asked
        self._definition = definition
        self._versions = versions
        self._findings = findings
        self._file = file
        self._used: set[str] = set()
        self._computed: list[str] = []
        settings = settings_shape(definition)
        keys = {"payload": None, "settings": settings}
        self._event_roots = replace(_ROOTS, keys=keys)
        self._deletion_roots = replace(_DELETION_ROOTS, keys=keys)
        self._roots = self._event_roots
        # What reads no event; the others of its roots are checked with the definition.
        self._settings_roots = Shape("root", {"settings": settings}, is_open=True, of_url=True)
        self._has_rules = False
        self._has_blocks = False
        self.defaults = {
            key: spec["default"]
            for key, spec in definition.settings["properties"].items()
            if has_default(spec)
        }
        before = len(findings.refused)
        self._shared_rules = self._rules(definition.error_rules, "/errorRules")
        self._check_shared()
        self._refused_shared = findings.refused[before:]
        self._rules_use, self._used = self._used, set()

    # -- the file --------------------------------------------------------------------------------

    def head(self) -> str:
        """Return the imports, the rules for errors and the base URL."""
        rules = self._rules_block() if self._has_rules else ""
        self._used |= self._rules_use if rules else set()
        types = ["ErrorRule"] * bool(rules) + ["PartnerRequest"] * bool(self._has_blocks)
        base = self._base() if "baseUrl" in self._used else ""
        if "context" in base:
            types.insert(0, "Context")
        lines = []
        by_file: dict[str, list[str]] = {}
        for name in sorted(self._used & _IMPORTS.keys()):
            by_file.setdefault(_IMPORTS[name], []).append(name)
        by_file.setdefault("http", [])
        for module in sorted(by_file):
            if by_file[module]:
                lines.append(f"import {{ {', '.join(by_file[module])} }} from './{module}'\n")
            if module == "http" and types:
                lines.append(f"import type {{ {', '.join(types)} }} from './http'\n")
        self._file.modules |= set(by_file)
        constants = sorted(self._used & set(self._versions.constants.values()))
        if constants:
            lines.insert(0, f"import {{ {', '.join(constants)} }} from './versioning-info'\n")
        return "".join(lines) + base + self._defaults_block() + rules + "\n" * bool(lines)

    def _defaults_block(self) -> str:
        if not self.defaults:
            return ""
        written = literal(self.defaults, 0, 24)
        return f"\n/** Of settings that have no value. */\nexport const DEFAULTS = {written}\n"

    def _base(self) -> str:
        code = url_code(self._definition.transport.base_url, self._versioned)
        if "context" not in code.source:
            return f"\nconst BASE_URL = {code.source}\n"
        head = "function baseUrl(context: Context): string"
        return f"\n{head} {{\n  {code.setup}return {code.source}\n}}\n"

    def _rules_block(self) -> str:
        written = literal(self._shared_rules, 0, 40)
        return (
            "\n/** What errors mean; the first rule that holds decides. */\n"
            f"const ERRORS: readonly ErrorRule[] = {written}\n"
        )

    # -- one request -----------------------------------------------------------------------------

    def block(self, name: str) -> str | None:
        """Return the constant of a request; None if it cannot be said."""
        request = self._definition.requests[name]
        place = pointer("requests", name)
        before, used, has_rules = len(self._findings.refused), set(self._used), self._has_rules
        self._computed = []
        deletion = self._definition.deletion
        is_deletion = deletion is not None and name in deletion.perform.names
        self._roots = self._deletion_roots if is_deletion else self._event_roots
        if name in self._asked:
            self._roots = replace(self._roots, keys={**self._roots.keys, "page": None})
        self._check_numbers("requests", name)
        members_ = self._members(request, place)
        if members_ is not None and self._computed:
            lines = ",\n  ".join(self._computed)
            members_["computed"] = Code(f"[\n  {lines}\n]")
        # Without one of its rules or headers, a request would mean something else.
        refused = self._findings.refused[before:] + self._refused_shared
        if refused or members_ is None:
            self._used, self._has_rules = used, has_rules
            self._file.batched.discard(name)
            self._file.refused[name] = "; ".join(issue.message for issue in refused)
            return None
        self._has_blocks = True
        written = literal(members_, 0, 200)
        constant = self._file.names[name]
        return (
            comment(request.description) + f"export const {constant}: PartnerRequest = {written}\n"
        )

    def _members(self, request: RequestDefinition, place: str) -> dict[str, Any] | None:
        call = request.call
        if not isinstance(call, RestDefinition):
            self._refuse(place, _unsayable_call(call))
            return None
        if call.method not in _METHODS:
            self._refuse(f"{place}/rest/method", f"Segment's client sends no {call.method}")
        self._check_features(request, place)
        rest = f"{place}/rest"
        found: dict[str, Any] = {"method": call.method, **self._address(call, rest)}
        headers = self._headers(call, rest)
        if headers:
            found["headers"] = headers
        found |= self._query(call, rest)
        found |= self._body(call, rest)
        if call.gzip:
            found["isCompressed"] = True
        found |= self._delivery(request, place)
        if call.sign is not None:
            self._use("signature")
            found["sign"] = self._signature(call, f"{rest}/sign")
        if request.idempotency_key is not None:
            found["idempotencyKey"] = self._key(request, f"{place}/idempotencyKey")
        if request.expect is not None:
            found["isExpected"] = self._fits(request.expect, f"{place}/expect")
        if request.refusals:
            found["refusals"] = [
                {
                    "when": self._fits(one.when, f"{place}/refusals/{at}/when"),
                    "message": self._plain(one.message, f"{place}/refusals/{at}/message"),
                }
                for at, one in enumerate(request.refusals)
            ]
        found["errors"] = self._errors(request, place)
        if request.batch_size > 1:
            found["batch"] = self._batch(request, call, place)
        return found

    def _check_shared(self) -> None:
        """Check what all requests have, but for the rules."""
        for name, one in self._definition.transport.headers.items():
            if not is_of_request(one):
                place = f"/transport/headers{pointer(name)}"
                for at, message in unreadable(one, place, self._settings_roots):
                    self._refuse(at, message)
        for key in ("settings", "transport", "errorRules"):
            self._check_numbers(key)

    def _check_numbers(self, *keys: str) -> None:
        """Check the numbers at a place of the file."""
        data = self._findings.documents[DESTINATION].data
        for key in keys:
            data = data.get(key, {})
        for at, message in lost_numbers(data, pointer(*keys)):
            self._refuse(at, message)

    def _check_settings(self, source: object, place: str) -> None:
        for at, message in unreadable_settings(source, place, self._settings_roots):
            self._refuse(at, message)

    def _delivery(self, request: RequestDefinition, place: str) -> Mapping[str, Any]:
        total = self._definition.transport.timeouts.total
        return {
            **({"defaults": Code("DEFAULTS")} if self.defaults else {}),
            "timeout": round(total * 1000),
            "canRepeat": self._can_repeat(request, place),
        }

    def _refuse(self, path: str, message: str) -> None:
        self._findings.refuse(DESTINATION, path, message)

    def _use(self, *names: str) -> None:
        self._used.update(names)

    def _check_features(self, request: RequestDefinition, place: str) -> None:
        if request.reconcile is not None:
            message = "Segment asks no partner about a lost answer: reconcile has no counterpart"
            key = reconcile_key(
                self._findings.documents[DESTINATION].data["requests"][request.name]
            )
            self._refuse(f"{place}/{key}", message)
        if request.remember:
            self._refuse(f"{place}/remember", "Segment remembers no answers between events")
        if request.listed is not None:
            self._refuse(f"{place}/list", "an answer from a list has no counterpart")
        if request.answers:
            message = "only generators and steps read answers by name, and Segment has neither"
            self._refuse(f"{place}/answers", message)

    def _mapping(self, mapping: object, path: str) -> Any:
        """Return a mapping of a request as it is written, after a check of what it reads."""
        for at, message in unreadable(mapping, path, self._roots):
            self._refuse(at, message)
        for at, message in lost_names(mapping, path):
            self._refuse(at, message)
        return self._converted(mapping, path)

    def _converted(self, mapping: Any, path: str) -> Any:
        """Return a mapping with the results of its conversions, which code computes first."""
        found = split(mapping)
        if found is not None and not found.directive.in_segment:
            return self._conversion(mapping, found, path)
        if found is not None:
            for part in found.parts:
                mapping = self._converted_part(mapping, found.directive.name, part, path)
            return mapping
        if isinstance(mapping, Mapping):
            return {key: self._converted(one, path + pointer(key)) for key, one in mapping.items()}
        if isinstance(mapping, list | tuple):
            return [self._converted(one, path + pointer(at)) for at, one in enumerate(mapping)]
        return mapping

    def _converted_part(self, mapping: Any, directive: str, part: Part, path: str) -> Any:
        """Return a directive with a part of it converted; refuses what code cannot compute."""
        place = path + part.place
        is_path = part.role == "code" and directive != "@liquid"
        left: Iterable[str] = ()
        if part.on != "data":
            if any(beyond_segment(part.value)):
                self._refuse(place, "a conversion of the items of a list has no counterpart")
            left = dotted_keys(part.value)
        elif is_path and isinstance(part.value, str):
            code = self._computed_paths(directive, part.value)
            mapping = with_value(mapping, part.place, code)
            left = dotted_code(directive, code)
        else:
            mapping = with_value(mapping, part.place, self._converted(part.value, place))
            left = dotted_code(directive, part.value) if is_path else ()
        for at in left:
            self._refuse(place + at, f"{UNSAID}: read it with @path, and not within a list")
        return mapping

    def _computed_paths(self, directive: str, code: str) -> str:
        """Return the code of a directive, with what code computes for keys with a dot."""

        def path_of(path: str) -> str:
            self._use("valueAt")
            source = f"(context) => {value_code(path)}"
            if source not in self._computed:
                self._computed.append(source)
            return f"$.computed[{self._computed.index(source)}]"

        return with_paths(directive, code, path_of)

    def _conversion(self, mapping: Mapping[str, Any], found: Split, path: str) -> Any:
        given = mapping.get("@convert")
        if found.directive.name != "@convert" or not isinstance(given, Mapping):
            self._refuse(path, f"{found.directive.name} has no counterpart")
            return mapping
        value = self._converted(given["value"], f"{path}/@convert/value")
        words = given["to"] if isinstance(given["to"], list) else [given["to"]]
        self._use("convert")
        self._computed.append(f"(context) => convert({literal(value)}, {literal(words)}, context)")
        return {"@path": f"$.computed[{len(self._computed) - 1}]"}

    # -- its parts -------------------------------------------------------------------------------

    def _address(self, call: RestDefinition, rest: str) -> Mapping[str, Any]:
        own = call.url is not None
        source = call.url if own else self._definition.transport.base_url
        place = f"{rest}/url" if own else "/transport/baseUrl"
        self._check_settings(source, place)
        fixed = is_fixed(read_address(source)) and not varies(list(call.path))
        try:
            base = url_code(source, self._versioned)
        except UnsayableAddressError as error:
            self._refuse(place, str(error))
            return {}
        if own:
            self._use(*base.uses)
            code = base.source
            setup = base.setup
        else:
            self._use("baseUrl", *base.uses)
            code = "baseUrl(context)" if "context" in base.source else "BASE_URL"
            setup = ""
        if call.path:
            self._use("below")
            parts = [code]
            for at, item in enumerate(call.path):
                parts.append(self._segment(item, f"{rest}/path/{at}"))
            code = f"below({', '.join(parts)})"
            if len(code) + 4 > WIDTH - 1:
                code = "below(\n  " + ",\n  ".join(parts) + "\n)"
        given = "(context)" if "context" in code else "()"
        if setup:
            written = f"{given} => {{\n  {setup}return {code}\n}}"
        elif len(code) + len(given) > _LONG:
            code = code.replace("\n", "\n  ")
            written = f"{given} =>\n  {code}"
        else:
            written = f"{given} => {code}"
        return {"url": Code(written), "hasFixedUrl": fixed}

    def _segment(self, item: object, place: str) -> str:
        if isinstance(item, str):
            return self._versioned(quote(item, safe="!$&'()*+,;=:@"))
        self._use("resolve", "segment")
        return f"segment(resolve({literal(self._mapping(item, place))}, context))"

    def _versioned(self, piece: str) -> str:
        """Return text of a URL, with the constants of the versions in it."""
        code, used = self._versions.code(piece)
        self._use(*used)
        return code

    def _headers(self, call: RestDefinition, rest: str) -> dict[str, Any]:
        for headers, place in (
            (call.headers, f"{rest}/headers"),
            (self._definition.transport.headers, "/transport/headers"),
        ):
            for name, one in headers.items():
                if name == "__proto__":
                    message = "Segment's client sends no header of this name"
                    self._refuse(place + pointer(name), message)
                if isinstance(one, str) and not _HEADER.fullmatch(one):
                    message = "a header has to be one line of Latin-1 text: no event could be sent"
                    self._refuse(place + pointer(name), message)
        found = {
            name: self._mapping(one, f"{rest}/headers{pointer(name)}")
            for name, one in call.headers.items()
        }
        # Here, those that each request has by itself replace the common ones.
        taken = {"accept"} | ({"content-type"} if _has_body(call) else set())
        for name, one in self._definition.transport.headers.items():
            if is_of_request(one) and name.lower() not in {key.lower() for key in found} | taken:
                found[name] = self._mapping(one, f"/transport/headers{pointer(name)}")
        return found

    def _query(self, call: RestDefinition, rest: str) -> Mapping[str, Any]:
        query = dict(self._mapping(dict(call.query), f"{rest}/query"))
        auth = self._definition.transport.auth
        if auth is not None and auth.query is not None and split(query) is not None:
            message = "a query that a directive makes has no counterpart beside a key in the query"
            self._refuse(f"{rest}/query", message)
        elif auth is not None and auth.query is not None:
            query[auth.query] = self._converted({"@path": setting_path(auth.settings[0])}, "")
        if not query:
            return {}
        return {"query": self._parameters(query, call)}

    def _parameters(self, values: Mapping[str, Any], call: RestDefinition) -> Code:
        self._use("parameters")
        flat = literal(values, 0, 24)
        if call.array_format is None:
            return Code(f"parameters({flat})")
        if "\n" not in flat:
            return Code(f"parameters({flat}, {text(call.array_format)})")
        return Code(f"parameters(\n  {literal(values, 2, 200)},\n  {text(call.array_format)}\n)")

    def _body(self, call: RestDefinition, rest: str) -> Mapping[str, Any]:
        if call.json is not None:
            return {"json": self._mapping(call.json, f"{rest}/json")}
        if call.form is not None:
            return {"form": self._parameters(dict(self._mapping(call.form, f"{rest}/form")), call)}
        if call.text is not None:
            return {"text": self._mapping(call.text, f"{rest}/text")}
        if call.ndjson:
            lines = [
                self._mapping(one, f"{rest}/ndjson/{at}") for at, one in enumerate(call.ndjson)
            ]
            return {"ndjson": lines}
        return {}

    def _can_repeat(self, request: RequestDefinition, place: str) -> bool:
        repeats = can_repeat(request)
        if not repeats and request.idempotency_key is not None:
            message = (
                f"the key of {request.name} lasts less than Segment's 4 hours of retries: a lost"
                " answer is not repeated"
            )
            self._findings.leave_out(DESTINATION, f"{place}/idempotencyKey/for", message)
        return repeats

    def _key(self, request: RequestDefinition, place: str) -> Mapping[str, Any]:
        key = request.idempotency_key
        assert key is not None  # noqa: S101 - says the caller
        found: dict[str, Any] = {"from": self._mapping(key.source, f"{place}/from")}
        if key.header is not None:
            found["header"] = key.header
        if key.field is not None:
            if isinstance(request.call, RestDefinition) and request.call.form is not None:
                self._refuse(f"{place}/field", "a key in a form has no counterpart")
            found["field"] = key.field
        return found

    def _signature(self, call: RestDefinition, place: str) -> Code:
        sign = call.sign
        assert sign is not None  # noqa: S101 - says the caller
        given: dict[str, Any] = {
            "header": sign.header,
            "algorithm": sign.algorithm,
            "secret": self._plain(sign.secret, f"{place}/secret"),
        }
        unusual = (
            ("secretEncoding", sign.secret_encoding, "text"),
            ("encoding", sign.encoding, "hex"),
            ("timestampHeader", sign.timestamp_header, None),
            ("message", sign.message, "{{body}}"),
            ("value", sign.value, "{{signature}}"),
        )
        given |= {key: value for key, value, usual in unusual if value != usual}
        return Code(f"signature({literal(given, 0, 24)})")

    def _fits(self, schema: Mapping[str, Any], place: str) -> Code:
        schema = javascript_patterns(schema, self._refuse, place)
        for at, keyword in _unknown_keywords(schema):
            self._refuse(place + at, f"the keyword {keyword} has no counterpart in exported checks")
        self._use("fits")
        return Code(f"fits({literal(_bare(schema), 0, 24)})")

    def _pattern(self, pattern: str, place: str) -> str:
        """Return the code of a regular expression."""
        try:
            pattern = javascript_pattern(pattern)
        except UnsayablePatternError as error:
            self._refuse(place, str(error))
        rest = pattern.removeprefix("(?i)")
        flags = "u" if rest == pattern else "iu"
        flat = f"new RegExp({text(rest)}, {text(flags)})"
        if len("    message: ,") + len(flat) <= WIDTH:
            return flat
        return f"new RegExp(\n  {text(rest)},\n  {text(flags)}\n)"

    def _errors(self, request: RequestDefinition, place: str) -> Any:
        if self._definition.error_rules:
            self._has_rules = True
        shared = "ERRORS" if self._definition.error_rules else ""
        own = self._rules(request.error_rules, f"{place}/errorRules")
        if not own:
            return Code(shared or "[]")
        return [*own, Code(f"...{shared}")] if shared else own

    def _rules(self, rules: Sequence[ErrorRule], place: str) -> list[Any]:
        return [self._rule(rule, f"{place}/{at}") for at, rule in enumerate(rules)]

    def _rule(self, rule: ErrorRule, place: str) -> Code:
        when = rule.when
        found: dict[str, Any] = {}
        if when.status is not None:
            found["statuses"] = list(when.status)
        if when.message is not None:
            found["message"] = Code(self._pattern(when.message, f"{place}/when/message"))
        if when.code is not None:
            found["code"] = when.code
        if when.body is not None:
            found["body"] = self._fits(when.body, f"{place}/when/body")
        if when.exception is not None or when.root_field is not None:
            self._refuse(f"{place}/when", "GraphQL's errors have no counterpart")
        found |= {
            "kind": rule.error_class,
            "isRetryable": rule.retryable,
            "provesNothingApplied": rule.nothing_applied,
        }
        if rule.repeat_means is not None:
            found["isThere"] = True
        said = f"{line_comment(rule.description)}\n" if rule.description else ""
        return Code(said + literal(found, 0, 2))

    def _batch(
        self, request: RequestDefinition, call: RestDefinition, place: str
    ) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        if call.batch_json is not None:
            found["json"] = self._plain(call.batch_json, f"{place}/batch/json")
        if call.all_or_nothing:
            found["isAllOrNothing"] = True
        if call.failed_items is not None:
            self._use("failedItems")
            found["readFailures"] = self._failures(call.failed_items, f"{place}/batch/failures")
        if varies([dict(call.query), call.url, list(call.path), dict(call.headers)]):
            message = (
                f"the URL or a header of {request.name} depends on the event: Segment sends each"
                " event by itself"
            )
            self._findings.leave_out(DESTINATION, f"{place}/batch", message)
        else:
            self._file.batched.add(request.name)
        return found

    def _plain(self, mapping: object, place: str) -> Any:
        """Return a mapping that reads no event, where nothing computes conversions."""
        for at, directive in beyond_segment(mapping):
            self._refuse(place + at, f"{directive} has no counterpart in Segment's mappings")
        self._check_settings(mapping, place)
        for at, message in lost_names(mapping, place):
            self._refuse(at, message)
        for at in dotted_keys(mapping):
            self._refuse(place + at, f"{UNSAID}: no code reads this mapping, so rename the key")
        return mapping

    def _failures(self, form: FailedItems, place: str) -> Code:
        given: dict[str, Any] = {"statuses": list(form.statuses), "items": form.items}
        mappings = (
            ("index", form.index),
            ("itemId", form.item_id),
            ("eventId", form.event_id),
            ("itemStatus", form.item_status),
            ("code", form.code),
            ("message", form.message),
        )
        given |= {key: value for key, value in mappings if value is not None}
        for key in given.keys() - {"statuses"}:
            at = {"itemId": "id/item", "eventId": "id/event"}.get(key, key)
            self._plain(given[key], f"{place}/{at}")
        return Code(f"failedItems({literal(given, 0, 34)})")


def _has_body(call: RestDefinition) -> bool:
    kinds = (call.json, call.form, call.text)
    return bool(call.ndjson) or any(one is not None for one in kinds)


def _unsayable_call(call: object) -> str:
    missing = getattr(call, "missing", None)
    if missing is not None:
        return f"the request is not written yet: {missing}"
    return "a GraphQL request has no counterpart in exported folders"


def _unknown_keywords(schema: object, place: str = "") -> Iterator[tuple[str, str]]:
    if not isinstance(schema, Mapping):
        return
    for keyword, value in schema.items():
        if keyword not in _SCHEMA_KEYWORDS:
            yield place + pointer(keyword), keyword
        elif keyword == "properties":
            for key, inner in value.items():
                yield from _unknown_keywords(inner, place + pointer(keyword, key))
        elif keyword in {"anyOf", "allOf", "oneOf"}:
            for at, inner in enumerate(value):
                yield from _unknown_keywords(inner, place + pointer(keyword, at))
        elif keyword in {"additionalProperties", "items", "contains", "not"}:
            yield from _unknown_keywords(value, place + pointer(keyword))


_SAID: Final = frozenset({"title", "description", "default", "examples"})


def _bare(schema: Any) -> Any:
    """Return a schema without what only people read."""
    if not isinstance(schema, Mapping):
        return schema
    found = {key: value for key, value in schema.items() if key not in _SAID}
    if "properties" in found:
        found["properties"] = {key: _bare(one) for key, one in found["properties"].items()}
    for keyword in ("anyOf", "allOf", "oneOf"):
        if keyword in found:
            found[keyword] = [_bare(one) for one in found[keyword]]
    for keyword in ("additionalProperties", "items", "contains", "not"):
        if keyword in found:
            found[keyword] = _bare(found[keyword])
    return found

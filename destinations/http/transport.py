"""Sends HTTP requests: connections reused, time-outs, and certainty about what was sent.

For billing the difference between "not sent" and "sent, no answer" is everything, so a failure
says which of the two it is.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol, runtime_checkable
from urllib.parse import urlsplit

import requests
import urllib3

from destinations._version import __version__
from destinations.definition import Timeouts
from destinations.errors import TransportError, UnsendableError
from destinations.http.answer import HttpRequest, HttpResponse
from destinations.http.deadline import Exchange, Watchdog, WatchedAdapter
from destinations.http.environment import environment_faults, proxy_of, trusted_certificates
from destinations.http.ssrf import GuardedAdapter, public_addresses

__all__ = ["CanHangUp", "HttpTransport", "Transport"]

_USER_AGENT: Final = f"destinations/{__version__}"
"""Who sends, for the logs of partners; a header of the definition replaces it."""

_MAX_BODY: Final = 16 * 1024 * 1024
"""Bytes of an answer; more than any documented answer needs, less than hurts."""

_MAX_IDLE: Final = 4.0
"""Seconds. Servers close idle connections (Node's do after 5 s): a request that is sent just then
is lost without an answer, so a connection idle for longer is not used again."""


_MOST_PREPARED: Final = 256
"""Heads of requests that are kept; those of requests whose URL comes from events are many."""

_CERTIFICATE_ALERTS: Final = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)
"""Alerts that are sent before anything of the request is read."""

_ASKS_FOR_CREDENTIALS: Final = 407
"""What a proxy answers that wants to know who asks."""

_ENVIRONMENT: Final = ("verify", "cert", "proxies")

_Head = tuple[str, str, tuple[tuple[str, str], ...]]


class Transport(Protocol):
    """Anything that takes an HTTP request to the partner and brings the response back."""

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send; raises `TransportError` without a response, `UnsendableError` as its kind."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


@runtime_checkable
class CanHangUp(Protocol):
    """A transport whose requests can be given up; what was sent of them may have been applied."""

    def hang_up(self) -> None:
        """Give up all requests that are under way, and send nothing any more."""
        ...


class _Session(requests.Session):
    """Holds what requests to one host have in common, and the connections of one thread."""

    def __init__(self, adapter: WatchedAdapter) -> None:
        super().__init__()
        self.headers["User-Agent"] = _USER_AGENT
        # The credentials are the definition's to set; those of a ~/.netrc must not replace them.
        self.auth = _no_auth
        self.mount("http://", adapter)
        self.mount("https://", adapter)
        self.last_used = 0.0
        self._prepared: dict[_Head, requests.PreparedRequest] = {}
        self._environments: dict[str, Mapping[str, Any]] = {}

    def prepared(self, request: HttpRequest) -> requests.PreparedRequest:
        """Return the request as the library sends it; all but its body is made once."""
        head = (request.method, request.url, tuple(request.headers.items()))
        known = self._prepared.get(head)
        if known is None:
            made = requests.Request(request.method, request.url, headers=dict(request.headers))
            known = self.prepare_request(made)
            if len(self._prepared) >= _MOST_PREPARED:
                self._prepared.clear()
            self._prepared[head] = known
        if request.body is None:
            return known
        whole = known.copy()
        whole.body = request.body
        whole.headers["Content-Length"] = str(len(request.body))
        return whole

    def environment(self, url: str) -> Mapping[str, Any]:
        """Return proxies and certificates for a URL, which are looked up once for each host.

        Raises `TransportError` where the operator has to mend them: events are not to blame.
        """
        host = "/".join(url.split("/", 3)[:3])
        known = self._environments.get(host)
        if known is None:
            faults = environment_faults([url])
            if faults:
                raise TransportError(f"no connection: {faults[0]}", sent=False, for_operator=True)
            found = trusted_certificates()
            verify = True if found is None else found[1]
            known = self.merge_environment_settings(url, {}, None, None, None)
            known = {**known, "verify": verify}
            if len(self._environments) >= _MOST_PREPARED:
                self._environments.clear()
            self._environments[host] = known
        return known


class HttpTransport:
    """HTTP through `requests`, one set of connections for each thread that uses it.

    Redirects are not followed: they would carry the credentials to another place. Proxy settings
    and certificates of the environment are honoured. A request whose host comes from an event is
    sent to public addresses only, unless ``allow_private``.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        *,
        allow_private: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeouts = timeouts
        self._allow_private = allow_private
        self._monotonic = monotonic
        self._watchdog = Watchdog(monotonic)
        self._local = threading.local()
        self._sessions: list[_Session] = []
        self._lock = threading.Lock()
        self._hung_up = False

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send one request and read the whole answer within the total time-out."""
        with Exchange() as exchange:
            self._watchdog.watch(exchange, self._timeouts.total)
            try:
                response = self._exchange(request, exchange)
            except TransportError as error:
                if exchange.expired:
                    raise self._too_long(sent=error.sent) from None
                raise
        # A connection that is cut off looks like the end of an answer without a length.
        if exchange.expired:
            raise self._too_long()
        return response

    def _too_long(self, *, sent: bool = True) -> TransportError:
        message = f"the answer took longer than {self._timeouts.total:g} s"
        if self._hung_up:
            message = "no answer until it was given up"
        return TransportError(message, sent=sent, timeout=True)

    def _exchange(self, request: HttpRequest, exchange: Exchange) -> HttpResponse:
        deadline = self._monotonic() + self._timeouts.total
        guarded = request.host_of_event and not self._allow_private
        session = self._session(guarded=guarded)
        try:
            if guarded:
                _check_host(request.url)
            prepared = session.prepared(request)
            response = session.get_adapter(prepared.url or "").send(
                prepared,
                stream=True,
                timeout=(self._timeouts.connect, self._timeouts.read),
                **{key: session.environment(request.url)[key] for key in _ENVIRONMENT},
            )
            with response:
                if response.status_code == _ASKS_FOR_CREDENTIALS and proxy_of(request.url):
                    message = "no connection through the proxy: it asks for credentials (HTTP 407)"
                    raise TransportError(message, sent=False, for_operator=True)
                body = self._read(response, deadline)
                if not exchange.complete:  # the answer came early: what follows would be misread
                    session.close()
                headers = {name.lower(): value for name, value in response.headers.items()}
                return HttpResponse(response.status_code, headers, body)
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,  # such as certificates that are not where they should be
            ValueError,  # such as an address or a header that cannot be written, or read
        ) as error:
            found = _transport_error(error, exchange)
            exchange.close()  # not all of these close it
            _let_go(error)
            raise found from None

    def hang_up(self) -> None:
        """Give up all requests that are under way; see `CanHangUp`.

        One that is just connecting comes back when that ends, and is not sent.
        """
        self._hung_up = True
        self._watchdog.expire_all()

    def close(self) -> None:
        """Close the connections of all threads."""
        self._watchdog.close()
        with self._lock:
            for session in self._sessions:
                session.close()
            self._sessions.clear()

    def _session(self, *, guarded: bool) -> _Session:
        now = self._monotonic()
        # Kept apart: a connection to the operator's own host must not serve an event's request.
        name = "guarded" if guarded else "plain"
        session: _Session | None = getattr(self._local, name, None)
        if session is None:
            kind = GuardedAdapter if guarded else WatchedAdapter
            session = _Session(kind(pool_connections=4, pool_maxsize=4, max_retries=0))
            setattr(self._local, name, session)
            with self._lock:
                self._sessions.append(session)
        elif now - session.last_used > _MAX_IDLE:
            session.close()  # drops the pooled connections; the session stays usable
        session.last_used = now
        return session

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        """Read the body in whatever pieces arrive, so that a slow drip meets the deadline.

        One that is shorter than it was announced raises urllib3's error.
        """
        pieces: list[bytes] = []
        size = 0
        while piece := response.raw.read1(65536, decode_content=True):
            size += len(piece)
            if size > _MAX_BODY:
                raise TransportError(f"the answer is longer than {_MAX_BODY:,} bytes", sent=True)
            if self._monotonic() > deadline:
                raise self._too_long()
            pieces.append(piece)
        if not size and _may_lack_headers(response):
            raise TransportError("the answer was cut off", sent=True)
        return b"".join(pieces)


def _may_lack_headers(response: requests.Response) -> bool:
    """Whether the connection may have ended within the headers, which `http.client` overlooks.

    HTTP/1.1 says how long a body is, or that the connection ends with it (RFC 9112, 6.3 and 9.6).
    """
    says_how_it_ends = {"content-length", "transfer-encoding"} & {*map(str.lower, response.headers)}
    closes = "close" in response.headers.get("Connection", "").lower()
    has_body = response.status_code not in {204, 304}
    return has_body and response.raw.version == 11 and not says_how_it_ends and not closes


def _check_host(url: str) -> None:
    """Also behind a proxy, which then looks the name up itself; raises `UnsendableError`."""
    with contextlib.suppress(OSError, ValueError):  # found out again when it is connected to
        parts = urlsplit(url)
        public_addresses(parts.hostname or "", parts.port or 0)


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _transport_error(error: Exception, exchange: Exchange) -> TransportError:
    """Return what an error of the libraries means.

    What was sent is what ``exchange`` saw, whatever the error is called: the same ones tell of a
    request that cannot be written and of an answer that cannot be read.
    """
    timeout = isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError)
    if exchange.sent:
        if not exchange.complete:
            message = (
                "the connection timed out" if timeout else f"the connection broke: {_cause(error)}"
            )
            message += ", before the request was written to its end"
            return TransportError(message, sent=False, timeout=timeout)
        if _refuses_certificate(error):
            # In TLS 1.3 a client may write before the other side has looked at its certificate.
            message = f"no connection: {_cause(error)}"
            return TransportError(message, sent=False, for_operator=True)
        return TransportError(_lost(error, timeout=timeout), sent=True, timeout=timeout)
    if isinstance(error, requests.exceptions.InvalidProxyURL):
        message = f"no connection through the proxy: {_cause(error)}"
        return TransportError(message, sent=False, for_operator=True)
    if isinstance(error, ValueError):  # an address or header that requests refuses to send
        return UnsendableError(f"the request cannot be sent: {_cause(error)}")
    if not exchange.connected and _sounds_sent(error):
        return TransportError(_lost(error, timeout=timeout), sent=True, timeout=timeout)
    through = " through the proxy" if isinstance(error, requests.exceptions.ProxyError) else ""
    why = "timed out" if timeout else _cause(error)
    for_operator = any(isinstance(one, ssl.SSLCertVerificationError) for one in _chain(error))
    message = f"no connection{through}: {why}"
    return TransportError(message, sent=False, timeout=timeout, for_operator=for_operator)


def _let_go(error: BaseException) -> None:
    """Free what the calls behind an error hold, such as an answer whose socket is open."""
    seen: BaseException | None = error
    while seen is not None:
        traceback.clear_frames(seen.__traceback__)
        seen = seen.__cause__ or seen.__context__


def _sounds_sent(error: Exception) -> bool:
    """Tell by its kind whether an error came after sending, where no connection was seen."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError):
        return False
    if not isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError):
        return False
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return not isinstance(reason, urllib3.exceptions.NewConnectionError)


def _refuses_certificate(error: BaseException) -> bool:
    """Tell whether the other side ended TLS as it does not know who we are (RFC 8446, 6.2)."""
    return any(
        isinstance(one, ssl.SSLError) and one.reason in _CERTIFICATE_ALERTS for one in _chain(error)
    )


def _lost(error: Exception, *, timeout: bool) -> str:
    if timeout:
        began = isinstance(error, urllib3.exceptions.TimeoutError)  # else requests wraps it
        return f"{'the answer stopped coming' if began else 'no answer'}: timed out"
    if isinstance(error, ValueError):
        return f"the answer cannot be read: {_cause(error)}"
    return f"the connection broke before the answer was complete: {_cause(error)}"


def _cause(error: BaseException) -> str:
    """Return the innermost cause in a few words, without addresses of objects in memory."""
    *_, seen = _chain(error)
    if isinstance(seen, OSError) and seen.strerror:
        return seen.strerror
    return str(seen) or type(seen).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, from without to within, however the libraries wrap them."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        nested = [item for item in getattr(seen, "args", ()) if isinstance(item, BaseException)]
        following = nested[-1] if nested else seen.__cause__ or seen.__context__
        seen = None if following is seen else following

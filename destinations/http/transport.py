"""Send HTTP requests: reuse connections, bound the time, and know what was sent.

For billing, the difference between "not sent" and "sent, no answer" is everything, so a failure
says which of the two it is.
"""

from __future__ import annotations

import gzip
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Final, Protocol, runtime_checkable

import requests
import urllib3
from urllib3.exceptions import LocationValueError
from urllib3.util import parse_url

from destinations._version import __version__
from destinations.definition import Timeouts
from destinations.errors import TransportError, UnsendableError
from destinations.http.answer import HttpRequest, HttpResponse
from destinations.http.deadline import Exchange, Permission, Watchdog, WatchedAdapter
from destinations.http.environment import Environment, proxy_of, read_environment
from destinations.http.listed_items import ListReader, ReadItems
from destinations.http.ssrf import GuardedAdapter, public_addresses

__all__ = ["AbortableTransport", "HttpTransport", "Transport"]

_USER_AGENT: Final = f"destinations/{__version__}"
"""The sender's name in a partner's logs; a definition's own header replaces it."""

_MAX_IDLE: Final = 4.0
"""Seconds. A connection idle for longer is not used again: servers close idle connections (Node's
after 5 s), and a request sent just then is lost without an answer."""


_MOST_PREPARED: Final = 256
"""The most cached request heads: URLs that depend on events make many."""

_GZIP_LEVEL: Final = 6
"""How hard gzip tries; more of it costs far more time for hardly fewer bytes."""

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
"""TLS alerts that are sent before any of the request is read."""

_ASKS_FOR_CREDENTIALS: Final = 407
"""A proxy's answer that asks for credentials."""

_Head = tuple[str, str, tuple[tuple[str, str], ...]]


class Transport(Protocol):
    """Sends an HTTP request to the partner and returns the response."""

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send a request; raises `TransportError` (also `UnsendableError`) without a response."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


@runtime_checkable
class AbortableTransport(Protocol):
    """A transport that can give up its requests; a partner may have applied them even so."""

    def abort(self) -> None:
        """Give up all requests under way, and send no more."""
        ...


class _Session(requests.Session):
    """The connections of one thread, with cached request heads."""

    def __init__(self, adapter: WatchedAdapter) -> None:
        super().__init__()
        self.headers["User-Agent"] = _USER_AGENT
        # The definition sets the credentials; those in ~/.netrc must not replace them.
        self.auth = _no_auth
        self.mount("http://", adapter)
        self.mount("https://", adapter)
        self.last_used = 0.0
        self._prepared: dict[_Head, requests.PreparedRequest] = {}

    def prepared(self, request: HttpRequest) -> requests.PreparedRequest:
        """Return the request in the library's form; everything but the body is cached."""
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
        body = request.body
        if request.gzip:
            # Without a time, so that what is sent again is the same.
            body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
        whole.body = body
        whole.headers["Content-Length"] = str(len(body))
        return whole


class HttpTransport:
    """HTTP through `requests`, one set of connections for each thread that uses it.

    Redirects are not followed: they would carry the credentials to another place. Proxy settings
    and certificates of the environment are honoured. A request whose host comes from an event is
    sent to public addresses only, unless ``allow_private``, and so is one that asks for it. The
    ``permission`` is asked for right before the bytes of a request leave.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        *,
        allow_private: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
        permission: Permission | None = None,
    ) -> None:
        self._permission = permission
        self._timeouts = timeouts
        self._allow_private = allow_private
        self._monotonic = monotonic
        self._watchdog = Watchdog(monotonic)
        self._local = threading.local()
        # What the environment says of each host; all threads share it.
        self._environments: dict[str, Environment] = {}
        self._sessions: list[_Session] = []
        self._lock = threading.Lock()
        self._hung_up = False

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send one request and read the whole answer within the total time-out."""
        with Exchange(self._permission, self._timeouts.total) as exchange:
            exchange.check = request.check_turn
            self._watchdog.watch(exchange, self._timeouts.total)
            try:
                response = self._exchange(request, exchange)
            except TransportError as error:
                if exchange.expired:
                    raise self._too_long(sent=error.sent) from None
                raise
        # A cut connection looks like the end of an answer without a length.
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
        is_chosen = request.host_of_event and not self._allow_private
        guarded = request.public_only or is_chosen
        session = self._session(guarded=guarded)
        try:
            if guarded:
                _check_host(request.url, is_strict=request.public_only)
            prepared = session.prepared(request)
            environment = self._environment(request.url)
            response = session.get_adapter(prepared.url or "").send(
                prepared,
                stream=True,
                timeout=(self._timeouts.connect, self._timeouts.read),
                verify=environment.verify,
                proxies=environment.proxies,
            )
            with response:
                if response.status_code == _ASKS_FOR_CREDENTIALS and proxy_of(request.url):
                    message = "no connection through the proxy: it asks for credentials (HTTP 407)"
                    raise TransportError(message, sent=False, for_operator=True)
                body, items = self._read(response, deadline, request)
                if (
                    not exchange.complete
                ):  # the answer came before the request was complete: the connection is unusable
                    session.close()
                headers = {name.lower(): value for name, value in response.headers.items()}
                return HttpResponse(response.status_code, headers, body, items)
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,  # such as a missing certificate file
            ValueError,  # such as an invalid URL or header
        ) as error:
            found = _transport_error(error, exchange)
            exchange.close()  # not all of these close it
            _let_go(error)
            raise found from None

    def abort(self) -> None:
        """Give up all requests that are under way; see `AbortableTransport`.

        A request that is still connecting fails once connected, and is not sent.
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

    def _environment(self, url: str) -> Environment:
        """Return proxies and certificates for a URL.

        Raises `TransportError` (``for_operator``) if they are faulty: no event is to blame.
        """
        host = "/".join(url.split("/", 3)[:3])
        known = self._environments.get(host)
        if known is None:
            known = read_environment(url)
            if known.issues:
                message = f"no connection: {known.issues[0]}"
                raise TransportError(message, sent=False, for_operator=True)
            if len(self._environments) >= _MOST_PREPARED:
                self._environments.clear()
            self._environments[host] = known
        return known

    def _session(self, *, guarded: bool) -> _Session:
        now = self._monotonic()
        # Separate sessions: an event's request must not use a connection to an internal host.
        name = "guarded" if guarded else "plain"
        session: _Session | None = getattr(self._local, name, None)
        if session is None:
            kind = GuardedAdapter if guarded else WatchedAdapter
            session = _Session(kind(pool_connections=4, pool_maxsize=4, max_retries=0))
            setattr(self._local, name, session)
            with self._lock:
                self._sessions.append(session)
        elif now - session.last_used > _MAX_IDLE:
            session.close()  # closes the pooled connections; the session stays usable
        session.last_used = now
        return session

    def _read(
        self, response: requests.Response, deadline: float, request: HttpRequest
    ) -> tuple[bytes, ReadItems | None]:
        """Read the body in pieces as they arrive, so that a slow one meets the deadline.

        Raises urllib3's error for a body that is shorter than announced.
        """
        pieces: list[bytes] = []
        reader: ListReader | None = None
        path, only = request.list_path, request.only
        if path is not None and only is not None and 200 <= response.status_code < 300:
            reader = ListReader(path, only)
        most = request.answer_bytes
        size = 0
        while piece := response.raw.read1(65536, decode_content=True):
            size += len(piece)
            if size > most:
                message = f"the answer is longer than the {most:,} bytes of answerBytes"
                raise TransportError(message, sent=True, too_long=True)
            if self._monotonic() > deadline:
                raise self._too_long()
            if reader is None:
                pieces.append(piece)
            else:
                reader.feed(piece)
        if not size and _may_lack_headers(response):
            raise TransportError("the answer was cut off", sent=True)
        return (b"".join(pieces), None) if reader is None else reader.close()


def _may_lack_headers(response: requests.Response) -> bool:
    """Return whether the connection may have ended within the headers; `http.client` misses that.

    In HTTP/1.1 headers give the body's length, or say that the connection will close (RFC 9112,
    6.3 and 9.6).
    """
    says_how_it_ends = {"content-length", "transfer-encoding"} & {*map(str.lower, response.headers)}
    closes = "close" in response.headers.get("Connection", "").lower()
    has_body = response.status_code not in {204, 304}
    return has_body and response.raw.version == 11 and not says_how_it_ends and not closes


def _check_host(url: str, *, is_strict: bool) -> None:
    """Raise `UnsendableError` for a private host, even if a proxy looks it up again.

    A name that is unknown here fails when connecting; where a proxy would look it up, and
    ``is_strict``, it fails at once.
    """
    try:
        # As urllib3 reads it, which sends it: others find another host in odd URLs.
        parts = parse_url(url)
        public_addresses((parts.host or "").strip("[]"), parts.port or 0)
    except (OSError, ValueError, LocationValueError):
        if is_strict and proxy_of(url):
            raise TransportError("no connection: the host is not known here", sent=False) from None


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _transport_error(error: Exception, exchange: Exchange) -> TransportError:
    """Translate an error of the libraries.

    Whether anything was sent is known from ``exchange``, not from the error: the same error may
    mean an invalid request or an unreadable answer.
    """
    timeout = isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError)
    if exchange.sent:
        if not exchange.complete:
            message = (
                "the connection timed out" if timeout else f"the connection broke: {_cause(error)}"
            )
            message += ", before the request was complete"
            return TransportError(message, sent=False, timeout=timeout)
        if _refuses_certificate(error):
            # In TLS 1.3 a client may write before the other side has checked its certificate.
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
    """Clear the stack frames of an error, which may hold an answer with an open socket."""
    seen: BaseException | None = error
    while seen is not None:
        traceback.clear_frames(seen.__traceback__)
        seen = seen.__cause__ or seen.__context__


def _sounds_sent(error: Exception) -> bool:
    """Tell by its type whether an error came after sending, if no connection was watched."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError):
        return False
    if not isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError):
        return False
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return not isinstance(reason, urllib3.exceptions.NewConnectionError)


def _refuses_certificate(error: BaseException) -> bool:
    """Return whether the other side ended TLS because of our certificate (RFC 8446, 6.2)."""
    return any(
        isinstance(one, ssl.SSLError) and one.reason in _CERTIFICATE_ALERTS for one in _chain(error)
    )


def _lost(error: Exception, *, timeout: bool) -> str:
    if timeout:
        began = isinstance(error, urllib3.exceptions.TimeoutError)  # else requests wraps it
        return f"{'the answer stopped coming' if began else 'no answer'}: timed out"
    if isinstance(error, ValueError):
        return f"unreadable answer: {_cause(error)}"
    return f"the connection broke before the answer was complete: {_cause(error)}"


def _cause(error: BaseException) -> str:
    """Return the innermost cause in a few words, without memory addresses."""
    *_, seen = _chain(error)
    if isinstance(seen, OSError) and seen.strerror:
        return seen.strerror
    return str(seen) or type(seen).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, from the outermost to the innermost."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        nested = [item for item in getattr(seen, "args", ()) if isinstance(item, BaseException)]
        following = nested[-1] if nested else seen.__cause__ or seen.__context__
        seen = None if following is seen else following

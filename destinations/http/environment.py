"""Read proxies and trusted certificates from the environment variables of the process.

A mistake there is the operator's, and is reported before the first event: `environment_issues`
names the variable and what was expected.
"""

from __future__ import annotations

import importlib.util
import os
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import requests
import urllib3
from requests.utils import get_environ_proxies, select_proxy

from destinations.extras import pip_install

__all__ = [
    "Environment",
    "check_address",
    "environment_issues",
    "proxy_of",
    "read_environment",
    "trusted_certificates",
]

_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""The first variable that is set counts. The last is not known to `requests`."""

_HASHED: Final = re.compile(r"[0-9a-f]{8}\.\d+")
"""File names of certificates in a directory for OpenSSL (`openssl rehash`)."""

_SOCKS: Final = frozenset({"socks4", "socks4a", "socks5", "socks5h"})


def trusted_certificates(environment: Mapping[str, str] | None = None) -> tuple[str, str] | None:
    """Return the name and value of the variable with trusted certificates; None if none is set."""
    environment = os.environ if environment is None else environment
    return next(((name, environment[name]) for name in _BUNDLES if environment.get(name)), None)


@dataclass(frozen=True, slots=True)
class Environment:
    """Proxies and certificates for requests to one host.

    ``verify`` names trusted certificates, or is True for those of `certifi`. With ``issues``
    nothing can be requested.
    """

    proxies: Mapping[str, str]
    verify: str | bool
    issues: Sequence[str]


def read_environment(url: str) -> Environment:
    """Return what the environment says of requests to ``url``; it takes part of a millisecond."""
    proxies = get_environ_proxies(url, no_proxy=None)
    found = trusted_certificates()
    verify = True if found is None else found[1]
    return Environment(proxies, verify, _issues({url: select_proxy(url, proxies)}))


def proxy_of(url: str) -> str | None:
    """Return the environment's proxy for requests to ``url``; None without one."""
    proxy: str | None = select_proxy(url, get_environ_proxies(url, no_proxy=None))
    return proxy


def environment_issues(urls: Sequence[str]) -> Sequence[str]:
    """Return the issues in the environment that prevent requests to these URLs."""
    return _issues({url: proxy_of(url) for url in urls})


def check_address(url: str) -> str | None:
    """Return why ``url`` cannot be requested; None if it can."""
    try:
        requests.Request("GET", url).prepare()
        parsed = urllib3.util.parse_url(url)
        if not _is_name(parsed.host or ""):
            return f"the host {parsed.host!r} is too long, or has an empty part"
    except (ValueError, UnicodeError, urllib3.exceptions.LocationValueError) as error:
        return str(error)
    return None


def _is_name(host: str) -> bool:
    """Return whether a host is a valid name: parts of 1 to 63 characters (RFC 1035, 2.3.4)."""
    return host.startswith("[") or all(0 < len(part) < 64 for part in host.rstrip(".").split("."))


def _issues(proxies: Mapping[str, str | None]) -> Sequence[str]:
    """Return the issues of requests to URLs, each of which has a proxy or None."""
    issues = dict.fromkeys(
        issue for url, proxy in proxies.items() for issue in _proxy_issues(url, proxy)
    )
    if any(url.startswith("https:") for url in proxies):
        issues |= dict.fromkeys(_certificate_issues())
    return list(issues)


def _proxy_issues(url: str, proxy: str | None) -> Iterator[str]:
    if not proxy:
        return
    scheme = url.partition(":")[0]
    shown = f"the proxy for {scheme} requests ({scheme.upper()}_PROXY or ALL_PROXY)"
    right = "expected an address such as http://proxy.example.com:3128"
    try:
        parsed = urllib3.util.parse_url(proxy if "://" in proxy else f"http://{proxy}")
    except urllib3.exceptions.LocationValueError:
        # Do not show the address itself: it may hold a password.
        yield f"{shown} is not an address; {right}"
        return
    if parsed.scheme in _SOCKS:
        if importlib.util.find_spec("socks") is None:
            yield f"{shown} speaks SOCKS, which needs: {pip_install('requests[socks]')}"
    elif parsed.scheme not in {"http", "https"}:
        yield f"{shown} has the scheme {parsed.scheme!r}; {right}"
    elif not parsed.host or not _is_name(parsed.host):
        yield f"{shown} has no host; {right}"


def _certificate_issues() -> Iterator[str]:
    found = trusted_certificates()
    if found is None:
        return
    name, value = found
    path = Path(value)
    right = "expected a file of certificates in PEM form, or a directory of them"
    try:
        if path.is_dir():
            if not any(_HASHED.fullmatch(each.name) for each in path.iterdir()):
                yield f"{name} names {path}, a directory without hashed certificates"
            return
        status = path.stat()
        _load_certificates(value, status.st_ino, status.st_size, status.st_mtime_ns)
    except ssl.SSLError:
        yield f"{name} names {path}, a file without certificates; {right}"
    except OSError as error:
        yield f"{name} names {path}: {error.strerror or error}; {right}"


@lru_cache(maxsize=8)
def _load_certificates(
    path: str,
    inode: int,  # noqa: ARG001 - with the size and the time, tells a file from a changed one
    size: int,  # noqa: ARG001
    modified: int,  # noqa: ARG001
) -> None:
    """Load a file of certificates, once for each of its versions: that takes 40 ms.

    Raises `ssl.SSLError` or `OSError` if it cannot be loaded; that is not cached.
    """
    ssl.create_default_context(cafile=path)

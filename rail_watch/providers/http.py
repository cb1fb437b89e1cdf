"""A thin HTTP client for hostile answers: bounded, patient, and never led to a place nobody named.

- only http and https; an address on this machine or a private network is reached only where it was named by the user;
- redirects are followed a few times, each target held to the same rule, never from https to http;
- answers are capped in bytes and seconds, and must be as long as they said;
- 408, 429, 500, 502, 503, 504 and broken connections are tried again, POST too; Retry-After is heeded up to a minute.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from rail_watch import __version__
from rail_watch.aoi.json_file import parse_json
from rail_watch.errors import BadCatalogue
from rail_watch.imagery.hrefs import shown
from rail_watch.providers.connection import Lease, guarded, refuse_private_literal

AGAIN = frozenset({408, 429, 500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 5
MOST_BYTES = 64_000_000
LONGEST_WAIT_S = 60.0
CHUNK = 65_536
PRIVATE = "leads to this machine or a private network, which nobody named"


class Unreachable(BadCatalogue):
    """A server did not answer, or not with what was asked. One line with the address."""

    def __init__(self, address: str, what: str, *, status: int | None = None) -> None:
        super().__init__(f"{shown(address)}: {what}")
        self.status = status


class _Transient(Exception):
    """Worth another try."""

    def __init__(self, what: str, wait_s: float | None = None) -> None:
        super().__init__(what)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Answer:
    """What a server sent."""

    status: int
    headers: Mapping[str, str]
    """Names in small letters."""
    body: bytes
    address: str
    """Where it came from in the end."""

    def json(self) -> object:
        """Return the body as JSON, bounded and strict; raise `BadCatalogue` naming the address."""
        return parse_json(self.body, name=shown(self.address), error=BadCatalogue)


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for."""

    tries: int = 5
    first_wait_s: float = 0.5
    """Doubled with each try."""
    timeout_s: float = 30.0
    """Of one connection or one read."""
    deadline_s: float = 120.0
    """Of one whole answer."""


def origin(address: str) -> str:
    """Return host:port of an address."""
    try:
        parts = urlsplit(address)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as fault:
        raise BadCatalogue(f"{address[:80]!r} is not an address; write it like https://host/path") from fault
    return f"{(parts.hostname or '').lower()}:{port}"


class _Quiet(urllib.request.HTTPRedirectHandler):
    """Redirects are this module's business, not urllib's."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        """Follow nothing."""


class _Http(urllib.request.HTTPHandler):
    def __init__(self, public_only: bool, deadline_s: float) -> None:
        super().__init__()
        self.public_only, self.deadline_s = public_only, deadline_s

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        guard = self.public_only and not request.has_proxy()
        return self.do_open(guarded(http.client.HTTPConnection, guard, self.deadline_s), request)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, public_only: bool, deadline_s: float) -> None:
        super().__init__()
        self.public_only, self.deadline_s = public_only, deadline_s

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        guard = self.public_only and not getattr(request, "_tunnel_host", None)
        kind = guarded(http.client.HTTPSConnection, guard, self.deadline_s)
        return self.do_open(kind, request, context=self._context)  # type: ignore[attr-defined]


def _proxied(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(parts.netloc)


@dataclass(frozen=True)
class Web:
    """The client. Plain data, so that it can be handed to other processes."""

    named: frozenset[str] = frozenset()
    """host:port of places the user wrote: those may be on this machine or a private network."""
    patience: Patience = field(default_factory=Patience)
    sleep: Callable[[float], None] = time.sleep

    def naming(self, address: str) -> Web:
        """Return the client with one more place that the user wrote."""
        return Web(self.named | {origin(address)}, self.patience, self.sleep)

    def get(self, address: str, *, headers: Mapping[str, str] | None = None, most_bytes: int = MOST_BYTES) -> Answer:
        """Fetch an address; `Unreachable` for anything but an answer of 200 or 206."""
        return self._patiently(address, None, headers or {}, most_bytes)

    def post(self, address: str, content: object, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Send JSON to an address that only reads (a search): tried again like GET."""
        data = json.dumps(content, sort_keys=True).encode()
        return self._patiently(address, data, {"Content-Type": "application/json", **(headers or {})}, MOST_BYTES)

    def _patiently(self, address: str, data: bytes | None, headers: Mapping[str, str], most_bytes: int) -> Answer:
        wait, last = self.patience.first_wait_s, ""
        for number in range(self.patience.tries):
            try:
                return self._followed(address, data, headers, most_bytes)
            except _Transient as fault:
                last = str(fault)
                asked = fault.wait_s
            if asked is not None and asked > LONGEST_WAIT_S:
                raise Unreachable(address, f"{last}, and asks to wait {asked:.0f} s; try again later")
            if number + 1 < self.patience.tries:
                self.sleep(max(wait, asked or 0.0))
                wait *= 2
        tries = f" ({self.patience.tries} tries)" if self.patience.tries > 1 else ""
        raise Unreachable(address, f"{last}{tries}; try again later")

    def _followed(self, address: str, data: bytes | None, headers: Mapping[str, str], most_bytes: int) -> Answer:
        """Return the answer, redirects followed under the same rules; keys are not sent on to another place."""
        here, sent = address, dict(headers)
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._in_time(here, data, sent, most_bytes)
            if answer.status not in REDIRECTS:
                return answer
            target = _joined(here, answer.headers.get("location", ""))
            if urlsplit(target).scheme not in ("http", "https") or (
                urlsplit(here).scheme == "https" and urlsplit(target).scheme != "https"
            ):
                raise Unreachable(address, f"redirects to {shown(target)!r}, which is not followed")
            if origin(target) != origin(here):
                sent = {key: value for key, value in sent.items() if key.lower() in ("content-type", "range")}
            if answer.status in (301, 302, 303):
                data = None
            here = target
        raise Unreachable(address, f"redirects more than {MOST_REDIRECTS} times; not followed")

    def _in_time(self, address: str, data: bytes | None, headers: Mapping[str, str], most_bytes: int) -> Answer:
        """Return one answer; one that was ended for taking too long says so, however it looked."""
        until = time.monotonic() + self.patience.deadline_s
        try:
            answer = self._once(address, data, headers, most_bytes)
        except _Transient as fault:
            if time.monotonic() < until or fault.wait_s is not None:
                raise
            raise _Transient(f"was not done after {self.patience.deadline_s:.0f} s") from fault
        if time.monotonic() > until:
            raise _Transient(f"was not done after {self.patience.deadline_s:.0f} s")
        return answer

    def _once(self, address: str, data: bytes | None, headers: Mapping[str, str], most_bytes: int) -> Answer:
        if urlsplit(address).scheme not in ("http", "https"):
            raise Unreachable(address, "not an http or https address")
        public_only = origin(address) not in self.named
        if public_only and urlsplit(address).scheme != "https":
            raise Unreachable(address, "not https, and not a place you named; refused")
        sent = {"Accept-Encoding": "identity", **headers, "User-Agent": f"rail-watch/{__version__}"}
        try:
            if _proxied(address):
                return self._by_proxy(address, data, sent, most_bytes)
            return self._straight(address, data, sent, most_bytes)
        except PermissionError as fault:
            raise Unreachable(address, PRIVATE) from fault
        except (urllib.error.URLError, ConnectionRefusedError, socket.gaierror, ssl.SSLError) as fault:
            reason = getattr(fault, "reason", fault)
            if isinstance(reason, PermissionError):
                raise Unreachable(address, PRIVATE) from fault
            raise _Transient(f"no connection ({_why(reason if isinstance(reason, Exception) else fault)})") from fault
        except (OSError, http.client.HTTPException) as fault:
            raise _Transient(f"the answer broke off ({_why(fault)})") from fault

    def _straight(self, address: str, data: bytes | None, headers: Mapping[str, str], most_bytes: int) -> Answer:
        """Ask on a connection of our own, one that stands where there is one."""
        public_only = origin(address) not in self.named
        lease = Lease(urlsplit(address), public_only, self.patience.timeout_s, self.patience.deadline_s)
        try:
            with lease.ask("GET" if data is None else "POST", data, headers) as response:
                if not 200 <= response.status < 300:
                    return _refused(address, response.status, response.headers)
                answer = self._taken(address, response, most_bytes)
                lease.whole = not response.will_close
                return answer
        except (ValueError, http.client.InvalidURL) as fault:
            raise Unreachable(address, "not an address that can be asked") from fault
        finally:
            lease.end()

    def _by_proxy(self, address: str, data: bytes | None, headers: Mapping[str, str], most_bytes: int) -> Answer:
        """Ask through the proxy that the environment names, which does its own looking up."""
        public_only, until = origin(address) not in self.named, self.patience.deadline_s
        if public_only:
            refuse_private_literal(urlsplit(address).hostname or "")
        opener = urllib.request.OpenerDirector()
        for handler in (
            *(urllib.request.ProxyHandler(), _Http(public_only, until), _Https(public_only, until)),
            *(_Quiet(), urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler()),
        ):
            opener.add_handler(handler)
        request = urllib.request.Request(address, data=data, headers=dict(headers))
        try:
            with opener.open(request, timeout=self.patience.timeout_s) as response:
                return self._taken(address, response, most_bytes)
        except urllib.error.HTTPError as fault:
            with fault:
                return _refused(address, fault.code, fault.headers)

    def _taken(self, address: str, response: Any, most_bytes: int) -> Answer:
        """Return the whole answer, or refuse one that is too long, too slow or cut off."""
        until = time.monotonic() + self.patience.deadline_s
        body = bytearray()
        while chunk := response.read1(CHUNK):
            body += chunk
            if len(body) > most_bytes:
                raise Unreachable(address, _too_long(response, most_bytes))
            if time.monotonic() > until:
                raise _Transient(f"was not done after {self.patience.deadline_s:.0f} s")
        stated = response.headers.get("Content-Length", "")
        if stated.isdigit() and int(stated) != len(body):
            raise _Transient(f"sent {len(body)} of {stated} bytes")
        headers = {key.lower(): value for key, value in response.headers.items()}
        return Answer(response.status, headers, bytes(body), address)


def _joined(here: str, location: str) -> str:
    """Return where a redirect leads."""
    try:
        target = urljoin(here, location)
        origin(target)
    except (ValueError, BadCatalogue) as fault:
        raise Unreachable(here, "redirects to what is no address") from fault
    return target


def _too_long(response: Any, most_bytes: int) -> str:
    if most_bytes < 1_000_000 and response.status == 200:
        return (
            f"sends more than {most_bytes / 1e6:.2g} MB where its first bytes were asked; download it and read it here"
        )
    return f"sends more than {most_bytes / 1e6:.3g} MB; refused"


def _why(fault: object) -> str:
    if isinstance(fault, TimeoutError):
        return "timed out"
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    return type(fault).__name__


def _refused(address: str, status: int, given: Message) -> Answer:
    """Turn an HTTP error into a redirect to look at, another try, or the end."""
    headers = {key.lower(): value for key, value in given.items()}
    if status in REDIRECTS:
        return Answer(status, headers, b"", address)
    if status in AGAIN:
        raise _Transient(f"answers {status}", _retry_after(headers.get("retry-after", "")))
    hint = {401: ": a key is needed", 403: ": the key is missing, wrong, or not for this", 404: ": nothing there"}
    raise Unreachable(address, f"answers {status}{hint.get(status, '')}", status=status)


def _retry_after(text: str) -> float | None:
    """Return the seconds that Retry-After asks for: a number, or a date."""
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", text):
        return float(text)
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def key_of(*names: str) -> str | None:
    """Return the first of the environment's variables that is set. Never print it."""
    return next((value for name in names if (value := os.environ.get(name, "").strip())), None)

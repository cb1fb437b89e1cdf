"""Who may come in, and what every answer says to the browser.

A page on this machine is reached by any program and any web site the user has open. So: the name it is asked by must be
its own (else a stranger's name pointed at this address would do, "DNS rebinding"), what changes anything must carry a
token that only the page itself knows, and nothing but the page's own files may run in it.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

READING = ("GET", "HEAD")
WRITING = ("POST",)
CSRF_HEADER = "x-csrf-token"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
LONGEST_TARGET = 4000
"""Characters of path and query together."""


@dataclass(frozen=True)
class Door:
    """The rules of one server."""

    names: frozenset[str]
    """Names, small letters, by which the page may be asked for."""
    addresses: bool
    """Whether any bare address will do as a name: no stranger can point those elsewhere. Else loopback only."""
    token: str | None
    """What everybody must know; None where only this machine is served."""
    secret: str
    """From which the cookie's and the forms' tokens are made."""
    read_only: bool
    port: int

    @property
    def cookie(self) -> str:
        """Name of the cookie; cookies are shared by all ports of a host."""
        return f"rail-watch-{self.port}"

    @property
    def cookie_value(self) -> str:
        """Return what the cookie must hold: made of the token, and not the token."""
        return _keyed(self.token or "", "cookie")

    @property
    def csrf(self) -> str:
        """What a request that changes anything must carry."""
        return _keyed(self.secret, "forms")

    def known_host(self, host: str) -> bool:
        """Return whether a Host header names this server."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.addresses or address.is_loopback

    def knows(self, given: str) -> bool:
        """Compare a token without telling by the time how much of it was right."""
        return self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())


def _keyed(key: str, purpose: str) -> str:
    return hmac.new(key.encode(), f"rail-watch {purpose}".encode(), hashlib.sha256).hexdigest()


class Guard:
    """Stands before everything else."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self.app = app
        self.door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        begun = False

        async def sealed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = _refusal(self.door, scope)
        try:
            await (self.app if refusal is None else refusal)(scope, receive, sealed)
        except Exception as fault:  # noqa: BLE001 - the edge of the server: one bad answer must not end it
            if not begun:
                await _said(500, f"unexpected {type(fault).__name__}")(scope, receive, sealed)


def _said(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status_code=status)


def _refusal(door: Door, scope: Scope) -> Response | None:
    """Return why a request is not let in; None where it is."""
    headers = Headers(scope=scope)
    if len(headers.getlist("host")) != 1 or not door.known_host(headers["host"]):
        return _said(421, "this server is not known by that name; see `rail-watch serve --help`, --name")
    if len(scope["path"]) + len(scope["query_string"]) > LONGEST_TARGET:
        return _said(414, "the address is too long")
    stranger = _stranger(door, scope, headers)
    if stranger is not None:
        return stranger
    if scope["method"] in READING:
        return None
    if scope["method"] not in WRITING:
        return _said(405, "only GET, HEAD and POST are answered")
    return _forged(door, headers)


def _stranger(door: Door, scope: Scope, headers: Headers) -> Response | None:
    """Ask for the token where there is one: in the address once, then in a cookie, or as a bearer's."""
    if door.token is None:
        return None
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and door.knows(bearer.strip()):
        return None
    if hmac.compare_digest(_cookies(headers).get(door.cookie, "").encode(), door.cookie_value.encode()):
        return None
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    given = [value for name, value in query if name == "token"]
    if scope["method"] in READING and len(given) == 1 and door.knows(given[0]):
        rest = urlencode([pair for pair in query if pair[0] != "token"])
        # One slash only: two would be an address of another host.
        path = "/" + scope["path"].lstrip("/\\")
        answer = RedirectResponse(f"{path}?{rest}" if rest else path, status_code=303)
        answer.set_cookie(door.cookie, door.cookie_value, httponly=True, samesite="lax", path="/")
        return answer
    text = "A token is needed: open the address that `rail-watch serve` printed.\n"
    return PlainTextResponse(text, status_code=401, headers={"www-authenticate": "Bearer"})


def _cookies(headers: Headers) -> Mapping[str, str]:
    jar = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in jar.items()}


def _forged(door: Door, headers: Headers) -> Response | None:
    """Refuse what changes something and was not sent by the page itself."""
    if door.read_only:
        return _said(403, "this page is read-only; start it without --read-only to write")
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers["host"]:
        return _said(403, "sent by another site")
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return _said(403, "sent by another site")
    if not hmac.compare_digest(headers.get(CSRF_HEADER, "").encode(), door.csrf.encode()):
        return _said(403, f"the header {CSRF_HEADER} is missing or old; load the page again")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return _said(415, "send application/json")
    return None

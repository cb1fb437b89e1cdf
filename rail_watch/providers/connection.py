"""Connections that are used again: a new one costs several times the latency of a request on one that stands."""

from __future__ import annotations

import atexit
import http.client
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import SplitResult
from weakref import WeakKeyDictionary

KEPT_S = 10.0
"""A connection that lay idle for longer is not used again: the other end may have dropped it."""
MOST_KEPT = 64
PATROL_S = 0.5


def refuse_private(host: str, port: int) -> None:
    """Raise `PermissionError` where a host, or one of the places its name means, is not on the public network."""
    try:
        if not ipaddress.ip_address(host).is_global:
            raise PermissionError
    except ValueError:
        pass  # a name: looked up
    for *_, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not ipaddress.ip_address(str(place[0]).split("%")[0]).is_global:
            raise PermissionError


def refuse_private_literal(host: str) -> None:
    """Raise `PermissionError` for a number, or a name of this machine, that is not on the public network.

    What a name means is for a proxy to find out; a number it would just ask.
    """
    if host.rstrip(".").rpartition(".")[2] == "localhost":
        raise PermissionError
    try:
        places = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return
    if not all(ipaddress.ip_address(str(place[0]).split("%")[0]).is_global for *_, place in places):
        raise PermissionError


_LOCK = threading.Lock()
_ENDS: WeakKeyDictionary[socket.socket, float] = WeakKeyDictionary()
"""When an answer on a socket must have been read to its end."""
_PATROL: dict[int, threading.Thread] = {}
"""By process, who looks after that."""


def end_after(sock: socket.socket, seconds: float) -> None:
    """Shut a socket down when it is still in use then: a byte now and then keeps any timeout of a read from passing."""
    with _LOCK:
        _ENDS[sock] = time.monotonic() + seconds
        thread = _PATROL.get(os.getpid())
        if thread is None or not thread.is_alive():
            thread = _PATROL[os.getpid()] = threading.Thread(target=_patrol, daemon=True)
            thread.start()


def _patrol() -> None:
    while True:
        time.sleep(PATROL_S)
        with _LOCK:
            late = [sock for sock, end in _ENDS.items() if end < time.monotonic()]
            for sock in late:
                del _ENDS[sock]
            idle = not _ENDS
            if idle:
                del _PATROL[os.getpid()]  # under the lock: who comes next starts another
        for sock in late:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        if idle:
            return


def guarded(
    base: type[http.client.HTTPConnection], public_only: bool, deadline_s: float
) -> type[http.client.HTTPConnection]:
    """Return a connection class that refuses peers on private networks before anything is sent, and ends in time."""

    class Guarded(base):  # type: ignore[misc, valid-type]
        def connect(self) -> None:
            if public_only:
                refuse_private(self.host, self.port)
            super().connect()
            end_after(self.sock, deadline_s)
            if public_only and not ipaddress.ip_address(self.sock.getpeername()[0].split("%")[0]).is_global:
                self.close()
                raise PermissionError

    return Guarded


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


_KEPT: dict[tuple[int, str, str, bool], list[tuple[float, http.client.HTTPConnection]]] = {}
"""By process, scheme, host:port and whether only public places may answer; with the time each was laid down."""


def drop_kept() -> None:
    """Close every idle connection."""
    with _LOCK:
        idle = [connection for kept in _KEPT.values() for _, connection in kept]
        _KEPT.clear()
    for connection in idle:
        connection.close()


atexit.register(drop_kept)


@dataclass
class Lease:
    """One connection for one request: laid down for the next when the answer was read to its end, else closed."""

    parts: SplitResult
    public_only: bool
    timeout_s: float
    """Of one read."""
    deadline_s: float
    """Of the whole answer."""
    whole: bool = False
    """Set by who has read the answer to its end."""
    _connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    @property
    def _key(self) -> tuple[int, str, str, bool]:
        return os.getpid(), self.parts.scheme, self.parts.netloc.rpartition("@")[2].lower(), self.public_only

    def ask(self, method: str, data: bytes | None, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """Send a request; one that fails on a connection used before goes out once more on a new one."""
        target = (self.parts.path or "/") + (f"?{self.parts.query}" if self.parts.query else "")
        idle = self._idle()
        if idle is not None:
            self._connection = idle
            try:
                idle.request(method, target, data, dict(headers))
                return idle.getresponse()
            except (http.client.HTTPException, OSError):
                idle.close()
        self._connection = self._fresh()
        self._connection.request(method, target, data, dict(headers))
        return self._connection.getresponse()

    def _idle(self) -> http.client.HTTPConnection | None:
        found, old = None, []
        with _LOCK:
            kept = _KEPT.get(self._key, [])
            while kept and found is None:
                since, connection = kept.pop()
                if time.monotonic() - since < KEPT_S:
                    found = connection
                else:
                    old.append(connection)
        for connection in old:
            connection.close()
        if found is not None and found.sock is not None:
            found.sock.settimeout(self.timeout_s)
            end_after(found.sock, self.deadline_s)
        return found

    def _fresh(self) -> http.client.HTTPConnection:
        https = self.parts.scheme == "https"
        host, port = self.parts.hostname or "", self.parts.port or (443 if https else 80)
        if https:
            kind = guarded(http.client.HTTPSConnection, self.public_only, self.deadline_s)
            return kind(host, port, timeout=self.timeout_s, context=_trust())  # type: ignore[call-arg]
        kind = guarded(http.client.HTTPConnection, self.public_only, self.deadline_s)
        return kind(host, port, timeout=self.timeout_s)

    def end(self) -> None:
        """Lay the connection down, or close it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self.whole and connection.sock is not None:
            with _LOCK:
                _ENDS.pop(connection.sock, None)
                kept = _KEPT.setdefault(self._key, [])
                if len(kept) < MOST_KEPT:
                    kept.append((time.monotonic(), connection))
                    return
        connection.close()

"""Answers that no library would send, byte by byte; run as a process of its own. Prints its port.

The first part of the path says which. What has no end goes on until the other side hangs up.
"""

from __future__ import annotations

import contextlib
import socketserver
import time

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0.0),
    "status": (b"", b"H", 0.05),
    "header": (OK + b"X: ", b"a", 0.05),
    "chunk-size": (CHUNKED, b"1", 0.05),
    "chunks": (CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n", 0.0),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: a\r\n" * 1000, 0.0),
    "body": (OK + b"Content-Length: 1000000\r\n\r\n", b" ", 0.05),
}
"""What comes first, what comes again and again, and the seconds between."""
ONCE = {
    "nowhere": b"HTTP/1.1 302 Found\r\nLocation: http://[::1/\r\nContent-Length: 0\r\n\r\n",
    "wait": "HTTP/1.1 503 Busy\r\nRetry-After: ²\r\nContent-Length: 0\r\n\r\n".encode("latin-1"),
    "wait-long": b"HTTP/1.1 503 Busy\r\nRetry-After: " + b"9" * 5000 + b"\r\nContent-Length: 0\r\n\r\n",
    "long-line": OK + b"X: " + b"a" * 1_000_000,
    "claims-more": OK + b"Content-Length: 999999999999\r\n\r\n{}",
    "claims-less": OK + b"Content-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[66]",
    "junk": b"\x00\xff\x1b[31m\n" * 1000,
    "deep": OK + b"Content-Length: 1000000\r\n\r\n" + b"[" * 1_000_000,
    "digits": OK + b"Content-Length: 1000002\r\n\r\n[" + b"9" * 1_000_000 + b"]",
    "packed": OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
}


class Handler(socketserver.BaseRequestHandler):
    """One request."""

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            mode = self.request.recv(65536).split()[1].decode().strip("/")
            if mode in ONCE:
                self.request.sendall(ONCE[mode])
                return
            first, again, wait = ENDLESS[mode]
            self.request.sendall(first)
            while True:
                self.request.sendall(again)
                time.sleep(wait)


if __name__ == "__main__":
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        print(server.server_address[1], flush=True)
        server.serve_forever()

"""A mail server, run as a process of its own: `python mail_server.py FOLDER [PORT [CERTIFICATE]]` prints its port.

Who it speaks to must log in as `watch` with the password `planted`. Each mail it takes is a file in FOLDER. With a
certificate (and its key, in one file) it speaks in clear only until STARTTLS.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import warnings
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Box:
    """Keeps what comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        number = len(list(self.folder.glob("*.eml")))
        (self.folder / f"{number:03d}.eml").write_bytes(envelope.content)
        return "250 taken"


def known(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"watch", b"planted")
    return AuthResult(success=good, handled=False)


async def serve(folder: Path, port: int, certificate: str | None) -> None:
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    def session() -> SMTP:
        asked = {"auth_required": True, "auth_require_tls": context is not None}
        return SMTP(Box(folder), authenticator=known, tls_context=context, **asked)

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # that a log-in without TLS is no good idea, which on loopback it may be
    given = [*sys.argv[2:], *("0", "")[len(sys.argv) - 2 :]]
    asyncio.run(serve(Path(sys.argv[1]), int(given[0]), given[1] or None))

"""Where alerts go: an Atom feed, a signed webhook, mail, and what apprise knows. `HOME/channels.toml` names them."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import ssl
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.message import EmailMessage
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from rail_watch.archive.store import Archive
from rail_watch.errors import BadInput
from rail_watch.watch.config import Table, read_toml
from rail_watch.watch.feed import feed_of
from rail_watch.watch.outbox import Channel, ChannelFault, one_line

if TYPE_CHECKING:
    import smtplib

SECONDS = 20.0
LARGEST_PICTURE, MOST_PICTURES = 8_000_000, 10
"""Of one message, in bytes together, and how many."""
TYPES = ("feed", "webhook", "mail", "apprise")


def write_whole(path: Path, text: str) -> None:
    """Write a file beside its place and move it there."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def title_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return a title of one line."""
    first = messages[0]
    if len(messages) == 1:
        return one_line(f"{first['name']}: {str(first['kind']).replace('-', ' ')}")
    names = list(dict.fromkeys(str(one["name"]) for one in messages))
    return one_line(f"{len(messages)} pieces of news from {', '.join(names[:3])}{' and others' if names[3:] else ''}")


def text_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the whole message as plain text."""
    parts = []
    for one in messages:
        lines = [one["sentence"], *one["new_on_record"], one["cannot_tell"]]
        if one["picture"]:
            lines.append(f"Picture: {one['picture']}")
        if one["evidence"]:
            lines.append(f"Evidence: {one['evidence']}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def pictures_of(messages: Sequence[Mapping[str, Any]], home: Path) -> list[Path]:
    """Return the pictures of a message, each once, in order, as far as a mail can bear them."""
    found: list[Path] = []
    room = LARGEST_PICTURE
    for name in dict.fromkeys(one["picture"] for one in messages if one["picture"]):
        path = home / name
        size = path.stat().st_size if path.is_file() else room + 1
        if size <= room and len(found) < MOST_PICTURES:
            found.append(path)
            room -= size
    return found


@dataclass(frozen=True)
class Feed:
    """An Atom feed with GeoRSS: a file, written whole from the archive."""

    archive: Archive
    name: str
    path: Path
    home: Path
    clock: Callable[[], datetime]

    def send(self, messages: Sequence[Mapping[str, Any]], key: str) -> None:
        """Write the feed with these messages in it."""
        folder = self.path.parent
        up = Path(os.path.relpath(self.home, folder)).as_posix()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, feed_of(self.archive, self.name, messages, now=self.clock(), up=up))
        except OSError as fault:
            raise ChannelFault(f"{self.path}: cannot be written ({fault.strerror})") from fault


class _NoRedirect(HTTPRedirectHandler):
    """A webhook that sends elsewhere is not followed: the secret's signature is for one receiver."""

    def redirect_request(self, *_: object) -> None:
        return None


def signature_of(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return the signature of a webhook: HMAC-SHA-256 over timestamp, a point, and the body."""
    return "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Webhook:
    """A JSON document posted to an address, signed where there is a secret."""

    url: str
    secret: bytes | None
    clock: Callable[[], datetime]

    def send(self, messages: Sequence[Mapping[str, Any]], key: str) -> None:
        """Post one document with all messages."""
        document = {"schema": "rail-watch/alerts/1", "key": key, "alerts": list(messages)}
        body = json.dumps(document, sort_keys=True).encode()
        timestamp = f"{self.clock().timestamp():.0f}"
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "rail-watch",
            "Idempotency-Key": key,
            "X-Rail-Watch-Timestamp": timestamp,
        }
        if self.secret is not None:
            headers["X-Rail-Watch-Signature"] = signature_of(self.secret, timestamp, body)
        where = urlsplit(self.url).hostname
        try:
            # Only http and https get here (see `_webhook`).
            with build_opener(_NoRedirect()).open(
                Request(self.url, data=body, headers=headers, method="POST"), timeout=SECONDS
            ) as answer:
                answer.read(1000)
        except HTTPError as fault:
            code = fault.code
            fault.close()
            raise ChannelFault(f"{where} answered {code}") from None
        except (OSError, ValueError, HTTPException) as fault:
            # Not the address itself: it may hold a token.
            raise ChannelFault(f"{where} did not answer ({type(fault).__name__})") from fault


@dataclass(frozen=True)
class Mail:
    """A mail through an SMTP server, with its pictures."""

    host: str
    port: int
    security: str
    user: str | None
    password: str | None
    sender: str
    to: tuple[str, ...]
    home: Path

    def message(self, messages: Sequence[Mapping[str, Any]], key: str) -> EmailMessage:
        """Return the mail."""
        mail = EmailMessage()
        mail["Subject"] = title_of(messages)
        mail["From"], mail["To"] = self.sender, ", ".join(self.to)
        mail["Message-ID"] = f"<{key}@rail-watch.invalid>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(text_of(messages))
        for path in pictures_of(messages, self.home):
            mail.add_attachment(path.read_bytes(), maintype="image", subtype="png", filename=path.name)
        return mail

    def send(self, messages: Sequence[Mapping[str, Any]], key: str) -> None:
        """Hand the mail to the server."""
        import smtplib

        try:
            with self._server() as server:
                if self.security == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if self.user is not None:
                    server.login(self.user, self.password or "")
                server.send_message(self.message(messages, key))
        except (OSError, smtplib.SMTPException, ValueError, MessageError) as fault:
            raise ChannelFault(f"{self.host} did not take the mail ({type(fault).__name__})") from fault

    def _server(self) -> smtplib.SMTP:
        """Return the server; without a context of one's own, nobody asks whose certificate it shows."""
        import smtplib

        if self.security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, timeout=SECONDS, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=SECONDS)


@dataclass(frozen=True)
class Apprise:
    """Whatever apprise knows: Slack, Telegram, Matrix, ntfy and many more."""

    url: str
    home: Path

    def send(self, messages: Sequence[Mapping[str, Any]], key: str) -> None:
        """Send through apprise."""
        import apprise

        sender = apprise.Apprise()
        if not sender.add(self.url):
            raise ChannelFault("apprise does not know this kind of address")
        attached = [str(path) for path in pictures_of(messages, self.home)]
        try:
            taken = sender.notify(title=title_of(messages), body=text_of(messages), attach=attached or None)
        except Exception as fault:
            raise ChannelFault(f"apprise failed ({type(fault).__name__})") from fault
        if not taken:
            raise ChannelFault("apprise could not send it")


def channels_of(
    home: Path, archive: Archive, *, clock: Callable[[], datetime], environment: Mapping[str, str]
) -> dict[str, Channel]:
    """Return the channels of a home; `feed` is always there.

    Raises
    ------
    BadInput
        `channels.toml` is wrong.
    """
    found: dict[str, Channel] = {"feed": Feed(archive, "feed", home / "alerts" / "feed.atom", home, clock)}
    path = home / "channels.toml"
    if not path.is_file():
        return found
    top = read_toml(path)
    tables = top.named_tables("channel")
    top.done()
    for name, table in tables.items():
        kind = table.choice("type", "", TYPES)
        if not kind:
            raise BadInput(f"{table.where}: no type; it must be one of {', '.join(TYPES)}")
        found[name] = _MAKERS[kind](table, name, _Around(home, archive, clock, environment))
        table.done()
    return found


@dataclass(frozen=True)
class _Around:
    home: Path
    archive: Archive
    clock: Callable[[], datetime]
    environment: Mapping[str, str]


def _needed(table: Table, name: str) -> str:
    value = table.text(name)
    if value is None:
        raise BadInput(f"{table.where}: lacks {name}")
    return value


def _secret(table: Table, name: str, around: _Around) -> str | None:
    """Return a secret from the environment variable that the file names; secrets do not stand in the file itself."""
    variable = table.text(name)
    if variable is None:
        return None
    value = around.environment.get(variable)
    if not value:
        raise BadInput(f"{table.where}: {name} names the environment variable {variable}, which is not set")
    return value


def _feed(table: Table, name: str, around: _Around) -> Channel:
    return Feed(around.archive, name, around.home / _needed(table, "file"), around.home, around.clock)


def _webhook(table: Table, _: str, around: _Around) -> Channel:
    url = table.text("url") or _secret(table, "url_env", around)
    secret = _secret(table, "secret_env", around)
    parts = urlsplit(url or "")
    if url is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"{table.where}: url must be an http or https address (or url_env the variable that holds it)")
    return Webhook(url, None if secret is None else secret.encode(), around.clock)


def _mail(table: Table, _: str, around: _Around) -> Channel:
    security = table.choice("security", "starttls", ("starttls", "tls", "none"))
    port = table.number("port", {"starttls": 587, "tls": 465, "none": 25}[security], least=1, most=65535)
    to = table.words("to", ())
    if not to:
        raise BadInput(f'{table.where}: lacks to = ["…@…"]')
    return Mail(
        host=_needed(table, "host"),
        port=int(port or 0),
        security=security,
        user=table.text("user"),
        password=_secret(table, "password_env", around),
        sender=_needed(table, "from"),
        to=to,
        home=around.home,
    )


def _apprise(table: Table, _: str, around: _Around) -> Channel:
    url = table.text("url") or _secret(table, "url_env", around)
    if url is None:
        raise BadInput(f"{table.where}: lacks url, or url_env, the variable that holds it")
    try:
        import apprise  # noqa: F401 - only whether it is there
    except ImportError as fault:
        raise BadInput(f"{table.where}: apprise is not installed; pip install 'rail-watch[alerts]'") from fault
    return Apprise(url, around.home)


_MAKERS: Mapping[str, Callable[[Table, str, _Around], Channel]] = {
    "feed": _feed, "webhook": _webhook, "mail": _mail, "apprise": _apprise,
}  # fmt: skip

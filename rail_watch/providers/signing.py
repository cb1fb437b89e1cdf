"""Sign addresses of blobs late: a token for each container, kept while it lasts, fetched anew before it ends."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from rail_watch.errors import BadCatalogue
from rail_watch.imagery.interval import parse_time
from rail_watch.imagery.safe_open import RemoteFile
from rail_watch.imagery.stac_item import members, text
from rail_watch.providers.http import Web, key_of
from rail_watch.providers.remote import WebDoor

SPARE = timedelta(minutes=5)
"""A token that ends sooner is not used: reading a window may take that long."""
BLOB_HOST = re.compile(r"([a-z0-9]{3,24})\.blob\.core\.windows\.net")
SIGNATURE = frozenset({"st", "se", "sp", "sv", "sr", "sig", "skoid", "sktid", "skt", "ske", "sks", "skv"})


@dataclass(frozen=True)
class Signer:
    """Where tokens come from."""

    tokens: str
    """Address that gives the token of ``/account/container``."""
    key: str = "PC_SDK_SUBSCRIPTION_KEY"
    """Environment variable with a key that raises the server's limits; none is needed."""
    hosts: re.Pattern[str] = BLOB_HOST
    """Hosts whose addresses are signed; the first group is the account."""


@dataclass(frozen=True)
class _Token:
    query: str = field(repr=False)
    until: datetime


_LOCK = threading.Lock()
_TOKENS: dict[str, _Token] = {}
"""By the address it was fetched from; for the life of the process."""


def _token(signer: Signer, web: Web, account: str, container: str, now: datetime) -> str:
    address = f"{signer.tokens.rstrip('/')}/{account}/{container}"
    with _LOCK:
        known = _TOKENS.get(address)
        if known is not None and known.until - now > SPARE:
            return known.query
        key = key_of(signer.key)
        answer = web.get(address, headers={"Ocp-Apim-Subscription-Key": key} if key else {})
        given = members(answer.json())
        query, until = given.get("token"), text(given.get("msft:expiry"))
        if not isinstance(query, str) or until is None:
            raise BadCatalogue(f"{address}: gave no token; try again later")
        try:
            _TOKENS[address] = _Token(query.lstrip("?"), parse_time(until))
        except ValueError as fault:
            raise BadCatalogue(f"{address}: gave a token that ends at no known time") from fault
        return _TOKENS[address].query


def signed(href: str, signer: Signer, web: Web, *, now: datetime | None = None) -> str:
    """Return an address with a signature that lasts; one that is nobody's to sign as it is.

    An older signature in it is taken out first.
    """
    parts = urlsplit(href)
    match = signer.hosts.fullmatch(parts.netloc)
    container = parts.path.lstrip("/").split("/")[0]
    if match is None or not container:
        return href
    token = _token(signer, web, match.group(1), container, now or datetime.now(UTC))
    own = urlencode([(key, value) for key, value in parse_qsl(parts.query) if key not in SIGNATURE])
    return urlunsplit(parts._replace(query="&".join(part for part in (own, token) if part)))


@dataclass(frozen=True)
class SigningDoor:
    """A door whose addresses are signed when the file is wanted, not before."""

    plain: WebDoor
    signer: Signer
    web: Web

    def file(self, href: str) -> RemoteFile:
        """Return the file under a signed address."""
        return self.plain.file(signed(href, self.signer, self.web))

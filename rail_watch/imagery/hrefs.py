"""Names from outside: which item ids and hrefs are let in."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from rail_watch.errors import BadCatalogue

_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_REMOTE = re.compile(r"(https?|s3|gs|abfss?)://[^\s<>\"\\]+")
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_+.-]*:")


def checked_id(value: object) -> str:
    """Return an item id that is harmless as a file name and in a page."""
    if not isinstance(value, str) or not _ID.fullmatch(value) or ".." in value:
        raise BadCatalogue(f"item id {str(value)[:60]!r} is not usable: letters, digits, '.', '_' and '-', at most 128")
    return value


def is_remote(href: str) -> bool:
    """Return whether a checked href is a network address."""
    return _REMOTE.fullmatch(href) is not None


def resolved(href: object, *, folder: Path, root: Path) -> str:
    """Return the absolute path a href names, or the network address it is.

    Parameters
    ----------
    href : as the document gives it.
    folder : of the document.
    root : the catalogue's folder; nothing outside of it is ever named.

    Raises
    ------
    BadCatalogue
        The href is no plain relative path or address, or leaves the root.
    """
    if not isinstance(href, str) or not href or len(href) > 4096 or re.search(r"[\x00-\x1f\x7f<>\\]", href):
        raise BadCatalogue(f"href {str(href)[:60]!r} is neither a relative path nor an https address")
    if _REMOTE.fullmatch(href):
        return href
    if _PREFIX.match(href) or href.startswith(("/vsi", "//")):
        raise BadCatalogue(f"href {href[:60]!r} is refused: give a relative path or an https address")
    try:
        path = (folder / href).resolve()
        if not path.exists() and "%" in href:
            path = (folder / unquote(href)).resolve()
    except (OSError, ValueError, RuntimeError) as fault:
        raise BadCatalogue(f"href {href[:60]!r} is not a usable path") from fault
    if not path.is_relative_to(root.resolve()):
        raise BadCatalogue(
            f"href {href[:60]!r} leads out of the catalogue's folder; start from the folder that holds all"
        )
    return str(path)


def on_web(href: object, *, base: str) -> str:
    """Return the network address that a href of a document on the network names.

    Parameters
    ----------
    href : as the document gives it: an address, or relative to the document's own.
    base : the document's address.

    Raises
    ------
    BadCatalogue
        Nothing that can be fetched: another scheme, or no address at all.
    """
    if not isinstance(href, str) or not href or len(href) > 4096 or re.search(r"[\x00-\x20\x7f<>\\\"]", href):
        raise BadCatalogue(f"href {str(href)[:60]!r} is neither a relative path nor an https address")
    if href.startswith(("/vsi", "//")) or (_PREFIX.match(href) and not _REMOTE.fullmatch(href)):
        raise BadCatalogue(f"href {href[:60]!r} is refused: give a relative path or an https address")
    try:
        whole = urljoin(base, href)
        named = bool(urlsplit(whole).hostname)
    except ValueError as fault:
        raise BadCatalogue(f"href {href[:60]!r} is not a usable address") from fault
    if not named or not _REMOTE.fullmatch(whole):
        raise BadCatalogue(f"href {href[:60]!r} is not a usable address")
    return whole


def shown(address: str) -> str:
    """Return an address fit to print: no user, no query (signatures stand there), at most 120 characters."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address"
    return f"{parts.scheme}://{host}{port}{parts.path}"[:120]

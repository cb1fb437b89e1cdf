"""Check a file against the `file:checksum` of its catalogue (a multihash in hex)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rail_watch.errors import BadRaster

_ALGORITHMS = {
    "1220": "sha256",
    "1340": "sha512",
    "1620": "sha3_256",
    "1440": "sha3_512",
    "1114": "sha1",
    "d50110": "md5",
}
"""Multihash prefix (code and length) to hashlib's name."""


def _split(checksum: str) -> tuple[str, str] | None:
    text = checksum.strip().lower()
    for prefix, name in _ALGORITHMS.items():
        size = hashlib.new(name, usedforsecurity=False).digest_size
        if text.startswith(prefix) and len(text) == len(prefix) + 2 * size:
            return name, text[len(prefix) :]
    return None


def verify(path: Path, checksum: str) -> str | None:
    """Check a local file; return a note when the checksum is of a kind that cannot be checked.

    Raises
    ------
    BadRaster
        The file is not the one the catalogue describes, or cannot be read.
    """
    known = _split(checksum)
    if known is None:
        return f"{path.name}: checksum of an unknown kind, not verified"
    name, wanted = known
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, lambda: hashlib.new(name, usedforsecurity=False)).hexdigest()
    except OSError as fault:
        raise BadRaster(f"{path}: cannot be read ({fault.strerror or type(fault).__name__})") from fault
    if found != wanted:
        raise BadRaster(f"{path}: not the file its catalogue describes ({name} differs); fetch it again")
    return None

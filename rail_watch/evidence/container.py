"""The zip file of a bundle: one form only, so that the same members give the same bytes and a changed byte is found.

Members are stored, not compressed (pixels and pictures are compressed already), in the order of their names, without
gaps, dates, comments or extra fields. Every byte of the container therefore follows from names, sizes and CRC-32s of
the members, and is compared with what it must be: a bomb, a link, a path that leads out or hidden data has no place in
it. Reference: PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rail_watch.errors import BadInput

MOST_MEMBERS = 5000
MOST_BYTES = 4_000_000_000
"""Beyond 4 GiB a zip file needs fields that this form does not have."""
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,149}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,149}){0,3}")
_CHUNK = 1 << 20
_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_LOCAL_MARK, _CENTRAL_MARK, _END_MARK = 0x04034B50, 0x02014B50, 0x06054B50
_VERSION, _UNIX, _DAY = 20, 3 << 8, 0x21
"""Version needed, made on Unix (so that a file's mode counts), 1 January 1980."""
_MODE = 0o100644 << 16
_TYPE, _REGULAR = 0o170000 << 16, 0o100000 << 16


@dataclass(frozen=True)
class Member:
    """One file of a bundle."""

    name: str
    size: int
    crc: int
    start: int
    """Of its header in the zip file."""

    def local(self) -> bytes:
        """Return the header before its data."""
        name = self.name.encode("ascii")
        sizes = (self.crc, self.size, self.size, len(name), 0)
        return _LOCAL.pack(_LOCAL_MARK, _VERSION, 0, 0, 0, _DAY, *sizes) + name

    def central(self) -> bytes:
        """Return its entry in the table of contents."""
        name = self.name.encode("ascii")
        sizes = (self.crc, self.size, self.size, len(name), 0, 0)
        head = _CENTRAL.pack(_CENTRAL_MARK, _UNIX | _VERSION, _VERSION, 0, 0, 0, _DAY, *sizes, 0, 0, _MODE, self.start)
        return head + name

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.start + _LOCAL.size + len(self.name) + self.size


@dataclass(frozen=True)
class Unpacked:
    """What came out of a zip file."""

    digests: Mapping[str, str]
    """Member to SHA-256 of its bytes."""
    damaged: tuple[str, ...]
    """Members whose bytes do not have their CRC-32."""


def _end_of(members: list[Member]) -> bytes:
    size = sum(len(member.central()) for member in members)
    start = members[-1].end if members else 0
    return _END.pack(_END_MARK, 0, 0, len(members), len(members), size, start, 0)


# ---- writing ------------------------------------------------------------------------------------------------------


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as stream:
        while block := stream.read(_CHUNK):
            crc = zlib.crc32(block, crc)
    return crc


def pack(files: Mapping[str, Path], out: Path) -> Path:
    """Write files into a zip file: whole or not at all, and the same bytes for the same files.

    Raises
    ------
    BadInput
        There is too much of it, or `out` cannot be written.
    """
    members: list[Member] = []
    for name in sorted(files):
        if not NAME.fullmatch(name) or ".." in name:
            raise BadInput(f"{out}: {name[:200]!r} is no name that a bundle can hold; rename the scene")
        start = members[-1].end if members else 0
        members.append(Member(name, files[name].stat().st_size, _crc(files[name]), start))
    if members[-1].end > MOST_BYTES or len(members) > MOST_MEMBERS:
        raise BadInput(f"{out}: the bundle would hold more than {MOST_BYTES / 1e9:.0f} GB; draw a smaller site")
    try:
        handle, draft = tempfile.mkstemp(dir=out.absolute().parent, prefix=f".{out.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                for member in members:
                    stream.write(member.local())
                    stream.write(files[member.name].read_bytes())
                stream.writelines(member.central() for member in members)
                stream.write(_end_of(members))
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(draft, 0o666 & ~mask)
            os.replace(draft, out)
        except BaseException:
            os.unlink(draft)
            raise
    except OSError as fault:
        raise BadInput(f"{out}: cannot write ({fault.strerror or fault}); choose another file with --out") from fault
    return out


# ---- reading ------------------------------------------------------------------------------------------------------


def _number_of(stream: BinaryIO, size: int, path: Path) -> tuple[int, int, int]:
    """Return how many members there are, and start and length of the table of contents."""
    stream.seek(max(size - _END.size, 0))
    tail = stream.read(_END.size)
    if len(tail) < _END.size or not tail.startswith(struct.pack("<I", _END_MARK)):
        raise BadInput(f"{path}: not a bundle, or cut off or added to at its end; fetch it again")
    _, disk, first, here, count, length, start, comment = _END.unpack(tail)
    if count > MOST_MEMBERS or here != count:
        raise BadInput(f"{path}: claims {max(count, here)} files; a bundle has at most {MOST_MEMBERS}")
    if disk or first or comment or start + length + _END.size != size:
        raise BadInput(f"{path}: its table of contents is not where it must be; fetch it again")
    return count, start, length


def _entry(table: bytes, at: int, path: Path) -> Member:
    """Return one entry of the table of contents; what is not of our form is refused by its name."""
    if len(table) - at < _CENTRAL.size:
        raise BadInput(f"{path}: its table of contents ends too early; fetch it again")
    mark, _, _, flags, method, _, _, crc, packed, size, letters, *_, mode, start = _CENTRAL.unpack_from(table, at)
    raw = table[at + _CENTRAL.size : at + _CENTRAL.size + letters]
    shown = raw.decode("ascii", "backslashreplace")[:80]
    if mark != _CENTRAL_MARK:
        raise BadInput(f"{path}: its table of contents is damaged; fetch it again")
    if not NAME.fullmatch(raw.decode("latin-1")) or ".." in shown:
        raise BadInput(f"{path}: refused, {shown!r} is no plain relative path; no bundle holds such a name")
    if mode & _TYPE != _REGULAR:
        raise BadInput(f"{path}: refused, {shown} is a link or no regular file")
    if flags or method or packed != size:
        raise BadInput(f"{path}: refused, {shown} is compressed or encrypted; a bundle's files are stored as they are")
    return Member(raw.decode("ascii"), size, crc, start)


def _members(stream: BinaryIO, size: int, path: Path) -> list[Member]:
    count, start, length = _number_of(stream, size, path)
    stream.seek(start)
    table = stream.read(length)
    members: list[Member] = []
    at, expected = 0, 0
    seen: set[str] = set()
    for _ in range(count):
        member = _entry(table, at, path)
        if member.name.lower() in seen:
            raise BadInput(f"{path}: refused, {member.name} is in it twice")
        if member.start != expected or member.end > start:
            raise BadInput(f"{path}: refused, {member.name} is not where it must be; files overlap or leave a gap")
        if table[at : at + len(member.central())] != member.central():
            raise BadInput(f"{path}: the entry of {member.name} in the table of contents was changed")
        seen.add(member.name.lower())
        members.append(member)
        at, expected = at + len(member.central()), member.end
    if at != length or expected != start:
        raise BadInput(f"{path}: holds bytes that belong to no file")
    if [member.name for member in members] != sorted(member.name for member in members):
        raise BadInput(f"{path}: its files are not in the order of their names")
    return members


def _take(stream: BinaryIO, member: Member, folder: Path, path: Path) -> tuple[str, bool]:
    """Write one member below a folder; return its SHA-256 and whether its CRC-32 is right."""
    stream.seek(member.start)
    header = member.local()
    if stream.read(len(header)) != header:
        raise BadInput(f"{path}: the header before {member.name} was changed")
    target = folder / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, crc, left = hashlib.sha256(), 0, member.size
    with target.open("xb") as out:
        while left and (block := stream.read(min(left, _CHUNK))):
            digest.update(block)
            crc = zlib.crc32(block, crc)
            left -= len(block)
            out.write(block)
    return digest.hexdigest(), crc == member.crc and not left


def unpack(path: Path, folder: Path) -> Unpacked:
    """Take a bundle apart into an empty folder; nothing is written outside of it.

    Raises
    ------
    BadInput
        One line: the file is no bundle, damaged outside of its members, or hostile.
    """
    if "\0" in str(path):
        raise BadInput("a file name holds a NUL character")
    try:
        if not path.is_file():
            raise BadInput(f"{path}: no such file" if not path.exists() else f"{path}: not a regular file")
        size = path.stat().st_size
        with path.open("rb") as stream:
            members = _members(stream, size, path)
            taken = {member.name: _take(stream, member, folder, path) for member in members}
    except OSError as fault:
        raise BadInput(f"{path}: cannot be read ({fault.strerror or type(fault).__name__})") from fault
    damaged = tuple(name for name, (_, right) in taken.items() if not right)
    return Unpacked({name: digest for name, (digest, _) in taken.items()}, damaged)

"""Files kept for the next time they are asked for: whole or not there, and never more than a given size in all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, get_ident

KEPT_SHARE = 0.8
"""Of the limit; what was not asked for the longest is dropped down to this."""


@dataclass
class Shelf:
    """One folder of files named by digests."""

    folder: Path
    most_bytes: int = 1_000_000_000
    _held: int = -1
    """Bytes there, as counted; -1 before the first count."""

    def __post_init__(self) -> None:
        self._lock = Lock()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.webp"

    def get(self, key: str) -> bytes | None:
        """Return what is kept under a key."""
        path = self._path(key)
        try:
            content = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return content or None

    def put(self, key: str, content: bytes) -> None:
        """Keep bytes under a key; a folder that cannot be written to keeps nothing, and that is no fault."""
        path = self._path(key)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f".{key}.{os.getpid()}.{get_ident()}")
            try:
                beside.write_bytes(content)
                os.replace(beside, path)
            finally:
                beside.unlink(missing_ok=True)
        with self._lock:
            self._held = self._count() if self._held < 0 else self._held + len(content)
            if self._held > self.most_bytes:
                self._shrink()

    def kept(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Return what is kept under a key, making it where it is not there."""
        found = self.get(key)
        if found is None:
            found = make()
            self.put(key, found)
        return found

    def _files(self) -> list[tuple[float, int, Path]]:
        found = []
        for path in self.folder.glob("??/*.webp"):
            with suppress(OSError):
                state = path.stat()
                found.append((state.st_mtime, state.st_size, path))
        return found

    def _count(self) -> int:
        return sum(size for _, size, _ in self._files())

    def _shrink(self) -> None:
        files = sorted(self._files())
        held = sum(size for _, size, _ in files)
        for _, size, path in files:
            if held <= KEPT_SHARE * self.most_bytes:
                break
            with suppress(OSError):
                path.unlink()
                held -= size
        self._held = held

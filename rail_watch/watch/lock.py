"""One run at a time on one archive. The lock is the operating system's: it ends with its process, however that ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rail_watch.errors import BadInput, Busy


def _hold(handle: int) -> None:
    """Take the lock of an open file, or raise OSError at once."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def one_run(home: Path) -> Iterator[None]:
    """Be the only run on the archive of a home.

    Raises
    ------
    Busy
        There is another one.
    BadInput
        The lock file cannot be made.
    """
    path = home / "run.lock"
    try:
        home.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    except OSError as fault:
        raise BadInput(
            f"{path}: cannot be written ({fault.strerror}); mend the rights or name another folder with --home"
        ) from fault
    try:
        try:
            _hold(handle)
        except OSError as fault:
            raise Busy(f"another run works on {home}{_by(handle)}; nothing was done") from fault
        with suppress(OSError):
            # Who it is, is told to the curious; what counts is the lock.
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def _by(handle: int) -> str:
    try:
        text = os.pread(handle, 20, 0).decode("ascii", "replace").strip() if hasattr(os, "pread") else ""
    except OSError:
        return ""
    return f" (process {text})" if text.isdigit() else ""
